//! Files hashed by a few threads, told in the order in which they were given. A large file's pieces are spread over all of
//! them; memory is bounded by the threads, the files that wait, and 32 bytes for each MiB of those.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    os::unix::fs::FileExt as _,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

use crate::{
    digest::Digest,
    pieces::{self, PIECE, PieceHasher, Value},
    sys::disk,
};

/// Files that are open, and told later than those before them.
const WAITING: usize = 128;
/// Pieces that wait for a thread, for each of them: the system reads them ahead.
const AHEAD: usize = 4;
/// Bytes that are read at once.
const STEP: usize = 256 * 1024;

/// What is asked of a file.
#[derive(Debug, Clone)]
pub enum Ask {
    /// Its BLAKE3 digest.
    Hash,
    /// Whether it has this digest, or else the other one.
    Matches(Digest, Option<Digest>),
}

/// What a file was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Its digest.
    Hash(blake3::Hash),
    /// Whether it has the digest that was asked for.
    Matches(bool),
}

/// Runs `give` on a thread of its own, which puts files into the queue, and `take` here for each of them in their order.
/// Ends early, with its error, where `take` fails. `read` is told bytes as they are read, from any thread.
pub fn run<T: Send, E>(
    threads: usize,
    read: &(dyn Fn(u64) + Sync),
    give: impl FnOnce(&Queue<T>) + Send,
    mut take: impl FnMut(T, io::Result<Found>) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.max(1);
    let (jobs, todo) = sync_channel(threads * AHEAD);
    let (order, told) = sync_channel(WAITING);
    let todo = Mutex::new(todo);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&todo, read));
        }
        // Both channels end with it.
        scope.spawn(move || give(&Queue { jobs, order }));
        // Dropped before the threads are waited for: whoever gives must not wait for room any more.
        for (what, found) in told {
            let found: Receiver<io::Result<Found>> = found;
            let found = found.recv().unwrap_or_else(|_| {
                let why = "a thread failed: a fault of haul, please report it";
                Err(io::Error::other(why))
            });
            take(what, found)?;
        }
        Ok(())
    })
}

/// Where files are given to be hashed.
#[derive(Debug)]
pub struct Queue<T> {
    jobs: SyncSender<Job>,
    order: SyncSender<(T, Receiver<io::Result<Found>>)>,
}

impl<T> Queue<T> {
    /// Adds a file, or why there is none; waits for room. False once nobody takes what is found.
    pub fn add(&self, what: T, file: io::Result<File>, ask: Ask) -> bool {
        let (reply, found) = sync_channel(1);
        if self.order.send((what, found)).is_err() {
            return false;
        }
        let opened = file.and_then(|file| Ok((file.metadata()?, file)));
        let (about, file) = match opened {
            Ok(opened) => opened,
            Err(error) => return reply.send(Err(error)).is_ok(),
        };
        let size = about.len();
        let by_pieces = match &ask {
            Ask::Hash => true,
            Ask::Matches(digest, or) => matches!(digest, Digest::Blake3(_)) && or.is_none(),
        };
        // One that was handed over counts from where it stands, as for every other reader.
        let is_whole = || (&file).stream_position().is_ok_and(|at| at == 0);
        if !about.is_file() || size <= PIECE || !by_pieces || !is_whole() {
            disk::will_need(&file, 0, size.min(PIECE));
            let job = Job::Whole { file, ask, reply };
            return self.jobs.send(job).is_ok();
        }
        let count = pieces::count(size);
        let shared = Arc::new(Pieces {
            file,
            size,
            ask,
            reply,
            state: Mutex::new(State {
                left: count,
                values: vec![None; count as usize],
                failed: None,
            }),
        });
        (0..count).all(|index| {
            disk::will_need(&shared.file, u64::from(index) * PIECE, PIECE);
            let job = Job::Piece(Arc::clone(&shared), index);
            self.jobs.send(job).is_ok()
        })
    }
}

#[derive(Debug)]
enum Job {
    /// A small file, one that is no regular file or was read from before, or one whose digest has no pieces.
    Whole {
        file: File,
        ask: Ask,
        reply: SyncSender<io::Result<Found>>,
    },
    Piece(Arc<Pieces>, u32),
}

/// A file whose pieces are hashed apart.
#[derive(Debug)]
struct Pieces {
    file: File,
    size: u64,
    ask: Ask,
    reply: SyncSender<io::Result<Found>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    left: u32,
    values: Vec<Option<Value>>,
    failed: Option<io::Error>,
}

