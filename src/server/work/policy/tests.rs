use super::*;
use std::collections::HashSet;

const BOUNDS: Bounds = Bounds {
    at_once: 3,
    at_once_each: 2,
    at_once_shared: 1,
    most: 12,
    each: 5,
};

fn client(n: usize) -> Who {
    Who::Login(format!("{n}").into())
}

#[test]
fn places_are_bounded_for_each_and_in_all_and_come_back() {
    let mut lane = Lane::new(BOUNDS);
    for n in 0..12 {
        lane.enter(&client(n / 5)).unwrap();
    }
    assert_eq!(lane.enter(&client(0)), Err(Busy::Yours));
    assert_eq!(lane.enter(&client(9)), Err(Busy::All));
    lane.leave(&client(0));
    lane.enter(&client(9)).unwrap();
    for n in [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 9] {
        lane.leave(&client(n));
    }
    assert!(lane.is_idle() && lane.held.is_empty());
}

#[test]
fn turns_go_round_the_clients_and_then_round_their_places() {
    let (mut lane, now) = (Lane::new(BOUNDS), Instant::now());
    for (who, ticket) in [(0, 1), (0, 2), (0, 3), (1, 4), (2, 5), (2, 6)] {
        lane.ask(&client(who), ticket, true, now);
    }
    let mut order = Vec::new();
    while let Some((who, ticket)) = lane.begin() {
        order.push(ticket);
        lane.end(&who);
    }
    assert_eq!(order, [1, 4, 5, 2, 6, 3]);
}

#[test]
fn one_clients_long_turns_leave_some_for_others() {
    let (mut lane, now) = (Lane::new(BOUNDS), Instant::now());
    for ticket in 1..=5 {
        lane.enter(&client(0)).unwrap();
        lane.ask(&client(0), ticket, true, now);
    }
    assert_eq!(lane.begin(), Some((client(0), 1)));
    assert_eq!(lane.begin(), Some((client(0), 2)));
    assert_eq!(lane.begin(), None);
    lane.enter(&client(1)).unwrap();
    // Whoever comes now has its turn at once, again and again.
    for ticket in 10..20 {
        lane.ask(&client(1), ticket, ticket == 10, now);
        assert_eq!(lane.begin(), Some((client(1), ticket)));
        lane.end(&client(1));
    }
    lane.end(&client(0));
    // One at a time while the other has its place.
    assert_eq!(lane.begin(), None);
    lane.end(&client(0));
    assert_eq!(lane.begin(), Some((client(0), 3)));
    assert_eq!(lane.begin(), None);
    lane.leave(&client(1));
    assert_eq!(lane.begin(), Some((client(0), 4)));
}

#[test]
fn who_had_a_turn_is_never_late() {
    let (mut lane, now) = (Lane::new(BOUNDS), Instant::now());
    lane.ask(&client(0), 1, true, now);
    lane.ask(&client(0), 2, false, now);
    lane.ask(&client(1), 3, true, now + Duration::from_secs(1));
    assert_eq!(
        lane.late(now + Duration::from_millis(9999)),
        [] as [Ticket; 0]
    );
    assert_eq!(lane.late(now + FIRST_TURN), [1]);
    assert_eq!(lane.late(now + FIRST_TURN), [] as [Ticket; 0]);
    assert_eq!(lane.begin(), Some((client(0), 2)));
    assert_eq!(lane.late(now + FIRST_TURN * 2), [3]);
    assert_eq!(lane.begin(), None);
}

/// What one seed does: clients come, ask, withdraw and leave as they like, and turns end in any order.
struct Simulation {
    lane: Lane,
    random: fastrand::Rng,
    now: Instant,
    /// Whose place a ticket is, since which turn it waits, and since when.
    waiting: HashMap<Ticket, (usize, u64, Instant)>,
    /// Places that wait for nothing.
    resting: Vec<usize>,
    running: Vec<usize>,
    turns: u64,
    next: Ticket,
}

