//! What is to be fetched or listed: files and directories, and what earlier tries at them came to.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{
    Error, ItemId,
    disk::names::Local,
    id::{RestId, SourceId, SourceSet},
    read::metalink::{NamedFile, Signature},
};
use crate::{
    digest::Digest, escape, http1::path::RemotePath, piece_digests::PieceDigests, pieces::PIECE,
};

/// What a request names.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A path below the source's base.
    Path(RemotePath),
    /// A request target, where a redirect led or a Metalink points.
    Target(String),
}

/// Where a redirect led for one file.
#[derive(Debug, Clone)]
pub struct Led {
    /// The source whose URL redirected first; it is asked again where this one serves no more.
    pub first: SourceId,
    /// The source that it led to: another one, or the same.
    pub at: SourceId,
    /// What is asked for there.
    pub target: String,
    /// Redirects that led there, in a row.
    pub hops: u32,
}

/// What a Metalink tells of a file's content, besides a digest that proves it.
#[derive(Debug, Clone)]
pub struct Named {
    /// Bytes that it must have.
    pub size: Option<u64>,
    /// A weak digest: it counts where nothing else proves the file.
    pub weak: Option<Digest>,
}

/// Sources that failed inside, and what one of them said. That may pass: each is left to the others at first, and asked again once
/// all were tried.
#[derive(Debug, Clone)]
pub struct Failing {
    sources: SourceSet,
    error: Error,
}

/// Redirects that are followed in a row.
pub const REDIRECTS_MAX: u32 = 5;

/// A file that is to be fetched.
#[derive(Debug, Clone)]
pub struct FileTask {
    /// The item that it belongs to.
    pub item: ItemId,
    /// Below the base URL.
    pub path: RemotePath,
    /// The local file's name where it is not the remote one's (`--output`).
    pub rename: Option<Vec<u8>>,
    /// Bytes, if known.
    pub size: Option<u64>,
    /// Date of the content, if known.
    pub modified: Option<SystemTime>,
    /// Digest of the content, if the listing tells it.
    pub blake3: Option<blake3::Hash>,
    /// Digest that the user asks for.
    pub checksum: Option<Box<Digest>>,
    /// What else a Metalink tells of its content.
    pub named: Option<Box<Named>>,
    /// Digests of its pieces, as a Metalink tells them.
    pub pieces: Option<Arc<PieceDigests>>,
    /// Its signature, which a Metalink holds.
    pub signature: Option<Arc<Signature>>,
    /// What is here already.
    pub local: Local,
    /// Bytes that its part held when it was given up.
    pub kept: u64,
    /// Failed attempts so far.
    pub failures: u32,
    /// Sources that refused it, or that have it not.
    pub tried: SourceSet,
    /// Those of them that failed inside.
    pub failing: Option<Box<Failing>>,
    /// Sources that a Metalink does not name for it.
    pub foreign: SourceSet,
    /// Whether it is asked for as a whole whatever its size is: ranges of it are of no use.
    pub whole: bool,
    /// How often it was found to be another while it was fetched.
    pub changes: u32,
    /// Where redirects led, one for each source that redirects it.
    pub led: Vec<Led>,
    /// Sources off those that the user named that redirects ever led to since the file was begun.
    pub met: SourceSet,
    /// Sources that redirected it, whether or not where they led still serves.
    pub redirecting: SourceSet,
    /// When that changed last: what was asked for before may have been asked for elsewhere.
    pub turned: Option<Instant>,
    /// Refusals in a row where redirects led, without a byte between them.
    pub refusals: u16,
    /// Whether it is to be asked for with nothing in front of it: it was refused behind other requests.
    pub alone: bool,
    /// Request targets where a Metalink points, rather than at the path below the source's base: the first of a source's is
    /// asked for, the others once that fails.
    pub targets: Vec<(SourceId, String)>,
    /// How many of them, from the first on, are asked for no more.
    pub passed: u16,
}

impl FileTask {
    /// A task about which only the path is known.
    pub fn new(item: ItemId, path: RemotePath) -> Self {
        Self {
            item,
            path,
            rename: None,
            size: None,
            modified: None,
            blake3: None,
            checksum: None,
            named: None,
            pieces: None,
            signature: None,
            local: Local::Nothing,
            kept: 0,
            failures: 0,
            tried: SourceSet::default(),
            failing: None,
            foreign: SourceSet::default(),
            whole: false,
            changes: 0,
            led: Vec::new(),
            met: SourceSet::default(),
            redirecting: SourceSet::default(),
            turned: None,
            refusals: 0,
            alone: false,
            targets: Vec::new(),
            passed: 0,
        }
    }

