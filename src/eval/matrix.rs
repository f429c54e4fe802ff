//! What is measured: the axes, and the cells that they span.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{config, samples::size_name};

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
    /// Round trip that is added, in seconds; 0 for none.
    #[serde(default)]
    pub latency: f64,
    /// Bytes a second of each client's link; `None` for no limit.
    #[serde(default)]
    pub rate: Option<u64>,
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

/// The cells of a measurement, in the order in which they are run.
pub fn cells(settings: &config::Eval) -> Vec<Cell> {
    let of_connect = |key: &str| {
        let found = settings.connect.iter().find(|setting| setting.key == key);
        found.map(|setting| setting.value.as_str())
    };
    let workers = or(&settings.workers, || {
        of_connect("workers")
            .and_then(|text| text.parse().ok())
            .unwrap_or(WORKERS)
    });
    let serial = or(&settings.serial, || of_connect("serial") == Some("true"));
    let latency = or(&settings.latency, || None);
    let rate = or(&settings.rate, || None);
    let mut cells = Vec::new();
    // What varies most slowly is what one compares least often.
    for &rate in &rate {
        for &latency in &latency {
            for &serial in &serial {
                for &workers in &workers {
                    for &size in &settings.sizes {
                        cells.extend(settings.clients.iter().map(|&clients| Cell {
                            clients,
                            size,
                            files: settings.files,
                            workers,
                            serial,
                            latency: latency.unwrap_or(Duration::ZERO).as_secs_f64(),
                            rate,
                        }));
                    }
                }
            }
        }
    }
    cells
}

fn or<T: Clone>(given: &[T], usual: impl FnOnce() -> T) -> Vec<T> {
    if given.is_empty() {
        vec![usual()]
    } else {
        given.to_vec()
    }
}
