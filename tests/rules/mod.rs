//! What becomes of what has a file's name: each thing that may have it, with what may stand beside it, under each rule, from each kind
//! of server. [`model`] says in few words what docs/UPDATE.md promises; each run is held against it, and what `--dry-run` told before.

mod bench;
mod kinds;
mod model;

use self::{
    bench::{Bench, finished},
    kinds::Kind,
    model::{Content, NAME, RULES, State, Thing},
};

/// More than one piece, and not a whole one.
const LARGE: usize = (1 << 20) + 5;

/// A directory of the target for each of these, in which the file is to land.
fn cells(
    names: &[Option<Thing>],
    copies: &[Option<Thing>],
    backups: &[Option<Thing>],
) -> Vec<State> {
    let mut cells = Vec::new();
    for name in names {
        for copy in copies {
            for backup in backups {
                let things = [(NAME, name), ("f (1).txt", copy), ("f.txt~", backup)];
                let there = things.into_iter().filter_map(|(name, thing)| {
                    let thing = thing.clone()?;
                    Some((name.to_owned(), thing))
                });
                cells.push(there.collect());
            }
        }
    }
    cells
}

/// Everything that may have the file's name.
fn things() -> Vec<Option<Thing>> {
    use Content::{Empty, Long, New, Other, Short};
    let files = [
        (New, true),
        (New, false),
        (Other, true),
        (Other, false),
        (Short, true),
        (Long, false),
        (Empty, true),
    ];
    let files = files.map(|(content, dated)| Thing::File(content, dated));
    let others = [
        Thing::Dir,
        Thing::Fifo,
        Thing::Link("new"),
        Thing::Link("other"),
        Thing::Link("dir"),
        Thing::Link("nowhere"),
    ];
    let things = files.into_iter().chain(others).map(Some);
    [None].into_iter().chain(things).collect()
}

/// Two runs with each rule.
fn hold(kind: &Kind, cells: &[State]) {
    let mut wrong = Vec::new();
    for rule in RULES {
        let bench = Bench::new(kind, rule, cells);
        for run in 1..=2 {
            let before = bench.look(cells.len());
            let would = kind.lists.then(|| bench.would(&before));
            let told = bench.run(&[]);
            let after = bench.look(cells.len());
            let finished = finished(&told);
            for (cell, (before, after)) in before.iter().zip(&after).enumerate() {
                let would = would.as_ref().map(|would| &*would[&cell]);
                let told = finished.get(&format!("{cell}/{NAME}")).copied();
                if let Err(why) = bench.is_right(before, after, would, told) {
                    wrong.push(format!("{bench}, run {run}: {why}, of {before:?}"));
                }
            }
            bench.assert_outside();
        }
    }
    let few = &wrong[..wrong.len().min(20)];
    assert!(wrong.is_empty(), "{} cells: {few:#?}", wrong.len());
}

/// All of it, of a file that is small.
fn small(kind: impl Fn(usize, usize) -> Kind) {
    use Content::{New, Other, Short};
    let file = |content, dated| Some(Thing::File(content, dated));
    let beside = [
        None,
        file(New, true),
        file(Other, true),
        file(Other, false),
        Some(Thing::Dir),
    ];
    let backups = [file(Short, false), Some(Thing::Link("nowhere"))];
    let mut all = cells(&things(), &beside, &[None]);
    all.extend(cells(&things(), &[None], &backups));
    hold(&kind(700, all.len()), &all);
    let few = &all[..40];
    hold(&kind(0, few.len()), few);
}

/// The half of it, of a file that is fetched in pieces.
fn large(kind: impl Fn(usize, usize) -> Kind) {
    let beside = [
        None,
        Some(Thing::File(Content::New, true)),
        Some(Thing::File(Content::Other, true)),
    ];
    let cells = cells(&things(), &beside, &[None]);
    hold(&kind(LARGE, cells.len()), &cells);
}

/// A test of small files and one of large ones for a kind of server.
macro_rules! table {
    ($($kind:ident)*) => {$(
        mod $kind {
            #[test]
            fn small() {
                super::small(super::kinds::$kind);
            }

            #[test]
            fn large() {
                super::large(super::kinds::$kind);
            }
        }
    )*};
}

table! { haul nginx undated unsized_ listed digest pieces weak unproved }
