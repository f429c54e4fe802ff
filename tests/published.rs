//! Published lists of digests: found beside files and above them, used where nothing else proves those, and given by hand.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use haul::{
    client::{Settings, Verified, Want},
    exit::Exit,
    sums,
};
use sha2::{Digest as _, Sha256, Sha512};

use crate::{
    common::{
        fetching::{Fetched, fetch_with, settings},
        program::Haul,
        scripted::{file, not_found, ok, reply, scripted},
        serving::serve,
        trees::{assert_same, content, hex},
    },
    foreign::{MIB, nginx, temp},
};

const SHA256SUMS: Verified = Verified::Listed("SHA256SUMS");

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A mirror as Debian's are: files below `pool` and `dists`, and one list of them all.
fn mirror(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for (seed, (name, size)) in [
        ("dists/stable/Release", 3000),
        ("dists/stable/main/Packages.xz", 70_000),
        ("pool/main/a/apt/apt_2.9_amd64.deb", 3 * MIB + 11),
        ("pool/main/b/bash/bash_5.2_amd64.deb", 900_000),
        ("pool/main/z/zlib/zlib 1.3+dfsg.tar.gz", 5 * MIB),
        ("pool/main/z/zlib/empty", 0),
    ]
    .into_iter()
    .enumerate()
    {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let bytes = content(seed as u64, size);
        fs::write(path, &bytes).unwrap();
        files.insert(name.to_owned(), bytes);
    }
    files
}

fn list(files: &BTreeMap<String, Vec<u8>>) -> String {
    let line = |(name, bytes): (&String, &Vec<u8>)| format!("{}  ./{name}\n", sha256(bytes));
    files.iter().map(line).collect()
}

fn fetch(settings: Settings) -> Fetched {
    let mut fetching = fetch_with(settings);
    fetching.get_everything();
    fetching.finish()
}

/// All of so many files came, and each was verified in that way.
fn assert_verified(fetched: &Fetched, count: usize, expected: Verified) {
    assert_eq!(
        (&fetched.failed, fetched.exit),
        (&Vec::new(), Some(Exit::Done))
    );
    let verified = verified(fetched);
    assert_eq!(verified.len(), count);
    assert!(
        verified.values().all(|how| *how == expected),
        "{verified:?}"
    );
}

/// How each file was verified, but for the lists themselves.
fn verified(fetched: &Fetched) -> BTreeMap<&str, Verified> {
    let each = fetched
        .finished
        .iter()
        .map(|(path, how)| (path.as_str(), *how));
    each.filter(|(path, _)| sums::published(path.rsplit('/').next().unwrap().as_bytes()).is_none())
        .collect()
}

#[test]
fn every_file_of_a_mirror_is_verified_by_the_list_above_it() {
    let source = temp();
    let files = mirror(source.path());
    fs::write(source.path().join("SHA256SUMS"), list(&files)).unwrap();
    for format in ["html", "json"] {
        let target = temp();
        let directives = format!("autoindex_format {format};");
        let Some(nginx) = nginx(source.path(), &directives) else {
            return;
        };
        let fetched = fetch(settings(&nginx.url("/"), target.path()));
        assert_verified(&fetched, files.len(), SHA256SUMS);
        assert_same(source.path(), target.path());
    }
}

