//! Figures are true: over any session of either side, no percentage of one job falls, no total is shown that is not
//! known, no average is above the peak, parts sum to the whole, and no two panes contradict each other.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use haul::{
    app::{
        Sample, State, View,
        serve::{RowKind, Standing},
        title,
    },
    client::{self, FilesView, ItemId, ItemState, ItemView, Link, Verified},
    server::{self, TransferId, TransferState},
};
use proptest::prelude::*;

use super::states::*;

/// Something that happens between two looks.
#[derive(Debug, Clone)]
enum Step {
    /// Bytes come for an item; the amount in KiB.
    Flow(usize, u16),
    /// A bad piece is taken back.
    TakeBack(usize),
    /// A tree finds more.
    Find(usize, u16),
    Listed(usize),
    State(usize, u8),
    Add(bool, u16),
    Clear,
    /// So many milliseconds go by.
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0usize..6;
    prop_oneof![
        8 => (at.clone(), any::<u16>()).prop_map(|(i, n)| Step::Flow(i, n)),
        1 => at.clone().prop_map(Step::TakeBack),
        2 => (at.clone(), 1u16..5000).prop_map(|(i, n)| Step::Find(i, n)),
        1 => at.clone().prop_map(Step::Listed),
        2 => (at, 0u8..6).prop_map(|(i, s)| Step::State(i, s)),
        1 => (any::<bool>(), any::<u16>()).prop_map(|(tree, n)| Step::Add(tree, n)),
        1 => Just(Step::Clear),
        6 => (1u16..1500).prop_map(Step::Wait),
    ]
}

/// A client's queue, as an engine could have it.
#[derive(Default)]
struct Queue {
    items: Vec<ItemView>,
    received: u64,
    next: u64,
}

impl Queue {
    fn add(&mut self, tree: bool, kib: u16) {
        self.next += 1;
        let total = (u64::from(kib) + 1) * KIB;
        let mut item = item(
            self.next,
            &format!("/{}", self.next),
            0,
            total,
            ItemState::Active,
        );
        if tree {
            item.files = Some(FilesView {
                done: 0,
                failed: 0,
                unread: 0,
                found: 1,
                listed: false,
            });
        }
        self.items.push(item);
    }

    fn apply(&mut self, step: &Step) {
        let len = self.items.len();
        let at = |i: usize| if len == 0 { None } else { Some(i % len) };
        match step {
            Step::Flow(i, kib) => {
                if let Some(item) = at(*i).map(|i| &mut self.items[i])
                    && item.state == ItemState::Active
                {
                    let bytes = (u64::from(*kib) * 16).min(item.total.unwrap() - item.done);
                    item.done += bytes;
                    self.received += bytes;
                }
            }
            Step::TakeBack(i) => {
                if let Some(item) = at(*i).map(|i| &mut self.items[i])
                    && !item.state.is_ended()
                {
                    item.done = item.done.saturating_sub(MIB);
                }
            }
            Step::Find(i, kib) => {
                if let Some(item) = at(*i).map(|i| &mut self.items[i])
                    && item.files.is_some_and(|files| !files.listed)
                {
                    item.total = item.total.map(|total| total + u64::from(*kib) * KIB);
                }
            }
            Step::Listed(i) => {
                if let Some(files) = at(*i).and_then(|i| self.items[i].files.as_mut()) {
                    files.listed = true;
                }
            }
            Step::State(i, state) => {
                let Some(item) = at(*i).map(|i| &mut self.items[i]) else {
                    return;
                };
                // What has landed stays so.
                if matches!(item.state, ItemState::Finished(_)) {
                    return;
                }
                item.state = match state {
                    0 | 1 => ItemState::Active,
                    2 => ItemState::Paused,
                    3 if item.files.is_none_or(|files| files.listed) => {
                        item.done = item.total.unwrap();
                        ItemState::Finished(Verified::Blake3)
                    }
                    // What was under way of pieces is not kept.
                    4 => {
                        item.done = item.done.saturating_sub(MIB);
                        ItemState::Failed("why".into())
                    }
                    _ => {
                        item.done = item.done.saturating_sub(MIB);
                        ItemState::Cancelled
                    }
                };
            }
            Step::Add(tree, kib) => self.add(*tree, *kib),
            Step::Clear => self.items.retain(|item| !item.state.is_ended()),
            Step::Wait(_) => {}
        }
    }
}

