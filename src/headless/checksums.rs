//! The list of digests that a user gives: `--checksums`.

use std::{fs::File, io::Read as _, os::unix::ffi::OsStrExt as _, path::Path, sync::Arc};

use url::Url;

use super::plan::engine_settings;
use crate::{
    client::{self, Access},
    config::{self, target::Checksums},
    error::Error,
    escape::{display_name, display_path},
    exit::reason,
    http1::path::RemotePath,
    sums::{Given, LIST_MAX},
};

/// Reads the list that the settings name, if they do, for files below `base`. One that cannot be read ends the run: it was
/// asked for.
pub(crate) async fn given(
    settings: &config::Connect,
    base: &Url,
    access: &Access,
) -> Result<Option<Arc<Given>>, Error> {
    let given = match &settings.checksums {
        None => return Ok(None),
        Some(Checksums::File(file)) => {
            let name = file.file_name().unwrap_or_default().as_bytes();
            Given::read(&read(file)?, name, display_path(file))
        }
        Some(Checksums::Url(list)) => {
            let url = &list.url;
            let engine = engine_settings(settings, url.clone(), Vec::new(), &settings.dir, access);
            let text = client::read_document(&engine, LIST_MAX).await?;
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
    Ok(Some(Arc::new(given)))
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
