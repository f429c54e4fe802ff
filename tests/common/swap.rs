//! Places that change under whoever looks at them, with the kernel's containment and without.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{
    program::{Within, without_openat2},
    tools::need,
};

/// With `openat2` and without; the second needs python3 to deny it.
pub fn both() -> Vec<Within<'static>> {
    let mut ways = vec![&[][..]];
    if need("python3").is_some() {
        ways.push(without_openat2());
    }
    ways
}

/// Two names that change places as fast as they can while `work` runs; returns how often they did.
pub fn while_swapping(one: &Path, other: &Path, work: impl FnOnce(&AtomicU64)) -> u64 {
    let (stop, swaps) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
                swaps.fetch_add(1, Relaxed);
            }
        });
        // Also where the work fails: the thread would be waited for.
        let stop = on_drop(&stop);
        work(&swaps);
        drop(stop);
    });
    swaps.into_inner()
}

/// Sets a flag when it is dropped.
fn on_drop(flag: &AtomicBool) -> impl Drop {
    struct Guard<'f>(&'f AtomicBool);
    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }
    Guard(flag)
}
