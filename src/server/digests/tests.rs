//! Values are computed once, kept, checked, and bounded in number.

use super::*;
use crate::http1::path::RemotePath;
use crate::server::tree::{catalog::Catalog, found::Found};
use std::{fs, path::PathBuf, time::Duration};

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n * 31 + n / 251) as u8).collect()
}

struct Disk {
    root: tempfile::TempDir,
    cache: tempfile::TempDir,
}

impl Disk {
    fn new(content: &[u8], age: Duration) -> Self {
        let disk = Self {
            root: tempfile::tempdir().unwrap(),
            cache: tempfile::tempdir().unwrap(),
        };
        fs::write(disk.root.path().join("f"), content).unwrap();
        let file = fs::File::open(disk.root.path().join("f")).unwrap();
        file.set_modified(std::time::SystemTime::now() - age)
            .unwrap();
        disk
    }

    fn find(&self) -> FoundFile {
        let catalog = Catalog::open(self.root.path(), false, false).unwrap();
        let path = RemotePath::from_target(b"/f").unwrap();
        let Found::File(found) = catalog.find_blocking(&path).unwrap() else {
            panic!("no file");
        };
        found
    }

    fn kept(&self) -> Vec<PathBuf> {
        let Ok(dir) = fs::read_dir(self.cache.path().join("pieces")) else {
            return Vec::new();
        };
        dir.map(|entry| entry.unwrap().path()).collect()
    }
}

/// What a client of the server's own machine asks for.
async fn ask(values: &Values, kind: Kind, found: FoundFile, etag: &str) -> Stream {
    let who = Who::Address(std::net::Ipv4Addr::LOCALHOST);
    values.stream(kind, found, etag, &who).await.unwrap()
}

async fn read(mut stream: Stream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(bytes) = stream.next().await? {
        all.extend(bytes);
    }
    Ok(all)
}

#[tokio::test]
async fn values_merge_to_the_digest_that_b3sum_prints() {
    for size in [0, 5, 1 << 20, (1 << 20) + 1, 5_000_000] {
        let content = content(size);
        let disk = Disk::new(&content, Duration::from_secs(60));
        let stream = ask(
            &Values::new(None, Work::default()),
            Kind::Pieces,
            disk.find(),
            "\"e\"",
        )
        .await;
        assert_eq!(stream.len as u64, pieces::wire_len(size as u64));
        let bytes = read(stream).await.unwrap();
        assert!(chaining::is_whole(&bytes, size as u64), "{size}");
        assert_eq!(
            bytes[bytes.len() - 32..],
            *blake3::hash(&content).as_bytes(),
            "{size}"
        );
    }
}

#[tokio::test]
async fn many_who_ask_at_once_get_the_same_from_one_computation() {
    let disk = Disk::new(&content(3_000_000), Duration::from_secs(60));
    let values = Values::new(None, Work::default());
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(ask(&values, Kind::Pieces, disk.find(), "\"e\"").await);
    }
    assert!(streams.iter().all(|s| Arc::ptr_eq(&s.job, &streams[0].job)));
    let mut all = Vec::new();
    for stream in streams {
        all.push(read(stream).await.unwrap());
    }
    assert!(
        all.iter()
            .all(|bytes| bytes == &all[0] && bytes.len() == 24 + 4 * 32)
    );
}

