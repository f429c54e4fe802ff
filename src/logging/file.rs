//! The log's file: each line whole or absent, whatever the disk takes, and under its name also after somebody moved it away.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::exit::reason;

/// How often it is looked at most whether the name leads to the file still.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is to be said of the file itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// Lines are lost from now on.
    Fails(String),
    /// There is room again; so many lines are not in it.
    Lost(u64, String),
}

/// What is done with the news.
pub(super) struct Tell {
    /// Makes the line of the file, with its line end.
    pub form: Box<dyn Fn(&News) -> String + Send>,
    /// Tells people.
    pub show: Box<dyn Fn(&News) + Send>,
}

/// A log file. A write is whole lines, and never fails: what is lost is counted, and told when there is room.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    looked: Instant,
    /// Whether what it ends in is no whole line: another line must not go on with it.
    is_torn: bool,
    lost: u64,
    /// Why.
    problem: String,
    tell: Tell,
}

/// Opens a log to append to it.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Not for everybody: it tells who fetched what.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.append(true).create(true).open(path)
}

impl LogFile {
    /// Writes behind what `file`, which was opened at `path` to append, holds.
    pub(super) fn new(path: PathBuf, file: File, tell: Tell) -> Self {
        let mut this = Self {
            path,
            file,
            looked: Instant::now(),
            is_torn: false,
            lost: 0,
            problem: String::new(),
            tell,
        };
        this.is_torn = this.ends_torn().unwrap_or(false);
        this
    }

    /// Whether the last line lacks its end, as after a crash.
    fn ends_torn(&self) -> io::Result<bool> {
        let about = self.file.metadata()?;
        if !about.is_file() || about.len() == 0 {
            return Ok(false);
        }
        let mut last = [0];
        let mut reader = File::open(&self.path)?;
        reader.seek(SeekFrom::End(-1))?;
        reader.read_exact(&mut last)?;
        Ok(last != *b"\n")
    }

    /// Opens the file anew where its name leads elsewhere, as after `logrotate` moved it.
    fn follow(&mut self) {
        if self.looked.elapsed() < LOOK_AGAIN {
            return;
        }
        self.looked = Instant::now();
        let Ok(here) = self.file.metadata() else {
            return;
        };
        let is_same = match fs::metadata(&self.path) {
            Ok(named) => (named.dev(), named.ino()) == (here.dev(), here.ino()),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        if !here.is_file() || is_same {
            return;
        }
        // Where it cannot be made, the old one has the lines.
        if let Ok(file) = open(&self.path) {
            self.file = file;
            self.is_torn = self.ends_torn().unwrap_or(false);
        }
    }

    /// Appends whole lines: all, or those for which there is room. Tells how many there was none for.
    fn append(&mut self, lines: &[u8]) -> Result<(), (u64, io::Error)> {
        let torn = if self.is_torn { b"\n".as_slice() } else { b"" };
        let whole = [torn, lines].concat();
        let mut written = 0;
        let error = loop {
            match self.file.write(&whole[written..]) {
                Ok(0) => break io::ErrorKind::WriteZero.into(),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break error,
            }
            if written == whole.len() {
                self.is_torn = false;
                return Ok(());
            }
        };
        let end = whole[..written].iter().rposition(|&b| b == b'\n');
        let kept = end.map_or(0, |at| at + 1);
        if kept > 0 {
            self.is_torn = false;
        }
        self.take_back((written - kept) as u64);
        Err((count_lines(&whole[kept.max(torn.len())..]), error))
    }

    /// Cuts off the beginning of a line whose rest found no room, unless another process wrote behind it.
    fn take_back(&mut self, torn: u64) {
        if torn == 0 {
            return;
        }
        let cut = (|| {
            let end = self.file.stream_position()?;
            let is_last = self.file.metadata()?.len() == end;
            if is_last {
                self.file.set_len(end - torn)?;
            }
            Ok::<_, io::Error>(is_last)
        })();
        self.is_torn |= !cut.unwrap_or(false);
    }
}

fn count_lines(text: &[u8]) -> u64 {
    text.split_inclusive(|&b| b == b'\n').count() as u64
}

impl Write for LogFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.follow();
        if self.lost > 0 {
            // What is told comes before what is new, or not at all.
            let news = News::Lost(self.lost, self.problem.clone());
            if self.append((self.tell.form)(&news).as_bytes()).is_err() {
                self.lost += count_lines(lines);
                return Ok(lines.len());
            }
            self.lost = 0;
            (self.tell.show)(&news);
        }
        if let Err((lost, error)) = self.append(lines) {
            self.lost = lost;
            self.problem = reason(&error);
            (self.tell.show)(&News::Fails(self.problem.clone()));
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
