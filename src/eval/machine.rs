//! The machine that a measurement ran on.

use std::fs;

use serde::{Deserialize, Serialize};

/// What figures depend on and a reader elsewhere cannot know.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: usize,
    /// The processor's name.
    pub cpu: String,
    /// The kernel and its release.
    pub kernel: String,
    /// Bytes of memory; 0 where the system does not tell.
    #[serde(default)]
    pub memory: u64,
}

impl Machine {
    /// Asks the system.
    pub fn here() -> Self {
        let uname = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        // Some processors, and every system but Linux, tell no name: what is left is the kind.
        let cpu = fs::read_to_string("/proc/cpuinfo")
            .ok()
            .and_then(|info| cpu_of(&info))
            .unwrap_or_else(|| text(uname.machine()));
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu,
            kernel: format!("{} {}", text(uname.sysname()), text(uname.release())),
            memory: fs::read_to_string("/proc/meminfo")
                .ok()
                .and_then(|info| memory_of(&info))
                .unwrap_or(0),
        }
    }
}

/// The first `model name` of `/proc/cpuinfo`.
fn cpu_of(info: &str) -> Option<String> {
    value_of(info, "model name").map(|name| name.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// `MemTotal` of `/proc/meminfo`, which counts in KiB.
fn memory_of(info: &str) -> Option<u64> {
    let kib: u64 = value_of(info, "MemTotal")?
        .strip_suffix("kB")?
        .trim()
        .parse()
        .ok()?;
    kib.checked_mul(1024)
}

fn value_of<'a>(info: &'a str, key: &str) -> Option<&'a str> {
    let pairs = info.lines().filter_map(|line| line.split_once(':'));
    let mut values = pairs.filter(|(name, _)| name.trim() == key);
    values.next().map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sizes_are_found_in_what_linux_tells() {
        let info = "processor\t: 0\nmodel name\t: A  CPU @ 2.00GHz\nflags: x\nprocessor : 1\nmodel name\t: Other\n";
        assert_eq!(cpu_of(info).as_deref(), Some("A CPU @ 2.00GHz"));
        assert_eq!(cpu_of("Hardware : x\n"), None);
        assert_eq!(
            memory_of("MemTotal:        2048 kB\nMemFree: 1 kB\n"),
            Some(2 << 20)
        );
        let here = Machine::here();
        assert!(here.cores > 0 && !here.cpu.is_empty() && !here.kernel.is_empty());
    }
}
