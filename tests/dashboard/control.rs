//! What is typed and asked: orders to the server, limits, logins, certificates, files, details.

use std::time::Instant;

use haul::{
    app::{
        Effect, Ending, Event, Popup, Sample, State, Tick, View, effect::Order, event::Fingerprint,
    },
    client::Want,
    server,
    units::Rate,
};

use super::states::*;

fn orders(effects: &[Effect]) -> Vec<&Order> {
    let orders = effects.iter().filter_map(|effect| match effect {
        Effect::Serve(order) => Some(order),
        _ => None,
    });
    orders.collect()
}

fn serve(state: &State) -> &haul::app::serve::Serve {
    match &state.view {
        View::Serve(view) => view,
        View::Connect(_) => panic!("a server"),
    }
}

#[test]
fn clients_are_paused_kicked_and_banned() {
    let mut state = serving();
    draw(&mut state, 120, 36);
    let client = serve(&state).current().unwrap().id;
    let effects = keys(&mut state, "p");
    assert_eq!(orders(&effects), [&Order::Pause(client)]);
    assert!(keys(&mut state, "x").is_empty(), "it asks first");
    assert!(matches!(&state.popup, Some(Popup::Ask(ask)) if ask.question == "Kick alice?"));
    assert!(keys(&mut state, "n").is_empty());
    let effects = keys(&mut state, "x y");
    assert!(matches!(orders(&effects)[..], [Order::Kick(id, _)] if *id == client));
    let effects = keys(&mut state, "b Enter");
    assert!(matches!(orders(&effects)[..], [Order::Ban(id, _)] if *id == client));
    assert!(state.popup.is_none());
}

#[test]
fn what_is_damaged_is_named_and_fetched_if_so_wanted() {
    let differs = |name: &str| Event::Differs(local_file(name));
    let mut state = browsing();
    let effects = send(&mut state, differs("/manual.pdf"));
    let [Effect::FindDamage(asked)] = &effects[..] else {
        panic!("{effects:?}");
    };
    assert!(state.popup.is_none(), "nobody knows yet what to ask");
    let damage = |pieces| haul::client::Damage {
        size: 10 << 20,
        pieces,
        resized: false,
    };
    let found = |pieces| Event::Damaged {
        file: asked.clone(),
        result: Ok(damage(pieces)),
    };
    send(&mut state, found(vec![2, 3, 4, 9]));
    read(&mut state);
    let screen = screen(&mut state, 100, 30);
    assert!(screen.contains("Repair manual.pdf?"), "{screen}");
    assert!(
        screen.contains("4 of 10 pieces of 1 MiB differ: 2 to 4, 9"),
        "{screen}"
    );
    assert!(screen.contains("4.00 MiB are fetched"), "{screen}");
    assert!(keys(&mut state, "n").is_empty());
    // While another box has the keys, none of them means yes.
    keys(&mut state, "?");
    send(&mut state, found(vec![2]));
    assert!(matches!(&state.popup, Some(Popup::Help(_))));
    keys(&mut state, "Esc");
    read(&mut state);
    assert!(matches!(&state.popup, Some(Popup::Ask(ask)) if ask.question == "Repair manual.pdf?"));
    assert!(keys(&mut state, "n").is_empty());
    // A file of one piece needs no look.
    assert!(send(&mut state, differs("/notes.md")).is_empty());
    read(&mut state);
    let effects = keys(&mut state, "y");
    let [
        Effect::Get {
            wants,
            to: None,
            update: true,
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}");
    };
    assert!(matches!(&wants[..], [Want::Path { path, .. }] if path.as_bytes() == b"notes.md"));
    // What turns out to be right is no question.
    send(&mut state, found(Vec::new()));
    assert!(state.popup.is_none());
    assert!(!state.notice.as_ref().unwrap().bad);
}

#[test]
fn limits_are_typed_behind_the_clients_name() {
    let mut state = serving();
    draw(&mut state, 120, 36);
    let client = serve(&state).current().unwrap().id;
    let effects = keys(&mut state, "L 2 M Enter");
    let rate = Some(Rate(2 << 20));
    assert_eq!(orders(&effects), [&Order::LimitClient(client, rate)]);
    let effects = keys(&mut state, "4 L 5 0 0 k Enter");
    assert_eq!(orders(&effects), [&Order::Limit(Some(Rate(500 << 10)))]);
    keys(&mut state, ": l i m i t Space a l");
    let prompt = state.prompt.as_ref().unwrap();
    let offered: Vec<_> = prompt
        .completions
        .items
        .iter()
        .map(|i| i.label.as_str())
        .collect();
    assert_eq!(offered, ["alice", "all"]);
    keys(&mut state, "Esc");
    let effects = keys(&mut state, ": k i c k Space n o b o d y Enter");
    assert!(effects.iter().all(|e| matches!(e, Effect::Remember(_))));
    assert!(notice(&state).contains("no client is called `nobody`"));
}

#[test]
fn a_drained_server_ends_once_nothing_runs() {
    let mut state = serving();
    draw(&mut state, 120, 36);
    let effects = keys(&mut state, ": d r a i n Enter");
    assert_eq!(orders(&effects), [&Order::Drain]);
    let tick = |clients: Vec<server::ClientView>| {
        Event::Tick(Tick {
            now: Instant::now(),
            wall: wall(),
            sample: Sample::Server(server::Snapshot {
                clients,
                draining: true,
                ..server::Snapshot::default()
            }),
        })
    };
    let busy = serve(&state).snapshot.clients.clone();
    assert!(
        !send(&mut state, tick(busy))
            .iter()
            .any(|e| matches!(e, Effect::Quit(_)))
    );
    let effects = send(&mut state, tick(Vec::new()));
    assert!(matches!(&effects[..], [Effect::Quit(Ending::Quit)]));
}

