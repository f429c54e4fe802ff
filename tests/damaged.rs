//! Downloads through a proxy that flips bits at seeded places, by the real program: whatever is damaged, and however the
//! download is made, nothing wrong is called right, and everything ends.
//!
//! A case is all that follows from its seed. `HAUL_TESTS_SEED=N cargo test --release --locked
//! damaged::one_download_by_its_seed -- --ignored --nocapture` runs one again and shows what it is.

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    process::{Child, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use fastrand::Rng;
use haul::pieces;
use sha2::{Digest as _, Sha256};

use crate::common::{
    program::Haul,
    proxy::{Line, Proxy, proxy},
    scripted::{Scripted, file, not_found, ok, scripted},
    serving::{Serving, serve},
    tools::amount,
    trees::{content, hex, quick_temp},
};

const MIB: u64 = 1 << 20;
/// Around the borders that matter: empty, less than a piece, one, several, an odd end.
const SIZES: [u64; 9] = [
    0,
    1,
    65_537,
    MIB,
    MIB + 1,
    2 * MIB,
    5 * MIB + 7,
    12 * MIB - 1,
    24 * MIB + 4097,
];
/// Nothing takes this long but what never ends.
const BOUND: Duration = Duration::from_secs(300);
/// Cases that run side by side.
const THREADS: usize = 3;

/// What there is to hold the bytes against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Values of pieces: it is a haul.
    Values,
    /// The same, and a digest on the command line.
    ValuesAndChecksum,
    /// The same, and a digest in a Metalink.
    ValuesAndMetalink,
    /// Nothing at all.
    Nothing,
    /// `Repr-Digest`.
    Field,
    /// A digest on the command line.
    Checksum,
    /// A digest in a Metalink.
    Metalink,
}

#[derive(Debug)]
struct Case {
    seed: u64,
    told: Told,
    size: usize,
    connections: &'static str,
    to_stdout: bool,
    /// Bytes after which it is killed, to be started again.
    killed_at: Option<u64>,
    /// What is done on the way from each server; the second is a mirror.
    damage: Vec<Damage>,
}

#[derive(Debug, Default)]
struct Damage {
    body: Vec<u64>,
    list: Vec<u64>,
    /// Which head, which byte of it, which bit.
    heads: Vec<(usize, usize, u8)>,
}

impl Damage {
    fn by(random: &mut Rng, size: u64) -> Self {
        let mut damage = Self::default();
        if random.u8(..4) > 0 && size > 0 {
            let count = random.u64(1..=size.min(8));
            damage.body = (0..count).map(|_| random.u64(..size)).collect();
            damage.body.sort_unstable();
            damage.body.dedup();
        }
        if random.u8(..3) == 0 && size > MIB {
            let places = 0..random.u8(1..3);
            let place = |_| random.u64(..pieces::wire_len(size));
            damage.list = places.map(place).collect();
        }
        if random.u8(..4) == 0 {
            let heads = 0..random.u8(1..3);
            let head = |_| (random.usize(..6), random.usize(..4096), random.u8(..8));
            damage.heads = heads.map(head).collect();
        }
        damage
    }
}

impl Case {
    fn by(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let told = [
            Told::Values,
            Told::Values,
            Told::Values,
            Told::Values,
            Told::ValuesAndChecksum,
            Told::ValuesAndMetalink,
            Told::Nothing,
            Told::Field,
            Told::Checksum,
            Told::Metalink,
        ][random.usize(..10)];
        let size = SIZES[random.usize(..SIZES.len())];
        let is_metalink = matches!(told, Told::Metalink | Told::ValuesAndMetalink);
        let to_stdout = !is_metalink && random.u8(..3) == 0;
        let killed = !to_stdout && size > 4 * MIB && random.u8(..3) == 0;
        let servers = 1 + usize::from(random.u8(..4) == 0);
        Self {
            seed,
            told,
            size: size as usize,
            connections: ["1", "5", "16"][random.usize(..3)],
            to_stdout,
            killed_at: killed.then(|| random.u64(MIB..size - MIB)),
            damage: (0..servers)
                .map(|_| Damage::by(&mut random, size))
                .collect(),
        }
    }

    fn has_values(&self) -> bool {
        use Told::{Values, ValuesAndChecksum, ValuesAndMetalink};
        matches!(self.told, Values | ValuesAndChecksum | ValuesAndMetalink)
    }

