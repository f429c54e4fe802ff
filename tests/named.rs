//! What a client shows to servers that are named in files: Metalinks, lists and `.netrc`.

use std::fs;

use crate::{
    common::{
        program::Haul,
        scripted::{file, not_found, ok, scripted},
        trees::{content, hex},
    },
    foreign::temp,
    logins::{all, guarded},
};

/// A Metalink of the file `f`, which these URLs have.
fn metalink(urls: &[String]) -> String {
    let urls: Vec<_> = urls.iter().map(|url| format!("<url>{url}</url>")).collect();
    format!(
        "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"f\"><size>7</size>{}</file></metalink>",
        urls.concat()
    )
}

#[test]
fn what_is_for_one_server_goes_to_the_one_of_a_local_metalink() {
    let (one, two) = (guarded(), guarded());
    let dir = temp();
    let path = dir.path().join("f.meta4");
    let login = dir.path().join("login");
    fs::write(&login, "ada:lovelace\n").unwrap();
    let run = |more: &[&str]| {
        let to = temp();
        let to = to.path().to_str().unwrap();
        let usual = ["connect", "--headless", "-r", "0", "-d", to];
        let (status, _, told) =
            Haul::new(&[&usual[..], &[path.to_str().unwrap()], more].concat()).run();
        (status, told)
    };
    let field = "Authorization: Basic YWRhOmxvdmVsYWNl";
    let given = [
        ["--auth", "ada:lovelace"],
        ["--auth-file", login.to_str().unwrap()],
        ["--header", field],
    ];
    fs::write(&path, metalink(&[one.url("/f")])).unwrap();
    for more in &given {
        let (status, told) = run(more);
        assert_eq!(status, 0, "{more:?}: {told}");
    }
    let zeros = "00".repeat(32);
    let (status, told) = run(&["--fingerprint", &zeros]);
    assert!(status == 2 && told.contains("names http://"), "{told}");
    let before = one.requests().len();
    fs::write(&path, metalink(&[one.url("/f"), two.url("/f")])).unwrap();
    for more in given.iter().chain([&["--fingerprint", zeros.as_str()]]) {
        let (status, told) = run(more);
        assert!(
            status == 2 && told.contains("names several servers"),
            "{told}"
        );
    }
    assert_eq!((one.requests().len(), two.requests().len()), (before, 0));
    fs::write(&login, format!("{} ada:lovelace\n", two.url("/"))).unwrap();
    let (status, told) = run(&given[1]);
    assert_eq!(status, 0, "{told}");
    assert!(
        one.requests()
            .iter()
            .skip(before)
            .all(|request| request.field("Authorization").is_none())
    );
}

#[test]
fn a_server_that_a_fetched_metalink_names_is_a_stranger() {
    let other = scripted(|request| file(request, b"content", ""));
    let there = other.url("/f").replace("127.0.0.1", "localhost");
    let server = scripted(move |request| match request.target.as_str() {
        "/f.meta4" => ok(
            "application/metalink4+xml",
            metalink(std::slice::from_ref(&there)).as_bytes(),
        ),
        _ => not_found(),
    });
    let (dir, netrc) = (temp(), temp());
    let netrc = netrc.path().join("netrc");
    fs::write(&netrc, "default login ada password lovelace\n").unwrap();
    let url = server.url("/f.meta4");
    let to = dir.path().to_str().unwrap();
    let line = [
        "connect",
        "--headless",
        "-d",
        to,
        "--user",
        "Ada",
        &url,
        "--netrc",
    ];
    let (status, _, told) = Haul::new(&[&line[..], &[netrc.to_str().unwrap()]].concat()).run();
    assert_eq!(status, 0, "{told}");
    let asked = server.requests();
    assert!(
        asked[0].field("Authorization").is_some() && asked[0].field("Haul-Name") == Some("Ada")
    );
    let caught = other.requests();
    assert!(!caught.is_empty());
    for request in caught {
        assert_eq!(request.field("Authorization"), None);
        assert_eq!(request.field("Haul-Name"), None);
        assert_ne!(
            request.field("Haul-Session"),
            asked[0].field("Haul-Session")
        );
    }
}

