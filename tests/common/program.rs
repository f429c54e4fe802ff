//! The program itself, as a shell runs it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A run of haul whose log goes to a directory of its own, and that no variable of the caller's reaches.
pub struct Haul {
    pub state: TempDir,
    pub command: Command,
}

/// Programs that run haul with less than the caller may do; each takes a command line behind its own arguments.
pub type Within<'a> = &'a [&'a str];

/// The command line of a server of `dir` at a port of its own.
pub fn serve_line(dir: &Path) -> [&str; 6] {
    let dir = dir.to_str().unwrap();
    ["serve", dir, "-p", "0", "-a", "127.0.0.1"]
}

/// As somebody for whom modes of files count, also where the tests run as root.
pub fn unprivileged() -> Within<'static> {
    if rustix::process::geteuid().is_root() {
        &[
            "setpriv",
            "--bounding-set=-dac_override,-dac_read_search",
            "--",
        ]
    } else {
        &[]
    }
}

/// In a sandbox that knows no `openat2`, as before Linux 5.6: paths are walked name by name.
pub fn without_openat2() -> Within<'static> {
    &["python3", "-c", DENY_OPENAT2]
}

/// Installs a filter of system calls (seccomp) that answers ENOSYS to number 437, tries it, and goes on as what follows.
const DENY_OPENAT2: &str = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
step = lambda code, yes, no, k: struct.pack("HBBI", code, yes, no, k)
program = step(0x20, 0, 0, 0) + step(0x15, 0, 1, 437) + step(0x06, 0, 0, 0x50026) + step(0x06, 0, 0, 0x7fff0000)
class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
word = ctypes.c_ulong
assert libc.prctl(38, word(1), word(0), word(0), word(0)) == 0
assert libc.prctl(22, word(2), ctypes.byref(Program(4, program)), word(0), word(0)) == 0
assert libc.syscall(437, -100, b".", 0, word(24)) == -1 and ctypes.get_errno() == 38
os.execvp(sys.argv[1], sys.argv[1:])
"#;

impl Haul {
    pub fn new(arguments: &[&str]) -> Self {
        Self::within(&[], arguments)
    }

    /// The same, run by other programs.
    pub fn within(outer: Within<'_>, arguments: &[&str]) -> Self {
        let state = tempfile::tempdir().unwrap();
        // Also for a server that runs as somebody else.
        fs::set_permissions(state.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let mut line = outer.iter().copied().chain([env!("CARGO_BIN_EXE_haul")]);
        let mut command = Command::new(line.next().unwrap());
        command.args(line);
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy().to_ascii_lowercase();
            if name_text.starts_with("haul_")
                || name_text.ends_with("_proxy")
                || name_text == "netrc"
            {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .env("HOME", state.path())
            .env("XDG_STATE_HOME", state.path())
            .env("XDG_RUNTIME_DIR", state.path())
            .env("XDG_CACHE_HOME", state.path())
            .stdin(Stdio::null());
        Self { state, command }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn run(mut self) -> (i32, String, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command.output().unwrap();
        (
            status.code().unwrap_or(-1),
            String::from_utf8(stdout).unwrap(),
            String::from_utf8(stderr).unwrap(),
        )
    }

    /// Runs it and expects `status` and one line on stderr, which is returned.
    pub fn fails(self, status: i32) -> String {
        let (code, stdout, stderr) = self.run();
        assert_eq!(code, status, "stdout: {stdout}\nstderr: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "one line: {stderr}");
        assert!(stderr.starts_with("haul: "), "{stderr}");
        stderr.trim_end()["haul: ".len()..].to_owned()
    }
}

/// What `haul status --json` tells of a process whose socket is in `runtime`. Others may run on this machine: root sees those
/// of the system, and everybody those of their own sessions.
pub fn status(runtime: &Path, pid: u32) -> Option<Value> {
    let runtime = runtime.to_str().unwrap();
    let status = Haul::new(&["status", "--json"]).env("XDG_RUNTIME_DIR", runtime);
    let (_, out, _) = status.run();
    let mut runs = out.lines().map(|line| serde_json::from_str(line).unwrap());
    runs.find(|run: &Value| run["pid"] == pid)
}

/// How a child ended; waits for that.
pub fn ended(child: &mut Child) -> ExitStatus {
    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        process::{Pid, PidfdFlags, pidfd_open},
    };
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let end = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let patience = Timespec::try_from(super::serving::PATIENCE).unwrap();
    let ends = poll(&mut [PollFd::new(&end, PollFlags::IN)], Some(&patience));
    assert_eq!(ends.unwrap(), 1, "it does not end");
    child.wait().unwrap()
}