    /// A task for what a Metalink names; of `servers` only those that have it are asked.
    pub fn named(file: &NamedFile, servers: SourceSet) -> Self {
        let has = file.places.iter().map(|(source, _)| *source).collect();
        let foreign = servers.without(has);
        Self {
            size: file.size,
            checksum: file.digest.clone().map(Box::new),
            named: Some(Box::new(Named {
                size: file.size,
                weak: file.weak.clone(),
            })),
            pieces: file.pieces.clone(),
            signature: file.signature.clone(),
            local: Local::Unknown,
            tried: foreign,
            foreign,
            targets: file.places.clone(),
            ..Self::new(ItemId::default(), file.path.clone())
        }
    }

    /// What a source is asked for to get the file.
    pub fn subject_at(&self, source: SourceId) -> Subject {
        if let Some(led) = self.led_to(source) {
            return Subject::Target(led.target.clone());
        }
        let mut targets = self.left_targets().iter();
        let known = targets.find(|(of, _)| *of == source);
        known.map_or_else(
            || Subject::Path(self.path.clone()),
            |(_, target)| Subject::Target(target.clone()),
        )
    }

    /// Whether a Metalink points to more than what a source is asked for.
    pub fn has_next_url(&self, source: SourceId) -> bool {
        let its = self.left_targets().iter().filter(|(of, _)| *of == source);
        its.count() > 1
    }

    /// Asks a source for the next of what a Metalink points to there; for this one after all others, or `for_good` no more.
    pub fn turn_to_next_url(&mut self, source: SourceId, for_good: bool) {
        let mut left = self.left_targets().iter();
        let first = left.position(|(of, _)| *of == source);
        if let Some(first) = first.filter(|_| self.has_next_url(source)) {
            let target = self.targets.remove(usize::from(self.passed) + first);
            if for_good {
                self.targets.insert(self.passed.into(), target);
                self.passed += 1;
            } else {
                self.targets.push(target);
            }
        }
    }

    /// All that a Metalink points to may be asked for again.
    pub fn turn_to_all_urls(&mut self) {
        self.passed = 0;
    }

    fn left_targets(&self) -> &[(SourceId, String)] {
        self.targets.get(self.passed.into()..).unwrap_or_default()
    }

    /// The source whose URL led to one, or that one itself.
    pub fn first_for(&self, source: SourceId) -> SourceId {
        self.led_to(source).map_or(source, |led| led.first)
    }

    /// Whether a source is known not to have it: a Metalink names others.
    pub fn is_foreign_to(&self, source: SourceId) -> bool {
        self.foreign.contains(source) && self.led_to(source).is_none()
    }

    /// The redirect that led to a source.
    pub fn led_to(&self, source: SourceId) -> Option<&Led> {
        self.led.iter().find(|led| led.at == source)
    }

    /// Sources that are not asked for it: those that refused it, those that redirect it, and those that other files'
    /// redirects led to.
    pub fn off(&self) -> SourceSet {
        let (mut strange, mut away) = (SourceSet::LED, SourceSet::default());
        for led in &self.led {
            strange = strange.without(SourceSet::of(led.at));
            if led.first != led.at {
                away.insert(led.first);
            }
        }
        // One that another one redirects to is asked for that.
        for led in &self.led {
            away = away.without(SourceSet::of(led.at));
        }
        self.tried.union(strange).union(away)
    }

    /// What a redirect led to serves no more: it is asked for at the first URL again. Whether there was such a redirect.
    pub fn forget_led(&mut self, source: SourceId) -> bool {
        let before = self.led.len();
        self.led.retain(|led| led.at != source);
        self.led.len() < before
    }

    /// The same; which sources led there.
    pub fn forget_led_from(&mut self, source: SourceId) -> SourceSet {
        let its = self.led.iter().filter(|led| led.at == source);
        let first = its.map(|led| led.first).collect();
        self.forget_led(source);
        first
    }

    /// Another source has the file: those that failed inside may give some of it by now.
    pub fn opened(&mut self) {
        ask_again(&mut self.tried, &mut self.failing);
    }

    /// The file is begun anew, at the first URLs.
    pub fn begin_anew(&mut self) {
        self.led.clear();
        (self.met, self.refusals) = (SourceSet::default(), 0);
    }

    /// Sources that cannot be asked for the values of its pieces, because they are asked for it by a query.
    pub fn mute(&self) -> SourceSet {
        let targets = self
            .left_targets()
            .iter()
            .map(|(source, target)| (*source, target));
        let known = targets.filter(|(source, _)| self.led_to(*source).is_none());
        let led = self.led.iter().filter_map(|led| self.led_to(led.at));
        let led = led.map(|led| (led.at, &led.target));
        let with_query = known.chain(led).filter(|(_, target)| target.contains('?'));
        with_query.map(|(source, _)| source).collect()
    }

    /// The name that the file gets.
    pub fn local_name(&self) -> &[u8] {
        self.rename.as_deref().unwrap_or_else(|| self.path.name())
    }

