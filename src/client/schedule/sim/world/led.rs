//! Simulated servers that redirect, and those that they lead to.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use super::{Flight, Trouble, World};
use crate::{
    client::{
        Error,
        id::{SlotId, SourceId},
        schedule::{Answered, Fault, Hop, Placed, Report, Work},
        task::Subject,
    },
    http1::path::RemotePath,
};

/// Redirects of one file without a byte of it between them.
const REDIRECTS_MAX: u32 = 60;

/// Who redirects, and where that leads.
#[derive(Default)]
pub(super) struct Elsewhere {
    /// How many servers redirects lead to: the last ones.
    pub hosts: usize,
    /// Which of those that the user named redirect their files.
    redirects: Vec<bool>,
    /// How long what a redirect leads to is served.
    life: Option<Duration>,
    /// What it is refused with after that.
    status: u16,
    /// The host in each place.
    met: HashMap<SourceId, usize>,
    /// What was asked for on each connection and not answered.
    sent: Vec<VecDeque<Subject>>,
    /// Redirects of each file since the last byte of it.
    idle: HashMap<RemotePath, u32>,
    rng: fastrand::Rng,
}

impl Elsewhere {
    /// Where a source stands among the servers.
    pub fn index(&self, source: SourceId) -> usize {
        self.met.get(&source).copied().unwrap_or(source.place())
    }
}

impl World {
    /// The same world, but that some servers redirect.
    pub fn redirecting(mut self) -> Self {
        let mut rng = fastrand::Rng::with_seed(self.seed ^ 0x0DDB_A11D);
        let count = *rng.choice([1, 1, 2, 3, 100].iter()).unwrap_or(&1);
        let calm = self.calm_at.as_secs() - 30;
        let haul = rng.bool();
        let mut hosts: Vec<_> = (0..count)
            .map(|_| Self::server(&mut rng, 0, haul, calm))
            .collect();
        if count > 1 && rng.u32(..4) == 0 {
            hosts[0].troubles = vec![(0, u64::MAX, Trouble::Refuses { own: false })];
        }
        let mut redirects: Vec<_> = self.servers.iter().map(|_| rng.u32(..3) == 0).collect();
        redirects[0] |= rng.bool();
        self.servers.append(&mut hosts);
        self.elsewhere = Elsewhere {
            hosts: count,
            redirects,
            life: rng
                .bool()
                .then(|| Duration::from_millis(rng.u64(200..20_000))),
            status: *rng.choice([400, 401, 403, 404, 410].iter()).unwrap_or(&403),
            sent: (0..self.workers).map(|_| VecDeque::new()).collect(),
            rng,
            ..Elsewhere::default()
        };
        self
    }

    /// Requests leave on a connection.
    pub(super) fn note_sent(&mut self, at: usize, subjects: impl Iterator<Item = Subject>) {
        if let Some(sent) = self.elsewhere.sent.get_mut(at) {
            sent.extend(subjects);
        }
    }

    /// What the next answer on a connection is to.
    pub(super) fn next_sent(&mut self, at: usize) -> Option<Subject> {
        self.elsewhere.sent.get_mut(at)?.pop_front()
    }

    /// A connection is closed.
    pub(super) fn forget_sent(&mut self, at: usize) {
        if let Some(sent) = self.elsewhere.sent.get_mut(at) {
            sent.clear();
        }
    }

    /// Some of a file came.
    pub(super) fn note_bytes(&mut self, path: &RemotePath) {
        self.elsewhere.idle.remove(path);
    }

    /// The path of the file that work is for.
    fn path_of(&self, work: &Work) -> Option<RemotePath> {
        match work {
            Work::Open(task) => Some(task.path.clone()),
            Work::Run(file, _) | Work::Values(file) => self.paths.get(file).cloned(),
            _ => None,
        }
    }

    /// What is answered to work where redirects play a part; `None` where none does.
    pub(super) fn redirected(
        &mut self,
        at: usize,
        flight: &Flight,
        subject: Option<Subject>,
    ) -> Option<Report> {
        let subject = subject?;
        let (source, channel) = (self.slots[at].source, self.channel(at));
        let path = self.path_of(&flight.work)?;
        if let Subject::Target(target) = &subject {
            let error = self.expired(source, &path, target)?;
            return Some(Report::Fault(Fault::of(error, None), channel));
        }
        assert!(
            !self.elsewhere.met.contains_key(&source) || !source.is_led(),
            "{source:?} is asked for {path:?}, where no redirect led"
        );
        if !self.elsewhere.redirects[source.place()] {
            return None;
        }
        let idle = self.elsewhere.idle.entry(path.clone()).or_default();
        *idle += 1;
        assert!(
            *idle <= REDIRECTS_MAX,
            "{path:?} is asked for at the first URL again and again"
        );
        let (hop, host) = self.hop(source, &path);
        let now = self.instant();
        match self.schedule.led(SlotId(at), &hop, true, now) {
            Ok(Placed::New(place)) => {
                self.elsewhere.met.insert(place, host);
            }
            Ok(Placed::At(place)) => {
                let known = self.elsewhere.met.get(&place);
                assert!(
                    hop.named.is_some() || known == Some(&host),
                    "{place:?} is not {host}"
                );
            }
            Ok(Placed::Full) => {}
            Ok(Placed::Unmet) => panic!("it is known"),
            Err(error) => return Some(Report::Fault(Fault::Refused(error), channel)),
        }
        Some(Report::Answered(Answered::Opened, channel))
    }

    /// What a server says of a signed target whose time is over; `None` before.
    fn expired(&self, source: SourceId, path: &RemotePath, target: &str) -> Option<Error> {
        let (asked, until) = target.split_once("until=").expect("a target is signed");
        let asked = asked.trim_end_matches(['?', ';']);
        assert_eq!(asked, path.to_target(), "another file is asked for");
        let until = Duration::from_millis(until.parse().expect("a time"));
        if self.now < until {
            return None;
        }
        let status = self.elsewhere.status;
        Some(match status {
            // The user would be asked for a login of a server that they named.
            401 if source.is_led() => Error::Login {
                at: "led".into(),
                sent: false,
                said: None,
            },
            _ => Error::Status {
                status,
                retry_after: None,
                said: None,
            },
        })
    }

    /// Where a file's first URL leads this time, and to which host.
    fn hop(&mut self, source: SourceId, path: &RemotePath) -> (Hop, usize) {
        let life = self.elsewhere.life.unwrap_or(Duration::from_secs(86_400));
        let until = (self.now + life).as_millis();
        let mark = if self.elsewhere.rng.u32(..3) == 0 {
            ';'
        } else {
            '?'
        };
        let target = format!("{}{mark}until={until}", path.to_target());
        let named = self.servers.len() - self.elsewhere.hosts;
        let host = named + self.elsewhere.rng.usize(..self.elsewhere.hosts);
        // Now and then to itself.
        let named = (self.elsewhere.rng.u32(..10) == 0).then_some(source);
        let origin = format!("x{host}");
        let hop = Hop {
            named,
            shown: format!("{origin}{target}"),
            origin,
            target,
        };
        (hop, host)
    }
}
