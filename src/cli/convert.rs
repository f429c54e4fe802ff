//! From parsed options to the plain settings, with the rules that concern more than one option.

use std::path::{Path, PathBuf};

use super::{ConnectArgs, ControlArgs, LogArgs, NotifyArgs, ScreenArgs, ServeArgs};
use crate::{
    config::{
        self, Commands, OnConflict, Socket,
        target::{Goal, Target, is_metalink},
        values,
    },
    credentials::Credentials,
    error::Error,
};

/// The settings of `haul serve`. Without a terminal on stdout there is no dashboard.
pub fn serve(args: ServeArgs, terminal: bool) -> Result<config::Serve, Error> {
    let settings = config::Serve {
        dir: args
            .directory
            .or(args.dir)
            .unwrap_or_else(|| PathBuf::from(".")),
        addresses: args.address,
        port: args.port,
        max_connections: args.max_connections,
        max_clients: args.max_clients,
        limit: args.limit,
        limit_client: args.limit_client,
        min_rate: args.min_rate,
        timeout: args.timeout.0,
        hidden: args.hidden,
        follow_symlinks: args.follow_symlinks,
        tls: args.tls,
        tls_cert: args.tls_cert,
        tls_key: args.tls_key,
        auth: args.auth,
        auth_file: args.auth_file,
        token_file: args.token_file,
        names: args.name,
        web: args.web,
        run: args.commands.run.map(commands),
        announces: !args.no_announce,
        config: args.run.config,
        headless: args.run.headless || !terminal,
        control: control(args.control),
        log: log(args.log),
        screen: screen(&args.screen),
    };
    if settings.headless && matches!(settings.run, Some(Commands::File(_))) {
        return Err(Error::Usage(format!("{RUN_FILE}; see `haul serve --help`")));
    }
    Ok(settings)
}

/// What a file of commands lacks where there is no dashboard.
const RUN_FILE: &str = "--run FILE needs the dashboard: `--run - < FILE` needs none";

/// `-` is standard input.
fn commands(path: PathBuf) -> Commands {
    if path.as_os_str() == "-" {
        Commands::Stdin
    } else {
        Commands::File(path)
    }
}

fn control(args: ControlArgs) -> config::Control {
    config::Control {
        socket: match args.control {
            None => Socket::Usual,
            Some(path) if path.as_os_str() == "off" => Socket::Off,
            Some(path) => Socket::At(path),
        },
        instance: args.instance,
        metrics: args.metrics,
    }
}

/// The settings of `haul connect`. Without a terminal on stdout there is no dashboard.
pub fn connect(args: ConnectArgs, terminal: bool) -> Result<config::Connect, Error> {
    let named = !args.target.is_empty() || args.address.is_some() || args.port.is_some();
    let (mut targets, metalink) = goals(args.target)?;
    if targets.is_empty() {
        targets.push(Target::usual().map_err(Error::Usage)?);
    }
    let mut urls = targets.into_iter();
    let Some(mut target) = urls.next() else {
        return usage("no server is named");
    };
    if let Some(host) = &args.address {
        target.set_host(host).map_err(Error::Usage)?;
    }
    if let Some(port) = args.port {
        target.set_port(port);
    }
    let files = (args.auth_file.as_deref(), args.token_file.as_deref());
    if let Some(login) = credentials(&target, args.auth, files)? {
        target.credentials = Some(login);
    }
    if args.fingerprint.is_some() && !target.bare && target.url.scheme() != "https" {
        return usage("--fingerprint is a certificate's, which only https:// has: change the URL");
    }
    let url = target.url.clone();
    if target.credentials.is_some()
        && args
            .header
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
    {
        return usage(
            "the login is given twice: choose one of --header Authorization and the others",
        );
    }
    let others = match &args.auth_file {
        Some(file) => Credentials::by_server("--auth-file", file)?,
        None => Vec::new(),
    };
    // Nothing is for the usual server where a Metalink names its own.
    let login = target.credentials.take_if(|_| metalink.is_some());
    let mirrors: Vec<Target> = urls.collect();
    let (mut bare, mut credentials) = (Vec::new(), others);
    for server in std::iter::once(target).chain(mirrors.iter().cloned()) {
        credentials.extend(server.credentials.map(|login| (server.url.clone(), login)));
        if server.bare {
            bare.push(server.url);
        }
    }
    let mut settings = config::Connect {
        url,
        mirrors: mirrors.iter().map(|mirror| mirror.url.clone()).collect(),
        metalink,
        bare,
        credentials,
        login,
        netrc: args.netrc,
        headers: args.header,
        proxy: args.proxy,
        fingerprint: args.fingerprint,
        named,
        dir: args.dir,
        workers: args.workers,
        retries: args.retries,
        timeout: args.timeout.0,
        limit: args.limit,
        user: args.user.or_else(login_name),
        get: args.get,
        all: args.all,
        exclude: args.exclude,
        output: args.output,
        checksum: args.checksum,
        checksums: args.checksums,
        serial: args.serial,
        max_depth: args.max_depth,
        fail_empty: args.fail_empty,
        on_conflict: args.on_conflict,
        backup: args.backup,
        delete: args.delete,
        yes: args.yes,
        dry_run: args.dry_run,
        resume: !args.no_resume,
        run: args.commands.run.map(commands),
        headless: args.run.headless || args.detach || args.dry_run || !terminal,
        json: args.json,
        hold: args.hold,
        detach: args.detach,
        control: control(args.control),
        log: log(args.log),
        screen: notifying(&args.screen, &args.notify),
    };
    if settings.dry_run {
        // Whoever watches could have it download something.
        settings.control.socket = Socket::Off;
    }
    backup(&settings)?;
    selection(&settings)?;
    lines(&settings)?;
    tree(&settings)?;
    headless(&settings, args.run.headless, args.detach)?;
    one_file(&settings)?;
    output(&settings)?;
    Ok(settings)
}

