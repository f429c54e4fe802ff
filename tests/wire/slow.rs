//! Clients that take their time (RFC 9110 §15.5.9, RFC 9112 §9.5). Time stands still but for timers: no row waits for
//! real, and each has a server of its own.

use std::{net::Ipv4Addr, time::Duration};

use haul::server::{Server, Stop, bind};
use tokio::time::Instant;

use super::{
    row::{Row, ends, gone, ok, row, slowly, status, stays},
    run::{Partner, play},
    stage::{HELLO, TEN, tree},
};
use crate::common::serving::settings;

const NOW: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);
/// A head must be complete this long after its first byte.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// A connection without a request is closed after this.
const IDLE_TIME: Duration = Duration::from_secs(60);

const BEGIN: &[u8] = b"GET /hello.txt HTTP/1.1\r\nHost: haul\r\n";
const WHOLE: &[u8] = b"GET /hello.txt HTTP/1.1\r\nHost: haul\r\n\r\n";
const TEN_WHOLE: &[u8] = b"GET /ten HTTP/1.1\r\nHost: haul\r\n\r\n";

/// How long each connection lasts, and the row.
pub fn rows() -> Vec<(Duration, Row)> {
    const LATE: &str = "9110 §15.5.9";
    const IDLE: &str = "9112 §9.5";
    let late = || status(408).has("10 s");
    vec![
        (HEAD_TIME, row(LATE, "a head that does not end gets 408 after 10 s", BEGIN, ends([late()]))),
        (HEAD_TIME, row(LATE, "a single byte is the beginning of a head", "G", ends([late()]))),
        (HEAD_TIME, row(LATE, "408 to HEAD has no content", "HEAD /ten HTTP/1.1\r\n", ends([status(408).for_head()]))),
        (HEAD_TIME, row(LATE, "a byte now and then buys no time",
            slowly([(NOW, BEGIN), (SECOND * 4, b"A"), (SECOND * 4, b"B"), (SECOND * 4, b"C")]), ends([late()]))),
        (HEAD_TIME, row(LATE, "a field now and then buys no time",
            slowly([(NOW, BEGIN), (SECOND * 6, b"A: b\r\n"), (SECOND * 6, b"C: d\r\n")]), ends([late()]))),
        (HEAD_TIME, row(LATE, "empty lines now and then buy no time",
            slowly([(NOW, b"\r\n"), (SECOND * 6, b"\r\n"), (SECOND * 6, b"\r\n")]), ends([late()]))),
        (SECOND * 9, row(LATE, "a head that ends in the last second is answered",
            slowly([(NOW, BEGIN), (SECOND * 9, b"\r\n")]), stays([ok(HELLO)]))),
        (SECOND * 39, row(LATE, "the time begins anew with each request, and with its first byte",
            slowly([(NOW, WHOLE), (SECOND * 30, b"GET /ten"), (SECOND * 9, b" HTTP/1.1\r\nHost: haul\r\n\r\n")]),
            stays([ok(HELLO), ok(TEN)]))),
        (HEAD_TIME, row(LATE, "what is answered stays answered: 408 is for the request that is not",
            slowly([(NOW, WHOLE), (NOW, b"GET /ten")]), ends([ok(HELLO), late()]))),
        (HEAD_TIME, row("9112 §9.3.2", "whole requests do not wait for the rest of the one behind them",
            slowly([(NOW, &[WHOLE, TEN_WHOLE, BEGIN].concat())]), ends([ok(HELLO), ok(TEN), late()]))),
        (IDLE_TIME, row(IDLE, "a connection that never asks is closed without a word", "", gone([]))),
        (IDLE_TIME, row(IDLE, "a connection that asks no more is closed without a word", WHOLE, gone([ok(HELLO)]))),
        (SECOND * 59, row(IDLE, "a connection that asks again in time goes on",
            slowly([(NOW, WHOLE), (SECOND * 59, TEN_WHOLE)]), stays([ok(HELLO), ok(TEN)]))),
    ]
}

/// Plays each row against a server and a clock of its own.
pub fn play_all() {
    let temp = tree();
    let mut failures = Vec::new();
    for (lasts, row) in rows() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        let name = row.name.clone();
        let took = runtime.block_on(async {
            let server = Server::new(settings(&temp.path().join("root"))).unwrap();
            let listeners = bind(&[Ipv4Addr::LOCALHOST.into()], 0).await.unwrap();
            let address = listeners[0].local_addr().unwrap();
            tokio::spawn(async move { server.run(listeners, Stop::default()).await });
            let partner = Partner {
                address,
                from: Ipv4Addr::LOCALHOST,
                tls: None,
                etag: String::new(),
                patience: IDLE_TIME * 10,
            };
            let started = Instant::now();
            play(vec![row], &partner).await;
            started.elapsed()
        });
        if !(lasts..lasts + SECOND).contains(&took) {
            failures.push(format!("{name}: {took:?} instead of {lasts:?}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
