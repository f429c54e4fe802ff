//! What is measured: the axes, and the cells that they span.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    config::{self, ini::Setting},
    samples::size_name,
    units::Rate,
};

/// Connections of a client whose settings name no number, as `haul connect` has it.
const WORKERS: usize = 5;

/// One combination: everything that makes a run differ from another, but chance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Clients at the same time.
    pub clients: usize,
    /// Bytes of each file.
    pub size: u64,
    /// Files that each client downloads.
    pub files: usize,
    /// Connections of each client.
    pub workers: usize,
    /// Whether clients fetch one file at a time.
    pub serial: bool,
    /// Whether the server speaks TLS.
    #[serde(default)]
    pub tls: bool,
    /// Round trip that is added, in seconds; 0 for none.
    #[serde(default)]
    pub latency: f64,
    /// Bytes a second of each client's link; `None` for no limit.
    #[serde(default)]
    pub rate: Option<u64>,
    /// Bytes a second of the server, to all clients together; `None` for no limit.
    #[serde(default)]
    pub limit: Option<u64>,
}

impl Cell {
    /// The part of log names that tells cells apart: `4c2kf`.
    pub fn stem(&self) -> String {
        format!("{}c{}f", self.clients, size_name(self.size))
    }

    /// Bytes that all clients download together.
    pub fn bytes(&self) -> u64 {
        (self.clients as u64)
            .saturating_mul(self.files as u64)
            .saturating_mul(self.size)
    }
}

/// The cells of a measurement, in the order in which they are run: what is compared most often varies fastest.
pub fn cells(settings: &config::Eval) -> Vec<Cell> {
    let workers = or(&settings.workers, || {
        value_of(&settings.connect, "workers")
            .and_then(|text| text.parse().ok())
            .unwrap_or(WORKERS)
    });
    let serial = or(&settings.serial, || {
        value_of(&settings.connect, "serial") == Some("true")
    });
    let tls = or(&settings.tls, || {
        value_of(&settings.serve, "tls") == Some("true")
    });
    let limit = or(&settings.limit, || {
        let rate: Option<Rate> =
            value_of(&settings.serve, "limit").and_then(|text| text.parse().ok());
        rate.map(|rate| rate.0)
    });
    let latency = or(&settings.latency, || None);
    let rate = or(&settings.rate, || None);
    let mut cells = vec![Cell {
        clients: 1,
        size: 0,
        files: settings.files,
        workers: WORKERS,
        serial: false,
        tls: false,
        latency: 0.0,
        rate: None,
        limit: None,
    }];
    vary(&mut cells, &tls, |cell, tls| cell.tls = *tls);
    vary(&mut cells, &limit, |cell, limit| cell.limit = *limit);
    vary(&mut cells, &rate, |cell, rate| cell.rate = *rate);
    vary(&mut cells, &latency, |cell, latency| {
        cell.latency = latency.unwrap_or(Duration::ZERO).as_secs_f64();
    });
    vary(&mut cells, &serial, |cell, serial| cell.serial = *serial);
    vary(&mut cells, &workers, |cell, workers| {
        cell.workers = *workers;
    });
    vary(&mut cells, &settings.sizes, |cell, size| cell.size = *size);
    vary(&mut cells, &settings.clients, |cell, clients| {
        cell.clients = *clients;
    });
    cells
}

/// Each cell once for each value of an axis.
fn vary<T>(cells: &mut Vec<Cell>, axis: &[T], set: impl Fn(&mut Cell, &T)) {
    let each = cells.iter().flat_map(|cell| {
        let set = &set;
        axis.iter().map(move |value| {
            let mut cell = cell.clone();
            set(&mut cell, value);
            cell
        })
    });
    *cells = each.collect();
}

fn value_of<'a>(settings: &'a [Setting], key: &str) -> Option<&'a str> {
    let found = settings.iter().find(|setting| setting.key == key);
    found.map(|setting| setting.value.as_str())
}

fn or<T: Clone>(given: &[T], usual: impl FnOnce() -> T) -> Vec<T> {
    if given.is_empty() {
        vec![usual()]
    } else {
        given.to_vec()
    }
}
