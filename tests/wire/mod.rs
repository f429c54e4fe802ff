//! What haul does on the wire, as a table: each row is a rule of RFC 9110 or RFC 9112 with the section that it stands
//! in, the bytes that put it to the test, and what must come back ([`row`] has the words for that).
//!
//! Rows are played over real sockets ([`run`]), all of a theme at once. Answers are read by a parser of the suite's own
//! that takes only what a careful sender writes ([`answer`]), and every one is held against the rules for all answers
//! and for its status as well ([`rules`]). Where a connection must go on, a further request gets exactly its answer;
//! where it must not, it ends in order, without another byte. All rows that fail are told of, with what was sent and
//! what came.

use std::collections::HashSet;

use haul::{
    server::{
        Settings,
        access::{Access, Sources},
    },
    units::Rate,
};

use crate::common::secure::own_identity;
use row::Row;
use stage::Stage;

mod answer;
mod row;
mod rules;
mod run;
mod stage;

// The tables are not formatted: a row is a line, or its rule and below it what is sent and what comes back.
#[rustfmt::skip]
mod framing;
#[rustfmt::skip]
mod host;
#[rustfmt::skip]
mod limits;
#[rustfmt::skip]
mod listings;
#[rustfmt::skip]
mod methods;
#[rustfmt::skip]
mod pipelining;
#[rustfmt::skip]
mod preconditions;
#[rustfmt::skip]
mod ranges;
#[rustfmt::skip]
mod slow;
#[rustfmt::skip]
mod smuggling;
#[rustfmt::skip]
mod targets;

/// Every row by its theme.
fn table() -> Vec<(&'static str, Vec<Row>)> {
    vec![
        ("framing", framing::rows()),
        ("smuggling", smuggling::rows()),
        ("host", host::rows()),
        ("targets", targets::rows()),
        ("methods", methods::rows()),
        ("preconditions", preconditions::rows()),
        ("ranges", ranges::rows()),
        ("listings", listings::rows()),
        ("pipelining", pipelining::rows()),
        ("limits", limits::rows()),
        ("limits, many requests", limits::many()),
        ("limits, one client", limits::crowded()),
        ("limits, one connection", limits::full()),
        ("limits, a login", limits::guarded()),
        ("limits, TLS", limits::encrypted()),
        (
            "slow senders",
            slow::rows().into_iter().map(|(_, row)| row).collect(),
        ),
    ]
}

#[test]
fn every_row_cites_its_rule() {
    let table = table();
    let mut names = HashSet::new();
    for row in table.iter().flat_map(|(_, rows)| rows) {
        let Row { section, name, .. } = row;
        let (rfc, numbers) = section.split_once(" §").unwrap_or_default();
        let is_section = numbers
            .split('.')
            .all(|number| number.parse::<u8>().is_ok());
        assert!(
            matches!(rfc, "9110" | "9112") && is_section,
            "{section}: {name}"
        );
        assert!(names.insert(name), "twice: {name}");
        let nothing = row.outcome.answers.is_empty() && row.outcome.then != row::Then::Gone;
        assert!(!nothing, "nothing is expected: {name}");
    }
    for (theme, rows) in &table {
        println!("{:4} {theme}", rows.len());
    }
    println!("{:4} in all", names.len());
    assert!(names.len() >= 450, "only {} rows", names.len());
}

#[test]
fn framing() {
    Stage::new().play(framing::rows());
}

#[test]
fn smuggling() {
    Stage::new().play(smuggling::rows());
}

#[test]
fn host() {
    Stage::new().play(host::rows());
}

#[test]
fn targets() {
    Stage::new().play(targets::rows());
}

#[test]
fn methods() {
    Stage::new().play(methods::rows());
}

#[test]
fn preconditions() {
    Stage::new().play(preconditions::rows());
}

#[test]
fn ranges() {
    Stage::new().play(ranges::rows());
}

#[test]
fn listings() {
    Stage::new().and(listings::long).play(listings::rows());
}

#[test]
fn pipelining() {
    Stage::new().play(pipelining::rows());
}

#[test]
fn limits() {
    Stage::new().play(limits::rows());
}

#[test]
fn limits_of_requests() {
    Stage::new().play(limits::many());
}

#[test]
fn limits_of_clients() {
    Stage::with(|settings| settings.max_clients = Some(1)).play_beside_a_guest(limits::crowded());
}

#[test]
fn limits_of_connections() {
    let full = |settings: &mut Settings| {
        settings.max_connections = 1;
        settings.limit_client = Some(Rate(1024));
    };
    Stage::with(full).play_beside_a_busy_one(limits::full());
}

#[test]
fn logins() {
    let login = haul::credentials::Credentials::parse_login(limits::LOGIN).unwrap();
    let access = Access::new(&Sources {
        logins: &[login],
        ..Sources::default()
    });
    Stage::with(|settings| settings.access = access.unwrap()).play(limits::guarded());
}

#[test]
fn plain_http_where_tls_is_spoken() {
    Stage::with(|settings| settings.tls = Some(own_identity())).play(limits::encrypted());
}

/// A connection that is encrypted frames, sends files and ends by other calls.
#[test]
fn over_tls() {
    let stage = Stage::with(|settings| settings.tls = Some(own_identity()));
    for rows in [ranges::rows(), pipelining::rows(), limits::rows()] {
        stage.play_encrypted(rows);
    }
}

#[test]
fn slow_senders() {
    slow::play_all();
}
