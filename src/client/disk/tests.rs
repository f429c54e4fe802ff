//! A directory with files in the way of what lands.

mod taken;

use std::io::Write;

use super::{
    already::{Already, Remote, Told},
    landed::{Holds, Landed},
    names::{
        Local, backup_name, copied_name, copy_name, is_backup_of, may_be_cut_copy, may_be_ours,
        part_name,
    },
    target::Target,
};
use crate::{
    client::{Error, Verified},
    config::OnConflict,
    digest::Digest,
    http1::path::RemotePath,
    piece_digests::PieceDigests,
    sums::METALINK_WEAK,
    sys::disk,
};

fn target(on_conflict: OnConflict) -> (tempfile::TempDir, Target) {
    let temp = tempfile::tempdir().unwrap();
    let target = Target::open(temp.path(), on_conflict).unwrap();
    (temp, target)
}

fn path(text: &str) -> RemotePath {
    RemotePath::from_target(text.as_bytes()).unwrap()
}

fn land(target: &Target, content: &[u8]) -> Landed {
    let mut part = disk::new_file(target.handle(), b"x.part").unwrap();
    part.write_all(content).unwrap();
    target
        .land_part(target.handle(), &part, b"x.part", b"x.txt", None)
        .unwrap()
}

#[test]
fn the_conflict_rule() {
    for (rule, content, name, holds) in [
        (OnConflict::Verify, "old", "x.txt", Holds::Equal),
        (OnConflict::Verify, "new", "x (1).txt", Holds::New),
        (OnConflict::Rename, "old", "x (1).txt", Holds::New),
        (OnConflict::Skip, "new", "x.txt", Holds::Other),
        (OnConflict::Overwrite, "new", "x.txt", Holds::New),
    ] {
        let (temp, target) = target(rule);
        std::fs::write(temp.path().join("x.txt"), "old").unwrap();
        let landed = land(&target, content.as_bytes());
        assert_eq!(
            landed,
            Landed {
                name: name.into(),
                holds
            },
            "{rule:?} {content}"
        );
        assert!(!temp.path().join("x.part").exists());
        let there = std::fs::read_to_string(temp.path().join(name)).unwrap();
        assert_eq!(
            there,
            if rule == OnConflict::Skip {
                "old"
            } else {
                content
            }
        );
    }
}

