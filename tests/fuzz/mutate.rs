//! Inputs for parsers: the corpus of a target, and what seeded changes make of it. Shared by unit and integration tests.

use std::{fs, panic::AssertUnwindSafe, path::Path};

/// Pieces of text that parsers turn on.
const WORDS: [&[u8]; 22] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\0",
    b"\xff",
    b"\x1b[",
    b"..",
    b"/",
    b"%00",
    b"%2f",
    b"\"",
    b"\\",
    b",",
    b";",
    b"=",
    b"-1",
    b"0",
    b"18446744073709551615",
    b"18446744073709551616",
    b"4294967296",
    b"<!--",
    b"[[[[[[[[",
];
/// Changed inputs for each target where `HAUL_FUZZ_ROUNDS` names no other number.
const ROUNDS: u64 = 3000;
/// Longest input, in bytes.
const LONGEST: usize = 64 << 10;

/// Gives `check` every file of `tests/fuzz/corpus/TARGET`, then changed ones: `HAUL_FUZZ_ROUNDS` of them, from the seed
/// `HAUL_FUZZ_SEED`. What makes it panic is printed as a Rust byte string, to be kept in the corpus.
pub fn fuzz(target: &str, check: impl Fn(&[u8])) {
    fuzz_with(target, number("HAUL_FUZZ_ROUNDS", ROUNDS), check);
}

/// The same, with a tenth of the changed inputs: for checks that wait for a disk.
pub fn fuzz_slow(target: &str, check: impl Fn(&[u8])) {
    fuzz_with(target, number("HAUL_FUZZ_ROUNDS", ROUNDS) / 10, check);
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

fn fuzz_with(target: &str, rounds: u64, check: impl Fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!corpus.is_empty(), "{target} has no corpus");
    let mut random = fastrand::Rng::with_seed(number("HAUL_FUZZ_SEED", 1));
    let tried = |input: &[u8]| {
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| check(input)));
        assert!(
            outcome.is_ok(),
            "{target} gives way: b\"{}\"",
            input.escape_ascii()
        );
    };
    for input in &corpus {
        tried(input);
    }
    for _ in 0..rounds {
        let mut input = corpus[random.usize(..corpus.len())].clone();
        for _ in 0..random.usize(1..8) {
            change(&mut input, &corpus, &mut random);
        }
        input.truncate(LONGEST);
        tried(&input);
    }
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut fastrand::Rng) {
    let at = random.usize(..=input.len());
    let end = at + random.usize(..=(input.len() - at).min(40));
    match random.u8(..8) {
        0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
        1 if at < input.len() => input[at] = random.u8(..),
        2 => drop(input.drain(at..end)),
        3 => {
            let again = input[at..end].repeat(random.usize(1..20));
            input.splice(at..at, again);
        }
        4 => {
            let other = &corpus[random.usize(..corpus.len())];
            let from = random.usize(..=other.len());
            input.splice(at.., other[from..].iter().copied());
        }
        5 => input.truncate(at),
        _ => {
            let word = WORDS[random.usize(..WORDS.len())];
            input.splice(at..end, word.iter().copied());
        }
    }
}
