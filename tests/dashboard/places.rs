//! The ways back: the last directory, bookmarks, and servers that were used before.

use haul::{
    app::{
        Effect, Event, Popup, Server, State,
        connect::Facts,
        places::{Change, Place},
    },
    discovery::Known,
};

use super::{
    pty::{Pty, haul_in, screen as screen_of, served},
    states::*,
};
use crate::common::program::Haul;

fn listed(state: &mut State, dir: &str) -> Vec<Effect> {
    let (path, result) = (path(dir), Ok(entries()));
    answer_list(state, path, result)
}

fn opens(effects: &[Effect]) -> Option<String> {
    effects.iter().find_map(|effect| match effect {
        Effect::List { path, .. } => Some(path.to_target()),
        _ => None,
    })
}

fn place(server: &str, dir: Option<&str>) -> Place {
    Place::new(server.parse().unwrap(), dir.map(path)).unwrap()
}

#[test]
fn a_key_goes_back_and_forth_between_two_directories() {
    let mut state = browsing();
    assert!(keys(&mut state, "-").is_empty() && state.notice.as_ref().unwrap().bad);
    keys(&mut state, ": c d Space p h o t o s Enter");
    listed(&mut state, "/photos/");
    assert_eq!(opens(&keys(&mut state, "-")).unwrap(), "/");
    listed(&mut state, "/");
    assert_eq!(opens(&keys(&mut state, "-")).unwrap(), "/photos/");
    // What is listed again is no other directory.
    listed(&mut state, "/photos/");
    keys(&mut state, "r");
    listed(&mut state, "/photos/");
    assert_eq!(opens(&keys(&mut state, "-")).unwrap(), "/");
}

#[test]
fn a_bookmark_leads_to_its_directory_on_this_server_or_another() {
    let mut state = browsing();
    keys(&mut state, ": c d Space p h o t o s Enter");
    listed(&mut state, "/photos/");
    let effects = keys(&mut state, "b");
    let kept = place("http://nas.lan:8888/", Some("/photos/"));
    assert!(
        matches!(&effects[..], [Effect::Places(Change::Keep(place))] if *place == kept),
        "{effects:?}"
    );
    keys(&mut state, "h");
    listed(&mut state, "/");
    keys(&mut state, "'");
    for (columns, rows) in [(120, 36), (80, 24)] {
        let screen = screen(&mut state, columns, rows);
        assert!(screen.contains("http://nas.lan:8888/photos/"), "{screen}");
    }
    assert_eq!(opens(&keys(&mut state, "Enter")).unwrap(), "/photos/");
    assert!(state.popup.is_none());
    let mut state = browsing().with_places(vec![
        place("http://other/", None),
        place("http://other/base/", Some("/deep/er/")),
    ]);
    let effects = keys(&mut state, "' Enter");
    assert!(
        matches!(&effects[..], [Effect::Connect(target)] if target.url.as_str() == "http://other/base/")
    );
    let url = "http://other/base/".parse().unwrap();
    let effects = send(&mut state, Event::Connected(Server { url, named: None }));
    assert_eq!(opens(&effects).unwrap(), "/");
    assert_eq!(opens(&listed(&mut state, "/")).unwrap(), "/deep/er/");
    // One that was not reached is no way to anywhere on the next.
    assert!(
        client(&state)
            .url
            .as_ref()
            .unwrap()
            .as_str()
            .contains("other")
    );
}

