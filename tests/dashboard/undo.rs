//! Taking back what was done to the queue.

use std::time::Duration;

use haul::{
    app::{Effect, State, View, effect::Control},
    client::{self, ItemId, ItemState, ItemView, Link},
};

use super::states::*;

fn ids(state: &State) -> Vec<u64> {
    let View::Connect(view) = &state.view else {
        panic!("a client")
    };
    let items = view.snapshot.items.iter();
    items.map(|item| item.id.0).collect()
}

fn later(state: &mut State, items: Vec<ItemView>) -> Vec<Effect> {
    let now = state.now.unwrap() + Duration::from_secs(1);
    let snapshot = client::Snapshot {
        items,
        link: Link::Up,
        ..client::Snapshot::default()
    };
    tick(state, now, wall(), haul::app::Sample::Client(snapshot))
}

fn retried(effects: &[Effect]) -> Vec<u64> {
    let retried = effects.iter().filter_map(|effect| match effect {
        Effect::Control(ItemId(id), Control::Retry) => Some(*id),
        _ => None,
    });
    retried.collect()
}

#[test]
fn a_cancel_is_taken_back_however_soon() {
    let mut state = downloading();
    draw(&mut state, 120, 36);
    assert!(keys(&mut state, "u").is_empty() && state.notice.as_ref().unwrap().bad);
    let effects = keys(&mut state, "x");
    assert!(matches!(
        effects[..],
        [Effect::Control(ItemId(1), Control::Cancel)]
    ));
    assert_eq!(retried(&keys(&mut state, "u")), [1]);
    // The cancel was still under way then: it is tried again once it is through.
    let mut cancelled = items();
    cancelled[0].state = ItemState::Cancelled;
    assert_eq!(retried(&later(&mut state, cancelled)), [1]);
    for _ in 0..6 {
        later(&mut state, items());
    }
    let mut cancelled = items();
    cancelled[0].state = ItemState::Cancelled;
    assert!(
        retried(&later(&mut state, cancelled)).is_empty(),
        "another cancel stays one"
    );
    keys(&mut state, ": c a n c e l Space a l l Enter");
    assert_eq!(retried(&keys(&mut state, "u")), [2, 3, 4]);
}

#[test]
fn what_was_cleared_last_is_brought_back() {
    let mut state = downloading();
    draw(&mut state, 120, 36);
    let effects = keys(&mut state, "c");
    assert!(matches!(&effects[..], [Effect::Hide(ids)] if *ids == [ItemId(5), ItemId(6)]));
    assert_eq!(ids(&state), [1, 2, 3, 4]);
    later(&mut state, items());
    assert_eq!(ids(&state), [1, 2, 3, 4], "it stays away");
    assert!(!text(&draw(&mut state, 120, 36)).contains("1 failed"));
    let effects = keys(&mut state, "u");
    assert!(matches!(&effects[..], [Effect::Show(ids)] if *ids == [ItemId(5), ItemId(6)]));
    later(&mut state, items());
    assert_eq!(ids(&state), [1, 2, 3, 4, 5, 6]);
    // A clear is final with the next one.
    keys(&mut state, "c");
    let mut more = items();
    more[0].state = ItemState::Cancelled;
    later(&mut state, more.clone());
    keys(&mut state, "c u");
    later(&mut state, more);
    assert_eq!(ids(&state), [1, 2, 3, 4]);
    assert!(keys(&mut state, "u").is_empty());
}
