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
    #[cfg(haul_libfuzzer)]
    if let Ok(chosen) = std::env::var("HAUL_FUZZ_TARGET") {
        if chosen == target {
            guided::run(&check);
        }
        return;
    }
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

/// The same checks under libFuzzer, which is guided by what the code's branches do: `tests/outside/fuzz`.
#[cfg(haul_libfuzzer)]
#[expect(unsafe_code, reason = "libFuzzer is called, and calls back")]
mod guided {
    use std::{
        cell::Cell,
        ffi::{CString, c_char, c_int},
        panic::AssertUnwindSafe,
        process::abort,
        slice,
    };

    // It brings the symbols.
    use libfuzzer_sys as _;

    unsafe extern "C" {
        fn LLVMFuzzerRunDriver(
            argc: *mut c_int,
            argv: *mut *mut *mut c_char,
            check: extern "C" fn(*const u8, usize) -> c_int,
        ) -> c_int;
    }

    thread_local! {
        static CHECK: Cell<Option<&'static dyn Fn(&[u8])>> = const { Cell::new(None) };
    }

    extern "C" fn one(bytes: *const u8, len: usize) -> c_int {
        let input = if len == 0 {
            &[]
        } else {
            // SAFETY: libFuzzer hands over so many bytes, for as long as this runs.
            unsafe { slice::from_raw_parts(bytes, len) }
        };
        let Some(check) = CHECK.get() else { abort() };
        if std::panic::catch_unwind(AssertUnwindSafe(|| check(input))).is_err() {
            // It writes the input down and ends.
            abort();
        }
        0
    }

    /// Runs libFuzzer with the arguments in `HAUL_FUZZ_ARGS`; it ends the process.
    pub fn run(check: &dyn Fn(&[u8])) {
        // SAFETY: the driver calls back on this thread only, and ends the process before `check` ends.
        CHECK.set(Some(unsafe {
            std::mem::transmute::<&dyn Fn(&[u8]), &'static dyn Fn(&[u8])>(check)
        }));
        let given = std::env::var("HAUL_FUZZ_ARGS").unwrap_or_default();
        let args = std::iter::once("haul").chain(given.split_whitespace());
        let args: Vec<_> = args.map(|arg| CString::new(arg).unwrap()).collect();
        let mut pointers: Vec<_> = args.iter().map(|arg| arg.as_ptr().cast_mut()).collect();
        let mut count = pointers.len() as c_int;
        pointers.push(std::ptr::null_mut());
        let mut argv = pointers.as_mut_ptr();
        // SAFETY: `argv` holds `count` strings and a null pointer behind them, and all of it outlives the call.
        let status = unsafe { LLVMFuzzerRunDriver(&raw mut count, &raw mut argv, one) };
        std::process::exit(status);
    }
}
