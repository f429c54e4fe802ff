//! One run as a timeline: a row a client, a bar a file; pure.

use super::{
    chart::{Axis, Bar, Chart},
    figures::{about, by_clients, bytes, time},
};
use crate::eval::times::{ClientRun, Evaluation, Run};

/// The part of a client's row that its bars fill.
const FILLED: f64 = 0.8;

/// The chart of one run.
pub fn chart(evaluation: &Evaluation, run: &Run) -> Chart {
    let rows = run.clients.len();
    let mut bars = Vec::new();
    for (row, client) in run.clients.iter().enumerate() {
        // The first client stands at the top.
        let base = (rows - 1 - row) as f64 + (1.0 - FILLED) / 2.0;
        bars.extend(bars_of(client, base));
    }
    let ends = bars.iter().map(|bar| bar.to);
    let mut ticks: Vec<(f64, String)> = Vec::new();
    let every = rows.div_ceil(24).max(1);
    for (row, client) in run.clients.iter().enumerate().step_by(every) {
        ticks.push(((rows - 1 - row) as f64 + 0.5, client.name.clone()));
    }
    let failed = rows - run.done().count();
    let failures = if failed > 0 {
        format!("; {failed} clients failed")
    } else {
        String::new()
    };
    Chart {
        name: "timeline".into(),
        title: format!(
            "A run of {} × {} files of {}",
            by_clients(&run.cell),
            run.cell.files,
            bytes(run.cell.size as f64)
        ),
        about: about(evaluation),
        reading: format!(
            "run {}: a bar a file, from its first request to its final name{failures}",
            run.id.rsplit('/').next().unwrap_or(&run.id)
        ),
        x: Axis::linear("time since all clients were released", ends, |at| {
            if at > 0.0 { time(at) } else { "0".into() }
        }),
        y: Axis {
            label: "client".into(),
            range: (0.0, rows as f64),
            ticks,
        },
        legend: String::new(),
        series: Vec::new(),
        bars,
        reference: None,
        main: false,
    }
}

/// A client's transfers in as few lanes as keep them apart, from `base` upwards.
fn bars_of(client: &ClientRun, base: f64) -> Vec<Bar> {
    let mut transfers: Vec<_> = client.transfers.iter().collect();
    transfers.sort_by(|a, b| a.began.total_cmp(&b.began));
    // The end of each lane's last bar.
    let mut lanes: Vec<f64> = Vec::new();
    let mut placed = Vec::with_capacity(transfers.len());
    for transfer in transfers {
        let end = transfer.began + transfer.seconds;
        let free = lanes.iter().position(|busy| *busy <= transfer.began);
        let lane = if let Some(lane) = free {
            lanes[lane] = end;
            lane
        } else {
            lanes.push(end);
            lanes.len() - 1
        };
        placed.push((lane, transfer.began, end));
    }
    let height = FILLED / lanes.len().max(1) as f64;
    placed
        .into_iter()
        .enumerate()
        .map(|(number, (lane, from, to))| {
            let low = base + FILLED - (lane + 1) as f64 * height;
            Bar {
                from,
                to,
                low,
                high: low + height,
                colour: number,
            }
        })
        .collect()
}