/// What keeps files needs a rule that replaces them.
fn backup(settings: &config::Connect) -> Result<(), Error> {
    if settings.backup
        && !matches!(
            settings.on_conflict,
            OnConflict::Overwrite | OnConflict::Update
        )
    {
        return usage("--backup keeps what is replaced: add --on-conflict update or overwrite");
    }
    Ok(())
}

/// What is about whole trees needs one, and nobody is there to be asked without a terminal.
fn tree(settings: &config::Connect) -> Result<(), Error> {
    let has_tree = (settings.all || !settings.get.is_empty()) && !settings.names_metalink();
    let one_file = settings.output.is_some() || settings.checksum.is_some();
    let needs = |option: &str| usage(&format!("{option} is about a tree: add --all or --get"));
    if settings.dry_run {
        if !has_tree || one_file {
            return needs("--dry-run");
        }
        if settings.detach || settings.hold {
            return usage("--dry-run prints what would be done: leave --detach and --hold out");
        }
    }
    if !settings.delete {
        return if settings.yes {
            usage("--yes answers the question of --delete: add that")
        } else {
            Ok(())
        };
    }
    if !has_tree || one_file {
        return needs("--delete");
    }
    if settings.on_conflict != OnConflict::Update {
        return usage("--delete brings a tree up to date: add --on-conflict update");
    }
    if !settings.headless {
        return usage("--delete needs --headless: the dashboard removes nothing");
    }
    if settings.detach && !settings.yes {
        return usage(
            "--delete asks before it removes anything, and --detach leaves the terminal: add --yes",
        );
    }
    Ok(())
}

