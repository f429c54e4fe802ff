//! Puts the parts together for one run: settings, log, runtime, and the engine with or without a screen.

mod dashboards;
mod lines;

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use tracing::Level;

use self::dashboards::Ended;
use crate::{
    app::command::quoted,
    cli::{
        self, AttachArgs, CheckArgs, ConnectArgs, DemoArgs, EvalArgs, Notes, PlotArgs, ServeArgs,
        SumArgs,
    },
    config, control, credentials, dashboard,
    error::Error,
    eval,
    exit::{Exit, Local},
    headless::{self, HandedOver, style::Style},
    logging::{Logging, Ring, Show, Sink},
    plot,
    sys::{detach, orphans, service, terminal::is_in_foreground},
};

/// Columns of a chart where no terminal tells how many there are.
const PLOT_WIDTH: u16 = 100;
/// How long blocking work may hold up the end of the program, once everything else has stopped.
const LAST_WORK: Duration = Duration::from_secs(2);

/// Runs `haul serve`; `notes` says what decided over what.
pub fn serve(args: ServeArgs, notes: &Notes) -> Result<Exit, Error> {
    // Before any thread is started: it changes the environment.
    let sockets = service::sockets().map_err(Error::Usage)?;
    let settings = cli::serve(args, is_in_foreground(&io::stdout()))?;
    if settings.run == Some(config::Commands::Stdin) {
        let ring = Ring::new();
        let _log = Logging::start(&settings.log, "serve", Show::Ring(ring.clone()), None)?;
        note(notes);
        return block_on(serving(lines::serve(settings, sockets, ring)));
    }
    if !settings.headless {
        let ring = Ring::new();
        let _log = Logging::start(&settings.log, "serve", Show::Ring(ring.clone()), None)?;
        note(notes);
        return block_on(serving(dashboards::serve(settings, sockets, ring)));
    }
    let (show, ring) = (Show::Stderr(settings.log.level), Ring::new());
    let _log = Logging::start(
        &settings.log,
        "serve",
        show,
        watched(&settings.control, &ring),
    )?;
    note(notes);
    let mut out = io::stdout();
    let served = headless::serve::run(settings, sockets, ring, &mut out);
    block_on(serving(served))
}

/// Serves, which starts no other program: as process 1 of a container it cares for those that come to it.
async fn serving<T>(served: impl Future<Output = T>) -> T {
    tokio::spawn(orphans::let_go());
    served.await
}

/// Runs `haul connect`; `notes` says what decided over what.
pub fn connect(args: ConnectArgs, notes: &Notes) -> Result<Exit, Error> {
    if detach::takes_over() {
        // Where a dashboard was, one was allowed.
        return takes_over(cli::connect(args, true)?, notes);
    }
    let settings = cli::connect(args, is_in_foreground(&io::stdout()))?;
    if settings.detach {
        return if detach::is_detached() {
            detached(settings, notes)
        } else {
            begin_detached(settings)
        };
    }
    let lines = settings.run == Some(config::Commands::Stdin);
    if lines || !settings.headless {
        let ring = Ring::new();
        let log = Logging::start(&settings.log, "connect", Show::Ring(ring.clone()), None)?;
        note(notes);
        if lines {
            return block_on(lines::connect(settings, ring));
        }
        // Once this has ended, nothing here holds the journal any more.
        let ended = block_on(dashboards::connect(settings, ring))?;
        drop(log);
        return match ended {
            Ended::Here(exit) => Ok(exit),
            Ended::Detached(left) => hand_over(&left),
        };
    }
    let style = Style::choose(settings.json, is_in_foreground(&io::stderr()));
    // With a bar or JSON, what goes well is shown there.
    let level = match style {
        Style::Lines => settings.log.level,
        Style::Bar(_) | Style::Json | Style::Silent => Level::WARN,
    };
    let (show, ring) = (Show::Lines(level, style.stderr()), Ring::new());
    let _log = Logging::start(
        &settings.log,
        "connect",
        show,
        watched(&settings.control, &ring),
    )?;
    note(notes);
    block_on(headless::connect::run(settings, style, ring))
}

