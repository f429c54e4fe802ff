//! Processes that must not outlive the one that started them, whatever ends it.

use std::process;

use rustix::process::{Pid, Signal, getppid, kill_process};

/// The variable with which a process tells its child to end with it; its value is its own process number.
pub const VARIABLE: &str = "HAUL_ENDS_WITH";

/// Ends this process once the parent that [`VARIABLE`] names is gone. Does nothing without the variable.
pub fn end_with_it() {
    let named = std::env::var(VARIABLE).ok();
    let Some(parent) = named.and_then(|pid| Pid::from_raw(pid.parse().ok()?)) else {
        return;
    };
    watch(parent);
    // It may have ended before it was watched.
    if getppid() != Some(parent) {
        end();
    }
}

#[cfg(target_os = "linux")]
fn watch(_: Pid) {
    // Only a signal that does not exist is refused.
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
}

/// Other systems do not tell: it is looked at.
#[cfg(not(target_os = "linux"))]
fn watch(parent: Pid) {
    const OFTEN: std::time::Duration = std::time::Duration::from_millis(250);
    let look = move || {
        while getppid() == Some(parent) {
            std::thread::sleep(OFTEN);
        }
        end();
    };
    // Without a thread it outlives a parent that is killed, and no other.
    let _ = std::thread::Builder::new().spawn(look);
}

/// As if the parent's end were this one's: nobody waits for anything in order.
fn end() {
    if let Some(this) = Pid::from_raw(process::id().cast_signed()) {
        let _ = kill_process(this, Signal::KILL);
    }
}
