//! Options of `haul eval`, and their conversion.

use std::path::PathBuf;

use clap::Args;

use super::{RunArgs, ScreenArgs, merge, screen};
use crate::{
    config::{self, ini::Setting, target::Target, values},
    error::Error,
    units::{ByteSize, Rate, Span},
};

/// What each side runs with where the current directory is not the repository.
const SERVE: &str = include_str!("../../configs/eval-serve.ini");
const CONNECT: &str = include_str!("../../configs/eval-connect.ini");

/// Options of `haul eval`. Options with lists are the axes of the matrix: every combination is measured.
#[derive(Debug, Args)]
#[command(next_help_heading = "Matrix")]
pub struct EvalArgs {
    /// Clients at the same time
    #[arg(short = 'n', long, env = "HAUL_CLIENTS", value_name = "LIST", default_value = "1,2,4",
          value_delimiter = ',', value_parser = values::clients)]
    pub clients: Vec<usize>,
    /// Sizes of the files
    ///
    /// `servers/SIZE` is served where it holds as many files as --files says; else such files are made, the same on
    /// every machine, in the cache directory.
    #[arg(
        short = 'f',
        long = "size",
        env = "HAUL_SIZE",
        value_name = "LIST",
        default_value = "128,512,2k,8k,32k",
        value_delimiter = ','
    )]
    pub sizes: Vec<ByteSize>,
    /// Files that each client downloads
    #[arg(long, env = "HAUL_FILES", value_name = "N", default_value = "10", value_parser = values::files)]
    pub files: usize,
    /// Runs of every combination
    #[arg(short, long, env = "HAUL_REPEAT", value_name = "N", default_value = "3", value_parser = values::repeat)]
    pub repeat: usize,
    /// Connections of each client
    #[arg(short, long, env = "HAUL_WORKERS", value_name = "LIST", value_delimiter = ',', value_parser = values::workers)]
    pub workers: Vec<usize>,
    /// One file at a time; true,false measures both
    #[arg(long, env = "HAUL_SERIAL", value_name = "LIST", value_delimiter = ',', num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = values::flag, action = clap::ArgAction::Append)]
    pub serial: Vec<bool>,
    /// With TLS; true,false measures both
    #[arg(long, env = "HAUL_TLS", value_name = "LIST", value_delimiter = ',', num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = values::flag, action = clap::ArgAction::Append)]
    pub tls: Vec<bool>,
    /// Round trip to add for each client; 0 for none
    ///
    /// A proxy for each client holds bytes back for half of it each way, and each new connection for one more.
    #[arg(long, env = "HAUL_LATENCY", value_name = "LIST", value_delimiter = ',', value_parser = values::latency)]
    pub latency: Vec<Option<Span>>,
    /// Bytes a second of each client's link; off for no limit
    ///
    /// A proxy for each client lets no more through, in each direction, over all its connections together.
    #[arg(long, env = "HAUL_RATE", value_name = "LIST", value_delimiter = ',', value_parser = values::rate_or_off)]
    pub rate: Vec<Option<Rate>>,
    /// Bytes a second of the server; off for no limit
    #[arg(long, env = "HAUL_LIMIT", value_name = "LIST", value_delimiter = ',', value_parser = values::rate_or_off)]
    pub limit: Vec<Option<Rate>>,
    /// Measure a server elsewhere: HOST, HOST:PORT or URL
    ///
    /// Each size is downloaded from the folder of that name below the URL; what all clients got must be equal.
    #[arg(
        short,
        long,
        env = "HAUL_ADDRESS",
        value_name = "SERVER",
        help_heading = "Running"
    )]
    pub address: Option<Target>,
    /// Name of this measurement [default: the time]
    #[arg(long, env = "HAUL_LABEL", value_name = "NAME", value_parser = values::label, help_heading = "Results")]
    pub label: Option<String>,
    /// Where logs/ and times/ are made
    ///
    /// The default is the current directory where it is haul's repository; elsewhere it must be given.
    #[arg(
        short,
        long,
        env = "HAUL_OUT",
        value_name = "DIR",
        help_heading = "Results"
    )]
    pub out: Option<PathBuf>,
    /// Raw times, added to FILE [default: times/times.json]
    ///
    /// The aggregates, summary.json, lie beside it. Its variable has a name of its own: the one that would fit is
    /// the flag of haul connect.
    #[arg(
        short,
        long,
        env = "HAUL_EVAL_JSON",
        value_name = "FILE",
        help_heading = "Results"
    )]
    pub json: Option<PathBuf>,
    /// The run.
    #[command(flatten)]
    pub run: RunArgs,
    /// The screen.
    #[command(flatten)]
    pub screen: ScreenArgs,
}

