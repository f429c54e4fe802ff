//! The list of digests that a user gives: `--checksums`.

use std::{fs::File, io::Read as _, os::unix::ffi::OsStrExt as _, path::Path, sync::Arc};

use url::Url;

use super::plan::{engine_settings, shown};
use crate::{
    client::{self, Access},
    config::{self, target::Checksums},
    error::Error,
    escape::{display_name, display_path},
    exit::reason,
    http1::path::RemotePath,
    sums::{Given, LIST_MAX},
    units,
};

/// Reads the list that the settings name, if they do, for files below `base`, of which `one` is all that is asked for, if
/// it is one. A list that cannot be read ends the run: it was asked for.
pub(crate) async fn given(
    settings: &config::Connect,
    base: &Url,
    one: Option<RemotePath>,
    access: &Access,
) -> Result<Option<Arc<Given>>, Error> {
    let mut given = match &settings.checksums {
        None => return Ok(None),
        Some(Checksums::File(file)) => {
            let name = file.file_name().unwrap_or_default().as_bytes();
            Given::read(&read(file)?, name, display_path(file))
        }
        Some(Checksums::Url(list)) => {
            let url = &list.url;
            let engine = engine_settings(settings, url.clone(), Vec::new(), &settings.dir, access);
            let text = client::read_document(&engine, LIST_MAX).await;
            let text = text.map_err(|error| Error::List {
                list: shown(url),
                error: error.into(),
            })?;
            let path = decoded(url);
            let (dir, name) = parted(&path);
            let mut given = Given::read(&text, name, display_name(name).into_owned());
            if url.origin() == base.origin() {
                let base = decoded(base);
                let (base, _) = parted(&base);
                if let Some(above) = base.strip_prefix(dir) {
                    given.above = above.to_vec();
                } else if let Some(below) = dir.strip_prefix(base) {
                    given.below = below.to_vec();
                }
            }
            given
        }
    };
    if given.table.is_empty() {
        return Err(Error::Usage(format!(
            "--checksums: no line of {} is a digest and a name: is that a list?",
            given.shown
        )));
    }
    given.one = one.map(|path| path.as_bytes().to_vec());
    warn(&given);
    Ok(Some(Arc::new(given)))
}

/// Tells what of a list counts for nothing.
fn warn(given: &Given) {
    let (list, table) = (&given.shown, &given.table);
    let count = |count: usize, one, many| units::counted(count as u64, one, many);
    if table.refused > 0 {
        let lines = count(table.refused, "line", "lines");
        tracing::warn!(
            "{list}: {lines} left out: no digest, or a name that leads out of the directory"
        );
    }
    if table.torn() > 0 {
        let names = count(table.torn(), "name has", "names have");
        tracing::warn!("{list}: {names} two different digests, of which neither counts");
    }
    if table.nameless().is_some() && given.one.is_none() {
        tracing::warn!(
            "{list}: its digest has no name, which tells nothing unless one file is asked for by its name"
        );
    }
}

/// Tells of how many files that came a list told nothing, if there are any.
pub(super) fn warn_untold(given: Option<&Given>) {
    let Some(given) = given.filter(|given| given.untold() > 0) else {
        return;
    };
    let files = units::counted(given.untold(), "file", "files");
    tracing::warn!("{}: it tells no digest of {files} that came", given.shown);
}

fn read(file: &Path) -> Result<Vec<u8>, Error> {
    let failed = |why: &str| Error::Usage(format!("--checksums: {}: {why}", display_path(file)));
    let mut text = Vec::new();
    let opened =
        File::open(file).and_then(|file| file.take(LIST_MAX as u64 + 1).read_to_end(&mut text));
    opened.map_err(|error| failed(&format!("cannot be read: {}", reason(&error))))?;
    if text.len() > LIST_MAX {
        return Err(failed("too large for a list: at most 16 MiB are read"));
    }
    Ok(text)
}

/// The path of a URL, as its names are.
fn decoded(url: &Url) -> Vec<u8> {
    let path = RemotePath::from_target(url.path().as_bytes());
    path.map_or_else(|_| Vec::new(), |path| path.as_bytes().to_vec())
}

/// The directory of a path, with its slash, and the name in it.
fn parted(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().rposition(|byte| *byte == b'/');
    path.split_at(end.map_or(0, |at| at + 1))
}
