//! What goes over a control socket: a JSON object a line, one enum each way. docs/CONTROL.md is for those who write to it.

use serde::{Deserialize, Serialize};

use crate::{
    app::{self, Effect, Event, Sample, connect, serve},
    logging::Line,
};

/// Changes with whatever an older program would misread.
pub const VERSION: u32 = 1;

/// What a watcher asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Tell how it stands, again and again; a later one replaces it.
    Watch {
        /// Milliseconds between two samples; 0 asks for one, and no more.
        every: u64,
        /// Tell the log as well, from behind the line of this number, 0 for all that is kept; without it that stays as it
        /// was, at first untold.
        #[serde(default)]
        log: Option<u64>,
    },
    /// Tell figures for monitoring, once.
    Metrics,
    /// Carry an effect out.
    Do {
        /// What its answers bear.
        id: u64,
        /// What.
        effect: Effect,
    },
}

/// What a program tells.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tell {
    /// The first line.
    Hello(Hello),
    /// How it stands.
    Sample {
        /// When: milliseconds since the hello.
        at: u64,
        /// How.
        sample: Sample,
    },
    /// Figures for monitoring, as OpenMetrics text.
    Metrics(String),
    /// New lines of the log, oldest first.
    Log(Vec<Line>),
    /// What another screen changed.
    News(Event),
    /// What came of an effect; there may be several.
    Answer {
        /// The effect's.
        id: u64,
        /// What came of it.
        event: Event,
    },
    /// Nothing more comes of an effect.
    Done {
        /// The effect's.
        id: u64,
    },
    /// A line that cannot be read, and why.
    Wrong(String),
}

/// Who speaks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    /// See [`VERSION`].
    pub version: u32,
    /// `haul/0.1.0`.
    pub program: String,
    /// What this run is called.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// What it is.
    pub facts: Facts,
}

/// What is told once: what does not change by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Facts {
    /// A server.
    Serve(serve::Facts),
    /// A client.
    Connect {
        /// About this side.
        facts: connect::Facts,
        /// The server that it is turned to.
        server: Option<app::Server>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_effect_in_the_docs_is_read_and_written_so() {
        let text = include_str!("../../docs/CONTROL.md");
        let mut read = 0;
        for part in text.split("| effect | |\n|---|---|\n").skip(1) {
            let rows = part.lines().take_while(|line| line.starts_with('|'));
            for form in rows.flat_map(|row| row.split('`').skip(1).step_by(2)) {
                let Ok(form) = serde_json::from_str::<serde_json::Value>(form) else {
                    continue;
                };
                let effect: Effect = serde_json::from_value(form.clone()).unwrap();
                let again = serde_json::to_value(&effect).unwrap();
                assert_eq!(again, form);
                read += 1;
            }
        }
        assert_eq!(read, 27, "one of them is no JSON");
    }

    #[test]
    fn lines_of_either_side() {
        crate::mutate::fuzz("control", |input| {
            for line in input.split(|byte| *byte == b'\n') {
                if let Ok(ask) = serde_json::from_slice::<Ask>(line) {
                    let again = serde_json::to_vec(&ask).unwrap();
                    assert!(serde_json::from_slice::<Ask>(&again).is_ok(), "{ask:?}");
                }
                if let Ok(tell) = serde_json::from_slice::<Tell>(line) {
                    let again = serde_json::to_vec(&tell).unwrap();
                    assert!(serde_json::from_slice::<Tell>(&again).is_ok(), "{tell:?}");
                }
            }
        });
    }
}