/// The settings of `haul eval`. Without a terminal there is no dashboard.
pub fn eval(args: EvalArgs, terminal: bool) -> Result<config::Eval, Error> {
    let of_server = [
        ("--limit", args.limit.is_empty()),
        ("--tls", args.tls.is_empty()),
    ];
    if args.address.is_some()
        && let Some((option, _)) = of_server.iter().find(|(_, unset)| !unset)
    {
        return Err(Error::Usage(format!(
            "{option} is the server's, and --address measures one that runs already: leave one out; see \
             `haul eval --help`"
        )));
    }
    if args
        .address
        .as_ref()
        .is_some_and(|it| it.credentials.is_some())
    {
        return Err(Error::Usage(
            "--address: a login in the URL is not handed to the clients, whose command lines others can read: put it into \
             ~/.netrc, which they read; see `haul eval --help`"
                .into(),
        ));
    }
    let home = match &args.out {
        Some(out) => out.clone(),
        None if config::in_repository() => PathBuf::from("."),
        None => return Err(no_place("haul eval")),
    };
    let times = args
        .json
        .unwrap_or_else(|| home.join("times").join("times.json"));
    Ok(config::Eval {
        clients: distinct(args.clients),
        sizes: distinct(args.sizes.into_iter().map(|size| size.0).collect()),
        files: args.files,
        repeat: args.repeat,
        workers: distinct(args.workers),
        serial: distinct(args.serial),
        tls: distinct(args.tls),
        latency: distinct(args.latency)
            .into_iter()
            .map(|span| span.map(|span| span.0))
            .collect(),
        rate: distinct(args.rate)
            .into_iter()
            .map(|rate| rate.map(|rate| rate.0))
            .collect(),
        limit: distinct(args.limit)
            .into_iter()
            .map(|rate| rate.map(|rate| rate.0))
            .collect(),
        address: args.address.map(|target| target.url),
        label: args.label,
        logs: home.join("logs"),
        times,
        serve: side("serve", SERVE)?,
        connect: side("connect", CONNECT)?,
        headless: args.run.headless || !terminal,
        screen: screen(&args.screen),
    })
}

/// What is told where results would have to go into a directory that is not the repository.
pub(super) fn no_place(command: &str) -> Error {
    Error::Usage(format!(
        "the current directory is not haul's repository (it lacks configs/ or servers/): name a directory for the \
         results with --out; see `{command} --help`"
    ))
}

/// What the servers or the clients run with: the repository's file, or the copy of it in the program.
fn side(command: &str, built_in: &str) -> Result<Vec<Setting>, Error> {
    let path = PathBuf::from("configs").join(format!("eval-{command}.ini"));
    let settings = if config::in_repository() && path.exists() {
        merge::from_file(command, &path)
    } else {
        merge::from_text(command, &path, built_in)
    };
    let mut settings = settings.map_err(Error::Usage)?;
    // No screen, no keys.
    settings.retain(|setting| {
        let section = setting.section.as_deref();
        section.is_none_or(|section| section == command)
    });
    for setting in &settings {
        allowed(setting).map_err(|problem| {
            let Setting { line, key, .. } = setting;
            Error::Usage(format!(
                "{}:{line}: [{command}] {key}: {problem}",
                path.display()
            ))
        })?;
    }
    Ok(settings)
}

/// Keys that the measurement sets for each process.
const ITS_OWN: [&str; 13] = [
    "dir",
    "port",
    "log",
    "user",
    "json",
    "hold",
    "get",
    "exclude",
    "output",
    "checksum",
    "checksums",
    "run",
    "config",
];
/// Keys that may say only what the measurement says.
const FIXED: [(&str, &str); 3] = [
    ("headless", "true"),
    ("all", "true"),
    ("log-format", "json"),
];

/// Refuses what the measurement could not heed.
fn allowed(setting: &Setting) -> Result<(), String> {
    let Setting {
        section,
        key,
        value,
        ..
    } = setting;
    let of_client = section.as_deref() == Some("connect");
    if ITS_OWN.contains(&key.as_str()) || (of_client && key == "address") {
        return Err("haul eval sets it for each process: leave it out".into());
    }
    match FIXED.iter().find(|(fixed, _)| fixed == key) {
        Some((_, only)) if only != value => {
            Err(format!("`{value}` does not work with haul eval: {only}"))
        }
        _ => Ok(()),
    }
}

/// Each value once, in its order.
fn distinct<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut once = Vec::with_capacity(values.len());
    for value in values {
        if !once.contains(&value) {
            once.push(value);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(section: &str, key: &str, value: &str) -> Setting {
        Setting {
            section: Some(section.into()),
            key: key.into(),
            value: value.into(),
            line: 1,
        }
    }

    #[test]
    fn the_sides_files_say_what_a_measurement_can_heed() {
        assert!(!side("serve", SERVE).unwrap().is_empty());
        assert!(!side("connect", CONNECT).unwrap().is_empty());
        assert_eq!(allowed(&setting("serve", "address", "127.0.0.1")), Ok(()));
        assert_eq!(allowed(&setting("connect", "workers", "7")), Ok(()));
        for (section, key, value, says) in [
            ("connect", "address", "127.0.0.1", "leave it out"),
            ("serve", "dir", "x", "leave it out"),
            ("connect", "get", "*", "leave it out"),
            ("connect", "all", "false", "`false` does not work"),
            ("serve", "log-format", "text", "haul eval: json"),
        ] {
            let problem = allowed(&setting(section, key, value)).unwrap_err();
            assert!(problem.contains(says), "{key}: {problem}");
        }
    }

    #[test]
    fn each_value_of_an_axis_counts_once() {
        assert_eq!(distinct(vec![2, 1, 2, 3, 1]), [2, 1, 3]);
    }
}
