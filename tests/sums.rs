//! `haul sum` and `haul check`: held against the tools whose lists they write and read.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

use crate::common::{
    program::Haul,
    tools::need,
    trees::{content, make_tree},
};

/// Runs a command in a directory, with `stdin`; its status, stdout and stderr.
fn run(mut command: Command, dir: &Path, stdin: &[u8]) -> (i32, Vec<u8>, String) {
    let mut child = command
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that reads nothing closes it.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    (status.code().unwrap_or(-1), stdout, stderr)
}

fn haul(arguments: &[&str], dir: &Path, stdin: &[u8]) -> (i32, Vec<u8>, String) {
    let Haul { command, state } = Haul::new(arguments);
    let ran = run(command, dir, stdin);
    drop(state);
    ran
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_trees_sums_are_in_order_and_what_b3sum_prints() {
    let dir = tempfile::tempdir().unwrap();
    make_tree(dir.path());
    let (code, stdout, stderr) = haul(&["sum"], dir.path(), b"");
    assert_eq!((code, stderr.as_str()), (0, ""));
    let again = haul(&["sum", "."], dir.path(), b"");
    assert_eq!(again.1, stdout, "deterministic");
    let (_, from_root, _) = haul(&["sum", dir.path().to_str().unwrap()], Path::new("/"), b"");
    let prefix = format!("  {}/", dir.path().display());
    assert_eq!(text(&from_root).replace(&prefix, "  "), text(&stdout));
    let (read, wrong) = haul::sums::lines(&stdout, Some(haul::sums::Algorithm::Blake3));
    assert_eq!(wrong, 0);
    let names: Vec<_> = read.iter().map(|line| line.name.clone()).collect();
    assert!(names.is_sorted(), "by the bytes of their paths");
    let files = crate::common::trees::digest(dir.path());
    assert_eq!(names.len(), files.values().flatten().count());
    for line in &read {
        let path = Path::new(std::ffi::OsStr::from_bytes(&line.name));
        let hash = files[path].unwrap();
        assert_eq!(line.digest, haul::digest::Digest::Blake3(hash), "{path:?}");
    }
    let Some(b3sum) = need("b3sum") else { return };
    // b3sum reads no name that is not UTF-8.
    let readable: Vec<u8> = stdout
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| std::str::from_utf8(line).is_ok())
        .flatten()
        .copied()
        .collect();
    let mut command = Command::new(&b3sum);
    command.args(["--check", "-"]);
    let (code, checked, stderr) = run(command, dir.path(), &readable);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(text(&checked).matches(": OK").count(), names.len() - 1);
    // Line for line, where names are plain.
    let mut command = Command::new(b3sum);
    command.args([
        "size-0.bin",
        "size-5242887.bin",
        "names/back\\slash",
        "names/new\nline",
    ]);
    let (_, theirs, _) = run(command, dir.path(), b"");
    let ours = text(&stdout);
    for line in text(&theirs).lines() {
        assert!(ours.lines().any(|our| our == line), "{line}");
    }
}

#[test]
fn what_is_written_while_the_tree_is_read_and_what_is_no_file_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "a").unwrap();
    std::os::unix::fs::symlink("a", dir.path().join("link")).unwrap();
    let Haul { mut command, state } = Haul::new(&["sum"]);
    let list = File::create(dir.path().join("B3SUMS")).unwrap();
    let output = command
        .current_dir(dir.path())
        .stdout(list)
        .output()
        .unwrap();
    drop(state);
    assert!(output.status.success());
    assert_eq!(
        text(&output.stderr),
        "haul: 1 symbolic link or special file was left out\n"
    );
    let list = fs::read_to_string(dir.path().join("B3SUMS")).unwrap();
    assert_eq!(list, format!("{}  a\n", blake3::hash(b"a")));
    // A link that is named is followed; stdin has a name as well.
    let (code, stdout, _) = haul(&["sum", "link", "-"], dir.path(), b"from a pipe");
    let piped = blake3::hash(b"from a pipe");
    let expected = format!("{}  link\n{piped}  -\n", blake3::hash(b"a"));
    assert_eq!((code, text(&stdout)), (0, expected));
    let (code, stdout, stderr) = haul(&["sum", "none", "a"], dir.path(), b"");
    assert_eq!((code, stdout.len()), (7, 64 + 4));
    assert_eq!(stderr, "haul: none: no such file or directory\n");
}

