//! What keys do: keys in, state and effects out.

use std::time::{Duration, Instant};

use haul::{
    app::{
        Effect, Ending, Event, Pane, Popup, Sample, Server, State, View,
        browser::Load,
        effect::Control,
        listing::{Row, SortKey},
    },
    client::{self, ItemId, ItemState, Link, Verified, Want},
    config::ThemeName,
    server::{self, TransferState},
};

use super::states::*;

fn names(state: &State) -> Vec<String> {
    let View::Connect(view) = &state.view else {
        panic!("a client")
    };
    let listing = &view.remote.listing;
    let rows = (0..listing.len()).filter_map(|i| match listing.row(i) {
        Some(Row::Entry(entry, _)) => Some(String::from_utf8_lossy(&entry.name).into_owned()),
        _ => None,
    });
    rows.collect()
}

fn view(state: &State) -> &haul::app::connect::Connect {
    match &state.view {
        View::Connect(view) => view,
        View::Serve(_) => panic!("a client"),
    }
}

fn wanted(effects: &[Effect]) -> Vec<String> {
    let wants = effects.iter().flat_map(|effect| match effect {
        Effect::Get { wants, .. } => wants.as_slice(),
        _ => &[],
    });
    let paths = wants.filter_map(|want| match want {
        Want::Path { path, .. } => Some(path.to_string_lossy().into_owned()),
        _ => None,
    });
    paths.collect()
}

fn wanted_patterns(effects: &[Effect]) -> Vec<String> {
    let wants = effects.iter().flat_map(|effect| match effect {
        Effect::Get { wants, .. } => wants.as_slice(),
        _ => &[],
    });
    let patterns = wants.flat_map(|want| match want {
        Want::Patterns { get, .. } => get.as_slice(),
        _ => &[],
    });
    patterns.cloned().collect()
}

fn script(line: &str) -> Event {
    Event::Script {
        line: line.into(),
        place: "start.haul:3".into(),
    }
}

#[test]
fn marking_and_downloading() {
    let mut state = browsing();
    draw(&mut state, 120, 36);
    keys(&mut state, "Space j Space");
    assert_eq!(view(&state).remote.listing.marked_count(), 2);
    let effects = keys(&mut state, "d");
    assert_eq!(wanted(&effects), ["photos/", "backup-2026-11.tar.zst"]);
    assert_eq!(
        view(&state).remote.listing.marked_count(),
        0,
        "what is queued is marked no more"
    );
    let effects = keys(&mut state, "d");
    assert_eq!(
        wanted(&effects),
        ["debian-13.0-amd64-DVD-1.iso"],
        "the current entry"
    );
}

#[test]
fn a_range_grows_and_shrinks_with_the_cursor() {
    let mut state = browsing();
    draw(&mut state, 120, 36);
    keys(&mut state, "v j j j k");
    assert_eq!(view(&state).remote.listing.marked_count(), 3);
    keys(&mut state, "v G");
    assert_eq!(
        view(&state).remote.listing.marked_count(),
        3,
        "an ended range stays"
    );
    keys(&mut state, "Esc");
    assert_eq!(view(&state).remote.listing.marked_count(), 0);
    keys(&mut state, "C-a");
    assert_eq!(
        view(&state).remote.listing.marked_count(),
        17,
        "what is hidden is not marked"
    );
}

#[test]
fn moving_by_rows_pages_and_sequences() {
    let mut state = browsing();
    draw(&mut state, 80, 24);
    let at = |state: &State| view(state).remote.listing.cursor().at();
    keys(&mut state, "G");
    assert_eq!(at(&state), 16);
    keys(&mut state, "g");
    assert_eq!(at(&state), 16, "half a sequence does nothing");
    keys(&mut state, "g");
    assert_eq!(at(&state), 0);
    keys(&mut state, "g j");
    assert_eq!(
        at(&state),
        1,
        "a sequence that came to nothing gives its last key back"
    );
    keys(&mut state, "PgDn");
    assert_eq!(at(&state), 7, "a page of six rows");
}

