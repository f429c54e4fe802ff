use std::io::Write as _;

use super::*;

/// A server's file, and which pieces of it were found where.
struct Server<'a> {
    new: &'a [u8],
    found: Vec<(u32, u64)>,
    asked: usize,
}

impl Finder for Server<'_> {
    fn samples(&mut self, pieces: &[u32]) -> Option<Vec<Vec<u8>>> {
        self.asked += pieces.len();
        let sample = |piece: &u32| {
            let rest = &self.new[*piece as usize * PIECE as usize..];
            rest[..rest.len().min(SAMPLE as usize)].to_vec()
        };
        Some(pieces.iter().map(sample).collect())
    }

    fn found(&mut self, piece: u32, from: u64) -> io::Result<bool> {
        self.found.push((piece, from));
        Ok(true)
    }
}

fn random(seed: u64, mib: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(|| random.u8(..))
        .take(mib << 20)
        .collect()
}

/// Looks for every piece of `new` in `old`: which were found, and how many were asked for.
fn look(old: &[u8], new: &[u8]) -> (Vec<(u32, u64)>, usize) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(old).unwrap();
    let size = new.len() as u64;
    let value = |piece: u32| {
        let mut hasher = PieceHasher::new(piece);
        let at = piece as usize * PIECE as usize;
        hasher.update(&new[at..at + pieces::len(size, piece) as usize]);
        hasher.value()
    };
    let open: Vec<u32> = (0..pieces::count(size)).collect();
    let values: Vec<_> = open.iter().map(|piece| value(*piece)).collect();
    let mut server = Server {
        new,
        found: Vec::new(),
        asked: 0,
    };
    let search = Search::new(&file, size, &values, &open).unwrap();
    search.run(&mut server).unwrap();
    server.found.sort_unstable();
    (server.found, server.asked)
}

#[test]
fn moved_pieces_are_found_wherever_they_stand() {
    const MIB: u64 = PIECE;
    let old = random(1, 6);
    let at = |mib: usize| mib << 20;
    let cut = &old[at(2)..];
    assert_eq!(
        look(&old, cut).0,
        [(0, 2 * MIB), (1, 3 * MIB), (2, 4 * MIB), (3, 5 * MIB)]
    );
    // A byte at the front moves all: what is whole behind it is found.
    let one = [b"x", &old[..]].concat();
    let found: Vec<_> = (1..7)
        .map(|piece| (piece, u64::from(piece) * MIB - 1))
        .collect();
    assert_eq!(look(&old, &one).0, found);
    // Two insertions, a change and an exchange.
    let mut new = [
        &old[..at(1)],
        &random(2, 1),
        &old[at(1)..at(3)],
        &random(3, 1),
        &old[at(3)..],
    ]
    .concat();
    new[at(6) + 9] ^= 1;
    let found = look(&old, &new).0;
    assert_eq!(
        found.iter().map(|(piece, _)| *piece).collect::<Vec<_>>(),
        [2, 3, 5, 7]
    );
    let swapped = [&old[at(3)..], &old[..at(3)]].concat();
    assert_eq!(look(&old, &swapped).0.len(), 6);
}

#[test]
fn a_piece_is_found_at_every_byte() {
    let old = random(4, 3);
    for cut in [1, 63, 64, 65, 127, 128, 129, 191, 1000] {
        let found: Vec<_> = (0..3)
            .map(|piece| (piece, u64::from(piece) * PIECE + cut))
            .collect();
        assert_eq!(look(&old, &old[cut as usize..]).0, found, "{cut}");
    }
}

#[test]
fn what_is_nowhere_is_given_up_soon() {
    let old = random(1, 3);
    let (found, asked) = look(&old, &random(2, 20));
    assert!(found.is_empty() && asked <= 2 * PROBES, "{asked}");
    // Zeros stand everywhere, and nothing is searched for them; what was changed in place stands where it was.
    assert_eq!(look(&old, &vec![0; 4 << 20]).0, []);
    let mut touched = old.clone();
    (0..3).for_each(|mib| touched[(mib << 20) + 5000] ^= 1);
    assert_eq!(look(&old, &touched).0, []);
    assert_eq!(look(b"short", &old).0, []);
}
