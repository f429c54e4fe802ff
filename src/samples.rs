//! Sample files to serve: the repository's own, or made in the cache directory where there is no repository.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    config,
    error::{Error, Exit},
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
pub fn dir() -> Result<PathBuf, Error> {
    let own = Path::new("servers");
    if own.is_dir() && Path::new("configs").is_dir() {
        return Ok(own.into());
    }
    let failed = |what: &Path, source| Error::Local {
        what: format!("cannot make samples in {}", what.display()),
        source,
        remedy: "point XDG_CACHE_HOME at a directory that you can write",
        exit: Exit::Disk,
    };
    let Some(cache) = config::cache_dir() else {
        let source = io::Error::new(io::ErrorKind::NotFound, "no home directory is known");
        return Err(failed(Path::new("the cache directory"), source));
    };
    let root = cache.join("samples");
    for (folder, size) in FOLDERS {
        let dir = root.join(folder);
        fill(&dir, size).map_err(|source| failed(&dir, source))?;
    }
    Ok(root)
}

/// Makes the files that `dir` lacks, or that have another size.
fn fill(dir: &Path, size: u64) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    for number in 0..FILES {
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
        fill(&dir, 100).unwrap();
        let path = dir.join("sample 3.bin");
        let first = fs::read(&path).unwrap();
        assert_eq!(first.len(), 100);
        assert_ne!(first, fs::read(dir.join("sample 4.bin")).unwrap());
        fs::write(&path, "short").unwrap();
        fs::write(dir.join("sample 4.bin"), [7; 100]).unwrap();
        fill(&dir, 100).unwrap();
        assert_eq!(fs::read(&path).unwrap(), first);
        assert_eq!(fs::read(dir.join("sample 4.bin")).unwrap(), [7; 100]);
    }
}
