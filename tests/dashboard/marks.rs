//! Marks in all directories, and what the disk holds of a listing.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use haul::{
    app::{Effect, Event, GlyphSet, Mouse, Pane, Popup, Sample, State, here::Here},
    client::{self, ItemState, Link, Verified},
    entry::Entry,
};

use super::states::*;

/// Two things marked at the top, one in `photos`, which is shown.
fn marked() -> State {
    let mut state = browsing();
    draw(&mut state, 120, 36);
    keys(&mut state, "j Space Space k k k Enter");
    let result = Ok(vec![
        entry("a.jpg", Some(MIB), 0),
        entry("b.jpg", Some(1), 0),
    ]);
    let path = path("/photos/");
    answer_list(&mut state, path, result);
    keys(&mut state, "Space");
    state
}

#[test]
fn the_box_lists_the_marks_of_all_directories_and_their_sum() {
    let mut state = marked();
    keys(&mut state, "M");
    for (columns, rows) in [(120, 36), (80, 24), (40, 10)] {
        let screen = screen(&mut state, columns, rows);
        assert!(screen.contains("Marks"), "{screen}");
        assert!(
            screen.contains("3 marked ≥11.7 GiB"),
            "a directory: {screen}"
        );
        assert!(screen.contains("/photos/a.jpg"), "{screen}");
        assert!(screen.contains("/releases/"), "{screen}");
    }
    keys(&mut state, "x");
    assert_eq!(client(&state).remote.marked_count(), 2);
    assert_eq!(client(&state).remote.listing.marked_count(), 0);
    let effects = keys(&mut state, "j Enter");
    let [Effect::List { path, .. }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert!(path.is_root() && state.popup.is_none());
    let (path, result) = (path.clone(), Ok(entries()));
    answer_list(&mut state, path, result);
    let current = client(&state).remote.listing.current().unwrap();
    assert_eq!(current.name, b"backup-2026-11.tar.zst");
    assert_eq!(client(&state).remote.listing.marked_count(), 2);
    keys(&mut state, "M X");
    assert_eq!(client(&state).remote.marked_count(), 0);
    assert!(state.popup.is_none(), "nothing is left to list");
    keys(&mut state, "M");
    assert!(state.popup.is_none() && state.notice.as_ref().unwrap().bad);
}

#[test]
fn marks_elsewhere_are_taken_away_one_by_one() {
    let mut state = marked();
    keys(&mut state, "M G x x x");
    assert_eq!(client(&state).remote.marked_count(), 0);
    let mut state = marked();
    keys(&mut state, "M C-a");
    assert_eq!(client(&state).remote.marked_count(), 0);
    let mut state = marked();
    keys(&mut state, "M Esc");
    assert!(state.popup.is_none());
    assert_eq!(
        client(&state).remote.marked_count(),
        3,
        "Esc closes only the box"
    );
}

fn looks_for(effects: Vec<Effect>) -> Option<(std::path::PathBuf, Arc<Vec<Entry>>)> {
    effects.into_iter().find_map(|effect| match effect {
        Effect::LookLocal {
            target, entries, ..
        } => Some((target, entries)),
        _ => None,
    })
}

#[test]
fn the_column_of_marks_shows_what_the_disk_holds() {
    let mut state = browsing();
    let refresh = keys(&mut state, "r");
    assert!(matches!(&refresh[..], [Effect::List { .. }]));
    let (path, result) = (path("/"), Ok(entries()));
    let effects = answer_list(&mut state, path, result);
    let (target, entries) = looks_for(effects).expect("a listing asks the disk");
    assert_eq!(target.to_str(), Some("/home/alice/Downloads"));
    let mut here = vec![Here::Nothing; entries.len()];
    here[1] = Here::Directory;
    here[2] = Here::Whole { dated: true };
    here[3] = Here::Part;
    here[4] = Here::Other(7);
    let answer = |target: &str, here: &[Here]| Event::LookedLocal {
        target: target.into(),
        entries: Arc::clone(&entries),
        here: here.to_vec(),
    };
    send(&mut state, answer("/elsewhere", &here));
    assert!(!screen(&mut state, 120, 36).contains("✓ backup"));
    send(&mut state, answer("/home/alice/Downloads", &here));
    let unicode = screen(&mut state, 120, 36);
    assert!(unicode.contains("✓ backup-2026-11.tar.zst"), "{unicode}");
    assert!(
        unicode.contains("½ debian-13.0-amd64-DVD-1.iso"),
        "{unicode}"
    );
    for (set, whole, part) in [
        (GlyphSet::Ascii, "+ backup", "% debian"),
        (GlyphSet::Console, "√ backup", "½ debian"),
    ] {
        state.looks.glyphs = set;
        let screen = screen(&mut state, 80, 24);
        assert!(screen.contains(whole) && screen.contains(part), "{screen}");
    }
    keys(&mut state, "j j i");
    let details = screen(&mut state, 120, 36);
    assert!(details.contains("same size and date"), "{details}");
    keys(&mut state, "Esc j i");
    let details = screen(&mut state, 120, 36);
    assert!(details.contains("a part: d goes on with it"), "{details}");
    // A mark stands in the same place, and wins.
    keys(&mut state, "Esc Space");
    assert!(!screen(&mut state, 120, 36).contains("½"));
    let effects = send(&mut state, Event::Lcd("/mnt/usb".into()));
    let (target, _) = looks_for(effects).expect("another target is another disk");
    assert_eq!(target.to_str(), Some("/mnt/usb"));
    state.looks.glyphs = GlyphSet::Unicode;
    assert!(!screen(&mut state, 120, 36).contains("✓ backup"));
}

#[test]
fn the_disk_is_asked_again_when_a_transfer_ends() {
    let mut state = browsing();
    let start = Instant::now() + Duration::from_secs(5);
    let sample = |finished: bool| {
        let verified = ItemState::Finished(Verified::Blake3);
        let item = if finished {
            item(1, "/notes.md", 9, 9, verified)
        } else {
            item(1, "/notes.md", 3, 9, ItemState::Active)
        };
        Sample::Client(client::Snapshot {
            items: vec![item],
            link: Link::Up,
            ..client::Snapshot::default()
        })
    };
    let answer = |state: &mut State, entries| {
        let here = vec![Here::Nothing; 18];
        let target = "/home/alice/Downloads".into();
        let _ = send(
            state,
            Event::LookedLocal {
                target,
                entries,
                here,
            },
        );
    };
    let entries = client(&state).remote.listing.shared();
    answer(&mut state, entries);
    let at = |seconds: u64| start + Duration::from_secs(seconds);
    let effects = tick(&mut state, at(1), wall(), sample(false));
    let (_, entries) = looks_for(effects).expect("what begins leaves a part");
    assert!(looks_for(tick(&mut state, at(3), wall(), sample(true))).is_none());
    answer(&mut state, entries);
    let effects = tick(&mut state, at(5), wall(), sample(true));
    let (_, entries) = looks_for(effects).expect("it has ended");
    answer(&mut state, entries);
    assert!(looks_for(tick(&mut state, at(9), wall(), sample(true))).is_none());
}

#[test]
fn of_a_listing_of_many_the_disk_is_not_asked() {
    let mut state = browsing();
    keys(&mut state, "r");
    let many = (0..=20_000).map(|n| entry(format!("f{n}"), Some(1), 0));
    let (path, result) = (path("/"), Ok(many.collect()));
    let effects = answer_list(&mut state, path, result);
    assert!(looks_for(effects).is_none());
}

#[test]
fn a_box_of_marks_takes_the_wheel() {
    let mut state = browsing();
    draw(&mut state, 40, 10);
    keys(&mut state, "C-a M");
    draw(&mut state, 40, 10);
    let Some(Popup::Marks(cursor)) = &state.popup else {
        panic!("a box")
    };
    assert_eq!(cursor.window(17).len(), 3);
}

#[test]
fn what_is_not_listed_is_not_touched() {
    let mut state = browsing();
    keys(&mut state, "j j : c d Space n o n e Enter");
    answer_list(&mut state, path("/none/"), Err("404 not found".into()));
    for key in ["d", "U", "Space", "v", "C-a", "i", "y", "Enter", "*"] {
        assert!(keys(&mut state, key).is_empty(), "{key}");
        let notice = state.notice.as_ref().unwrap();
        assert!(notice.text.starts_with("nothing is listed: h goes back"));
        assert!(state.popup.is_none(), "{key}");
    }
    send(
        &mut state,
        Event::Mouse(Mouse::Mark {
            pane: Pane::Remote,
            row: 1,
        }),
    );
    assert_eq!(client(&state).remote.marked_count(), 0);
    let shown = screen(&mut state, 120, 36);
    assert!(
        !shown.contains("blake3") && !shown.contains("/17 ─"),
        "{shown}"
    );
    // Where the rows are in sight again, they have the keys.
    keys(&mut state, "h Space");
    assert_eq!(client(&state).remote.marked_count(), 1);
}
