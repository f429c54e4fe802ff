//! What follows from a failure: one table.

use std::time::{Duration, Instant};

use super::{
    FileId, Schedule, SlotId, SourceId,
    order::{Ask, Channel, Effect, Fault, Flight, Keep, Work},
    slot::Line,
    source::Reach,
};
use crate::{
    client::{
        Error, Event,
        disk::names::Local,
        task::{FileTask, Task},
    },
    units,
};

/// A server that lets this client wait is asked again after so long, where it does not say, and at the latest.
const PAUSED: Duration = Duration::from_secs(2);
const PAUSED_MAX: Duration = Duration::from_secs(30);
/// The same for one that refuses it for a while.
const KICKED: Duration = Duration::from_secs(60);
const KICKED_MAX: Duration = Duration::from_secs(300);
/// The longest pause that a server may ask for.
const ASKED_MAX: Duration = Duration::from_secs(300);
/// Values that did not come are asked for again after so long while pieces flow, where the server does not say.
const VALUES_AGAIN: Duration = Duration::from_secs(2);

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// It is done again, at once; nobody is to blame.
    Again,
    /// It is asked for again with nothing ahead of it; the server may not bear what is sent ahead.
    Alone,
    /// The file is asked for without a look at what is here: the server knows no HEAD of it.
    Get,
    /// The work goes to others, and the server rests.
    Elsewhere,
    /// The work goes to others; this server is left out for it.
    LeaveOut,
    /// The server is asked less, and the work again.
    Slower,
    /// The server is asked nothing for a time.
    Hold,
    /// All waits for the user's answer.
    Ask,
    /// The work failed: it is tried again after a pause, or has failed for good.
    Retry,
    /// The same, and the server counts as failing as well.
    RetryAndRest,
    /// The work failed for good.
    Fail,
    /// The file is fetched from its beginning.
    Restart,
    /// The server is not asked any more, where others are left; else all fails.
    Drop,
    /// The server could not be reached: it rests; all fails where none is left to be tried.
    Rest,
}

/// What the work was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hit {
    /// None: a connection was being made.
    Dial,
    /// A listing for someone who waits.
    Browse,
    /// A tree's listing.
    List,
    /// A HEAD of a file.
    Head,
    /// The first request for a file.
    Open,
    /// A run of pieces.
    Run,
    /// The values of pieces.
    Values,
}

/// What else decides.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and a column of the table"
)]
struct Standing {
    /// Others may do the work.
    others: bool,
    /// Somebody watches, and can answer.
    patient: bool,
    /// The server broke what it kept open, after it had answered on this connection.
    stale: bool,
    /// The connection was closed before anything was answered on it, not for the first time.
    refuses: bool,
    /// The work was sent ahead of an answer.
    ahead: bool,
    /// Whole pieces came before it broke.
    progress: bool,
    /// Every server that is left has failed or refused more than `retries` times in a row.
    worn: bool,
}