#[tokio::test]
async fn a_file_that_changes_is_not_vouched_for() {
    let disk = Disk::new(&content(3_000_000), Duration::from_secs(60));
    let found = disk.find();
    fs::write(disk.root.path().join("f"), content(3_000_001)).unwrap();
    let values = Values::new(Some(disk.cache.path()), Work::default());
    let error = read(ask(&values, Kind::Pieces, found, "\"e\"").await)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("changed"), "{error}");
    assert_eq!(disk.kept(), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn kept_values_are_not_computed_again() {
    let (other, disk) = (
        content(3_000_001),
        Disk::new(&content(3_000_000), Duration::ZERO),
    );
    let values = Values::new(Some(disk.cache.path()), Work::default());
    // What is kept is of other bytes of the same size, so that it shows where the answer came from.
    let source = Disk::new(&other[1..], Duration::ZERO);
    let kept = read(
        ask(
            &Values::new(None, Work::default()),
            Kind::Pieces,
            source.find(),
            "\"e\"",
        )
        .await,
    );
    let kept = kept.await.unwrap();
    values.stores.as_ref().unwrap().pieces.keep("e", &kept);
    assert_eq!(
        read(ask(&values, Kind::Pieces, disk.find(), "\"e\"").await)
            .await
            .unwrap(),
        kept
    );
    assert_ne!(
        read(ask(&values, Kind::Pieces, disk.find(), "\"f\"").await)
            .await
            .unwrap(),
        kept
    );
}

#[tokio::test]
async fn nothing_is_kept_of_a_file_that_was_just_changed() {
    let disk = Disk::new(&content(3_000_000), Duration::from_secs(60));
    let values = Values::new(Some(disk.cache.path()), Work::default());
    // It was made just now, whatever its date says.
    read(ask(&values, Kind::Pieces, disk.find(), "\"e\"").await)
        .await
        .unwrap();
    while lock(&values.running)
        .values()
        .any(|job| job.strong_count() > 0)
    {
        tokio::task::yield_now().await;
    }
    assert_eq!(disk.kept(), [] as [PathBuf; 0]);
}

#[tokio::test]
async fn nothing_is_kept_that_was_read_before_its_stamp_named_it() {
    // Nothing here has changed for a while.
    let catalog = Catalog::open(env!("CARGO_MANIFEST_DIR").as_ref(), false, false).unwrap();
    let path = RemotePath::from_target(b"/Cargo.toml").unwrap();
    for (settled, keeps) in [(Some(false), false), (None, true)] {
        let Found::File(found) = catalog.find_blocking(&path).unwrap() else {
            panic!("no file");
        };
        assert!(found.stamp.is_settled());
        let (kind, size) = (Kind::Pieces, found.stamp.size);
        let who = Who::Address(std::net::Ipv4Addr::LOCALHOST);
        let place = Work::default().enter(kind.lane(size), None, &who).unwrap();
        let known = Arc::new(Known::new(None));
        let (job, stream) = Job::begin(kind.wire_len(size) as usize);
        let task = Computation {
            kind,
            hashing: Hashing::new(kind, size),
            found,
            key: "e".into(),
            stores: None,
            known: Arc::clone(&known),
            settled,
        };
        task.run(&job, &place).await.unwrap();
        read(stream).await.unwrap();
        let digests = known.recall("e", size).unwrap();
        assert_eq!(digests.blake3.is_some(), keeps);
    }
}

#[tokio::test]
async fn the_digest_of_a_file_that_has_grown_is_that_of_what_it_was() {
    use std::io::Write as _;
    let disk = Disk::new(b"content", Duration::from_secs(60));
    let values = Values::new(None, Work::default());
    let who = Who::Address(std::net::Ipv4Addr::LOCALHOST);
    let kind = crate::server::work::Kind::Small;
    let place = values.work.enter(kind, None, &who).unwrap();
    let open = || {
        fs::File::options()
            .append(true)
            .open(disk.root.path().join("f"))
    };
    let found = disk.find();
    open().unwrap().write_all(b" and more").unwrap();
    let digest = values.digest(found, "\"e\"", place.turn().await.unwrap());
    assert_eq!(digest.await.unwrap().1, blake3::hash(b"content"));
    assert_eq!(values.known_digest(&disk.find(), "\"e\""), None);
    let found = disk.find();
    open().unwrap().set_len(3).unwrap();
    let digest = values.digest(found, "\"e\"", place.turn().await.unwrap());
    assert!(digest.await.is_err());
}

#[tokio::test]
async fn sha256_of_pieces_and_file() {
    use sha2::{Digest as _, Sha256};
    for size in [0, 5, 1 << 20, (1 << 20) + 1, 5_000_000] {
        let content = content(size);
        let disk = Disk::new(&content, Duration::from_secs(60));
        let stream = ask(
            &Values::new(None, Work::default()),
            Kind::Sha256,
            disk.find(),
            "\"e\"",
        )
        .await;
        let bytes = read(stream).await.unwrap();
        let pieces = content.chunks(1 << 20).map(Sha256::digest);
        let mut expected: Vec<u8> = pieces
            .filter(|_| size > 1 << 20)
            .flat_map(|digest| digest.to_vec())
            .collect();
        expected.extend(Sha256::digest(&content));
        assert_eq!(bytes[..bytes.len() - 32], expected, "{size}");
        assert!(sha256::is_whole(&bytes, size as u64));
        assert!(!sha256::is_whole(&bytes[32..], size as u64));
    }
}

#[tokio::test]
async fn kept_digests_are_known_without_asking_for_them() {
    let disk = Disk::new(&content(3_000_000), Duration::from_secs(60));
    let (found, etag) = (disk.find(), disk.find().stamp.etag());
    let values = Values::new(Some(disk.cache.path()), Work::default());
    assert_eq!(values.look(&found, &etag).await, Digests::default());
    let digests = read(
        ask(
            &Values::new(None, Work::default()),
            Kind::Sha256,
            disk.find(),
            &etag,
        )
        .await,
    );
    let digests = digests.await.unwrap();
    values
        .stores
        .as_ref()
        .unwrap()
        .sha256
        .keep(&key(&etag), &digests);
    let values = Values::new(Some(disk.cache.path()), Work::default());
    let known = values.look(&found, &etag).await;
    assert_eq!(known.sha256, sha256::whole(&digests));
    assert_eq!(values.known().look(&found.stamp), known);
    assert_eq!(known.blake3, None);
}

#[tokio::test]
async fn who_waits_for_too_many_files_is_told_so_and_places_come_back() {
    let disk = Disk::new(b"", Duration::from_secs(60));
    let file = fs::File::options()
        .write(true)
        .open(disk.root.path().join("f"));
    // Larger than what is hashed before the test ends.
    file.unwrap().set_len(1 << 40).unwrap();
    let values = Values::new(None, Work::default());
    let address = |last| Who::Address(std::net::Ipv4Addr::new(127, 0, 0, last));
    let ask = async |n: usize, who: &Who| {
        let etag = format!("\"{n}\"");
        values.stream(Kind::Sha256, disk.find(), &etag, who).await
    };
    let (most, each) = (32, 8);
    let mut waiting = Vec::new();
    for n in 0..most {
        waiting.push(ask(n, &address((n / each) as u8)).await.unwrap());
    }
    assert_eq!(ask(most, &address(0)).await.unwrap_err(), Busy::Yours);
    assert_eq!(ask(most, &address(100)).await.unwrap_err(), Busy::All);
    // What is computed already costs nobody a place.
    waiting.push(ask(1, &address(100)).await.unwrap());
    // Whoever goes away, while it waits or while its file is hashed, makes room.
    waiting.clear();
    while ask(most, &address(0)).await.is_err() {
        tokio::task::yield_now().await;
    }
    while lock(&values.running)
        .values()
        .any(|job| job.strong_count() > 0)
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn kept_values_are_read_once_for_all_who_ask_and_handed_out_in_small_parts() {
    let disk = Disk::new(b"", Duration::from_secs(60));
    let size: u64 = 1 << 30;
    let file = fs::File::options()
        .write(true)
        .open(disk.root.path().join("f"));
    file.unwrap().set_len(size).unwrap();
    let values = Values::new(Some(disk.cache.path()), Work::default());
    let leaves = vec![[7; 32]; pieces::count(size) as usize];
    let mut kept = pieces::Preamble { size }.encode().to_vec();
    kept.extend(leaves.iter().flatten());
    kept.extend(pieces::root(&leaves).as_bytes());
    values.stores.as_ref().unwrap().pieces.keep("e", &kept);
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(ask(&values, Kind::Pieces, disk.find(), "\"e\"").await);
    }
    assert!(streams.iter().all(|s| Arc::ptr_eq(&s.job, &streams[0].job)));
    let part = streams[0].next().await.unwrap().unwrap();
    assert!(part.len() <= 8192 && kept.starts_with(&part));
    assert_eq!(read(streams.pop().unwrap()).await.unwrap(), kept);
}

#[tokio::test]
async fn what_is_known_of_a_small_file_is_not_computed_again() {
    let disk = Disk::new(b"content", Duration::ZERO);
    let values = Values::new(None, Work::default());
    // Others than the content's, so that it shows where they come from.
    let (blake3, sha256) = ([1; 32], [2; 32]);
    values.known.learn("e".into(), Kind::Pieces, blake3);
    values.known.learn("e".into(), Kind::Sha256, sha256);
    let pieces = read(ask(&values, Kind::Pieces, disk.find(), "\"e\"").await);
    assert_eq!(pieces.await.unwrap()[24..], blake3);
    let digests = read(ask(&values, Kind::Sha256, disk.find(), "\"e\"").await);
    let digests = digests.await.unwrap();
    assert!(digests[..32] == sha256 && sha256::is_whole(&digests, 7));
    let known = values.known_digest(&disk.find(), "\"e\"");
    assert_eq!(known, Some(blake3.into()));
    assert_eq!(values.known_digest(&disk.find(), "\"other\""), None);
    let who = Who::Address(std::net::Ipv4Addr::LOCALHOST);
    let place = values
        .work
        .enter(crate::server::work::Kind::Small, None, &who)
        .unwrap();
    let digest = values.digest(disk.find(), "\"other\"", place.turn().await.unwrap());
    assert_eq!(digest.await.unwrap().1, blake3::hash(b"content"));
}

#[tokio::test]
async fn a_computation_that_panics_fails_whoever_reads_it() {
    let (job, mut waiting) = Job::begin(64);
    let mut reading = job.read(64).unwrap();
    job.begun();
    job.publish(&[1; 32]);
    assert_eq!(reading.next().await.unwrap().unwrap(), [1; 32]);
    job.see_to(async { panic!("on purpose") }).await;
    for stream in [&mut waiting, &mut reading] {
        let failed = stream.next().await.unwrap_err();
        assert!(failed.to_string().contains("fault of haul"), "{failed}");
    }
    assert!(
        job.read(64).is_none(),
        "who comes later has it computed anew"
    );
}
