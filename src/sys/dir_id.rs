//! Recognising one directory from two processes: the `Haul-Dir` field.

use std::os::fd::BorrowedFd;

use rustix::fs::fstat;

/// A digest over this boot of this machine and the directory's device and inode, in hex.
///
/// Equal values mean the same directory of the same machine: a client compares the server's with those of its
/// target and the directories above it, and so never downloads into what is being served. `None` where the
/// system names no boot: then nothing can be told, and nothing is refused.
pub fn dir_id(dir: BorrowedFd<'_>) -> Option<String> {
    let boot = boot_id()?;
    let stat = fstat(dir).ok()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(boot.trim_ascii());
    hasher.update(&(stat.st_dev as u64).to_le_bytes());
    hasher.update(&(stat.st_ino as u64).to_le_bytes());
    Some(hasher.finalize().to_hex().to_string())
}

/// A random number that the kernel made when it booted.
fn boot_id() -> Option<Vec<u8>> {
    std::fs::read("/proc/sys/kernel/random/boot_id").ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, os::fd::AsFd as _};

    #[test]
    fn a_directory_is_itself_however_it_was_opened() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let id = |path: &std::path::Path| dir_id(File::open(path).unwrap().as_fd());
        std::fs::create_dir(one.path().join("x")).unwrap();
        assert_eq!(id(one.path()), id(&one.path().join("x/..")));
        if boot_id().is_some() {
            assert_ne!(id(one.path()), id(other.path()));
            assert_eq!(id(one.path()).unwrap().len(), 64);
        }
    }
}