#[test]
fn one_flipped_byte_is_told_by_file_and_list_and_the_rest_arrives() {
    for name in ["pool/main/a/apt/apt_2.9_amd64.deb", "dists/stable/Release"] {
        let (source, target, state) = (temp(), temp(), temp());
        let files = mirror(source.path());
        fs::write(source.path().join("SHA256SUMS"), list(&files)).unwrap();
        let mut bytes = files[name].clone();
        bytes[1000] ^= 1;
        fs::write(source.path().join(name), &bytes).unwrap();
        let Some(nginx) = nginx(source.path(), "") else {
            return;
        };
        let settings = || Settings {
            retries: 0,
            state_dir: Some(state.path().to_owned()),
            ..settings(&nginx.url("/"), target.path())
        };
        let fetched = fetch(settings());
        assert_eq!(fetched.exit, Some(Exit::Integrity), "{name}");
        let [(path, error)] = &fetched.failed[..] else {
            panic!("{:?}", fetched.failed);
        };
        assert_eq!(path, name);
        assert!(error.contains("not what SHA256SUMS tells of it"), "{error}");
        let others = verified(&fetched);
        assert_eq!(others.len(), files.len() - 1);
        assert!(others.values().all(|how| *how == SHA256SUMS), "{others:?}");
        assert!(
            !target.path().join(name).exists(),
            "nothing wrong has the name"
        );
        let part = target.path().join(format!("{name}.part"));
        if bytes.len() <= MIB {
            assert!(!part.exists());
            continue;
        }
        assert_eq!(fs::read(&part).unwrap(), bytes, "it stays a part");
        // Nothing of it is believed: once the server is right, all of it is fetched again.
        fs::write(source.path().join(name), &files[name]).unwrap();
        let fetched = fetch(settings());
        assert_eq!(
            (&fetched.failed, fetched.exit),
            (&Vec::new(), Some(Exit::Done))
        );
        assert_same(source.path(), target.path());
    }
}

#[test]
fn a_list_that_lies_about_one_name_harms_only_that_one() {
    let (source, target) = (temp(), temp());
    let files = mirror(source.path());
    let liar = "pool/main/b/bash/bash_5.2_amd64.deb";
    let mut lies = files.clone();
    lies.insert(liar.to_owned(), b"something else".to_vec());
    let text = format!(
        "{}{}  ../../outside\nno line at all\n",
        list(&lies),
        "0".repeat(64)
    );
    fs::write(source.path().join("SHA256SUMS"), text).unwrap();
    let Some(nginx) = nginx(source.path(), "") else {
        return;
    };
    let fetched = fetch(Settings {
        retries: 0,
        ..settings(&nginx.url("/"), target.path())
    });
    let failed: Vec<_> = fetched
        .failed
        .iter()
        .map(|(path, _)| path.as_str())
        .collect();
    assert_eq!((failed, fetched.exit), (vec![liar], Some(Exit::Integrity)));
    let others = verified(&fetched);
    assert_eq!(others.len(), files.len() - 1);
    assert!(others.values().all(|how| *how == SHA256SUMS), "{others:?}");
}

#[test]
fn the_nearest_and_strongest_list_counts_and_md5_is_called_weak() {
    let (source, target) = (temp(), temp());
    let write = |name: &str, bytes: &[u8]| fs::write(source.path().join(name), bytes).unwrap();
    let bytes = |seed| content(seed, 2000);
    for (seed, name) in (0..).zip(["a", "b", "c", "d", "new\nline", "none"]) {
        write(name, &bytes(seed));
    }
    // What a weaker list says of a file does not count where a stronger one tells of it.
    let lie = "0".repeat(64);
    let sha512 = hex(&Sha512::digest(bytes(1)));
    write("SHA512SUMS", format!("SHA512 (b) = {sha512}\n").as_bytes());
    let nl = sha256(&bytes(4));
    write(
        "sha256sum.txt",
        format!("{lie}  b\n\\{nl}  new\\nline\n").as_bytes(),
    );
    write("a.sha256", sha256(&bytes(0)).as_bytes());
    write(
        "c.b3",
        format!("{}  c\n", blake3::hash(&bytes(2))).as_bytes(),
    );
    let md5 = hex(&md5::Md5::digest(bytes(3)));
    write(
        "MD5SUMS",
        format!("{md5} *d\n{}  a\n", "0".repeat(32)).as_bytes(),
    );
    let Some(nginx) = nginx(source.path(), "autoindex_format json;") else {
        return;
    };
    let fetched = fetch(settings(&nginx.url("/"), target.path()));
    assert_eq!(
        (&fetched.failed, fetched.exit),
        (&Vec::new(), Some(Exit::Done))
    );
    let expected = BTreeMap::from([
        ("a", Verified::Listed(".sha256")),
        ("b", Verified::Listed("SHA512SUMS")),
        ("c", Verified::Listed(".b3")),
        ("d", Verified::Listed("MD5SUMS, weak")),
        ("new\nline", Verified::Listed("sha256sum")),
        ("none", Verified::Unverified),
    ]);
    assert_eq!(verified(&fetched), expected);
}

