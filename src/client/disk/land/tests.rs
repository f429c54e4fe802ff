//! Parts as they lie on the disk: what of them counts, and what lands.

use std::{fs::File, time::Duration};

use super::*;
use crate::{client::disk::part::Old, pieces::PIECE};

/// Two whole pieces and a little of a third.
const SIZE: u64 = 2 * PIECE + 70_000;

/// What the server has: no two of its bytes' neighbourhoods are the same.
fn content() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    let mut content = vec![0; SIZE as usize];
    random.fill(&mut content);
    content
}

fn value(index: u32, content: &[u8]) -> Value {
    let at = u64::from(index) * PIECE;
    let end = at + pieces::len(SIZE, index);
    let mut hasher = PieceHasher::new(index);
    hasher.update(&content[at as usize..end as usize]);
    hasher.value()
}

fn empty() -> (tempfile::TempDir, OpenPart) {
    OpenPart::empty(SIZE)
}

fn old(content: &[u8], fresh: bool) -> Old {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(content, 0).unwrap();
    Old { file, fresh }
}

fn write(part: &OpenPart, at: u64, bytes: &[u8]) {
    part.write_guard().write(at, bytes).unwrap();
}

fn hashed(part: &OpenPart, index: u32) -> Option<Value> {
    part.hash_piece(index, &mut Vec::new()).unwrap()
}

#[test]
fn a_piece_that_was_never_written_has_no_value() {
    let (content, (_temp, mut part)) = (content(), empty());
    let last = &content[2 * PIECE as usize..];
    write(&part, 2 * PIECE, last);
    assert_eq!(hashed(&part, 0), None);
    assert_eq!(hashed(&part, 2), Some(value(2, &content)));
    // One that is only compared has its holes as well.
    part.compares = true;
    assert_eq!(hashed(&part, 0), Some(value(0, &vec![0; SIZE as usize])));
}

#[test]
fn what_was_never_written_is_copied_from_the_old_file() {
    let (content, (_temp, mut part)) = (content(), empty());
    let other = vec![7; PIECE as usize];
    write(&part, 0, &other);
    // The old one ends within the last piece.
    part.part.old = Some(old(&content[..SIZE as usize - 1], false));
    assert_eq!(hashed(&part, 0), Some(value(0, &vec![7; SIZE as usize])));
    assert_eq!(hashed(&part, 1), Some(value(1, &content)));
    assert_eq!(hashed(&part, 2), None);
    let there = part.read(PIECE, PIECE as usize).unwrap();
    assert!(there == content[PIECE as usize..2 * PIECE as usize]);
    // What was only reserved may look as if it was written.
    part.part.old = Some(old(&content, true));
    assert_eq!(hashed(&part, 0), Some(value(0, &content)));
}

#[test]
fn a_piece_that_moved_is_copied_from_where_it_stands() {
    let (content, (_temp, mut part)) = (content(), empty());
    let copied = |part: &OpenPart, index, from| {
        let copied = part.copy_moved(index, from, &mut Vec::new());
        copied.unwrap()
    };
    assert_eq!(copied(&part, 1, 0), None);
    part.part.old = Some(old(
        &[&[1; 333], &content[PIECE as usize..]].concat(),
        false,
    ));
    assert_eq!(copied(&part, 1, 333), Some(value(1, &content)));
    assert_eq!(copied(&part, 2, 333 + PIECE), Some(value(2, &content)));
    let there = part.read(PIECE, (SIZE - PIECE) as usize).unwrap();
    assert!(there == content[PIECE as usize..]);
    assert_eq!(copied(&part, 2, 334 + PIECE), None);
}

#[test]
fn only_blocks_that_are_what_was_told_are_written() {
    let (content, (_temp, part)) = (content(), empty());
    let of_piece = |index: u32| {
        let at = u64::from(index) * PIECE;
        let end = at + pieces::len(SIZE, index);
        blocks::values(at, &content[at as usize..end as usize]).collect::<Vec<_>>()
    };
    let told = of_piece(1);
    let mut here = vec![Value::default(); told.len()];
    let at = PIECE + 2 * blocks::BLOCK;
    let bytes = &content[at as usize..(at + 3 * blocks::BLOCK) as usize];
    let mut wrong = bytes.to_vec();
    wrong[40_000] ^= 1;
    let refused = part.patch(1, at, &wrong, &told, &mut here);
    assert!(matches!(refused, Err(Error::Integrity { piece: Some(1) })));
    // What is right for another place is wrong here.
    assert!(
        part.patch(1, at + blocks::BLOCK, bytes, &told, &mut here)
            .is_err()
    );
    assert!(disk::is_hole(&part.part.file, 0, SIZE));
    assert!(here.iter().all(|value| *value == Value::default()));
    part.patch(1, at, bytes, &told, &mut here).unwrap();
    assert!(part.read(at, bytes.len()).unwrap() == bytes);
    assert_eq!(here[2..5], told[2..5]);
    assert_eq!((here[1], here[5]), Default::default());
    // The last block of a file may be shorter, and nothing is behind it.
    let told = of_piece(2);
    let at = 2 * PIECE + 4 * blocks::BLOCK;
    part.patch(2, at, &content[at as usize..], &told, &mut here)
        .unwrap();
    let behind = at + blocks::BLOCK;
    assert!(part.patch(2, behind, b"more", &told, &mut here).is_err());
}

/// What a Metalink tells, in pieces that end where none of ours does.
fn told(content: &[u8]) -> PieceDigests {
    let length = PIECE / 2 + 1000;
    let digests = content.chunks(length as usize);
    let digests = digests.map(|piece| Digest::Blake3(blake3::hash(piece)));
    PieceDigests::new(SIZE, length, digests.collect()).unwrap()
}

