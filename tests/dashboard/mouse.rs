//! The mouse on hints, headings and scrollbars, and its right button.

use haul::{
    app::{
        Effect, Event, Mouse, Pane, Popup, State, View,
        event::Spot,
        keymap::Action,
        listing::{Listing, SortKey},
    },
    ui::{hit, spot},
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

#[test]
fn a_press_leaves_a_box_as_esc_does() {
    let at = std::time::Instant::now();
    let anywhere = Mouse::Press {
        pane: Pane::Remote,
        row: Some(1),
        at,
    };
    for (opened, side) in [
        ("?", 0),
        ("q", 0),
        ("2 i", 0),
        ("Space M", 0),
        ("x", 1),
        ("Q", 1),
    ] {
        let mut state = if side == 0 { downloading() } else { serving() };
        keys(&mut state, opened);
        assert!(state.popup.is_some(), "{opened}");
        let row = state.focus;
        let effects = send(&mut state, Event::Mouse(anywhere));
        assert!(effects.is_empty(), "{opened}: {effects:?}");
        assert!(state.popup.is_none(), "{opened}");
        assert_eq!(state.focus, row, "the press is not for what is below");
    }
    // What a stray press would refuse stays.
    let mut state = browsing();
    send(
        &mut state,
        Event::Fingerprint(haul::app::event::Fingerprint {
            host: "nas.lan:8888".into(),
            seen: "9F:3A".into(),
            known: None,
        }),
    );
    send(&mut state, Event::Mouse(anywhere));
    assert!(matches!(state.popup, Some(Popup::Trust(_))));
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
    send(
        &mut state,
        Event::Listed {
            path,
            result: Ok(many),
        },
    );
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
