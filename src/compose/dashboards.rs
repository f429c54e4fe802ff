//! The engines with their dashboards.

use std::{io::Write as _, net::TcpListener, path::Path, sync::Arc, time::Duration};

use futures_util::future::join;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    app::{self, serve::Facts},
    client::{self, Access, Client, Want},
    config::{self, Commands, target::Target},
    control::{self, Found, Hub, Left, Session, Subject, Watched},
    dashboard::{self, ConnectStart, Ending},
    discovery::goodbye,
    error::Error,
    escape::{display_error, display_path},
    exit::{Exit, Local, reason},
    headless::{self, HandedOver, checksums, demo::Demo, plan::Plan},
    logging::Ring,
    server::{Server, Stop, TransferState},
    sums::Given,
    sys::signals::Signals,
    units::Rate,
};

/// Events that may wait for the dashboard before workers have to.
const EVENTS: usize = 1024;
/// The samples have 426 KiB: at this rate all of them take some 20 s, so that bars are seen to move.
const DEMO_RATE: Rate = Rate(22 << 10);
/// What to try first.
const DEMO_TRY: &str =
    "Try: Ctrl-a marks all, d downloads it, slowly · p pauses · Ctrl-f finds · :limit off · ? keys";
/// How long connections may take to close once they are told to.
const ABORT: Duration = Duration::from_secs(1);
/// What running answers get after SIGTERM, or once the terminal is gone: whoever ends the session waits no longer.
const TERMINATED: Duration = Duration::from_millis(500);

/// Serves, and shows it, until the user or a signal ends it.
pub(super) async fn serve(
    settings: config::Serve,
    sockets: Vec<TcpListener>,
    ring: Ring,
) -> Result<Exit, Error> {
    let script = script(settings.run.as_ref(), false)?;
    let (screen, log) = (settings.screen.clone(), ring.clone());
    let shown = async |server, facts, quit| {
        let ended = dashboard::serve(server, facts, (log, script), &screen, quit).await;
        ended.map_err(no_terminal)
    };
    serve_shown(settings, sockets, ring, shown).await
}

/// Serves, on `sockets` where there are any, until `shown` ends, which is given the server, its facts and what ends it from
/// elsewhere.
pub(super) async fn serve_shown(
    settings: config::Serve,
    sockets: Vec<TcpListener>,
    ring: Ring,
    shown: impl AsyncFnOnce(Server, Facts, CancellationToken) -> Result<Ending, Error>,
) -> Result<Exit, Error> {
    let server = Server::new(headless::serve::engine_settings(&settings)?)?;
    let listeners = headless::serve::listeners(&settings, sockets).await?;
    let facts = headless::serve::facts(&server, &listeners, &settings.dir);
    for url in &facts.urls {
        tracing::info!("listening on {url}");
    }
    if let Some(fingerprint) = server.fingerprint() {
        tracing::info!("fingerprint SHA256:{fingerprint}");
    }
    let quit = CancellationToken::new();
    let subject = Subject::Serve {
        server: server.clone(),
        facts: facts.clone(),
    };
    let control = control::listen(&settings.control, "serve", subject, ring, quit.clone())?;
    let announced = headless::serve::announce(&settings, &facts, &listeners);
    let stop = Stop::default();
    let running = {
        let (server, stop) = (server.clone(), stop.clone());
        tokio::spawn(async move { server.run(listeners, stop).await })
    };
    let ended = shown(server.clone(), facts, quit).await;
    drop(control);
    // Running answers get their time, which the server keeps itself; a second signal ends the process.
    stop.drain.cancel();
    let clients = server.snapshot().clients;
    let mut transfers = clients.iter().flat_map(|client| &client.transfers);
    let busy = transfers.any(|transfer| transfer.state == TransferState::Active);
    if busy && matches!(ended, Ok(Ending::Quit | Ending::Interrupted)) {
        // The screen is the user's again; without stderr nobody waits here.
        let _ = writeln!(
            std::io::stderr(),
            "haul: running transfers get 10 s to finish; Ctrl-C ends them at once"
        );
    }
    let told = matches!(ended, Ok(Ending::Terminated | Ending::HungUp));
    tokio::select! {
        _ = join(running, goodbye(announced)) => {}
        () = hurried(told) => {
            stop.abort.cancel();
            tokio::time::sleep(ABORT).await;
        }
    }
    ended.map(exit)
}

