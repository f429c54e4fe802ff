//! What `--delete` removes: each thing that may lie in a directory, by what the server says of that directory, under each set of
//! options. [`stays`] says in few words what docs/UPDATE.md promises; each run is held against it, and what `--dry-run` told before.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path};

use rustix::fs::{CWD, FileType, mknodat};

use crate::common::{
    program::Haul,
    scripted::{Reply, Request, Scripted, Then, not_found, ok, reply, scripted},
    trees::quick_temp,
};

/// What lies in each directory: with a slash at its end, an empty directory.
const THINGS: [&str; 22] = [
    // The server has these: the second is a directory here, whose copy stands beside it.
    "x",
    "z/in",
    "z (1)",
    // Called after them, and after what is gone.
    "x (1)",
    "x~",
    "x~2",
    "gone",
    "gone (1)",
    "gone~",
    "gone.keep",
    // Never removed.
    ".dot",
    "y.part",
    "link",
    "fifo",
    // Directories that are gone.
    "empty/",
    "dir/in",
    "deep/er/in",
    "kept by a dot/.dot",
    "kept by a part/deep/y.part",
    "kept by a link/link",
    "kept by a pattern/gone.keep",
    "half/gone",
];
const DIRS: [&str; 3] = ["", "a/", "b/"];

/// What the server says of the directory `b/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    /// What is in it: these names.
    Lists(&'static [&'static str]),
    /// It does not say what is in it, and that is no failure.
    Elsewhere,
    /// It fails, with this status.
    Fails(i32),
}

/// Options, and what they make of a run.
#[derive(Debug, Clone, Copy)]
struct Options {
    line: &'static [&'static str],
    backup: bool,
    /// Nothing else is looked at.
    only: Option<&'static str>,
    /// Names that end so stay.
    keeps: Option<&'static str>,
    /// What is in there stays.
    not: Option<&'static str>,
}

/// Whether something stays that lies in `dir`, of which the server said that.
fn stays(dir: &str, thing: &str, says: Says, options: Options) -> bool {
    let path = format!("{dir}{thing}");
    let Says::Lists(listed) = says else {
        return true;
    };
    let is_out = options.only.is_some_and(|only| !path.starts_with(only))
        || options.not.is_some_and(|not| path.starts_with(not))
        || options.keeps.is_some_and(|end| path.ends_with(end));
    let name = thing.rsplit('/').next().unwrap_or_default();
    let is_listed = |name: &str| listed.contains(&name);
    let first = thing.split('/').next().unwrap_or_default();
    let never = name.starts_with('.')
        || Path::new(name).extension().is_some_and(|end| end == "part")
        || ["link", "fifo"].contains(&name);
    let is_copy = first == "z (1)" && is_listed("z");
    let is_backup = options.backup && ["x~", "x~2"].contains(&first) && is_listed("x");
    is_out || is_listed(first) || never || is_copy || is_backup
}

/// Makes all of it.
fn fill(at: &Path, outside: &Path) {
    for path in DIRS
        .iter()
        .flat_map(|dir| THINGS.map(|thing| format!("{dir}{thing}")))
    {
        let path = at.join(path);
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match name {
            "empty" => fs::create_dir(&path).unwrap(),
            "link" => symlink(outside, &path).unwrap(),
            "fifo" => mknodat(CWD, &path, FileType::Fifo, 0o644.into(), 0).unwrap(),
            "z (1)" => fs::write(&path, "z").unwrap(),
            _ => fs::write(&path, name).unwrap(),
        }
    }
    fs::write(outside.join("precious"), "").unwrap();
}

/// Every path below `dir`, those of directories with a slash at their end.
fn look(dir: &Path) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![dir.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            if path.symlink_metadata().unwrap().is_dir() {
                found.insert(format!("{below}/"));
                open.push(path);
            } else {
                found.insert(below);
            }
        }
    }
    found
}