    /// The date that the file gets here, where an answer told one: as fine as the listing has it, since HTTP has whole seconds.
    pub fn date(&self, told: Option<SystemTime>) -> Option<SystemTime> {
        let seconds = |date: SystemTime| {
            let since = date.duration_since(SystemTime::UNIX_EPOCH);
            since.map(|since| since.as_secs()).ok()
        };
        let listed = self.modified;
        match (told, listed) {
            (Some(told), Some(listed)) if seconds(told) != seconds(listed) => Some(told),
            _ => listed.or(told),
        }
    }

    /// The path for people.
    pub fn shown(&self) -> String {
        escape::display_name(self.path.as_bytes()).into_owned()
    }

    /// Whether it is fetched in runs of pieces, as far as its size is known.
    pub fn is_large(&self) -> bool {
        self.size.is_some_and(|size| size > PIECE)
    }
}

/// Takes those out of `tried` that failed inside.
fn ask_again(tried: &mut SourceSet, failing: &mut Option<Box<Failing>>) -> Option<Error> {
    let failing = failing.take()?;
    *tried = tried.without(failing.sources);
    Some(failing.error)
}

/// A directory of a tree that is to be listed, or that was and holds more than could be remembered.
#[derive(Debug, Clone)]
pub struct DirTask {
    /// The item that it belongs to.
    pub item: ItemId,
    /// Below the base URL.
    pub dir: RemotePath,
    /// Failed attempts so far.
    pub failures: u32,
    /// Sources that refused it.
    pub tried: SourceSet,
    /// Those of them that failed inside.
    pub failing: Option<Box<Failing>>,
    /// Files that attempts before handed on, by a hash of their names. They are bounded: what is too much for the
    /// queue is put on disk, and that is begun anew with each attempt.
    pub taken: HashSet<u128>,
    /// The listings above it, and its own once it was read.
    pub above: Option<Arc<Above>>,
    /// No directory below it is gone into.
    pub is_last: bool,
    /// What is left of it, once its listing was read to the end.
    pub rest: Option<RestId>,
}

/// What listings on the way down to a directory said: one that says the same again is the same directory.
#[derive(Debug)]
pub struct Above {
    /// Stands for all that the listing says.
    pub print: u128,
    /// The one above it.
    pub above: Option<Arc<Above>>,
}

impl Above {
    /// How many listings from this one up say the same.
    pub fn repeats(this: Option<&Arc<Self>>, print: u128) -> usize {
        let all = std::iter::successors(this, |above| above.above.as_ref());
        all.filter(|above| above.print == print).count()
    }
}

impl DirTask {
    /// A directory of which nothing is known.
    pub fn new(item: ItemId, dir: RemotePath) -> Self {
        Self {
            item,
            dir,
            failures: 0,
            tried: SourceSet::default(),
            failing: None,
            taken: HashSet::new(),
            above: None,
            is_last: false,
            rest: None,
        }
    }
}

/// What can fail and be tried again.
#[derive(Debug, Clone)]
pub enum Task {
    /// A file to fetch; its item counts it as busy.
    File(FileTask),
    /// A directory to list; its item counts it as being listed.
    Dir(DirTask),
}

impl Task {
    /// The item that it belongs to.
    pub fn item(&self) -> ItemId {
        match self {
            Self::File(task) => task.item,
            Self::Dir(task) => task.item,
        }
    }

    /// Below the base URL.
    pub fn path(&self) -> &RemotePath {
        match self {
            Self::File(task) => &task.path,
            Self::Dir(task) => &task.dir,
        }
    }

    /// Failed attempts so far.
    pub fn failures(&mut self) -> &mut u32 {
        match self {
            Self::File(task) => &mut task.failures,
            Self::Dir(task) => &mut task.failures,
        }
    }

    /// A source that is left out for it.
    pub fn leave_out(&mut self, source: SourceId) {
        self.tried().0.insert(source);
    }

    /// The same, for what may pass.
    pub fn leave_out_failing(&mut self, source: SourceId, error: &Error) {
        let (tried, failing) = self.tried();
        tried.insert(source);
        let failing = failing.get_or_insert_with(|| {
            Box::new(Failing {
                sources: SourceSet::default(),
                error: error.clone(),
            })
        });
        failing.sources.insert(source);
    }

    /// Those that failed inside are to be asked again; what one of them said, where there are any.
    pub fn ask_failing_again(&mut self) -> Option<Error> {
        let (tried, failing) = self.tried();
        ask_again(tried, failing)
    }

    fn tried(&mut self) -> (&mut SourceSet, &mut Option<Box<Failing>>) {
        match self {
            Self::File(task) => (&mut task.tried, &mut task.failing),
            Self::Dir(task) => (&mut task.tried, &mut task.failing),
        }
    }
}

impl From<FileTask> for Task {
    fn from(task: FileTask) -> Self {
        Self::File(task)
    }
}

impl From<DirTask> for Task {
    fn from(task: DirTask) -> Self {
        Self::Dir(task)
    }
}
