//! Servers that ask the user, and what waits for that.

use super::*;

/// The second of two servers asks the user for a login.
fn asking() -> Schedule {
    let mut schedule = schedule(1, 2);
    let [a, b] = [0, 1].map(SourceId::at);
    schedule.sources.get_mut(a).reach = Reach::Up;
    schedule.sources.get_mut(b).reach = Reach::Asks(login());
    schedule
}

/// A file that the first server has not.
fn elsewhere(name: &str) -> NewItem {
    let task = FileTask {
        tried: SourceSet::of(SourceId::at(0)),
        ..file(name, PIECE)
    };
    NewItem {
        named: vec![task],
        ..NewItem::new(path("/t/"))
    }
}

#[test]
fn a_screen_tells_of_the_server_whose_question_is_waited_for() {
    let now = Instant::now();
    let mut schedule = asking();
    let [a, b] = [0, 1].map(SourceId::at);
    assert_eq!(schedule.kept_sources(), [a, b].into_iter().collect());
    assert_eq!(schedule.login_wanted(), SourceSet::of(b));
    let other = tree(&mut schedule, &[PIECE]);
    assert_eq!(schedule.shown(now), a, "nothing waits for it");
    let paused = schedule.add(NewItem {
        paused: true,
        ..elsewhere("p")
    });
    assert_eq!(schedule.shown(now), a, "it is not to go on");
    let waits = schedule.add(elsewhere("w"));
    assert_eq!(schedule.shown(now), b);
    let state = |id| view(&schedule, id).state;
    assert!(matches!(state(waits), ItemState::Waiting(_)));
    assert_eq!(state(other), ItemState::Queued);
    assert_eq!(state(paused), ItemState::Paused);
    schedule.sources.get_mut(b).reach = Reach::Up;
    assert_eq!(schedule.shown(now), a, "it was answered");
    assert!(schedule.login_wanted().is_empty());
}

#[test]
fn a_file_that_flows_waits_for_the_question_of_the_only_server_that_is_left() {
    let now = Instant::now();
    let mut schedule = asking();
    let [a, b] = [0, 1].map(SourceId::at);
    let [id, other] = [(); 2].map(|()| tree(&mut schedule, &[]));
    let file = put_transfer(&mut schedule, id, 0, false);
    let asker = |schedule: &Schedule, id| {
        let outlook = schedule.sources.outlook(a, now);
        schedule.asker_of(schedule.item(id).unwrap(), &outlook)
    };
    assert_eq!(asker(&schedule, id), None, "the first one has it");
    schedule.transfers.get_mut(&file).unwrap().task.tried = SourceSet::of(a);
    assert_eq!(asker(&schedule, id), Some(b));
    assert_eq!(asker(&schedule, other), None);
    schedule.transfers.get_mut(&file).unwrap().phase = Phase::Landing;
    assert_eq!(asker(&schedule, id), None, "it needs nobody");
}
