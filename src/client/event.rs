//! What happens to files: turning points, for logs, headless lines and tests.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Error,
    snapshot::{ItemId, Verified},
};
use crate::{
    escape::{display_name, display_path, shell_word},
    exit::REPORTED,
    http1::path::RemotePath,
    units,
};

/// Turning points of single files, for logs, headless lines and tests. Progress is sampled, never sent.
#[derive(Debug)]
pub enum Event {
    /// The first byte of a file is about to come.
    Started {
        /// The item it belongs to.
        item: ItemId,
        /// The file, below the base URL.
        path: RemotePath,
        /// Its size, if known.
        total: Option<u64>,
    },
    /// A file is complete under its final name.
    Finished {
        /// The item it belongs to.
        item: ItemId,
        /// The file, below the base URL.
        path: RemotePath,
        /// Where it is, below the target directory.
        local: PathBuf,
        /// The same as a path below the target, where it lies beside a file that has the name it was to get.
        copy: Option<RemotePath>,
        /// Its size.
        bytes: u64,
        /// Bytes of it that the file gave that it replaced.
        kept: u64,
        /// How its bytes were checked.
        verified: Verified,
        /// From its first request to its final name.
        took: Duration,
    },
    /// An attempt failed, and another will follow.
    Retrying {
        /// The item it belongs to.
        item: ItemId,
        /// The file or directory, below the base URL.
        path: RemotePath,
        /// The number of the next attempt, from 2.
        attempt: u32,
        /// Pause before it.
        after: Duration,
        /// Why.
        error: Error,
    },
    /// A file or directory failed for good.
    Failed {
        /// The item it belongs to.
        item: ItemId,
        /// The file or directory, below the base URL.
        path: RemotePath,
        /// Attempts made.
        attempts: u32,
        /// Why.
        error: Error,
    },
    /// A file's signature was put beside it, for whoever checks it.
    Signed {
        /// The item it belongs to.
        item: ItemId,
        /// The signature, below the base URL.
        path: RemotePath,
        /// Where it is, below the target directory.
        local: PathBuf,
        /// Where the file is.
        file: PathBuf,
    },
    /// A run that changes nothing would do this with a file.
    Would {
        /// The item it belongs to.
        item: ItemId,
        /// The file, below the base URL.
        path: RemotePath,
        /// What it would do.
        action: Action,
        /// Its size, if known.
        bytes: Option<u64>,
    },
    /// An item ended: all that could be done for it was done.
    Ended {
        /// Which.
        item: ItemId,
    },
}

/// What a run would do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// There is none of that name here.
    Fetch,
    /// Another one is here, which is replaced.
    Replace,
    /// Another one is here, and stays: the new one gets a name beside it.
    Copy,
    /// One is here that may be the same: its content is compared.
    Compare,
    /// One is here that will do.
    Keep,
    /// One is here that the server does not have any more.
    Delete,
}

impl Action {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Replace => "replace",
            Self::Copy => "copy",
            Self::Compare => "compare",
            Self::Keep => "keep",
            Self::Delete => "delete",
        }
    }
}

impl Event {
    /// Puts the turning point in the log; for whoever takes events, once each.
    pub fn log(&self) {
        match self {
            Self::Started { path, total, .. } => {
                let size = total.map_or_else(|| "size unknown".to_owned(), units::size);
                tracing::info!(path = %shown(path), "started, {size}");
            }
            Self::Finished {
                path,
                copy,
                bytes,
                kept,
                verified,
                took,
                ..
            } => {
                let checked = match verified {
                    Verified::Blake3 => "blake3 verified".into(),
                    Verified::Listed(list) => format!("verified ({list})"),
                    _ => verified.word().to_owned(),
                };
                let parts = match kept {
                    0 => String::new(),
                    kept => kept_and_fetched(*kept, *bytes),
                };
                let name = copy.as_ref().map(|copy| format!(", as {}", shown(copy)));
                tracing::info!(
                    path = %shown(path),
                    file.bytes = bytes,
                    file.seconds = took.as_secs_f64(),
                    file.verified = verified.word(),
                    "{} in {}, {checked}{parts}{}",
                    units::size(*bytes),
                    units::took(*took),
                    name.unwrap_or_default()
                );
            }
            Self::Retrying {
                path,
                attempt,
                after,
                error,
                ..
            } => {
                tracing::warn!(path = %shown(path), "{error}: try {attempt} in {}", units::took(*after));
            }
            Self::Failed {
                path,
                attempts,
                error,
                ..
            } => {
                tracing::error!(target: REPORTED, path = %shown(path), attempts, "{error}");
            }
            Self::Signed { local, file, .. } => tracing::info!("{}", signature(local, file)),
            Self::Would { .. } | Self::Ended { .. } => {}
        }
    }
}

fn shown(path: &RemotePath) -> String {
    if path.is_root() {
        "/".to_owned()
    } else {
        display_name(path.as_bytes()).into_owned()
    }
}

/// `signature: x.asc (check it with gpg --verify x.asc)`; gpg finds the file by the signature's name, or is told it.
pub fn signature(local: &Path, file: &Path) -> String {
    let shown = display_path(local);
    let how = match local.extension() {
        Some(end) if end == "p7s" => "it is S/MIME".to_owned(),
        _ => {
            let mut words = vec![shown.clone()];
            if local.with_extension("") != file {
                words.push(display_path(file));
            }
            let words: Vec<_> = words.iter().map(|word| shell_word(word)).collect();
            format!("check it with gpg --verify {}", words.join(" "))
        }
    };
    format!("signature: {shown} ({how})")
}

/// `, 1.98 GiB kept, 20.0 MiB fetched`.
pub fn kept_and_fetched(kept: u64, bytes: u64) -> String {
    let fetched = bytes.saturating_sub(kept);
    format!(
        ", {} kept, {} fetched",
        units::size(kept),
        units::size(fetched)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_named_as_gpg_takes_it() {
        for (local, file, says) in [
            ("o/x.asc", "o/x", "gpg --verify o/x.asc)"),
            (
                "o/big (1).asc",
                "o/big (1)",
                "gpg --verify 'o/big (1).asc')",
            ),
            ("o/x (1).asc", "o/x", "gpg --verify 'o/x (1).asc' o/x)"),
            ("o/x.p7s", "o/x", "(it is S/MIME)"),
        ] {
            let line = signature(Path::new(local), Path::new(file));
            assert!(line.ends_with(says), "{line}");
        }
    }
}
