//! `haul plot`: draws what `haul eval` measured, to SVG, PNG or the terminal.
//!
//! From raw times ([`data`]) come [`chart`]s by the recipes of [`figures`] and [`timeline`]; both are pure. [`draw`]
//! puts a chart on paper, [`files`] writes it, [`text`] draws it in the terminal.

pub mod chart;
pub mod data;
pub mod draw;
mod error;
pub mod figures;
pub mod files;
pub mod text;
pub mod timeline;

use std::io::{self, Write};

pub use error::Error;

use self::{chart::Chart, data::Source};
use crate::{
    config,
    eval::times::{Evaluation, Run},
    exit::{Exit, Local},
};

/// Draws what the settings ask for. Everything is read and computed before the first file is written; each file's name
/// goes to `out`, or with `--tui` the charts themselves, `width` cells wide, in colours where `colours` says so.
pub fn plot(
    settings: &config::Plot,
    out: &mut impl Write,
    width: u16,
    colours: bool,
) -> Result<Exit, Error> {
    let charts = charts(settings)?;
    if settings.tui {
        let main = charts.iter().filter(|chart| chart.main);
        for chart in main {
            written(text::print(chart, width, colours, out))?;
        }
        return Ok(Exit::Done);
    }
    let mut drawn = Vec::with_capacity(charts.len() * 2);
    for chart in &charts {
        drawn.extend(files::render(chart)?);
    }
    for file in drawn {
        let path = file.write(&settings.out)?;
        written(writeln!(out, "{}", path.display()))?;
    }
    Ok(Exit::Done)
}

/// Every chart that the settings ask for.
fn charts(settings: &config::Plot) -> Result<Vec<Chart>, Error> {
    let source = Source::read(settings)?;
    if let Some((before, after)) = &settings.compare {
        return figures::comparison(source.labelled(before)?, source.labelled(after)?);
    }
    let evaluation = match &settings.label {
        Some(label) => source.labelled(label)?,
        None => source.last()?,
    };
    if evaluation.runs.iter().all(|run| transfers(run) == 0) {
        return Err(Error::Nothing(format!(
            "`{}` has no transfers",
            evaluation.label
        )));
    }
    let mut charts = figures::all(evaluation);
    charts.push(timeline::chart(evaluation, run(evaluation, settings)?));
    Ok(charts)
}

/// The run that the timeline shows: the one that was asked for, or the busiest that was whole.
fn run<'a>(evaluation: &'a Evaluation, settings: &config::Plot) -> Result<&'a Run, Error> {
    let Some(id) = &settings.run else {
        let busiest = evaluation
            .runs
            .iter()
            .max_by_key(|run| (run.is_whole(), transfers(run), run.cell.size));
        return busiest.ok_or_else(|| Error::Nothing("there are no runs".into()));
    };
    // The number alone will do.
    let named = |run: &&Run| run.id == *id || run.id.ends_with(&format!("/{id}"));
    evaluation
        .runs
        .iter()
        .find(named)
        .ok_or_else(|| Error::Unknown {
            what: "run",
            name: id.clone(),
            known: format!(
                "`{}` has the runs 1 to {}",
                evaluation.label,
                evaluation.runs.len()
            ),
        })
}

fn transfers(run: &Run) -> usize {
    run.clients
        .iter()
        .map(|client| client.transfers.len())
        .sum()
}

fn written(result: io::Result<()>) -> Result<(), Error> {
    match result {
        // A reader such as `head` has seen enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Local(Local {
            what: "cannot write to stdout".into(),
            source: error,
            remedy: "point it at something writable",
            exit: Exit::Disk,
        })),
        _ => Ok(()),
    }
}
