//! `haul connect --headless`.

use std::{
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use url::Url;

use super::{
    report::{Report, Style},
    signals::Signals,
};
use crate::{
    client::{self, Client, Event, Want},
    config,
    error::{Error, Exit},
    http1::path::RemotePath,
};

/// Events that may wait for this loop before workers have to.
const EVENTS: usize = 1024;
/// How long parts may take to reach the disk after a signal.
const STOP: Duration = Duration::from_secs(10);

/// Downloads what the settings ask for, and reports it in the given style.
pub async fn run(settings: config::Connect, style: Style) -> Result<Exit, Error> {
    let mut signals = Signals::new()?;
    let (url, want) = plan(&settings)?;
    // Data on stdout leaves only stderr to speak to people.
    let out: Box<dyn Write + Send> = if settings.output.as_deref() == Some(Path::new("-")) {
        Box::new(io::stderr())
    } else {
        Box::new(io::stdout())
    };
    if settings.output.is_some() {
        return Err(Error::Usage("--output is not in this version".into()));
    }
    let mut report = Report::new(style, out, Instant::now());
    let (sender, mut events) = mpsc::channel(EVENTS);
    let client = Client::start(engine_settings(settings, url), sender)?;
    let item = client.get(want, None)?;

    let mut tick = interval(report.interval());
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let signal = loop {
        tokio::select! {
            biased;
            exit = signals.next() => break Some(exit),
            event = events.recv() => match event {
                Some(Event::Ended { item: ended }) if ended == item => break None,
                Some(event) => report.event(&event)?,
                None => break None,
            },
            _ = tick.tick() => report.progress(&client.snapshot(), Instant::now())?,
        }
    };
    if signal.is_some() {
        tracing::info!("stopping: what is here is kept, a second signal ends at once");
    }
    stop(&client, &mut events, &mut report, &mut signals).await?;
    let exit = report.end(Instant::now(), signal.is_some())?;
    Ok(signal.unwrap_or(exit))
}

/// Ends the client's connections and lets parts reach the disk. Events are taken meanwhile: workers may wait to
/// hand theirs over.
async fn stop(
    client: &Client,
    events: &mut mpsc::Receiver<Event>,
    report: &mut Report,
    signals: &mut Signals,
) -> Result<(), Error> {
    let mut stopped = std::pin::pin!(timeout(STOP, client.stop()));
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            _ = signals.next() => break,
            Some(event) = events.recv() => report.event(&event)?,
        }
    }
    while let Ok(event) = events.try_recv() {
        report.event(&event)?;
    }
    Ok(())
}

fn engine_settings(settings: config::Connect, url: Url) -> client::Settings {
    client::Settings {
        url,
        dir: settings.dir,
        workers: settings.workers,
        retries: settings.retries,
        timeout: settings.timeout,
        user: settings.user,
        serial: settings.serial,
        on_conflict: settings.on_conflict,
        resume: settings.resume,
        state_dir: config::state_dir(),
        patient: false,
    }
}

/// The directory's URL to start from, and what to take below it.
///
/// With `--get` or `--all` the URL is a directory's, with or without its slash. Else it names what to take.
fn plan(settings: &config::Connect) -> Result<(Url, Want), Error> {
    let mut url = settings.url.clone();
    if settings.all || !settings.get.is_empty() {
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        // No pattern at all matches everything.
        let want = Want::Patterns {
            get: settings.get.clone(),
            exclude: settings.exclude.clone(),
        };
        return Ok((url, want));
    }
    let at = url.path().rfind('/').unwrap_or_default();
    let path = RemotePath::from_target(&url.path().as_bytes()[at..])
        .map_err(|error| Error::Usage(format!("{}: {error}", settings.url)))?;
    let parent = url.path()[..=at].to_owned();
    url.set_path(&parent);
    Ok((url, Want::Path(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{self, Command};

    fn planned(arguments: &[&str]) -> (String, Want) {
        let typed: Vec<_> = ["haul", "connect"]
            .iter()
            .chain(arguments)
            .map(std::ffi::OsString::from)
            .collect();
        let Ok(parsed) = cli::parse(&typed) else {
            panic!("{arguments:?} is wrong");
        };
        let Command::Connect(args) = parsed.command else {
            panic!("another command");
        };
        let (url, want) = plan(&cli::connect(args, false).unwrap()).unwrap();
        (url.into(), want)
    }

    #[test]
    fn a_url_without_a_slash_names_what_to_take() {
        for (given, base, name) in [
            ("http://nas/a.txt", "http://nas/", "a.txt"),
            ("http://nas/x/%23%20a.txt", "http://nas/x/", "# a.txt"),
            ("nas:9/x/y", "http://nas:9/x/", "y"),
        ] {
            let (url, want) = planned(&[given]);
            assert_eq!(url, base);
            let Want::Path(path) = want else {
                panic!("{given}: {want:?}");
            };
            assert_eq!(path.as_bytes(), name.as_bytes());
        }
    }

    #[test]
    fn with_patterns_the_url_is_a_directory() {
        for given in ["http://nas/x", "http://nas/x/"] {
            let (url, want) = planned(&[given, "--get", "*.txt", "--exclude", "b"]);
            assert_eq!(url, "http://nas/x/");
            let Want::Patterns { get, exclude } = want else {
                panic!("{given}: {want:?}");
            };
            assert_eq!((get, exclude), (vec!["*.txt".into()], vec!["b".into()]));
        }
        let (_, want) = planned(&["--all"]);
        assert!(matches!(want, Want::Patterns { get, .. } if get.is_empty()));
    }
}
