use super::client::product;
use super::*;
use crate::server::people::snapshot::{TransferState, TransferView};
use crate::server::people::taken::SmallFile;

fn path(text: &str) -> RemotePath {
    RemotePath::from_target(text.as_bytes()).unwrap()
}

fn identity<'a>(session: Option<&'a str>, agent: &'a str, host: u8) -> Identity<'a> {
    Identity {
        address: IpAddr::from([127, 0, 0, host]),
        login: None,
        session: session.map(str::as_bytes),
        name: session.map(|_| b"al%69ce%1b".as_slice()),
        agent: Some(agent.as_bytes()),
    }
}

fn small(name: &str, size: u64) -> SmallFile {
    SmallFile {
        path: path(name),
        size,
        started: Instant::now(),
    }
}

#[test]
fn a_browser_is_called_by_its_own_name() {
    for (agent, product_of) in [
        ("curl/8.5 (x)", "curl/8.5"),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
            "Firefox/133.0",
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
            "Chrome/131.0.0.0",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0",
            "Edg/131.0",
        ),
        ("Mozilla/5.0", "Mozilla/5.0"),
        ("", ""),
    ] {
        assert_eq!(product(agent.as_bytes()), product_of.as_bytes(), "{agent}");
    }
}

#[test]
fn connections_are_grouped_by_session_else_by_address_and_agent() {
    let registry = Registry::default();
    let one = registry.attach(&identity(Some("s"), "haul/0.1", 1));
    let _two = registry.attach(&identity(Some("s"), "haul/0.1", 1));
    let _thief = registry.attach(&identity(Some("s"), "haul/0.1", 2));
    let curl = registry.attach(&identity(None, "curl/8.5 (x)", 1));
    let _wget = registry.attach(&identity(None, "Wget/1.21", 1));
    let _other = registry.attach(&identity(None, "curl/8.5 (x)", 3));
    drop(curl);
    let clients = registry.snapshot(Instant::now()).clients;
    assert_eq!(
        clients
            .iter()
            .map(|client| (client.agent.as_deref().unwrap(), client.connections))
            .collect::<Vec<_>>(),
        [
            ("haul/0.1", 2),
            ("haul/0.1", 1),
            ("curl/8.5", 0),
            ("Wget/1.21", 1),
            ("curl/8.5", 1)
        ]
    );
    assert_eq!(clients[0].name.as_deref(), Some("alice\x1b"));
    assert_eq!(one.client().who(), r"alice\x1b 127.0.0.1");
}

#[test]
fn ranges_over_several_connections_are_one_row_and_their_union() {
    let registry = Registry::default();
    let attached = registry.attach(&identity(None, "aria2", 1));
    let client = attached.client();
    let file = path("/f");
    let first = client.taken().begin(&file, "\"e\"", 100, 0..60);
    let second = client.taken().begin(&file, "\"e\"", 100, 50..100);
    first.add(60);
    second.add(10);
    let row = |index: usize| registry.snapshot(Instant::now()).clients[0].transfers[index].clone();
    assert_eq!((row(0).done, row(0).connections), (60, 2));
    drop(first);
    second.add(10);
    assert_eq!((row(0).done, row(0).state), (70, TransferState::Active));
    second.abort("reset".into());
    assert!(matches!(row(0).state, TransferState::Aborted(_, reason) if reason == "reset"));
    assert_eq!(registry.downloads(&file), 0);
    let rest = client.taken().begin(&file, "\"e\"", 100, 70..100);
    assert_eq!(row(0).state, TransferState::Active);
    rest.add(30);
    drop(rest);
    let snapshot = registry.snapshot(Instant::now());
    assert!(matches!(
        snapshot.clients[0].transfers[0].state,
        TransferState::Done(_)
    ));
    assert_eq!(snapshot.clients[0].transfers.len(), 1);
    assert_eq!(
        (snapshot.files, snapshot.sent, registry.downloads(&file)),
        (1, 110, 1)
    );
}

#[test]
fn a_file_is_under_way_only_while_its_client_is_there() {
    let registry = Registry::default();
    let attach = || registry.attach(&identity(None, "curl/8.5", 1));
    let states = || {
        let clients = registry.snapshot(Instant::now()).clients;
        let rows = clients[0].transfers.iter();
        rows.map(|row| row.state.clone()).collect::<Vec<_>>()
    };
    let begin = |attached: &Attached, file: &str, range| {
        let taken = attached.client().taken();
        taken.begin(&path(file), "\"e\"", 100, range)
    };
    let attached = attach();
    begin(&attached, "/f", 0..10).add(10);
    // The next range may be asked for at any moment.
    assert_eq!(states(), [TransferState::Active]);
    drop(attached);
    assert!(matches!(states()[..], [TransferState::Left(_)]));
    let again = attach();
    begin(&again, "/g", 0..10).abort("reset".into());
    assert!(matches!(
        states()[..],
        [TransferState::Left(_), TransferState::Aborted(..)]
    ));
    let rest = begin(&again, "/f", 10..100);
    assert_eq!(states()[0], TransferState::Active);
    rest.add(90);
    drop((rest, again));
    assert!(matches!(
        states()[..],
        [TransferState::Aborted(..), TransferState::Done(_)]
    ));
}