#[test]
fn a_list_is_checked_file_by_file() {
    let dir = tempfile::tempdir().unwrap();
    make_tree(dir.path());
    let (_, list, _) = haul(&["sum"], dir.path(), b"");
    fs::write(dir.path().join("B3SUMS"), &list).unwrap();
    let files = list.split(|byte| *byte == b'\n').count() - 1;
    let (code, stdout, stderr) = haul(&["check", "B3SUMS"], dir.path(), b"");
    assert_eq!((code, stderr.as_str()), (0, ""));
    let lines: Vec<_> = stdout.split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), files + 1);
    assert!(lines[..files].iter().all(|line| line.ends_with(b": OK")));
    assert!(lines.contains(&&br"\names/new\nline: OK"[..]));
    let (code, stdout, stderr) = haul(&["check", "--quiet", "-"], dir.path(), &list);
    assert_eq!((code, stdout.len(), stderr.as_str()), (0, 0, ""));
    // One bit of a large file.
    let path = dir.path().join("size-5242887.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[3 << 20] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (code, stdout, stderr) = haul(&["check", "-q", "B3SUMS"], dir.path(), b"");
    assert_eq!(
        (code, text(&stdout)),
        (6, "size-5242887.bin: FAILED\n".into())
    );
    assert_eq!(stderr, format!("haul: 1 file does not match, of {files}\n"));
    // A missing one as well: failures of two kinds.
    fs::remove_file(dir.path().join("size-1.bin")).unwrap();
    let (code, stdout, stderr) = haul(&["check", "-q", "B3SUMS"], dir.path(), b"");
    assert_eq!(code, 1);
    let failed = "size-1.bin: FAILED open or read\nsize-5242887.bin: FAILED\n";
    assert_eq!(text(&stdout), failed);
    assert!(
        stderr.contains("size-1.bin: no such file or directory"),
        "{stderr}"
    );
    assert!(
        stderr.ends_with(&format!(
            "1 file does not match, 1 file cannot be read, of {files}\n"
        )),
        "{stderr}"
    );
}

#[test]
fn the_lists_of_others_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    for (name, seed) in [
        ("plain", 1),
        ("back\\slash", 2),
        ("new\nline", 3),
        ("two words", 4),
    ] {
        fs::write(dir.path().join(name), content(seed, 3 << 20)).unwrap();
    }
    let names = ["plain", "back\\slash", "new\nline", "two words"];
    for (program, list) in [
        ("sha256sum", "SHA256SUMS"),
        ("sha512sum", "SHA512SUMS"),
        ("md5sum", "MD5SUMS"),
        ("b3sum", "B3SUMS"),
        // Nothing tells which of the two has 64 digits.
        ("sha256sum", "list"),
        ("b3sum", "list"),
    ] {
        let Some(path) = need(program) else { return };
        for tag in [&["--tag"][..], &[]] {
            if program == "b3sum" && !tag.is_empty() {
                continue;
            }
            let mut command = Command::new(&path);
            command.args(tag).args(names);
            let (code, theirs, _) = run(command, dir.path(), b"");
            assert_eq!(code, 0);
            fs::write(dir.path().join(list), &theirs).unwrap();
            let (code, stdout, stderr) = haul(&["check", list], dir.path(), b"");
            let expected = "plain: OK\n\\back\\\\slash: OK\n\\new\\nline: OK\ntwo words: OK\n";
            assert_eq!(
                (code, text(&stdout)),
                (0, expected.into()),
                "{program}: {stderr}"
            );
            assert_eq!(stderr.contains("MD5"), program == "md5sum", "{stderr}");
        }
    }
    fs::write(
        dir.path().join("plain.sha256"),
        format!("{}\n", "0".repeat(64)),
    )
    .unwrap();
    let (code, stdout, _) = haul(&["check", "plain.sha256"], dir.path(), b"");
    assert_eq!((code, text(&stdout)), (6, "plain: FAILED\n".into()));
    let (code, _, stderr) = haul(&["check", "plain"], dir.path(), b"");
    assert_eq!(code, 1);
    assert!(stderr.contains("is that a list?"), "{stderr}");
    let (code, _, stderr) = haul(&["check", "none"], dir.path(), b"");
    assert_eq!(
        (code, stderr.as_str()),
        (7, "haul: none: no such file or directory\n")
    );
}

/// What a program in a directory writes to a terminal.
fn on_a_terminal(arguments: &[&str], dir: &Path) -> String {
    let pair = native_pty_system().openpty(PtySize::default()).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_haul"));
    command.args(arguments);
    command.cwd(dir);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut written = Vec::new();
    // A terminal that nobody has open any more ends with an error.
    let _ = reader.read_to_end(&mut written);
    assert!(child.wait().unwrap().success());
    text(&written)
}