/// Completes once running answers get no more time: at another signal, or soon where one has `told` it to end.
async fn hurried(told: bool) {
    let signalled = async {
        match Signals::new() {
            Ok(mut signals) => signals.next().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = signalled => {}
        () = tokio::time::sleep(TERMINATED), if told => {}
    }
}

/// How a client's dashboard ended.
pub(super) enum Ended {
    /// With this status.
    Here(Exit),
    /// Another process is to go on with this.
    Detached(Box<HandedOver>),
}

/// Browses and downloads, and shows it, until the user or a signal ends it.
pub(super) async fn connect(settings: config::Connect, ring: Ring) -> Result<Ended, Error> {
    let stays = (settings.control.socket == config::Socket::Off)
        .then_some("nothing could be attached to it: leave --control off out");
    connect_with(settings, ring, None, stays).await
}

/// The same, with a line that greets, and why it cannot leave the terminal.
async fn connect_with(
    mut settings: config::Connect,
    ring: Ring,
    greeting: Option<&'static str>,
    stays: Option<&'static str>,
) -> Result<Ended, Error> {
    let access = headless::access::access(&mut settings)?;
    let script = script(settings.run.as_ref(), true)?;
    // A target directory that cannot be used is told before the screen is taken.
    let first = if settings.means_no_server() {
        None
    } else {
        Some(first(&settings, &access).await?)
    };
    let facts = headless::connect::facts(&settings);
    let (screen, seen) = (settings.screen.clone(), settings.control.clone());
    let hub = hub(settings, access);
    let hub = match stays {
        Some(why) => hub.staying(why),
        None => hub,
    };
    let (first, asked) = first.unzip();
    let asked = first.as_ref().map(|first| first.client.clone()).zip(asked);
    let start = ConnectStart {
        facts: facts.clone(),
        server: first.and_then(|first| hub.turn_to(first)),
        script,
        greeting,
    };
    let subject = Subject::Connect {
        hub: hub.clone(),
        facts,
    };
    let quits = CancellationToken::new();
    let control = control::listen(&seen, "connect", subject, ring.clone(), quits.clone())?;
    if let Some((client, want)) = asked {
        ask(&client, want)?;
    }
    let ended = dashboard::connect(start, hub.clone(), ring, &screen, quits).await;
    drop(control);
    match (ended.map_err(no_terminal)?, hub.handover()) {
        ((Ending::Detached, _), Some((client, lcd))) => {
            Ok(Ended::Detached(Box::new(HandedOver { client, lcd })))
        }
        ((Ending::Quit, left), _) => quit(left).map(Ended::Here),
        ((ending, _), _) => Ok(Ended::Here(exit(ending))),
    }
}

/// What turns to the servers that the user names.
pub(super) fn hub(settings: config::Connect, access: Access) -> Hub {
    Hub::new(move |target: Target| {
        turn_to(&settings, target, &access)
            .inspect(|session| restore(&session.client))
            .map_err(|error| display_error(&error))
    })
}

/// Serves the samples, and browses them.
pub(super) async fn demo(
    log: config::Log,
    screen: config::Screen,
    ring: Ring,
) -> Result<Exit, Error> {
    let demo = Demo::start(log, screen).await?;
    let settings = config::Connect {
        limit: Some(DEMO_RATE),
        ..demo.settings.clone()
    };
    let stays = "this process serves the samples";
    let ended = connect_with(settings, ring, Some(DEMO_TRY), Some(stays)).await;
    demo.end().await;
    match ended? {
        Ended::Here(exit) => Ok(exit),
        Ended::Detached(_) => Ok(Exit::Done),
    }
}

/// Shows what runs elsewhere until the user leaves it; asks which where several are meant.
pub(super) async fn attach(name: Option<&str>, screen: &config::Screen) -> Result<Exit, Error> {
    let found = match control::named(name) {
        Err(control::Error::Several(_)) => match choose(control::meant(name)).await {
            Some(found) => found,
            None => return Ok(Exit::Done),
        },
        found => found?,
    };
    let name = found.label();
    let watched = Watched::open(&found, true).await?;
    let ended = dashboard::attach::attach(watched, name.clone(), screen).await;
    if matches!(ended, Ok(Ending::Over)) {
        // Without stderr nobody reads it.
        let _ = writeln!(std::io::stderr(), "haul: {name} has ended");
    }
    ended.map(exit).map_err(no_terminal)
}

/// Lets the user choose by a number; `None` where he chooses nothing.
async fn choose(mut found: Vec<Found>) -> Option<Found> {
    let lines = headless::status::lines(&found).await;
    let mut out = std::io::stderr();
    for (number, line) in (1..).zip(&lines) {
        writeln!(out, "{number:2}  {line}").ok()?;
    }
    loop {
        write!(out, "Attach to [1-{}]: ", found.len()).ok()?;
        let mut answer = String::new();
        if std::io::stdin().read_line(&mut answer).ok()? == 0 || answer.trim().is_empty() {
            return None;
        }
        let chosen = answer.trim().parse::<usize>().ok();
        if let Some(at) = chosen
            .and_then(|n| n.checked_sub(1))
            .filter(|at| *at < found.len())
        {
            return Some(found.swap_remove(at));
        }
    }
}

/// A client of the server that the settings name, and what they ask for there, which is for [`ask`].
pub(super) async fn first(
    settings: &config::Connect,
    access: &Access,
) -> Result<(Session, Option<Want>), Error> {
    if settings.only_browses() {
        let (url, mirrors) = (settings.url.clone(), settings.mirrors.clone());
        let checksums = checksums::given(settings, &url, None, access).await?;
        let session = session(
            settings,
            url,
            mirrors,
            None,
            &settings.dir,
            access,
            checksums,
        )?;
        return Ok((session, None));
    }
    let plan = Plan::prepare(settings, access).await?;
    if plan.for_stdout.is_some() {
        let line = if settings.run == Some(Commands::Stdin) {
            "--output names a device or a pipe, to which --run - does not write: leave one of them out"
        } else {
            "--output names a device or a pipe, which needs --headless"
        };
        return Err(Error::Usage(line.into()));
    }
    let checksums = checksums::given(settings, &plan.url, plan.one(), access).await?;
    let (url, mirrors, named_at) = (plan.url, plan.mirrors, plan.named_at);
    let session = session(
        settings, url, mirrors, named_at, &plan.dir, access, checksums,
    )?;
    Ok((session, Some(plan.want)))
}

/// Asks for what the settings name, once nothing can refuse the run any more: else a later one would go on with it. What
/// earlier runs left is found.
pub(super) fn ask(client: &Client, want: Option<Want>) -> Result<(), Error> {
    if let Some(want) = want {
        client.get(want, None)?;
    }
    restore(client);
    Ok(())
}

/// A client of another server that the user names, with the login that its URL may hold.
fn turn_to(
    settings: &config::Connect,
    target: Target,
    access: &Access,
) -> Result<Session, client::Error> {
    let url = if target.bare {
        access.with_scheme(&target.url, false)?
    } else {
        target.url
    };
    if let Some(credentials) = target.credentials {
        access.present(&url, credentials);
    }
    // A list that was given is of the server that was named first.
    session(settings, url, Vec::new(), None, &settings.dir, access, None)
}

/// What earlier runs left undone waits, paused, until the user lets it go on.
fn restore(client: &Client) {
    let restored = client.restore(true);
    if restored > 0 {
        tracing::info!(
            "from an earlier run, paused: {restored} to download: P lets all go on, x forgets one"
        );
    }
}

fn session(
    settings: &config::Connect,
    url: Url,
    mirrors: Vec<Url>,
    named_at: Option<Url>,
    dir: &Path,
    access: &Access,
    checksums: Option<Arc<Given>>,
) -> Result<Session, client::Error> {
    let (sender, events) = mpsc::channel(EVENTS);
    let engine = client::Settings {
        // Without a screen nobody could end endless patience.
        patient: settings.run != Some(Commands::Stdin),
        checksums,
        named_at,
        ..headless::plan::engine_settings(settings, url, mirrors, dir, access)
    };
    let client = Client::start(engine, sender)?;
    Ok(Session { client, events })
}

/// The commands of a `--run` file and where each stands: a line each; empty lines and those that begin with `#` are
/// left out. A line that cannot be read is told before the screen is taken.
fn script(run: Option<&Commands>, connect: bool) -> Result<Vec<(String, String)>, Error> {
    let Some(Commands::File(file)) = run else {
        return Ok(Vec::new());
    };
    let shown = display_path(file);
    let text = std::fs::read_to_string(file).map_err(|error| {
        Error::Usage(format!(
            "{shown}: {}: name a file of commands",
            reason(&error)
        ))
    })?;
    let mut commands = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.trim_start_matches(':');
        let place = format!("{shown}:{number}");
        app::command::parse(line, connect)
            .map_err(|problem| Error::Usage(format!("{place}: {problem}")))?;
        commands.push((line.to_owned(), place));
    }
    Ok(commands)
}