impl Simulation {
    fn step(&mut self) {
        self.now += Duration::from_millis(self.random.u64(0..200));
        match self.random.u32(0..10) {
            0..=2 => {
                let who = self.random.usize(0..4);
                let had = self.count(who);
                match self.lane.enter(&client(who)) {
                    Ok(()) => self.resting.push(who),
                    Err(Busy::Yours) => assert_eq!(had, BOUNDS.each),
                    Err(Busy::All) => assert_eq!(self.all(), BOUNDS.most),
                }
            }
            3..=5 if !self.resting.is_empty() => {
                let at = self.random.usize(0..self.resting.len());
                let who = self.resting.swap_remove(at);
                self.next += 1;
                self.lane.ask(&client(who), self.next, true, self.now);
                self.waiting.insert(self.next, (who, self.turns, self.now));
            }
            6 if !self.resting.is_empty() => {
                let who = self.resting.swap_remove(0);
                self.lane.leave(&client(who));
            }
            7 => {
                let Some(ticket) = self.waiting.keys().min().copied() else {
                    return;
                };
                let (who, ..) = self.waiting.remove(&ticket).unwrap();
                self.lane.withdraw(&client(who), ticket);
                self.lane.leave(&client(who));
            }
            _ if !self.running.is_empty() => {
                let at = self.random.usize(0..self.running.len());
                let who = self.running.swap_remove(at);
                self.lane.end(&client(who));
                self.resting.push(who);
            }
            _ => {}
        }
        for ticket in self.lane.late(self.now) {
            let (who, _, since) = self.waiting.remove(&ticket).unwrap();
            assert!(self.now - since >= FIRST_TURN);
            self.lane.leave(&client(who));
        }
        while let Some((_, ticket)) = self.lane.begin() {
            let (who, asked_at, since) = self.waiting.remove(&ticket).expect("it waits");
            assert!(self.now - since < FIRST_TURN);
            // Every other client had its turn at most once for each place of this one that asked before.
            let own = self
                .waiting
                .values()
                .filter(|(other, ..)| *other == who)
                .count()
                + 1;
            let most = (4 * (own + BOUNDS.each)) as u64;
            assert!(
                self.turns - asked_at <= most,
                "{} turns",
                self.turns - asked_at
            );
            self.turns += 1;
            self.running.push(who);
        }
        assert!(self.running.len() <= BOUNDS.at_once);
        // Nobody waits while a turn is free, but for who has as many as each may have.
        let running_of = |who: usize| self.running.iter().filter(|of| **of == who).count();
        assert!((0..4).all(|who| running_of(who) <= BOUNDS.at_once_each));
        let is_shared = (0..4).filter(|who| self.count(*who) > 0).count() > 1;
        let each = if is_shared {
            BOUNDS.at_once_shared
        } else {
            BOUNDS.at_once_each
        };
        let mut waiting = self.waiting.values();
        assert!(
            self.running.len() == BOUNDS.at_once
                || waiting.all(|(who, ..)| running_of(*who) >= each)
        );
    }

    fn all(&self) -> usize {
        self.waiting.len() + self.resting.len() + self.running.len()
    }

    fn count(&self, who: usize) -> usize {
        let waiting = self.waiting.values().map(|(who, ..)| who);
        let places = waiting.chain(&self.resting).chain(&self.running);
        places.filter(|other| **other == who).count()
    }
}

#[test]
fn whatever_clients_do_turns_are_bounded_fair_and_never_idle() {
    let mut seen = HashSet::new();
    for seed in 0..300 {
        let mut simulation = Simulation {
            lane: Lane::new(BOUNDS),
            random: fastrand::Rng::with_seed(seed),
            now: Instant::now(),
            waiting: HashMap::new(),
            resting: Vec::new(),
            running: Vec::new(),
            turns: 0,
            next: 0,
        };
        for _ in 0..500 {
            simulation.step();
        }
        seen.insert(simulation.turns);
    }
    assert!(seen.len() > 10, "the seeds differ");
}
