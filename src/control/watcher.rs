//! One watcher of this process.
//!
//! Nothing is kept for it: a sample is taken when there is room to write it, the log is read where the ring has it, and
//! answers wait in a channel of few places, where whoever has them waits as well. So one that stops reading costs what a
//! few answers take, and holds up nobody.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    protocol::{Ask, Hello, Tell},
    seam::Engine,
};
use crate::{
    app::{Effect, Event},
    logging::Ring,
};

/// The longest line that is read, in bytes: an effect may name ten thousand paths.
const LINE_MAX: u64 = 16 << 20;
/// Samples follow each other no faster than this.
const FASTEST: Duration = Duration::from_millis(20);
/// Lines of the log that are told at once.
const LINES: usize = 256;
/// Answers that wait to be written.
const ANSWERS: usize = 4;
/// Effects of one watcher under way; it is not read meanwhile.
const EFFECTS: usize = 8;

/// What waits to be written.
enum Answer {
    Event(u64, Box<Event>),
    Done(u64),
}

/// Serves a watcher until it goes away.
pub(super) async fn run(
    stream: UnixStream,
    (hello, engine, ring): (Hello, impl Engine, Ring),
    metrics: impl Fn() -> String,
    stop: CancellationToken,
) {
    let (input, output) = stream.into_split();
    let (sender, answers) = mpsc::channel(ANSWERS);
    let watcher = Watcher {
        since: Instant::now(),
        output,
        engine,
        metrics,
        ring,
        stop,
        every: Duration::ZERO,
        due: None,
        log: None,
        sender,
        answers,
        under_way: 0,
    };
    // It went away: nobody is left to tell.
    let _ = watcher.serve(input, hello).await;
}

struct Watcher<E, M> {
    since: Instant,
    output: OwnedWriteHalf,
    engine: E,
    metrics: M,
    ring: Ring,
    stop: CancellationToken,
    every: Duration,
    /// When the next sample is.
    due: Option<Instant>,
    /// The last line that was told.
    log: Option<u64>,
    sender: mpsc::Sender<Answer>,
    answers: mpsc::Receiver<Answer>,
    under_way: usize,
}

impl<E: Engine, M: Fn() -> String> Watcher<E, M> {
    async fn serve(mut self, input: OwnedReadHalf, hello: Hello) -> io::Result<()> {
        self.tell(&Tell::Hello(hello)).await?;
        let (lines, mut asked) = mpsc::channel(1);
        let reading = tokio::spawn(read(input, lines));
        let ended = self.turn(&mut asked).await;
        reading.abort();
        ended
    }

    async fn turn(&mut self, asked: &mut mpsc::Receiver<Result<Ask, String>>) -> io::Result<()> {
        loop {
            let due = self.due;
            let sampled = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ask = asked.recv(), if self.under_way < EFFECTS => match ask {
                    Some(Ok(Ask::Metrics)) => {
                        let text = (self.metrics)();
                        self.tell(&Tell::Metrics(text)).await?;
                    }
                    Some(Ok(ask)) => self.take(ask),
                    Some(Err(wrong)) => self.tell(&Tell::Wrong(wrong)).await?,
                    None => return Ok(()),
                },
                Some(answer) = self.answers.recv() => self.answer(answer).await?,
                told = self.engine.told() => if let Some(event) = told {
                    self.tell(&Tell::News(event)).await?;
                },
                () = sampled => self.sample().await?,
            }
        }
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            // Told at once.
            Ask::Metrics => {}
            Ask::Watch { every, log } => {
                self.every = Duration::from_millis(every);
                self.log = log.or(self.log);
                self.due = Some(Instant::now());
            }
            Ask::Do {
                effect: Effect::Stop,
                ..
            } => {
                tracing::info!("told to end by its control socket");
                self.stop.cancel();
            }
            Ask::Do { id, effect } => {
                let (answers, mut answered) = mpsc::channel(1);
                self.engine.apply(effect, &answers);
                drop(answers);
                self.under_way += 1;
                let sender = self.sender.clone();
                tokio::spawn(async move {
                    while let Some(event) = answered.recv().await {
                        // With the watcher gone, whoever answers is told so.
                        if sender
                            .send(Answer::Event(id, Box::new(event)))
                            .await
                            .is_err()
                        {
                            return;
                        }
                    }
                    let _ = sender.send(Answer::Done(id)).await;
                });
            }
        }
    }

    async fn answer(&mut self, answer: Answer) -> io::Result<()> {
        match answer {
            Answer::Event(id, event) => {
                let event = *event;
                self.tell(&Tell::Answer { id, event }).await
            }
            Answer::Done(id) => {
                self.under_way -= 1;
                self.tell(&Tell::Done { id }).await
            }
        }
    }

    /// Tells the log's new lines, and how it stands.
    async fn sample(&mut self) -> io::Result<()> {
        while let Some(seq) = self.log
            && self.ring.generation() > seq
        {
            let lines = self.ring.some_since(seq, LINES);
            let Some(last) = lines.last() else { break };
            self.log = Some(last.seq);
            self.tell(&Tell::Log(lines)).await?;
        }
        let sample = self.engine.sample();
        let at = self.since.elapsed().as_millis() as u64;
        self.tell(&Tell::Sample { at, sample }).await?;
        self.due = (!self.every.is_zero()).then(|| Instant::now() + self.every.max(FASTEST));
        Ok(())
    }

    async fn tell(&mut self, tell: &Tell) -> io::Result<()> {
        let mut line = serde_json::to_vec(tell)?;
        line.push(b'\n');
        self.output.write_all(&line).await
    }
}

/// Reads lines and hands them over one by one; ends with the other side.
async fn read(input: OwnedReadHalf, lines: mpsc::Sender<Result<Ask, String>>) {
    let mut input = BufReader::new(input);
    loop {
        // A login may be in it.
        let mut line = Zeroizing::new(Vec::new());
        let mut bounded = (&mut input).take(LINE_MAX);
        let read = bounded.read_until(b'\n', &mut line).await;
        if !read.is_ok_and(|read| read > 0) || line.pop() != Some(b'\n') {
            return;
        }
        let ask = serde_json::from_slice(&line).map_err(|error| error.to_string());
        if lines.send(ask).await.is_err() {
            return;
        }
    }
}
