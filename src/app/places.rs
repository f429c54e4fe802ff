//! Servers that were used before, and bookmarks: a list across runs, and the ways back.

use crossterm::event::{KeyCode, KeyEvent};
use url::Url;

use super::{Popup, State, View, cursor::Cursor, event::Effect, popup::motion_by_letters};
use crate::{config::target::Target, http1::path::RemotePath};

/// Bookmarks and servers that are kept.
pub const PLACES_MAX: usize = 50;

/// A directory on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The server: the directory that paths are relative to. Without login, query and fragment.
    pub server: Url,
    /// The bookmarked directory; `None` for a server that was used.
    pub bookmark: Option<RemotePath>,
}

impl Place {
    /// What may be kept of a server's address.
    pub fn new(mut server: Url, bookmark: Option<RemotePath>) -> Option<Self> {
        if !matches!(server.scheme(), "http" | "https") {
            return None;
        }
        server.set_username("").ok()?;
        server.set_password(None).ok()?;
        server.set_query(None);
        server.set_fragment(None);
        Some(Self { server, bookmark })
    }

    /// Its URL, for people; raw.
    pub fn shown(&self) -> String {
        let base = self.server.as_str().trim_end_matches('/');
        let dir = self.bookmark.clone().unwrap_or_default();
        format!("{base}{}", dir.to_target())
    }
}

/// How the list changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is the newest from now on.
    Keep(Place),
    /// It goes.
    Drop(Place),
}

/// Changes a list, oldest first; the oldest go where it has become too long.
pub fn change(places: &mut Vec<Place>, change: &Change) {
    let (Change::Keep(place) | Change::Drop(place)) = change;
    places.retain(|known| known != place);
    if matches!(change, Change::Keep(_)) {
        places.push(place.clone());
    }
    let surplus = places.len().saturating_sub(PLACES_MAX);
    places.drain(..surplus);
}

impl State {
    /// The same with what earlier runs kept, oldest first.
    #[must_use]
    pub fn with_places(mut self, places: Vec<Place>) -> Self {
        self.places = places;
        if self.prompt.is_some() {
            self.offer_places();
        }
        self
    }

    /// Bookmarks, then servers; the newest of each first.
    pub fn places(&self) -> Vec<&Place> {
        let of = |bookmark: bool| {
            let places = self.places.iter().rev();
            places.filter(move |place| place.bookmark.is_some() == bookmark)
        };
        of(true).chain(of(false)).collect()
    }

    /// Shows the list where a server is asked for.
    pub(super) fn offer_places(&mut self) {
        if !self.places.is_empty() && self.popup.is_none() {
            self.show_places();
        }
    }

    pub(super) fn show_places(&mut self) {
        if self.places.is_empty() {
            self.complain("no server was used before: `b` bookmarks a directory");
            return;
        }
        let mut cursor = Cursor::default();
        cursor.set_page(self.layout.list, self.places.len());
        self.popup = Some(Popup::Places(cursor));
    }

    /// Bookmarks the directory that is shown.
    pub(super) fn bookmark(&mut self) -> Vec<Effect> {
        let View::Connect(view) = &self.view else {
            return Vec::new();
        };
        let dir = view.remote.path.clone();
        let url = view.url.clone().filter(|_| view.remote.read.is_some());
        let Some(place) = url.and_then(|url| Place::new(url, Some(dir))) else {
            self.complain("there is nothing to bookmark yet: no directory is listed");
            return Vec::new();
        };
        let shown = crate::escape::display_name(&place.shown()).into_owned();
        self.say(format!("bookmarked {shown} · ' lists bookmarks"));
        self.change_places(Change::Keep(place))
    }

    /// Keeps a server in mind once it has listed something.
    pub(super) fn note_server(&mut self) -> Vec<Effect> {
        let View::Connect(view) = &mut self.view else {
            return Vec::new();
        };
        let Some(url) = view.url.clone().filter(|_| !view.noted) else {
            return Vec::new();
        };
        view.noted = true;
        match Place::new(url, None) {
            Some(place) => self.change_places(Change::Keep(place)),
            None => Vec::new(),
        }
    }

    fn change_places(&mut self, how: Change) -> Vec<Effect> {
        change(&mut self.places, &how);
        vec![Effect::Places(how)]
    }

    /// A key in the box; `leaves` is one that closes it.
    pub(super) fn places_key(&mut self, key: KeyEvent, leaves: bool) -> Vec<Effect> {
        let Some(Popup::Places(cursor)) = &self.popup else {
            return Vec::new();
        };
        let mut cursor = *cursor;
        let current = self.places().get(cursor.at()).map(|place| (*place).clone());
        match (key.code, current) {
            (KeyCode::Enter, Some(place)) => {
                self.popup = None;
                return self.go_to(&place);
            }
            (KeyCode::Char('x') | KeyCode::Delete, Some(place)) => {
                let effects = self.change_places(Change::Drop(place));
                cursor.go(cursor.at(), self.places.len());
                self.popup = (!self.places.is_empty()).then_some(Popup::Places(cursor));
                return effects;
            }
            (KeyCode::Char('\''), _) => return self.close(),
            _ if leaves => return self.close(),
            _ => {
                if let Some(motion) = motion_by_letters(key) {
                    cursor.apply(motion, self.places.len());
                }
                self.popup = Some(Popup::Places(cursor));
            }
        }
        Vec::new()
    }

    /// Goes to a directory of this server, or turns to another one.
    fn go_to(&mut self, place: &Place) -> Vec<Effect> {
        let View::Connect(view) = &mut self.view else {
            return Vec::new();
        };
        let dir = place.bookmark.clone().unwrap_or_default();
        let here = view.url.clone().and_then(|url| Place::new(url, None));
        if here.is_some_and(|here| here.server == place.server) {
            self.prompt = None;
            return vec![view.remote.open(dir)];
        }
        match place.server.as_str().parse::<Target>() {
            Ok(target) => {
                self.prompt = None;
                view.going = (!dir.is_root()).then(|| (place.server.clone(), dir));
                vec![Effect::Connect(target)]
            }
            Err(reason) => {
                self.complain(reason);
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_bounded_and_holds_each_place_once_and_no_login() {
        let place = |n: usize| {
            let url = format!("http://user:secret@host{n}/?token=1#x").parse();
            Place::new(url.unwrap(), None).unwrap()
        };
        assert_eq!(place(1).shown(), "http://host1/");
        let mut places = Vec::new();
        for n in (0..80).chain([40]) {
            change(&mut places, &Change::Keep(place(n)));
        }
        assert_eq!(places.len(), PLACES_MAX);
        assert_eq!(places.last(), Some(&place(40)));
        assert_eq!(places.iter().filter(|p| **p == place(40)).count(), 1);
        change(&mut places, &Change::Drop(place(40)));
        assert!(!places.contains(&place(40)));
        assert!(Place::new("ftp://host/".parse().unwrap(), None).is_none());
    }
}