    /// Damage that the program cannot be expected to get over: a head that says something else.
    fn has_bad_heads(&self) -> bool {
        self.damage.iter().any(|damage| !damage.heads.is_empty())
    }

    /// How it must be told to be known, where its heads are right.
    fn verified(&self) -> &'static str {
        match self.told {
            _ if self.has_values() => "blake3",
            Told::Nothing => "unverified",
            _ => "digest",
        }
    }
}

/// The servers that all cases share: a haul, and one that knows nothing of pieces.
struct Servers {
    haul: Serving,
    plain: Scripted,
    files: Vec<Vec<u8>>,
}

fn name(size: usize) -> String {
    format!("f{size}")
}

impl Servers {
    fn start(root: &Path) -> Self {
        let each = SIZES.iter().map(|size| content(*size, *size as usize));
        let files: Vec<_> = each.collect();
        for bytes in &files {
            fs::write(root.join(name(bytes.len())), bytes).unwrap();
        }
        let known = files.clone();
        let plain = scripted(move |request| {
            if request.target.ends_with('/') {
                let mut page = String::new();
                for bytes in &known {
                    let name = name(bytes.len());
                    writeln!(page, "<a href=\"{name}\">{name}</a>").unwrap();
                }
                return ok("text/html", page.as_bytes());
            }
            let found = known
                .iter()
                .find(|bytes| request.target.ends_with(&format!("/{}", name(bytes.len()))));
            let Some(bytes) = found else {
                return not_found();
            };
            let mut fields = "\nETag: \"one\"\nAccept-Ranges: bytes".to_owned();
            if request.target.starts_with("/field/") {
                let digest = BASE64_STANDARD.encode(Sha256::digest(bytes));
                write!(fields, "\nRepr-Digest: sha-256=:{digest}:").unwrap();
            }
            file(request, bytes, &fields)
        });
        Self {
            haul: serve(root),
            plain,
            files,
        }
    }

    fn content(&self, case: &Case) -> &[u8] {
        let mut files = self.files.iter();
        files.find(|bytes| bytes.len() == case.size).unwrap()
    }
}

/// What became of a case.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The file is here.
    Complete,
    /// It is not, and that was told.
    Failed(String),
    /// Bytes that are not the server's were told to be.
    Wrong(String),
    Hung,
}

/// Makes a case's download, from its damage to what is on the disk.
fn download(case: &Case, servers: &Servers) -> Outcome {
    let address = if case.has_values() {
        servers.haul.address
    } else {
        servers.plain.address
    };
    let proxies: Vec<Proxy> = case.damage.iter().map(|_| proxy(address)).collect();
    for (proxy, damage) in proxies.iter().zip(&case.damage) {
        proxy.flip_once(damage.body.iter().copied());
        proxy.flip_list(damage.list.iter().copied());
        for (nth, place, bit) in &damage.heads {
            proxy.flip_head(*nth, *place, *bit);
        }
        if case.killed_at.is_some() {
            proxy.lines(|_| Line {
                rate: Some(8 * MIB),
                ..Line::default()
            });
        }
    }
    let temp = quick_temp();
    let arguments = arguments(case, servers, &proxies, temp.path());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut haul = Haul::new(&arguments);
    let mut start = || {
        let sink = |name| Stdio::from(File::create(temp.path().join(name)).unwrap());
        let command = haul.command.stdout(sink("out")).stderr(sink("err"));
        Running(command.spawn().unwrap())
    };
    if let Some(bytes) = case.killed_at {
        let mut child = start();
        let bytes_sent = || proxies.iter().map(Proxy::file_bytes).sum::<u64>();
        let Some(_) = child.wait_until(|| bytes_sent() >= bytes) else {
            return Outcome::Hung;
        };
        if let Some(status) = child.kill() {
            return judge(case, servers.content(case), temp.path(), status);
        }
        for proxy in &proxies {
            proxy.lines(|_| Line::default());
        }
    }
    let mut child = start();
    let Some(status) = child.wait_until(|| false) else {
        return Outcome::Hung;
    };
    judge(case, servers.content(case), temp.path(), status)
}