/// A server of one directory with `files` that counts requests for the list.
fn listing(files: &[(&str, Vec<u8>)]) -> String {
    let link = |(name, _): &(&str, Vec<u8>)| format!("<a href=\"{name}\">{name}</a>\n");
    files.iter().map(link).collect()
}

#[test]
fn a_list_is_fetched_once_and_one_that_cannot_be_had_fails_nothing() {
    let files: Vec<_> = ["a", "b", "c", "d", "e", "f"]
        .iter()
        .zip(0..)
        .map(|(name, seed)| (*name, content(seed, 5000)))
        .collect();
    let lines = files
        .iter()
        .map(|(name, bytes)| format!("{}  {name}\n", sha256(bytes)));
    let text: String = lines.collect();
    for (there, expected) in [(true, SHA256SUMS), (false, Verified::Unverified)] {
        let asked = std::sync::Arc::new(AtomicUsize::new(0));
        let (count, all, text) = (asked.clone(), files.clone(), text.clone());
        let server = scripted(move |request| {
            let name = request.target.trim_start_matches('/');
            match name {
                // It comes last, behind what it tells of.
                "" => ok(
                    "text/html",
                    format!("{}<a href=\"SHA256SUMS\">x</a>", listing(&all)).as_bytes(),
                ),
                "SHA256SUMS" if request.method == "GET" && request.field("Range").is_none() => {
                    count.fetch_add(1, Ordering::Relaxed);
                    if there {
                        file(request, text.as_bytes(), "")
                    } else {
                        not_found()
                    }
                }
                "SHA256SUMS" => file(request, text.as_bytes(), ""),
                _ => match all.iter().find(|(known, _)| *known == name) {
                    Some((_, bytes)) => file(request, bytes, ""),
                    None => not_found(),
                },
            }
        });
        let target = temp();
        let fetched = fetch(settings(&server.url("/"), target.path()));
        assert_verified(&fetched, files.len(), expected);
        assert_eq!(asked.load(Ordering::Relaxed), 1, "once a directory");
    }
}

#[test]
fn a_listing_that_was_browsed_tells_of_a_single_file_as_well() {
    let (source, target) = (temp(), temp());
    let files = mirror(source.path());
    fs::write(source.path().join("SHA256SUMS"), list(&files)).unwrap();
    let Some(nginx) = nginx(source.path(), "") else {
        return;
    };
    let name = "pool/main/a/apt/apt_2.9_amd64.deb";
    for (browsed, expected) in [(false, Verified::Unverified), (true, SHA256SUMS)] {
        let mut fetching = fetch_with(Settings {
            on_conflict: haul::config::OnConflict::Overwrite,
            ..settings(&nginx.url("/"), target.path())
        });
        if browsed {
            let root = haul::http1::path::RemotePath::root();
            let listed = fetching.runtime.block_on(fetching.client.list(&root));
            assert_eq!(listed.unwrap().len(), 3);
        }
        fetching.get_path(&format!("/{name}"));
        assert_eq!(fetching.finish().finished, [(name.into(), expected)]);
    }
}

