//! The served directory and the clients in `haul serve`: what is listed anew, and who left.

use std::time::{Duration, Instant};

use haul::{
    app::{Effect, Event, Sample, State, View, browser::Load},
    entry::Entry,
    server::{Snapshot, TransferState, TransferView},
};

use super::states::*;

fn lists(effects: &[Effect]) -> bool {
    effects.iter().any(|it| matches!(it, Effect::List { .. }))
}

fn later(state: &mut State, by: Duration) -> Vec<Effect> {
    let now = state.now.unwrap() + by;
    tick(state, now, wall(), Sample::Server(Snapshot::default()))
}

fn serve(state: &State) -> &haul::app::serve::Serve {
    match &state.view {
        View::Serve(view) => view,
        View::Connect(_) => panic!("a server"),
    }
}

/// Where the cursor stands and what the window shows of so many.
fn window(state: &State) -> (usize, std::ops::Range<usize>) {
    let listing = &serve(state).files.listing;
    (
        listing.cursor().at(),
        listing.cursor().window(listing.len()),
    )
}

#[test]
fn the_served_directory_is_listed_again_by_key_by_command_and_by_itself() {
    let mut state = serving();
    keys(&mut state, "3");
    draw(&mut state, 80, 24);
    assert!(lists(&keys(&mut state, "r")));
    answer_list(&mut state, path("/"), Ok(entries()));
    assert!(lists(&keys(&mut state, ": l s Enter")));
    answer_list(&mut state, path("/"), Ok(entries()));
    keys(&mut state, "G k");
    let before = window(&state);
    later(&mut state, Duration::from_secs(1));
    assert!(lists(&later(&mut state, Duration::from_secs(5))));
    let same = |state: &State| serve(state).files.listing.current().cloned();
    let current = same(&state);
    answer_list(&mut state, path("/"), Ok(entries()));
    assert_eq!(
        (window(&state), same(&state)),
        (before.clone(), current.clone())
    );
    // What is new is shown, and the cursor stays on its entry.
    assert!(lists(&later(&mut state, Duration::from_secs(5))));
    let mut more: Vec<Entry> = entries();
    more.push(entry("a-new-one", Some(5), 1));
    answer_list(&mut state, path("/"), Ok(more));
    let now = window(&state);
    assert_eq!((now.0, same(&state)), (before.0 + 1, current.clone()));
    // Where its entry has gone it stays where it is.
    assert!(lists(&later(&mut state, Duration::from_secs(5))));
    let mut fewer = entries();
    fewer.retain(|entry| Some(entry) != current.as_ref());
    fewer.push(entry("a-new-one", Some(5), 1));
    answer_list(&mut state, path("/"), Ok(fewer));
    assert_eq!(
        window(&state).0,
        now.0.min(serve(&state).files.listing.len() - 1)
    );
    // What nobody sees is left alone.
    keys(&mut state, "4");
    draw(&mut state, 80, 24);
    assert!(!lists(&later(&mut state, Duration::from_secs(5))));
}

#[test]
fn another_directory_that_is_served_is_not_filtered_by_what_was_typed_before() {
    let mut state = serving();
    keys(&mut state, "3 s / z z z Enter");
    let order = serve(&state).files.listing.arrangement().key;
    send(&mut state, Event::Shared("/elsewhere".into()));
    answer_list(&mut state, path("/"), Ok(entries()));
    let arrangement = serve(&state).files.listing.arrangement();
    assert_eq!((arrangement.filter.as_str(), arrangement.key), ("", order));
    assert!(!serve(&state).files.listing.is_empty());
}

/// The row of a client that left 20 seconds ago, and what stands in it.
fn row_of_one_that_left(now: Instant, transfers: Vec<TransferView>) -> String {
    let left = now.checked_sub(Duration::from_secs(20));
    let mut gone = someone(2, Some("bob"), "10.0.0.8", "curl/8.5", transfers);
    (gone.left, gone.connections, gone.files) = (left, 0, 0);
    let mut state = State::serve(serve_facts(), looks());
    let snapshot = Snapshot {
        clients: vec![gone],
        ..Snapshot::default()
    };
    tick(&mut state, now, wall(), Sample::Server(snapshot));
    let screen = text(&draw(&mut state, 120, 36));
    let bob = screen.lines().find(|line| line.contains("bob"));
    bob.unwrap().to_owned()
}

