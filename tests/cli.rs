//! The program itself, as a shell runs it: one clear line for each mistake, and its exit status.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::TcpListener,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::common::{
    program::Haul,
    proxy::{Line, proxy},
    serving::serve,
    trees::content,
};

/// A `haul serve` on a free port of the loopback interface, ended when it is dropped.
struct Server {
    child: Child,
    url: String,
    _state: TempDir,
}

impl Server {
    fn start(dir: &Path, user: Option<u32>) -> Self {
        let dir = dir.to_str().unwrap();
        let mut haul = Haul::new(&["serve", dir, "--headless", "-a", "127.0.0.1", "-p", "0"]);
        if let Some(user) = user {
            haul.command.uid(user).gid(user);
        }
        let mut child = haul
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let url = line
            .trim_end()
            .strip_prefix("listening on ")
            .unwrap_or_else(|| panic!("no URL: {line:?}"))
            .to_owned();
        Self {
            child,
            url,
            _state: haul.state,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn help_and_version_are_answered() {
    let (code, stdout, _) = Haul::new(&["--version"]).run();
    assert_eq!(
        (code, stdout),
        (0, format!("haul {}\n", env!("CARGO_PKG_VERSION")))
    );
    for command in ["serve", "connect", "eval"] {
        let (code, stdout, stderr) = Haul::new(&[command, "-h"]).run();
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert!(stdout.lines().count() <= 24, "one screen:\n{stdout}");
        assert!(stdout.lines().all(|line| line.len() <= 80), "{stdout}");
        let (code, stdout, _) = Haul::new(&[command, "--help"]).run();
        assert_eq!(code, 0);
        assert!(
            command == "eval" || stdout.contains("--log-format <FORMAT>"),
            "{stdout}"
        );
    }
    let (code, _, stderr) = Haul::new(&[]).run();
    assert_eq!(code, 2);
    assert!(stderr.contains("Usage: haul <COMMAND>"), "{stderr}");
}

#[test]
fn completions_and_manual_pages_are_printed() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let (code, stdout, _) = Haul::new(&["completions", shell]).run();
        assert!(code == 0 && stdout.contains("on-conflict"), "{shell}");
    }
    let (code, page, _) = Haul::new(&["man"]).run();
    assert!(code == 0 && page.contains(".TH haul 1"), "{page}");
    let (code, page, _) = Haul::new(&["man", "connect"]).run();
    assert!(
        code == 0 && page.contains(".TH haul-connect 1") && page.contains("workers"),
        "{page}"
    );
}

#[test]
fn a_wrong_command_line_is_one_line_and_status_2() {
    for (arguments, says) in [
        (
            &["serve", "-p", "70000"][..],
            "--port: `70000` is no port: 0 to 65535",
        ),
        (&["serve", "-p", "http"], "--port: `http` is no port"),
        (
            &["serve", "--port="],
            "--port: needs a value; see `haul serve --help`",
        ),
        (&["serve", "-p"], "--port: needs a value"),
        (
            &["connect", "-p", "0"],
            "--port: `0` is no port: 1 to 65535",
        ),
        (
            &["serve", "--prot", "1"],
            "unknown option `--prot` (did you mean `--port`?); see `haul serve --help`",
        ),
        (&["serve", "-x"], "unknown option `-x`; see"),
        (
            &["serv"],
            "unknown command `serv` (did you mean `servers` or `serve`?); see `haul --help`",
        ),
        (&["serve", "a", "b"], "one argument too many, `b`"),
        (&["serve", "a", "-d", "b"], "the directory is given twice"),
        (
            &["serve", "-p", "1", "-p", "2"],
            "--port: given more than once",
        ),
        (
            &["serve", "--hidden=maybe"],
            "--hidden: `maybe` is no choice: true or false",
        ),
        (
            &["serve", "--theme", "blue"],
            "--theme: `blue` is not allowed: dark, light, ansi or mono",
        ),
        (
            &["connect", "ftp://nas/"],
            "URL|HOST[:PORT]|FILE.meta4: the scheme `ftp` is not known",
        ),
        (
            &["connect", "nas", "-a", "other"],
            "the server is given twice",
        ),
        (&["connect", "nas:1", "-p", "2"], "the port is given twice"),
        (&["connect", "-u", "a:b"], "--user: `a:b` is no name"),
        (&["connect", "-g", "a["], "--get: `a[` is no pattern: "),
        (
            &["connect", "--json"],
            "stdout is no terminal to draw on here, so there is no dashboard, and there is nothing to get",
        ),
        (
            &["completions", "csh"],
            "SHELL: `csh` is not allowed: bash, elvish, fish, powershell or zsh",
        ),
        (&["completions"], "missing SHELL"),
        (
            &["plot", "--compare", "a,b", "--label", "c"],
            "--compare: does not go with --label: leave one of them out; see",
        ),
        (
            &["plot", "--run", "1", "--compare", "a,b"],
            "--run: does not go with --compare: leave one of them out; see",
        ),
        (
            &["eval", "--address", "http://ada:secret@nas/"],
            "--address: a login in the URL is not handed to the clients",
        ),
        (&["man", "woman"], "`woman` is no command"),
    ] {
        let line = Haul::new(arguments).fails(2);
        assert!(line.starts_with(says), "{arguments:?}: {line}");
    }
}

#[test]
fn control_characters_of_an_argument_do_not_reach_the_terminal() {
    let line = Haul::new(&["serve", "-p", "\x1b[2J\n"]).fails(2);
    assert!(
        line.starts_with(r"--port: `\x1b[2J\x0a` is no port"),
        "{line}"
    );
}

#[test]
fn a_wrong_file_is_one_line_and_status_2() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.ini");
    fs::write(&path, "[serve]\nport = many\n").unwrap();
    let path = path.to_str().unwrap();
    let line = Haul::new(&["serve", "-c", path]).fails(2);
    assert!(
        line.starts_with(&format!("{path}:2: [serve] port: `many` is no port")),
        "{line}"
    );
    let line = Haul::new(&["serve", "-c", "/no/such.ini"]).fails(2);
    assert!(line.ends_with("no such file or directory"), "{line}");
}

