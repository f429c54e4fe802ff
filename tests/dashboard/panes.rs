//! What belongs to one pane stays there, and what a key promises it keeps.

use haul::{
    app::{
        Effect, Event, Mouse, Pane, Sample, Server, State, View, effect::Control, listing::SortKey,
    },
    client::{ItemId, ItemState, Link, Snapshot, Want},
};

use super::states::*;

fn press(state: &mut State, pane: Pane) {
    let at = state.now.unwrap();
    let row = Some(0);
    send(state, Event::Mouse(Mouse::Press { pane, row, at }));
}

#[test]
fn a_filter_that_is_typed_is_of_the_pane_it_was_begun_in() {
    let mut state = downloading();
    draw(&mut state, 120, 36);
    keys(&mut state, "/ f i l");
    press(&mut state, Pane::Transfers);
    keys(&mut state, "e");
    assert_eq!(client(&state).remote.listing.arrangement().filter, "file");
    assert_eq!(client(&state).filter, "");
    keys(&mut state, "Esc");
    assert_eq!(client(&state).remote.listing.arrangement().filter, "");
    keys(&mut state, "/ x");
    assert_eq!(client(&state).filter, "x", "the focus has moved");
}

#[test]
fn the_filter_of_transfers_goes_with_their_server() {
    let mut state = downloading();
    keys(&mut state, "2 / d e b i a n Enter");
    let server = Server {
        url: "http://other/".parse().unwrap(),
        named: None,
    };
    send(&mut state, Event::Connected(server));
    assert_eq!(client(&state).filter, "");
}

#[test]
fn only_what_has_an_order_is_sorted() {
    for pane in ["2", "4"] {
        for key in ["s", "S"] {
            let mut state = downloading();
            draw(&mut state, 120, 36);
            let before = client(&state).remote.listing.arrangement().clone();
            keys(&mut state, pane);
            assert!(keys(&mut state, key).is_empty());
            assert_eq!(*client(&state).remote.listing.arrangement(), before);
            let notice = state.notice.as_ref().unwrap();
            assert!(
                notice.bad && notice.text.contains("order"),
                "{}",
                notice.text
            );
        }
    }
    let mut state = serving();
    keys(&mut state, "4 s");
    let View::Serve(view) = &state.view else {
        panic!("a server")
    };
    assert_eq!(view.files.listing.arrangement().key, SortKey::Name);
}

#[test]
fn clients_are_exported_as_they_are_shown() {
    let mut state = serving();
    draw(&mut state, 120, 36);
    keys(&mut state, "Enter s");
    keys(&mut state, "/ 1 0 . 8 Enter");
    let effects = keys(&mut state, ": e x p o r t Space c Enter");
    let text = effects.iter().find_map(|effect| match effect {
        Effect::Export { text, .. } => Some(text.clone()),
        _ => None,
    });
    let text = text.unwrap();
    let exported: Vec<_> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').nth(2))
        .collect();
    let View::Serve(view) = &state.view else {
        panic!("a server")
    };
    let shown = view.rows.iter().filter(|row| row.path().is_none());
    let agents = shown.filter_map(|row| {
        let mut clients = view.snapshot.clients.iter();
        clients
            .find(|client| client.id == row.client)?
            .agent
            .as_deref()
    });
    assert_eq!(exported, agents.collect::<Vec<_>>());
    assert_eq!(exported.len(), 2, "{text}");
}

#[test]
fn the_wheel_extends_a_range_as_keys_do() {
    let mut state = browsing();
    draw(&mut state, 80, 24);
    keys(&mut state, "v");
    let pane = Pane::Remote;
    send(&mut state, Event::Mouse(Mouse::Wheel { pane, by: 3 }));
    keys(&mut state, "j");
    let listing = &client(&state).remote.listing;
    assert_eq!(listing.marked_count(), listing.cursor().at() + 1);
}

#[test]
fn patterns_are_below_a_directory_whose_name_is_no_text() {
    let mut state = browsing();
    let mut dir = path("/");
    dir.push(b"a\xff").unwrap();
    answer_list(&mut state, path("/"), Ok(entries()));
    keys(&mut state, "r");
    answer_list(
        &mut state,
        path("/"),
        Ok(vec![entry(&b"a\xff"[..], None, 1)]),
    );
    keys(&mut state, "Enter");
    answer_list(&mut state, dir.into_dir(), Ok(vec![entry("x", Some(1), 1)]));
    let effects = keys(&mut state, ": g e t Space * Enter");
    let get = effects.iter().find_map(|effect| match effect {
        Effect::Get { wants, .. } => match &wants[..] {
            [Want::Patterns { get, .. }] => Some(get.clone()),
            _ => None,
        },
        _ => None,
    });
    let pattern = format!("{}/*", haul::client::literal(b"a\xff"));
    assert_eq!(get.unwrap(), [pattern]);
}

#[test]
fn the_key_for_all_goes_on_with_all_as_was_promised() {
    let mut state = browsing();
    let server = Server {
        url: "http://nas.lan:8888/".parse().unwrap(),
        named: None,
    };
    send(&mut state, Event::Connected(server));
    let mut items = vec![item(1, "/notes.md", 5, 100, ItemState::Paused)];
    for _ in 0..2 {
        let now = state.now.unwrap();
        let snapshot = Snapshot {
            items: items.clone(),
            link: Link::Up,
            ..Snapshot::default()
        };
        tick(&mut state, now, wall(), Sample::Client(snapshot));
        items.push(item(2, "/manual.pdf", 5, 100, ItemState::Active));
    }
    assert!(notice(&state).contains("P goes on with all"));
    let told = |effects: &[Effect]| match effects {
        [Effect::Control(ItemId(id), control)] => (*id, *control),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&keys(&mut state, "P")), (1, Control::Resume));
    assert_eq!(told(&keys(&mut state, "P")), (2, Control::Pause));
}
