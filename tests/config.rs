//! Configuration files: what they may hold, what wins over what, and what a wrong one is told.
//!
//! Variables of the environment are shared by all tests of a process: only `tests/cli.rs`, which starts processes of
//! its own, sets any.

use std::{ffi::OsString, fs, path::Path, time::Duration};

use haul::{
    cli::{self, Command, Parsed, Stop},
    config::{
        self, LogFormat, OnConflict,
        theme::{Colour, Role},
    },
    credentials::Credentials,
    units::Rate,
};
use tempfile::TempDir;
use tracing::Level;

/// A directory with an INI file of the given content.
fn file(text: &str) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.ini");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

fn parse(arguments: &[&str]) -> Result<Parsed, String> {
    let argv: Vec<OsString> = ["haul"]
        .iter()
        .chain(arguments)
        .map(OsString::from)
        .collect();
    cli::parse(&argv).map_err(|stop| match stop {
        Stop::Wrong(line) => line,
        Stop::Show(help) => help.to_string(),
    })
}

fn serve(arguments: &[&str]) -> (config::Serve, Vec<String>) {
    let parsed = parse(arguments).unwrap();
    match parsed.command {
        Command::Serve(args) => (cli::serve(*args, true).unwrap(), parsed.notes.overrides),
        other => panic!("{other:?}"),
    }
}

