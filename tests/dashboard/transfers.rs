//! Keys that are for one transfer: which one.

use haul::{
    app::{Effect, Sample, State, effect::Control},
    client::{ItemId, ItemState, Snapshot, Verified},
};

use super::states::*;

/// A client that fetches `notes.md`, and whatever became of `manual.pdf`, where the cursor stands in Remote.
fn beside(state: ItemState) -> State {
    let mut it = browsing();
    let items = vec![
        item(1, "/notes.md", 5, 100, ItemState::Active),
        item(2, "/manual.pdf", 5, 100, state),
    ];
    let now = it.now.unwrap();
    let snapshot = Snapshot {
        items,
        ..Snapshot::default()
    };
    tick(&mut it, now, wall(), Sample::Client(snapshot));
    keys(&mut it, "/ m a n u a l . p Enter");
    it
}

fn controls(effects: &[Effect]) -> Vec<(u64, Control)> {
    let controls = effects.iter().filter_map(|effect| match effect {
        Effect::Control(ItemId(id), control) => Some((*id, *control)),
        _ => None,
    });
    controls.collect()
}

#[test]
fn a_key_in_remote_is_for_the_transfer_of_the_entry_there_though_a_filter_hides_it() {
    for (key, control) in [
        ("p", Control::Pause),
        ("x", Control::Cancel),
        ("F", Control::First(true)),
        (
            "R 2 M Enter",
            Control::Limit(Some(haul::units::Rate(2 << 20))),
        ),
    ] {
        let mut state = beside(ItemState::Active);
        keys(&mut state, "2 / n o t e s Enter 1");
        let effects = keys(&mut state, key);
        assert_eq!(controls(&effects), [(2, control)], "{key}");
        if key != "F" {
            assert!(
                notice(&state).contains("manual.pdf"),
                "{key}: {}",
                notice(&state)
            );
        }
    }
    let mut state = beside(ItemState::Failed("gone".into()));
    keys(&mut state, "2 / n o t e s Enter 1");
    assert_eq!(controls(&keys(&mut state, "e")), [(2, Control::Retry)]);
    // A line that was left is for none.
    let mut state = beside(ItemState::Active);
    keys(&mut state, "2 / n o t e s Enter 1 R Esc");
    let effects = keys(&mut state, ": l i m i t Space t h i s Space o f f Enter");
    assert_eq!(controls(&effects), [(1, Control::Limit(None))]);
}

#[test]
fn a_key_in_remote_touches_no_other_transfer_than_that_of_the_entry() {
    for key in ["p", "x", "e", "F", "R"] {
        let mut state = beside(ItemState::Finished(Verified::Blake3));
        assert!(keys(&mut state, key).is_empty(), "{key}");
        assert!(state.prompt.is_none());
        assert!(
            notice(&state).contains(": manual.pdf has "),
            "{key}: {}",
            notice(&state)
        );
    }
    // Where the entry has none, the current one is meant.
    let mut state = beside(ItemState::Active);
    keys(&mut state, "Esc / r e a d m e Enter");
    assert_eq!(controls(&keys(&mut state, "x")), [(1, Control::Cancel)]);
}