#[test]
fn no_sum_tells_of_more_than_its_parts_show() {
    for round in 0..200 {
        let registry = Registry::default();
        let attached = registry.attach(&identity(None, "x", 1));
        let taken = attached.client().taken();
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                for n in 0..40 {
                    taken.took_small(&mut vec![small(&format!("/small-{n}"), 1)]);
                    let flow = taken.begin(&path(&format!("/large-{n}")), "", 2, 0..2);
                    flow.add(1);
                    flow.add(1);
                }
            });
            while !sender.is_finished() {
                let snapshot = registry.snapshot(Instant::now());
                let client = &snapshot.clients[0];
                let rows = &client.transfers;
                let done = rows.iter().map(|row| row.done).sum();
                assert!(
                    snapshot.sent <= client.sent && client.sent <= done,
                    "{round}"
                );
                let whole = |row: &&TransferView| matches!(row.state, TransferState::Done(_));
                let whole = rows.iter().filter(whole).count() as u64;
                assert!(
                    snapshot.files <= client.files && client.files <= whole,
                    "{round}"
                );
            }
        });
    }
}

#[test]
fn a_changed_file_is_another_row() {
    let registry = Registry::default();
    let attached = registry.attach(&identity(None, "x", 1));
    drop(
        attached
            .client()
            .taken()
            .begin(&path("/f"), "\"old\"", 10, 0..10),
    );
    let new = attached
        .client()
        .taken()
        .begin(&path("/f"), "\"new\"", 20, 0..20);
    new.add(20);
    drop(new);
    let rows = &registry.snapshot(Instant::now()).clients[0].transfers;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].total, 20);
}

#[test]
fn what_is_kept_is_bounded() {
    let registry = Registry::default();
    for n in 0..3000u32 {
        let agent = format!("agent-{n}");
        let attached = registry.attach(&identity(None, &agent, 1));
        if n == 2999 {
            for file in 0..1000 {
                let mut files = vec![small(&format!("/{file}"), 1)];
                attached.client().taken().took_small(&mut files);
                drop(attached.client().taken().begin(
                    &path(&format!("/part-{file}")),
                    "",
                    10,
                    0..5,
                ));
            }
        }
    }
    let now = Instant::now();
    let snapshot = registry.snapshot(now);
    assert!(snapshot.clients.len() <= MAX_CLIENTS);
    let last = snapshot.clients.last().unwrap();
    assert_eq!(last.files, 1000);
    assert!(last.transfers.len() <= 200, "{}", last.transfers.len());
    assert!(
        last.transfers.iter().any(|row| row.path == path("/999")),
        "the newest are kept"
    );
    let rows_gone = registry.snapshot(now + Duration::from_secs(61));
    assert_eq!(rows_gone.clients.last().unwrap().transfers.len(), 0);
    assert_eq!(
        registry
            .snapshot(now + Duration::from_secs(601))
            .clients
            .len(),
        0
    );
}

#[test]
fn a_client_that_left_holds_little() {
    let registry = Registry::default();
    let attached = registry.attach(&identity(Some("s"), "haul/0.1", 1));
    let client = Arc::clone(attached.client());
    for file in 0..100 {
        for at in 0..1000 {
            let flow = client.taken().begin(
                &path(&format!("/{file}")),
                "\"e\"",
                10_000,
                2 * at..2 * at + 1,
            );
            flow.add(1);
        }
    }
    let spans = || lock(&client.taken().rows).spans();
    for file in 0..1000 {
        let mut files = vec![small(&format!("/small-{file}"), 1)];
        client.taken().took_small(&mut files);
    }
    let rows = || client.view(Instant::now()).transfers.len();
    assert!(spans() <= 100 * 128, "{}", spans());
    assert!(rows() > 100, "{}", rows());
    drop(attached);
    assert!(spans() <= 20 * 128, "{}", spans());
    assert!(rows() <= 2 * 20, "{}", rows());
    // A table of hashes has room for some more.
    let room = lock(&client.taken().rows).room();
    assert!(room <= 4 * 20, "{room}");
}
