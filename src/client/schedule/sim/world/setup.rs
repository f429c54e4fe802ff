//! The world that a seed makes up.

use std::{
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
    time::{Duration, Instant},
};

use super::{Doing, Happening, LEFT, ODD, STOPS, Slot, WISHES, World};
use crate::{
    client::{
        id::SourceId,
        schedule::{
            Limits, NewItem, Schedule,
            sim::server::{OddRanges, SimFile, SimServer, Trouble},
        },
    },
    http1::path::RemotePath,
    pieces::PIECE,
};

impl World {
    pub fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let workers = *rng.choice([1, 2, 4, 5, 16].iter()).unwrap_or(&4);
        let calm = rng.u64(5..120);
        let count = *rng.choice([1, 1, 2, 2, 3].iter()).unwrap_or(&1);
        let servers = Self::servers(seed, &mut rng, count, calm);
        let files = Self::some_files(&mut rng);
        let limits = Limits {
            workers,
            retries: rng.u32(1..4),
            serial: workers == 1 && rng.bool(),
            patient: rng.bool(),
            resume: true,
            fail_empty: false,
        };
        let names = (0..count).map(|n| format!("s{n}")).collect();
        let slots = (0..workers).map(|_| Slot {
            source: SourceId::default(),
            open: false,
            doing: Doing::Nothing,
            turn: 0,
            pieces: 0,
            ended: false,
        });
        let mut world = Self {
            seed,
            schedule: Schedule::new(limits, names, seed),
            base: Instant::now(),
            now: Duration::ZERO,
            calm_at: Duration::from_secs(calm + 30),
            servers,
            elsewhere: super::led::Elsewhere::default(),
            files,
            slots: slots.collect(),
            agenda: BinaryHeap::new(),
            sequence: 0,
            rng,
            items: Vec::new(),
            paths: HashMap::new(),
            disk: HashMap::new(),
            ended: HashMap::new(),
            retried: HashMap::new(),
            browses: HashMap::new(),
            landed: HashSet::new(),
            waiting: Vec::new(),
            stopped: None,
            worn: None,
            verbose: false,
            workers,
        };
        world.begin();
        world
    }

    fn servers(seed: u64, rng: &mut fastrand::Rng, count: usize, calm: u64) -> Vec<SimServer> {
        let haul = rng.bool();
        let mut servers: Vec<SimServer> = (0..count)
            .map(|place| Self::server(rng, place, haul, calm))
            .collect();
        if seed >= LEFT {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mirrors = servers.iter_mut().skip(1);
            for server in mirrors.filter(|server| !server.haul) {
                server.damaged = (rng.u32(..3) == 0).then(|| rng.u32(1..10));
            }
        }
        if seed >= ODD && (seed < WISHES || seed % 2 == 1) {
            let mut rng = fastrand::Rng::with_seed(seed);
            for server in servers.iter_mut().filter(|server| !server.haul) {
                server.odd = [
                    None,
                    Some(OddRanges::Refused),
                    Some(OddRanges::Short(rng.u32(..4))),
                    Some(OddRanges::Flips(rng.u32(1..8))),
                ][rng.usize(..4)];
                server.forgets = rng.u8(..4) == 0;
            }
        }
        let own = rng.u8(..8) == 0;
        if own {
            // The cable is cut: all are unreachable at once.
            let (from, to) = (rng.u64(1..10), rng.u64(10..30));
            for server in &mut servers {
                server.troubles = vec![(from, to, Trouble::Refuses { own: true })];
            }
        }
        servers
    }

    fn some_files(rng: &mut fastrand::Rng) -> BTreeMap<RemotePath, SimFile> {
        let mut files = BTreeMap::new();
        for n in 0..rng.u32(1..30) {
            let pieces = *rng.choice([0u64, 0, 0, 1, 2, 7, 40].iter()).unwrap_or(&0);
            let size = pieces * PIECE + rng.u64(1..PIECE);
            let name = format!("f{n}");
            let path = RemotePath::from_target(format!("/{name}").as_bytes());
            let path = path.expect("a plain name is a path");
            files.insert(path, SimFile { name, size });
        }
        files
    }

    pub(super) fn server(
        rng: &mut fastrand::Rng,
        place: usize,
        haul: bool,
        calm: u64,
    ) -> SimServer {
        let mut troubles = Vec::new();
        for _ in 0..rng.u32(..4) {
            let from = rng.u64(..calm);
            let to = from + rng.u64(1..30);
            let busy = *rng
                .choice([None, Some(1), Some(7), Some(30)].iter())
                .unwrap_or(&None);
            let trouble = match rng.u32(..9) {
                0 => Trouble::Refuses { own: false },
                1 => Trouble::Hangs,
                2 => Trouble::Closes,
                3 => Trouble::Breaks(rng.u32(..5)),
                4 | 5 => Trouble::Busy(busy),
                6 => Trouble::Fails,
                7 => Trouble::Pauses,
                _ => Trouble::Kicks(rng.u64(1..20)),
            };
            troubles.push((from, to, trouble));
        }
        let rtts = [1, 20, 200, 1000, 3000];
        let rtt = *rng.choice(rtts.iter()).unwrap_or(&20);
        let mirror = place > 0;
        let odd = if mirror { rng.u32(..6) } else { 9 };
        if odd == 0 {
            // A mirror that never answers.
            troubles = vec![(0, u64::MAX, Trouble::Refuses { own: false })];
        }
        SimServer {
            rtt: Duration::from_millis(rtt),
            piece_time: Duration::from_millis(rng.u64(5..800)),
            haul,
            ranges: haul || odd != 1 && rng.u32(..5) > 0,
            damaged: (haul && odd == 2).then(|| rng.u32(1..10)),
            odd: None,
            forgets: false,
            foreign: odd == 3,
            strict: !haul && rng.u32(..5) == 0,
            troubles,
            quiet: None,
            denied: None,
            kicked: None,
            attempts: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self) {
        for path in self.files.keys().cloned().collect::<Vec<_>>() {
            // Half of what is there is asked for file by file, the rest as one tree.
            if self.rng.bool() {
                self.add(path);
            }
        }
        self.add(RemotePath::root());
        for slot in 0..self.workers {
            self.at(Duration::ZERO, Happening::Wake(slot, 0));
        }
        for _ in 0..self.rng.u32(..8) {
            let when = Duration::from_millis(self.rng.u64(..60_000));
            self.at(when, Happening::User);
        }
        if self.seed >= ODD {
            let mut rng = fastrand::Rng::with_seed(!self.seed);
            for _ in 0..rng.u32(..4) {
                let when = Duration::from_millis(rng.u64(..60_000));
                self.at(when, Happening::Panic(rng.usize(..self.workers)));
            }
        }
        if self.seed >= STOPS {
            let when = Duration::from_millis(fastrand::Rng::with_seed(self.seed).u64(..60_000));
            self.at(when, Happening::Stop);
        }
        self.at(self.calm_at, Happening::Calm);
        self.carry_out();
    }

    pub(super) fn add(&mut self, path: RemotePath) {
        let item = self.schedule.add(NewItem {
            spares: true,
            ..NewItem::new(path)
        });
        self.items.push(item);
    }
}
