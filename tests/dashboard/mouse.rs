//! The mouse on hints, headings, scrollbars and boxes, and its right button.

use std::time::Instant;

use haul::{
    app::{
        Effect, Event, InBox, Mouse, Pane, Popup, Spot, State, View,
        effect::Control,
        keymap::Action,
        listing::{Listing, SortKey},
    },
    ui::{hit, in_box, spot},
};
use ratatui::layout::Rect;

use super::states::*;

const AREA: Rect = Rect::new(0, 0, 120, 36);

fn listing(state: &State) -> &Listing {
    match &state.view {
        View::Connect(view) => &view.remote.listing,
        View::Serve(view) => &view.files.listing,
    }
}

/// The cell where a text begins on the screen.
fn find(state: &mut State, wanted: &str) -> (u16, u16) {
    let text = text(&draw(state, 120, 36));
    // From below: hints and headings stand under what else has their words.
    let rows: Vec<_> = text.lines().zip(0u16..).collect();
    let mut rows = rows.into_iter().rev();
    let (at, y) = rows
        .find_map(|(row, y)| Some((row.find(wanted).map(|at| row[..at].chars().count())?, y)))
        .unwrap_or_else(|| panic!("no `{wanted}` in\n{text}"));
    (at as u16, y)
}

fn press(state: &mut State, wanted: &str) -> Vec<Effect> {
    let (x, y) = find(state, wanted);
    let spot = spot(state, AREA, x, y).unwrap_or_else(|| panic!("{wanted}"));
    send(state, Event::Mouse(Mouse::On(spot)))
}

#[test]
fn hints_do_what_they_say() {
    let mut state = browsing();
    let effects = press(&mut state, "d download");
    assert!(matches!(&effects[..], [Effect::Get { .. }]), "{effects:?}");
    press(&mut state, "? help");
    assert!(matches!(state.popup, Some(Popup::Help(_))));
    keys(&mut state, "Esc");
    press(&mut state, ": command");
    assert!(state.prompt.is_some());
    press(&mut state, "cancel");
    assert!(state.prompt.is_none(), "the hints of the line are its own");
    let (x, y) = find(&mut state, "q quit");
    assert_eq!(spot(&state, AREA, x + 5, y), Some(Spot::Hint(Action::Quit)));
    assert_eq!(spot(&state, AREA, 0, y), None);
}

/// A press on a cell while a box is open.
fn press_box(state: &mut State, (x, y): (u16, u16)) -> Vec<Effect> {
    let (on, at) = (in_box(state, AREA, x, y), Instant::now());
    send(state, Event::Mouse(Mouse::InBox { on, at }))
}

#[test]
fn a_press_beside_a_box_leaves_it_as_esc_does() {
    for (opened, side) in [
        ("?", 0),
        ("q", 0),
        ("2 i", 0),
        ("Space M", 0),
        ("'", 0),
        ("x", 1),
        ("Q", 1),
    ] {
        let mut state = if side == 0 { downloading() } else { serving() };
        keys(&mut state, opened);
        assert!(state.popup.is_some(), "{opened}");
        let row = state.focus;
        let effects = press_box(&mut state, (1, 34));
        assert!(effects.is_empty(), "{opened}: {effects:?}");
        assert!(state.popup.is_none(), "{opened}");
        assert_eq!(state.focus, row, "the press is not for what is below");
    }
    // A certificate wants an answer.
    let mut state = unknown_server();
    press_box(&mut state, (1, 34));
    assert!(matches!(state.popup, Some(Popup::Trust(_))));
}

fn unknown_server() -> State {
    let mut state = browsing();
    let seen = haul::app::event::Fingerprint {
        host: "nas.lan:8888".into(),
        seen: "9F:3A".into(),
        known: None,
    };
    send(&mut state, Event::Fingerprint(seen));
    read(&mut state);
    state
}

#[test]
fn questions_are_answered_by_the_mouse() {
    for (answer, leaves) in [("y trust it from now on", false), ("n leave", true)] {
        let mut state = unknown_server();
        let cell = find(&mut state, answer);
        let effects = press_box(&mut state, cell);
        assert!(state.popup.is_none(), "{answer}");
        let left = matches!(effects[..], [Effect::Disconnect]);
        assert_eq!(left, leaves, "{effects:?}");
    }
    let mut state = downloading();
    keys(&mut state, "q");
    let (x, y) = find(&mut state, "y quit");
    assert_eq!(in_box(&state, AREA, x - 1, y), InBox::Beside);
    // The word is as good as the letter, its last cell too.
    let effects = press_box(&mut state, (x + 5, y));
    assert!(matches!(effects[..], [Effect::Quit(_)]), "{effects:?}");
}

