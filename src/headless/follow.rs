//! A client without a screen, until all it has to do has ended.

use std::time::{Duration, Instant};

use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{report::Report, stdout::ToStdout};
use crate::{
    client::{Client, Event, ItemId, Link},
    error::Error,
    exit::Exit,
    sys::signals::Signals,
};

/// How long parts may take to reach the disk after a signal.
const STOP: Duration = Duration::from_secs(10);

/// A client that runs, and who is told of it.
pub(super) struct Running<'a> {
    pub client: &'a Client,
    pub events: &'a mut mpsc::Receiver<Event>,
    pub report: &'a mut Report,
    pub signals: &'a mut Signals,
    /// What a watcher ends it by.
    pub quit: &'a CancellationToken,
    /// The file that goes to stdout, and the way there.
    pub to_stdout: Option<(&'a ToStdout, ItemId)>,
}

impl Running<'_> {
    /// Reports until everything has ended, a signal comes or a watcher ends it; then all that was received is brought to the
    /// disk. What the downloads amount to, and the status of a signal.
    pub async fn until_end(mut self) -> Result<(Exit, Option<Exit>), Error> {
        let signal = self.until_ended().await?;
        let exit = self.client.amount().exit;
        if let Link::Down(reason) | Link::Banned(reason) = self.client.snapshot().link {
            self.report.lost(&reason)?;
        }
        if signal.is_some() {
            let kept = if self.client.can_be_gone_on_with() {
                "what is here is kept, "
            } else {
                ""
            };
            tracing::info!("stopping: {kept}a second signal ends at once");
        }
        let late = self.stop().await?;
        Ok((exit, signal.or(late)))
    }

    async fn until_ended(&mut self) -> Result<Option<Exit>, Error> {
        let mut tick = interval(self.report.interval());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (client, to_stdout) = (self.client, self.to_stdout);
        let followed = async {
            match to_stdout {
                Some((to_stdout, item)) => to_stdout.follow(client, item).await,
                None => std::future::pending().await,
            }
        };
        let mut followed = std::pin::pin!(followed);
        loop {
            tokio::select! {
                biased;
                exit = self.signals.next() => return Ok(Some(exit)),
                () = self.quit.cancelled() => return Ok(Some(Exit::Interrupted)),
                event = self.events.recv() => match event {
                    // Watchers add to the queue, and try again what failed.
                    Some(Event::Ended { .. }) => {
                        if self.events.is_empty() && client.has_ended() {
                            return Ok(None);
                        }
                    }
                    Some(event) => {
                        self.report.event(&event)?;
                        to_stdout.map_or(Ok(()), |(out, _)| out.check(&event))?;
                    }
                    None => return Ok(None),
                },
                error = &mut followed => return Err(error),
                _ = tick.tick() => self.report.progress(&client.snapshot(), Instant::now())?,
            }
        }
    }

    /// Ends the client's connections and lets parts reach the disk. Events are taken meanwhile: workers may wait to
    /// hand theirs over. The status of a signal that ends it early.
    async fn stop(&mut self) -> Result<Option<Exit>, Error> {
        let mut stopped = std::pin::pin!(timeout(STOP, self.client.stop()));
        let signal = loop {
            tokio::select! {
                _ = &mut stopped => break None,
                exit = self.signals.next() => break Some(exit),
                Some(event) = self.events.recv() => self.report.event(&event)?,
            }
        };
        while let Ok(event) = self.events.try_recv() {
            self.report.event(&event)?;
        }
        Ok(signal)
    }
}
