//! A job on a file in a temporary directory, and connections that only its calls know.

use std::os::fd::AsFd;

use super::*;
use crate::{
    client::ItemId, config::OnConflict, http1::path::RemotePath, pieces::PIECE, sys::disk,
};

fn job(size: u64) -> (tempfile::TempDir, Job) {
    let temp = tempfile::tempdir().unwrap();
    let target = Arc::new(Target::open(temp.path(), OnConflict::Verify).unwrap());
    let dir = target.dir(&RemotePath::root()).unwrap();
    let part = Part {
        claim: None,
        file: disk::new_file(dir.as_fd(), b"x.part").unwrap(),
        dir,
        name: b"x.part".to_vec(),
        left: 0,
        known: Vec::new(),
    };
    let facts = Facts {
        size,
        ranges: true,
        pieces: true,
        ..Facts::default()
    };
    let path = RemotePath::from_target(b"/x").unwrap();
    let task = FileTask::new(ItemId::default(), path);
    let job = Job::new(task, target, facts, part, Arc::default(), 3);
    job.start(0);
    (temp, job)
}

fn value_of(piece: u32, bytes: &[u8]) -> PieceHasher {
    let mut hasher = PieceHasher::new(piece);
    hasher.update(bytes);
    hasher
}

/// Two connections fetch the last piece, and what they get differs: what is on the disk is what was hashed, whoever was
/// first, and however the writes meet.
#[test]
fn what_counts_of_a_raced_piece_is_what_is_on_the_disk() {
    const STEP: usize = 256 * 1024;
    let slow_bytes = vec![1; PIECE as usize];
    let fast_bytes = vec![2; PIECE as usize];
    let source = SourceId::default();
    for round in 0..400 {
        let (_temp, job) = job(2 * PIECE);
        let mut first = job.state().plan.take(1, 1, Instant::now()).unwrap();
        job.begin(&mut first);
        let done = value_of(0, &slow_bytes);
        job.piece_received((first.id, source), 0, Some(&done), None)
            .unwrap();
        job.end(&first, true);
        let mut slow = job.state().plan.take(1, 1, Instant::now()).unwrap();
        job.begin(&mut slow);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (step, bytes) in slow_bytes.chunks(STEP).enumerate() {
                    let at = PIECE + (step * STEP) as u64;
                    if !job.write(slow.id, 1, at, bytes).unwrap() {
                        return;
                    }
                }
                let value = value_of(1, &slow_bytes);
                job.piece_received((slow.id, source), 1, Some(&value), None)
                    .unwrap();
            });
            let value = value_of(1, &fast_bytes);
            // Later each round: somewhere in the slow one's writes.
            (0..round * 20).for_each(|_| std::hint::spin_loop());
            let stolen = job.state().plan.steal(Instant::now(), Duration::ZERO);
            if let Some(fast) = stolen {
                job.piece_received((fast.id, source), 1, Some(&value), Some(&fast_bytes))
                    .unwrap();
            }
        });
        let counted = job.state().local[1].unwrap();
        let mut there = vec![0; PIECE as usize];
        job.part().file.read_exact_at(&mut there, PIECE).unwrap();
        assert!(value_of(1, &there).value() == counted, "round {round}");
    }
}
