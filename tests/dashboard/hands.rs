//! What a key does can be done by the mouse alone, through the hint for help, the wheel and a double click; neither hand needs a large
//! screen.

use std::time::Instant;

use haul::{
    app::{Effect, Event, InBox, Mouse, Pane, State, View, help::Item, keymap::Keymap},
    ui::{in_box, spot},
};
use ratatui::layout::Rect;

use super::states::*;

const SIZES: [(u16, u16); 2] = [(120, 36), (80, 24)];

/// Whether a line of the help is the one of `item`: its keys, blanks, and what they do up to the border or the scrollbar.
fn names(row: &str, item: &Item) -> bool {
    let left = item.left();
    row.match_indices(&*left).any(|(at, _)| {
        let rest = row[at + left.len()..].trim_start();
        rest.strip_prefix(item.right())
            .is_some_and(|rest| rest.trim_start().starts_with(['│', '┃']))
    })
}

fn shown(state: &mut State, size: (u16, u16)) -> String {
    text(&draw(state, size.0, size.1))
}

/// All that may be told apart afterwards: what is asked of the engine, and what the screen shows.
fn outcome(state: &mut State, size: (u16, u16), effects: &[Effect]) -> String {
    format!("{effects:?}\n{}", shown(state, size))
}

/// Opens the help, finds the line of `item` and takes it.
fn by_mouse(state: &mut State, size: (u16, u16), item: &Item) -> Vec<Effect> {
    let area = Rect::new(0, 0, size.0, size.1);
    let text = shown(state, size);
    let last = text.lines().last().unwrap();
    let before = last.find("? help").expect(last);
    let x = last[..before].chars().count() as u16;
    let hint = spot(state, area, x, size.1 - 1).expect("the hint can be pressed");
    send(state, Event::Mouse(Mouse::On(hint)));
    for _ in 0..100 {
        let text = shown(state, size);
        if let Some(y) = text.lines().position(|row| names(row, item)) {
            let on = in_box(state, area, size.0 / 2, y as u16);
            assert!(matches!(on, InBox::Row(_)), "{item:?}: {on:?} in\n{text}");
            let at = Instant::now();
            let once = send(state, Event::Mouse(Mouse::InBox { on, at }));
            assert!(once.is_empty(), "{item:?}: {once:?}");
            return send(state, Event::Mouse(Mouse::InBox { on, at }));
        }
        let (pane, by) = (Pane::Log, 12);
        send(state, Event::Mouse(Mouse::Wheel { pane, by }));
    }
    let text = shown(state, size);
    panic!("{item:?} is not found in the help at {size:?}:\n{text}");
}

/// What a dashboard shows once the size is known to it.
fn fresh(make: fn() -> State, size: (u16, u16), pane: Pane) -> State {
    let mut state = make();
    state.focus = pane;
    shown(&mut state, size);
    state
}

/// Presses the first of the keys of a line.
fn by_key(state: &mut State, keys: &str) -> Vec<Effect> {
    let first = keys.split(' ').next().unwrap();
    // A sequence is written together.
    if first.len() > 1 && first.chars().all(|c| c.is_ascii_lowercase()) {
        let pressed = first.chars().map(String::from);
        return pressed.flat_map(|key| press_named(state, &key)).collect();
    }
    press_named(state, first)
}

fn panes(state: &State) -> [Pane; 3] {
    match &state.view {
        View::Connect(_) => [Pane::Remote, Pane::Transfers, Pane::Log],
        View::Serve(_) => [Pane::Clients, Pane::Files, Pane::Log],
    }
}

fn same_by_both(make: fn() -> State, size: (u16, u16), pane: Pane) {
    let keymap = Keymap::default();
    let current = || fresh(make, size, pane);
    // What all panes share is tried in the first.
    let first = panes(&make())[0];
    let shared = fresh(make, size, first).scopes();
    let scopes = current()
        .scopes()
        .iter()
        .filter(|scope| pane == first || !shared.contains(scope));
    let rows: Vec<_> = scopes.flat_map(|scope| keymap.rows(*scope)).collect();
    assert!(!rows.is_empty() || pane == Pane::Files, "{pane:?}");
    for (binding, keys) in rows {
        let (mut one, mut other) = (current(), current());
        let effects = by_key(&mut one, &keys);
        let one = outcome(&mut one, size, &effects);
        let item = Item::Keys(binding, keys);
        let effects = by_mouse(&mut other, size, &item);
        let other = outcome(&mut other, size, &effects);
        assert!(
            one == other,
            "{pane:?} {size:?} {item:?}: by its key\n{one}\nby the mouse\n{other}"
        );
    }
}

#[test]
fn no_line_of_the_help_is_cut() {
    for make in [downloading as fn() -> State, serving] {
        let mut state = make();
        keys(&mut state, "?");
        for _ in 0..40 {
            let text = shown(&mut state, SIZES[1]);
            // The box lies between the screen's first and last column.
            let inside = |row: &str| row.chars().skip(2).take(76).collect::<String>();
            let cut = text
                .lines()
                .any(|row| inside(row).trim_end().ends_with('…'));
            assert!(!cut, "{text}");
            keys(&mut state, "PgDn");
        }
    }
}

#[test]
fn what_each_key_does_is_done_by_the_mouse_alone_at_both_sizes() {
    for make in [downloading as fn() -> State, serving] {
        for pane in panes(&make()) {
            for size in SIZES {
                same_by_both(make, size, pane);
            }
        }
    }
}