#[test]
fn sorting_filtering_and_hidden_names() {
    let mut state = browsing();
    assert_eq!(
        names(&state)[..2],
        ["photos", "releases"],
        "directories first"
    );
    keys(&mut state, "s S");
    let sort = view(&state).remote.listing.arrangement();
    assert_eq!((sort.key, sort.descending), (SortKey::Size, true));
    assert_eq!(names(&state)[2], "old-disk.img");
    keys(&mut state, "/ l e c t");
    assert_eq!(
        names(&state),
        ["lecture-01.mkv", "lecture-02.mkv"],
        "while it is typed"
    );
    keys(&mut state, "Esc");
    assert_eq!(
        names(&state).len(),
        17,
        "a filter that was not kept is gone"
    );
    keys(&mut state, "/ i s o Enter");
    assert_eq!(names(&state).len(), 2);
    keys(&mut state, "Esc .");
    assert_eq!(names(&state).len(), 18);
}

#[test]
fn marks_of_several_filters_are_one_choice() {
    let mut state = browsing();
    draw(&mut state, 80, 24);
    keys(
        &mut state,
        "/ d e b i a n Enter Space Esc / n o t e s Enter Space",
    );
    assert_eq!(view(&state).remote.listing.marked_count(), 2);
    keys(&mut state, "Esc");
    assert_eq!(names(&state).len(), 17);
    assert_eq!(view(&state).remote.listing.marked_count(), 2);
    keys(&mut state, "Esc");
    assert_eq!(view(&state).remote.listing.marked_count(), 0);
}

#[test]
fn opening_and_leaving_a_directory() {
    let mut state = browsing();
    let effects = keys(&mut state, "Enter");
    assert!(matches!(&effects[..], [Effect::List { path, .. }] if path.as_bytes() == b"photos/"));
    answer_list(
        &mut state,
        path("/photos/"),
        Ok(vec![entry("a.jpg", Some(1), 0)]),
    );
    assert!(matches!(
        view(&state).remote.listing.row(0),
        Some(Row::Parent)
    ));
    let effects = keys(&mut state, "h");
    assert!(matches!(&effects[..], [Effect::List { path, .. }] if path.is_root()));
}

#[test]
fn what_cannot_be_listed_says_why_and_leaves_the_way_back() {
    let mut state = browsing();
    keys(&mut state, "Enter");
    answer_list(&mut state, path("/photos/"), Err("403 Forbidden".into()));
    let screen = text(&draw(&mut state, 80, 24));
    assert!(screen.contains("cannot list /photos"), "{screen}");
    assert!(
        screen.contains("403 Forbidden") && screen.contains("r tries again"),
        "{screen}"
    );
    keys(&mut state, "h");
    assert_eq!(view(&state).remote.load, Load::Idle);
    assert_eq!(names(&state).len(), 17);
}

#[test]
fn transfers_are_controlled_from_any_pane() {
    let mut state = downloading();
    draw(&mut state, 120, 36);
    let control = |effects: Vec<Effect>| -> Vec<(u64, Control)> {
        let controls = effects.into_iter().filter_map(|effect| match effect {
            Effect::Control(ItemId(id), control) => Some((id, control)),
            _ => None,
        });
        controls.collect()
    };
    assert_eq!(control(keys(&mut state, "p")), [(1, Control::Pause)]);
    assert_eq!(control(keys(&mut state, "2 j j p")), [(3, Control::Resume)]);
    assert_eq!(control(keys(&mut state, "K")), [(3, Control::Reorder(-1))]);
    assert_eq!(control(keys(&mut state, "F")), [(3, Control::First(true))]);
    let rate = Some(haul::units::Rate(1 << 20));
    let limited = control(keys(&mut state, "R 1 M Enter"));
    assert_eq!(limited, [(3, Control::Limit(rate))]);
    let moved = control(keys(&mut state, ": m o v e Space u p Enter"));
    assert_eq!(moved, [(3, Control::Reorder(-1))]);
    assert_eq!(control(keys(&mut state, "x")), [(3, Control::Cancel)]);
    assert_eq!(control(keys(&mut state, "E")), [(6, Control::Retry)]);
    assert_eq!(control(keys(&mut state, "P")).len(), 3, "all that run");
    assert!(
        keys(&mut state, "e").is_empty(),
        "a paused one is not retried"
    );
    assert!(state.notice.as_ref().unwrap().bad);
}

