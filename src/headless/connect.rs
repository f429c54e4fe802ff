//! `haul connect --headless`.

use std::{io, sync::Arc, time::Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    HandedOver,
    access::{access, vouch},
    checksums, delete,
    follow::Running,
    hold::hold,
    plan::{Plan, engine_settings},
    report::Report,
    stdout::ToStdout,
    style::Style,
    summary::Ended,
};
use crate::{
    app::connect::Facts,
    client::{self, Access, Client, Event, ItemId, Outcome},
    config,
    control::{self, Control, Hub, Subject},
    error::Error,
    exit::{Exit, Local},
    logging::{self, Ring},
    sums::Given,
    sys::{
        detach,
        emulator::takes_links,
        scratch::Scratch,
        signals::{Signals, end_whatever_hangs},
        terminal::is_in_foreground,
    },
};

/// Events that may wait for this loop before workers have to.
const EVENTS: usize = 1024;

/// Downloads what the settings ask for, and reports it in the given style.
pub async fn run(mut settings: config::Connect, style: Style, ring: Ring) -> Result<Exit, Error> {
    let access = access(&mut settings)?;
    if is_in_foreground(&io::stdin()) && is_in_foreground(&io::stderr()) {
        vouch(&settings, &access).await?;
    }
    let mut signals = Signals::new()?;
    end_whatever_hangs();
    if settings.hold
        && let Some(exit) = hold(&mut signals, settings.json).await?
    {
        return Ok(exit);
    }
    delete::check(&settings)?;
    let prepared = signals.or(Plan::prepare(&settings, &access)).await;
    let plan = match prepared.unwrap_or_else(|exit| Err(Error::Signal(exit))) {
        Ok(plan) => plan,
        Err(error) => {
            let report = Report::new(style, Box::new(io::stdout()), Instant::now());
            return Err(not_begun(report, error));
        }
    };
    let mut report = reporter(&settings, style, &plan);
    let begun = begin(&settings, &plan, &access, &mut signals, ring).await;
    let Begun {
        client,
        mut events,
        item,
        to_stdout,
        given,
        quit,
        control,
        elsewhere,
    } = match begun {
        Ok(begun) => begun,
        Err(error) => return Err(not_begun(report, error)),
    };
    let running = Running {
        client: &client,
        events: &mut events,
        report: &mut report,
        signals: &mut signals,
        quit: &quit,
        to_stdout: to_stdout.as_ref().map(|out| (out, item)),
    };
    let mut ended = running.until_end().await;
    if let (Some(to_stdout), Ok((Exit::Done, None))) = (&to_stdout, &ended) {
        // A reader may take nothing for ever.
        let finished = signals.or(to_stdout.finish()).await;
        ended = after(
            Exit::Done,
            finished.unwrap_or_else(|exit| Err(Error::Signal(exit))),
        );
    }
    checksums::warn_untold(given.as_deref());
    drop((control, elsewhere));
    if let Ok((exit, None)) = ended
        && settings.delete
    {
        let deleted = delete::delete(&client, &settings, exit, &mut report, &mut signals);
        ended = after(exit, deleted.await);
    }
    end(report, &client, ended)
}

/// A run whose downloads have begun.
struct Begun {
    client: Client,
    events: mpsc::Receiver<Event>,
    item: ItemId,
    to_stdout: Option<ToStdout>,
    /// The list of digests that the user gave.
    given: Option<Arc<Given>>,
    /// What a watcher ends it by.
    quit: CancellationToken,
    control: Control,
    /// Stands for a target that is missing.
    elsewhere: Option<Scratch>,
}

/// Asks the engine for what is planned.
async fn begin(
    settings: &config::Connect,
    plan: &Plan,
    access: &Access,
    signals: &mut Signals,
    ring: Ring,
) -> Result<Begun, Error> {
    let (sender, events) = mpsc::channel(EVENTS);
    let mut engine = engine_settings(
        settings,
        plan.url.clone(),
        plan.mirrors.clone(),
        &plan.dir,
        access,
    );
    engine.named_at.clone_from(&plan.named_at);
    let elsewhere = dry(settings, &mut engine)?;
    let given = signals.or(checksums::given(settings, &plan.url, plan.one(), access));
    let given = given.await.map_err(Error::Signal)??;
    engine.checksums.clone_from(&given);
    let to_stdout = plan.stdout();
    if to_stdout.is_some() {
        // Nothing of it is there to be gone on with.
        engine.state_dir = None;
    }
    let client = Client::start(engine, sender)?;
    let quit = CancellationToken::new();
    // Before anything is asked for: a run that is refused here leaves nothing for a later one.
    let control = listen(settings, facts(settings), &client, ring, &quit)?;
    let item = client.get(plan.want.clone(), None)?;
    go_on_with_left(&client, settings.dry_run);
    if settings.detach {
        runs(settings)?;
    }
    Ok(Begun {
        client,
        events,
        item,
        to_stdout,
        given,
        quit,
        control,
        elsewhere,
    })
}

/// Tells that nothing was begun, for whoever reads the summary; the error's line is the caller's to print.
fn not_begun(report: Report, error: Error) -> Error {
    let now = Instant::now();
    if matches!(error, Error::Signal(_)) {
        // The signal's status stays, whoever reads this.
        let _ = report.end(now, 0, Ended::Interrupted);
    } else {
        report.broken(now, 0, &error);
    }
    error
}

/// What a run came to: what its downloads amount to, and the status of a signal.
type Came = Result<(Exit, Option<Exit>), Error>;

/// The same after one more step.
fn after(exit: Exit, step: Result<(), Error>) -> Came {
    match step {
        Ok(()) => Ok((exit, None)),
        Err(Error::Signal(signal)) => Ok((exit, Some(signal))),
        Err(error) => Err(error),
    }
}

