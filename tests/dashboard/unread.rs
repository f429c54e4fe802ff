//! Questions that come up by themselves: what is typed as they do answers none of them, and none outlives its server.

use haul::{
    app::{Effect, Event, Popup, Server, State, event::Fingerprint},
    client::{Damage, Link, Question, Snapshot, Want},
};

use super::states::*;

/// Types a line without its end.
fn type_line(state: &mut State, text: &str) -> Vec<Effect> {
    let typed = text.chars().map(|c| match c {
        ' ' => "Space".to_owned(),
        c => c.to_string(),
    });
    let typed: Vec<_> = typed.collect();
    typed.iter().flat_map(|key| keys(state, key)).collect()
}

fn damaged(target: &str) -> Event {
    Event::Damaged {
        file: local_file(target),
        result: Ok(Damage {
            size: 10 << 20,
            pieces: vec![2],
            resized: false,
        }),
    }
}

fn changed() -> Event {
    Event::Fingerprint(Fingerprint {
        host: "nas.lan:8888".into(),
        seen: "BB".into(),
        known: Some("AA".into()),
    })
}

fn login() -> Event {
    Event::LoginWanted {
        reason: "the server wants a login (401)".into(),
        at: None,
    }
}

fn connected(url: &str) -> Event {
    Event::Connected(Server {
        url: url.parse().unwrap(),
        named: None,
    })
}

/// One of each kind.
fn questions() -> [Event; 4] {
    [
        certificate("AA"),
        damaged("/manual.pdf"),
        changed(),
        login(),
    ]
}

fn typed(state: &State) -> &str {
    state.prompt.as_ref().unwrap().text()
}

#[test]
fn what_is_typed_answers_no_question_that_comes_up_meanwhile() {
    for asks in questions() {
        let mut state = browsing();
        type_line(&mut state, ":get m");
        send(&mut state, asks);
        assert!(state.popup.is_none() && typed(&state) == "get m");
        let told = screen(&mut state, 120, 36);
        assert!(told.contains("a question waits: "), "{told}");
        assert!(type_line(&mut state, "y qn").is_empty());
        assert_eq!(typed(&state), "get my qn");
        // It opens as the line ends; who goes on typing has not read it.
        let effects = keys(&mut state, "Enter");
        assert!(effects.iter().any(|it| matches!(it, Effect::Get { .. })));
        let open = |state: &State| state.popup.is_some() || state.prompt.is_some();
        assert!(open(&state));
        for key in ["y", "Enter", "n", "q", "Esc"] {
            assert!(keys(&mut state, key).is_empty(), "{key}");
        }
        send(&mut state, Event::Paste("y\n".into()));
        assert!(open(&state));
        assert!(!screen(&mut state, 120, 36).contains("a question waits"));
    }
}

#[test]
fn questions_are_asked_one_after_the_other_and_each_once() {
    let mut state = browsing();
    keys(&mut state, "?");
    for _ in 0..2 {
        for asks in [certificate("AA"), damaged("/manual.pdf"), login()] {
            send(&mut state, asks);
        }
    }
    assert!(matches!(state.popup, Some(Popup::Help(_))));
    keys(&mut state, "Esc");
    assert!(matches!(state.popup, Some(Popup::Trust(_))));
    read(&mut state);
    assert!(matches!(keys(&mut state, "y")[..], [Effect::Trust(_)]));
    assert!(matches!(state.popup, Some(Popup::Ask(_))));
    read(&mut state);
    keys(&mut state, "n");
    assert!(state.popup.is_none());
    assert_eq!(typed(&state), "alice");
    read(&mut state);
    keys(&mut state, "Esc");
    assert!(state.prompt.is_none() && state.popup.is_none());
}

#[test]
fn a_question_shows_its_answers_once_it_takes_them_and_enter_trusts_nobody() {
    let mut state = browsing();
    send(&mut state, certificate("AA"));
    let at_once = screen(&mut state, 100, 30);
    assert!(at_once.contains("Trust this server?") && !at_once.contains("y trust it"));
    read(&mut state);
    assert!(screen(&mut state, 100, 30).contains("y trust it from now on"));
    assert!(keys(&mut state, "Enter").is_empty());
    assert!(matches!(state.popup, Some(Popup::Trust(_))));
    assert!(matches!(keys(&mut state, "y")[..], [Effect::Trust(_)]));
}

#[test]
fn no_answer_meant_for_one_server_goes_to_another() {
    // A password.
    let mut state = browsing();
    send(&mut state, login());
    read(&mut state);
    keys(&mut state, "Enter s e c");
    send(&mut state, connected("http://other/"));
    assert!(state.prompt.is_none());
    let mut effects = type_line(&mut state, "ret");
    effects.extend(keys(&mut state, "Enter"));
    assert!(!effects.iter().any(|it| matches!(it, Effect::Login { .. })));
    // The boxes, open and waiting, and the ways to a server.
    for asks in questions() {
        let mut state = browsing();
        send(&mut state, asks);
        send(&mut state, certificate("CC"));
        send(&mut state, connected("http://other/"));
        assert!(state.popup.is_none() && state.prompt.is_none());
    }
    let mut state = browsing();
    send(&mut state, Event::Disconnected);
    assert!(state.prompt.is_some());
    keys(&mut state, "Esc Esc");
    keys(&mut state, "r");
    send(&mut state, connected("http://other/"));
    assert!(state.popup.is_none() && state.prompt.is_none());
}

#[test]
fn a_line_that_is_typed_outlives_its_server() {
    let mut state = browsing();
    type_line(&mut state, ":connect na");
    send(&mut state, Event::Disconnected);
    assert_eq!(typed(&state), "connect na");
    keys(&mut state, "Esc");
    assert_eq!(typed(&state), "", "an address is asked for");
    assert!(
        matches!(&state.prompt, Some(prompt) if prompt.kind == haul::app::prompt::Kind::Address)
    );
}