#[test]
fn the_cursor_stays_on_its_transfer_when_the_queue_changes() {
    let mut state = downloading();
    draw(&mut state, 120, 36);
    keys(&mut state, "2 j j");
    let mut items = items();
    items.rotate_left(2);
    let snapshot = client::Snapshot {
        items,
        link: Link::Up,
        ..client::Snapshot::default()
    };
    tick(&mut state, Instant::now(), wall(), Sample::Client(snapshot));
    assert_eq!(view(&state).item().unwrap().id, ItemId(3));
}

#[test]
fn a_tree_unfolds_into_the_files_that_are_on_their_way() {
    let mut state = downloading();
    draw(&mut state, 120, 36);
    keys(&mut state, "2 j Enter");
    assert_eq!(view(&state).rows.len(), 6, "a file has nothing to unfold");
    keys(&mut state, "j Enter");
    assert_eq!(view(&state).rows.len(), 8);
    let shown = screen(&mut state, 120, 36);
    assert!(
        shown.contains("IMG_0042.raw") && shown.contains("12.0/48.0 MiB"),
        "{shown}"
    );
    // What is done to one of its files is done to the tree.
    keys(&mut state, "j j");
    let effects = keys(&mut state, "p");
    assert!(
        matches!(effects[..], [Effect::Control(ItemId(3), Control::Resume)]),
        "{effects:?}"
    );
    // The cursor stays on its file while others come and go, and goes to the tree when that is over.
    let on = |state: &State| {
        let view = view(state);
        view.file(view.cursor().at()).map(|file| file.path.clone())
    };
    let sample = |state: &mut State, change: &dyn Fn(&mut client::ItemView)| {
        let mut items = items();
        change(&mut items[2]);
        let snapshot = client::Snapshot {
            items,
            link: Link::Up,
            ..client::Snapshot::default()
        };
        tick(state, Instant::now(), wall(), Sample::Client(snapshot));
    };
    sample(&mut state, &|photos| {
        photos.under_way.remove(0);
    });
    assert_eq!(on(&state), Some(path("/photos/2026/IMG_0043.raw")));
    sample(&mut state, &|photos| photos.under_way.clear());
    assert_eq!(
        (on(&state), view(&state).item().unwrap().id),
        (None, ItemId(3))
    );
    sample(&mut state, &|_| ());
    assert_eq!(view(&state).rows.len(), 8, "it stays unfolded");
    keys(&mut state, "j h");
    assert_eq!(
        view(&state).rows.len(),
        6,
        "folds from one of its files too"
    );
}

#[test]
fn the_cursor_goes_with_what_is_fetched_until_it_is_moved() {
    let mut state = downloading();
    draw(&mut state, 120, 36);
    let sample = |state: &mut State, at: Instant, first: ItemState| {
        let mut items = items();
        items[0].state = first;
        let snapshot = client::Snapshot {
            items,
            link: Link::Up,
            ..client::Snapshot::default()
        };
        tick(state, at, wall(), Sample::Client(snapshot));
    };
    let ended = ItemState::Finished(Verified::Blake3);
    let now = Instant::now() + Duration::from_secs(60);
    assert_eq!(view(&state).item().unwrap().id, ItemId(1));
    sample(&mut state, now, ended.clone());
    assert_eq!(view(&state).item().unwrap().id, ItemId(2));
    keys(&mut state, "2 k");
    sample(&mut state, now + Duration::from_secs(1), ended);
    assert_eq!(view(&state).item().unwrap().id, ItemId(1));
}

#[test]
fn a_transfer_between_two_connections_is_not_queued_again() {
    let mut state = downloading();
    let start = Instant::now() + Duration::from_secs(60);
    let sample = |state: &mut State, tenths: u64, done: u64, first: ItemState| {
        let mut items = items();
        items[0].state = first;
        items[0].done = done << 20;
        let snapshot = client::Snapshot {
            items,
            link: Link::Up,
            ..client::Snapshot::default()
        };
        let at = start + Duration::from_millis(tenths * 100);
        tick(state, at, wall(), Sample::Client(snapshot));
        let View::Connect(view) = &state.view else {
            panic!("a client")
        };
        let item = view.row(0).unwrap();
        (item.state.clone(), view.figures(item).rate)
    };
    for tenth in 0..50 {
        sample(&mut state, tenth, tenth, ItemState::Active);
    }
    // For a moment no connection is on it; its rate stays what it was.
    let (between, rate) = sample(&mut state, 55, 50, ItemState::Queued);
    assert_eq!(between, ItemState::Active);
    assert!(rate > 5 << 20, "{rate}");
    assert_eq!(
        sample(&mut state, 70, 50, ItemState::Queued).0,
        ItemState::Queued
    );
    assert_eq!(sample(&mut state, 71, 50, ItemState::Paused).1, 0);
}