/// What is left: what stays, and the directories that it is in.
fn left(says: Says, options: Options) -> BTreeSet<String> {
    let mut left = BTreeSet::new();
    for dir in DIRS {
        let of = if dir == "b/" {
            says
        } else {
            Says::Lists(&["x", "z", "a", "b"])
        };
        for thing in THINGS.iter().filter(|thing| stays(dir, thing, of, options)) {
            left.insert(format!("{dir}{thing}"));
        }
        left.insert(dir.to_owned());
    }
    for path in left.clone() {
        let ends = path
            .match_indices('/')
            .map(|(at, _)| path[..=at].to_owned());
        left.extend(ends.collect::<Vec<_>>());
    }
    left.remove("");
    left
}

/// A server whose directories have `x` and `z`, and two of them below its root; `b` answers for the second.
fn server(b: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Scripted {
    let page =
        |names: &str| format!("<h1>Index of /</h1><pre><a href=\"../\">../</a>{names}</pre>");
    let files = "<a href=\"x\">x</a> <a href=\"z\">z</a>";
    let dirs = "<a href=\"a/\">a/</a> <a href=\"b/\">b/</a>";
    let (root, a) = (page(&format!("{dirs} {files}")), page(files));
    scripted(move |request| match request.target.as_str() {
        "/" => ok("text/html", root.as_bytes()),
        "/a/" => ok("text/html", a.as_bytes()),
        target if target.ends_with("/x") => ok("text/plain", b"x"),
        target if target.ends_with("/z") => ok("text/plain", b"z"),
        _ => b(request),
    })
}

/// A run that tells what it would remove, and one that does: what was not as it has to be.
fn hold(server: &Scripted, says: Says, options: Options) -> Result<(), String> {
    let (target, outside) = (quick_temp(), quick_temp());
    fill(target.path(), outside.path());
    let all = look(target.path());
    let url = server.url("/");
    let run = |more: &[&str]| {
        let to = target.path().to_str().unwrap();
        let line = ["connect", &url, "--headless", "-d", to, "--delete", "--yes"];
        let rule = ["--on-conflict", "update", "--retries", "0"];
        let all: &[&str] = if options.only.is_some() {
            &[]
        } else {
            &["--all"]
        };
        Haul::new(&[&line[..], &rule, all, options.line, more].concat()).run()
    };
    let status = if let Says::Fails(status) = says {
        status
    } else {
        0
    };
    let be = |is_so: bool, what: &str, seen: &dyn std::fmt::Debug| {
        is_so
            .then_some(())
            .ok_or_else(|| format!("{what}: {seen:?}"))
    };
    let (code, told, stderr) = run(&["--dry-run", "--json"]);
    be(code == status, "status of a dry run", &(code, &stderr))?;
    be(look(target.path()) == all, "a dry run changed it", &stderr)?;
    let (code, _, stderr) = run(&[]);
    be(code == status, "status", &(code, &stderr))?;
    let is_warned = stderr.contains("nothing is deleted in");
    let warns = says == Says::Elsewhere && options.not != Some("b/");
    be(is_warned == warns, "warning", &stderr)?;
    let left = if status == 0 {
        left(says, options)
    } else {
        all.clone()
    };
    let mut is = look(target.path());
    // What a directory leads to may be in it.
    is.remove("b/sub/");
    let lost: Vec<_> = left.difference(&is).collect();
    be(lost.is_empty(), "lost", &lost)?;
    let kept: Vec<_> = is.difference(&left).collect();
    be(kept.is_empty(), "left", &kept)?;
    let would = told
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|told| told["action"] == "delete")
        .map(|told| told["path"].as_str().unwrap().to_owned());
    let would: BTreeSet<_> = would.collect();
    let deleted: BTreeSet<_> = all.difference(&is).cloned().collect();
    let other: Vec<_> = would.symmetric_difference(&deleted).collect();
    be(other.is_empty(), "not as foretold", &other)?;
    let outside = fs::read_dir(outside.path()).unwrap().count();
    be(outside == 1, "outside", &outside)
}

/// What a run can be asked for, but what is its own.
const OPTIONS: [Options; 5] = {
    const ALL: Options = Options {
        line: &[],
        backup: false,
        only: None,
        keeps: None,
        not: None,
    };
    [
        ALL,
        Options {
            line: &["--backup"],
            backup: true,
            ..ALL
        },
        Options {
            line: &["--exclude", "**/*.keep"],
            keeps: Some(".keep"),
            ..ALL
        },
        Options {
            line: &["--exclude", "a/"],
            not: Some("a/"),
            ..ALL
        },
        Options {
            line: &["--get", "b/"],
            only: Some("b/"),
            ..ALL
        },
    ]
};

