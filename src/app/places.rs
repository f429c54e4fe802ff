//! Servers that were used before, and bookmarks: a list across runs.

use url::Url;

use crate::http1::path::RemotePath;

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
    bound(places);
}

/// The oldest go where there are too many: servers that were used before bookmarks, which somebody set.
pub fn bound(places: &mut Vec<Place>) {
    while places.len() > PLACES_MAX {
        let used = places.iter().position(|place| place.bookmark.is_none());
        places.remove(used.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_are_used_push_no_bookmark_out() {
        let url = |n: usize| format!("http://host{n}/").parse().unwrap();
        let bookmark = Place::new(url(0), Some(RemotePath::root())).unwrap();
        let mut places = vec![bookmark.clone()];
        for n in 0..2 * PLACES_MAX {
            change(
                &mut places,
                &Change::Keep(Place::new(url(n), None).unwrap()),
            );
        }
        assert_eq!(places.len(), PLACES_MAX);
        assert_eq!(places[0], bookmark);
    }

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