#[test]
fn quitting_asks_only_while_something_runs() {
    let mut state = browsing();
    assert!(matches!(
        &keys(&mut state, "q")[..],
        [Effect::Quit(Ending::Quit)]
    ));
    let mut state = downloading();
    assert!(keys(&mut state, "q").is_empty());
    let Some(Popup::Quit(running)) = &state.popup else {
        panic!("it asks")
    };
    assert_eq!(
        running,
        &[
            "debian-13.0-amd64-DVD-1.iso",
            "model.safetensors",
            "releases/v1.4.tar.zst"
        ]
    );
    assert!(
        keys(&mut state, "j d Esc").is_empty(),
        "a popup swallows other keys"
    );
    assert!(state.popup.is_none());
    assert!(matches!(
        &keys(&mut state, "q y")[..],
        [Effect::Quit(Ending::Quit)]
    ));
    let mut state = downloading();
    assert!(matches!(
        &keys(&mut state, "C-c C-c")[..],
        [Effect::Quit(Ending::Interrupted)]
    ));
    let mut state = downloading();
    assert!(matches!(
        &keys(&mut state, ": q u i t ! Enter")[..],
        [Effect::Remember(_), Effect::Quit(Ending::Quit)]
    ));
}

#[test]
fn commands_get_complete_and_complain() {
    let mut state = browsing();
    keys(&mut state, ": g e t Space d e b");
    assert_eq!(
        state.prompt.as_ref().unwrap().ghost(),
        Some("ian-13.0-amd64-DVD-1.iso")
    );
    let effects = keys(&mut state, "Tab Tab Enter");
    assert_eq!(wanted(&effects), ["debian-13.0-amd64-netinst.iso"]);
    let effects = keys(&mut state, ": g e t Space * . i s o Enter");
    assert!(wanted_patterns(&effects) == ["*.iso"]);
    keys(&mut state, ": n o Enter");
    assert!(notice(&state).contains("no command `no`"));
    let effects = keys(&mut state, ": Up Up Enter");
    assert_eq!(wanted_patterns(&effects), ["*.iso"], "history runs again");
}

#[test]
fn patterns_are_meant_from_the_shown_directory_whose_name_is_literal() {
    let mut state = browsing();
    let dir = path("/odd[1]*/");
    keys(&mut state, ": c d Space o d d [ 1 ] * Enter");
    answer_list(&mut state, dir, Ok(vec![]));
    let effects = keys(&mut state, ": g e t Space * . j p g Enter");
    assert!(wanted_patterns(&effects) == ["odd[[]1[]][*]/*.jpg"]);
}

#[test]
fn a_script_waits_for_the_directory_that_it_goes_to() {
    let mut state = browsing();
    let effects = send(&mut state, script("cd photos"));
    assert!(matches!(&effects[..], [Effect::List { .. }]));
    assert!(send(&mut state, script("get *")).is_empty(), "not yet");
    let effects = answer_list(
        &mut state,
        path("/photos/"),
        Ok(vec![entry("a", Some(1), 0)]),
    );
    assert!(wanted_patterns(&effects) == ["photos/*"]);
}

