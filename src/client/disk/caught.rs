//! Work on the disk that panics: the schedule waits for what comes of it.

use std::{panic::AssertUnwindSafe, path::Path};

use crate::client::{Error, task::FileTask};

/// What work on the disk for a file comes to, also where it panics: a fault of this program, which is logged as one and fails
/// that file, and nothing else.
pub fn caught<T>(task: &FileTask, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!("a task on the disk failed: a fault of haul, please report it");
        let error = std::io::Error::other("a fault of haul, which the log tells of");
        Err(Error::disk(Path::new(&task.shown()), &error))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::ItemId, http1::path::RemotePath};

    #[test]
    fn a_panic_fails_its_file_and_names_it() {
        let path = RemotePath::from_target(b"/a%20b").unwrap();
        let task = FileTask::new(ItemId::default(), path);
        let failed = caught::<()>(&task, || panic!("on purpose")).unwrap_err();
        assert!(failed.to_string().contains("a b"), "{failed}");
    }
}