/// A quarter of a file, begun a minute ago.
fn a_quarter(id: u64, now: Instant, state: TransferState) -> TransferView {
    let begun = now.checked_sub(Duration::from_secs(60)).unwrap();
    transfer(id, "/big.bin", 1.0, 4.0, state, begun)
}

#[test]
fn a_client_that_took_a_part_and_left_did_not_only_look_around() {
    let now = Instant::now() + Duration::from_secs(600);
    let left = TransferState::Left(now.checked_sub(Duration::from_secs(20)).unwrap());
    let bob = row_of_one_that_left(now, vec![a_quarter(1, now, left)]);
    for part in ["big.bin", "25%", "left", "20 s"] {
        assert!(bob.contains(part), "{part}: {bob}");
    }
}

#[test]
fn a_client_whose_download_broke_off_and_who_left_looks_so() {
    let now = Instant::now() + Duration::from_secs(600);
    let broke = |id| {
        let at = now.checked_sub(Duration::from_secs(30)).unwrap();
        let why = "the client closed the connection".into();
        a_quarter(id, now, TransferState::Aborted(at, why))
    };
    for (transfers, what) in [
        (vec![broke(1)], "big.bin"),
        (vec![broke(1), broke(2)], "2 files"),
    ] {
        let bob = row_of_one_that_left(now, transfers);
        for part in [what, "25%", "aborted", "left"] {
            assert!(bob.contains(part), "{part}: {bob}");
        }
    }
}

#[test]
fn a_served_directory_that_was_away_is_shown_once_it_is_back() {
    let mut state = serving();
    keys(&mut state, "3");
    draw(&mut state, 80, 24);
    let again = Duration::from_secs(5);
    let unlisted = |state: &mut State| screen(state, 80, 24).contains("cannot list");
    later(&mut state, Duration::from_secs(1));
    assert!(lists(&later(&mut state, again)));
    answer_list(&mut state, path("/"), Err("not found".into()));
    let answer = |state: &mut State, result| {
        let request = serve(state).files.request;
        let path = path("/");
        send(
            state,
            Event::Listed {
                request,
                path,
                result,
            },
        );
    };
    for _ in 0..2 {
        assert!(!lists(&later(&mut state, Duration::from_secs(1))));
        assert!(lists(&later(&mut state, again)));
        // Rows that may be gone do not come up for the time of the question, which is asked once.
        assert!(unlisted(&mut state));
        assert!(!lists(&later(&mut state, again)));
        answer(&mut state, Err("not found".into()));
        assert!(unlisted(&mut state));
    }
    assert!(lists(&later(&mut state, again)));
    answer(&mut state, Ok(entries()));
    assert_eq!(serve(&state).files.load, Load::Idle);
    assert!(!unlisted(&mut state));
    // What is asked for by hand, and the way back, are not undone by an answer that comes late.
    for key in ["r", "h"] {
        keys(&mut state, "r");
        answer(&mut state, Err("not found".into()));
        assert!(lists(&later(&mut state, again)));
        let late = serve(&state).files.request;
        keys(&mut state, key);
        let load = serve(&state).files.load.clone();
        let result = Err("late".into());
        let path = path("/");
        send(
            &mut state,
            Event::Listed {
                request: late,
                path,
                result,
            },
        );
        assert_eq!(serve(&state).files.load, load);
        answer(&mut state, Ok(entries()));
    }
    // Another directory that cannot be listed is nobody's wish but of who asked for it.
    keys(&mut state, "g g Enter");
    answer_list(&mut state, path("/photos/"), Err("not found".into()));
    assert!(unlisted(&mut state));
    assert!(!lists(&later(&mut state, again)));
}