#[test]
fn variables_stand_between_the_command_line_and_the_defaults() {
    let line = Haul::new(&["serve"]).env("HAUL_PORT", "70000").fails(2);
    assert!(line.starts_with("HAUL_PORT: `70000` is no port"), "{line}");

    // `--all` with `--get` is refused before `--output` with a wildcard is: so it shows which value of `--all` won.
    let wildcard = ["connect", "--headless", "-g", "*", "-o", "x"];
    let all_won = "--all takes everything";
    let not_all = "--output takes one file";
    let line = Haul::new(&wildcard).env("HAUL_ALL", "true").fails(2);
    assert!(line.starts_with(all_won), "over the default: {line}");
    let with_argument = [&wildcard[..], &["--all=false"]].concat();
    let line = Haul::new(&with_argument).env("HAUL_ALL", "true").fails(2);
    assert!(line.starts_with(not_all), "below the command line: {line}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.ini");
    fs::write(&path, "all = false\n").unwrap();
    let line = Haul::new(&wildcard)
        .env("HAUL_ALL", "true")
        .env("HAUL_CONFIG", path.to_str().unwrap())
        .fails(2);
    assert!(line.starts_with(not_all), "below the file: {line}");

    // What was typed rules out the variables of what does not go with it.
    let compare = ["plot", "--tui", "--times", "/no/such", "--compare", "a,b"];
    for (name, value) in [("HAUL_LABEL", "c"), ("HAUL_RUN", "1"), ("HAUL_LOGS", "x")] {
        let (_, _, stderr) = Haul::new(&compare).env(name, value).run();
        assert!(stderr.contains("run `haul eval` first"), "{name}: {stderr}");
    }
}

#[test]
fn an_unwritable_log_is_one_line_and_status_7() {
    let line = Haul::new(&["serve", "--headless", "--log", "/no/such/haul.log"]).fails(7);
    assert_eq!(
        line,
        "cannot write the log /no/such/haul.log: no such file or directory: name another file with --log"
    );
}

#[test]
fn a_missing_directory_is_one_line_and_status_7() {
    let line = Haul::new(&["serve", "/no/such/dir", "--headless", "-p", "0"]).fails(7);
    assert!(line.contains("/no/such/dir"), "{line}");
}

#[test]
fn a_port_in_use_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    let line = Haul::new(&["serve", dir, "--headless", "-a", "127.0.0.1", "-p", &port]).fails(4);
    assert!(line.contains(&port) && line.contains("in use"), "{line}");
}

#[test]
fn a_refused_connection_is_one_line_and_status_4() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", free.local_addr().unwrap());
    drop(free);
    let out = tempfile::tempdir().unwrap();
    let out = out.path().to_str().unwrap();
    let line = Haul::new(&["connect", &url, "--headless", "--all", "-r", "0", "-d", out]).fails(4);
    assert!(line.contains("refused"), "{line}");
}

#[test]
fn a_missing_remote_file_is_one_line_and_status_3() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), None);
    let out = tempfile::tempdir().unwrap();
    let url = format!("{}/no such.txt", server.url);
    let line = Haul::new(&[
        "connect",
        &url,
        "--headless",
        "-d",
        out.path().to_str().unwrap(),
    ])
    .fails(3);
    assert!(line.contains("no such.txt"), "{line}");
    assert_eq!(
        fs::read_dir(out.path()).unwrap().count(),
        0,
        "nothing is left"
    );
}

#[test]
fn an_unreadable_file_is_one_line_and_the_rest_arrives() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("good.txt"), "good").unwrap();
    let locked = dir.path().join("locked.txt");
    fs::write(&locked, "locked").unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    // Nothing is unreadable to root: the server runs as nobody then.
    let server = Server::start(dir.path(), is_root().then_some(65534));
    let out = tempfile::tempdir().unwrap();
    let to = out.path().to_str().unwrap();
    let haul = Haul::new(&[
        "connect",
        &server.url,
        "--headless",
        "--json",
        "--all",
        "-d",
        to,
    ]);
    let line = haul.fails(3);
    assert!(line.contains("locked.txt"), "{line}");
    assert_eq!(fs::read(out.path().join("good.txt")).unwrap(), b"good");
}

