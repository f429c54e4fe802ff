//! Items are stopped, go on, are given up and tried again.

use super::*;

#[test]
fn a_pause_halts_what_flows_of_the_item_alone() {
    let mut schedule = schedule(1);
    let [item, other] = [0; 2].map(|_| add_tree(&mut schedule));
    let files = [item, item, other].map(|item| transfer(&mut schedule, item));
    schedule.transfers.get_mut(&files[1]).unwrap().phase = Phase::Landing;
    let phases = |schedule: &Schedule| files.map(|file| schedule.transfers[&file].phase);
    let ring = rung(&mut schedule, |schedule| schedule.pause(item));
    assert_eq!(ring, ALL);
    assert!(
        schedule
            .outbox
            .iter()
            .any(|it| matches!(it, Effect::Changed))
    );
    assert_eq!(
        phases(&schedule),
        [Phase::Halted, Phase::Landing, Phase::Flowing]
    );
    assert!(!schedule.is_going(item) && schedule.is_going(other));
    assert!(rung(&mut schedule, |schedule| schedule.pause(item)).is_empty());
    assert!(rung(&mut schedule, |schedule| schedule.resume(other)).is_empty());
    schedule.sources.get_mut(SourceId::at(0)).reach = Reach::Down(crate::client::Error::Empty);
    assert_eq!(rung(&mut schedule, |schedule| schedule.resume(item)), ALL);
    assert_eq!(
        phases(&schedule),
        [Phase::Flowing, Phase::Landing, Phase::Flowing]
    );
    assert!(schedule.is_going(item));
    let reach = &schedule.sources.get(SourceId::at(0)).reach;
    assert!(matches!(reach, Reach::Unknown), "it is tried again");
}

#[test]
fn only_connections_that_read_something_of_the_item_let_go_of_it() {
    let mut schedule = schedule(1);
    let [item, other] = [0; 2].map(|_| add_tree(&mut schedule));
    let files = [item, other].map(|item| transfer(&mut schedule, item));
    let open = |item| Work::Open(file(item, "/a", None));
    let list = |item| Work::List(DirTask::new(item, path("/t/")));
    put_run(&mut schedule, 0, files[0]);
    put_run(&mut schedule, 1, files[1]);
    put(&mut schedule, 2, Work::Values(files[0]));
    put(&mut schedule, 3, Work::Spent);
    put(&mut schedule, 3, open(item));
    schedule.interrupt_item(item);
    assert_eq!(interrupted(&mut schedule), [0, 2]);
    for slot in ALL {
        schedule.slots[slot].flight.clear();
    }
    for (slot, work) in [open(item), open(other), list(item), list(other)]
        .into_iter()
        .enumerate()
    {
        put(&mut schedule, slot, work);
    }
    schedule.interrupt_item(item);
    assert_eq!(interrupted(&mut schedule), [0, 2]);
}

#[test]
fn what_is_here_of_a_cancelled_item_stays_for_a_retry() {
    let mut schedule = schedule(1);
    let id = add_kept(&mut schedule, 1);
    let files = [0; 2].map(|_| transfer(&mut schedule, id));
    schedule
        .transfers
        .get_mut(&files[0])
        .unwrap()
        .plan
        .add_done(2);
    schedule.transfers.get_mut(&files[1]).unwrap().phase = Phase::Landing;
    assert_eq!(rung(&mut schedule, |schedule| schedule.cancel(id)), ALL);
    let kept = schedule.outbox.iter().find_map(|effect| match effect {
        Effect::LetGo(file, keep) => Some((*file, keep.clone())),
        _ => None,
    });
    assert_eq!(
        kept,
        Some((files[0], Keep::Pieces(std::iter::once(2..3).collect())))
    );
    assert!(!schedule.transfers.contains_key(&files[0]));
    let item = schedule.item(id).unwrap();
    assert!(
        item.is_cancelled() && !item.has_ended(),
        "one of its files is landing"
    );
    assert_eq!(item.failed_files.len(), 2);
    assert_eq!(item.failed_files[1].kept, MIB);
    schedule.transfers.clear();
    schedule.end_item(id);
    assert_eq!(
        schedule.item(id).unwrap().life,
        Life::Ended(ItemState::Cancelled)
    );
    // Nothing is left to be cancelled, or to be tried by an item that goes on.
    assert!(rung(&mut schedule, |schedule| schedule.cancel(id)).is_empty());
}

#[test]
fn only_what_failed_or_was_cancelled_is_tried_again() {
    let mut schedule = schedule(1);
    let id = add_kept(&mut schedule, 1);
    assert!(rung(&mut schedule, |schedule| schedule.retry(id)).is_empty());
    schedule.cancel(id);
    assert_eq!(rung(&mut schedule, |schedule| schedule.retry(id)), ALL);
    // The journal had let go of it.
    let wanted = schedule
        .outbox
        .iter()
        .filter(|it| matches!(it, Effect::Want(of, _) if *of == id));
    assert_eq!(wanted.count(), 1);
    assert!(schedule.is_going(id) && schedule.item(id).unwrap().known() == 1);
    schedule.wanted_again(id, ticket(2));
    fail(&mut schedule, id);
    schedule.sources.get_mut(SourceId::at(0)).reach = Reach::Down(crate::client::Error::Empty);
    assert_eq!(rung(&mut schedule, |schedule| schedule.retry(id)), ALL);
    assert!(
        !schedule
            .outbox
            .iter()
            .any(|it| matches!(it, Effect::Want(..)))
    );
    assert!(matches!(
        schedule.sources.get(SourceId::at(0)).reach,
        Reach::Unknown
    ));
    let item = schedule.item_mut(id).unwrap();
    (item.finished, item.life) = (1, Life::Ended(item.final_state()));
    assert!(rung(&mut schedule, |schedule| schedule.retry(id)).is_empty());
}

#[test]
fn a_retry_that_lists_anew_forgets_what_waits_on_disk() {
    for forgetful in [false, true] {
        let mut schedule = schedule(1);
        let id = add_tree(&mut schedule);
        let item = schedule.item_mut(id).unwrap();
        item.dirs[0].rest = Some(RestId(9));
        item.forgetful = forgetful;
        fail(&mut schedule, id);
        schedule.outbox.clear();
        schedule.retry(id);
        let drops = |it: &Effect| matches!(it, Effect::DropRest(RestId(9)));
        assert_eq!(schedule.outbox.iter().any(drops), forgetful);
        let dir = &schedule.item(id).unwrap().dirs[0];
        assert_eq!(dir.rest.is_none(), forgetful);
    }
}
