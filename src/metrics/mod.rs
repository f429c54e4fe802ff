//! Figures of a server or a client for monitoring: [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/)
//! text, made anew from what is counted anyway whenever somebody asks.
//!
//! Labels have few values each: statuses, kinds of work, results and states; never a name or an address.

mod listen;

pub use listen::Exporter;

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::{
    client::{Client, ItemState, Link, Snapshot},
    server::{Server, TransferState},
};

/// One label and its value.
type Label = [(&'static str, String); 1];

/// Names and values, all with one prefix.
struct Figures(Registry);

impl Figures {
    fn of(prefix: &str) -> Self {
        Self(Registry::with_prefix(prefix))
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.0.register(name, help, counter(value));
    }

    fn bytes(&mut self, name: &str, help: &str, value: u64) {
        (self.0).register_with_unit(name, help, Unit::Bytes, counter(value));
    }

    fn gauge(&mut self, name: &str, help: &str, value: usize) {
        self.0.register(name, help, gauge(value));
    }

    fn counters<V: ToString>(
        &mut self,
        (name, label): (&str, &'static str),
        help: &str,
        values: impl IntoIterator<Item = (V, u64)>,
    ) {
        let family = Family::<Label, Counter>::default();
        for (of, value) in values {
            family
                .get_or_create(&[(label, of.to_string())])
                .inc_by(value);
        }
        self.0.register(name, help, family);
    }

    fn gauges(
        &mut self,
        (name, label): (&str, &'static str),
        help: &str,
        values: impl IntoIterator<Item = (&'static str, usize)>,
    ) {
        let family = Family::<Label, Gauge>::default();
        for (of, value) in values {
            family
                .get_or_create(&[(label, of.to_owned())])
                .set(whole(value));
        }
        self.0.register(name, help, family);
    }

    fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.0);
        text
    }
}

fn whole(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn counter(value: u64) -> Counter {
    let counter = Counter::default();
    counter.inc_by(value);
    counter
}

fn gauge(value: usize) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(whole(value));
    gauge
}

/// How a server stands. Sizes are bytes; what is counted begins with the server.
pub fn of_server(server: &Server) -> String {
    let (now, counts) = (server.snapshot(), server.counts());
    let mut figures = Figures::of("haul_server");
    figures.bytes("sent", "Body bytes sent", now.sent);
    figures.counters(
        ("requests", "status"),
        "Requests answered, by status",
        counts.statuses,
    );
    figures.counter("files", "Files sent whole", now.files);
    figures.gauge("connections", "Open connections", now.connections);
    let here = now.clients.iter().filter(|client| client.connections > 0);
    figures.gauge("clients", "Clients with open connections", here.count());
    let transfers = now.clients.iter().flat_map(|client| &client.transfers);
    let running = transfers.filter(|transfer| transfer.state == TransferState::Active);
    figures.gauge("transfers", "Files on their way", running.count());
    let work = &counts.work;
    figures.gauges(
        ("work_waiting", "kind"),
        "Turns that are waited for, by kind of work",
        work.iter().map(|work| (work.kind, work.waiting)),
    );
    figures.gauges(
        ("work_running", "kind"),
        "Turns under way, by kind of work: pieces, sha256 and small hash",
        work.iter().map(|work| (work.kind, work.running)),
    );
    figures.gauge(
        "draining",
        "1 while no one new is taken",
        usize::from(now.draining),
    );
    figures.text()
}

/// How a client stands, or that there is none. Sizes are bytes; what is counted begins with the client, and begins anew where
/// a dashboard turns to another server.
pub fn of_client(client: Option<&Client>) -> String {
    let (now, counts) = client.map_or_else(Default::default, |client| {
        (client.snapshot(), client.counts())
    });
    let mut figures = Figures::of("haul_client");
    figures.bytes(
        "received",
        "Body bytes received, also those that were thrown away",
        now.received,
    );
    figures.gauge("connections", "Open connections", now.connections);
    let up = matches!(now.link, Link::Up);
    figures.gauge("up", "1 while the server answers", usize::from(up));
    figures.counters(
        ("downloads", "result"),
        "Files that ended, by result",
        counts.results,
    );
    figures.counter(
        "retries",
        "Attempts that failed and were followed by another",
        counts.retries,
    );
    figures.counter(
        "pieces_received",
        "Pieces of large files that came whole, bad ones among them",
        counts.pieces_received,
    );
    figures.counter(
        "pieces_bad",
        "Pieces that differ from what the server tells of them",
        counts.pieces_bad,
    );
    figures.gauges(
        ("queue", "state"),
        "Items of the queue, by state",
        queue(&now),
    );
    figures.text()
}

/// Items by state, each state among them.
fn queue(now: &Snapshot) -> Vec<(&'static str, usize)> {
    const STATES: [&str; 8] = [
        "queued",
        "active",
        "paused",
        "waiting",
        "landing",
        "finished",
        "failed",
        "cancelled",
    ];
    let state = |state: &ItemState| match state {
        ItemState::Queued => 0,
        ItemState::Active => 1,
        ItemState::Paused => 2,
        ItemState::Waiting(_) => 3,
        ItemState::Landing => 4,
        ItemState::Finished(_) => 5,
        ItemState::Failed(_) => 6,
        ItemState::Cancelled => 7,
    };
    let mut counts = [0; STATES.len()];
    for item in &now.items {
        counts[state(&item.state)] += 1;
    }
    STATES.into_iter().zip(counts).collect()
}

/// The same as Prometheus' older text (version 0.0.4), for those who ask for `text/plain`: a counter's name has its `_total`
/// everywhere, units and the end are not told.
fn classic(text: &str) -> String {
    let is_counter = |name: &str| text.contains(&format!("# TYPE {name} counter\n"));
    let mut classic = String::with_capacity(text.len());
    for line in text.lines() {
        let mut words = line.splitn(4, ' ');
        let line = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT" | "EOF"), ..) => continue,
            (Some("#"), Some(what), Some(name), Some(rest)) if is_counter(name) => {
                format!("# {what} {name}_total {rest}")
            }
            _ => line.to_owned(),
        };
        classic.push_str(&line);
        classic.push('\n');
    }
    classic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_texts_tell_the_same() {
        let mut figures = Figures::of("x");
        figures.bytes("sent", "Bytes", 7);
        figures.gauges(("work", "kind"), "Turns", [("tree", 2)]);
        figures.counters(("requests", "status"), "Requests", [(200, 3)]);
        let text = figures.text();
        assert_eq!(
            text,
            "# HELP x_sent_bytes Bytes.\n# TYPE x_sent_bytes counter\n# UNIT x_sent_bytes bytes\nx_sent_bytes_total 7\n\
             # HELP x_work Turns.\n# TYPE x_work gauge\nx_work{kind=\"tree\"} 2\n\
             # HELP x_requests Requests.\n# TYPE x_requests counter\nx_requests_total{status=\"200\"} 3\n# EOF\n"
        );
        assert_eq!(
            classic(&text),
            "# HELP x_sent_bytes_total Bytes.\n# TYPE x_sent_bytes_total counter\nx_sent_bytes_total 7\n\
             # HELP x_work Turns.\n# TYPE x_work gauge\nx_work{kind=\"tree\"} 2\n\
             # HELP x_requests_total Requests.\n# TYPE x_requests_total counter\nx_requests_total{status=\"200\"} 3\n"
        );
    }

    #[test]
    fn without_a_server_everything_is_told_as_nothing() {
        let text = of_client(None);
        assert!(
            text.contains("haul_client_queue{state=\"paused\"} 0\n"),
            "{text}"
        );
        assert!(text.contains("haul_client_up 0\n"), "{text}");
    }
}
