//! The client's parsers of outside bytes, fed as those in tests/fuzz are.

use url::Url;

use super::{
    disk::journal::Journal,
    net::{challenge::Challenge, cookies::Cookies, redirect},
    read::listing::{Listed, Reader},
};
use crate::{
    http1::path::check_name,
    mutate::{fuzz, fuzz_slow},
};

/// What a body of this type lists, where it is no failure.
fn listed<'a>(
    kind: &str,
    parts: impl Iterator<Item = &'a [u8]>,
    until_close: bool,
) -> Option<Listed> {
    let address = Url::parse("http://nas:8888/pub/").unwrap();
    let (mut reader, mut listed) = (Reader::new(kind, &address).unwrap(), Listed::default());
    for part in parts {
        reader.feed(part, &mut listed).ok()?;
    }
    reader.finish(until_close, &mut listed).ok()?;
    Some(listed)
}

#[test]
fn listings_name_nothing_outside_and_are_the_same_in_parts() {
    fuzz("listing", |input| {
        let Some((first, body)) = input.split_first() else {
            return;
        };
        let kind = match first {
            b'h' => "text/html",
            b'j' => "application/json",
            _ => "application/xml",
        };
        let whole = listed(kind, [body].into_iter(), false);
        if let Some(whole) = &whole {
            let names = whole
                .entries
                .iter()
                .flat_map(|entry| entry.name.split(|byte| *byte == b'/'));
            assert!(names.map(check_name).all(|checked| checked.is_ok()));
        }
        let parts = listed(kind, body.chunks(5), false);
        assert_eq!(format!("{whole:?}"), format!("{parts:?}"));
        if let Some(closed) = listed(kind, [body].into_iter(), true) {
            assert_eq!(format!("{whole:?}"), format!("{:?}", Some(closed)));
        }
    });
}

#[test]
fn journals_and_queues() {
    let temp = tempfile::tempdir().unwrap();
    let open = || {
        Journal::open(
            Some(temp.path()),
            std::path::Path::new("/target"),
            Some(1),
            "origin",
        )
    };
    drop(open());
    let mut journals = std::fs::read_dir(temp.path().join("journals")).unwrap();
    let path = journals.next().unwrap().unwrap().path();
    fuzz_slow("journal", |input| {
        std::fs::write(&path, input).unwrap();
        let wanted = open().wanted();
        assert_eq!(
            open().wanted(),
            wanted,
            "what was compacted says something else"
        );
    });
}

#[test]
fn challenges_cookies_and_redirects() {
    fuzz("challenge", |input| {
        drop(Challenge::strongest(&[
            String::from_utf8_lossy(input).into_owned()
        ]));
    });
    fuzz("cookies", |input| {
        let mut cookies = Cookies::default();
        cookies.set(&String::from_utf8_lossy(input), true);
        assert!(
            !cookies
                .field()
                .is_some_and(|field| field.contains(['\r', '\n']))
        );
    });
    fuzz("redirect", |input| {
        let here = Url::parse("https://nas/pub/").unwrap();
        if let Ok(url) = redirect::follow(&here, Some(&String::from_utf8_lossy(input))) {
            assert_eq!(url.scheme(), "https");
            assert!(!redirect::target_of(&url).contains([' ', '\r', '\n']));
        }
    });
}
