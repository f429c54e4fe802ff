//! Sums of directories, and the search in a tree: as keys and answers make them, and with a real server.

use std::{fs, sync::Arc};

use haul::{
    app::{
        Effect, Event, Popup, State,
        survey::{Chunk, Extent, News, Sum, Survey},
    },
    entry::Entry,
};

use super::{pty::haul, states::*};
use crate::common::serving::serve;

fn survey(effects: Vec<Effect>) -> Survey {
    let mut surveys = effects.into_iter().filter_map(|effect| match effect {
        Effect::Survey(survey) => Some(survey),
        _ => None,
    });
    surveys.next().expect("a survey")
}

fn ended(effects: &[Effect]) -> Option<u64> {
    effects.iter().find_map(|effect| match effect {
        Effect::EndSurvey(id) => Some(*id),
        _ => None,
    })
}

fn counted(state: &mut State, id: u64, root: &str, bytes: u64, more: bool) {
    let sum = Sum {
        bytes,
        files: 3,
        more,
    };
    let news = News::Counted {
        root: path(root),
        sum,
        ended: !more,
    };
    let _ = send(state, Event::Surveyed { id, news });
}

#[test]
fn directories_are_counted_and_a_sum_that_lacks_something_is_a_lower_bound() {
    let mut state = browsing();
    draw(&mut state, 120, 36);
    keys(&mut state, "Space");
    let asked = survey(keys(&mut state, "*"));
    assert_eq!(asked.roots, [path("/photos/"), path("/releases/")]);
    assert!(!asked.names);
    counted(&mut state, asked.id, "/photos/", 5 * GIB, true);
    let under_way = screen(&mut state, 120, 36);
    assert!(under_way.contains("≥5.00 GiB"), "{under_way}");
    assert!(under_way.contains("1 marked ≥5.00 GiB"), "{under_way}");
    assert!(under_way.contains("counted 0 of 2"), "{under_way}");
    counted(&mut state, asked.id, "/photos/", 7 * GIB, false);
    let done = screen(&mut state, 80, 24);
    assert!(done.contains("1 marked 7.00 GiB"), "{done}");
    assert!(!done.contains('≥'), "{done}");
    // What was counted is not counted again; what was not may be.
    let effects = keys(&mut state, "*");
    assert_eq!(ended(&effects), Some(asked.id), "again ends it");
    counted(&mut state, asked.id, "/releases/", 9, false);
    let again = survey(keys(&mut state, "*"));
    assert_eq!(
        again.roots,
        [path("/releases/")],
        "a late answer is not taken"
    );
    counted(&mut state, again.id, "/releases/", 1, true);
    let news = News::Ended(Extent {
        dirs: 1,
        entries: 1,
        failed: 2,
        cut: false,
    });
    let id = again.id;
    send(&mut state, Event::Surveyed { id, news });
    let notice = state.notice.clone().unwrap();
    assert!(notice.bad && notice.text.contains("2 directories could not be listed"));
    let lacking = screen(&mut state, 120, 36);
    assert!(lacking.contains("≥1 B"), "{lacking}");
    keys(&mut state, "i");
    let details = screen(&mut state, 120, 36);
    assert!(
        details.contains("releases/") && details.contains("≥3"),
        "{details}"
    );
    // What is listed again is counted again.
    keys(&mut state, "Esc r");
    assert!(client(&state).remote.sums.is_empty());
}

fn found(state: &mut State, id: u64, dir: &str, entries: Vec<Entry>) {
    let dir = path(dir);
    let news = News::Found(Arc::new(Chunk { dir, entries }));
    let _ = send(state, Event::Surveyed { id, news });
}

#[test]
fn a_search_shows_what_comes_goes_there_and_marks() {
    let mut state = browsing();
    draw(&mut state, 120, 36);
    let asked = survey(keys(&mut state, "C-f"));
    assert!(asked.names && asked.roots == [path("/")]);
    let id = asked.id;
    found(&mut state, id, "/", entries());
    found(
        &mut state,
        id,
        "/photos/",
        vec![entry("\u{1b}[31mharbour.tif", Some(9), 0)],
    );
    keys(&mut state, "h a r b");
    for (columns, rows) in [(120, 36), (80, 24), (40, 10)] {
        let screen = screen(&mut state, columns, rows);
        assert!(screen.contains(r"/photos/\x1b[31mharbour.tif"), "{screen}");
    }
    let wide = screen(&mut state, 120, 36);
    assert!(
        wide.contains("1 of 19 names in 2 directories so far"),
        "{wide}"
    );
    keys(&mut state, "Space");
    assert_eq!(client(&state).remote.marked_count(), 1);
    assert!(screen(&mut state, 120, 36).contains("◆ /photos/"));
    let effects = keys(&mut state, "Enter");
    assert_eq!(ended(&effects), Some(id), "its walk ends");
    let Some(Effect::List { path: dir, .. }) = effects.first() else {
        panic!("{effects:?}")
    };
    assert_eq!(*dir, path("/photos/"));
    let result = Ok(vec![
        entry("a", Some(1), 0),
        entry("\u{1b}[31mharbour.tif", Some(9), 0),
    ]);
    let dir = dir.clone();
    answer_list(&mut state, dir, result);
    assert!(
        client(&state)
            .remote
            .listing
            .current()
            .unwrap()
            .name
            .ends_with(b"harbour.tif")
    );
    assert_eq!(client(&state).remote.listing.marked_count(), 1);
}

#[test]
fn whatever_closes_a_search_ends_its_walk() {
    let mut state = browsing();
    let id = survey(keys(&mut state, "C-f")).id;
    assert_eq!(ended(&keys(&mut state, "Esc")), Some(id));
    let id = survey(keys(&mut state, "C-f")).id;
    let turn = Event::Connected(haul::app::Server {
        url: "http://other/".parse().unwrap(),
        named: None,
    });
    assert_eq!(ended(&send(&mut state, turn)), Some(id));
    let late = News::Ended(Extent::default());
    assert!(send(&mut state, Event::Surveyed { id, news: late }).is_empty());
    answer_list(&mut state, path("/"), Ok(entries()));
    keys(&mut state, "C-f x y z");
    assert!(matches!(state.popup, Some(Popup::Search(_))));
    send(&mut state, Event::Paste("\u{7}abc".into()));
    assert!(screen(&mut state, 80, 24).contains("xyzabc"));
}

#[test]
fn a_real_tree_is_counted_and_searched() {
    let (root, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let deep = root.path().join("top/middle/deep");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("needle.txt"), vec![0; 5000]).unwrap();
    fs::write(root.path().join("top/other.bin"), vec![0; 1000]).unwrap();
    let serving = serve(root.path());
    let target = into.path().to_str().unwrap();
    let mut pty = haul(&["connect", &serving.url("/"), "-d", target]);
    pty.expect("top/");
    pty.press("*");
    pty.expect("5.86 KiB");
    pty.press("\x06ndl");
    pty.expect("/top/middle/deep/needle.txt");
    pty.press("\r");
    pty.expect("Remote /top/middle/deep");
    pty.press("d");
    pty.expect("1 done");
    pty.press("q");
    assert_eq!(pty.end(), 0);
    assert_eq!(
        fs::read(into.path().join("top/middle/deep/needle.txt"))
            .unwrap()
            .len(),
        5000
    );
}