fn arguments(case: &Case, servers: &Servers, proxies: &[Proxy], temp: &Path) -> Vec<String> {
    let bytes = servers.content(case);
    let digest = hex(&Sha256::digest(bytes));
    let name = name(case.size);
    let target = if case.told == Told::Field {
        format!("/field/{name}")
    } else {
        format!("/{name}")
    };
    let mut line = vec!["connect".to_owned()];
    if matches!(case.told, Told::Metalink | Told::ValuesAndMetalink) {
        let mut urls = String::new();
        for proxy in proxies {
            write!(urls, "<url>{}</url>", proxy.url(&target)).unwrap();
        }
        let text = format!(
            "<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\"><file name=\"{name}\"><size>{}</size>\
             <hash type=\"sha-256\">{digest}</hash>{urls}</file></metalink>",
            case.size
        );
        let path = temp.join("it.meta4");
        fs::write(&path, text).unwrap();
        line.push(path.to_str().unwrap().to_owned());
    } else if proxies.len() == 1 {
        line.push(proxies[0].url(&target));
    } else {
        // Several URLs are mirrors of one tree.
        let (dir, _) = target.rsplit_once('/').unwrap();
        line.extend(proxies.iter().map(|proxy| proxy.url(&format!("{dir}/"))));
        line.extend(["-g".to_owned(), name]);
    }
    if matches!(case.told, Told::Checksum | Told::ValuesAndChecksum) {
        line.push(format!("--checksum=sha-256={digest}"));
    }
    let output = if case.to_stdout { "-o=-" } else { "--json" };
    let dir = temp.join("target");
    let dir = dir.to_str().unwrap();
    // Enough tries for all that is done to it. Only a head can name a length that never comes.
    let timeout = if case.has_bad_heads() { "5" } else { "60" };
    let tries = ["-w", case.connections, "-t", timeout, "-r", "6"];
    let rest = [&[output, "--headless", "-d", dir], &tries[..]].concat();
    line.extend(rest.into_iter().map(ToOwned::to_owned));
    line
}

/// A running program; killed with signal 9 when it is dropped.
struct Running(Child);

impl Running {
    /// Kills it with signal 9; its status where it had ended by itself.
    fn kill(&mut self) -> Option<i32> {
        let _ = self.0.kill();
        self.0.wait().unwrap().code()
    }

    /// Waits until it has ended, or until it is so; `None` where neither comes to pass. The status where it ended.
    fn wait_until(&mut self, is_so: impl Fn() -> bool) -> Option<i32> {
        let start = Instant::now();
        while start.elapsed() < BOUND {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status.code().unwrap_or(-1));
            }
            if is_so() {
                return Some(0);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Holds what is here and what was told against what the server has.
fn judge(case: &Case, right: &[u8], temp: &Path, status: i32) -> Outcome {
    let said = |name| String::from_utf8_lossy(&fs::read(temp.join(name)).unwrap()).into_owned();
    let told = said(if case.to_stdout { "err" } else { "out" });
    // With the file on stdout, people are told, on stderr.
    let summary = told
        .lines()
        .find(|line| case.to_stdout && line.starts_with("1 file, "));
    let summed = summary.map(|line| {
        if line.contains("unverified") {
            "unverified".to_owned()
        } else {
            case.verified().to_owned()
        }
    });
    let mut events = told.lines().filter_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        (event["event"] == "finished").then(|| event["verified"].as_str().unwrap().to_owned())
    });
    let verified = events.next_back().or(summed);
    let here = if case.to_stdout {
        Some(fs::read(temp.join("out")).unwrap())
    } else {
        match files(&temp.join("target")) {
            Err(stranger) => return Outcome::Wrong(format!("a file {stranger}")),
            Ok(here) => here,
        }
    };
    let failed = || Outcome::Failed(format!("status {status}: {}{told}", said("err")));
    let Some(how) = verified else {
        return match here {
            _ if status == 0 => Outcome::Wrong("status 0, and nothing was told".into()),
            Some(here) if case.to_stdout && !right.starts_with(&here) => {
                let how = difference(right, &here);
                Outcome::Wrong(format!("status {status}, and on stdout {how}"))
            }
            Some(_) if !case.to_stdout => {
                Outcome::Wrong(format!("status {status}, and a final name"))
            }
            _ => failed(),
        };
    };
    let Some(here) = here else {
        return Outcome::Wrong(format!("told {how}, and nothing is here"));
    };
    // What a head says, and whose it is, may be what was damaged: then it is said that nothing was verified.
    let may_be_unsure = matches!(case.told, Told::Values | Told::Nothing | Told::Field);
    if how == "unverified" && case.has_bad_heads() && may_be_unsure {
        return Outcome::Complete;
    }
    if how != case.verified() && !case.has_bad_heads() {
        return Outcome::Wrong(format!("told {how} instead of {}", case.verified()));
    }
    if how == "unverified" {
        return damaged_as_told(case, right, &here);
    }
    if case.to_stdout && status != 0 && right.starts_with(&here) {
        return failed();
    }
    if here != right {
        return Outcome::Wrong(format!("told {how}, {}", difference(right, &here)));
    }
    if status == 0 {
        Outcome::Complete
    } else {
        failed()
    }
}

