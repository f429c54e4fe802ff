//! Work that waits for the disk, off the runtime's threads.

use crate::client::Error;

/// Runs what waits for the disk where it may.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::Broken(format!("a thread failed: {error}"))))
}
