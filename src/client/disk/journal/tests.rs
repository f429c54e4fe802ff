//! What a later run finds in the journal.

use super::*;
use crate::client::want::Rule;

const A: FileId = FileId { dev: 1, ino: 2 };
const B: FileId = FileId { dev: 1, ino: 3 };

/// The journal of a target on device 1.
fn open(state: &tempfile::TempDir) -> Journal {
    Journal::open(Some(state.path()), Path::new("/target"), Some(1), "origin")
}

fn file(dir: &Path) -> PathBuf {
    std::fs::read_dir(dir.join("journals"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path()
}

#[test]
fn parts_are_remembered_across_runs() {
    let temp = tempfile::tempdir().unwrap();
    let journal = open(&temp);
    journal.began(A);
    journal.began(B);
    journal.ended(B);
    drop(journal);
    let journal = open(&temp);
    assert!(journal.owns(A) && !journal.owns(B));
    assert!(journal.has_left() && journal.claim_left(B).is_none());
    let claim = journal.claim_left(A);
    assert!(claim.is_some() && journal.claim_left(A).is_none());
    drop(claim);
    journal.taken_up(A);
    assert!(journal.owns(A) && !journal.has_left() && journal.claim_left(A).is_none());
    let (state, target) = (Some(temp.path()), Path::new("/target"));
    assert!(!Journal::open(state, target, Some(1), "elsewhere").owns(A));
}

#[test]
fn parts_are_remembered_where_devices_have_other_numbers() {
    let temp = tempfile::tempdir().unwrap();
    let open = |dev| Journal::open(Some(temp.path()), Path::new("/target"), dev, "origin");
    let elsewhere = FileId { dev: 5, ino: 4 };
    let journal = open(Some(1));
    journal.began(A);
    journal.began(elsewhere);
    drop(journal);
    assert!(open(Some(1)).owns(elsewhere));
    let untold = open(None);
    assert!(untold.owns(A) && untold.owns(elsewhere));
    drop(untold);
    let journal = open(Some(7));
    assert!(journal.owns(FileId { dev: 7, ino: 2 }) && !journal.owns(A));
    assert!(!journal.owns(elsewhere), "it may be any file now");
    drop(journal);
    assert!(open(Some(7)).owns(FileId { dev: 7, ino: 2 }));
}

#[test]
fn what_a_part_holds_is_remembered_for_its_content_only() {
    let temp = tempfile::tempdir().unwrap();
    let content = |validator: &str| Content {
        validator: validator.into(),
        size: 9,
    };
    let journal = open(&temp);
    journal.began(A);
    journal.synced(A, content("one"), vec![0..2, 4..5]);
    journal.synced(A, content("one"), vec![0..3, 5..6]);
    journal.synced(B, content("one"), vec![0..1, 2..3]);
    drop(journal);
    let journal = open(&temp);
    assert_eq!(journal.pieces_of(A, &content("one")), [0..3, 5..6]);
    assert_eq!(journal.pieces_of(A, &content("two")), []);
    assert_eq!(journal.pieces_of(B, &content("one")), []);
}

/// A directory stands where the compacted journal is to be written.
#[test]
fn a_journal_that_cannot_be_compacted_goes_on_as_it_is() {
    let temp = tempfile::tempdir().unwrap();
    drop(open(&temp));
    let path = file(temp.path());
    std::fs::create_dir(path.with_extension("jsonl.new")).unwrap();
    for before in [&b""[..], &std::fs::read(&path).unwrap()] {
        std::fs::write(&path, before).unwrap();
        open(&temp).began(A);
        open(&temp).began(B);
        assert!(open(&temp).owns(A) && open(&temp).owns(B));
    }
    let whole = std::fs::read(&path).unwrap();
    // On a file system that tells no device, what is empty is no whole line either.
    std::fs::write(&path, "").unwrap();
    assert!(Journal::open(Some(temp.path()), Path::new("/target"), None, "origin").is_kept());
    std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
    let journal = open(&temp);
    journal.began(B);
    assert!(!journal.owns(A), "nothing is written behind a cut line");
    assert_eq!(std::fs::read(&path).unwrap(), whole[..whole.len() - 4]);
}

#[test]
fn what_was_asked_for_is_remembered_until_it_ends() {
    let temp = tempfile::tempdir().unwrap();
    let wanted = |name: &str| {
        let get = vec![name.to_owned()];
        let exclude = Vec::new();
        Wanted::new(
            &crate::client::Want::Patterns { get, exclude },
            None,
            Rule::default(),
        )
        .unwrap()
    };
    let journal = open(&temp);
    let first = journal.want(wanted("one"));
    let second = journal.want(wanted("two"));
    journal.settle(first);
    drop(journal);
    let journal = open(&temp);
    assert_eq!(journal.wanted(), [(second, wanted("two"))]);
    let third = journal.want(wanted("three"));
    assert!(third > second);
    drop(journal);
    let journal = open(&temp);
    journal.settle(second);
    journal.settle(third);
    drop(journal);
    assert_eq!(open(&temp).wanted(), []);
}

#[test]
fn a_look_changes_nothing_and_keeps_out_of_a_running_clients_way() {
    let temp = tempfile::tempdir().unwrap();
    let look = || Journal::look(temp.path(), Path::new("/target"), "origin");
    assert_eq!(look(), []);
    assert!(!temp.path().join("journals").exists());
    let journal = open(&temp);
    let (get, exclude) = (vec!["a".to_owned()], Vec::new());
    let want = crate::client::Want::Patterns { get, exclude };
    let wanted = Wanted::new(&want, None, Rule::default()).unwrap();
    let ticket = journal.want(wanted.clone());
    assert_eq!(look(), [], "it is another client's to go on with");
    drop(journal);
    let before = std::fs::read(file(temp.path())).unwrap();
    assert_eq!(look(), [(ticket, wanted)]);
    assert_eq!(std::fs::read(file(temp.path())).unwrap(), before);
}

#[test]
fn the_queue_keeps_its_order_and_its_limits() {
    let temp = tempfile::tempdir().unwrap();
    let wanted = |name: &str| {
        let (get, exclude) = (vec![name.to_owned()], Vec::new());
        Wanted::new(
            &crate::client::Want::Patterns { get, exclude },
            None,
            Rule::default(),
        )
        .unwrap()
    };
    let journal = open(&temp);
    let [a, b, c] = ["a", "b", "c"].map(|name| journal.want(wanted(name)));
    let mut slow = wanted("c");
    slow.set_limit(Some(crate::units::Rate(7)));
    slow.first = true;
    let gone = Ticket(99);
    journal.keep_queue(vec![
        (c, slow.clone()),
        (gone, wanted("gone")),
        (a, wanted("a")),
        (b, wanted("b")),
    ]);
    let after = [(c, slow.clone()), (a, wanted("a")), (b, wanted("b"))];
    assert_eq!(journal.wanted(), after);
    drop(journal);
    assert_eq!(open(&temp).wanted(), after, "from its lines");
    assert_eq!(open(&temp).wanted(), after, "and from the compacted ones");
    let journal = open(&temp);
    let d = journal.want(wanted("d"));
    journal.settle(a);
    drop(journal);
    let after = [(c, slow), (b, wanted("b")), (d, wanted("d"))];
    assert_eq!(open(&temp).wanted(), after);
}

#[test]
fn what_a_crash_left_while_it_was_compacted_is_no_obstacle() {
    let temp = tempfile::tempdir().unwrap();
    open(&temp).began(A);
    let path = file(temp.path());
    std::fs::write(path.with_extension("jsonl.new"), "half a li").unwrap();
    let journal = open(&temp);
    assert!(journal.owns(A));
    assert!(!open(&temp).owns(A), "it is locked, whichever file it is");
    drop(journal);
    assert!(open(&temp).owns(A) && !path.with_extension("jsonl.new").exists());
}

#[test]
fn a_journal_without_a_queue_is_read() {
    let temp = tempfile::tempdir().unwrap();
    drop(open(&temp));
    let old = "{\"journal\":{\"version\":1}}\n{\"began\":{\"dev\":1,\"ino\":2}}\n";
    std::fs::write(file(temp.path()), old).unwrap();
    assert!(open(&temp).owns(A));
}

#[test]
fn two_clients_never_share_a_journal() {
    let temp = tempfile::tempdir().unwrap();
    let first = open(&temp);
    first.began(A);
    let second = open(&temp);
    assert!(!second.owns(A));
    second.began(B);
    drop((first, second));
    assert!(open(&temp).owns(A) && !open(&temp).owns(B));
}

#[test]
fn a_client_that_gives_way_is_followed_by_one() {
    let temp = tempfile::tempdir().unwrap();
    let first = open(&temp);
    first.began(A);
    first.give_way(true);
    first.give_way(false);
    assert!(open(&temp).is_fleeting(), "it was taken back");
    first.give_way(true);
    let second = open(&temp);
    assert!(second.is_kept() && second.claim_left(A).is_some());
    first.give_way(true);
    assert!(open(&temp).is_fleeting(), "the second gives way to nobody");
    drop(first);
    assert!(open(&temp).is_fleeting(), "the second has it still");
    second.began(B);
    drop(second);
    assert!(open(&temp).owns(A) && open(&temp).owns(B));
}

#[test]
fn nothing_is_noted_after_it_was_let_go_of() {
    let temp = tempfile::tempdir().unwrap();
    let first = open(&temp);
    first.began(A);
    first.let_go();
    first.began(B);
    assert!(first.is_kept(), "a later run can read it");
    let second = open(&temp);
    assert!(second.owns(A) && !second.owns(B));
}

#[test]
fn a_journal_that_is_let_go_of_just_now_is_waited_for() {
    let temp = tempfile::tempdir().unwrap();
    let first = open(&temp);
    assert!(first.is_kept());
    let path = file(temp.path());
    std::thread::scope(|scope| {
        let second = scope.spawn(|| log::lock(&path, Duration::from_secs(60)));
        // Long enough for it to find the lock held, as a rule; it has to get it whenever it comes.
        std::thread::sleep(Duration::from_millis(30));
        drop(first);
        assert!(second.join().unwrap().is_ok());
    });
    let held = open(&temp);
    assert!(held.is_kept() && !held.is_fleeting());
    for other in [open(&temp), Journal::default()] {
        assert!(!other.is_kept() && other.is_fleeting());
    }
}

#[test]
fn a_part_has_one_job_at_a_time() {
    let journal = Journal::default();
    let claim = journal.claim(A).unwrap();
    assert!(journal.claim(A).is_none() && journal.claim(B).is_some());
    let soon = Duration::from_secs(60);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| journal.claim_within(A, soon).is_some());
        drop(claim);
        assert!(waits.join().unwrap());
    });
    assert!(journal.claim(A).is_some());
}

#[test]
fn a_cut_line_is_dropped_and_damage_is_set_aside() {
    let temp = tempfile::tempdir().unwrap();
    let journal = open(&temp);
    journal.began(A);
    journal.began(B);
    drop(journal);
    let path = file(temp.path());
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();
    let journal = open(&temp);
    assert!(journal.owns(A) != journal.owns(B));
    assert!(!path.with_extension("jsonl.bad").exists());
    drop(journal);
    let (first, rest) = whole.split_once('\n').unwrap();
    for damage in [
        "nonsense\n",
        "{\"journal\":{\"version\":9}}\n",
        "{\"began\":{\"dev\":1,\"ino\":2}}\n",
        &first[..first.len() - 4],
        &format!("{first}\n{first}\n{rest}"),
        &format!("{first}\nnonsense\n{rest}"),
    ] {
        std::fs::write(&path, damage).unwrap();
        assert!(!open(&temp).owns(A), "{damage}");
        let aside = path.with_extension("jsonl.bad");
        assert_eq!(std::fs::read_to_string(&aside).unwrap(), damage);
        std::fs::remove_file(aside).unwrap();
    }
}
