//! What connections do that the schedule gives orders to.

use std::time::Duration;

use super::{ATTEMPTS_MAX, Doing, Happening, SILENCE, World};
use crate::client::{
    disk::names::Local,
    id::{SlotId, SourceId},
    schedule::{Channel, Fault, Flight, Order, Phase, Report, Request, Work, sim::server::Trouble},
};

impl World {
    /// Asks the schedule what a connection is to do.
    pub(super) fn ask(&mut self, at: usize) {
        let now = self.instant();
        let order = self.schedule.next(SlotId(at), now);
        self.obey(at, order);
    }

    /// Does what the schedule says.
    pub(super) fn obey(&mut self, at: usize, order: Order) {
        let now = self.instant();
        self.say(|| {
            let source = self.schedule.slots[at].source.place();
            format!("slot {at} of {source}: {}", brief(&order))
        });
        assert_eq!(
            matches!(order, Order::End),
            self.stopped.is_some(),
            "slot {at} ends as the run does"
        );
        self.slots[at].turn += 1;
        let turn = self.slots[at].turn;
        match order {
            Order::Connect(source) => {
                self.attempt(source);
                let server = &self.servers[self.elsewhere.index(source)];
                let takes = match server.trouble(self.now) {
                    Some(Trouble::Hangs) if self.rng.bool() => SILENCE,
                    _ => server.rtt,
                };
                self.slots[at].doing = Doing::Dialing(source);
                self.at(self.now + takes, Happening::Step(at, turn));
            }
            Order::Look(mut task) => {
                task.local = Local::Nothing;
                self.schedule.looked(SlotId(at), *task, now);
                self.ask(at);
            }
            Order::Exchange {
                send,
                read,
                patience,
            } => self.exchange(at, send, read, patience),
            Order::Close => {
                self.slots[at].open = false;
                self.forget_sent(at);
                self.ask(at);
            }
            Order::Wait(until) => {
                self.slots[at].doing = Doing::Nothing;
                if let Some(until) = until {
                    let until = self.instant_of(until);
                    assert!(until > self.now, "a wait that is over already");
                    self.at(until, Happening::Wake(at, turn));
                }
            }
            Order::End => self.slots[at].ended = true,
        }
    }

    /// Requests leave, and an answer is awaited.
    fn exchange(
        &mut self,
        at: usize,
        send: Vec<Request>,
        read: Box<Flight>,
        patience: Option<Duration>,
    ) {
        let source = self.slots[at].source;
        assert!(self.slots[at].open, "an exchange on a closed connection");
        if !send.is_empty() {
            self.attempt(source);
        }
        self.check_asked_for(at, send.len());
        self.note_sent(at, send.into_iter().map(|request| request.subject));
        let server = &self.servers[self.elsewhere.index(source)];
        // The answer comes a round trip after its request, and behind those before it.
        let arrives = self.instant_of(read.at) + server.rtt;
        let takes = match server.trouble(self.now) {
            Some(Trouble::Hangs) => self.now + SILENCE,
            _ if server.forgets && read.ahead => self.now + patience.unwrap_or(SILENCE),
            _ => arrives.max(self.now),
        };
        self.slots[at].doing = Doing::Head(read);
        if self.schedule.is_unawaited(SlotId(at)) {
            // What it is of was paused while another answer was read.
            return self.report(at, Report::Fault(Fault::Interrupted, Channel::CLOSED));
        }
        self.at(takes, Happening::Step(at, self.slots[at].turn));
    }

    /// What leaves now is of files that nobody stopped.
    fn check_asked_for(&self, at: usize, leave: usize) {
        let sent = self.schedule.slots[at].flight.iter().rev();
        for flight in sent.filter(|flight| flight.sent).take(leave) {
            if let Work::Run(file, _) | Work::Values(file) = &flight.work {
                let phase = self.schedule.transfer(*file).map(|it| it.phase);
                assert_eq!(phase, Some(Phase::Flowing), "slot {at} asks for {file:?}");
            }
        }
    }

    /// A connect or request reaches a server: not too often, and not while it wants to be left alone.
    pub(super) fn attempt(&mut self, source: SourceId) {
        let now = self.now;
        let server = &mut self.servers[self.elsewhere.index(source)];
        // A place among those that redirects led to knows nothing of what was there before.
        let denied = server.denied.filter(|_| !source.is_led());
        for (asked, until) in [server.quiet, denied].into_iter().flatten() {
            // What was on its way when it said so does not count.
            let told = asked + server.rtt;
            assert!(
                now <= told || now >= until,
                "{source:?} is asked at {now:?}, and wants to be left alone until {until:?}"
            );
        }
        server.attempts.push(now);
        let second = now.saturating_sub(Duration::from_secs(1));
        server.attempts.retain(|at| *at > second);
        assert!(
            server.attempts.len() <= ATTEMPTS_MAX,
            "{source:?} is hammered"
        );
    }
}

pub(super) fn brief(order: &Order) -> String {
    format!("{order:?}").chars().take(140).collect()
}
