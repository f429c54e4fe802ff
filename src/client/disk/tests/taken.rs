//! Names that are taken: by what is no file, by other names of one, by what the server has.

use std::os::fd::AsFd as _;

use super::*;

/// Gives the name `x.txt` to what is no file.
fn put_in_the_way(dir: &std::path::Path, kind: &str) {
    let at = dir.join("x.txt");
    match kind {
        "link" => std::os::unix::fs::symlink("elsewhere", at).unwrap(),
        "dir" => std::fs::create_dir(at).unwrap(),
        _ => {
            let fifo = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, &at, fifo, 0o644.into(), 0).unwrap();
        }
    }
}

#[test]
fn beside_what_is_no_file_one_copy_is_enough() {
    for rule in [
        OnConflict::Verify,
        OnConflict::Update,
        OnConflict::Overwrite,
    ] {
        for kind in ["link", "dir", "fifo"] {
            let (temp, target) = target(rule);
            put_in_the_way(temp.path(), kind);
            for holds in [Holds::New, Holds::Equal, Holds::Equal] {
                let landed = land(&target, b"new");
                let name = b"x (1).txt".to_vec();
                assert_eq!(landed, Landed { name, holds }, "{rule:?} {kind}");
            }
            assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 2);
            // What is another version stays.
            assert_eq!(land(&target, b"newer").name, b"x (2).txt");
        }
    }
}

#[test]
fn an_equal_file_is_not_replaced_and_costs_no_backup() {
    let date = |seconds| std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    for rule in [OnConflict::Update, OnConflict::Overwrite] {
        let (temp, target) = target(rule);
        let target = target.keeping(true);
        let x = temp.path().join("x.txt");
        std::fs::write(&x, "old").unwrap();
        assert_eq!(land(&target, b"new").holds, Holds::New);
        std::fs::File::open(&x)
            .unwrap()
            .set_modified(date(5))
            .unwrap();
        // Another run brings the same.
        let mut part = disk::new_file(target.handle(), b"x.part").unwrap();
        part.write_all(b"new").unwrap();
        let told = Some(date(9));
        let landed = target.land_part(target.handle(), &part, b"x.part", b"x.txt", told);
        assert_eq!(landed.unwrap().holds, Holds::Equal, "{rule:?}");
        assert_eq!(
            std::fs::read(temp.path().join("x.txt~")).unwrap(),
            b"old",
            "{rule:?}"
        );
        let about = std::fs::metadata(&x).unwrap();
        assert_eq!(about.modified().unwrap(), date(9), "later runs know it by");
        // A server that tells no date changes none.
        assert_eq!(land(&target, b"new").holds, Holds::Equal);
        let about = std::fs::metadata(&x).unwrap();
        assert_eq!(about.modified().unwrap(), date(9), "{rule:?}");
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 2);
    }
}

#[test]
fn an_equal_file_keeps_its_date_where_nothing_is_replaced() {
    let date = |seconds| std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let (temp, target) = target(OnConflict::Verify);
    let mut x = std::fs::File::create(temp.path().join("x.txt")).unwrap();
    x.write_all(b"same").unwrap();
    x.set_modified(date(5)).unwrap();
    let mut part = disk::new_file(target.handle(), b"x.part").unwrap();
    part.write_all(b"same").unwrap();
    let landed = target.land_part(target.handle(), &part, b"x.part", b"x.txt", Some(date(9)));
    assert_eq!(landed.unwrap().holds, Holds::Equal);
    assert_eq!(x.metadata().unwrap().modified().unwrap(), date(5));
}

#[test]
fn a_backup_takes_the_place_of_nothing() {
    let (temp, target) = target(OnConflict::Update);
    let target = target.keeping(true);
    let put = |name: &str, content: &str| std::fs::write(temp.path().join(name), content).unwrap();
    put("x.txt~", "somebody's");
    for (content, new) in [("1", "2"), ("2", "3")] {
        put("x.txt", content);
        assert_eq!(land(&target, new.as_bytes()).holds, Holds::New);
    }
    // One that is kept already, by a run that ended there, is not kept twice.
    std::fs::hard_link(temp.path().join("x.txt"), temp.path().join("x.txt~4")).unwrap();
    assert_eq!(land(&target, b"4").holds, Holds::New);
    let names = ["x.txt", "x.txt~", "x.txt~2", "x.txt~3", "x.txt~4"];
    let here = names.map(|name| std::fs::read_to_string(temp.path().join(name)).unwrap());
    assert_eq!(here, ["4", "somebody's", "1", "2", "3"]);
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), names.len());
}