#[test]
fn a_full_target_is_one_line_and_status_7() {
    // A file system of 64 KiB, in a mount namespace of its own.
    let in_namespace = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", script]);
        command
    };
    let target = tempfile::tempdir().unwrap();
    let mount = format!(
        "mount -t tmpfs -o size=64k haul {}",
        target.path().display()
    );
    if !in_namespace(&mount)
        .output()
        .is_ok_and(|o| o.status.success())
    {
        eprintln!("skipped: no mount namespace can be made here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("large.bin"), vec![7; 1 << 20]).unwrap();
    let server = Server::start(dir.path(), None);
    let script = format!(
        "{mount} && exec '{}' connect {} --headless --json --all -d {}",
        env!("CARGO_BIN_EXE_haul"),
        server.url,
        target.path().display()
    );
    let mut haul = Haul::new(&[]);
    let state = haul.state.path().to_owned();
    haul.command = in_namespace(&script);
    haul.command.env("XDG_STATE_HOME", state);
    let line = haul.fails(7);
    assert!(line.contains("no space left"), "{line}");
}

#[test]
fn one_file_goes_to_another_name_or_to_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(dir.path().join("a b.bin"), &content).unwrap();
    let server = Server::start(dir.path(), None);
    let out = tempfile::tempdir().unwrap();
    let to = out.path().to_str().unwrap();
    let get = [
        "connect",
        &server.url,
        "--headless",
        "-g",
        "a b.bin",
        "-d",
        to,
        "-o",
    ];
    let (code, _, stderr) = Haul::new(&[&get[..], &["sub/c.bin"]].concat()).run();
    assert_eq!(code, 0, "{stderr}");
    assert!(fs::read(out.path().join("sub/c.bin")).unwrap() == content);

    let mut haul = Haul::new(&[&get[..], &["-"]].concat());
    let output = haul.command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(output.stdout == content, "{} bytes", output.stdout.len());
    assert!(
        stderr.contains("1 file, 97.7 KiB"),
        "the summary is on stderr: {stderr}"
    );

    let url = format!("{}/none", server.url);
    let (code, stdout, _) = Haul::new(&["connect", &url, "--headless", "-o", "-"]).run();
    assert_eq!((code, stdout.as_str()), (3, ""));
}

#[test]
fn what_goes_to_stdout_is_written_while_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = content(1, 24 << 20);
    fs::write(dir.path().join("large"), &bytes).unwrap();
    let server = serve(dir.path());
    let proxy = proxy(server.address);
    proxy.lines(|_| Line {
        rate: Some(4 << 20),
        ..Line::default()
    });
    // Bad at first: what is written must have been checked.
    proxy.flip_once([5, 1 << 20]);
    let url = proxy.url("/large");
    let mut haul = Haul::new(&["connect", &url, "--headless", "-o", "-"]);
    let piped = haul.command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = piped.spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut written = vec![0; 1 << 20];
    out.read_exact(&mut written).unwrap();
    assert!(proxy.file_bytes() < bytes.len() as u64);
    out.read_to_end(&mut written).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(written == bytes, "{} bytes", written.len());
    assert_eq!(proxy.flipped(), 2);
}

#[test]
fn a_tree_arrives_as_it_is() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers");
    let server = Server::start(&samples, None);
    let out = tempfile::tempdir().unwrap();
    let to = out.path().to_str().unwrap();
    let (code, stdout, stderr) = Haul::new(&["connect", &server.url, "--all", "-d", to]).run();
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("50 files, 426 KiB in "), "{stdout}");
    let compared = Command::new("diff")
        .arg("-r")
        .args([&samples, out.path()])
        .output()
        .unwrap();
    assert!(
        compared.status.success(),
        "{}",
        String::from_utf8_lossy(&compared.stdout)
    );
}

#[test]
fn the_demo_needs_no_terminal() {
    let mut haul = Haul::new(&["demo"]);
    haul.command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let (code, stdout, stderr) = haul.run();
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("\n50 files, 426 KiB in "), "{stdout}");
    // Elsewhere the samples are made.
    let elsewhere = tempfile::tempdir().unwrap();
    let mut haul = Haul::new(&["demo"]);
    haul.command.current_dir(elsewhere.path());
    let (code, stdout, stderr) = haul.run();
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.contains("\n50 files, 426 KiB in "), "{stdout}");
    assert_eq!(
        fs::read_dir(elsewhere.path()).unwrap().count(),
        0,
        "nothing is left"
    );
}

#[test]
fn a_signal_ends_the_server_with_its_status() {
    use rustix::process::{Pid, Signal, kill_process};
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::start(dir.path(), None);
        kill_process(Pid::from_child(&server.child), signal).unwrap();
        assert_eq!(server.child.wait().unwrap().code(), Some(status));
    }
}
