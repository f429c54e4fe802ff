//! Who may read: under which names a server answers, what of its own it never hands out, and what pages may do.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
};

use haul::{
    server::{Names, Own, Settings},
    tls::Identity,
};

use crate::common::{
    program::Haul,
    raw::{Answer, fetch, get},
    secure::{Daemon, own_identity},
    serving::{Serving, serve, serve_with},
    tools::{need, skipped},
};

const BROWSER: &str = "Accept: text/html\r\n";

fn with_host(serving: &Serving, host: &str, target: &str, fields: &str) -> Answer {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
    fetch(serving.address, request)
}

#[test]
fn a_strangers_name_that_leads_here_gets_nothing() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), "secret").unwrap();
    let serving = serve(root.path());
    for target in [
        "/",
        "/f",
        "/f?pieces",
        "/f?blocks=0-0",
        "/f?meta4",
        "/?tar",
        "/?meta4",
    ] {
        let answer = with_host(&serving, "evil.example", target, "");
        assert_eq!(answer.status, 421, "{target}");
        assert_eq!(
            answer.text(),
            "421 this server is not known as `evil.example`: ask for it by its address, or start it with --name evil.example\n"
        );
        assert!(answer.field("Haul-Dir").is_none() && answer.field("ETag").is_none());
    }
    let page = with_host(&serving, "evil.example:80", "/f", BROWSER);
    assert_eq!(page.status, 421);
    assert!(page.text().contains("--name evil.example") && !page.text().contains("secret"));
    // What can be no name of a host is not repeated.
    let long = with_host(&serving, &("a.".repeat(200) + "example"), "/", "");
    assert!(long.status == 421 && long.text().contains("--name HOST"));
    let absolute = fetch(
        serving.address,
        "GET http://evil.example/f HTTP/1.1\r\nHost: haul\r\n\r\n",
    );
    assert_eq!(
        absolute.status, 421,
        "the target's authority is what is asked for"
    );
}

#[test]
fn a_given_name_and_those_of_the_certificate_are_answered() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("f"), "hello").unwrap();
    let serving = serve_with(Settings {
        names: Names::new(&["files.example.org".into()]),
        ..Settings::new(root.path().into())
    });
    for (host, status) in [
        ("files.example.org", 200),
        ("FILES.example.org.:8888", 200),
        ("example.org", 421),
        ("more.files.example.org", 421),
    ] {
        assert_eq!(with_host(&serving, host, "/f", "").status, status, "{host}");
    }
    let node = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    assert_eq!(with_host(&serving, &node, "/f", "").status, 200, "{node}");
    let identity = own_identity();
    assert!(identity.is_for("localhost") && !identity.is_for("evil.example"));
    let dir = tempfile::tempdir().unwrap();
    let certified = Identity::own(dir.path(), &["www.example.net".into()], &[]).unwrap();
    let settings = Settings {
        tls: Some(certified),
        ..Settings::new(root.path().into())
    };
    for (host, is_meant) in [("www.example.net", true), ("example.net", false)] {
        let tls = settings.tls.as_ref();
        assert_eq!(
            settings.names.are_asked_for(Some(host.as_bytes()), tls),
            is_meant,
            "{host}"
        );
    }
}

#[test]
fn a_misdirected_request_is_asked_for_no_login() {
    use haul::server::access::{Access, Sources};
    let root = tempfile::tempdir().unwrap();
    let login = haul::credentials::Credentials::parse_login("ada:lovelace").unwrap();
    let access = Access::new(&Sources {
        logins: &[login],
        ..Sources::default()
    });
    let serving = serve_with(Settings {
        access: access.unwrap(),
        ..Settings::new(root.path().into())
    });
    let answer = with_host(&serving, "evil.example", "/", "");
    assert_eq!(answer.status, 421);
    assert_eq!(answer.field("WWW-Authenticate"), None);
    assert_eq!(with_host(&serving, "haul", "/", "").status, 401);
}

#[test]
fn a_name_of_the_command_line_is_checked() {
    for wrong in ["http://x", "x:80", "a b", ".x"] {
        let line = Haul::new(&["serve", "--name", wrong]).fails(2);
        assert!(line.contains("host's name"), "{line}");
    }
}

/// All forms in which a tree is told.
fn told(serving: &Serving, dir: &str) -> String {
    ["", "?tar", "?meta4"]
        .iter()
        .map(|form| {
            let answer = fetch(
                serving.address,
                get(&format!("{dir}{form}"), "Accept: application/json\r\n"),
            );
            String::from_utf8_lossy(&answer.body).into_owned()
        })
        .collect()
}

