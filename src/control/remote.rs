//! What runs in another process, as a screen here sees it.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Notify, mpsc},
    task::AbortHandle,
    time::timeout,
};
use zeroize::Zeroizing;

use super::{
    error::Error,
    places::Found,
    protocol::{Ask, Hello, Tell, VERSION},
    seam::Engine,
};
use crate::{
    app::{Effect, Ending, Event, Sample, effect::Order},
    client::Link,
    exit::reason,
    logging::Ring,
    server::TransferState,
};

/// A program that runs answers sooner, however busy the machine is; one that was stopped does not.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest line that is read, in bytes: a sample of ever so many clients and transfers is shorter.
const LINE_MAX: u64 = 256 << 20;
/// Milliseconds between samples while bytes flow, while nothing happens, and where there is much to tell of.
const BUSY: u64 = 100;
const IDLE: u64 = 250;
const MANY: u64 = 500;
/// Clients or transfers from which on there is much to tell of.
const MANY_ROWS: usize = 300;
/// Effects that wait to be sent.
const EFFECTS: usize = 256;

/// What was reached.
pub struct Watched {
    /// Who it is.
    pub hello: Hello,
    /// The way to see it and to tell it something.
    pub remote: Remote,
    /// Its log, as far as it was told.
    pub ring: Ring,
}

/// An engine in another process.
pub struct Remote {
    asks: mpsc::Sender<Ask>,
    shared: Arc<Shared>,
    pace: u64,
    effects: u64,
    tasks: [AbortHandle; 2],
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    told: Notify,
    log: Ring,
}

#[derive(Default)]
struct State {
    /// The last one, and when it was taken, since the hello.
    sample: Option<(Duration, Sample)>,
    answers: HashMap<u64, Asked>,
    news: VecDeque<Event>,
    wrong: Option<String>,
    gone: bool,
}

/// Who waits for the answers to an effect.
#[derive(Clone)]
struct Asked {
    /// The number of the request for a listing; numbers are this screen's own and are not sent.
    request: u64,
    answers: mpsc::Sender<Event>,
}

impl Asked {
    async fn answer(&self, mut event: Event) {
        if let Event::Listed { request, .. } = &mut event {
            *request = self.request;
        }
        let _ = self.answers.send(event).await;
    }
}

