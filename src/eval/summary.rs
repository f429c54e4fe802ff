//! `summary.json`: figures, computed from nothing but the raw times.

use std::{io::Write as _, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    Error,
    machine::Machine,
    matrix::Cell,
    stats::{Distribution, fairness},
    times::{Evaluation, Run, Times, VERSION, replace},
};

/// Times are counted in nanoseconds.
const SECONDS: f64 = 1e-9;
/// Bytes a second are counted one by one.
const BYTES: f64 = 1.0;
/// Files a second and fairness are counted in millionths.
const FINE: f64 = 1e-6;

/// The content of `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The format's version, as that of the times.
    pub version: u32,
    /// Each measurement, in their order.
    pub evaluations: Vec<Aggregate>,
}

/// The figures of one measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// Its name.
    pub label: String,
    /// When it began.
    pub began: String,
    /// The version of haul.
    pub haul: String,
    /// Where it ran.
    pub machine: Machine,
    /// Whether every run that was planned was made.
    pub complete: bool,
    /// Its cells, in the order in which they were run.
    pub cells: Vec<Figures>,
}

/// The figures of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// What was run.
    #[serde(flatten)]
    pub cell: Cell,
    /// Runs made.
    pub runs: usize,
    /// Clients that failed, in all runs together.
    pub failed: usize,
    /// Seconds of each file that arrived, from its first request to its final name.
    pub transfer: Distribution,
    /// Seconds of each client that did all it was to do, from the release to its end.
    pub client: Distribution,
    /// Seconds of each run without a failure, from the release to the end of its last client.
    pub run: Distribution,
    /// Bytes a second of each such run, all clients together.
    pub throughput: Distribution,
    /// Files a second of each such run, all clients together.
    pub files_per_second: Distribution,
    /// Jain's index over the clients' throughputs in each such run: 1 where all were served alike.
    pub fairness: Distribution,
}

impl Summary {
    /// Computes every figure.
    pub fn of(times: &Times) -> Self {
        Self {
            version: VERSION,
            evaluations: times.evaluations.iter().map(Aggregate::of).collect(),
        }
    }

    /// Writes the file, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        replace(path, |out| {
            serde_json::to_writer_pretty(&mut *out, self)?;
            writeln!(out)
        })
    }
}

impl Aggregate {
    /// Computes the figures of one measurement.
    pub fn of(evaluation: &Evaluation) -> Self {
        Self {
            label: evaluation.label.clone(),
            began: evaluation.began.clone(),
            haul: evaluation.haul.clone(),
            machine: evaluation.machine.clone(),
            complete: evaluation.runs.len() >= evaluation.planned,
            cells: cells(&evaluation.runs)
                .into_iter()
                .map(|(cell, runs)| Figures::of(cell, &runs))
                .collect(),
        }
    }
}

/// The runs of each cell, in the order in which the cells came.
pub fn cells(runs: &[Run]) -> Vec<(&Cell, Vec<&Run>)> {
    let mut cells: Vec<(&Cell, Vec<&Run>)> = Vec::new();
    for run in runs {
        match cells.iter_mut().find(|(cell, _)| **cell == run.cell) {
            Some((_, runs)) => runs.push(run),
            None => cells.push((&run.cell, vec![run])),
        }
    }
    cells
}

impl Figures {
    /// Computes the figures of `cell` from its runs.
    pub fn of(cell: &Cell, runs: &[&Run]) -> Self {
        let clients = || runs.iter().flat_map(|run| &run.clients);
        let transfers: Vec<f64> = clients()
            .flat_map(|client| &client.transfers)
            .map(|transfer| transfer.seconds)
            .collect();
        let whole: Vec<&Run> = runs.iter().copied().filter(|run| run.is_whole()).collect();
        let each =
            |figure: fn(&Run) -> f64| whole.iter().map(|run| figure(run)).collect::<Vec<_>>();
        let done: Vec<f64> = runs
            .iter()
            .flat_map(|run| run.done())
            .map(|client| client.seconds)
            .collect();
        Self {
            cell: cell.clone(),
            runs: runs.len(),
            failed: clients().filter(|client| client.error.is_some()).count(),
            transfer: Distribution::of(&transfers, SECONDS),
            client: Distribution::of(&done, SECONDS),
            run: Distribution::of(&each(|run| run.seconds), SECONDS),
            throughput: Distribution::of(&each(throughput), BYTES),
            files_per_second: Distribution::of(&each(files_per_second), FINE),
            fairness: Distribution::of(&each(shared), FINE),
        }
    }
}

fn throughput(run: &Run) -> f64 {
    let bytes: u64 = run.clients.iter().map(|client| client.bytes).sum();
    per_second(bytes as f64, run.seconds)
}

fn files_per_second(run: &Run) -> f64 {
    let files: usize = run
        .clients
        .iter()
        .map(|client| client.transfers.len())
        .sum();
    per_second(files as f64, run.seconds)
}

fn shared(run: &Run) -> f64 {
    let shares: Vec<f64> = run
        .clients
        .iter()
        .map(|client| per_second(client.bytes as f64, client.seconds))
        .collect();
    fairness(&shares).unwrap_or(1.0)
}

fn per_second(amount: f64, seconds: f64) -> f64 {
    if seconds > 0.0 { amount / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::examples::{cell, evaluation, run};

    #[test]
    fn a_cells_figures_come_from_its_runs() {
        let mut one = evaluation("x");
        one.runs = vec![
            run(1, &cell(2, 1000), 2.0),
            run(2, &cell(2, 1000), 4.0),
            run(3, &cell(1, 1000), 1.0),
        ];
        one.planned = 4;
        let all = Aggregate::of(&one);
        assert!(!all.complete);
        assert_eq!(all.cells.len(), 2);
        let two = &all.cells[0];
        assert_eq!((two.runs, two.failed, two.client.count), (2, 0, 4));
        assert_eq!(two.transfer.count, 2 * 2 * 10);
        // 20 files of 1000 bytes in 2 s, and in 4 s.
        let Distribution { max, min, .. } = two.throughput;
        assert!((max - 10_000.0).abs() < 1e-6 && (min - 5000.0).abs() < 1e-6);
        assert!((two.files_per_second.mean - 7.5).abs() < 1e-9);
        assert!((two.fairness.min - 1.0).abs() < 1e-9);
        assert!((two.run.mean - 3.0).abs() < 1e-9);
    }

    #[test]
    fn a_run_with_a_failed_client_counts_only_for_what_arrived() {
        let mut one = evaluation("x");
        let mut bad = run(1, &cell(2, 1000), 2.0);
        bad.clients[1].error = Some("killed by signal 9".into());
        bad.clients[1].transfers.truncate(3);
        one.runs = vec![bad];
        let figures = &Aggregate::of(&one).cells[0];
        assert_eq!((figures.failed, figures.transfer.count), (1, 13));
        assert_eq!((figures.client.count, figures.run.count), (1, 0));
        assert_eq!(figures.throughput, Distribution::default());
    }
}