#[test]
fn a_script_ends_at_its_first_line_that_fails() {
    let mut state = browsing();
    send(&mut state, script("resume"));
    let said = state.notice.clone().expect("a notice");
    assert!(said.text.starts_with("start.haul:3: "), "{}", said.text);
    let later = state.now.unwrap() + Duration::from_secs(60);
    tick(&mut state, later, wall(), Sample::Nothing);
    assert!(state.notice.is_some(), "it stays until it was seen");
    let effects = keys(&mut state, "q");
    assert!(matches!(&effects[..], [Effect::Quit(Ending::ScriptFailed)]));
    // What the user does wrong is no business of the script's.
    let mut state = browsing();
    send(&mut state, script("pause all"));
    keys(&mut state, "j : r e s u m e Enter");
    let effects = keys(&mut state, "q");
    assert!(matches!(&effects[..], [Effect::Quit(Ending::ScriptFailed)]));
    let mut state = browsing();
    send(&mut state, script("sort size"));
    keys(&mut state, "j : r e s u m e Enter");
    let effects = keys(&mut state, "q");
    assert!(
        matches!(&effects[..], [Effect::Quit(Ending::Quit)]),
        "{effects:?}"
    );
}

#[test]
fn pasting_runs_nothing() {
    let mut state = browsing();
    assert!(send(&mut state, Event::Paste("q\ny\n".into())).is_empty());
    keys(&mut state, ":");
    assert!(send(&mut state, Event::Paste("quit!\nls\n".into())).is_empty());
    assert_eq!(state.prompt.as_ref().unwrap().text(), "quit! ls ");
}

#[test]
fn help_is_found_by_typing_and_runs() {
    let mut state = browsing();
    draw(&mut state, 80, 24);
    keys(&mut state, "? t h e m e");
    let screen = text(&draw(&mut state, 80, 24));
    assert!(screen.contains("next theme"), "{screen}");
    keys(&mut state, "Enter");
    assert!(state.popup.is_none());
    assert_eq!(state.looks.theme, ThemeName::Light);
}

#[test]
fn help_begins_with_what_works_here_and_passes_headings() {
    use haul::app::help::Item;
    for (pane, first) in [("1", "marks"), ("2", "transfers"), ("4", "transfers")] {
        let mut state = downloading();
        draw(&mut state, 80, 24);
        keys(&mut state, &format!("{pane} ?"));
        draw(&mut state, 80, 24);
        let Some(Popup::Help(help)) = &state.popup else {
            panic!("help")
        };
        assert_eq!(help.items[0].left(), first);
        assert_eq!((help.cursor.at(), help.cursor.window(99).start), (1, 0));
        for key in ["Down"; 40].into_iter().chain(["Up"; 40]) {
            keys(&mut state, key);
            let Some(Popup::Help(help)) = &state.popup else {
                panic!("help")
            };
            assert!(!matches!(help.current(), Some(Item::Heading(_))));
        }
    }
}

#[test]
fn a_server_that_nobody_named_is_asked_for() {
    let facts = haul::app::connect::Facts::default();
    let server = Server {
        url: "http://127.0.0.1:8888/".parse().unwrap(),
        named: None,
    };
    let mut state = State::connect(facts, Some(server), looks());
    state.begin();
    assert!(state.prompt.is_none());
    answer_list(&mut state, path("/"), Err("connection refused".into()));
    assert_eq!(state.prompt.as_ref().unwrap().text(), "");
    let effects = keys(&mut state, "n a s Enter");
    assert!(
        matches!(&effects[..], [Effect::Connect(target)] if target.url.as_str() == "http://nas:8888/")
    );
}

#[test]
fn what_the_url_names_is_opened_or_downloaded() {
    for (name, opens) in [("photos", true), ("notes.md", false), ("unlisted", false)] {
        let facts = haul::app::connect::Facts::default();
        let url = "http://nas/".parse().unwrap();
        let named = Some(path(&format!("/{name}")));
        let mut state = State::connect(facts, Some(Server { url, named }), looks());
        state.begin();
        let effects = answer_list(&mut state, path("/"), Ok(entries()));
        match &effects[..] {
            [Effect::List { path, .. }, ..] => assert!(opens && path.name() == name.as_bytes()),
            other => assert!(!opens && wanted(other) == [name], "{name}: {other:?}"),
        }
    }
}

