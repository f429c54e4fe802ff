//! Small measurements for the tests of this section.

use super::{
    logs::Mark,
    machine::Machine,
    matrix::Cell,
    times::{ClientRun, Evaluation, Options, Run, Transfer},
};

/// A cell of ten files a client.
pub fn cell(clients: usize, size: u64) -> Cell {
    Cell {
        clients,
        size,
        files: 10,
        workers: 5,
        serial: false,
        tls: false,
        latency: 0.0,
        rate: None,
        limit: None,
    }
}

/// A run in which every client took all of the time, and each file a tenth of it.
pub fn run(number: usize, cell: &Cell, seconds: f64) -> Run {
    let step = seconds / cell.files as f64;
    let transfer = |file: usize| Transfer {
        path: format!("file {file}"),
        bytes: cell.size,
        began: step * file as f64,
        seconds: step,
    };
    let client = |client: usize| ClientRun {
        name: format!("client{client}"),
        seconds,
        bytes: cell.size * cell.files as u64,
        error: None,
        transfers: (0..cell.files).map(transfer).collect(),
    };
    Run {
        id: format!("x/{number}"),
        cell: cell.clone(),
        repeat: number,
        began: "2026-11-23T01:00:00.000000Z".into(),
        seconds,
        clients: (0..cell.clients).map(client).collect(),
    }
}

/// A measurement of two runs.
pub fn evaluation(label: &str) -> Evaluation {
    Evaluation {
        label: label.into(),
        began: "2026-11-23T01:00:00Z".into(),
        haul: "0.1.0".into(),
        machine: Machine::default(),
        options: Options::default(),
        planned: 2,
        runs: vec![run(1, &cell(1, 2048), 1.0), run(2, &cell(2, 2048), 1.5)],
    }
}

/// The first line of a run in a log.
pub fn mark(label: &str, number: usize) -> Mark {
    Mark {
        run: format!("{label}/{number}"),
        label: label.into(),
        side: "client0".into(),
        repeat: 1,
        cell: cell(4, 2048),
    }
}