#[test]
fn a_terminal_gets_no_name_that_acts() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("red\x1b[31m\n"), "x").unwrap();
    let (_, list, _) = haul(&["sum"], dir.path(), b"");
    assert!(
        text(&list).contains("red\x1b[31m\\n"),
        "programs get it as it is"
    );
    let lists = tempfile::tempdir().unwrap();
    let path = lists.path().join("B3SUMS");
    fs::write(&path, list).unwrap();
    let check = ["check", path.to_str().unwrap()];
    for (arguments, expected) in [
        (&["sum"][..], "red\\x1b[31m\\n"),
        (&check, "red\\x1b[31m\\n: OK"),
    ] {
        let seen = on_a_terminal(arguments, dir.path());
        assert!(
            seen.contains(expected) && !seen.contains("\x1b[31m"),
            "{seen:?}"
        );
    }
}

#[test]
fn what_stdin_was_read_of_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = content(5, 6 << 20);
    fs::write(dir.path().join("f"), &bytes).unwrap();
    let mut file = File::open(dir.path().join("f")).unwrap();
    file.read_exact(&mut [0; 1000]).unwrap();
    let Haul { mut command, state } = Haul::new(&["sum", "-"]);
    let output = command.stdin(file).output().unwrap();
    drop(state);
    let expected = format!("{}  -\n", blake3::hash(&bytes[1000..]));
    assert_eq!(text(&output.stdout), expected);
}

#[test]
fn stdin_is_checked_where_a_list_names_it_and_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let (_, list, _) = haul(&["sum", "-"], dir.path(), b"from a pipe");
    fs::write(dir.path().join("list"), &list).unwrap();
    for (stdin, code, says) in [
        (&b"from a pipe"[..], 0, "-: OK\n"),
        (b"another", 6, "-: FAILED\n"),
    ] {
        let (status, stdout, stderr) = haul(&["check", "list"], dir.path(), stdin);
        assert_eq!((status, text(&stdout)), (code, says.into()), "{stderr}");
    }
    // A list cannot be what it tells of as well.
    for (arguments, stdin) in [
        (&["sum", "-", "-"][..], &b"x"[..]),
        (&["check", "-"], &list),
    ] {
        let (status, _, stderr) = haul(arguments, dir.path(), stdin);
        assert_eq!(status, 7, "{stderr}");
        assert!(stderr.contains("-: it was read already"), "{stderr}");
    }
}

#[test]
fn a_list_without_a_digest_is_told_beside_a_good_one() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "a").unwrap();
    let (_, list, _) = haul(&["sum", "a"], dir.path(), b"");
    fs::write(dir.path().join("good"), list).unwrap();
    fs::write(dir.path().join("empty"), "").unwrap();
    fs::write(dir.path().join("other"), "no digest\n").unwrap();
    let (code, stdout, stderr) = haul(&["check", "good", "empty", "other"], dir.path(), b"");
    assert_eq!((code, text(&stdout)), (1, "a: OK\n".into()));
    let line =
        |list: &str| format!("haul: {list}: no line is a digest and a name: is that a list?\n");
    assert_eq!(stderr, line("empty") + &line("other"));
}

#[test]
fn failures_are_the_status_also_where_the_reader_leaves() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "a").unwrap();
    let line = format!("{}  a\n", "0".repeat(64));
    fs::write(dir.path().join("B3SUMS"), line.repeat(50_000)).unwrap();
    let Haul { mut command, state } = Haul::new(&["check", "B3SUMS"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.current_dir(dir.path()).stdout(writer).output();
    drop(state);
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(6), "{}", text(&output.stderr));
}

#[test]
fn a_word_in_a_files_name_does_not_speak_for_its_list() {
    let Some(sha256sum) = need("sha256sum") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    for name in ["b3sum-1.5.tar.gz", "sha512-tool.zip", "md5.txt"] {
        fs::write(dir.path().join(name), name).unwrap();
        let mut command = Command::new(&sha256sum);
        command.arg(name);
        let (_, list, _) = run(command, dir.path(), b"");
        let list_name = format!("{name}.sha256");
        fs::write(dir.path().join(&list_name), list).unwrap();
        let (code, stdout, stderr) = haul(&["check", &list_name], dir.path(), b"");
        assert_eq!(
            (code, text(&stdout)),
            (0, format!("{name}: OK\n")),
            "{stderr}"
        );
    }
}