#[test]
fn a_row_of_a_box_is_chosen_and_by_a_double_click_taken() {
    let mut state = downloading();
    keys(&mut state, "?");
    let cell = find(&mut state, "show or hide names that begin with a dot");
    press_box(&mut state, cell);
    let Some(Popup::Help(help)) = &state.popup else {
        panic!("one press runs nothing");
    };
    assert!(
        matches!(help.current(), Some(item) if item.right() == "show or hide names that begin with a dot")
    );
    press_box(&mut state, cell);
    assert!(state.popup.is_none());
    assert!(listing(&state).arrangement().hidden);
    // Two presses on two rows are no double click.
    keys(&mut state, "?");
    let cell = find(&mut state, "show or hide names that begin with a dot");
    press_box(&mut state, cell);
    press_box(&mut state, (cell.0, cell.1 - 1));
    assert!(matches!(state.popup, Some(Popup::Help(_))));
}

#[test]
fn what_a_border_names_is_pressed_there() {
    for opened in ["?", "2 i", "Space M", "'", "Ctrl-f"] {
        let mut state = downloading();
        keys(&mut state, opened);
        let cell = find(&mut state, "Esc closes");
        press_box(&mut state, cell);
        assert!(state.popup.is_none(), "{opened}");
    }
    let mut state = downloading();
    keys(&mut state, "Space Space M");
    let cell = find(&mut state, "X all");
    press_box(&mut state, cell);
    assert_eq!(listing(&state).marked().len(), 0);
}

#[test]
fn in_remote_a_key_for_a_transfer_is_for_the_one_of_the_entry_there() {
    let mut state = downloading();
    let View::Connect(view) = &state.view else {
        unreachable!();
    };
    let current = view.item().unwrap().id;
    let of_entries = view.remote.listing.entries().iter();
    let mut of_entries = of_entries.filter_map(|entry| {
        let item = view.item_for(&view.remote.path.join(&entry.name).ok()?)?;
        (!item.state.is_ended() && item.id != current).then(|| (entry.name.clone(), item.id))
    });
    let (name, id) = of_entries
        .next()
        .expect("an entry whose transfer is not the current one");
    while listing(&state).current().unwrap().name[..] != name[..] {
        keys(&mut state, "j");
    }
    let effects = keys(&mut state, "p");
    assert!(
        matches!(effects[..], [Effect::Control(told, Control::Pause | Control::Resume)] if told == id),
        "{effects:?}"
    );
    let name = String::from_utf8(name).unwrap();
    let said = state.notice.unwrap().text;
    assert!(said.contains(&name), "{said}");
}

#[test]
fn headings_sort_and_turn_round() {
    for mut state in [browsing(), serving()] {
        press(&mut state, "SIZE");
        let sort = |state: &State| {
            let a = listing(state).arrangement();
            (a.key, a.descending)
        };
        assert_eq!(sort(&state), (SortKey::Size, false));
        press(&mut state, "SIZE");
        assert_eq!(sort(&state), (SortKey::Size, true));
        press(&mut state, "AGE");
        assert_eq!(sort(&state).0, SortKey::Age);
        press(&mut state, "NAME");
        assert_eq!(sort(&state), (SortKey::Name, false));
    }
}

#[test]
fn a_scrollbar_leads_to_its_place() {
    let mut state = browsing();
    draw(&mut state, 120, 36);
    let (right, top) = (57, 3);
    assert!(matches!(
        spot(&state, AREA, right, top),
        Some(Spot::Scrollbar {
            pane: Pane::Remote,
            at: 0,
            ..
        })
    ));
    let to = |at| {
        Event::Mouse(Mouse::On(Spot::Scrollbar {
            pane: Pane::Remote,
            at,
            of: 20,
        }))
    };
    send(&mut state, to(10));
    assert_eq!(listing(&state).cursor().at(), 0, "all is in sight");
    let many = (0..500)
        .map(|n| entry(format!("f{n:03}"), Some(1), 0))
        .collect();
    keys(&mut state, "r");
    let path = path("/");
    answer_list(&mut state, path, Ok(many));
    for (at, row) in [(19, 499), (0, 0), (10, 262), (100, 499)] {
        send(&mut state, to(at));
        assert_eq!(listing(&state).cursor().at(), row);
    }
}

#[test]
fn the_right_button_marks() {
    let mut state = browsing();
    let (x, y) = find(&mut state, "field-notes.pdf");
    let (pane, row) = hit(&state, AREA, x, y).unwrap();
    let mark = || {
        Event::Mouse(Mouse::Mark {
            pane,
            row: row.unwrap(),
        })
    };
    send(&mut state, mark());
    assert_eq!(listing(&state).marked_count(), 1);
    assert_eq!(listing(&state).current().unwrap().name, b"field-notes.pdf");
    send(&mut state, mark());
    assert_eq!(listing(&state).marked_count(), 0);
}