/// Takes a sample of a client whose link is so; `at` wants the login that is asked for.
fn link_at(state: &mut State, link: Link, at: Option<&str>) -> Vec<Effect> {
    let now = state.now.unwrap();
    let snapshot = Snapshot {
        link,
        login_at: at.map(str::to_owned),
        ..Snapshot::default()
    };
    tick(state, now, wall(), haul::app::Sample::Client(snapshot))
}

fn link(state: &mut State, link: Link) -> Vec<Effect> {
    link_at(state, link, None)
}

/// What [`certificate`] and [`login`] tell, as the link does.
fn asked() -> [Question; 2] {
    let known = Question::Certificate {
        host: "nas.lan:8888".into(),
        seen: "AA".into(),
        known: None,
    };
    [known, Question::Login("who?".into())]
}

fn lists(effects: &[Effect]) -> bool {
    effects.iter().any(|it| matches!(it, Effect::List { .. }))
}

#[test]
fn a_question_that_another_screen_answers_is_open_no_more() {
    for question in asked() {
        // As soon as that is told, or once the link is up again, however long it takes to connect.
        for told in [true, false] {
            let mut state = browsing();
            keys(&mut state, "r");
            let mut result = wants_login();
            result.asks = Some(question.clone());
            answer_list(&mut state, path("/"), Err(result));
            link(&mut state, Link::Asks(question.clone()));
            assert!(state.prompt.is_some() || state.popup.is_some());
            read(&mut state);
            let effects = if told {
                send(&mut state, Event::Answered)
            } else {
                link(&mut state, Link::Connecting);
                link(&mut state, Link::Up)
            };
            assert!(lists(&effects), "{effects:?}");
            assert!(state.prompt.is_none() && state.popup.is_none());
            // Whoever was typing an answer presses no keys.
            keys(&mut state, "?");
            assert!(state.popup.is_none());
            read(&mut state);
            keys(&mut state, "?");
            assert!(state.popup.is_some());
        }
    }
}

#[test]
fn a_server_that_wants_a_login_is_believed() {
    let [certificate, login] = asked();
    for (at, believed) in [("nas.lan:8888", true), ("mirror:1", false)] {
        let mut state = browsing();
        link(&mut state, Link::Asks(certificate.clone()));
        link_at(&mut state, Link::Asks(login.clone()), Some(at));
        assert_eq!(state.popup.is_none(), believed);
        assert_eq!(state.prompt.is_some(), believed);
    }
}

#[test]
fn what_one_answer_does_not_answer_stays() {
    let [certificate_asked, login_asked] = asked();
    // The login of another server.
    let mut state = browsing();
    let wanted = |at: &str| Event::LoginWanted {
        reason: "the server wants a login (401)".into(),
        at: Some(at.into()),
    };
    send(&mut state, wanted("mirror:1"));
    let asks = Link::Asks(login_asked.clone());
    link_at(&mut state, asks, Some("nas.lan:8888"));
    assert!(state.has_questions());
    link(&mut state, Link::Up);
    assert!(state.prompt.is_some() && !state.has_questions());
    // The login that follows a certificate.
    let mut state = browsing();
    link(&mut state, Link::Asks(certificate_asked));
    read(&mut state);
    assert!(matches!(keys(&mut state, "y")[..], [Effect::Trust(_)]));
    send(&mut state, login());
    link(&mut state, Link::Up);
    assert!(state.prompt.is_some());
    // The one that follows a login which is refused.
    let mut state = browsing();
    link(&mut state, Link::Asks(login_asked));
    read(&mut state);
    let effects = keys(&mut state, "Enter x Enter");
    assert!(matches!(effects[..], [Effect::Login { .. }]));
    send(&mut state, login());
    link(&mut state, Link::Up);
    assert!(state.prompt.is_some());
}

#[test]
fn what_was_said_of_a_server_goes_with_it() {
    for event in [connected("http://other/"), Event::Disconnected] {
        let mut state = browsing();
        keys(&mut state, "u");
        assert!(notice(&state).contains("nothing to undo"));
        send(&mut state, event);
        assert_eq!(notice(&state), "");
    }
}

#[test]
fn a_question_that_was_answered_on_another_screen_is_not_asked() {
    let mut state = browsing();
    keys(&mut state, ":");
    link(&mut state, Link::Asks(Question::Login("who?".into())));
    link(&mut state, Link::Up);
    keys(&mut state, "Esc");
    assert!(state.prompt.is_none());
}

#[test]
fn a_file_is_repaired_where_it_is_and_from_its_server() {
    let repaired = |state: &mut State| {
        send(state, damaged("/manual.pdf"));
        read(state);
        keys(state, "y")
    };
    let mut state = browsing();
    send(&mut state, Event::Lcd("/home/alice/elsewhere".into()));
    let effects = repaired(&mut state);
    assert!(
        matches!(&effects[..], [Effect::Get { to: None, wants, .. }] if matches!(wants[..], [Want::Path { .. }])),
        "{effects:?}"
    );
    // What was in another place is not looked for in the usual one.
    let mut file = local_file("/photos/a.raw");
    file.local = "/mnt/photos/a.raw".into();
    assert_eq!(file.target(), Some("/mnt".into()));
    // The answer comes after a turn to another server.
    let mut state = browsing();
    send(&mut state, connected("http://other/"));
    answer_list(&mut state, path("/"), Ok(entries()));
    assert!(send(&mut state, Event::Differs(local_file("/manual.pdf"))).is_empty());
    send(&mut state, damaged("/manual.pdf"));
    assert!(state.popup.is_none());
}