#[test]
fn a_listing_that_waits_for_a_login_is_asked_for_once_that_is_given() {
    let link = |link: Link| {
        Sample::Client(client::Snapshot {
            link,
            ..client::Snapshot::default()
        })
    };
    let asked = || {
        let facts = haul::app::connect::Facts::default();
        let url = "http://nas/".parse().unwrap();
        let mut state = State::connect(facts, Some(Server { url, named: None }), looks());
        state.begin();
        answer_list(&mut state, path("/"), Err(wants_login()));
        assert!(state.prompt.is_some());
        state
    };
    // The server has answered, so it is there: that is no news for who waits for a login.
    let mut state = asked();
    let effects = tick(&mut state, Instant::now(), wall(), link(Link::Up));
    assert!(!lists(&effects), "{effects:?}");
    // Another screen has given it.
    let mut state = asked();
    let question = Link::Asks(client::Question::Login("who?".into()));
    tick(&mut state, Instant::now(), wall(), link(question));
    let effects = tick(&mut state, Instant::now(), wall(), link(Link::Up));
    assert!(lists(&effects), "{effects:?}");
}

#[test]
fn an_answer_from_before_the_login_ends_no_wait_and_asks_nothing() {
    let mut state = browsing();
    keys(&mut state, "r");
    let before = client(&state).remote.request;
    let effects = send(&mut state, Event::Answered);
    assert!(lists(&effects), "{effects:?}");
    let result = Err(wants_login());
    let late = Event::Listed {
        request: before,
        path: path("/"),
        result,
    };
    let effects = send(&mut state, late);
    assert!(effects.is_empty() && state.prompt.is_none(), "{effects:?}");
    assert_eq!(client(&state).remote.load, Load::Loading(path("/")));
}

fn lists(effects: &[Effect]) -> bool {
    effects.iter().any(|e| matches!(e, Effect::List { .. }))
}

#[test]
fn a_lost_server_is_told_and_comes_back() {
    let mut state = browsing();
    let now = Instant::now();
    let link = Link::Retrying {
        attempt: 3,
        after: Duration::from_secs(6),
        reason: "connection refused".into(),
    };
    let lost = || client::Snapshot {
        link: link.clone(),
        ..client::Snapshot::default()
    };
    tick(&mut state, now, wall(), Sample::Client(lost()));
    tick(
        &mut state,
        now + Duration::from_secs(2),
        wall(),
        Sample::Client(lost()),
    );
    let screen = text(&draw(&mut state, 120, 36));
    assert!(
        screen.contains("◌ reconnecting, try 3, in 4 s · r now"),
        "{screen}"
    );
    let effects = keys(&mut state, "r");
    assert!(matches!(
        &effects[..],
        [Effect::RetryNow, Effect::List { .. }]
    ));
    answer_list(&mut state, path("/"), Err("gone".into()));
    let up = client::Snapshot {
        link: Link::Up,
        ..client::Snapshot::default()
    };
    let effects = tick(
        &mut state,
        now + Duration::from_secs(3),
        wall(),
        Sample::Client(up),
    );
    assert!(
        matches!(&effects[..], [Effect::List { .. }]),
        "listed again by itself"
    );
}

#[test]
fn a_client_unfolds_into_its_files() {
    let mut state = serving();
    draw(&mut state, 120, 36);
    let rows = |state: &State| match &state.view {
        View::Serve(view) => view.rows.len(),
        View::Connect(_) => 0,
    };
    assert_eq!(rows(&state), 6);
    keys(&mut state, "Enter");
    assert_eq!(rows(&state), 8);
    keys(&mut state, "j j h");
    assert_eq!(rows(&state), 6, "folds from one of its files too");
    keys(&mut state, "/ c u r l Enter");
    assert_eq!(rows(&state), 2);
}

#[test]
fn what_broke_off_is_said_with_how_far_it_came() {
    let mut state = serving();
    let now = Instant::now() + Duration::from_secs(60);
    let mut clients = clients(now, 0.0);
    clients.truncate(1);
    clients[0].connections = 0;
    clients[0].files = 25;
    let mut rows = Vec::new();
    for broken in [1, 2] {
        for (i, transfer) in clients[0].transfers.iter_mut().enumerate() {
            transfer.state = if i < broken {
                TransferState::Aborted(now + Duration::from_secs(1), "connection reset".into())
            } else {
                TransferState::Done(now)
            };
        }
        let snapshot = server::Snapshot {
            clients: clients.clone(),
            ..server::Snapshot::default()
        };
        tick(&mut state, now, wall(), Sample::Server(snapshot));
        let screen = text(&draw(&mut state, 120, 36));
        rows.extend(screen.lines().nth(3).map(ToOwned::to_owned));
    }
    for (row, words) in rows.iter().zip([
        [
            "debian-13.0-amd64-DVD-1.iso",
            "61% 2.31/3.78 GiB",
            "aborted",
        ],
        ["2 files", "44% 3.46/7.80 GiB", "aborted"],
    ]) {
        assert!(words.iter().all(|word| row.contains(word)), "{row}");
    }
}