/// The status after `q`, and a line where something is not as it was asked for: so that a script, or a person who looked
/// away, learns of it.
pub(super) fn quit(left: Left) -> Result<Exit, Error> {
    let line = match (left.failed, left.unfinished) {
        (0, 0) => return Ok(Exit::Done),
        (0, n) if left.goes_on => format!(
            "stopped with {} unfinished: the same command goes on",
            transfers(n)
        ),
        (0, n) => format!("stopped with {} unfinished", transfers(n)),
        (1, _) => match left.error {
            Some(error) => return Err(error.into()),
            None => "a transfer failed: the log says why".to_owned(),
        },
        (n, _) => format!("{} failed: the log says why", transfers(n)),
    };
    // Without stderr nobody reads it.
    let _ = writeln!(std::io::stderr(), "haul: {line}");
    Ok(if left.failed > 0 {
        left.exit
    } else {
        Exit::Interrupted
    })
}

fn transfers(count: usize) -> String {
    match count {
        1 => "a transfer".to_owned(),
        n => format!("{n} transfers"),
    }
}

/// The status that a dashboard's end amounts to.
pub(super) const fn exit(ended: Ending) -> Exit {
    match ended {
        Ending::Quit | Ending::Over | Ending::Detached => Exit::Done,
        Ending::ScriptFailed => Exit::Other,
        Ending::Interrupted => Exit::Interrupted,
        Ending::Terminated | Ending::HungUp => Exit::Terminated,
    }
}

fn no_terminal(source: std::io::Error) -> Error {
    Error::Local(Local {
        what: "cannot use the terminal".into(),
        source,
        remedy: "run it in a terminal, or with --headless",
        exit: Exit::Other,
    })
}
