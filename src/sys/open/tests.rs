use super::*;
use std::{fs, io::Read as _, os::unix::fs::symlink};

type Twin = fn(BorrowedFd<'_>, &[u8], OFlags, Mode, Links) -> Result<OwnedFd, Errno>;

/// A root with every sort of link in it, and a secret beside it.
fn tree() -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    fs::create_dir_all(root.join("dir/deep")).unwrap();
    fs::write(temp.path().join("secret"), "secret").unwrap();
    fs::write(root.join("file"), "file").unwrap();
    fs::write(root.join("dir/inner"), "inner").unwrap();
    let absolute = root.join("file");
    for (link, target) in [
        ("absolute", absolute.to_str().unwrap()),
        ("out", "../secret"),
        ("dir/out", "../../secret"),
        ("dir/climb", "../file"),
        ("dir/deep/up", "../../dir/./climb"),
        ("around", "../root/file"),
        ("one", "two"),
        ("two", "dir/deep/up"),
        ("dangling", "nothing"),
        ("loop", "pool"),
        ("pool", "loop"),
        ("self", "self"),
        ("to-dir", "dir"),
        ("to-dir-slash", "dir//"),
        ("to-file-slash", "file/"),
        ("to-root", "."),
        ("dir/outside", "../.."),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    temp
}

fn twins() -> Vec<(&'static str, Twin)> {
    let mut twins: Vec<(&'static str, Twin)> = vec![("walk", walk)];
    #[cfg(target_os = "linux")]
    {
        let works = kernel(
            rustix::fs::CWD,
            b".",
            OFlags::RDONLY,
            Mode::empty(),
            Links::Inside,
        );
        match works {
            Some(_) => twins.push(("kernel", |dir, path, flags, mode, links| {
                kernel(dir, path, flags, mode, links).unwrap()
            })),
            None => println!("SKIPPED: this kernel has no openat2"),
        }
    }
    twins
}

#[test]
fn links_are_followed_inside_only() {
    let temp = tree();
    let root = fs::File::open(temp.path().join("root")).unwrap();
    let table: &[(&str, Result<&str, Errno>)] = &[
        ("file", Ok("file")),
        ("dir/inner", Ok("inner")),
        ("dir//inner", Ok("inner")),
        ("dir/../file", Ok("file")),
        ("./file", Ok("file")),
        ("dir/climb", Ok("file")),
        ("one", Ok("file")),
        ("to-dir/inner", Ok("inner")),
        ("to-dir/deep/up", Ok("file")),
        ("to-dir-slash/inner", Ok("inner")),
        ("to-root/to-root/dir/inner", Ok("inner")),
        ("nothing", Err(Errno::NOENT)),
        ("dangling", Err(Errno::NOENT)),
        ("file/", Err(Errno::NOTDIR)),
        ("file/x", Err(Errno::NOTDIR)),
        ("to-file-slash", Err(Errno::NOTDIR)),
        ("absolute", Err(Errno::XDEV)),
        ("out", Err(Errno::XDEV)),
        ("around", Err(Errno::XDEV)),
        ("dir/out", Err(Errno::XDEV)),
        ("to-dir/out", Err(Errno::XDEV)),
        ("dir/outside", Err(Errno::XDEV)),
        ("dir/outside/secret", Err(Errno::XDEV)),
        ("dir/outside/root/file", Err(Errno::XDEV)),
        ("..", Err(Errno::XDEV)),
        ("../secret", Err(Errno::XDEV)),
        ("dir/../../secret", Err(Errno::XDEV)),
        ("/etc/passwd", Err(Errno::XDEV)),
        ("loop", Err(Errno::LOOP)),
        ("self", Err(Errno::LOOP)),
        ("self/x", Err(Errno::LOOP)),
    ];
    for (twin, open) in twins() {
        for (path, expected) in table {
            let opened = open(
                root.as_fd(),
                path.as_bytes(),
                OFlags::RDONLY,
                Mode::empty(),
                Links::Inside,
            );
            let content = opened.map(|fd| {
                let mut text = String::new();
                fs::File::from(fd).read_to_string(&mut text).unwrap();
                text
            });
            assert_eq!(
                content.as_deref().map_err(|e| *e),
                *expected,
                "{twin}: {path}"
            );
        }
    }
}

#[test]
fn every_link_is_refused_where_none_may_be() {
    let temp = tree();
    let root = fs::File::open(temp.path().join("root")).unwrap();
    for (twin, open) in twins() {
        let open = |path: &str| {
            open(
                root.as_fd(),
                path.as_bytes(),
                OFlags::RDONLY,
                Mode::empty(),
                Links::Refuse,
            )
            .map(drop)
        };
        for path in [
            "absolute",
            "out",
            "one",
            "to-dir/inner",
            "to-dir",
            "dangling",
        ] {
            assert_eq!(open(path), Err(Errno::LOOP), "{twin}: {path}");
        }
        assert_eq!(open("dir/inner"), Ok(()), "{twin}");
        assert_eq!(open("../secret"), Err(Errno::XDEV), "{twin}");
    }
}

#[test]
fn directories_and_new_files_open_beneath() {
    let temp = tree();
    let root = fs::File::open(temp.path().join("root")).unwrap();
    for (twin, open) in twins() {
        let dir = OFlags::RDONLY | OFlags::DIRECTORY;
        for path in ["dir", "dir/", "to-dir", "to-dir/", ".", "to-root", "dir/.."] {
            let opened = open(
                root.as_fd(),
                path.as_bytes(),
                dir,
                Mode::empty(),
                Links::Inside,
            );
            assert!(opened.is_ok(), "{twin}: {path}: {opened:?}");
        }
        let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mode = Mode::from_raw_mode(0o600);
        let name = format!("dir/new-{twin}");
        let make =
            |path: &str| open(root.as_fd(), path.as_bytes(), create, mode, Links::Refuse).map(drop);
        assert_eq!(make(&name), Ok(()), "{twin}");
        assert_eq!(make(&name), Err(Errno::EXIST), "{twin}");
        assert_eq!(make("dangling"), Err(Errno::EXIST), "{twin}");
        assert_eq!(make("to-dir/new"), Err(Errno::LOOP), "{twin}");
    }
}

#[test]
fn the_callers_nofollow_holds_for_the_last_name() {
    let temp = tree();
    let root = fs::File::open(temp.path().join("root")).unwrap();
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW;
    for (twin, open) in twins() {
        let open = |path: &str| {
            open(
                root.as_fd(),
                path.as_bytes(),
                flags,
                Mode::empty(),
                Links::Inside,
            )
            .map(drop)
        };
        assert_eq!(open("one"), Err(Errno::LOOP), "{twin}");
        assert_eq!(open("to-dir/inner"), Ok(()), "{twin}");
    }
}

#[test]
fn what_was_just_opened_opens_from_memory_with_the_same_containment() {
    let temp = tree();
    let root = fs::File::open(temp.path().join("root")).unwrap();
    for path in ["dir/inner", "to-dir/inner", "out", "absolute", "self"] {
        let open = || {
            open_beneath(
                root.as_fd(),
                path.as_bytes(),
                OFlags::RDONLY,
                Mode::empty(),
                Links::Inside,
            )
        };
        let errno = |result: io::Result<OwnedFd>| result.map(drop).map_err(|e| e.raw_os_error());
        let expected = errno(open());
        let cached = open_cached(root.as_fd(), path.as_bytes(), OFlags::RDONLY, Links::Inside);
        if let Some(cached) = cached {
            assert_eq!(errno(cached), expected, "{path}");
        }
    }
}

#[test]
fn the_public_call_takes_the_empty_path_and_follows_when_told() {
    let temp = tree();
    let root = fs::File::open(temp.path().join("root")).unwrap();
    let open =
        |path: &[u8], links| open_beneath(root.as_fd(), path, OFlags::RDONLY, Mode::empty(), links);
    assert!(open(b"", Links::Refuse).is_ok());
    assert!(open(b"", Links::Follow).is_ok());
    assert!(open(b"out", Links::Follow).is_ok());
    let error = open(b"out", Links::Inside).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::XDEV.raw_os_error()));
}