#[test]
fn panes_are_reached_by_number_tab_and_mouse() {
    let mut state = browsing();
    draw(&mut state, 120, 36);
    keys(&mut state, "3");
    assert_eq!(state.focus, Pane::Throughput);
    keys(&mut state, "Tab Tab");
    assert_eq!(state.focus, Pane::Remote);
    keys(&mut state, "S-Tab");
    assert_eq!(state.focus, Pane::Log);
    let at = Instant::now();
    let press = |at| {
        Event::Mouse(haul::app::Mouse::Press {
            pane: Pane::Remote,
            row: Some(1),
            at,
        })
    };
    assert!(send(&mut state, press(at)).is_empty());
    assert_eq!(state.focus, Pane::Remote);
    let effects = send(&mut state, press(at + Duration::from_millis(200)));
    assert!(matches!(&effects[..], [Effect::List { path, .. }] if path.as_bytes() == b"releases/"));
    let area = ratatui::layout::Rect::new(0, 0, 120, 36);
    assert_eq!(
        haul::ui::hit(&state, area, 10, 4),
        Some((Pane::Remote, Some(1)))
    );
    assert_eq!(
        haul::ui::hit(&state, area, 80, 30),
        Some((Pane::Log, Some(5)))
    );
}

#[test]
fn copying_gives_the_url_of_what_is_current() {
    let mut state = browsing();
    keys(&mut state, "j j");
    let effects = keys(&mut state, "y");
    assert!(
        matches!(&effects[..], [Effect::Copy(url)] if url == "http://nas.lan:8888/backup-2026-11.tar.zst")
    );
}

#[test]
fn the_log_follows_until_one_looks_back() {
    let mut state = downloading();
    draw(&mut state, 120, 36);
    keys(&mut state, "4 k");
    assert!(!state.log.follow);
    keys(&mut state, "G");
    assert!(state.log.follow);
    keys(&mut state, "[");
    assert_eq!(state.log.counts(), (2, 7), "warnings and errors");
    keys(&mut state, "w");
    assert!(state.log.wrap);
}

#[test]
fn every_hint_and_help_line_has_a_key_that_does_something() {
    // Pressing any key of the table anywhere must neither panic nor leave the cursor outside its list.
    for make in [browsing, downloading, serving] {
        for binding in haul::app::keymap::BINDINGS {
            for pane in ["1", "2", "3", "4"] {
                let mut state = make();
                draw(&mut state, 80, 24);
                keys(&mut state, pane);
                for key in binding.keys {
                    press_named(&mut state, key);
                }
                draw(&mut state, 60, 16);
            }
        }
    }
}

fn listed(state: &mut State, at: &str, entries: Vec<haul::entry::Entry>) {
    answer_list(state, path(at), Ok(entries));
}

#[test]
fn marks_last_across_directories_and_refreshes() {
    let mut state = browsing();
    draw(&mut state, 120, 36);
    keys(&mut state, "j j Space");
    let marked = |state: &mut State, what: &str| {
        let screen = text(&draw(state, 120, 36));
        assert!(screen.contains(what), "{what} in {screen}");
    };
    marked(&mut state, "1 marked 11.7 GiB");
    // The same directory again, and another one.
    keys(&mut state, "r");
    listed(&mut state, "/", entries());
    marked(&mut state, "1 marked 11.7 GiB");
    keys(&mut state, "g g Enter");
    listed(
        &mut state,
        "/photos/",
        vec![entry("a.jpg", Some(MIB), 1), entry("b.jpg", Some(MIB), 1)],
    );
    keys(&mut state, "Space");
    marked(&mut state, "2 marked 11.7 GiB");
    keys(&mut state, "h");
    listed(&mut state, "/", entries());
    marked(&mut state, "2 marked 11.7 GiB");
    let effects = keys(&mut state, "d");
    let [Effect::Get { wants, .. }] = &effects[..] else {
        panic!("{effects:?}")
    };
    let asked = format!("{wants:?}");
    assert!(
        wants.len() == 2 && asked.contains("backup-2026-11") && asked.contains("photos/a.jpg"),
        "{asked}"
    );
    assert!(!text(&draw(&mut state, 120, 36)).contains("marked"));
}