fn connect(arguments: &[&str]) -> Result<(config::Connect, Vec<String>), String> {
    let parsed = parse(arguments)?;
    match parsed.command {
        Command::Connect(args) => {
            let settings = cli::connect(*args, true).map_err(|error| error.to_string())?;
            Ok((settings, parsed.notes.overrides))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_key_of_serve_is_read() {
    let (_dir, path) = file(
        "[serve]\ndir = /srv/a b\naddress = 127.0.0.1\naddress = ::1\nport = 0\nlog = /tmp/x.log\n\
         verbosity = 10\nlog-format = json\nmax-connections = 7\nmax-clients = 3\nlimit = 20M\nlimit-client = 1.5MiB/s\n\
         min-rate = 500\ntimeout = 250ms\nhidden = true\n\
         follow-symlinks = true\ntls = true\ntls-cert = c.pem\ntls-key = k.pem\nauth = ada:x\nauth = b:y;z\n\
         auth-file = users\ntoken-file = tokens\nname = a.example\nname = b.example\nweb = true\nno-announce = true\nrun = -\nheadless = true\ninstance = pub\ncontrol = /tmp/x.sock\nmetrics = 9188\ntheme = mono\nascii = true\nno-mouse = true\n",
    );
    let (got, overrides) = serve(&["serve", "-c", &path]);
    let expected = config::Serve {
        dir: "/srv/a b".into(),
        addresses: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
        port: 0,
        max_connections: 7,
        max_clients: Some(3),
        limit: Some(Rate(20 << 20)),
        limit_client: Some(Rate(3 << 19)),
        min_rate: Some(Rate(500)),
        timeout: Duration::from_millis(250),
        hidden: true,
        follow_symlinks: true,
        tls: true,
        tls_cert: Some("c.pem".into()),
        tls_key: Some("k.pem".into()),
        auth: vec![
            Credentials::login("ada", "x").unwrap(),
            Credentials::login("b", "y;z").unwrap(),
        ],
        auth_file: Some("users".into()),
        token_file: Some("tokens".into()),
        names: vec!["a.example".into(), "b.example".into()],
        web: true,
        run: Some(config::Commands::Stdin),
        announces: false,
        config: Some(path.clone().into()),
        headless: true,
        control: config::Control {
            socket: config::Socket::At("/tmp/x.sock".into()),
            instance: Some("pub".into()),
            metrics: Some("127.0.0.1:9188".parse().unwrap()),
        },
        log: config::Log {
            file: Some("/tmp/x.log".into()),
            level: Level::DEBUG,
            format: LogFormat::Json,
        },
        screen: config::Screen {
            theme: Some(config::ThemeName::Mono),
            ascii: true,
            no_mouse: true,
            ..config::Screen::default()
        },
    };
    assert_eq!(got, expected);
    assert!(
        overrides.is_empty(),
        "nothing was given twice: {overrides:?}"
    );
}

#[test]
fn every_key_of_connect_is_read() {
    let (_dir, path) = file(
        "[connect]\naddress = nas.local\nport = 9\ndir = out\nlog = x.log\nverbosity = error\nlog-format = text\n\
         workers = 64\nretries = 0\ntimeout = 5m\nlimit = 64k/s\nuser = ada l\nget = a/*.txt\nget = b/\nexclude = **/c\n\
         serial = true\non-conflict = skip\nno-resume = true\nheadless = true\njson = true\nno-notify = true\n",
    );
    let (got, _) = connect(&["connect", "-c", &path]).unwrap();
    assert_eq!(got.url.as_str(), "http://nas.local:9/");
    assert!(got.named && got.serial && !got.resume && got.headless && got.json && !got.all);
    assert!(!got.screen.notifies);
    assert_eq!((got.workers, got.retries), (64, 0));
    assert_eq!(got.timeout, Duration::from_secs(300));
    assert_eq!(got.limit, Some(Rate(65536)));
    assert_eq!(got.user.as_deref(), Some("ada l"));
    assert_eq!(got.get, ["a/*.txt", "b/"]);
    assert_eq!(got.exclude, ["**/c"]);
    assert_eq!(got.on_conflict, OnConflict::Skip);
    assert_eq!(got.log.level, Level::ERROR);
}

#[test]
fn the_file_wins_over_the_command_line_and_says_so() {
    let (_dir, path) =
        file("[serve]\nport = 9000\nhidden = false\naddress = ::1\ndir = from file\n");
    let (got, overrides) = serve(&[
        "serve",
        "from line",
        "-p",
        "8888",
        "--hidden",
        "-a",
        "127.0.0.1",
        "-a",
        "127.0.0.2",
        "-t",
        "5s",
        "-c",
        &path,
    ]);
    assert_eq!(got.port, 9000);
    assert!(!got.hidden);
    assert_eq!(got.addresses, ["::1".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(got.dir, Path::new("from file"));
    assert_eq!(got.timeout, Duration::from_secs(5), "not in the file");
    let mut expected = [
        format!("port: 9000 from {path} overrides 8888 from the command line"),
        format!("hidden: false from {path} overrides true from the command line"),
        format!("address: ::1 from {path} overrides 127.0.0.1, 127.0.0.2 from the command line"),
        format!("dir: from file from {path} overrides from line from the command line"),
    ];
    let mut overrides = overrides;
    expected.sort();
    overrides.sort();
    assert_eq!(overrides, expected);
}

#[test]
fn the_file_replaces_the_parts_of_a_url() {
    let (_dir, path) = file("[connect]\nport = 9000\n");
    let (got, overrides) = connect(&["connect", "http://nas:81/a/", "-c", &path]).unwrap();
    assert_eq!(got.url.as_str(), "http://nas:9000/a/");
    assert_eq!(
        overrides,
        [format!(
            "port: 9000 from {path} overrides 81 from the command line"
        )]
    );
    let (got, overrides) = connect(&["connect", "nas", "-c", &path]).unwrap();
    assert_eq!(got.url.as_str(), "http://nas:9000/");
    assert!(overrides.is_empty(), "no port was given: {overrides:?}");
}

#[test]
fn values_are_literal() {
    for value in [
        r"C:\new",
        r"C:\dir\",
        "a;b#c=d",
        "\"quoted\"",
        "-x",
        "--port=1",
        "日本",
    ] {
        let (_dir, path) = file(&format!("[serve]\ndir = {value}\nport = 1\n"));
        let (got, _) = serve(&["serve", "-c", &path]);
        assert_eq!((got.dir.to_str(), got.port), (Some(value), 1));
    }
}

#[test]
fn the_header_may_be_left_out() {
    let (_dir, path) = file("port = 1\n[connect]\nport = 2\n");
    assert_eq!(serve(&["serve", "-c", &path]).0.port, 1);
    let (_dir, path) = file("; the command makes it plain\nport = 3\n");
    assert_eq!(
        connect(&["connect", "-c", &path]).unwrap().0.url.port(),
        Some(3)
    );
}

#[test]
fn a_command_takes_its_own_section() {
    let (_dir, path) = file("[connect]\nport = 2\n[eval]\n[keys]\n[theme]\n[serve]\nport = 1\n");
    assert_eq!(serve(&["serve", "-c", &path]).0.port, 1);
    assert_eq!(
        connect(&["connect", "-c", &path]).unwrap().0.url.port(),
        Some(2)
    );
}

#[test]
fn keys_and_colours_are_of_every_command() {
    let text = "[keys]\nquit = X Ctrl-q\ntop = gt\n[theme]\nwarn = #ff8000\nground = default\n";
    let (_dir, path) = file(text);
    let screen = serve(&["serve", "-c", &path]).0.screen;
    let key = |action: &str, keys: &str| (action.to_owned(), keys.to_owned());
    assert_eq!(screen.keys, [key("quit", "X Ctrl-q"), key("top", "gt")]);
    assert_eq!(
        screen.colours,
        [
            (Role::Warn, Colour::Rgb(0xff, 0x80, 0)),
            (Role::Ground, Colour::Default)
        ]
    );
    let other = connect(&["connect", "-c", &path]).unwrap().0.screen;
    // Only transfers call somebody back.
    assert!(other.notifies && !screen.notifies);
    let notifies = false;
    assert_eq!(config::Screen { notifies, ..other }, screen);
}

/// Each wrong file with what is said of it, behind its path: line, section, key, what was read, what is allowed.
const WRONG: [(&str, &str); 32] = [
    (
        "[serve]\nprot = 1",
        ":2: [serve] prot: no such key: dir, address, port,",
    ),
    (
        "prot = 1",
        ":1: [serve] prot: no such key: dir, address, port,",
    ),
    ("[serve]\nPort = 1", ":2: [serve] Port: no such key:"),
    ("[serve]\nworkers = 1", ":2: [serve] workers: no such key:"),
    (
        "[serve]\nconfig = x.ini",
        ":2: [serve] config: no such key:",
    ),
    ("[serve]\nhelp = true", ":2: [serve] help: no such key:"),
    (
        "[serve]\nauth = hunter2",
        ":2: [serve] auth: it is no login: write USER:PASS",
    ),
    (
        "[connect]\nauth = a:hunter2\nauth = a:hunter2",
        ":3: [connect] auth: `…` is a second value: line 2 has the first",
    ),
    (
        "[serve]\nauth: a:hunter2",
        ":2: [serve]: `auth…` has no `=`",
    ),
    (
        "[connect]\nfingerprint = AB:CD",
        ":2: [connect] fingerprint: `AB:CD` is no fingerprint: SHA-256 has",
    ),
    (
        "[serv]\nport = 1",
        ":1: [serv]: no such section: [serve], [connect],",
    ),
    (
        "[serve]\n\n; x\nport = 70000",
        ":4: [serve] port: `70000` is no port: 0 to 65535",
    ),
    ("[serve]\nport =", ":2: [serve] port: needs a value"),
    (
        "[serve]\naddress = localhost",
        ":2: [serve] address: `localhost` is no IP address",
    ),
    (
        "[serve]\nverbosity = loud",
        ":2: [serve] verbosity: `loud` is no level: error, warn,",
    ),
    (
        "[serve]\nlog-format = xml",
        ":2: [serve] log-format: `xml` is not allowed: text or json",
    ),
    (
        "[serve]\ntimeout = 0",
        ":2: [serve] timeout: `0` is out of range",
    ),
    (
        "[serve]\nhidden = maybe",
        ":2: [serve] hidden: `maybe` is no choice: true or false",
    ),
    ("[serve]\nhidden =", ":2: [serve] hidden: "),
    (
        "[serve]\nmax-connections = 0",
        ":2: [serve] max-connections: `0` is no number",
    ),
    (
        "[serve]\nport = 1\nport = 2",
        ":3: [serve] port: `2` is a second value: line 2 has the first",
    ),
    (
        "port = 1\n[serve]\nport = 1",
        ":3: [serve] port: `1` is a second value: line 1 has",
    ),
    (
        "[serve]\nport",
        ":2: [serve]: `port` has no `=`: write key = value",
    ),
    (
        "[serve\nport = 1",
        ":1: `[serve` is no section: write [name]",
    ),
    (
        "[connect]\nworkers = 65",
        ":2: [connect] workers: `65` is no number of workers: 1 to 64",
    ),
    (
        "[eval]\nclients = 0",
        ":2: [eval] clients: `0` is no number of clients: 1 to 1024",
    ),
    (
        "[keys]\nq = quit",
        ":2: [keys] q: no such action: help, command, next-pane,",
    ),
    (
        "[keys]\nquit = Crtl-q",
        ":2: [keys] quit: `Crtl-q` is no key: write a character,",
    ),
    (
        "[keys]\nkick = X\nban = X",
        ":3: [keys] ban: `X` stands for kick and for ban",
    ),
    (
        "[theme]\nwarn = orange",
        ":2: [theme] warn: `orange` is no colour: write #rrggbb,",
    ),
    (
        "[theme]\nwarning = red",
        ":2: [theme] warning: no such key: text, soft, dim,",
    ),
    (
        "[theme]\nwarn = red\nwarn = blue",
        ":3: [theme] warn: `blue` is a second value: line 2 has the first",
    ),
];

#[test]
fn a_wrong_file_is_told_where_and_what_is_allowed() {
    for (text, says) in WRONG {
        let (_dir, path) = file(text);
        let line = parse(&["serve", "-c", &path]).unwrap_err();
        let said = line.strip_prefix(&path).unwrap_or(&line);
        assert!(said.starts_with(says), "{text:?}: {line}");
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(!line.contains("hunter2"), "{line}");
    }
}

#[test]
fn a_login_is_never_shown() {
    let (_dir, path) = file("auth = ada:hunter2\n");
    let (got, overrides) = serve(&["serve", "--auth", "eve:hunter2", "-c", &path]);
    assert_eq!(got.auth, [Credentials::login("ada", "hunter2").unwrap()]);
    let expected = format!("auth: … from {path} overrides … from the command line");
    assert_eq!(overrides, [expected]);
    assert!(!format!("{got:?}").contains("hunter2"));

    let (got, _) = connect(&["connect", "https://ada:hunter2@nas/"]).unwrap();
    assert_eq!(
        got.credentials,
        [(
            got.url.clone(),
            Credentials::login("ada", "hunter2").unwrap()
        )]
    );
    assert_eq!(got.url.as_str(), "https://nas/");
    assert!(!format!("{got:?}").contains("hunter2"));
    for wrong in [
        &["serve", "--auth", "hunter2"][..],
        &["serve", "--auth", "hunter2:"],
        &["connect", "http://ada:hunter2@na s/"],
        &["connect", "ftp://ada:hunter2@nas/"],
        &["connect", "ada:hunter2@nas"],
    ] {
        let line = parse(wrong).unwrap_err();
        assert!(!line.contains("hunter2"), "{wrong:?}: {line}");
    }
}

#[test]
fn a_login_comes_from_one_place() {
    let (_dir, path) = file("ada:hunter2\n\n# others\n");
    let (got, _) = connect(&["connect", "nas", "--auth-file", &path]).unwrap();
    assert_eq!(
        got.credentials,
        [(
            got.url.clone(),
            Credentials::login("ada", "hunter2").unwrap()
        )]
    );
    let (_dir, token) = file("abc=\r\n");
    let (got, _) = connect(&["connect", "nas", "--token-file", &token]).unwrap();
    assert_eq!(
        got.credentials,
        [(got.url.clone(), Credentials::parse_token("abc=").unwrap())]
    );
    for twice in [
        &["connect", "http://a:b@nas/", "--auth", "a:b"][..],
        &["connect", "nas", "--auth", "a:b", "--auth-file", &path],
        &[
            "connect",
            "nas",
            "--token-file",
            &token,
            "--auth-file",
            &path,
        ],
    ] {
        let line = connect(twice).unwrap_err();
        assert!(line.starts_with("the login is given twice"), "{line}");
    }
    let line = connect(&["connect", "nas", "--token-file", &path]).unwrap_err();
    assert!(
        line.contains(":1: a token is") && !line.contains("hunter2"),
        "{line}"
    );
    let line = connect(&["connect", "nas", "--auth-file", "/no/such"]).unwrap_err();
    assert!(
        line.starts_with("--auth-file: cannot read /no/such: no such file"),
        "{line}"
    );
    let (_dir, path) = file("ada:hunter2\n\nnas ada:hunter2\n");
    let line = connect(&["connect", "nas", "--auth-file", &path]).unwrap_err();
    assert!(
        line.contains(":3: it is for no server") && !line.contains("hunter2"),
        "{line}"
    );
    let zeros = "00".repeat(32);
    let line = connect(&["connect", "http://nas/", "--fingerprint", &zeros]).unwrap_err();
    assert!(
        line.starts_with("--fingerprint is a certificate's"),
        "{line}"
    );
    assert!(connect(&["connect", "nas", "--fingerprint", &zeros]).is_ok());
}

#[test]
fn a_missing_file_is_an_error() {
    let line = parse(&["serve", "-c", "/no/such.ini"]).unwrap_err();
    assert_eq!(
        line,
        "cannot read the configuration /no/such.ini: no such file or directory"
    );
}

#[test]
fn rules_across_options_hold_for_files_too() {
    let (_dir, path) = file("[connect]\nall = true\nget = x\n");
    let line = connect(&["connect", "-c", &path]).unwrap_err();
    assert!(line.starts_with("--all takes everything"), "{line}");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    for (arguments, says) in [
        (&["connect", "--json"][..], "--json needs --headless"),
        (&["connect", "--headless"], "--headless has nothing to get"),
        (
            &["connect", "--headless", "http://nas/dir/"],
            "--headless has nothing to get",
        ),
        (&["connect", "--exclude", "a"], "--exclude leaves out parts"),
        (&["connect", "--all", "-o", "x"], "--output takes one file"),
        (
            &["connect", "-g", "*.txt", "-o", "x"],
            "--output takes one file",
        ),
        (
            &["connect", "-g", "a", "-g", "b", "-o", "x"],
            "--output takes one file",
        ),
        (
            &["connect", "http://nas/d/", "-o", "x"],
            "--output takes one file",
        ),
        (
            &["connect", "http://nas/f", "-o", "-"],
            "--output - needs --headless",
        ),
        (
            &["connect", "http://nas/f", "-o", "-", "--headless", "--json"],
            "--output - and --json both write",
        ),
        (
            &["connect", "--headless", "--all", "--run", "x"],
            "--run FILE needs the dashboard",
        ),
    ] {
        let line = connect(arguments).unwrap_err();
        assert!(line.starts_with(says), "{arguments:?}: {line}");
    }
    assert!(connect(&["connect", "http://nas/f", "-o", "x", "--headless"]).is_ok());
    assert!(connect(&["connect", "-g", "a/b c.txt", "-o", "-", "--headless"]).is_ok());
}

#[test]
fn without_a_terminal_there_is_no_dashboard() {
    let Ok(Parsed {
        command: Command::Serve(args),
        ..
    }) = parse(&["serve"])
    else {
        panic!("no settings");
    };
    assert!(cli::serve(*args, false).unwrap().headless);
}

#[test]
fn every_long_option_is_a_variable_of_its_name() {
    let definition = cli::shown();
    for name in ["serve", "connect", "demo"] {
        for arg in definition.find_subcommand(name).unwrap().get_arguments() {
            let Some(long) = arg.get_long().filter(|long| *long != "help") else {
                continue;
            };
            let variable = format!("HAUL_{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(
                arg.get_env(),
                Some(variable.as_ref()),
                "haul {name} --{long}"
            );
        }
    }
}

#[test]
fn a_flag_of_connect_names_no_file_of_eval() {
    let definition = cli::shown();
    let of_eval: Vec<_> = definition
        .find_subcommand("eval")
        .unwrap()
        .get_arguments()
        .filter(|arg| arg.get_action().takes_values() && arg.get_value_delimiter().is_none())
        .filter_map(|arg| arg.get_env())
        .collect();
    assert!(of_eval.contains(&"HAUL_EVAL_JSON".as_ref()));
    for arg in definition
        .find_subcommand("connect")
        .unwrap()
        .get_arguments()
    {
        let flag = arg.get_env().filter(|_| !arg.get_action().takes_values());
        assert!(flag.is_none_or(|flag| !of_eval.contains(&flag)), "{flag:?}");
    }
}

#[test]
fn the_samples_parse() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
    let sample = |name: &str| samples.join(name).to_str().unwrap().to_owned();
    let (settings, _) = serve(&["serve", "-c", &sample("serve.ini")]);
    assert_eq!(settings.dir, Path::new("servers"));
    let (settings, _) = connect(&["connect", "-c", &sample("connect.ini")]).unwrap();
    assert_eq!(settings.url.as_str(), "http://127.0.0.1:8888/");
    let (settings, _) = serve(&[
        "serve",
        "-d",
        "x",
        "-p",
        "0",
        "-l",
        "y",
        "-c",
        &sample("eval-serve.ini"),
    ]);
    assert!(settings.headless);
    let arguments = [
        "connect",
        "-d",
        "x",
        "-p",
        "1",
        "-l",
        "y",
        "-c",
        &sample("eval-connect.ini"),
    ];
    let (settings, overrides) = connect(&arguments).unwrap();
    assert!(settings.headless && settings.all && overrides.is_empty());
}
