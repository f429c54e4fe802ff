//! Where the times come from: `times.json`, or the clients' logs.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Error;
use crate::{
    config,
    eval::{
        logs::{self, Section},
        machine::Machine,
        times::{ClientRun, Evaluation, Options, Run, Times, Transfer},
    },
};

/// The measurements that can be drawn.
#[derive(Debug)]
pub struct Source {
    times: Times,
    /// Where they come from, for people.
    place: String,
}

impl Source {
    /// Reads the logs where they were asked for or where there are no times, else the times.
    pub fn read(settings: &config::Plot) -> Result<Self, Error> {
        if !settings.from_logs
            && let Some(times) = Times::read(&settings.times)?
        {
            let place = settings.times.display().to_string();
            return Ok(Self { times, place });
        }
        let place = settings.logs.display().to_string();
        if !settings.from_logs && !settings.logs.is_dir() {
            return Err(Error::Nothing(format!(
                "there is neither {} nor {place}",
                settings.times.display()
            )));
        }
        let mut sections = Vec::new();
        for path in logs::files(&settings.logs)? {
            sections.extend(logs::read(&path)?);
        }
        if sections.is_empty() {
            return Err(Error::Nothing(format!("{place} has no logs of runs")));
        }
        Ok(Self {
            times: of_logs(&sections),
            place,
        })
    }

    /// The measurement that was begun last.
    pub fn last(&self) -> Result<&Evaluation, Error> {
        let last = self.times.evaluations.last();
        last.ok_or_else(|| Error::Nothing(format!("{} has no measurements", self.place)))
    }

    /// The measurement of that name.
    pub fn labelled(&self, label: &str) -> Result<&Evaluation, Error> {
        self.times.labelled(label).ok_or_else(|| {
            let known: Vec<&str> = self
                .times
                .evaluations
                .iter()
                .map(|one| one.label.as_str())
                .collect();
            Error::Unknown {
                what: "measurement",
                name: label.to_owned(),
                known: format!("{} has {}", self.place, known.join(", ")),
            }
        })
    }
}

/// What the clients' logs tell of each run. What only eval saw, such as how long a client took to end, is not there: a
/// client ends with its last transfer.
fn of_logs(sections: &[Section]) -> Times {
    // By the moment of the release, which is that of the first client.
    let mut runs: BTreeMap<&str, Vec<&Section>> = BTreeMap::new();
    for section in sections
        .iter()
        .filter(|one| one.mark.side.starts_with("client"))
    {
        runs.entry(&section.mark.run).or_default().push(section);
    }
    let mut begun: Vec<(Timestamp, &str, Run)> = runs
        .into_values()
        .filter_map(|clients| {
            let released = clients
                .iter()
                .flat_map(|client| &client.lines)
                .filter_map(logs::Line::release)
                .min()?;
            Some((
                released,
                clients[0].mark.label.as_str(),
                run(&clients, released),
            ))
        })
        .collect();
    begun.sort_by_key(|(released, ..)| *released);
    let mut times = Times::default();
    for (released, label, run) in begun {
        match times.evaluations.iter_mut().find(|one| one.label == label) {
            Some(one) => one.runs.push(run),
            None => times.evaluations.push(Evaluation {
                label: label.to_owned(),
                began: format!("{released:.0}"),
                haul: String::new(),
                machine: Machine::default(),
                options: Options::default(),
                planned: 0,
                runs: vec![run],
            }),
        }
    }
    times
}

fn run(clients: &[&Section], released: Timestamp) -> Run {
    let mut clients: Vec<&&Section> = clients.iter().collect();
    clients.sort_by_key(|client| number(&client.mark.side));
    let first = &clients[0].mark;
    let clients: Vec<ClientRun> = clients
        .iter()
        .map(|client| {
            let transfers: Vec<Transfer> = client
                .lines
                .iter()
                .filter_map(|line| line.transfer(released))
                .collect();
            let whole = transfers.len() >= client.mark.cell.files;
            ClientRun {
                name: client.mark.side.clone(),
                seconds: transfers
                    .iter()
                    .map(|transfer| transfer.began + transfer.seconds)
                    .fold(0.0, f64::max),
                bytes: transfers.iter().map(|transfer| transfer.bytes).sum(),
                error: (!whole).then(|| "its log lacks files".into()),
                transfers,
            }
        })
        .collect();
    Run {
        id: first.run.clone(),
        cell: first.cell.clone(),
        repeat: first.repeat,
        began: format!("{released:.6}"),
        seconds: clients
            .iter()
            .map(|client| client.seconds)
            .fold(0.0, f64::max),
        clients,
    }
}

/// The number in `client12`, so that it stands behind `client2`.
fn number(side: &str) -> usize {
    side.trim_start_matches(|c: char| !c.is_ascii_digit())
        .parse()
        .unwrap_or(usize::MAX)
}