fn rates_agree(state: &State) -> Result<(), TestCaseError> {
    let rates = &state.throughput;
    prop_assert!(
        rates.average() <= rates.peak(),
        "{} {}",
        rates.average(),
        rates.peak()
    );
    prop_assert!(
        rates.now() <= rates.peak(),
        "{} {}",
        rates.now(),
        rates.peak()
    );
    Ok(())
}

/// What has been said, by what it was said of.
#[derive(Default)]
struct Said {
    items: HashMap<(ItemId, u64), u8>,
    whole: Option<(Vec<ItemId>, u64, u8)>,
}

fn client_is_true(state: &State, said: &mut Said) -> Result<(), TestCaseError> {
    let View::Connect(view) = &state.view else {
        return Ok(());
    };
    let whole = view.whole();
    let (mut sum, mut slowest) = (0, Duration::ZERO);
    let mut running = Vec::new();
    for item in &view.snapshot.items {
        let figures = view.figures(item);
        let known = item.files.is_none_or(|files| files.listed);
        prop_assert_eq!(figures.total.is_some(), known);
        prop_assert!(
            known || figures.percent.is_none(),
            "a percentage of what is not listed yet"
        );
        prop_assert!(figures.left.is_none() || known);
        if let (Some(percent), Some(total)) = (figures.percent, figures.total) {
            let before = said.items.insert((item.id, total), percent).unwrap_or(0);
            let landed = matches!(item.state, ItemState::Finished(_));
            if matches!(item.state, ItemState::Failed(_) | ItemState::Cancelled) {
                // The job is over: what is told is what is kept.
                if percent < before {
                    // So is the whole's, of which it was a part.
                    said.whole = None;
                }
                let kept = (item.done * 100).checked_div(total).unwrap_or(0).min(99);
                prop_assert_eq!(u64::from(percent), kept);
                continue;
            }
            prop_assert!(percent >= before, "{before} % became {percent} %");
            prop_assert!(percent < 100 || landed);
        }
        if !item.state.is_ended() {
            sum += item.done;
            running.push(item.id);
            slowest = slowest.max(figures.left.unwrap_or_default());
        }
        if figures.stalled.is_some() {
            prop_assert_eq!((figures.rate, figures.left), (0, None));
        }
    }
    prop_assert!(whole.done >= sum, "what runs is part of the whole");
    if running.is_empty() {
        prop_assert_eq!(whole.left.filter(|left| !left.is_zero()), None);
    }
    // The clock's second of what is shown; the figures are renewed together.
    if let Some(left) = whole.left {
        prop_assert!(
            left >= slowest,
            "{left:?} for all, {slowest:?} for one of it"
        );
        if let [one] = running[..] {
            let item = view
                .snapshot
                .items
                .iter()
                .find(|item| item.id == one)
                .unwrap();
            if let Some(row) = view.figures(item).left {
                let apart = left.abs_diff(row);
                prop_assert!(
                    apart < Duration::from_millis(10),
                    "{left:?} and {row:?} for one and the same"
                );
            }
        }
    }
    if let (Some(percent), Some(total)) = (whole.percent, whole.total) {
        prop_assert!(whole.done <= total);
        let ids: Vec<_> = view.snapshot.items.iter().map(|item| item.id).collect();
        if let Some((then, of, before)) = &said.whole
            && *then == ids
            && *of == total
        {
            let all = view
                .snapshot
                .items
                .iter()
                .all(|item| matches!(item.state, ItemState::Finished(_)));
            prop_assert!(
                percent >= *before || all || *before == 100,
                "Σ {before} % became {percent} %"
            );
        }
        said.whole = Some((ids, total, percent));
    } else {
        said.whole = None;
    }
    // The title and the status say what the pane says.
    let title = title::percent(state);
    prop_assert!(title.is_none() || title == whole.percent);
    Ok(())
}