/// The only file with a final name; who else is there is no part, and has no business there.
fn files(target: &Path) -> Result<Option<Vec<u8>>, String> {
    let mut here = None;
    let Ok(entries) = fs::read_dir(target) else {
        return Ok(None);
    };
    for entry in entries {
        let path = entry.unwrap().path();
        let is_part = path.extension().is_some_and(|end| end == "part");
        if !is_part && here.replace(fs::read(&path).unwrap()).is_some() {
            return Err(path.display().to_string());
        }
    }
    Ok(here)
}

/// Where nothing can tell damage, nothing else may be wrong.
fn damaged_as_told(case: &Case, right: &[u8], here: &[u8]) -> Outcome {
    let places = case.damage.iter().flat_map(|damage| &damage.body);
    let places: HashSet<u64> = places.copied().collect();
    let stranger = right.len() != here.len()
        || right
            .iter()
            .zip(here)
            .enumerate()
            .any(|(at, (right, here))| {
                right != here && (!places.contains(&(at as u64)) || right ^ here != 0x10)
            });
    if stranger {
        return Outcome::Wrong(format!(
            "more than was flipped: {}",
            difference(right, here)
        ));
    }
    Outcome::Complete
}

fn difference(right: &[u8], here: &[u8]) -> String {
    let wrong = right.iter().zip(here).filter(|(a, b)| a != b).count();
    let first = right.iter().zip(here).position(|(a, b)| a != b);
    format!(
        "{} of {} bytes, {wrong} wrong, the first at {first:?}",
        here.len(),
        right.len()
    )
}

/// Runs the cases of these seeds side by side, and says what became of them.
fn run_all(seeds: std::ops::Range<u64>) {
    let root = quick_temp();
    let servers = Servers::start(root.path());
    let (next, end) = (AtomicU64::new(seeds.start), seeds.end);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= end {
                        return;
                    }
                    let case = Case::by(seed);
                    let outcome = download(&case, &servers);
                    outcomes.lock().unwrap().push((case, outcome));
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let (mut complete, mut refused, mut wrong, mut hung, mut failed) = (0, 0, 0, 0, 0);
    let mut faults = String::new();
    for (case, outcome) in &outcomes {
        match outcome {
            Outcome::Complete => complete += 1,
            Outcome::Failed(_) if case.has_bad_heads() => refused += 1,
            Outcome::Failed(_) => failed += 1,
            Outcome::Wrong(_) => wrong += 1,
            Outcome::Hung => hung += 1,
        }
        let is_fault = match outcome {
            Outcome::Complete => false,
            Outcome::Failed(_) => !case.has_bad_heads(),
            Outcome::Wrong(_) | Outcome::Hung => true,
        };
        if is_fault {
            let seed = case.seed;
            writeln!(
                faults,
                "{outcome:?}\n  {case:?}\n  again: HAUL_TESTS_SEED={seed} cargo test --release --locked \
                 damaged::one_download_by_its_seed -- --ignored --nocapture"
            )
            .unwrap();
        }
    }
    // Past the capture of what passing tests print: other checks read it.
    let summary = format!(
        "damaged downloads: {}, complete {complete}, refused for their heads {refused}, failed {failed}, wrong {wrong}, hung {hung}",
        outcomes.len()
    );
    let _ = writeln!(io::stderr(), "{summary}");
    assert!(faults.is_empty(), "{summary}\n{faults}");
}

#[test]
fn of_a_hundred_damaged_downloads_none_is_wrong_and_all_end() {
    run_all(0..100);
}

#[test]
#[ignore = "takes minutes: docs/RELIABILITY.md has its command"]
fn of_a_thousand_damaged_downloads_none_is_wrong_and_all_end() {
    run_all(1000..1000 + amount("HAUL_TESTS_DOWNLOADS", 1000));
}

#[test]
#[ignore = "runs the case that HAUL_TESTS_SEED names"]
fn one_download_by_its_seed() {
    let seed = std::env::var("HAUL_TESTS_SEED").unwrap_or_default();
    let seed = seed.parse().unwrap_or(0);
    println!("{:#?}", Case::by(seed));
    run_all(seed..seed + 1);
}