#[test]
fn what_the_server_proves_itself_needs_no_list() {
    let (source, target) = (temp(), temp());
    for (name, size) in [("small", 100), ("large", 3 * MIB)] {
        fs::write(source.path().join(name), content(1, size)).unwrap();
    }
    let lie = "0".repeat(64);
    let text = format!("{lie}  small\n{lie}  large\n");
    fs::write(source.path().join("SHA256SUMS"), text).unwrap();
    let serving = serve(source.path());
    let fetched = fetch(settings(&serving.url("/"), target.path()));
    assert_eq!(fetched.exit, Some(Exit::Done));
    assert!(
        fetched
            .finished
            .iter()
            .all(|(_, how)| *how == Verified::Blake3)
    );
}

#[test]
fn a_list_that_is_given_counts_whatever_the_server_says() {
    let (source, lists) = (temp(), temp());
    let files = mirror(source.path());
    let serving = serve(source.path());
    let mut lies = files.clone();
    lies.insert("pool/main/z/zlib/empty".to_owned(), b"not empty".to_vec());
    let (right, wrong) = (lists.path().join("SHA256SUMS"), lists.path().join("wrong"));
    fs::write(&right, list(&files)).unwrap();
    fs::write(&wrong, list(&lies)).unwrap();
    fs::write(source.path().join("SHA256SUMS"), list(&lies)).unwrap();
    let run = |url: &str, given: &str| {
        let target = temp();
        let to = target.path().to_str().unwrap();
        let arguments = ["connect", url, "--all", "-d", to, "--json", "--headless"];
        let list = format!("--checksums={given}");
        Haul::new(&[&arguments[..], &["--retries=0", &list]].concat()).run()
    };
    let (code, stdout, stderr) = run(&serving.url("/"), right.to_str().unwrap());
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("\"verified\":\"blake3\""), "{stdout}");
    let (code, _, stderr) = run(&serving.url("/"), wrong.to_str().unwrap());
    assert_eq!(code, 6, "{stderr}");
    let told = format!(
        "haul: pool/main/z/zlib/empty: it is not what {} tells of it",
        wrong.display()
    );
    assert!(stderr.starts_with(&told), "{stderr}");
    // One on the server, of which a directory is fetched: its names count from where it lies.
    let url = serving.url("/SHA256SUMS");
    let (code, _, stderr) = run(&serving.url("/pool/main/z/"), &url);
    assert_eq!(code, 6, "{stderr}");
    assert!(
        stderr.starts_with("haul: zlib/empty: it is not what SHA256SUMS tells"),
        "{stderr}"
    );
    let (code, _, stderr) = run(&serving.url("/"), "/none");
    assert_eq!(code, 2);
    assert!(
        stderr.contains("--checksums: /none: cannot be read"),
        "{stderr}"
    );
}

#[test]
fn one_file_of_a_server_without_digests_is_verified_by_a_list_that_is_given() {
    let (source, target) = (temp(), temp());
    let bytes = content(3, 3 * MIB + 5);
    fs::write(source.path().join("x.iso"), &bytes).unwrap();
    fs::write(source.path().join("x.iso.sha256"), sha256(&bytes)).unwrap();
    let Some(nginx) = nginx(source.path(), "") else {
        return;
    };
    let to = target.path().to_str().unwrap();
    let (list, url) = (nginx.url("/x.iso.sha256"), nginx.url("/x.iso"));
    let line = [
        "connect",
        &url,
        "-d",
        to,
        "--json",
        "--headless",
        "--checksums",
        &list,
    ];
    let (code, stdout, stderr) = Haul::new(&line).run();
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("\"verified\":\".sha256\""), "{stdout}");
    assert_eq!(fs::read(target.path().join("x.iso")).unwrap(), bytes);
}

