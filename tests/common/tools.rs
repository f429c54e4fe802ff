//! Programs that tests run where they are installed.

use std::{
    env,
    io::{self, Write as _},
    path::PathBuf,
};

/// Says why a test did not run, past the capture of what passing tests print.
pub fn skipped(why: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED: {why}");
}

/// How much of something a long run does: what the variable says, else `usual`.
pub fn amount(variable: &str, usual: u64) -> u64 {
    let given = env::var(variable).ok();
    given.map_or(usual, |given| given.parse().expect("a number"))
}

/// The program's path, where it is installed.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// The program's path; where it is not installed, says so and returns `None`.
///
/// With `HAUL_TESTS_NO_SKIP=1` a missing program fails the test: so CI cannot pass by testing nothing.
pub fn need(program: &str) -> Option<PathBuf> {
    let found = installed(program);
    if found.is_none() {
        skipped(&format!("{program} is not installed"));
        assert!(
            env::var_os("HAUL_TESTS_NO_SKIP").is_none_or(|value| value != "1"),
            "{program} is not installed, and no test may be skipped"
        );
    }
    found
}