/// The table: fault × work × standing → what follows. The first row that fits decides.
#[expect(
    clippy::match_same_arms,
    reason = "rows of a table: each is read by itself"
)]
fn follows(fault: &Fault, hit: Hit, at: Standing) -> Follow {
    use Follow::{
        Again, Alone, Ask, Drop, Elsewhere, Fail, Get, Hold, LeaveOut, Rest, Restart, Retry,
        RetryAndRest, Slower,
    };
    use Hit::{Browse, Dial, Head, Run, Values};
    match (fault, hit) {
        (Fault::Interrupted, _) => Again,
        (Fault::Paused(_) | Fault::Kicked { .. }, _) => Hold,
        (Fault::Banned(_), _) => Drop,

        (Fault::Unreachable { error, .. }, Dial) if error.is_transient() => Rest,
        (Fault::Unreachable { error, .. }, Dial) if at.patient && error.asks() => Ask,
        (Fault::Unreachable { .. }, _) => Drop,

        (Fault::Broke(_), Run) if at.progress => Again,
        (Fault::Broke(_), _) if at.stale => Again,
        (Fault::Broke(_), Values) => Retry,
        (Fault::Broke(_), _) if at.others && !at.worn => Elsewhere,
        (Fault::Broke(_), _) if at.refuses => RetryAndRest,
        (Fault::Broke(_), _) => Retry,

        (Fault::Refused(_), Head) => Get,
        (Fault::Busy { error, .. }, Head) if !is_about_load(error) => Get,
        // One that names a time means it, whatever was in front of the request.
        (
            Fault::Busy {
                retry_after: None, ..
            },
            _,
        ) if at.ahead => Alone,
        (Fault::Busy { .. }, _) if at.others && !at.worn => Elsewhere,
        (Fault::Busy { .. }, Values) => Retry,
        (Fault::Busy { .. }, Browse) => Fail,
        (Fault::Busy { .. }, _) if at.worn => Fail,
        (Fault::Busy { .. }, _) => Slower,

        (Fault::Login(_), hit) if at.patient && hit != Browse => Ask,
        (Fault::Refused(error), _) if at.ahead && !is_about_the_file(error) => Alone,
        (Fault::Refused(_) | Fault::Login(_), _) if at.others => LeaveOut,
        (Fault::Refused(_) | Fault::Login(_), _) => Fail,

        (Fault::Changed, Run | Values) => Restart,
        (Fault::Changed, _) => Retry,
        (Fault::Foreign, _) if at.others => LeaveOut,
        (Fault::Foreign, _) => Restart,

        (Fault::BadPiece(_), _) => Fail,
        (Fault::BadValues, _) if at.others => Drop,
        (Fault::BadValues, _) => Retry,
        (Fault::BadWhole(_), _) if at.others => LeaveOut,
        (Fault::BadWhole(_), _) => Retry,

        (Fault::NoMirror | Fault::Local(_), _) => Fail,
        (Fault::Other(error), _) if error.is_transient() => Retry,
        (Fault::Other(_), _) if at.others && hit != Run => LeaveOut,
        (Fault::Other(_), _) => Fail,
    }
}

/// Whether a refusal speaks of what was asked for, rather than of how.
fn is_about_the_file(error: &Error) -> bool {
    !matches!(error, Error::Status { status, .. } if !matches!(status, 401 | 403 | 404 | 410 | 451))
}

/// Whether a refusal says that too much is asked.
fn is_about_load(error: &Error) -> bool {
    matches!(
        error,
        Error::Status {
            status: 429 | 503,
            ..
        }
    )
}

impl Hit {
    fn of(flight: &Flight) -> Self {
        match &flight.work {
            Work::Browse(_) => Self::Browse,
            Work::List(_) => Self::List,
            Work::Open(_) if flight.ask == Ask::Head => Self::Head,
            Work::Open(_) | Work::Spent => Self::Open,
            Work::Run(..) => Self::Run,
            Work::Values(_) => Self::Values,
        }
    }
}

