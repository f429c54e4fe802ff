//! The program itself, as a shell runs it.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// A run of haul whose log goes to a directory of its own, and that no variable of the caller's reaches.
pub struct Haul {
    pub state: TempDir,
    pub command: Command,
}

impl Haul {
    pub fn new(arguments: &[&str]) -> Self {
        let state = tempfile::tempdir().unwrap();
        // Also for a server that runs as somebody else.
        fs::set_permissions(state.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_haul"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HAUL_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .env("XDG_STATE_HOME", state.path())
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