#[test]
fn what_the_server_reads_itself_is_not_there() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name);
    fs::create_dir_all(path("sub")).unwrap();
    for name in ["key.pem", "users", "seen"] {
        fs::write(path(name), format!("content of {name}")).unwrap();
    }
    // Other names of the same files.
    symlink("../key.pem", path("sub/link")).unwrap();
    fs::hard_link(path("users"), path("sub/hard")).unwrap();
    let serving = serve_with(Settings {
        own: Own::new(
            vec![path("key.pem"), path("users"), path("later.log")],
            None,
        ),
        ..Settings::new(root.path().into())
    });
    fs::write(path("later.log"), "content of the log").unwrap();
    // A certificate that is renewed is another file of the same name; the old one may live on under another.
    fs::rename(path("key.pem"), path("former")).unwrap();
    fs::write(path("new"), "content of the new key").unwrap();
    fs::rename(path("new"), path("key.pem")).unwrap();
    for target in ["/key.pem", "/users", "/later.log", "/former", "/sub/hard"] {
        for form in ["", "?pieces", "?blocks=0-0", "?meta4"] {
            let answer = fetch(serving.address, get(&format!("{target}{form}"), ""));
            assert_eq!(answer.status, 404, "{target}{form}");
        }
    }
    assert_eq!(
        fetch(serving.address, get("/seen", "")).text(),
        "content of seen"
    );
    let told = told(&serving, "/");
    assert!(told.contains("content of seen"));
    for hidden in ["key.pem", "users", "later.log", "former", "hard"] {
        assert!(!told.contains(hidden), "{hidden}");
    }
    assert_eq!(told.matches("content of").count(), 1);
}

#[test]
fn nothing_of_the_state_directory_is_there_whatever_leads_to_it() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join(".local/state/haul");
    fs::create_dir_all(state.join("journals")).unwrap();
    fs::write(state.join("tls.pem"), "the key").unwrap();
    fs::write(state.join("journals/one"), "a journal").unwrap();
    symlink(".local/state/haul/journals", home.path().join("way")).unwrap();
    symlink(".local/state/haul/tls.pem", home.path().join("pem")).unwrap();
    fs::write(home.path().join(".local/state/other"), "no secret").unwrap();
    let serving = serve_with(Settings {
        hidden: true,
        own: Own::new(Vec::new(), Some(state)),
        ..Settings::new(home.path().into())
    });
    for target in [
        "/.local/state/haul/",
        "/.local/state/haul/tls.pem",
        "/.local/state/haul/journals/one",
        "/way/",
        "/way/one",
        "/pem",
    ] {
        assert_eq!(
            fetch(serving.address, get(target, "")).status,
            404,
            "{target}"
        );
    }
    let other = fetch(serving.address, get("/.local/state/other", ""));
    assert_eq!(other.text(), "no secret");
    let told = told(&serving, "/") + &told(&serving, "/.local/state/");
    assert!(told.contains("no secret"));
    for hidden in [
        "state/haul",
        "\"haul/\"",
        "tls.pem",
        "the key",
        "journal",
        "\"pem\"",
    ] {
        assert!(!told.contains(hidden), "{hidden}: {told}");
    }
}

#[test]
fn a_state_directory_that_is_made_later_is_not_there_either() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join(".local/state/haul");
    let serving = serve_with(Settings {
        hidden: true,
        own: Own::new(Vec::new(), Some(state.clone())),
        ..Settings::new(home.path().into())
    });
    // Another haul of the same user comes first.
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("tls.pem"), "the key").unwrap();
    for target in ["/.local/state/haul/tls.pem", "/.local/state/haul/"] {
        let answer = fetch(serving.address, get(target, ""));
        assert_eq!(answer.status, 404, "{target}");
    }
    assert!(!told(&serving, "/").contains("the key"));
}

