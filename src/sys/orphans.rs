//! What falls to the first process of a container: processes whose parent has ended become its children.

use rustix::process::{WaitOptions, getpid, wait};
use tokio::signal::unix::{SignalKind, signal};

/// Where this is process 1, lets go of every child that has ended, for ever: else they would stay as zombies. Elsewhere it
/// does nothing. Not for who waits for children of its own.
pub async fn let_go() {
    if !getpid().is_init() {
        return;
    }
    let Ok(mut ended) = signal(SignalKind::child()) else {
        return;
    };
    loop {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        if ended.recv().await.is_none() {
            return;
        }
    }
}