#[test]
fn a_server_is_kept_once_it_has_listed_something() {
    let url = "http://alice:secret@nas/?key=secret".parse().unwrap();
    let mut state = State::connect(Facts::default(), Some(Server { url, named: None }), looks());
    state.begin();
    let path = path("/");
    let result = Err("refused".into());
    let failed = answer_list(&mut state, path, result);
    assert!(
        !failed
            .iter()
            .any(|effect| matches!(effect, Effect::Places(_)))
    );
    keys(&mut state, "Esc r");
    let effects = listed(&mut state, "/");
    let kept = effects.iter().find_map(|effect| match effect {
        Effect::Places(Change::Keep(place)) => Some(place.clone()),
        _ => None,
    });
    assert_eq!(kept, Some(place("http://nas/", None)));
    keys(&mut state, "r");
    let again = listed(&mut state, "/");
    assert!(
        !again
            .iter()
            .any(|effect| matches!(effect, Effect::Places(_)))
    );
}

#[test]
fn where_a_server_is_asked_for_the_list_is_shown() {
    let known = || vec![place("http://a/", None), place("http://b/", None)];
    let mut state = State::connect(Facts::default(), None, looks()).with_places(known());
    assert!(matches!(state.popup, Some(Popup::Places(_))));
    assert!(screen(&mut state, 80, 24).contains("http://a/"));
    keys(&mut state, "Down");
    let effects = keys(&mut state, "Del");
    let gone = place("http://a/", None);
    assert!(matches!(&effects[..], [Effect::Places(Change::Drop(place))] if *place == gone));
    keys(&mut state, "Esc");
    assert!(state.popup.is_none() && state.prompt.is_some());
    let mut state = State::connect(Facts::default(), None, looks()).with_places(known());
    keys(&mut state, "n a s");
    let typed = state.prompt.as_ref().unwrap().text();
    assert!(
        state.popup.is_none() && typed == "nas",
        "an address can be typed"
    );
    let mut state = State::connect(Facts::default(), None, looks()).with_places(known());
    let effects = keys(&mut state, "Enter");
    assert!(
        matches!(&effects[..], [Effect::Connect(target)] if target.url.as_str() == "http://b/")
    );
    assert!(state.prompt.is_none());
    let state = State::connect(Facts::default(), None, looks()).with_places(Vec::new());
    assert!(state.popup.is_none());
}

#[test]
fn the_next_run_knows_what_this_one_used() {
    let (_dir, serving) = served();
    let into = tempfile::tempdir().unwrap();
    let home = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let url = serving.url("/");
    let arguments = ["connect", &url, "-d", into.path().to_str().unwrap()];
    let mut pty = haul_in(&home, &arguments);
    pty.expect("readme.txt");
    pty.press("b");
    pty.expect("bookmarked");
    pty.press("q");
    assert_eq!(pty.end(), 0);
    let mut pty = haul_in(&home, &arguments);
    pty.expect("readme.txt");
    pty.press("'");
    pty.expect("server │");
    pty.expect("bookmark │");
    pty.escape("Bookmarks and servers");
    pty.press("q");
    assert_eq!(pty.end(), 0);
}

#[test]
fn without_a_target_servers_are_looked_for_and_one_is_chosen() {
    let used = || vec![place("http://old/", None)];
    let mut state = State::connect(Facts::default(), None, looks()).with_places(used());
    let effects = state.begin();
    assert!(
        matches!(&effects[..], [Effect::FindServers { used, usual: true }] if used.len() == 1),
        "{effects:?}"
    );
    keys(&mut state, "n a s Enter");
    assert!(state.popup.is_none(), "an address can be typed");

    let (_dir, serving) = served();
    let home = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let url = serving.url("/");
    let mut pty = haul_in(&home, &["connect", &url]);
    pty.expect("readme.txt");
    pty.press("q");
    assert_eq!(pty.end(), 0);
    // Others may be heard, and come first.
    let mut pty = haul_in(&home, &["connect"]);
    pty.expect("where to go, or type an address");
    pty.expect(&url);
    let is_chosen =
        |pty: &Pty| screen_of(pty.sent().as_bytes(), (80, 24)).contains(&format!("▌ {url}"));
    for _ in 0..20 {
        if is_chosen(&pty) {
            break;
        }
        let before = pty.sent().len();
        pty.press("\x1b[B");
        pty.wait("the cursor moves", |seen| seen.bytes.len() > before);
    }
    pty.press("\r");
    pty.expect("readme.txt");
    pty.press("q");
    assert_eq!(pty.end(), 0);
    pty.is_restored();
}