#[test]
fn no_mount_leads_to_the_state_directory() {
    // What is mounted: all that holds the state, part of it, a file of it, and the served directory itself.
    const MOUNTS: &str = "set -e; root=$1; shift; cd \"$XDG_STATE_HOME\"; mkdir -p haul/journals; \
        echo the key >haul/tls.pem; echo a journal >haul/journals/one; echo no secret >other; \
        mount --bind haul \"$root/own\"; mount --bind haul/journals \"$root/part\"; \
        mount --bind haul/tls.pem \"$root/file\"; mount --bind . \"$root/home\"; \
        mount --bind . \"$root/served\"; exec \"$@\"";
    let namespace = ["unshare", "-rm", "--propagation", "private", "sh", "-c"];
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let served = root.join("served");
    for dir in ["own", "part", "home", "served"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    fs::write(root.join("file"), "").unwrap();
    let works = need("unshare").is_some()
        && std::process::Command::new("unshare")
            .args(&namespace[1..])
            .args(["mount --bind \"$1/own\" \"$1/home\"", "sh"])
            .arg(root)
            .status()
            .unwrap()
            .success();
    if !works {
        return skipped("no mount namespaces here");
    }
    let within = [&namespace[..], &[MOUNTS, "sh", root.to_str().unwrap()]].concat();
    let start = |dir: &Path| Daemon::start_within(&within, dir, &["-p", "0"]);
    let status = |daemon: &Daemon, target: &str| fetch(daemon.address(), get(target, "")).status;
    let all = start(root);
    for target in [
        "/own/",
        "/own/tls.pem",
        "/part/",
        "/part/one",
        "/file",
        "/home/haul/",
        "/home/haul/tls.pem",
        "/home/haul/journals/one",
        "/served/haul/tls.pem",
    ] {
        assert_eq!(status(&all, target), 404, "{target}");
    }
    assert_eq!(status(&all, "/home/other"), 200);
    let home = start(&served);
    for target in ["/haul/", "/haul/tls.pem", "/haul/journals/one"] {
        assert_eq!(status(&home, target), 404, "{target}");
    }
    let told = fetch(home.address(), get("/?tar", ""));
    let told = String::from_utf8_lossy(&told.body).into_owned();
    assert!(told.contains("no secret") && !told.contains("the key"));
    home.wait_to_say("haul lies in the directory that is served");
}

#[test]
fn the_program_hides_what_its_options_name_and_says_so() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("tokens"), "abc\n").unwrap();
    fs::write(
        path("serve.ini"),
        format!("[serve]\ntoken-file = {}\n", path("tokens")),
    )
    .unwrap();
    for (name, mode) in [("tokens", 0o644), ("serve.ini", 0o600)] {
        fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let (config, log) = (path("serve.ini"), path("serve.log"));
    let daemon = Daemon::start(root.path(), &["-c", &config, "-l", &log]);
    let token = "Authorization: Bearer abc\r\n";
    assert_eq!(fetch(daemon.address(), get("/?tar", token)).status, 200);
    for target in ["/tokens", "/serve.ini", "/serve.log"] {
        assert_eq!(
            fetch(daemon.address(), get(target, token)).status,
            404,
            "{target}"
        );
    }
    let said = daemon.wait_to_say("listening on");
    for name in ["tokens", "serve.ini", "serve.log"] {
        let lies = format!("{} lies in the directory that is served", path(name));
        assert!(said.contains(&lies), "{name}: {said}");
    }
    let readable = format!(
        "{} holds tokens, and everybody on this machine can read it",
        path("tokens")
    );
    assert!(said.contains(&readable), "{said}");
    assert!(!said.contains("serve.ini holds"), "{said}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        mode(Path::new(&log)) & 0o007,
        0,
        "the log tells who fetched what"
    );
    let usual = Daemon::start(root.path(), &[]);
    assert_eq!(mode(&usual.state.path().join("haul")), 0o700);
}

#[test]
fn a_login_in_a_configuration_that_others_can_read_is_warned_of() {
    let root = tempfile::tempdir().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("serve.ini");
    fs::write(&config, "[serve]\nauth = ada:lovelace\n").unwrap();
    for (mode, who) in [
        (0o644, Some("everybody")),
        (0o640, Some("its group")),
        (0o600, None),
    ] {
        fs::set_permissions(&config, fs::Permissions::from_mode(mode)).unwrap();
        let daemon = Daemon::start(root.path(), &["-c", config.to_str().unwrap()]);
        // What is warned of stands before where it listens.
        let said = daemon.wait_to_say("listening on");
        let warned = said.contains("serve.ini holds a login, and ");
        assert_eq!(warned, who.is_some(), "{mode:o}: {said}");
        assert!(who.is_none_or(|who| said.contains(who)) && !said.contains("lovelace"));
    }
}

#[test]
fn a_server_leaves_no_core() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(root.path(), &[]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core:?}");
}

#[test]
fn pages_among_the_files_are_shown_without_scripts_unless_a_site_is_served() {
    let root = tempfile::tempdir().unwrap();
    let active = [
        "a.html", "a.HTM", "a.xhtml", "a.svg", "a.xml", "a.xsl", "a.rss", "a.atom",
    ];
    let passive = [
        "a.txt", "a.png", "a.js", "a.css", "a.pdf", "a", "a.json", "a.mp4",
    ];
    for name in active.iter().chain(&passive) {
        fs::write(root.path().join(name), "<script>alert(1)</script>").unwrap();
    }
    let policy = |serving: &Serving, name: &str, fields: &str| {
        let answer = fetch(serving.address, get(&format!("/{name}"), fields));
        assert!(matches!(answer.status, 200 | 206));
        let resource = answer.field("Cross-Origin-Resource-Policy");
        assert_eq!(resource, Some("same-origin"), "{name}");
        answer.field("Content-Security-Policy").map(str::to_owned)
    };
    let serving = serve(root.path());
    for fields in ["", "Range: bytes=0-3\r\n", "Range: bytes=0-1,4-5\r\n"] {
        for name in active {
            assert_eq!(
                policy(&serving, name, fields).as_deref(),
                Some("sandbox"),
                "{name}"
            );
        }
        for name in passive {
            assert_eq!(policy(&serving, name, fields), None, "{name}");
        }
    }
    let site = serve_with(Settings {
        web: true,
        ..Settings::new(root.path().into())
    });
    for name in active {
        assert_eq!(policy(&site, name, ""), None, "{name}");
    }
    for target in ["/", "/none", "/?tar", "/a.txt?pieces", "/?meta4"] {
        let answer = fetch(serving.address, get(target, BROWSER));
        let resource = answer.field("Cross-Origin-Resource-Policy");
        assert_eq!(resource, Some("same-origin"), "{target}");
    }
}