#[test]
fn what_is_here_is_found_under_the_name_of_a_copy_as_well() {
    let remote = |has_values: bool| Remote {
        size: 3,
        modified: None,
        blake3: (!has_values).then(|| blake3::hash(b"new")),
        has_values,
    };
    let already = |target: &Target, has_values| {
        let dir = RemotePath::root();
        target
            .already(&dir, b"x.txt", remote(has_values), Told::default())
            .unwrap()
    };
    for rule in [OnConflict::Verify, OnConflict::Update] {
        for kind in ["link", "dir", "fifo"] {
            let (temp, target) = target(rule);
            put_in_the_way(temp.path(), kind);
            assert!(matches!(already(&target, false), Already::Fetch));
            std::fs::write(temp.path().join("x (1).txt"), "old").unwrap();
            assert!(matches!(already(&target, false), Already::Fetch));
            std::fs::write(temp.path().join("x (2).txt"), "new").unwrap();
            assert!(matches!(
                already(&target, false),
                Already::Here(name, _) if name == b"x (2).txt"
            ));
            assert!(matches!(
                already(&target, true),
                Already::Compare(part) if part.name == b"x (1).txt"
            ));
        }
    }
    // What is replaced is what counts, whatever copies there are.
    for (rule, found) in [(OnConflict::Verify, true), (OnConflict::Update, false)] {
        let (temp, target) = target(rule);
        std::fs::write(temp.path().join("x.txt"), "old").unwrap();
        std::fs::write(temp.path().join("x (1).txt"), "new").unwrap();
        let here = matches!(already(&target, false), Already::Here(..));
        assert_eq!(here, found, "{rule:?}");
        let mut old = target.old(target.handle(), b"x.txt", 3).unwrap();
        let mut content = String::new();
        std::io::Read::read_to_string(&mut old, &mut content).unwrap();
        assert_eq!(content == "new", found, "{rule:?}");
    }
}

#[test]
fn other_names_of_a_file_are_no_harm_where_it_is_only_read() {
    let (temp, target) = target(OnConflict::Verify);
    std::fs::write(temp.path().join("x.txt"), "new").unwrap();
    std::fs::hard_link(temp.path().join("x.txt"), temp.path().join("y")).unwrap();
    let remote = Remote {
        size: 3,
        modified: None,
        blake3: Some(blake3::hash(b"new")),
        has_values: true,
    };
    let already = target.already(&RemotePath::root(), b"x.txt", remote, Told::default());
    assert!(matches!(already.unwrap(), Already::Here(..)));
    assert_eq!(land(&target, b"new").holds, Holds::Equal);
}

#[test]
fn whatever_has_the_name_is_skipped() {
    let remote = Remote {
        size: 3,
        modified: None,
        blake3: None,
        has_values: true,
    };
    for kind in ["link", "dir", "fifo"] {
        let (temp, target) = target(OnConflict::Skip);
        let already = || target.already(&RemotePath::root(), b"x.txt", remote, Told::default());
        assert!(matches!(already().unwrap(), Already::Fetch));
        put_in_the_way(temp.path(), kind);
        assert!(
            matches!(already().unwrap(), Already::Here(_, proof) if proof.verified() == Verified::Unread),
            "{kind}"
        );
    }
}

#[test]
fn a_name_that_the_server_has_is_no_backups_and_no_parts() {
    let (temp, target) = target(OnConflict::Update);
    let target = target.keeping(true);
    let other = Target::open(temp.path(), OnConflict::Overwrite).unwrap();
    let other = other.beside(&target).keeping(true);
    std::fs::write(temp.path().join("file"), "").unwrap();
    // One whose directory cannot be made is no harm to the others.
    target.reserve(&[path("/file/y~"), path("/x.txt~"), path("/d/y")]);
    for (target, backup) in [(&target, "x.txt~2"), (&other, "x.txt~3")] {
        std::fs::write(temp.path().join("x.txt"), backup).unwrap();
        assert_eq!(land(target, b"new").holds, Holds::New);
        let read = |name: &str| std::fs::read_to_string(temp.path().join(name)).unwrap();
        assert_eq!((read("x.txt"), read(backup)), ("new".into(), backup.into()));
        assert!(!temp.path().join("x.txt~").exists());
    }
    // In its directory only.
    assert!(!target.is_reserved(target.handle(), b"y"));
    assert!(target.is_reserved(target.dir(&path("/d/")).unwrap().as_fd(), b"y"));
}