/// What to present to the first server besides what URLs hold: from an option or a file, but from one place only.
fn credentials(
    target: &Target,
    auth: Option<Credentials>,
    (auth_file, token_file): (Option<&Path>, Option<&Path>),
) -> Result<Option<Credentials>, Error> {
    let given = [
        target.credentials.is_some(),
        auth.is_some(),
        auth_file.is_some(),
        token_file.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() > 1 {
        return usage(
            "the login is given twice: choose one of USER:PASS@ in the URL, --auth, --auth-file and --token-file",
        );
    }
    if let Some(path) = auth_file {
        return Ok(Credentials::first_login("--auth-file", path)?);
    }
    if let Some(path) = token_file {
        return Ok(Some(Credentials::from_file(
            "--token-file",
            path,
            Credentials::parse_token,
        )?));
    }
    Ok(auth)
}

/// Several servers are mirrors; a Metalink names its own.
fn goals(goals: Vec<Goal>) -> Result<(Vec<Target>, Option<PathBuf>), Error> {
    if goals.len() > 1
        && goals
            .iter()
            .any(|goal| goal.server().is_none_or(|target| is_metalink(&target.url)))
    {
        return usage("a Metalink names its own servers: give it alone, without further URLs");
    }
    let mut targets = Vec::new();
    let mut metalink = None;
    for goal in goals {
        match goal {
            Goal::Server(target) => targets.push(target),
            Goal::Metalink(file) => metalink = Some(file),
        }
    }
    Ok((targets, metalink))
}

/// `--get`, `--all` and `--exclude` must make sense together.
fn selection(settings: &config::Connect) -> Result<(), Error> {
    if settings.names_metalink() && (settings.all || !settings.get.is_empty()) {
        return usage("a Metalink says itself what to get: leave --get and --all out");
    }
    if settings.all && !settings.get.is_empty() {
        return usage("--all takes everything: leave --get out, or leave --all out");
    }
    if !settings.exclude.is_empty() && !settings.all && settings.get.is_empty() {
        return usage("--exclude leaves out parts of what --get or --all takes: add one of them");
    }
    Ok(())
}

/// `--run -` has stdin and stdout, and does what its lines say.
fn lines(settings: &config::Connect) -> Result<(), Error> {
    if settings.run != Some(Commands::Stdin) {
        return Ok(());
    }
    let to_stdout = settings.output.as_deref() == Some(Path::new("-"));
    let (streams, order) = ("has stdin and stdout", "does what its lines say");
    let wrong = [
        (settings.json, "--json", streams),
        (settings.hold, "--hold", streams),
        (settings.detach, "--detach", streams),
        (to_stdout, "--output -", streams),
        (settings.delete, "--delete", order),
        (settings.dry_run, "--dry-run", order),
    ];
    match wrong.iter().find(|(given, ..)| *given) {
        Some((_, option, why)) => usage(&format!("--run - {why}: leave {option} out")),
        None => Ok(()),
    }
}

/// What a run without a dashboard needs, and what needs a run without one.
fn headless(settings: &config::Connect, asked: bool, detach: bool) -> Result<(), Error> {
    let to_stdout = settings.output.as_deref() == Some(Path::new("-"));
    if detach && (settings.json || settings.hold || to_stdout) {
        return usage("--detach leaves stdin and stdout: leave --json, --hold and --output - out");
    }
    if !settings.headless {
        if settings.json {
            return usage("--json needs --headless: the dashboard has stdout");
        }
        if settings.hold {
            return usage("--hold needs --headless: the dashboard has stdin and stdout");
        }
        return Ok(());
    }
    match settings.run {
        Some(Commands::File(_)) => return usage(RUN_FILE),
        // What to get may be told later.
        Some(Commands::Stdin) => return Ok(()),
        None => {}
    }
    if !asks_for_something(settings) {
        let why = if detach {
            "--detach has nothing to get"
        } else if asked {
            "--headless has nothing to get"
        } else {
            "stdout is no terminal to draw on here, so there is no dashboard, and there is nothing to get"
        };
        let what = if settings.named {
            "add --all or --get PATTERN, or name a file in the URL"
        } else {
            "name a server, such as one that `haul servers` lists, and add --all or --get PATTERN"
        };
        return usage(&format!("{why}: {what}"));
    }
    Ok(())
}

/// Whether something is to be downloaded from the start. A URL without a slash at its end names a file.
fn asks_for_something(settings: &config::Connect) -> bool {
    settings.all
        || !settings.get.is_empty()
        || settings.names_metalink()
        || !settings.url.path().ends_with('/')
}

/// `--output` and `--checksum` are about one file, so just one may be asked for.
fn one_file(settings: &config::Connect) -> Result<(), Error> {
    let option = match (&settings.output, &settings.checksum) {
        (Some(_), _) => "--output",
        (None, Some(_)) => "--checksum",
        (None, None) => return Ok(()),
    };
    if settings.names_metalink() {
        return usage(&format!(
            "{option} does not go with a Metalink, which names files and digests"
        ));
    }
    let one = match settings.get.as_slice() {
        [] => !settings.all && asks_for_something(settings),
        [get] => !values::is_wildcard(get),
        _ => false,
    };
    if !one {
        return usage(&format!(
            "{option} takes one file: name it in the URL, or with one --get without wildcards"
        ));
    }
    Ok(())
}

/// What goes to stdout must have it alone.
fn output(settings: &config::Connect) -> Result<(), Error> {
    let Some(output) = &settings.output else {
        return Ok(());
    };
    if output == Path::new("-") {
        if settings.json {
            return usage("--output - and --json both write to stdout: leave one out");
        }
        if settings.hold {
            return usage("--output - and --hold both write to stdout: leave one out");
        }
        if !settings.headless {
            return usage("--output - needs --headless: the dashboard has stdout");
        }
    }
    Ok(())
}

fn usage<T>(line: &str) -> Result<T, Error> {
    Err(Error::Usage(format!("{line}; see `haul connect --help`")))
}

/// The login name, where the environment tells one that can serve as a name.
fn login_name() -> Option<String> {
    ["USER", "LOGNAME"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find_map(|name| values::user(&name).ok())
}

fn log(args: LogArgs) -> config::Log {
    config::Log {
        file: args.log,
        level: args.verbosity,
        format: args.log_format,
    }
}

/// The screen's looks.
pub fn screen(args: &ScreenArgs) -> config::Screen {
    config::Screen {
        theme: args.theme,
        ascii: args.ascii,
        no_mouse: args.no_mouse,
        notifies: false,
        keys: args.own.keys.clone(),
        colours: args.own.colours.clone(),
    }
}

/// The looks of a screen that calls the user back.
pub fn notifying(args: &ScreenArgs, notify: &NotifyArgs) -> config::Screen {
    config::Screen {
        notifies: !notify.no_notify,
        ..screen(args)
    }
}
