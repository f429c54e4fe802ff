//! Options of `haul plot`, and their conversion.

use std::path::PathBuf;

use clap::Args;

use super::eval::no_place;
use crate::{
    config::{self, values},
    error::Error,
};

/// Options of `haul plot`.
#[derive(Debug, Args)]
pub struct PlotArgs {
    /// Draw what the logs in DIR tell, rather than the times
    ///
    /// The logs know of single files only: a client ends with its last one.
    #[arg(long, env = "HAUL_LOGS", value_name = "DIR", conflicts_with = "times")]
    pub logs: Option<PathBuf>,
    /// Raw times to draw [default: times/times.json]
    #[arg(long, env = "HAUL_TIMES", value_name = "FILE")]
    pub times: Option<PathBuf>,
    /// Where the drawings go [default: times]
    #[arg(short, long, env = "HAUL_OUT", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Draw the main charts in the terminal, and write nothing
    #[arg(long, env = "HAUL_TUI")]
    pub tui: bool,
    /// Draw one measurement against another
    #[arg(long, env = "HAUL_COMPARE", value_name = "LABEL,LABEL", value_parser = values::labels, conflicts_with_all = ["label", "run"])]
    pub compare: Option<(String, String)>,
    /// The measurement to draw [default: the last]
    #[arg(long, env = "HAUL_LABEL", value_name = "NAME", value_parser = values::label)]
    pub label: Option<String>,
    /// The run of the timeline, by its number [default: the busiest]
    #[arg(long, env = "HAUL_RUN", value_name = "NUMBER")]
    pub run: Option<String>,
}

/// The settings of `haul plot`.
pub fn plot(args: PlotArgs) -> Result<config::Plot, Error> {
    let named = args.logs.is_some() || args.times.is_some();
    if !config::in_repository() {
        if !named {
            return Err(Error::Usage(
                "the current directory is not haul's repository (it lacks configs/ or servers/): name what to draw \
                 with --times FILE or --logs DIR; see `haul plot --help`"
                    .into(),
            ));
        }
        if !args.tui && args.out.is_none() {
            return Err(no_place("haul plot"));
        }
    }
    Ok(config::Plot {
        from_logs: args.logs.is_some(),
        logs: args.logs.unwrap_or_else(|| PathBuf::from("logs")),
        times: args
            .times
            .unwrap_or_else(|| PathBuf::from("times").join("times.json")),
        out: args.out.unwrap_or_else(|| PathBuf::from("times")),
        tui: args.tui,
        compare: args.compare,
        label: args.label,
        run: args.run,
    })
}
