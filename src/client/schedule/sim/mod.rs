//! The schedule on virtual time, against servers, a disk and a user that a seed makes up.
//!
//! After every step it is checked that nothing is lost, doubled, or asked of a server that wants to be left alone, and
//! that nobody waits for nothing; once all trouble is over everything must end. A seed that fails is printed with the
//! command that replays it.

mod server;
mod world;

use world::{LEFT, ODD, STOPS, WISHES, World};

/// Seeds that the ordinary test runs.
const SEEDS: u64 = 2_000;

/// Seeds that failed once.
const ONCE: [u64; 28] = [
    313,
    499,
    916,
    960,
    1013,
    1119,
    1216,
    1321,
    1367,
    1466,
    1774,
    1904,
    3333,
    3895,
    4553,
    5653,
    6071,
    7068,
    7717,
    9819,
    18118,
    54552,
    55930,
    58250,
    59279,
    4_294_968_553,
    4_294_988_644,
    17_179_870_615,
];

/// The same, where servers redirect.
const ONCE_REDIRECTING: [u64; 22] = [
    1,
    12,
    16,
    174,
    290,
    339,
    476,
    624,
    699,
    1839,
    6381,
    6795,
    7112,
    40795,
    43405,
    49005,
    69814,
    87391,
    4_294_998_448,
    4_295_019_028,
    12_884_903_075,
    12_884_903_090,
];

/// What went wrong in a seed's world; or in the same with servers that redirect.
fn failure(seed: u64, redirecting: bool) -> Option<String> {
    let outcome = std::panic::catch_unwind(|| {
        let world = World::new(seed);
        if redirecting {
            world.redirecting().run();
        } else {
            world.run();
        }
    });
    let cause = outcome.err()?;
    let text = cause.downcast_ref::<String>().cloned();
    let text = text.or_else(|| Some((*cause.downcast_ref::<&str>()?).to_owned()));
    let mark = if redirecting { "r" } else { "" };
    Some(format!(
        "seed {seed}{mark}: {}\nreplay: HAUL_SEED={seed}{mark} cargo test --release --lib client::schedule::sim::one -- --ignored --nocapture",
        text.unwrap_or_default()
    ))
}

fn run(seeds: impl IntoIterator<Item = u64>, redirecting: bool) {
    let seeds = seeds.into_iter();
    let failures: Vec<_> = seeds
        .filter_map(|seed| failure(seed, redirecting))
        // At once: a long run goes on for a quarter of an hour.
        .inspect(|failure| eprintln!("{failure}"))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Those that `HAUL_SEEDS` names, as a count or as `first..end`, and whether servers redirect: both, or with an `r` at the end
/// only where they do, with a `p` only where they do not.
fn seeds(default: u64) -> (std::ops::Range<u64>, &'static [bool]) {
    let Ok(given) = std::env::var("HAUL_SEEDS") else {
        return (0..default, &[false, true]);
    };
    let number = |text: &str| text.parse().expect("HAUL_SEEDS: a count, or first..end");
    let (range, kinds): (_, &[bool]) = match given.as_bytes().last() {
        Some(b'r') => (&given[..given.len() - 1], &[true]),
        Some(b'p') => (&given[..given.len() - 1], &[false]),
        _ => (&given[..], &[false, true]),
    };
    let seeds = match range.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => 0..number(range),
    };
    (seeds, kinds)
}

#[test]
fn whatever_goes_wrong_nothing_is_lost_and_all_ends() {
    run(ONCE, false);
    run(ONCE_REDIRECTING, true);
    // Debug builds check more and are slower: fewer seeds there.
    let count = if cfg!(debug_assertions) {
        SEEDS / 20
    } else {
        SEEDS
    };
    let (seeds, kinds) = seeds(count);
    let odd = (seeds.end - seeds.start) / 4;
    let some = seeds.start..seeds.start + odd;
    let odd = some.clone().map(|seed| seed + ODD);
    let odd = odd.chain(some.clone().map(|seed| seed + WISHES));
    let odd = odd.chain(some.clone().map(|seed| seed + LEFT));
    let odd = odd.chain(some.map(|seed| seed + STOPS));
    for &redirecting in kinds {
        run(seeds.clone(), redirecting);
        run(odd.clone(), redirecting);
    }
}

/// Those whose servers are odd begin at 4294967296, those whose user limits items at 8589934592, those where something
/// lies here already at 12884901888, those where the run is stopped at 25769803776.
/// `HAUL_SEED=N`, or `Nr` where servers redirect, and `cargo test --release --lib client::schedule::sim::one -- --ignored --nocapture`
#[test]
#[ignore = "replays one seed"]
fn one() {
    let seed = std::env::var("HAUL_SEED").expect("HAUL_SEED names the seed");
    let number = seed.trim_end_matches('r');
    let world = World::new(number.parse().expect("a number")).verbose();
    if number == seed {
        world.run();
    } else {
        world.redirecting().run();
    }
}
