//! Sample files to serve: the repository's own, or made in the cache directory where there is no repository.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    config,
    exit::{Exit, Local},
};

/// The folders of samples with the size of each of their files in bytes.
pub const FOLDERS: [(&str, u64); 5] = [
    ("128", 128),
    ("512", 512),
    ("2k", 2 << 10),
    ("8k", 8 << 10),
    ("32k", 32 << 10),
];
/// Files in each folder.
pub const FILES: usize = 10;

/// A directory with the sample folders: `servers` of the current directory where it is haul's repository, else one in
/// the cache directory, filled as far as files are missing.
pub fn dir() -> Result<PathBuf, Local> {
    if config::in_repository() {
        return Ok("servers".into());
    }
    let root = cache()?.join("samples");
    for (folder, size) in FOLDERS {
        let dir = root.join(folder);
        fill(&dir, size, FILES).map_err(|source| unmade(&dir, source))?;
    }
    Ok(root)
}

/// A size as folders and options name it: `128`, `2k`, `64m`, `1g`; exact, whatever it is.
pub fn size_name(bytes: u64) -> String {
    for (shift, suffix) in [(40, "t"), (30, "g"), (20, "m"), (10, "k")] {
        if bytes > 0 && bytes.trailing_zeros() >= shift {
            return format!("{}{suffix}", bytes >> shift);
        }
    }
    bytes.to_string()
}

fn cache() -> Result<PathBuf, Local> {
    config::cache_dir().ok_or_else(|| {
        let source = io::Error::new(io::ErrorKind::NotFound, "no home directory is known");
        unmade(Path::new("the cache directory"), source)
    })
}

fn unmade(what: &Path, source: io::Error) -> Local {
    Local {
        what: format!("cannot make samples in {}", what.display()),
        source,
        remedy: "point XDG_CACHE_HOME at a directory that you can write",
        exit: Exit::Disk,
    }
}

/// A directory of `files` files of `size` bytes each: the repository's own where it has them, else one in the cache
/// directory, filled as far as files are missing.
pub fn of_size(size: u64, files: usize) -> Result<PathBuf, Local> {
    let name = size_name(size);
    let own = Path::new("servers").join(&name);
    if config::in_repository() && holds(&own, size, files) {
        return Ok(own);
    }
    let dir = cache()?.join("eval").join(format!("{files}x{name}"));
    fill(&dir, size, files).map_err(|source| unmade(&dir, source))?;
    Ok(dir)
}

/// Whether a directory has just these files.
fn holds(dir: &Path, size: u64, files: usize) -> bool {
    let Ok(entries) = fs::read_dir(dir) else {
        return false;
    };
    let sizes: Vec<Option<u64>> = entries
        .map(|entry| {
            let file = entry.ok()?.metadata().ok()?;
            file.is_file().then_some(file.len())
        })
        .collect();
    sizes.len() == files && sizes.iter().all(|found| *found == Some(size))
}

/// Makes the files that `dir` lacks, or that have another size.
fn fill(dir: &Path, size: u64, files: usize) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for number in 0..files {
        let path = dir.join(format!("sample {number}.bin"));
        if fs::metadata(&path).is_ok_and(|file| file.len() == size) {
            continue;
        }
        // A hash's endless output: different in each file, and the same on every machine.
        let mut seed = blake3::Hasher::new();
        seed.update(&size.to_le_bytes())
            .update(&number.to_le_bytes());
        let mut file = fs::File::create(&path)?;
        io::copy(&mut io::Read::take(seed.finalize_xof(), size), &mut file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_holds_ten_files_of_each_size() {
        let servers = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers");
        for (folder, size) in FOLDERS {
            let sizes: Vec<u64> = fs::read_dir(servers.join(folder))
                .unwrap()
                .map(|entry| entry.unwrap().metadata().unwrap().len())
                .collect();
            assert_eq!(sizes, [size; FILES], "{folder}");
        }
    }

    #[test]
    fn missing_samples_are_made_and_whole_ones_kept() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("x");
        fill(&dir, 100, FILES).unwrap();
        let path = dir.join("sample 3.bin");
        let first = fs::read(&path).unwrap();
        assert_eq!(first.len(), 100);
        assert_ne!(first, fs::read(dir.join("sample 4.bin")).unwrap());
        fs::write(&path, "short").unwrap();
        fs::write(dir.join("sample 4.bin"), [7; 100]).unwrap();
        fill(&dir, 100, FILES).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
        assert_eq!(fs::read(dir.join("sample 4.bin")).unwrap(), [7; 100]);
    }

    #[test]
    fn sizes_are_named_as_they_are_given() {
        for (bytes, name) in [
            (0, "0"),
            (128, "128"),
            (1000, "1000"),
            (2048, "2k"),
            (1536, "1536"),
            (1536 << 10, "1536k"),
            (1 << 20, "1m"),
            (3 << 30, "3g"),
        ] {
            assert_eq!(size_name(bytes), name);
            assert_eq!(name.parse(), Ok(crate::units::ByteSize(bytes)));
        }
    }

    #[test]
    fn a_folder_counts_only_with_all_its_files() {
        let root = tempfile::tempdir().unwrap();
        fill(root.path(), 7, 3).unwrap();
        assert!(holds(root.path(), 7, 3));
        assert!(!holds(root.path(), 7, 2) && !holds(root.path(), 8, 3));
        assert!(!holds(&root.path().join("none"), 7, 0));
    }
}
