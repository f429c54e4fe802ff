//! The schedule on virtual time, against servers, a disk and a user that a seed makes up.
//!
//! After every step it is checked that nothing is lost, doubled, or asked of a server that wants to be left alone, and
//! that nobody waits for nothing; once all trouble is over everything must end. A seed that fails is printed with the
//! command that replays it.

mod server;
mod world;

use world::{ODD, World};

/// Seeds that the ordinary test runs.
const SEEDS: u64 = 2_000;

/// Seeds that failed once.
const ONCE: [u64; 24] = [
    313, 499, 916, 960, 1013, 1119, 1216, 1321, 1367, 1466, 1774, 1904, 3333, 3895, 4553, 5653,
    7068, 7717, 9819, 18118, 54552, 55930, 58250, 59279,
];

/// What went wrong with a seed.
fn failure(seed: u64) -> Option<String> {
    let cause = std::panic::catch_unwind(|| World::new(seed).run()).err()?;
    let text = cause.downcast_ref::<String>().cloned();
    let text = text.or_else(|| Some((*cause.downcast_ref::<&str>()?).to_owned()));
    Some(format!(
        "seed {seed}: {}\nreplay: HAUL_SEED={seed} cargo test --release --lib client::schedule::sim::one -- --ignored --nocapture",
        text.unwrap_or_default()
    ))
}

fn run(seeds: impl IntoIterator<Item = u64>) {
    let failures: Vec<String> = seeds.into_iter().filter_map(failure).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Those that `HAUL_SEEDS` names, as a count or as `first..end`.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let Ok(given) = std::env::var("HAUL_SEEDS") else {
        return 0..default;
    };
    let number = |text: &str| text.parse().expect("HAUL_SEEDS: a count, or first..end");
    match given.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => 0..number(&given),
    }
}

#[test]
fn whatever_goes_wrong_nothing_is_lost_and_all_ends() {
    run(ONCE);
    // Debug builds check more and are slower: fewer seeds there.
    let count = if cfg!(debug_assertions) {
        SEEDS / 20
    } else {
        SEEDS
    };
    let seeds = seeds(count);
    let odd = (seeds.end - seeds.start) / 4;
    run(seeds.clone());
    run((seeds.start..seeds.start + odd).map(|seed| seed + ODD));
}

/// Those whose servers are odd begin at 4294967296.
/// `HAUL_SEED=N cargo test --release --lib client::schedule::sim::one -- --ignored --nocapture`
#[test]
#[ignore = "replays one seed"]
fn one() {
    let seed = std::env::var("HAUL_SEED").ok();
    let seed = seed.and_then(|seed| seed.parse().ok());
    World::new(seed.expect("HAUL_SEED names the seed"))
        .verbose()
        .run();
}