#[test]
fn without_a_target_and_a_terminal_a_line_says_what_to_do() {
    for (line, why) in [
        (&["connect"][..], "no terminal to draw on"),
        (&["connect", "--headless"], "--headless has nothing to get"),
        (&["connect", "--detach"], "--detach has nothing to get"),
    ] {
        let told = Haul::new(line).fails(2);
        assert!(
            told.contains(why) && told.contains("`haul servers`"),
            "{told}"
        );
    }
    let told = Haul::new(&["connect", "http://127.0.0.1:1/"]).fails(2);
    assert!(!told.contains("servers"), "{told}");
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut state = browsing();
    let before = text(&draw(&mut state, 120, 36));
    let (path, result) = (path("/"), Err("of a server that was left".into()));
    let effects = answer_list(&mut state, path, result);
    assert!(effects.is_empty(), "{effects:?}");
    assert_eq!(text(&draw(&mut state, 120, 36)), before);
}

#[test]
fn what_is_pasted_is_the_address_and_not_the_list_over_it() {
    let mut state = State::connect(
        Facts::default(),
        Some(Server {
            url: "http://x/".parse().unwrap(),
            named: None,
        }),
        looks(),
    )
    .with_places(vec![place("http://other/", None)]);
    send(&mut state, Event::Disconnected);
    assert!(matches!(state.popup, Some(Popup::Places(_))));
    send(&mut state, Event::Paste("http://pasted/".into()));
    let effects = keys(&mut state, "Enter");
    assert!(
        matches!(&effects[..], [.., Effect::Connect(target)] | [Effect::Connect(target), ..] if target.url.as_str() == "http://pasted/"),
        "{effects:?}"
    );
}

#[test]
fn servers_are_looked_for_shown_and_turned_to() {
    let used = vec![
        place("http://old/", None),
        place("http://old/", Some("/a/")),
    ];
    let mut state = browsing().with_places(used);
    let effects = keys(&mut state, ": s e r v e r s Enter");
    let old = "http://old/".parse().unwrap();
    assert!(
        matches!(&effects[..], [Effect::Remember(_), Effect::FindServers { used, usual: false }] if *used == [old]),
        "{effects:?}"
    );
    assert!(screen(&mut state, 80, 24).contains("listening"));
    assert!(
        keys(&mut state, "Enter").is_empty(),
        "there is nowhere to go yet"
    );
    let known = |url: &str, name: Option<&str>, connect_ms: Option<f64>| Known {
        url: url.to_owned(),
        name: name.map(str::to_owned),
        heard: name.is_some(),
        used: name.is_none(),
        reachable: connect_ms.is_some(),
        connect_ms,
        fingerprint: None,
    };
    let there = vec![
        known("http://10.0.0.7:8888/", Some("pub\x1b on nas"), Some(0.4)),
        known("http://old/", None, None),
    ];
    send(&mut state, Event::Servers(there.clone()));
    let shown = screen(&mut state, 80, 24);
    for text in [
        "http://10.0.0.7:8888/",
        "0.4 ms",
        "on nas",
        "cannot be reached",
        "used before",
    ] {
        assert!(shown.contains(text), "{text}:\n{shown}");
    }
    assert!(!shown.contains('\x1b'), "{shown}");
    let effects = keys(&mut state, "Enter");
    assert!(
        matches!(&effects[..], [Effect::Connect(target)] if target.url.as_str() == "http://10.0.0.7:8888/"),
        "{effects:?}"
    );
    assert!(state.popup.is_none());
    // What comes once the box is closed changes nothing.
    send(&mut state, Event::Servers(there));
    assert!(state.popup.is_none());
}
