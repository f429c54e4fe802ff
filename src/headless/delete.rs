//! `--delete`: what the server does not have any more is removed here, once all else succeeded.

use std::io::{self, Write as _};

use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::{ask::says_yes, report::Report};
use crate::{
    client::{Client, Extra},
    config,
    error::Error,
    escape::{display_name, display_path},
    exit::Exit,
    sys::{signals::Signals, terminal::is_in_foreground},
    units,
};

/// Whether there is somebody to be asked, where that is necessary: before anything is fetched.
pub(super) fn check(settings: &config::Connect) -> Result<(), Error> {
    let asks = settings.delete && !settings.yes && !settings.dry_run;
    if asks && !(is_in_foreground(&io::stdin()) && is_in_foreground(&io::stderr())) {
        return Err(Error::Usage(
            "--delete asks before it removes anything, and there is no terminal to ask on: add --yes, or see what it would be with --dry-run"
                .into(),
        ));
    }
    Ok(())
}

/// Removes it after a question, or tells what that would be. `exit` says how the downloads ended: after a failure nothing is
/// removed, since what could not be listed or fetched may be there all the same. A signal ends it, and is its error.
pub(super) async fn delete(
    client: &Client,
    settings: &config::Connect,
    exit: Exit,
    report: &mut Report,
    signals: &mut Signals,
) -> Result<(), Error> {
    let extras = client.extras();
    if extras.is_empty() {
        return Ok(());
    }
    if exit != Exit::Done {
        let count = units::count(extras.len() as u64);
        tracing::warn!(
            "not everything succeeded: none of {count} that the server did not list is deleted"
        );
        return Ok(());
    }
    if settings.dry_run {
        return extras.iter().try_for_each(|extra| report.deleted(extra));
    }
    report.clear();
    if !settings.yes {
        let answered = signals.or(says_yes(question(&extras, settings))).await;
        let yes = answered.map_err(|exit| {
            // What follows begins a line of its own.
            let _ = writeln!(io::stderr());
            Error::Signal(exit)
        })?;
        if !yes {
            tracing::warn!("not deleted: the answer was not yes");
            return Ok(());
        }
    }
    let stop = CancellationToken::new();
    let (handle, until) = (client.clone(), stop.clone());
    let mut removing = spawn_blocking(move || {
        let mut gone = Vec::new();
        let ended = handle.remove(&extras, &until, |extra| gone.push(extra.clone()));
        (gone, ended)
    });
    let (removed, signal) = match signals.or(&mut removing).await {
        Ok(removed) => (removed, None),
        Err(exit) => {
            stop.cancel();
            (removing.await, Some(exit))
        }
    };
    let (gone, ended) = removed
        .map_err(io::Error::other)
        .map_err(super::report::unwritable)?;
    gone.iter().try_for_each(|extra| report.deleted(extra))?;
    ended?;
    signal.map_or(Ok(()), |exit| Err(Error::Signal(exit)))
}

/// What is asked once, with what it is about.
fn question(extras: &[Extra], settings: &config::Connect) -> String {
    const SHOWN: usize = 10;
    let files = || extras.iter().filter(|extra| !extra.path.is_dir());
    let bytes: u64 = files().map(|extra| extra.bytes).sum();
    let count = files().count();
    let shown = extras.iter().take(SHOWN);
    let mut lines: Vec<String> = shown
        .map(|extra| format!("  {}\n", display_name(extra.path.as_bytes())))
        .collect();
    if extras.len() > SHOWN {
        let more = units::count((extras.len() - SHOWN) as u64);
        lines.push(format!("  and {more} more\n"));
    }
    format!(
        "{}The server does not have {} files ({}) and {} directories of {} any more. Delete them? [yes/no] ",
        lines.concat(),
        units::count(count as u64),
        units::size(bytes),
        units::count((extras.len() - count) as u64),
        display_path(&settings.dir),
    )
}
