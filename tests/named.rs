//! What a client shows to servers that are named in files: Metalinks, lists and `.netrc`.

use std::fs;

use crate::{
    common::{
        program::Haul,
        scripted::{file, not_found, ok, scripted},
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