/// The ring for those who watch, where anybody can.
fn watched(control: &config::Control, ring: &Ring) -> Option<Ring> {
    (control.socket != config::Socket::Off).then(|| ring.clone())
}

/// Starts `haul connect --detach` once more, in a session of its own. What has to be asked is asked before, while there is a
/// terminal.
fn begin_detached(settings: config::Connect) -> Result<Exit, Error> {
    block_on(headless::connect::ask_first(settings))?;
    let started =
        detach::start().map_err(|source| not_started(source, "run it without --detach"))?;
    match started {
        detach::Started::Runs(name) => {
            // Without a reader of it, it runs all the same.
            let _ = writeln!(io::stdout(), "{name}");
            Ok(Exit::Done)
        }
        detach::Started::Ended(status) => std::process::exit(status),
    }
}

fn not_started(source: io::Error, remedy: &'static str) -> Error {
    Error::Local(Local {
        what: "cannot start in the background".into(),
        source,
        remedy,
        exit: Exit::Other,
    })
}

/// Starts the program once more, to go on with what a dashboard left.
fn hand_over(left: &HandedOver) -> Result<Exit, Error> {
    const KEPT: &str = "what is here is kept: the same command goes on with it";
    let started = serde_json::to_vec(left)
        .map_err(io::Error::other)
        .and_then(|left| detach::start_with(&left))
        .map_err(|source| not_started(source, KEPT))?;
    // Without stderr nobody reads it.
    match started {
        detach::Started::Runs(name) => {
            let line =
                format!("haul: {name} goes on in the background: `haul attach {name}` shows it");
            let _ = writeln!(io::stderr(), "{line}");
            Ok(Exit::Done)
        }
        detach::Started::Ended(status) => {
            let _ = writeln!(
                io::stderr(),
                "haul: it does not go on in the background: {KEPT}"
            );
            std::process::exit(status)
        }
    }
}

/// Goes on with what a dashboard left, in a session of its own.
fn takes_over(settings: config::Connect, notes: &Notes) -> Result<Exit, Error> {
    let left = detach::left().and_then(|left| Ok(serde_json::from_slice(&left)?));
    let left = left.map_err(|source| not_started(source, "run it without HAUL_DETACHED"))?;
    in_background(&settings.log.clone(), notes, |ring| {
        headless::connect::go_on(settings, left, ring)
    })
}

/// Runs `haul connect --detach` in the session of its own.
fn detached(settings: config::Connect, notes: &Notes) -> Result<Exit, Error> {
    in_background(&settings.log.clone(), notes, |ring| {
        headless::connect::run(settings, Style::Silent, ring)
    })
}

/// Runs in a session of its own: everything it has to say goes to the log.
fn in_background<F: Future<Output = Result<Exit, Error>>>(
    log: &config::Log,
    notes: &Notes,
    work: impl FnOnce(Ring) -> F,
) -> Result<Exit, Error> {
    // It fails for who leads a session already, which is as good.
    let _ = detach::leave_session();
    let ring = Ring::new();
    let _log = Logging::start(log, "connect", Show::Ring(ring.clone()), None)?;
    note(notes);
    let ended = block_on(work(ring));
    if let Err(error) = &ended
        && !matches!(error, Error::Signal(_))
    {
        tracing::error!("{error}");
    }
    ended
}

/// Runs `haul eval`; `notes` says what decided over what.
pub fn eval(args: EvalArgs, notes: &Notes) -> Result<Exit, Error> {
    // The dashboard reads keys as well.
    let terminal = is_in_foreground(&io::stdin()) && is_in_foreground(&io::stdout());
    let settings = cli::eval(args, terminal)?;
    if !settings.headless {
        let screen = settings.screen.clone();
        let mut out = io::stdout();
        let measured = eval::measure_shown(settings, &mut out, |board, stop, ended| async move {
            for line in notes.all() {
                board.tell(line, false);
            }
            dashboard::measure::measurement(&board, &stop, &ended, &screen).await
        });
        return block_on(async { Ok(measured.await?) });
    }
    let told = stderr();
    for line in notes.all() {
        told(line);
    }
    block_on(async { Ok(eval::measure(settings, &mut io::stdout(), &told).await?) })
}