#[test]
fn an_update_is_asked_for_by_a_key_of_its_own() {
    for (key, expected) in [("d", false), ("U", true)] {
        let mut state = browsing();
        let effects = keys(&mut state, key);
        let [Effect::Get { wants, update, .. }] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert_eq!((wants.len(), *update), (1, expected), "{key}");
    }
}

#[test]
fn what_is_said_is_what_came_of_it() {
    let mut state = browsing();
    let effects = keys(&mut state, ": g e t Space x Enter");
    assert!(effects.iter().any(|e| matches!(e, Effect::Get { .. })));
    assert_eq!(state.notice, None, "nothing was added yet");
    send(&mut state, Event::Refused("no".into()));
    assert!(state.notice.as_ref().is_some_and(|notice| notice.bad));
    // What failed before is no news once something else was done.
    keys(&mut state, ": s o r t Space s i z e Enter");
    assert_eq!(state.notice, None);
    send(&mut state, Event::Added(1));
    assert_eq!(state.notice.as_ref().unwrap().text, "1 added to the queue");
    let effects = keys(&mut state, ": l c d Space / x Enter");
    let asks = |effect: &Effect| matches!(effect, Effect::Lcd(dir) if dir.ends_with("x"));
    assert!(effects.iter().any(asks), "{effects:?}");
    let View::Connect(view) = &state.view else {
        panic!("a client")
    };
    assert!(
        view.dir().ends_with("Downloads"),
        "it is not known whether it can"
    );
    send(&mut state, Event::Lcd("/x".into()));
    let View::Connect(view) = &state.view else {
        panic!("a client")
    };
    assert_eq!(view.dir(), std::path::Path::new("/x"));
}

#[test]
fn a_slow_listing_says_what_is_waited_for() {
    let mut state = browsing();
    draw(&mut state, 120, 36);
    keys(&mut state, "j Enter");
    let start = state.now.unwrap();
    for tenths in 1..25 {
        let up = client::Snapshot {
            link: Link::Up,
            ..client::Snapshot::default()
        };
        tick(
            &mut state,
            start + Duration::from_millis(tenths * 100),
            wall(),
            Sample::Client(up),
        );
    }
    let screen = text(&draw(&mut state, 120, 36));
    assert!(screen.contains("listing /releases 2 s"), "{screen}");
}

#[test]
fn a_filter_that_nothing_matches_counts_no_place() {
    let mut state = browsing();
    keys(&mut state, "/ x y z z y");
    let screen = text(&draw(&mut state, 120, 36));
    assert!(
        !screen.contains("0/0") && screen.contains(" 0 of 18 "),
        "{screen}"
    );
}

#[test]
fn no_code_for_a_phone_is_offered_where_none_can_come() {
    for url in ["http://127.0.0.1:8888/", "http://[::1]:8888/"] {
        let facts = haul::app::serve::Facts {
            urls: vec![url.into()],
            ..serve_facts()
        };
        let mut state = State::serve(facts, looks());
        keys(&mut state, "Q");
        assert!(state.popup.is_none());
        assert!(
            state
                .notice
                .as_ref()
                .unwrap()
                .text
                .starts_with("only this machine")
        );
        assert!(text(&draw(&mut state, 80, 24)).contains("On this machine: haul connect"));
    }
}

#[test]
fn a_certificate_that_was_judged_is_not_asked_about_again() {
    let mut state = browsing();
    let seen = |seen: &str| {
        Event::Fingerprint(haul::app::event::Fingerprint {
            host: "nas.lan:8888".into(),
            seen: seen.into(),
            known: None,
        })
    };
    send(&mut state, seen("AA"));
    read(&mut state);
    keys(&mut state, "y");
    // Another connection had asked the same before the answer.
    send(&mut state, seen("AA"));
    assert!(state.popup.is_none());
    send(&mut state, seen("BB"));
    assert!(state.popup.is_some());
}