#[test]
fn a_netrc_that_cannot_be_read_is_told() {
    let server = scripted(|request| file(request, b"content", ""));
    let (dir, home) = (temp(), temp());
    fs::write(
        home.path().join(".netrc"),
        b"machine x login \xff password y\n",
    )
    .unwrap();
    let to = dir.path().to_str().unwrap();
    let mut run = Haul::new(&["connect", "--headless", "-d", to, &server.url("/f")]);
    run.command.env("HOME", home.path());
    let (status, _, told) = run.run();
    assert!(status == 0 && told.contains("it is no UTF-8"), "{told}");
}

#[test]
fn a_list_is_fetched_with_the_login_in_its_address() {
    let lists = guarded();
    let server = scripted(|request| file(request, b"content", ""));
    let run = |login: &str, more: &[&str]| {
        let list = lists.url("/SUMS").replace("://", &format!("://{login}@"));
        let more = [&["--checksums", list.as_str()][..], more].concat();
        all(temp().path(), &server.url("/"), &more)
    };
    // What comes is no list, but it comes.
    let (status, told) = run("ada:lovelace", &[]);
    assert!(status == 2 && told.contains("is that a list?"), "{told}");
    assert_eq!(run("ada:x", &[]).0, 5);
    let logins = temp();
    let path = logins.path().join("logins");
    fs::write(&path, format!("{} ada:lovelace\n", lists.url("/"))).unwrap();
    let (status, told) = run("ada:secret", &["--auth-file", path.to_str().unwrap()]);
    assert!(status == 2 && told.contains("another login"), "{told}");
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn a_weak_digest_decides_about_a_file_that_is_here() {
    const DATE: &str = "Thu, 01 Jan 2015 00:00:00 GMT";
    let dated = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_420_070_400);
    let (right, wrong) = (content(1, 3 << 20), content(2, 3 << 20));
    let sent = right.clone();
    let server = scripted(move |request| {
        let fields = format!("\nAccept-Ranges: bytes\nLast-Modified: {DATE}");
        file(request, &sent, &fields)
    });
    let digest = hex(&<md5::Md5 as md5::Digest>::digest(&right));
    let dir = temp();
    let path = dir.path().join("f.meta4");
    let text = format!(
        "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"f\"><size>{}</size>\
         <hash type=\"md5\">{digest}</hash><url>{}</url></file></metalink>",
        right.len(),
        server.url("/f")
    );
    fs::write(&path, text).unwrap();
    // Its date says neither that it is here nor that it is not.
    for (here, date, name, kept) in [
        (&wrong, Some(dated), "f (1)", false),
        (&right, None, "f", true),
        (&right, Some(dated), "f", true),
    ] {
        let to = temp();
        let there = to.path().join("f");
        fs::write(&there, here).unwrap();
        if let Some(date) = date {
            let opened = fs::File::options().write(true).open(&there).unwrap();
            opened.set_modified(date).unwrap();
        }
        let before = server.requests().len();
        let target = to.path().to_str().unwrap();
        let line = ["connect", "--headless", "--json", "-d", target];
        let (status, stdout, stderr) =
            Haul::new(&[&line[..], &[path.to_str().unwrap()]].concat()).run();
        assert_eq!(status, 0, "{stderr}");
        assert!(fs::read(to.path().join(name)).unwrap() == right, "{stdout}");
        assert_eq!(
            fs::read_dir(to.path()).unwrap().count(),
            if kept { 1 } else { 2 }
        );
        assert!(
            stdout.contains("\"verified\":\"Metalink, weak\""),
            "{stdout}"
        );
        let all_kept = format!("\"kept\":{}", right.len());
        assert_eq!(stdout.contains(&all_kept), kept, "{stdout}");
        let asked = server.requests().split_off(before);
        let is_fetched = asked.iter().any(|request| request.method == "GET");
        assert_eq!(is_fetched, !kept, "{stdout}");
    }
}