fn work(todo: &Mutex<Receiver<Job>>, read: &(dyn Fn(u64) + Sync)) {
    let mut buffer = vec![0; STEP];
    loop {
        let job = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Err(_) => return,
            Ok(Job::Whole { file, ask, reply }) => {
                // Nobody may wait for it any more.
                let _ = reply.send(whole(&file, &ask, read, &mut buffer));
            }
            Ok(Job::Piece(of, index)) => of.hash(index, read, &mut buffer),
        }
    }
}

fn whole(
    mut file: &File,
    ask: &Ask,
    read: &(dyn Fn(u64) + Sync),
    buffer: &mut [u8],
) -> io::Result<Found> {
    let matches = |digest: &Digest, at: &mut dyn FnMut(&mut [u8]) -> io::Result<usize>| {
        digest.matches_stream(|buffer| at(buffer).inspect(|n| read(*n as u64)))
    };
    match ask {
        Ask::Hash => {
            let mut hasher = blake3::Hasher::new();
            loop {
                match file.read(buffer) {
                    Ok(0) => return Ok(Found::Hash(hasher.finalize())),
                    Ok(n) => {
                        hasher.update(&buffer[..n]);
                        read(n as u64);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ask::Matches(digest, None) => {
            let is_so = matches(digest, &mut |buffer| file.read(buffer))?;
            Ok(Found::Matches(is_so))
        }
        Ask::Matches(digest, Some(or)) => {
            let Ok(mut at) = file.stream_position() else {
                // A pipe is read once.
                let is_so = Digest::either_matches_stream([digest, or], |buffer| {
                    file.read(buffer).inspect(|n| read(*n as u64))
                });
                return is_so.map(Found::Matches);
            };
            let mut is_so = matches(digest, &mut |buffer| file.read(buffer))?;
            if !is_so {
                is_so = matches(or, &mut |buffer| {
                    let n = file.read_at(buffer, at)?;
                    at += n as u64;
                    Ok(n)
                })?;
            }
            Ok(Found::Matches(is_so))
        }
    }
}

impl Pieces {
    fn hash(&self, index: u32, read: &(dyn Fn(u64) + Sync), buffer: &mut [u8]) {
        let failed = |state: &State| state.failed.is_some();
        let value = if failed(&self.state()) {
            // One failure is told, and no more is read.
            Err(io::ErrorKind::Interrupted.into())
        } else {
            self.value(index, read, buffer)
        };
        let mut state = self.state();
        match value {
            Ok(value) => state.values[index as usize] = Some(value),
            Err(error) => {
                state.failed.get_or_insert(error);
            }
        }
        state.left -= 1;
        if state.left == 0 {
            let values: Option<Vec<Value>> = state.values.iter().copied().collect();
            let found = match (state.failed.take(), values) {
                (None, Some(values)) => Ok(self.found(pieces::root(&values))),
                (error, _) => Err(error.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())),
            };
            // Nobody may wait for it any more.
            let _ = self.reply.send(found);
        }
    }

    fn found(&self, hash: blake3::Hash) -> Found {
        match &self.ask {
            Ask::Hash => Found::Hash(hash),
            Ask::Matches(digest, _) => Found::Matches(*digest == Digest::Blake3(hash)),
        }
    }

    fn value(
        &self,
        index: u32,
        read: &(dyn Fn(u64) + Sync),
        buffer: &mut [u8],
    ) -> io::Result<Value> {
        let mut at = u64::from(index) * PIECE;
        let end = at + pieces::len(self.size, index);
        let mut hasher = PieceHasher::new(index);
        while at < end {
            let step = (end - at).min(buffer.len() as u64) as usize;
            let filled = self.file.read_exact_at(&mut buffer[..step], at);
            filled.map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => io::Error::other("it shrank while it was read"),
                _ => error,
            })?;
            hasher.update(&buffer[..step]);
            at += step as u64;
            read(step as u64);
        }
        if end == self.size && self.file.read_at(&mut buffer[..1], end)? != 0 {
            return Err(io::Error::other("it grew while it was read"));
        }
        Ok(hasher.value())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        sync::atomic::{AtomicU64, Ordering},
    };

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        file
    }

    #[test]
    fn files_of_every_size_are_told_in_their_order() {
        let contents: Vec<Vec<u8>> = [0, 1, PIECE, PIECE + 1, 5 * PIECE + 7, 3, 2 * PIECE]
            .iter()
            .cycle()
            .take(3 * WAITING)
            .enumerate()
            .map(|(at, size)| vec![at as u8; *size as usize / if at < 7 { 1 } else { 1024 }])
            .collect();
        let bytes = AtomicU64::new(0);
        let mut told = Vec::new();
        let done: Result<(), ()> = run(
            3,
            &|n| {
                bytes.fetch_add(n, Ordering::Relaxed);
            },
            |queue| {
                for (at, content) in contents.iter().enumerate() {
                    assert!(queue.add(at, Ok(file(content)), Ask::Hash));
                }
            },
            |at, found| {
                let expected = Found::Hash(blake3::hash(&contents[at]));
                assert_eq!(found.unwrap(), expected, "{at}");
                told.push(at);
                Ok(())
            },
        );
        assert_eq!(done, Ok(()));
        assert_eq!(told, (0..contents.len()).collect::<Vec<_>>());
        let all: usize = contents.iter().map(Vec::len).sum();
        assert_eq!(bytes.into_inner(), all as u64);
    }

    #[test]
    fn a_file_is_held_against_one_digest_or_the_other() {
        let content = vec![7; 2 * PIECE as usize + 5];
        let blake3 = Digest::Blake3(blake3::hash(&content));
        let other = Digest::Blake3(blake3::hash(b"else"));
        let md5 = Digest::from_hex("md5", "d41d8cd98f00b204e9800998ecf8427e");
        let empty = md5.clone().unwrap();
        let cases = [
            (&content[..], blake3.clone(), None, true),
            (&content, other.clone(), None, false),
            (&content, other.clone(), Some(blake3), true),
            (b"", other, md5, true),
            (b"x", empty, None, false),
        ];
        let mut told = Vec::new();
        let done: Result<(), ()> = run(
            2,
            &|_| {},
            |queue| {
                for (content, digest, or, _) in &cases {
                    let ask = Ask::Matches(digest.clone(), or.clone());
                    queue.add((), Ok(file(content)), ask);
                }
                queue.add((), Err(io::ErrorKind::NotFound.into()), Ask::Hash);
            },
            |(), found| {
                told.push(found.ok());
                Ok(())
            },
        );
        assert_eq!(done, Ok(()));
        let expected = cases.iter().map(|case| Some(Found::Matches(case.3)));
        assert_eq!(told, expected.chain([None]).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_read_of_a_file_before_does_not_count() {
        let content: Vec<u8> = (0..3 * PIECE).map(|at| (at / 1000) as u8).collect();
        let rest = &content[1000..];
        let hash = blake3::hash(rest);
        let sha256 = <sha2::Sha256 as sha2::Digest>::digest(rest);
        let asks = [
            (Ask::Hash, Found::Hash(hash)),
            (
                Ask::Matches(Digest::Blake3(hash), None),
                Found::Matches(true),
            ),
            (
                Ask::Matches(
                    Digest::Blake3(blake3::hash(b"else")),
                    Some(Digest::Sha256(sha256.into())),
                ),
                Found::Matches(true),
            ),
        ];
        let mut told = Vec::new();
        let done: Result<(), ()> = run(
            2,
            &|_| {},
            |queue| {
                for (ask, _) in &asks {
                    let mut file = file(&content);
                    file.seek(io::SeekFrom::Start(1000)).unwrap();
                    queue.add((), Ok(file), ask.clone());
                }
            },
            |(), found| {
                told.push(found.unwrap());
                Ok(())
            },
        );
        assert_eq!(done, Ok(()));
        assert_eq!(told, asks.map(|(_, expected)| expected));
    }

    #[test]
    fn a_pipe_is_held_against_either_digest() {
        let sha256 = <sha2::Sha256 as sha2::Digest>::digest(b"piped");
        let else_ = Digest::Blake3(blake3::hash(b"else"));
        for (digest, or, expected) in [
            (Digest::Blake3(blake3::hash(b"piped")), else_.clone(), true),
            (else_.clone(), Digest::Sha256(sha256.into()), true),
            (else_.clone(), else_.clone(), false),
        ] {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(b"piped").unwrap();
            drop(writer);
            let reader = File::from(std::os::fd::OwnedFd::from(reader));
            let ask = Ask::Matches(digest, Some(or));
            let found = whole(&reader, &ask, &|_| {}, &mut [0; 16]);
            assert_eq!(found.unwrap(), Found::Matches(expected));
        }
    }

    #[test]
    fn whoever_takes_no_more_ends_it() {
        let mut given = 0;
        let ended = run(
            2,
            &|_| {},
            |queue| {
                while queue.add((), Ok(file(b"x")), Ask::Hash) && given < 100_000 {
                    given += 1;
                }
            },
            |(), _| Err("enough"),
        );
        assert_eq!(ended, Err("enough"));
        assert!(given <= WAITING + 1, "{given}");
    }
}