/// Looks of a server at one client: files that are large, and small ones that come and go.
fn server_is_true(state: &State, said: &mut HashMap<TransferId, u8>) -> Result<(), TestCaseError> {
    let View::Serve(view) = &state.view else {
        return Ok(());
    };
    for row in &view.rows {
        let client = view
            .snapshot
            .clients
            .iter()
            .find(|c| c.id == row.client)
            .unwrap();
        let running: Vec<_> = client
            .transfers
            .iter()
            .filter(|t| t.state == TransferState::Active)
            .collect();
        match &row.kind {
            RowKind::Client { .. } => {
                let percent = row.figures.percent();
                match (running.as_slice(), row.figures.standing) {
                    ([one], Standing::Active | Standing::Stalled(_)) => {
                        prop_assert_eq!(row.figures.total, Some(one.total));
                        let before = said.insert(one.id, percent.unwrap()).unwrap_or(0);
                        prop_assert!(percent.unwrap() >= before);
                    }
                    ([], Standing::Active) | ([_, _, ..], _) => {
                        prop_assert_eq!(percent, None, "what else is wanted is not known");
                    }
                    _ => {}
                }
                let done = row.figures.standing == Standing::Done;
                prop_assert!(percent != Some(100) || done);
                prop_assert!(!done || running.is_empty());
            }
            RowKind::File { .. } => {
                prop_assert!(row.figures.done <= row.figures.total.unwrap());
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_clients_figures_are_true(steps in prop::collection::vec(step(), 1..120)) {
        let (mut state, mut queue, mut said) = (browsing(), Queue::default(), Said::default());
        queue.received = 41 * GIB;
        let mut now = state.now.unwrap();
        queue.add(true, 3000);
        queue.add(false, 9000);
        for step in &steps {
            queue.apply(step);
            if let Step::Wait(ms) = step {
                now += Duration::from_millis(u64::from(*ms));
            }
            let snapshot = client::Snapshot {
                items: queue.items.clone(),
                received: queue.received,
                link: Link::Up,
                ..client::Snapshot::default()
            };
            tick(&mut state, now, wall(), Sample::Client(snapshot));
            rates_agree(&state)?;
            client_is_true(&state, &mut said)?;
        }
    }

    #[test]
    fn a_servers_figures_are_true(
        steps in prop::collection::vec((0u8..6, 1u16..2000, 1u16..900), 1..120),
    ) {
        let mut state = State::serve(serve_facts(), looks());
        let start = Instant::now();
        let (mut now, mut next, mut said) = (start, 0, HashMap::new());
        let mut one = someone(1, Some("ada"), "10.0.0.7", "haul/0.1", Vec::new());
        one.connections = 2;
        for (what, kib, ms) in steps {
            let bytes = u64::from(kib) * KIB;
            match what {
                // A large file begins.
                0 => {
                    next += 1;
                    one.transfers.insert(0, transfer(next, "/large", 0.0, 0.002, TransferState::Active, start));
                }
                // A small one was sent whole.
                1 | 2 => {
                    next += 1;
                    one.sent += bytes;
                    one.files += 1;
                    let mut small = transfer(next, "/small", 0.0, 0.0, TransferState::Done(now), start);
                    (small.done, small.total) = (bytes, bytes);
                    one.transfers.push(small);
                }
                _ => {
                    if let Some(file) = one.transfers.iter_mut().find(|t| t.state == TransferState::Active) {
                        let bytes = bytes.min(file.total - file.done);
                        file.done += bytes;
                        one.sent += bytes;
                        if file.done == file.total {
                            file.state = TransferState::Done(now);
                            one.files += 1;
                        }
                    }
                }
            }
            now += Duration::from_millis(u64::from(ms));
            let snapshot = server::Snapshot {
                sent: one.sent,
                clients: vec![one.clone()],
                ..server::Snapshot::default()
            };
            tick(&mut state, now, wall(), Sample::Server(snapshot));
            rates_agree(&state)?;
            server_is_true(&state, &mut said)?;
        }
    }
}

#[test]
fn a_client_of_small_files_is_active_and_not_done() {
    let mut state = State::serve(serve_facts(), looks());
    let start = Instant::now();
    let mut one = someone(1, Some("ada"), "10.0.0.7", "haul/0.1", Vec::new());
    one.connections = 2;
    for tenth in 0..30u64 {
        let now = start + Duration::from_millis(tenth * 100);
        one.sent += 200 * KIB;
        one.files += 1;
        one.transfers = vec![transfer(
            tenth,
            "/small",
            0.0002,
            0.0002,
            TransferState::Done(now),
            start,
        )];
        let snapshot = server::Snapshot {
            sent: one.sent,
            clients: vec![one.clone()],
            ..server::Snapshot::default()
        };
        tick(&mut state, now, wall(), Sample::Server(snapshot));
    }
    let screen = text(&draw(&mut state, 120, 36));
    assert!(
        screen.contains("took 30 files") && screen.contains("1.95 MiB/s"),
        "{screen}"
    );
    assert!(
        screen.contains("1 active") && !screen.contains("100%"),
        "{screen}"
    );
}

#[test]
fn whoever_left_looks_so_and_is_not_counted() {
    let mut state = State::serve(serve_facts(), looks());
    let now = Instant::now() + Duration::from_secs(600);
    let mut here = someone(1, Some("ada"), "10.0.0.7", "haul/0.1", Vec::new());
    here.connections = 1;
    let mut gone = someone(2, Some("bob"), "10.0.0.8", "curl/8.5", Vec::new());
    gone.left = now.checked_sub(Duration::from_secs(190));
    gone.files = 3;
    let snapshot = server::Snapshot {
        clients: vec![gone, here],
        ..server::Snapshot::default()
    };
    tick(&mut state, now, wall(), Sample::Server(snapshot));
    let screen = text(&draw(&mut state, 120, 36));
    assert!(screen.contains("1 client "), "{screen}");
    let row = |name: &str| screen.lines().position(|line| line.contains(name)).unwrap();
    assert!(row("ada") < row("bob"), "{screen}");
    let bob = screen.lines().nth(row("bob")).unwrap();
    assert!(
        bob.contains("left") && bob.contains("3 m") && bob.contains("took 3 files"),
        "{bob}"
    );
}

#[test]
fn a_ban_names_whom_else_it_cuts_off_and_is_lifted_by_name() {
    let mut state = State::serve(serve_facts(), looks());
    let twin = |id| {
        let mut client = someone(id, Some("alice"), "10.0.0.7", "haul/0.1", Vec::new());
        client.connections = 1;
        client
    };
    let mut snapshot = server::Snapshot {
        clients: vec![twin(3), twin(12)],
        ..server::Snapshot::default()
    };
    tick(
        &mut state,
        Instant::now(),
        wall(),
        Sample::Server(snapshot.clone()),
    );
    let screen = text(&draw(&mut state, 120, 36));
    assert!(
        screen.contains("alice #3") && screen.contains("alice #12"),
        "what commands take stands there: {screen}"
    );
    keys(&mut state, "b");
    let asked = text(&draw(&mut state, 120, 36));
    assert!(
        asked.contains("everything from 10.0.0.7, alice too"),
        "{asked}"
    );
    keys(&mut state, "y");
    assert!(notice(&state).contains(":unban 10.0.0.7"));
    snapshot.banned.push(server::Ban {
        who: "10.0.0.7".into(),
        reason: String::new(),
    });
    tick(&mut state, Instant::now(), wall(), Sample::Server(snapshot));
    let effects = keys(&mut state, ": u n b a n Space a l i c e Enter");
    assert!(
        format!("{effects:?}").contains("Unban(\"10.0.0.7\")"),
        "{effects:?}"
    );
}

#[test]
fn kicked_is_no_abort_and_a_pause_by_the_server_no_stall() {
    let mut state = State::serve(serve_facts(), looks());
    let now = Instant::now() + Duration::from_secs(60);
    let cut = TransferState::Aborted(now, "the client went away".into());
    let file = transfer(1, "/a.iso", 1.0, 2.0, cut, now);
    let mut one = someone(1, Some("ada"), "10.0.0.7", "haul/0.1", vec![file]);
    let then = now.checked_sub(Duration::from_millis(20)).unwrap();
    one.refused = Some(("kicked: too greedy".into(), then));
    let snapshot = server::Snapshot {
        clients: vec![one],
        ..server::Snapshot::default()
    };
    tick(&mut state, now, wall(), Sample::Server(snapshot));
    keys(&mut state, "Enter");
    let screen = text(&draw(&mut state, 120, 36));
    assert!(
        screen.contains("kicked: too greedy") && !screen.contains("aborted"),
        "{screen}"
    );

    let mut state = downloading();
    for link in [
        Link::Paused,
        Link::Kicked {
            reason: "x".into(),
            until: now + Duration::from_secs(50),
        },
    ] {
        for seconds in 0..8 {
            let snapshot = client::Snapshot {
                items: items(),
                link: link.clone(),
                ..client::Snapshot::default()
            };
            tick(
                &mut state,
                now + Duration::from_secs(seconds),
                wall(),
                Sample::Client(snapshot),
            );
        }
        let screen = text(&draw(&mut state, 120, 36));
        assert!(!screen.contains("stalled"), "{screen}");
    }
}

/// What the whole says, in percent, once these are the items.
fn whole(state: &mut State, items: Vec<ItemView>) -> Option<u8> {
    let now = state.now.unwrap() + Duration::from_millis(100);
    let snapshot = client::Snapshot {
        items,
        link: Link::Up,
        ..client::Snapshot::default()
    };
    tick(state, now, wall(), Sample::Client(snapshot));
    client(state).whole().percent
}

#[test]
fn a_job_as_large_as_the_last_one_begins_anew() {
    let mut state = browsing();
    let sample = whole;
    let landed = || ItemState::Finished(Verified::Blake3);
    let first = || item(1, "/a", 100, 100, landed());
    let active = item(1, "/a", 50, 100, ItemState::Active);
    assert_eq!(sample(&mut state, vec![active]), Some(50));
    assert_eq!(sample(&mut state, vec![first()]), Some(100));
    let second = item(2, "/b", 10, 100, ItemState::Active);
    assert_eq!(sample(&mut state, vec![first(), second]), Some(10));
}

#[test]
fn what_was_cleared_and_brought_back_is_no_part_of_a_job_that_it_was_none_of() {
    let first = || item(1, "/a", 100, 100, ItemState::Finished(Verified::Blake3));
    let active = |id, done| item(id, "/b", done, 100, ItemState::Active);
    for cleared_before in [false, true] {
        let mut state = browsing();
        whole(&mut state, vec![active(1, 50)]);
        whole(&mut state, vec![first()]);
        if cleared_before {
            keys(&mut state, "c");
            whole(&mut state, vec![first()]);
        }
        assert_eq!(whole(&mut state, vec![first(), active(2, 50)]), Some(50));
        if !cleared_before {
            keys(&mut state, "c");
            whole(&mut state, vec![first(), active(2, 50)]);
        }
        keys(&mut state, "u");
        let after = whole(&mut state, vec![first(), active(2, 50)]);
        assert_eq!(after, Some(50), "{cleared_before}");
    }
}

#[test]
fn the_whole_falls_with_what_failed_and_is_not_kept() {
    let mut state = browsing();
    let failed = |done| item(1, "/a", done, 100, ItemState::Failed("gone".into()));
    let active = item(1, "/a", 52, 100, ItemState::Active);
    assert_eq!(whole(&mut state, vec![active]), Some(52));
    assert_eq!(whole(&mut state, vec![failed(0)]), Some(0));
    let view = client(&state);
    assert_eq!(view.figures(&view.snapshot.items[0]).percent, Some(0));
}
