//! Signatures are kept beside the files that they sign, and told of. Nothing here checks them.

use std::sync::Arc;

use super::Engine;
use crate::{
    client::{
        Error,
        disk::{caught::caught, landed::Holds, target::Target},
        read::metalink::Signature,
        task::FileTask,
    },
    escape::display_name,
};

impl Engine {
    /// Keeps the signature of a file that is here as `name`. One that cannot be written fails nothing else. Blocking.
    pub fn keep_signature(
        self: &Arc<Self>,
        task: &FileTask,
        target: &Target,
        name: &[u8],
        signature: &Signature,
    ) {
        let dir = task.path.parent();
        let end = signature.end.as_bytes();
        let file = target.local(&dir, name);
        let name = [name, end].concat();
        let put = || {
            let handle = target.dir(&dir)?;
            let put = target.put(&handle, &name, &signature.bytes);
            put.map_err(|error| Error::disk(target.local(&dir, &name), &error))
        };
        match caught(task, put) {
            Ok(landed) if landed.holds == Holds::Other => {}
            Ok(landed) => {
                let Ok(path) = dir.join(&[task.path.name(), end].concat()) else {
                    return;
                };
                let local = target.local(&dir, &landed.name);
                self.with(|schedule| schedule.signed(task.item, path, local, file));
            }
            Err(error) => {
                tracing::warn!(path = %display_name(&name), "this signature is not here: {error}");
            }
        }
    }
}