impl State {
    /// What the other side told that a screen has to know.
    fn event(&mut self) -> Option<Event> {
        let wrong = |state: &mut Self| state.wrong.take().map(Event::Refused);
        let news = self.news.pop_front().or_else(|| wrong(self));
        news.or_else(|| self.gone.then_some(Event::Ending(Ending::Over)))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Watched {
    /// Reaches what was found, and waits for its first sample. With `log`, its log is told as well.
    pub async fn open(found: &Found, log: bool) -> Result<Self, Error> {
        let silent = |reason: String| Error::Silent {
            name: found.label(),
            reason,
        };
        let late = || silent("it may have been stopped".to_owned());
        let stream = UnixStream::connect(&found.path).await;
        let stream = stream.map_err(|error| silent(reason(&error)))?;
        let (input, output) = stream.into_split();
        let mut input = BufReader::new(input);
        let first = timeout(PATIENCE, next(&mut input)).await;
        let hello = match first.map_err(|_| late())? {
            Ok(Some(Tell::Hello(hello))) if hello.version == VERSION => hello,
            Ok(Some(Tell::Hello(hello))) => {
                return Err(Error::Version {
                    name: found.label(),
                    program: hello.program,
                });
            }
            Ok(Some(_)) => return Err(silent("it says something else than hello".to_owned())),
            Ok(None) => return Err(silent("it turned this user away, or has ended".to_owned())),
            Err(why) => return Err(silent(why)),
        };
        let remote = Remote::over(input, output);
        let watch = Ask::Watch {
            every: IDLE,
            log: log.then_some(0),
        };
        let _ = remote.asks.send(watch).await;
        timeout(PATIENCE, remote.first())
            .await
            .map_err(|_| late())?;
        if remote.is_gone() {
            return Err(silent("it has ended".to_owned()));
        }
        let ring = remote.shared.log.clone();
        Ok(Self {
            hello,
            remote,
            ring,
        })
    }
}

impl Remote {
    fn over(input: BufReader<OwnedReadHalf>, output: OwnedWriteHalf) -> Self {
        let shared = Arc::<Shared>::default();
        let (asks, asked) = mpsc::channel(EFFECTS);
        let reading = tokio::spawn(read(input, Reached(Arc::clone(&shared))));
        let writing = tokio::spawn(write(output, asked));
        Self {
            asks,
            shared,
            pace: IDLE,
            effects: 0,
            tasks: [reading.abort_handle(), writing.abort_handle()],
        }
    }

    /// The last sample, and when it was taken, since some moment of its own.
    pub fn latest(&self) -> (Duration, Sample) {
        let sample = self.shared.state().sample.clone();
        sample.unwrap_or((Duration::ZERO, Sample::Nothing))
    }

    /// Why the other side could not read what it was told, if that is so; once.
    pub fn wrong(&self) -> Option<String> {
        self.shared.state().wrong.take()
    }

    /// Waits for the first sample, or the end.
    async fn first(&self) {
        loop {
            let told = self.shared.told.notified();
            {
                let state = self.shared.state();
                if state.sample.is_some() || state.gone {
                    return;
                }
            }
            told.await;
        }
    }

    /// Whether the other side has ended.
    pub fn is_gone(&self) -> bool {
        self.shared.state().gone
    }

    /// Waits until the other side has ended.
    pub async fn gone(&self) {
        while !self.is_gone() {
            let told = self.shared.told.notified();
            if self.is_gone() {
                return;
            }
            told.await;
        }
    }

    /// Asks for samples at another pace where the last one shows that this suits better.
    fn keep_pace(&mut self, sample: &Sample) {
        let pace = pace(sample);
        let watch = Ask::Watch {
            every: pace,
            log: None,
        };
        if pace != self.pace && self.asks.try_send(watch).is_ok() {
            self.pace = pace;
        }
    }
}

impl Engine for Remote {
    fn sample(&mut self) -> Sample {
        let (_, sample) = self.latest();
        self.keep_pace(&sample);
        sample
    }

    fn apply(&mut self, effect: Effect, answers: &mpsc::Sender<Event>) {
        self.effects += 1;
        let id = self.effects;
        let request = match &effect {
            Effect::List { request, .. } => *request,
            _ => 0,
        };
        {
            let mut state = self.shared.state();
            // Nobody would take the answer's place away any more: who waits for it would wait for ever.
            if state.gone {
                let _ = answers.try_send(Event::Refused("it has ended".to_owned()));
                return;
            }
            let answers = answers.clone();
            state.answers.insert(id, Asked { request, answers });
        }
        let ask = Ask::Do {
            id,
            effect: absolute(effect),
        };
        if self.asks.try_send(ask).is_err() {
            self.shared.state().answers.remove(&id);
            let _ = answers.try_send(Event::Refused("it does not take orders now".to_owned()));
        }
    }

    async fn told(&mut self) -> Option<Event> {
        let told = self.shared.told.notified();
        if let Some(event) = self.shared.state().event() {
            return Some(event);
        }
        told.await;
        self.shared.state().event()
    }
}

/// Local paths mean the same in another process.
fn absolute(effect: Effect) -> Effect {
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    match effect {
        Effect::Serve(Order::Share(dir)) => Effect::Serve(Order::Share(absolute(dir))),
        Effect::Get { wants, to, update } => Effect::Get {
            wants,
            update,
            to: to.map(absolute),
        },
        other => other,
    }
}

fn pace(sample: &Sample) -> u64 {
    let (rows, busy) = match sample {
        Sample::Server(snapshot) => {
            let mut transfers = snapshot.clients.iter().flat_map(|client| &client.transfers);
            let busy = transfers.any(|transfer| transfer.state == TransferState::Active);
            (snapshot.clients.len(), busy)
        }
        Sample::Client(snapshot) => {
            let busy = snapshot.connections > 0 || snapshot.link != Link::Up;
            (snapshot.items.len(), busy)
        }
        Sample::Nothing => (0, false),
    };
    match (rows, busy) {
        (MANY_ROWS.., _) => MANY,
        (_, true) => BUSY,
        (_, false) => IDLE,
    }
}

/// The next thing that is told; `None` at the end. The error is for people.
async fn next(input: &mut BufReader<OwnedReadHalf>) -> Result<Option<Tell>, String> {
    let mut line = Vec::new();
    let mut bounded = input.take(LINE_MAX);
    match bounded.read_until(b'\n', &mut line).await {
        Ok(0) => Ok(None),
        Ok(_) if line.len() as u64 == LINE_MAX => Err("a line of its has no end".into()),
        Ok(_) => match serde_json::from_slice(&line) {
            Ok(tell) => Ok(Some(tell)),
            Err(error) => Err(format!("what it says cannot be read: {error}")),
        },
        Err(error) => Err(reason(&error)),
    }
}

/// What is read from the other side goes here; once it is dropped, however that comes, the other side is gone.
struct Reached(Arc<Shared>);

impl Drop for Reached {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.gone = true;
        state.answers.clear();
        drop(state);
        self.0.told.notify_waiters();
    }
}

async fn read(mut input: BufReader<OwnedReadHalf>, reached: Reached) {
    let shared = &reached.0;
    while let Ok(Some(tell)) = next(&mut input).await {
        match tell {
            Tell::Sample { at, sample } => {
                shared.state().sample = Some((Duration::from_millis(at), sample));
            }
            Tell::Log(lines) => lines.into_iter().for_each(|line| shared.log.push(line)),
            Tell::News(event) => shared.state().news.push_back(event),
            Tell::Answer { id, event } => {
                let asked = shared.state().answers.get(&id).cloned();
                if let Some(asked) = asked {
                    asked.answer(event).await;
                }
                continue;
            }
            Tell::Done { id } => {
                shared.state().answers.remove(&id);
                continue;
            }
            Tell::Wrong(why) => shared.state().wrong = Some(why),
            // Screens draw samples.
            Tell::Hello(_) | Tell::Metrics(_) => {}
        }
        shared.told.notify_waiters();
    }
}

async fn write(mut output: OwnedWriteHalf, mut asked: mpsc::Receiver<Ask>) {
    while let Some(ask) = asked.recv().await {
        // A login may be in it. What cannot be written is a fault of this program: the effects of screens all can.
        let Ok(mut line) = serde_json::to_vec(&ask).map(Zeroizing::new) else {
            continue;
        };
        line.push(b'\n');
        if output.write_all(&line).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::path::RemotePath;

    /// What runs somewhere, and its side of the socket.
    fn remote() -> (Remote, UnixStream) {
        let (here, there) = UnixStream::pair().unwrap();
        let (input, output) = here.into_split();
        (Remote::over(BufReader::new(input), output), there)
    }

    #[tokio::test]
    async fn what_is_asked_of_one_that_has_ended_is_refused() {
        let (mut remote, there) = remote();
        drop(there);
        remote.gone().await;
        let (answers, mut answered) = mpsc::channel(4);
        remote.apply(Effect::Serve(Order::Drain), &answers);
        drop(answers);
        let said = timeout(PATIENCE, answered.recv()).await;
        assert!(matches!(said, Ok(Some(Event::Refused(_)))), "{said:?}");
        let more = timeout(PATIENCE, answered.recv()).await;
        assert!(more.expect("it is waited for").is_none());
    }

    #[tokio::test]
    async fn the_answer_to_a_listing_bears_its_request() {
        let (mut remote, there) = remote();
        let (answers, mut answered) = mpsc::channel(4);
        for request in [7, 8] {
            let path = RemotePath::root();
            remote.apply(Effect::List { request, path }, &answers);
        }
        let (input, mut output) = there.into_split();
        let mut asked = BufReader::new(input).lines();
        for id in [1, 2] {
            let line = asked.next_line().await.unwrap().unwrap();
            assert_eq!(
                line,
                format!(r#"{{"do":{{"id":{id},"effect":{{"list":"/"}}}}}}"#)
            );
        }
        // The later one is answered first.
        for (id, request) in [(2, 8), (1, 7)] {
            let event = Event::Listed {
                request: 0,
                path: RemotePath::root(),
                result: Ok(Vec::new()),
            };
            let mut line = serde_json::to_vec(&Tell::Answer { id, event }).unwrap();
            line.push(b'\n');
            output.write_all(&line).await.unwrap();
            let told = timeout(PATIENCE, answered.recv()).await;
            assert!(
                matches!(&told, Ok(Some(Event::Listed { request: of, .. })) if *of == request),
                "{told:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_reader_that_ends_in_any_way_leaves_nobody_waiting() {
        let (mut remote, _there) = remote();
        let (answers, mut answered) = mpsc::channel(4);
        remote.apply(Effect::Serve(Order::Drain), &answers);
        drop(answers);
        remote.tasks[0].abort();
        let ended = timeout(PATIENCE, answered.recv()).await;
        assert!(ended.expect("it is waited for").is_none());
        assert!(remote.is_gone());
    }
}
