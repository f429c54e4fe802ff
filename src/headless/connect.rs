//! `haul connect --headless`.

use std::{
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};

use url::Url;

use super::{hold::hold, plan::Plan, report::Report, signals::Signals, style::Style};
use crate::{
    client::{self, Client, Event, Link},
    config,
    error::{Error, Exit},
};

/// Events that may wait for this loop before workers have to.
const EVENTS: usize = 1024;
/// How long parts may take to reach the disk after a signal.
const STOP: Duration = Duration::from_secs(10);

/// Downloads what the settings ask for, and reports it in the given style.
pub async fn run(settings: config::Connect, style: Style) -> Result<Exit, Error> {
    let mut signals = Signals::new()?;
    if settings.hold
        && let Some(exit) = hold(&mut signals, settings.json).await?
    {
        return Ok(exit);
    }
    let plan = Plan::prepare(&settings).await?;
    // Data on stdout leaves only stderr to speak to people.
    let out: Box<dyn Write + Send> = if plan.for_stdout.is_some() {
        Box::new(io::stderr())
    } else {
        Box::new(io::stdout())
    };
    let mut report = Report::new(style, out, Instant::now());
    let (sender, mut events) = mpsc::channel(EVENTS);
    let mut engine = engine_settings(&settings, plan.url.clone(), plan.mirrors.clone(), &plan.dir);
    let to_stdout = plan.stdout();
    if to_stdout.is_some() {
        // Nothing of it is there to be gone on with.
        engine.state_dir = None;
    }
    let client = Client::start(engine, sender)?;
    let item = client.get(plan.want.clone(), None)?;
    let restored = client.restore(false);
    if restored > 0 {
        tracing::info!("left from an earlier run, gone on with: {restored} to download");
    }
    let mut open = 1 + restored;

    let mut tick = interval(report.interval());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let followed = async {
        match &to_stdout {
            Some(to_stdout) => to_stdout.follow(&client, item).await,
            None => std::future::pending().await,
        }
    };
    let mut followed = std::pin::pin!(followed);
    let signal = loop {
        tokio::select! {
            biased;
            exit = signals.next() => break Some(exit),
            event = events.recv() => match event {
                Some(Event::Ended { .. }) => {
                    open -= 1;
                    if open == 0 {
                        break None;
                    }
                }
                Some(event) => {
                    report.event(&event)?;
                    to_stdout.as_ref().map_or(Ok(()), |out| out.check(&event))?;
                }
                None => break None,
            },
            error = &mut followed => return Err(error),
            _ = tick.tick() => report.progress(&client.snapshot(), Instant::now())?,
        }
    };
    let (exit, _) = client.outcome();
    if let Link::Down(reason) = client.snapshot().link {
        report.lost(&reason)?;
    }
    if signal.is_some() {
        tracing::info!("stopping: what is here is kept, a second signal ends at once");
    }
    stop(&client, &mut events, &mut report, &mut signals).await?;
    if let Some(to_stdout) = &to_stdout
        && signal.is_none()
        && exit == Exit::Done
    {
        to_stdout.finish().await?;
    }
    let (_, failed) = client.tally();
    report.end(Instant::now(), failed, signal.is_some())?;
    Ok(signal.unwrap_or(exit))
}

/// Ends the client's connections and lets parts reach the disk. Events are taken meanwhile: workers may wait to
/// hand theirs over.
async fn stop(
    client: &Client,
    events: &mut mpsc::Receiver<Event>,
    report: &mut Report,
    signals: &mut Signals,
) -> Result<(), Error> {
    let mut stopped = std::pin::pin!(timeout(STOP, client.stop()));
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            _ = signals.next() => break,
            Some(event) = events.recv() => report.event(&event)?,
        }
    }
    while let Ok(event) = events.try_recv() {
        report.event(&event)?;
    }
    Ok(())
}

/// What the client's engine runs with, with or without a screen; without one nobody could end endless patience.
pub(crate) fn engine_settings(
    settings: &config::Connect,
    url: Url,
    mirrors: Vec<Url>,
    dir: &Path,
) -> client::Settings {
    client::Settings {
        url,
        mirrors,
        dir: dir.to_owned(),
        state_dir: config::state_dir(),
        workers: settings.workers,
        retries: settings.retries,
        timeout: settings.timeout,
        limit: settings.limit,
        user: settings.user.clone(),
        serial: settings.serial,
        on_conflict: settings.on_conflict,
        resume: settings.resume,
        patient: false,
    }
}