/// Tells what the run came to, whatever ended it; its status.
fn end(mut report: Report, client: &Client, came: Came) -> Result<Exit, Error> {
    let Outcome {
        failed, cancelled, ..
    } = client.amount();
    report.cancelled(cancelled);
    match came {
        Ok((exit, signal)) => {
            let ended = Ended::of(client, signal.is_some());
            report.end(Instant::now(), failed, ended)?;
            Ok(signal.unwrap_or(exit))
        }
        Err(error) => {
            report.broken(Instant::now(), failed, &error);
            Err(error)
        }
    }
}

/// Goes on, without a terminal, with what a dashboard of the same command line left.
pub async fn go_on(
    mut settings: config::Connect,
    left: HandedOver,
    ring: Ring,
) -> Result<Exit, Error> {
    let access = access(&mut settings)?;
    let HandedOver { client: left, lcd } = left;
    left.present(&access);
    let mut signals = Signals::new()?;
    end_whatever_hangs();
    let checksums = if left.checksums {
        let one = Plan::one_of(&settings);
        let given = signals.or(checksums::given(&settings, &left.url, one, &access));
        given.await.map_err(Error::Signal)??
    } else {
        None
    };
    settings.dir.clone_from(&left.dir);
    (settings.limit, settings.resume, settings.named) = (left.limit, true, true);
    let (url, mirrors) = (left.url.clone(), left.mirrors.clone());
    let engine = client::Settings {
        checksums,
        ..engine_settings(&settings, url, mirrors, &left.dir, &access)
    };
    let (sender, mut events) = mpsc::channel(EVENTS);
    let client = Client::start(engine, sender)?;
    let Some(count) = client.take_over(&left) else {
        return Err(Error::Usage(
            "another haul has taken the journal of this target and server".into(),
        ));
    };
    tracing::info!("gone on with, without the terminal: {count} to download");
    let quit = CancellationToken::new();
    let facts = Facts {
        lcd,
        ..facts(&settings)
    };
    let control = listen(&settings, facts, &client, ring, &quit)?;
    runs(&settings)?;
    let mut report = Report::new(Style::Silent, Box::new(io::sink()), Instant::now());
    let running = Running {
        client: &client,
        events: &mut events,
        report: &mut report,
        signals: &mut signals,
        quit: &quit,
        to_stdout: None,
    };
    let ended = running.until_end().await;
    drop(control);
    end(report, &client, ended)
}

/// Lets screens and commands reach the client; `quit` is cancelled where one of them ends it.
fn listen(
    settings: &config::Connect,
    facts: Facts,
    client: &Client,
    ring: Ring,
    quit: &CancellationToken,
) -> Result<Control, Error> {
    let hub = Hub::of(client.clone());
    let subject = Subject::Connect { hub, facts };
    let (settings, stop) = (&settings.control, quit.clone());
    Ok(control::listen(settings, "connect", subject, ring, stop)?)
}

/// Goes on with what earlier runs left; a dry run says that one that is none would.
fn go_on_with_left(client: &Client, dry_run: bool) {
    if dry_run {
        let left = client.left_over();
        if left > 0 {
            tracing::warn!(
                "left from an earlier run: {left} to download, which a run without --dry-run goes on with, each by its own rule"
            );
        }
        return;
    }
    let restored = client.restore(false);
    if restored > 0 {
        tracing::info!("left from an earlier run, gone on with: {restored} to download");
    }
}

/// Who tells what happens.
fn reporter(settings: &config::Connect, style: Style, plan: &Plan) -> Report {
    // Data on stdout leaves only stderr to speak to people.
    if plan.for_stdout.is_some() {
        return Report::new(style, Box::new(io::stderr()), Instant::now());
    }
    let report = Report::new(style, Box::new(io::stdout()), Instant::now());
    if settings.dry_run {
        report.dry()
    } else if takes_links(&io::stdout()) {
        report.linked(&plan.dir)
    } else {
        report
    }
}

/// A run that changes nothing makes no directory either: an empty one stands for a target that is missing.
fn dry(
    settings: &config::Connect,
    engine: &mut client::Settings,
) -> Result<Option<Scratch>, Error> {
    if !settings.dry_run {
        return Ok(None);
    }
    if engine.dir.exists() {
        return Ok(None);
    }
    let scratch = Scratch::new()?;
    scratch.path().clone_into(&mut engine.dir);
    Ok(Some(scratch))
}

/// Tells whoever started this run that it is under way.
fn runs(settings: &config::Connect) -> Result<(), Error> {
    let name = settings.control.instance.as_deref().unwrap_or("connect");
    let said = format!("{name}.{}", std::process::id());
    let log = logging::path(&settings.log, "connect");
    detach::runs(&said, log.as_deref()).map_err(|source| {
        Error::Local(Local {
            what: "cannot leave the terminal".into(),
            source,
            remedy: "run it without --detach",
            exit: Exit::Other,
        })
    })
}

/// Asks what a person has to be asked, while there is a terminal.
pub async fn ask_first(mut settings: config::Connect) -> Result<(), Error> {
    let access = access(&mut settings)?;
    if is_in_foreground(&io::stdin()) && is_in_foreground(&io::stderr()) {
        vouch(&settings, &access).await?;
    }
    Ok(())
}

/// What screens of a client are told.
pub(crate) fn facts(settings: &config::Connect) -> Facts {
    let dir = settings.dir.clone();
    Facts {
        user: settings.user.clone(),
        dir: std::path::absolute(&dir).unwrap_or(dir),
        home: std::env::home_dir(),
        lcd: None,
        named: settings.named,
    }
}