#[test]
fn a_signature_beside_a_file_that_only_lists_prove_is_fetched_and_named() {
    let source = temp();
    for (seed, (name, size)) in [("x.iso", 3 * MIB + 5), ("y", 70), ("z", 80)]
        .into_iter()
        .enumerate()
    {
        fs::write(source.path().join(name), content(seed as u64, size)).unwrap();
    }
    fs::write(source.path().join("x.iso.asc"), "large\n").unwrap();
    fs::write(source.path().join("y.sig"), "small\n").unwrap();
    let get = |url: &str, more: &[&str]| {
        let target = temp();
        let to = target.path().to_str().unwrap().to_owned();
        let usual = ["connect", url, "-d", &to, "--headless"];
        let (code, stdout, stderr) = Haul::new(&[&usual[..], more].concat()).run();
        assert_eq!(code, 0, "{stderr}");
        let names = fs::read_dir(target.path()).unwrap();
        let mut names: Vec<_> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let told: Vec<String> = stdout
            .lines()
            .filter(|line| line.contains("signature"))
            .map(|line| line.replace(&to, ""))
            .collect();
        (names, told)
    };
    let Some(nginx) = nginx(source.path(), "") else {
        return;
    };
    let (names, mut told) = get(&nginx.url("/"), &["--get", "x.iso", "--get", "?"]);
    assert_eq!(names, ["x.iso", "x.iso.asc", "y", "y.sig", "z"]);
    told.sort();
    let line = |name| format!("signature: /{name} (check it with gpg --verify /{name})");
    assert_eq!(told, [line("x.iso.asc"), line("y.sig")]);
    let (names, told) = get(
        &nginx.url("/"),
        &["--all", "--exclude", "*.asc", "--exclude", "z"],
    );
    assert_eq!(
        (names, told.len()),
        (["x.iso", "y", "y.sig"].map(str::to_owned).to_vec(), 0)
    );
    // They come with the tree, as files of it.
    let (names, told) = get(&nginx.url("/"), &["--all"]);
    assert_eq!((names.len(), told.len()), (5, 0));
    // Nobody asked for a list's word: what was given proves it, and so do the server's own values.
    let list = source.path().join("LIST");
    let lines = ["x.iso", "y", "z"].map(|name| {
        let bytes = fs::read(source.path().join(name)).unwrap();
        format!("{}  {name}\n", sha256(&bytes))
    });
    fs::write(&list, lines.concat()).unwrap();
    let given = format!("--checksums={}", list.display());
    let (names, told) = get(&nginx.url("/"), &["--get", "x.iso", "--get", "?", &given]);
    assert_eq!((names.len(), told.len()), (3, 0), "{names:?}");
    let serving = serve(source.path());
    let (names, told) = get(&serving.url("/"), &["--get", "x.iso", "--get", "?"]);
    assert_eq!((names.len(), told.len()), (3, 0), "{names:?}");
}

#[test]
fn a_list_is_asked_for_again_when_the_server_says() {
    let bytes = content(3, 5000);
    let text = format!("{}  f\n", sha256(&bytes));
    let until = Mutex::new(None);
    let server = scripted(move |request| match request.target.as_str() {
        "/" => ok(
            "text/html",
            b"<a href=\"f\">f</a><a href=\"SHA256SUMS\">x</a>",
        ),
        "/SHA256SUMS" if request.field("Range").is_none() => {
            let mut until = until.lock().unwrap();
            let end = *until.get_or_insert_with(|| Instant::now() + Duration::from_secs(1));
            if Instant::now() < end {
                let busy = "503 Service Unavailable\nRetry-After: 1\nContent-Length: 0";
                return reply(busy, b"");
            }
            file(request, text.as_bytes(), "")
        }
        "/f" => file(request, &bytes, ""),
        _ => not_found(),
    });
    let target = temp();
    let mut fetching = fetch_with(settings(&server.url("/"), target.path()));
    fetching.get(Want::Patterns {
        get: vec!["f".into()],
        exclude: Vec::new(),
    });
    assert_verified(&fetching.finish(), 1, SHA256SUMS);
}