impl Fault {
    /// What is told of it.
    pub(super) fn error(&self) -> Error {
        match self {
            Self::Unreachable { error, .. }
            | Self::Broke(error)
            | Self::Busy { error, .. }
            | Self::Refused(error)
            | Self::Banned(error)
            | Self::Login(error)
            | Self::BadPiece(error)
            | Self::Local(error)
            | Self::Other(error) => error.clone(),
            Self::Paused(_) | Self::Interrupted => Error::Paused,
            Self::Kicked { reason, .. } => Error::Kicked(reason.clone()),
            Self::Changed | Self::Foreign => Error::Changed,
            Self::BadValues | Self::BadWhole(_) => Error::Integrity { piece: None },
            Self::NoMirror => Error::NoMirror,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl Schedule {
    /// Something failed on a connection: on its first work in flight, or while it was made.
    pub(super) fn fault(&mut self, id: SlotId, fault: &Fault, channel: Channel, now: Instant) {
        let slot = &mut self.slots[id.0];
        let (source, answered) = (slot.source, slot.answered);
        let flight = if slot.line == Line::Dialing {
            None
        } else {
            slot.pop(now)
        };
        let pipelined = flight.as_ref().is_some_and(|flight| flight.ahead)
            || slot.flight.iter().any(|flight| flight.sent);
        if !channel.open {
            slot.line = Line::Closed;
            self.sources.let_go(id);
            self.take_back(id);
        }
        if let (Fault::Broke(error), true) = (fault, pipelined) {
            self.broke_ahead(source, error, answered);
        }
        let hit = flight.as_ref().map_or(Hit::Dial, Hit::of);
        let named = fault.retry_after().is_some();
        if let Some(flight) = flight.as_ref().filter(|flight| named || !flight.ahead) {
            self.refused_for_load(source, flight.at, fault, now);
        }
        let standing = self.standing(id, fault, flight.as_ref(), pipelined);
        self.carry_out(id, follows(fault, hit, standing), fault, flight, now);
        self.fail_leftovers();
        self.ring_all();
    }

    /// A server that closes before it has answered what was sent ahead does not bear pipelining. A cable that is cut says
    /// nothing about a server of our kind: those pipeline.
    fn broke_ahead(&mut self, source: SourceId, error: &Error, answered: u32) {
        let source = self.sources.get_mut(source);
        if source.haul {
            return;
        }
        match error {
            Error::Broken(_) => source.depth.lower(answered as usize),
            // It does not answer what was sent ahead, or answers nonsense.
            _ => source.depth.lower(1),
        }
    }

    fn standing(
        &mut self,
        id: SlotId,
        fault: &Fault,
        flight: Option<&Flight>,
        pipelined: bool,
    ) -> Standing {
        let slot = &self.slots[id.0];
        let (source, answered) = (slot.source, slot.answered);
        let broken = matches!(fault, Fault::Broke(Error::Broken(_)));
        let is_run = flight.is_some_and(|flight| matches!(flight.work, Work::Run(..)));
        let refuses = broken && answered == 0 && flight.is_some() && {
            let source = self.sources.get_mut(source);
            source.closed += 1;
            // Once is an accident.
            source.closed > 1
        };
        let others = match flight.map(|flight| &flight.work) {
            None => self.sources.has_others(source),
            Some(work) => self.others_may_do(work, source, fault),
        };
        Standing {
            others,
            patient: self.limits.patient,
            stale: answered > 0 && (pipelined || broken && !is_run),
            refuses,
            ahead: flight.is_some_and(|flight| flight.ahead),
            progress: flight.is_some_and(|flight| self.goes_on_behind(flight)),
            worn: self.sources.are_worn(),
        }
    }

    /// Whether whole pieces came, and the rest can be asked for behind them.
    fn goes_on_behind(&self, flight: &Flight) -> bool {
        let Work::Run(file, _) = &flight.work else {
            return false;
        };
        let transfer = self.transfers.get(file);
        flight.progress && transfer.is_some_and(|transfer| transfer.facts.ranges)
    }

    /// Whether another server may do the work, now or once it has rested.
    fn others_may_do(&self, work: &Work, source: SourceId, fault: &Fault) -> bool {
        let mut without = match work {
            Work::Browse(browse) => browse.tried,
            Work::List(task) => task.tried,
            Work::Open(task) => task.tried,
            Work::Run(file, _) | Work::Values(file) => self
                .transfers
                .get(file)
                .map(|transfer| transfer.excluded)
                .unwrap_or_default(),
            Work::Spent => return false,
        };
        if let Fault::BadWhole(task) = fault {
            without = without.union(task.tried);
        }
        without.insert(source);
        !self.sources.hopeful().without(without).is_empty()
    }

    /// The server said that it is asked too much, or failed inside.
    fn refused_for_load(&mut self, source: SourceId, asked: Instant, fault: &Fault, now: Instant) {
        let Fault::Busy { error, retry_after } = fault else {
            return;
        };
        let open = self.open_lines(source);
        let refusals = self.sources.get(source).load.refusals();
        // One that counts requests is asked less, at first without a pause.
        let rest = match retry_after {
            Some(time) => Some((*time).min(ASKED_MAX)),
            None if is_about_load(error) && refusals < 2 => None,
            None => Some(self.backoff(refusals + 1)),
        };
        let load = &mut self.sources.get_mut(source).load;
        load.refused(asked, now, open, rest);
    }

    fn carry_out(
        &mut self,
        id: SlotId,
        follow: Follow,
        fault: &Fault,
        flight: Option<Flight>,
        now: Instant,
    ) {
        let source = self.slots[id.0].source;
        match follow {
            Follow::Again => self.put_back_flight(flight, now),
            Follow::Alone => {
                self.sources.get_mut(source).depth.refused_ahead();
                self.put_back_alone(flight, now);
            }
            Follow::Get => self.get_after_all(flight, now),
            Follow::Elsewhere => {
                if !matches!(fault, Fault::Busy { .. }) {
                    let pause = self.source_failed(source, &fault.error(), now);
                    self.log_rest(source, &fault.error(), pause);
                }
                self.put_back_flight(flight, now);
            }
            Follow::LeaveOut => self.leave_out(source, fault, flight),
            Follow::Slower => {
                let wait = self.sources.get(source).load.wait(now);
                let after = wait.map_or(Duration::ZERO, |at| at - now);
                let tries = self.sources.get(source).load.refusals() + 1;
                self.tell_retrying(flight.as_ref(), tries, after, &fault.error());
                self.put_back_flight(flight, now);
            }
            Follow::Hold => {
                self.put_back_flight(flight, now);
                self.hold(id, fault, now);
            }
            Follow::Ask => {
                self.put_back_flight(flight, now);
                self.ask_user(source, &fault.error());
            }
            Follow::Retry => self.blame(flight, fault, now),
            Follow::RetryAndRest => {
                self.blame(flight, fault, now);
                self.rest(source, fault, now);
            }
            Follow::Fail => self.fail(flight, fault.error(), now),
            Follow::Restart => self.restart(flight, now),
            Follow::Drop => {
                self.values_broke(flight.as_ref(), now);
                self.put_back_flight(flight, now);
                let error = fault.error();
                if self.drop_source(source, &error) {
                    return;
                }
                self.give_up(source, &error, now);
            }
            Follow::Rest => self.rest(source, fault, now),
        }
    }

    /// A server failed: it rests.
    fn source_failed(&mut self, source: SourceId, error: &Error, now: Instant) -> Option<Duration> {
        let mut pause = Duration::ZERO;
        let rng = &mut self.rng;
        let rests = self.sources.failed(source, error, now, |failures| {
            pause = super::retry::backoff(failures, rng);
            pause
        });
        rests.is_some().then_some(pause)
    }

    /// Says that a server rests.
    fn log_rest(&self, source: SourceId, error: &Error, pause: Option<Duration>) {
        if let Some(pause) = pause {
            let tries = self.sources.get(source).failures + 1;
            tracing::warn!(path = %self.name_of(source), "{error}: try {tries} of this server in {}", units::took(pause));
        }
    }

    /// A server cannot be reached: it rests, and all fails where that has lasted with every server that is left.
    fn rest(&mut self, source: SourceId, fault: &Fault, now: Instant) {
        let error = fault.error();
        let own = matches!(fault, Fault::Unreachable { own: true, .. });
        let worth_waiting = own && self.sources.get_mut(source).own_outage(now);
        let pause = self.source_failed(source, &error, now);
        let worn = self.sources.are_worn() && !worth_waiting;
        if worn && !self.limits.patient {
            return self.give_up(source, &error, now);
        }
        self.log_rest(source, &error, pause);
        if self.limits.patient {
            self.tell_who_looks(source, &error);
        }
    }

    /// Somebody looks at an empty screen: they are told at once, and may name another server.
    fn tell_who_looks(&mut self, source: SourceId, error: &Error) {
        let reached = self.sources.each().any(|(_, source)| source.was_up);
        if !reached {
            self.answer_browsers(error);
            if self.is_idle() && !self.sources.has_others(source) {
                self.sources.get_mut(source).reach = Reach::Down(error.clone());
            }
        }
    }

    /// Where others are left a server is not asked any more: true.
    pub(super) fn drop_source(&mut self, source: SourceId, error: &Error) -> bool {
        let before = self.sources.get(source).is_kept();
        let dropped = self.sources.drop_source(source, &error.to_string());
        if dropped && before {
            tracing::warn!(path = %self.name_of(source), "mirror dropped: {error}");
        }
        dropped
    }

    fn hold(&mut self, id: SlotId, fault: &Fault, now: Instant) {
        let source = self.slots[id.0].source;
        let path = self.name_of(source).to_owned();
        match fault {
            Fault::Paused(retry_after) => {
                let pause = retry_after.unwrap_or(PAUSED).min(PAUSED_MAX);
                if self.sources.get_mut(source).paused(now + pause) {
                    tracing::warn!(%path, "paused by the server: it goes on when that ends");
                }
            }
            Fault::Kicked { reason, time } => {
                let time = time.unwrap_or(KICKED).min(KICKED_MAX);
                let error = fault.error();
                let times = self.sources.get_mut(source).kicked(reason, now + time, now);
                let Some(times) = times else { return };
                if times > self.limits.retries && !self.limits.patient {
                    if !self.drop_source(source, &error) {
                        self.give_up(source, &error, now);
                    }
                    return;
                }
                tracing::warn!(%path, "{error}: back in {}", units::took(time));
            }
            _ => {}
        }
    }

    /// Somebody is there to answer what `error` asks: nothing fails, and all waits for that.
    fn ask_user(&mut self, source: SourceId, error: &Error) {
        self.sources.get_mut(source).reach = Reach::Asks(error.clone());
        self.answer_browsers(error);
    }

    fn get_after_all(&mut self, flight: Option<Flight>, now: Instant) {
        let Some(Flight {
            work: Work::Open(task),
            ..
        }) = flight
        else {
            return self.put_back_flight(flight, now);
        };
        let local = Local::Nothing;
        self.put_back(Work::Open(FileTask { local, ..task }));
    }

    /// The server is left out for this work, and others are asked.
    fn leave_out(&mut self, source: SourceId, fault: &Fault, flight: Option<Flight>) {
        let Some(flight) = flight else { return };
        let (server, why) = (self.name_of(source).to_owned(), fault.error());
        match flight.work {
            Work::Browse(mut browse) => {
                browse.tried.insert(source);
                self.put_back(Work::Browse(browse));
            }
            Work::List(mut task) => {
                task.tried.insert(source);
                self.put_back(Work::List(task));
            }
            Work::Open(task) => {
                let mut task = match fault {
                    Fault::BadWhole(task) => FileTask::clone(task),
                    _ => task,
                };
                task.tried.insert(source);
                tracing::warn!(path = %task.shown(), "{server}: {why}: another mirror is asked");
                self.put_back(Work::Open(task));
            }
            Work::Run(file, _) | Work::Values(file) => {
                if let Some(transfer) = self.transfers.get_mut(&file)
                    && !transfer.excluded.contains(source)
                {
                    transfer.excluded.insert(source);
                    tracing::warn!(path = %transfer.task.shown(), "{server} has no such file, or another, or only the whole of it: left out for it");
                }
                self.put_back(flight.work);
            }
            Work::Spent => {}
        }
    }

    /// The work failed: it is tried again after a pause, or has failed for good.
    fn blame(&mut self, flight: Option<Flight>, fault: &Fault, now: Instant) {
        let Some(flight) = flight else { return };
        let (error, retry_after) = (fault.error(), fault.retry_after());
        match flight.work {
            Work::Browse(mut browse) => {
                browse.failures += 1;
                if error.is_connection() && browse.failures <= self.limits.retries {
                    self.put_back(Work::Browse(browse));
                } else {
                    self.outbox.push_back(Effect::Answer(browse.id, error));
                }
            }
            Work::List(task) => self.task_failed(task.into(), error, retry_after, now),
            Work::Open(task) => {
                let task = match fault {
                    Fault::BadWhole(task) => FileTask::clone(task),
                    _ => task,
                };
                self.task_failed(task.into(), error, retry_after, now);
            }
            Work::Run(file, ref run) => {
                if let Some(transfer) = self.transfers.get_mut(&file) {
                    transfer.plan.release(run.id);
                }
                self.transfer_failed(file, error, retry_after, now);
            }
            Work::Values(file) => {
                let pause = retry_after.map_or(VALUES_AGAIN, |time| time.min(ASKED_MAX));
                let flows = self
                    .transfers
                    .get_mut(&file)
                    .is_some_and(|transfer| transfer.values_failed(now, pause));
                if !flows {
                    self.transfer_failed(file, error, retry_after, now);
                }
            }
            Work::Spent => {}
        }
    }

    /// The work failed for good.
    fn fail(&mut self, flight: Option<Flight>, error: Error, now: Instant) {
        let Some(flight) = flight else { return };
        match flight.work {
            Work::Browse(browse) => self.outbox.push_back(Effect::Answer(browse.id, error)),
            Work::List(task) => self.task_ended(task.into(), error),
            Work::Open(task) => self.task_ended(task.into(), error),
            Work::Run(file, run) => {
                if let Some(transfer) = self.transfers.get_mut(&file) {
                    transfer.plan.release(run.id);
                }
                self.transfer_ended(file, error, now);
            }
            Work::Values(file) => self.transfer_ended(file, error, now),
            Work::Spent => {}
        }
    }

    /// The file is not what it was: it is fetched from its beginning.
    fn restart(&mut self, flight: Option<Flight>, now: Instant) {
        let Some(Work::Run(file, _) | Work::Values(file)) = flight.map(|flight| flight.work) else {
            return;
        };
        if let Some(transfer) = self.let_go(file, Keep::AsIs) {
            tracing::warn!(path = %transfer.task.shown(), "it changed on the server: started again");
            let task = FileTask {
                local: Local::Unknown,
                kept: 0,
                ..transfer.task
            };
            self.task_failed(task.into(), Error::Changed, None, now);
        }
    }

    fn values_broke(&mut self, flight: Option<&Flight>, now: Instant) {
        if let Some(Work::Values(file)) = flight.map(|flight| &flight.work)
            && let Some(transfer) = self.transfers.get_mut(file)
        {
            transfer.values_failed(now, Duration::ZERO);
        }
    }

    /// An attempt at a file or a listing failed: it is tried again after a pause, or it has failed for good.
    pub(super) fn task_failed(
        &mut self,
        mut task: Task,
        error: Error,
        retry_after: Option<Duration>,
        now: Instant,
    ) {
        let item = task.item();
        if error.is_transient() && !self.is_going(item) {
            // Nothing fails while its item is paused: it is done again once that goes on.
            self.put_back_task(task);
            return;
        }
        *task.failures() += 1;
        let failures = *task.failures();
        if error.is_transient() && failures <= self.limits.retries && !self.stopped {
            let after =
                retry_after.map_or_else(|| self.backoff(failures), |time| time.min(ASKED_MAX));
            self.tell(Event::Retrying {
                item,
                path: task.path().clone(),
                attempt: failures + 1,
                after,
                error: error.clone(),
            });
            if let Some(item) = self.item_mut(item) {
                item.take_back_later(task, now + after, error.to_string());
            }
        } else {
            self.task_ended_after(task, failures, error);
        }
        self.end_item(item);
    }

    fn task_ended(&mut self, mut task: Task, error: Error) {
        let attempts = *task.failures() + 1;
        self.task_ended_after(task, attempts, error);
    }

    /// It has failed for good. Told before it counts: an item must not have ended while something about it is still to be
    /// told.
    pub(super) fn task_ended_after(&mut self, task: Task, attempts: u32, error: Error) {
        let item = task.item();
        self.tell(Event::Failed {
            item,
            path: task.path().clone(),
            attempts,
            error: error.clone(),
        });
        if let Some(item) = self.item_mut(item) {
            item.keep_failed(task);
            item.note_failure(error);
        }
        self.end_item(item);
    }

    /// Something about a transfer failed: it goes on after a pause, or has failed for good.
    pub(super) fn transfer_failed(
        &mut self,
        file: FileId,
        error: Error,
        retry_after: Option<Duration>,
        now: Instant,
    ) {
        let going = self
            .transfers
            .get(&file)
            .is_some_and(|transfer| self.is_going(transfer.task.item));
        let Some(transfer) = self.transfers.get_mut(&file) else {
            return;
        };
        if error.is_transient() && !going {
            return;
        }
        if !transfer.facts.ranges {
            // There is no going on in the middle: the file is asked for again from its first byte.
            if let Some(transfer) = self.let_go(file, Keep::AsIs) {
                let local = Local::Part;
                let task = FileTask {
                    local,
                    ..transfer.task
                };
                self.task_failed(task.into(), error, retry_after, now);
            }
            return;
        }
        // A piece has its own count of tries, and has used it up.
        let again = error.is_transient() && !matches!(error, Error::Integrity { piece: Some(_) });
        let rng = &mut self.rng;
        let failed = transfer.failed(now, |failures| match retry_after {
            Some(time) => time.min(ASKED_MAX),
            None => super::retry::backoff(failures, rng),
        });
        match failed {
            None if again => {}
            Some((failures, after)) if again && failures <= self.limits.retries => {
                let (item, path) = (transfer.task.item, transfer.task.path.clone());
                self.tell(Event::Retrying {
                    item,
                    path,
                    attempt: failures + 1,
                    after,
                    error,
                });
            }
            failed => {
                let failures = failed.map_or(0, |(failures, _)| failures);
                let attempts = if again {
                    failures.max(1)
                } else {
                    self.limits.retries.max(failures) + 1
                };
                self.transfer_ended_after(file, attempts, error);
            }
        }
    }

    fn transfer_ended(&mut self, file: FileId, error: Error, _now: Instant) {
        self.transfer_ended_after(file, 1, error);
    }

    /// A transfer has failed for good; what is here of it stays.
    pub(super) fn transfer_ended_after(&mut self, file: FileId, attempts: u32, error: Error) {
        let noted = self
            .transfers
            .get(&file)
            .and_then(super::transfer::Transfer::worth_noting);
        let keep = noted.map_or(Keep::AsIs, Keep::Pieces);
        if let Some(transfer) = self.let_go(file, keep) {
            let task = transfer.into_task();
            self.task_ended_after(task.into(), attempts, error);
        }
    }

    /// Says that work will be tried again.
    fn tell_retrying(
        &mut self,
        flight: Option<&Flight>,
        attempt: u32,
        after: Duration,
        error: &Error,
    ) {
        let (item, path) = match flight.map(|flight| &flight.work) {
            Some(Work::List(task)) => (task.item, task.dir.clone()),
            Some(Work::Open(task)) => (task.item, task.path.clone()),
            _ => return,
        };
        if after >= Duration::from_millis(500) {
            self.tell(Event::Retrying {
                item,
                path,
                attempt,
                after,
                error: error.clone(),
            });
        }
    }

    /// No server is of any use any more: everything fails.
    pub(super) fn give_up(&mut self, source: SourceId, error: &Error, now: Instant) {
        self.sources.get_mut(source).down(error, now);
        for other in self.sources.each_mut() {
            if matches!(other.reach, Reach::Out(_)) {
                other.down(error, now);
            }
        }
        self.fail_all(error);
    }
}
