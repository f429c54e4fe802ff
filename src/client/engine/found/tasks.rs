//! The tasks that entries of a listing stand for, after a look at what is here.

use std::{
    os::fd::{AsFd as _, BorrowedFd},
    sync::Arc,
    time::Duration,
};

use crate::{
    client::{
        Error, ItemId,
        disk::{
            likeness::{Likeness, looked_into},
            names::{Local, Names},
            target::Target,
        },
        engine::blocking::blocking,
        schedule::Complete,
        task::{DirTask, FileTask},
    },
    entry::Entry,
    http1::path::RemotePath,
};

/// What entries of a directory stand for.
pub(super) struct Tasks {
    /// What is here, handed back.
    pub names: Option<Names>,
    /// To be listed.
    pub dirs: Vec<DirTask>,
    /// To be fetched.
    pub files: Vec<FileTask>,
    /// Files that are here already, by what the listing tells.
    pub here: Vec<(FileTask, Complete)>,
}

/// The tasks that entries of `dir` stand for; each file after a look at what is here. With a target that is `updated`, the
/// listing decides what counts as the same.
pub(super) async fn tasks(
    item: ItemId,
    dir: RemotePath,
    entries: Vec<Entry>,
    names: Option<Names>,
    updated: Option<Arc<Target>>,
) -> Result<Tasks, Error> {
    let in_memory = updated.is_none() && names.as_ref().is_none_or(Names::are_known);
    let make = move || {
        let (dirs, listed) = parted(item, &dir, entries);
        let (mut files, mut here) = (Vec::new(), Vec::new());
        let mut handle = None;
        for (path, entry) in listed {
            let is_deep = entry.name.contains(&b'/');
            let local = names.as_ref().map(|names| {
                if is_deep {
                    Local::Unknown
                } else {
                    names.look(&entry.name)
                }
            });
            let file = FileTask {
                size: entry.size,
                modified: entry.modified,
                blake3: entry.blake3,
                local: local.unwrap_or_default(),
                ..FileTask::new(item, path)
            };
            let known = match &updated {
                Some(target) if file.local == Local::File => {
                    let handle = match &mut handle {
                        Some(handle) => handle,
                        none => none.insert(target.dir(&dir)?),
                    };
                    here_already(target, &dir, handle.as_fd(), &entry)
                }
                _ => None,
            };
            match known {
                Some(complete) => here.push((file, complete)),
                None => files.push(file),
            }
        }
        Ok(Tasks {
            names,
            dirs,
            files,
            here,
        })
    };
    if in_memory {
        make()
    } else {
        blocking(make).await
    }
}

/// The directories among entries of `dir`, to be listed, and the files with their paths. What cannot be a path is left out.
pub(in crate::client::engine) fn parted(
    item: ItemId,
    dir: &RemotePath,
    entries: Vec<Entry>,
) -> (Vec<DirTask>, Vec<(RemotePath, Entry)>) {
    let (mut dirs, mut files) = (Vec::new(), Vec::new());
    for entry in entries {
        match dir.join_all(&entry.name) {
            Ok(path) if entry.is_dir => dirs.push(DirTask::new(item, path.into_dir())),
            Ok(path) => files.push((path, entry)),
            Err(_) => {}
        }
    }
    (dirs, files)
}

/// The file that stands where an entry of `dir` is to land, where that counts as it.
fn here_already(
    target: &Target,
    dir: &RemotePath,
    handle: BorrowedFd<'_>,
    entry: &Entry,
) -> Option<Complete> {
    let (Likeness::Same(verified), file) = looked_into(handle, entry) else {
        return None;
    };
    if let Some(file) = file {
        target.give_date(&file, entry.modified);
    }
    Some(Complete {
        local: target.local(dir, &entry.name),
        bytes: entry.size?,
        verified,
        took: Duration::ZERO,
    })
}