/// Runs `haul plot`.
pub fn plot(args: PlotArgs) -> Result<Exit, Error> {
    let settings = cli::plot(args)?;
    let mut out = io::stdout().lock();
    let terminal = out.is_terminal();
    let width = dashboard::terminal::width()
        .filter(|_| terminal)
        .unwrap_or(PLOT_WIDTH);
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Ok(plot::plot(&settings, &mut out, width, colours)?)
}

/// Runs `haul sum`.
pub fn sum(args: &SumArgs) -> Result<Exit, Error> {
    headless::sums::sum(&args.paths, &mut io::stdout().lock())
}

/// Runs `haul check`.
pub fn check(args: &CheckArgs) -> Result<Exit, Error> {
    headless::sums::check(&args.lists, args.quiet, &mut io::stdout().lock())
}

/// Runs `haul demo`; the dashboard needs a terminal to read keys from as well.
pub fn demo(args: &DemoArgs) -> Result<Exit, Error> {
    let log = config::Log {
        file: None,
        level: Level::INFO,
        format: config::LogFormat::Text,
    };
    let terminal = is_in_foreground(&io::stdin()) && is_in_foreground(&io::stdout());
    if terminal && !args.headless {
        let ring = Ring::new();
        let _log = Logging::start(&log, "demo", Show::Ring(ring.clone()), None)?;
        return block_on(dashboards::demo(
            log.clone(),
            cli::screen(&args.screen),
            ring,
        ));
    }
    let style = Style::choose(false, is_in_foreground(&io::stderr()));
    let show = Show::Lines(Level::WARN, style.stderr());
    let _log = Logging::start(&log, "demo", show, None)?;
    block_on(headless::demo::run(
        log.clone(),
        style,
        Ring::new(),
        &mut io::stdout(),
    ))
}

/// Runs `haul status`.
pub fn status(json: bool) -> Result<Exit, Error> {
    block_on(headless::status::run(json, &mut io::stdout()))
}

/// Runs `haul servers`.
pub fn servers(json: bool) -> Result<Exit, Error> {
    block_on(headless::servers::run(json, &mut io::stdout()))
}

/// Runs `haul ctl`. Words are the words of a `:` line, as the shell has parted them.
pub fn ctl(name: &str, command: &[String]) -> Result<Exit, Error> {
    let line = match command {
        // One word may be a whole line.
        [line] => line.clone(),
        words => {
            let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
            words.join(" ")
        }
    };
    let found = control::named(Some(name))?;
    block_on(dashboard::ctl::ctl(&found, &line, &mut io::stdout()))
}

/// Runs `haul attach`.
pub fn attach(args: &AttachArgs) -> Result<Exit, Error> {
    let terminal = is_in_foreground(&io::stdin()) && is_in_foreground(&io::stdout());
    if !terminal {
        return Err(Error::Usage(
            "attach draws on a terminal, and stdin or stdout is none: `haul status` needs none"
                .into(),
        ));
    }
    let screen = cli::notifying(&args.screen, &args.notify);
    let name = args.name.as_deref();
    block_on(dashboards::attach(name, &screen))
}

/// Logs what decided over what, and which secrets others can read.
fn note(notes: &Notes) {
    for line in &notes.warnings {
        tracing::warn!("{line}");
    }
    for line in &notes.overrides {
        tracing::info!("{line}");
    }
    for (what, path) in &notes.secrets {
        credentials::warn_if_readable(what, path);
    }
}

/// Runs `work` on a runtime with a thread a core, and at least two, so that one slow poll does not stop everything.
fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.max(2))
        .enable_all()
        .build()
        .map_err(|source| {
            Error::Local(Local {
                what: "cannot start threads".into(),
                source,
                remedy: "raise the limit on processes (ulimit -u)",
                exit: Exit::Other,
            })
        })?;
    let result = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_WORK);
    result
}

fn stderr() -> Sink {
    Box::new(|line| {
        // Without stderr the log file has the line.
        let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
    })
}