#[test]
fn a_nameless_file_lands_by_the_same_rule() {
    let (temp, target) = target(OnConflict::Overwrite);
    std::fs::write(temp.path().join("x"), "old").unwrap();
    if let Some(mut file) = disk::nameless_file(target.handle()).unwrap() {
        file.write_all(b"new").unwrap();
        target
            .land_nameless(target.handle(), &file, b"x", b"new", None)
            .unwrap();
        assert_eq!(std::fs::read(temp.path().join("x")).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_part_in_the_way_is_neither_replaced_nor_an_obstacle() {
    let (temp, target) = target(OnConflict::Overwrite);
    for name in ["x", "x.part"] {
        std::fs::write(temp.path().join(name), "old").unwrap();
    }
    if let Some(mut file) = disk::nameless_file(target.handle()).unwrap() {
        file.write_all(b"new").unwrap();
        let land = |name: &[u8]| {
            let landed = target.land_nameless(target.handle(), &file, name, b"new", None);
            landed.unwrap().name
        };
        assert_eq!(land(b"x"), b"x");
        assert_eq!(land(b"x.part"), b"x (1).part");
        let part = std::fs::read(temp.path().join("x.part")).unwrap();
        assert_eq!(part, b"old");
    }
}

#[test]
fn a_directory_in_the_way_is_never_replaced() {
    let (temp, target) = target(OnConflict::Overwrite);
    std::fs::create_dir(temp.path().join("x.txt")).unwrap();
    assert_eq!(land(&target, b"new").name, b"x (1).txt");
}

#[test]
fn directories_are_made_beneath_the_target_and_links_are_not_followed() {
    let (temp, target) = target(OnConflict::Verify);
    target.dir(&path("/a/b c/d/")).unwrap();
    assert!(temp.path().join("a/b c/d").is_dir());
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), temp.path().join("link")).unwrap();
    assert!(matches!(
        target.dir(&path("/link/")),
        Err(Error::Disk { .. })
    ));
    assert!(matches!(
        target.dir(&path("/link/deeper/")),
        Err(Error::Disk { .. })
    ));
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn names_of_parts_and_copies_fit() {
    assert_eq!(part_name(b"a.iso", 0), b"a.iso.part");
    assert_eq!(part_name(b"a.iso", 2), b"a.iso.2.part");
    let long = [b'a'; 255];
    assert!(part_name(&long, 0).len() <= 255);
    assert_ne!(part_name(&long, 0), part_name(&[b'a'; 254], 0));
    assert_eq!(copy_name(b"a.tar.gz", 1), b"a.tar (1).gz");
    assert_eq!(copy_name(b".bashrc", 2), b".bashrc (2)");
    for name in ["a.tar.gz", ".bashrc", "a", "a (1).gz", "a (x)"] {
        for copy in [1, 23] {
            let copy = copy_name(name.as_bytes(), copy);
            assert_eq!(copied_name(&copy).as_deref(), Some(name.as_bytes()));
        }
    }
    for other in [
        "a",
        "a (0)",
        "a (x)",
        "a (1)b",
        "a (01)",
        "a (",
        "a.b (1).c d",
    ] {
        let name = copied_name(other.as_bytes());
        assert!(name.is_none_or(|name| name == b"a.b.c d"), "{other}");
    }
    let umlauts = "ü".repeat(127);
    let copy = copy_name(umlauts.as_bytes(), 10);
    assert!(copy.len() <= 255 && std::str::from_utf8(&copy).is_ok());
    for name in [&long[..], umlauts.as_bytes(), &[b'a'; 252]] {
        assert!(may_be_cut_copy(&copy_name(name, 1)));
    }
    assert!(!may_be_cut_copy(b"a (1)"));
    assert!(!may_be_cut_copy(&long));
}

#[test]
fn names_of_backups_fit_and_are_known() {
    let long = [b'a'; 255];
    assert_eq!(backup_name(b"a.iso", 1), b"a.iso~");
    assert_eq!(backup_name(b"a.iso", 12), b"a.iso~12");
    for name in [&long[..], &[b'a'; 254], b"a.iso", b"a~", b"a~2"] {
        for number in [1, 2, 30] {
            let backup = backup_name(name, number);
            assert!(backup.len() <= 255);
            assert!(is_backup_of(&backup, |told| told == name));
            assert!(may_be_ours(&backup));
        }
    }
    assert_ne!(backup_name(&long, 1), backup_name(&[b'b'; 255], 1));
    assert!(is_backup_of(b"a~2~", |told| told == b"a"));
    for other in ["a", "a2", "b~", "~", "a~b", "2"] {
        assert!(
            !is_backup_of(other.as_bytes(), |told| told == b"a"),
            "{other}"
        );
    }
}

#[test]
fn a_missing_parent_is_made_and_a_file_is_no_target() {
    let temp = tempfile::tempdir().unwrap();
    Target::open(&temp.path().join("a/b"), OnConflict::Verify).unwrap();
    std::fs::write(temp.path().join("file"), "").unwrap();
    assert!(matches!(
        Target::open(&temp.path().join("file"), OnConflict::Verify),
        Err(Error::Target { .. })
    ));
}

#[test]
fn an_equal_file_is_found_before_anything_is_fetched() {
    let (temp, target) = target(OnConflict::Verify);
    std::fs::write(temp.path().join("x"), "same").unwrap();
    let remote = |size, digest: Option<&str>, has_values| Remote {
        size,
        modified: None,
        blake3: digest.map(|content| blake3::hash(content.as_bytes())),
        has_values,
    };
    let already = |remote| {
        let already = target.already(&RemotePath::root(), b"x", remote, Told::default());
        already.unwrap()
    };
    assert!(matches!(
        already(remote(4, Some("same"), false)),
        Already::Here(_, proof) if proof.verified() == Verified::Present
    ));
    assert!(matches!(
        already(remote(4, Some("else"), false)),
        Already::Fetch
    ));
    assert!(matches!(
        already(remote(5, Some("same"), true)),
        Already::Fetch
    ));
    assert!(matches!(already(remote(4, None, false)), Already::Fetch));
    assert!(matches!(
        already(remote(4, None, true)),
        Already::Compare(_)
    ));
    // A digest that was given is what counts, whatever the server says of its own file.
    let given = |content: &str| {
        let given = Digest::Blake3(blake3::hash(content.as_bytes()));
        let given = Told {
            checksum: Some(&given),
            ..Told::default()
        };
        let remote = remote(4, Some("same"), true);
        let already = target.already(&RemotePath::root(), b"x", remote, given);
        already.unwrap()
    };
    assert!(matches!(given("same"), Already::Here(..)));
    assert!(matches!(given("else"), Already::Fetch));
    assert_eq!(target.look(&RemotePath::root(), b"x"), Local::File);
    assert_eq!(target.look(&RemotePath::root(), b"y"), Local::Nothing);
}

#[test]
fn a_weak_digest_tells_whether_a_file_is_here_where_nothing_else_does() {
    let (temp, target) = target(OnConflict::Verify);
    std::fs::write(temp.path().join("x"), "same").unwrap();
    let modified = temp.path().join("x").metadata().unwrap().modified();
    let already = |content: &str, blake3: Option<&str>, has_values| {
        let weak = Digest::Md5(
            md5::Digest::finalize(md5::Digest::chain_update(md5::Md5::default(), content)).into(),
        );
        let remote = Remote {
            size: 4,
            modified: modified.as_ref().ok().copied(),
            blake3: blake3.map(|content| blake3::hash(content.as_bytes())),
            has_values,
        };
        let told = Told {
            weak: Some(&weak),
            ..Told::default()
        };
        let already = target.already(&RemotePath::root(), b"x", remote, told);
        match already.unwrap() {
            Already::Here(_, proof) => Some(proof.verified()),
            Already::Fetch => None,
            Already::Compare(_) => Some(Verified::Unverified),
        }
    };
    let weak = Verified::Listed(METALINK_WEAK);
    assert_eq!(already("same", None, false), Some(weak));
    assert_eq!(already("else", None, false), None);
    assert_eq!(
        already("else", Some("same"), false),
        Some(Verified::Present)
    );
    assert_eq!(already("same", Some("else"), false), None);
    // The values of the server's pieces say more.
    assert_eq!(already("same", None, true), Some(Verified::Unverified));
}

#[test]
fn the_digests_of_a_files_pieces_tell_whether_it_is_here() {
    let (temp, target) = target(OnConflict::Verify);
    std::fs::write(temp.path().join("x"), "0123456789").unwrap();
    let told = |content: &str| {
        let pieces = content.as_bytes().chunks(4);
        let digests = pieces.map(|piece| Digest::Blake3(blake3::hash(piece)));
        PieceDigests::new(content.len() as u64, 4, digests.collect()).unwrap()
    };
    let is_here = |told: &PieceDigests| {
        let remote = Remote {
            size: 10,
            modified: None,
            blake3: None,
            has_values: true,
        };
        let told = Told {
            pieces: Some(told),
            ..Told::default()
        };
        let already = target.already(&RemotePath::root(), b"x", remote, told);
        match already.unwrap() {
            Already::Here(_, proof) => {
                assert_eq!(proof.verified(), Verified::Present);
                true
            }
            Already::Fetch => false,
            Already::Compare(_) => panic!("it is compared with what the server says"),
        }
    };
    assert!(is_here(&told("0123456789")));
    assert!(!is_here(&told("0123456780")));
    // They are of another file, of which this is no more than the end or the beginning.
    assert!(!is_here(&told("01234567")));
}

#[test]
fn a_rule_says_what_is_looked_at_and_what_is_kept() {
    for (rule, spares, skips, keeps, updates) in [
        (OnConflict::Verify, true, false, true, false),
        (OnConflict::Update, true, false, true, true),
        (OnConflict::Skip, true, true, false, false),
        (OnConflict::Rename, false, false, false, false),
        (OnConflict::Overwrite, false, false, false, false),
    ] {
        let (temp, target) = target(rule);
        for name in ["x", "x.part"] {
            std::fs::write(temp.path().join(name), "old").unwrap();
        }
        let told = (target.spares(), target.skips(), target.updates());
        assert_eq!(told, (spares, skips, updates), "{rule:?}");
        let kept = |name| target.old(target.handle(), name, 3).is_some();
        assert_eq!(kept(b"x"), keeps, "{rule:?}");
        // What is called a part may be one.
        assert!(!kept(b"x.part") && !kept(b"y"), "{rule:?}");
    }
}

#[test]
fn what_is_written_here_obeys_the_rule_too() {
    for (rule, name) in [
        (OnConflict::Verify, "x (1)"),
        (OnConflict::Overwrite, "x"),
        (OnConflict::Update, "x"),
    ] {
        let (temp, target) = target(rule);
        let dir = target.dir(&RemotePath::root()).unwrap();
        let put = |content| target.put(&dir, b"x", content).unwrap();
        assert_eq!(put(b"one").holds, Holds::New);
        assert_eq!(put(b"one").holds, Holds::Equal);
        let landed = put(b"two");
        assert_eq!((landed.name, landed.holds), (name.into(), Holds::New));
        assert_eq!(std::fs::read(temp.path().join(name)).unwrap(), b"two");
    }
}

#[test]
fn a_file_is_not_named_where_its_directory_is_gone() {
    let (temp, target) = target(OnConflict::Verify);
    if let Some(file) = disk::nameless_file(target.handle()).unwrap() {
        drop(temp);
        let landed = target.land_nameless(target.handle(), &file, b"x", b"", None);
        assert_eq!(landed.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    }
}
