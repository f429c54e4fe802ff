//! The ways back: what is kept in the list of places, and the box that leads there.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{
    Popup, State, View,
    cursor::Cursor,
    effect::Effect,
    places::{Change, Place, change},
    popup::motion_by_letters,
    servers::Servers,
};
use crate::{config::target::Target, discovery::Known};

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
        if self.is_typed_behind(key) {
            self.popup = None;
            return self.key(key);
        }
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

    /// Whether a key is for the line behind the box: where an address is asked for, letters are its.
    fn is_typed_behind(&self, key: KeyEvent) -> bool {
        self.prompt.is_some()
            && matches!(key.code, KeyCode::Char(_))
            && !key.modifiers.contains(KeyModifiers::CONTROL)
    }

    /// Opens the box, and looks for servers.
    pub(super) fn show_servers(&mut self) -> Vec<Effect> {
        self.popup = Some(Popup::Servers(Servers::default()));
        let used = self
            .places()
            .into_iter()
            .filter(|place| place.bookmark.is_none());
        vec![Effect::FindServers {
            used: used.map(|place| place.server.clone()).collect(),
            // Where somebody is, others are looked for.
            usual: matches!(&self.view, View::Connect(view) if view.url.is_none()),
        }]
    }

    pub(super) fn servers_found(&mut self, known: Vec<Known>) {
        if let Some(Popup::Servers(servers)) = &mut self.popup {
            servers.known = Some(known);
        }
    }

    /// A key in the box; `leaves` is one that closes it.
    pub(super) fn servers_key(&mut self, key: KeyEvent, leaves: bool) -> Vec<Effect> {
        if self.is_typed_behind(key) {
            self.popup = None;
            return self.key(key);
        }
        let Some(Popup::Servers(servers)) = &mut self.popup else {
            return Vec::new();
        };
        let known = servers.known.as_deref().unwrap_or_default();
        let current = known.get(servers.cursor.at());
        match (key.code, current) {
            (KeyCode::Enter, Some(server)) => {
                let place = server.url.parse().ok();
                let place = place.and_then(|url| Place::new(url, None));
                self.popup = None;
                return place.map_or_else(Vec::new, |place| self.go_to(&place));
            }
            (KeyCode::Char('r'), _) => return self.show_servers(),
            _ if leaves => return self.close(),
            _ => {
                let len = known.len();
                if let Some(motion) = motion_by_letters(key) {
                    servers.cursor.apply(motion, len);
                }
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