#[test]
fn the_own_downloads_are_limited() {
    let mut state = browsing();
    let effects = keys(&mut state, "L 1 M Enter");
    assert!(
        effects
            .iter()
            .any(|e| matches!(e, Effect::Limit(Some(Rate(n))) if *n == 1 << 20))
    );
    let effects = keys(&mut state, ": l i m i t Space o f f Enter");
    assert!(effects.iter().any(|e| matches!(e, Effect::Limit(None))));
}

#[test]
fn typed_lines_are_remembered_but_no_password_is() {
    let mut state = browsing();
    let remembered = |effects: &[Effect]| {
        let lines = effects.iter().filter_map(|effect| match effect {
            Effect::Remember(line) => Some(line.clone()),
            _ => None,
        });
        lines.collect::<Vec<_>>()
    };
    let effects = keys(&mut state, ": l s Enter");
    assert_eq!(remembered(&effects), ["ls"]);
    keys(&mut state, ":");
    send(
        &mut state,
        Event::Paste("connect http://me:secret@nas/".into()),
    );
    let effects = keys(&mut state, "Enter");
    assert!(remembered(&effects).is_empty());
    keys(&mut state, ": C-r l");
    assert_eq!(state.prompt.as_ref().unwrap().text(), "ls");
    let effects = keys(&mut state, "Enter");
    assert!(
        effects.iter().any(|e| matches!(e, Effect::List { .. })),
        "it was run"
    );
}

#[test]
fn a_login_is_asked_for_and_a_password_is_hidden() {
    let mut state = browsing();
    send(
        &mut state,
        Event::LoginWanted {
            reason: "the server asks for a login".into(),
            at: Some("nas.lan:8888".into()),
        },
    );
    assert_eq!(state.prompt.as_ref().unwrap().text(), "alice");
    read(&mut state);
    keys(&mut state, "Enter s e c r e t");
    // What is typed for one server is not for another that asks meanwhile.
    send(
        &mut state,
        Event::LoginWanted {
            reason: "the server asks for a login".into(),
            at: Some("mirror:1".into()),
        },
    );
    let screen = text(&draw(&mut state, 120, 36));
    assert!(screen.contains("password ••••••"), "{screen}");
    let effects = keys(&mut state, "Enter");
    match &effects[..] {
        [login @ Effect::Login { user, password, at }] => {
            assert_eq!(at.as_deref(), Some("nas.lan:8888"));
            assert_eq!((user.as_str(), password.expose()), ("alice", "secret"));
            assert!(!format!("{login:?}").contains("secret"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_new_certificate_is_asked_about_and_a_changed_one_refused() {
    let seen = |known: Option<&str>| Fingerprint {
        host: "nas.lan:8888".into(),
        seen: "9F:3A:C1".into(),
        known: known.map(str::to_owned),
    };
    let mut state = browsing();
    send(&mut state, Event::Fingerprint(seen(None)));
    read(&mut state);
    assert!(keys(&mut state, "j q x").is_empty() || state.popup.is_none());
    let mut state = browsing();
    send(&mut state, Event::Fingerprint(seen(None)));
    read(&mut state);
    let effects = keys(&mut state, "y");
    assert!(matches!(&effects[..], [Effect::Trust(f)] if f.seen == "9F:3A:C1"));
    send(&mut state, Event::Fingerprint(seen(Some("00:11:22"))));
    read(&mut state);
    let screen = text(&draw(&mut state, 80, 24));
    assert!(
        screen.contains("00:11:22") && screen.contains("9F:3A:C1"),
        "both: {screen}"
    );
    let effects = keys(&mut state, "y");
    assert!(
        matches!(&effects[..], [Effect::Disconnect]),
        "there is no yes: {effects:?}"
    );
}

#[test]
fn a_list_is_exported_as_a_table() {
    let mut state = browsing();
    let effects = keys(&mut state, ": e x p o r t Space l . t s v Enter");
    let exported = effects.iter().find_map(|effect| match effect {
        Effect::Export { path, text } => Some((path.clone(), text.clone())),
        _ => None,
    });
    let (path, text) = exported.unwrap();
    assert!(path.ends_with("l.tsv") && path.is_absolute());
    assert!(text.starts_with("size\tmodified\tname\n\t"), "{text}");
    assert!(text.contains("\tnotes.md\n"));
}

#[test]
fn local_directories_complete_once_they_are_read() {
    let mut state = browsing();
    let effects = keys(&mut state, ": l c d Space");
    let dir = effects.iter().find_map(|effect| match effect {
        Effect::ListLocal(dir) => Some(dir.clone()),
        _ => None,
    });
    let names = vec![("iso".to_owned(), true), ("a.txt".to_owned(), false)];
    send(
        &mut state,
        Event::LocalListed {
            dir: dir.unwrap(),
            names,
        },
    );
    let items = &state.prompt.as_ref().unwrap().completions.items;
    assert_eq!(
        items.iter().map(|i| i.insert.as_str()).collect::<Vec<_>>(),
        ["iso/"]
    );
    assert!(keys(&mut state, "i").is_empty(), "it is not read again");
}

#[test]
fn details_are_of_what_is_current() {
    let mut state = downloading();
    draw(&mut state, 120, 36);
    keys(&mut state, "G i");
    let screen = text(&draw(&mut state, 120, 36));
    assert!(
        screen.contains("talk-ünïcode-日本.mp4") && screen.contains("640 MiB (671,088,640 bytes)"),
        "{screen}"
    );
    keys(&mut state, "Esc 2 i");
    assert!(text(&draw(&mut state, 120, 36)).contains("─ Transfer ─"));
    keys(&mut state, "Esc");
    assert!(state.popup.is_none());
}