/// Answers to a request for the listing of `b/`, and what they say of it.
fn answers() -> Vec<(Reply, Says)> {
    let page = |body: &str| ok("text/html", body.as_bytes());
    let json = |body: &str| ok("application/json", body.as_bytes());
    let listed = "<a href=\"x\">x</a> <a href=\"z\">z</a>";
    let index = "<title>Index of /b/</title><h1>Index of /b/</h1>";
    let both = Says::Lists(&["x", "z"]);
    vec![
        (page(&format!("{index}{listed}")), both),
        (page(&format!("<html><body>{listed}</body></html>")), both),
        (
            json(r#"[{"name":"x","type":"file","size":1},{"name":"z","type":"file","size":1}]"#),
            both,
        ),
        (
            page(&format!("{index}<a href=\"../\">../</a>")),
            Says::Lists(&[]),
        ),
        (json("[]"), Says::Lists(&[])),
        (
            page(&format!("{index}<a href=\"http://elsewhere/x\">x</a>")),
            Says::Elsewhere,
        ),
        (
            page(&format!("{index}<a href=\"?get=x\">x</a>")),
            Says::Elsewhere,
        ),
        (
            page("<meta http-equiv=\"refresh\" content=\"0; url=/a/\">"),
            Says::Fails(3),
        ),
        (
            page("<meta http-equiv=\"refresh\" content=\"0; url=sub/\">"),
            Says::Elsewhere,
        ),
        (
            reply("302 Found\nLocation: /a/\nContent-Length: 0", b""),
            Says::Fails(3),
        ),
        (
            reply("302 Found\nLocation: sub/\nContent-Length: 0", b""),
            Says::Elsewhere,
        ),
        (not_found(), Says::Fails(3)),
        (
            reply("403 Forbidden\nContent-Length: 0", b""),
            Says::Fails(3),
        ),
        (
            reply(
                "401 Unauthorized\nWWW-Authenticate: Basic realm=\"b\"\nContent-Length: 0",
                b"",
            ),
            Says::Fails(5),
        ),
        (
            reply("500 Internal Server Error\nContent-Length: 0", b""),
            Says::Fails(4),
        ),
        (reply("204 No Content", b""), Says::Fails(3)),
        (page(""), Says::Fails(3)),
        (
            page("<title>Login</title><form><input type=password></form>"),
            Says::Fails(3),
        ),
        (
            page(&format!(
                "{index}<a href=\"../\">../</a><input type=password>"
            )),
            Says::Fails(3),
        ),
        (json(r#"{"error":"down"}"#), Says::Fails(3)),
        (ok("text/plain", b"hello"), Says::Fails(3)),
        (ok("application/octet-stream", &[0xff; 99]), Says::Fails(3)),
        (
            reply(
                "200 OK\nContent-Type: text/html\nContent-Length: 9999",
                index.as_bytes(),
            )
            .then(Then::Close),
            Says::Fails(4),
        ),
        (
            reply(
                "200 OK\nContent-Type: text/html",
                b"<pre><a href=\"x\">x</a>",
            )
            .then(Then::Close),
            Says::Fails(4),
        ),
    ]
}

#[test]
fn what_is_gone_is_removed_by_what_the_server_says() {
    let empty = b"<h1>Index of /b/sub/</h1><a href=\"../\">../</a>";
    let mut wrong = Vec::new();
    for (answer, says) in answers() {
        let told = String::from_utf8_lossy(&answer.bytes).into_owned();
        let server = server(move |request| match request.target.as_str() {
            "/b/" => answer.clone(),
            "/b/sub/" => ok("text/html", empty),
            _ => not_found(),
        });
        for options in OPTIONS {
            if let Err(why) = hold(&server, says, options) {
                wrong.push(format!("{told} {:?} {says:?}: {why}", options.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