#[test]
fn of_what_an_earlier_run_left_that_is_known_which_digests_prove() {
    let (content, (_temp, mut part)) = (content(), empty());
    let told = told(&content);
    let known = |part: &mut OpenPart, left| {
        part.part.left = left;
        part.judge_left(&told).unwrap();
        assert_eq!(part.part.left, 0);
        let known = part.part.known.drain(..);
        known.flatten().collect::<Vec<u32>>()
    };
    assert!(known(&mut part, SIZE).is_empty());
    write(&part, 0, &content);
    assert_eq!(known(&mut part, SIZE), [0, 1, 2]);
    // What is right of it counts no further than it goes: the second of theirs ends in the second of ours.
    assert_eq!(known(&mut part, SIZE - 1), [0, 1]);
    assert_eq!(known(&mut part, PIECE + 2000), [0]);
    assert!(known(&mut part, PIECE + 1999).is_empty());
    // A wrong byte makes each piece wrong that its digest's reaches into.
    write(&part, 2 * PIECE + 60_000, b"!!");
    assert_eq!(known(&mut part, SIZE), [0, 1]);
    write(&part, 2 * PIECE + 3000, b"!!");
    assert_eq!(known(&mut part, SIZE), [0]);
    write(&part, 0, &content);
    write(&part, 0, b"!!");
    assert_eq!(known(&mut part, SIZE), [1, 2]);
    // What is a hole is as wrong as it, and what the old file gives as right.
    let (_temp, mut sparse) = empty();
    write(&sparse, 0, &content[..PIECE as usize]);
    assert!(known(&mut sparse, SIZE).is_empty());
    sparse.part.old = Some(old(&content, false));
    assert_eq!(known(&mut sparse, SIZE), [0, 1, 2]);
}

fn unverified() -> Proof {
    Proof::of_content(b"", None, []).unwrap()
}

fn landed(part: &OpenPart) -> Result<Verified, Error> {
    let (name, proof) = part.land(unverified(), |_| None)?;
    assert_eq!(name, b"x");
    Ok(proof.verified())
}

fn whole(content: &[u8]) -> Digest {
    Digest::Blake3(blake3::hash(content))
}

#[test]
fn a_part_gets_its_name_with_its_date_and_what_its_digests_prove() {
    let content = content();
    for (digest, has_values, verified) in [
        (None, false, Ok(Verified::Unverified)),
        (Some(whole(&content)), false, Ok(Verified::Blake3)),
        (Some(whole(b"")), false, Err(())),
        // Its values prove it, and are told by the same server.
        (Some(whole(b"")), true, Ok(Verified::Unverified)),
    ] {
        let (temp, mut part) = empty();
        write(&part, 0, &content);
        let date = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        part.facts.modified = Some(date);
        (part.facts.digest, part.facts.pieces) = (digest, has_values);
        let landed = landed(&part);
        let failed = matches!(landed, Err(Error::Integrity { piece: None }));
        assert_eq!(failed, verified.is_err());
        assert_eq!(temp.path().join("x.part").exists(), failed);
        assert_eq!(temp.path().join("x").exists(), !failed);
        if let Ok(verified) = verified {
            assert_eq!(landed.unwrap(), verified);
            let there = File::open(temp.path().join("x")).unwrap();
            assert_eq!(there.metadata().unwrap().modified().unwrap(), date);
        }
    }
}

#[test]
fn what_a_user_or_a_metalink_asks_for_decides() {
    let content = content();
    let (right, wrong) = (whole(&content), whole(b""));
    let mut changed = content.clone();
    changed[9] ^= 1;
    for (checksum, pieces, is_landed) in [
        (Some(&right), None, true),
        (Some(&wrong), None, false),
        (None, Some(&content), true),
        (None, Some(&changed), false),
        // The digest of the whole is what the user asked for.
        (Some(&right), Some(&changed), true),
    ] {
        let (_temp, mut part) = empty();
        write(&part, 0, &content);
        part.task.checksum = checksum.cloned().map(Box::new);
        part.task.pieces = pieces.map(|content| told(content).into());
        assert_eq!(landed(&part).is_ok(), is_landed);
    }
}

#[test]
fn a_published_list_is_asked_about_what_nothing_else_proved() {
    let content = content();
    for (digest, is_proved) in [(None, false), (Some(whole(&content)), true)] {
        for is_right in [true, false] {
            let (_temp, mut part) = empty();
            write(&part, 0, &content);
            part.facts.digest = digest.clone();
            let landed = part.land(unverified(), |proved| {
                assert_eq!(proved, is_proved);
                Some(Listed {
                    digest: whole(if is_right { &content } else { b"" }),
                    word: "SHA256SUMS",
                    differs: Error::Broken("differs".into()),
                })
            });
            match landed {
                Ok((_, proof)) => {
                    let listed = Verified::Listed("SHA256SUMS");
                    let verified = if is_proved { Verified::Blake3 } else { listed };
                    assert!(is_right && proof.verified() == verified);
                }
                Err(error) => assert!(!is_right && matches!(error, Error::Broken(_))),
            }
        }
    }
}

#[test]
fn a_part_of_another_size_does_not_land_and_what_is_compared_keeps_its_name() {
    let (temp, mut part) = empty();
    part.part.file.set_len(SIZE + 1).unwrap();
    assert!(matches!(landed(&part), Err(Error::Disk { .. })));
    assert!(temp.path().join("x.part").exists());
    part.compares = true;
    let (name, proof) = part.land(unverified(), |_| None).unwrap();
    assert_eq!(
        (name, proof.verified()),
        (b"x.part".to_vec(), Verified::Present)
    );
}