/// A download with a list of `text`: its status and stderr, and the files that came.
fn with_list(more: &[&str], text: &str) -> (i32, String, Vec<String>) {
    let (lists, target) = (temp(), temp());
    let list = lists.path().join("LIST");
    fs::write(&list, text).unwrap();
    let (to, given) = (
        target.path().to_str().unwrap(),
        format!("--checksums={}", list.display()),
    );
    let usual = ["connect", "-d", to, "--headless", "-r", "0", &given];
    let (code, _, stderr) = Haul::new(&[&usual[..], more].concat()).run();
    let files = crate::common::trees::digest(target.path());
    // What differs from the list stays a part.
    let files = files
        .into_iter()
        .filter(|(path, hash)| hash.is_some() && path.extension().is_none_or(|end| end != "part"));
    let names = files.map(|(path, _)| path.to_str().unwrap().to_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    (code, stderr, names)
}

#[test]
fn a_list_that_is_given_has_to_prove_the_one_file_that_is_wanted() {
    let source = temp();
    for (name, bytes) in [("a", content(1, 100)), ("large", content(2, 3 * MIB))] {
        fs::write(source.path().join(name), bytes).unwrap();
    }
    fs::create_dir(source.path().join("d")).unwrap();
    fs::write(source.path().join("d/a"), "another").unwrap();
    let serving = serve(source.path());
    let (bad, good) = ("0".repeat(64), sha256(&content(1, 100)));
    for (text, says) in [
        (format!("{bad}  nothere\n"), "tells no digest of it"),
        (
            format!("{bad}  NAME\n{good}  NAME\n"),
            "tells two different digests of it",
        ),
        (bad.clone(), "it is not what"),
    ] {
        for name in ["a", "large"] {
            let text = text.replace("NAME", name);
            let (url, root) = (serving.url(&format!("/{name}")), serving.url("/"));
            for more in [&[&url[..]][..], &[&root, "--get", name]] {
                let (code, stderr, names) = with_list(more, &text);
                assert_eq!((code, names.len()), (6, 0), "{text}: {stderr}");
                assert!(stderr.contains(says), "{text}: {stderr}");
            }
        }
    }
    for text in [&good, &format!("{good}  a\n")] {
        let (code, stderr, names) = with_list(&[&serving.url("/a")], text);
        assert_eq!((code, names), (0, vec!["a".to_owned()]), "{stderr}");
    }
    // A line of that name is of the file beside the list, and of no other.
    let (code, stderr, _) = with_list(
        &[&serving.url("/"), "--get", "d/a"],
        &format!("{good}  a\n"),
    );
    assert_eq!(code, 6, "{stderr}");
    assert!(stderr.contains("tells no digest of it"), "{stderr}");
}

#[test]
fn a_list_that_is_given_tells_of_a_tree_what_it_names() {
    let source = temp();
    fs::create_dir(source.path().join("d")).unwrap();
    for (name, bytes) in [("a", "AAAA"), ("d/a", "DDDD"), ("b.sha256", "")] {
        fs::write(source.path().join(name), bytes).unwrap();
    }
    let (good, bad) = (sha256(b"AAAA"), "0".repeat(64));
    let serving = serve(source.path());
    for (text, says) in [
        (
            format!("{good}  a\n"),
            "it tells no digest of 1 file that came",
        ),
        (good.clone(), "its digest has no name"),
        (
            format!("{good}  a\n{bad}  ../b\n{bad}  x\n{good}  x\n"),
            "1 name has two different digests",
        ),
        (format!("{good}  a\n{bad}  ../b\n"), "1 line left out"),
    ] {
        let (code, stderr, names) = with_list(&[&serving.url("/"), "--all"], &text);
        assert_eq!((code, names.len()), (0, 3), "{stderr}");
        assert!(stderr.contains(says), "{text}: {stderr}");
    }
    let given = format!("--checksums={}", serving.url("/none"));
    let url = serving.url("/a");
    let (code, _, stderr) = Haul::new(&["connect", &url, "--headless", &given]).run();
    assert_eq!(code, 3, "{stderr}");
    let named = format!("--checksums: {}: not found", serving.url("/none"));
    assert!(stderr.contains(&named), "{stderr}");
}
