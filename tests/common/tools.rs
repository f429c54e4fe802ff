//! Programs that tests run where they are installed.

use std::{env, path::PathBuf};

/// The program's path; where it is not installed, says so and returns `None`.
///
/// With `HAUL_TESTS_NO_SKIP=1` a missing program fails the test: so CI cannot pass by testing nothing.
pub fn need(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|dir| dir.join(program))
        .find(|file| file.is_file());
    if found.is_none() {
        println!("SKIPPED: {program} is not installed");
        assert!(
            env::var_os("HAUL_TESTS_NO_SKIP").is_none_or(|value| value != "1"),
            "{program} is not installed, and no test may be skipped"
        );
    }
    found
}
