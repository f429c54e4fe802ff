//! Kinds of servers, by what they tell of a file.

use std::{
    fmt::Write as _,
    fs,
    time::{Duration, Instant, SystemTime},
};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::model::{Content, NAME};
use crate::common::{
    program::Haul,
    scripted::{Reply, Request, Scripted, chunked, file, not_found, ok, reply, scripted},
    serving::{PATIENCE, Serving, serve},
    trees::{content, hex, quick_temp},
};

/// Thu, 01 Jan 2026 10:00:33 GMT.
const DATE: u64 = 1_767_261_633;

/// A server, and what it and the command line tell.
pub struct Kind {
    pub word: &'static str,
    pub size: usize,
    /// Arguments that say more.
    pub more: Vec<String>,
    /// Whether a listing names the files, else a Metalink does.
    pub lists: bool,
    url: String,
    /// Whether a file of its size and date is believed to be it.
    believes_dates: bool,
    /// Whether it tells a date.
    dated: bool,
    /// Where its files or lists of them are.
    dir: TempDir,
    _serving: Option<Serving>,
    _scripted: Option<Scripted>,
}

impl Kind {
    fn new(word: &'static str, size: usize, scripted: Option<Scripted>, dir: TempDir) -> Self {
        Self {
            word,
            size,
            more: vec!["--all".to_owned()],
            lists: true,
            url: scripted
                .as_ref()
                .map_or(String::new(), |server| server.url("/")),
            believes_dates: true,
            dated: true,
            dir,
            _serving: None,
            _scripted: scripted,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether what lands gets the date.
    pub const fn has_date(&self) -> bool {
        self.dated
    }

    pub fn bytes(&self, content: Content) -> Vec<u8> {
        bytes(content, self.size)
    }

    /// What holds these bytes.
    pub fn content(&self, there: &[u8]) -> Content {
        use Content::{Empty, Long, New, Other, Short};
        let known = [New, Other, Short, Long, Empty];
        let known = known
            .into_iter()
            .find(|content| self.bytes(*content) == there);
        known
            .unwrap_or_else(|| panic!("{}: {} bytes that nobody put there", self.word, there.len()))
    }

    /// One name for each content: all of an empty file is the same.
    pub fn label(&self, content: Content) -> Content {
        self.content(&self.bytes(content))
    }

    /// Whether such a file counts as what the server has.
    pub fn counts(&self, content: Content, dated: bool) -> bool {
        let is_long = self.bytes(content).len() == self.size;
        self.label(content) == self.label(Content::New) || self.believes_dates && dated && is_long
    }
}

/// The date that servers tell.
pub fn date() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(DATE)
}

fn bytes(of: Content, size: usize) -> Vec<u8> {
    let new = content(1, size);
    match of {
        Content::New => new,
        Content::Other => content(2, size),
        Content::Short => new[..size / 2].to_vec(),
        Content::Long => [new, content(3, 300)].concat(),
        Content::Empty => Vec::new(),
    }
}

/// A server that tells values of pieces, and digests in its listings.
pub fn haul(size: usize, cells: usize) -> Kind {
    let (dir, known) = (quick_temp(), quick_temp());
    for cell in 0..cells {
        let path = dir.path().join(format!("{cell}/{NAME}"));
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes(Content::New, size)).unwrap();
        let file = fs::File::open(&path).unwrap();
        file.set_modified(date()).unwrap();
    }
    let serving = serve(dir.path());
    let url = serving.url("/");
    // It knows the digests of what it has sent, once nothing changed for a while.
    let run = |rule| {
        let line = ["connect", &url, "--all", "--headless", "--json"];
        let to = ["-d", known.path().to_str().unwrap(), "--on-conflict", rule];
        let (code, stdout, stderr) = Haul::new(&[&line[..], &to].concat()).run();
        assert_eq!(code, 0, "{stderr}");
        stdout
    };
    let begun = Instant::now();
    while run("overwrite").is_empty() || run("update").contains(r#""verified":"unread""#) {
        assert!(begun.elapsed() < PATIENCE, "digests in listings");
    }
    Kind {
        url,
        believes_dates: false,
        _serving: Some(serving),
        ..Kind::new("haul serve", size, None, dir)
    }
}

/// Files that a listing names, each answered by `answer`; `about` follows a name in it.
fn listing(
    cells: usize,
    about: &str,
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Scripted {
    let dirs: String = (0..cells).fold(String::new(), |mut page, cell| {
        writeln!(page, "<a href=\"{cell}/\">{cell}/</a>").unwrap();
        page
    });
    let page = |names: &str| {
        format!(
            "<html><head><title>Index of /</title></head><body><h1>Index of /</h1><pre><a href=\"../\">../</a>\n{names}</pre></body></html>"
        )
    };
    let (root, cell) = (
        page(&dirs),
        page(&format!("<a href=\"{NAME}\">{NAME}</a>{about}\n")),
    );
    scripted(move |request| match &*request.target {
        "/" => ok("text/html", root.as_bytes()),
        target if target.ends_with('/') => ok("text/html", cell.as_bytes()),
        target if target.ends_with(NAME) => answer(request),
        _ => not_found(),
    })
}

const LAST_MODIFIED: &str = "\nLast-Modified: Thu, 01 Jan 2026 10:00:33 GMT";

/// A server that tells sizes and dates.
pub fn nginx(size: usize, cells: usize) -> Kind {
    let new = bytes(Content::New, size);
    let fields = format!("{LAST_MODIFIED}\nAccept-Ranges: bytes");
    let about = format!("                 01-Jan-2026 10:00      {size}");
    let server = listing(cells, &about, move |request| file(request, &new, &fields));
    Kind::new("sizes and dates", size, Some(server), quick_temp())
}

/// A server that tells sizes alone.
pub fn undated(size: usize, cells: usize) -> Kind {
    let new = bytes(Content::New, size);
    let server = listing(cells, "", move |request| {
        file(request, &new, "\nAccept-Ranges: bytes")
    });
    Kind {
        believes_dates: false,
        dated: false,
        ..Kind::new("no dates", size, Some(server), quick_temp())
    }
}

/// A server that tells dates, but not how long what it sends will be.
pub fn unsized_(size: usize, cells: usize) -> Kind {
    let new = bytes(Content::New, size);
    let head = format!(
        "200 OK\nContent-Type: application/octet-stream\nTransfer-Encoding: chunked{LAST_MODIFIED}"
    );
    let server = listing(cells, "", move |request| {
        if request.method == "HEAD" {
            return reply(&head, b"");
        }
        let mut body = chunked(&new, 50_000, "");
        body.extend(b"0\r\n\r\n");
        reply(&head, &body)
    });
    Kind {
        believes_dates: false,
        ..Kind::new("no sizes", size, Some(server), quick_temp())
    }
}

/// Sizes and dates, and a list of digests from the user.
pub fn listed(size: usize, cells: usize) -> Kind {
    let kind = nginx(size, cells);
    let digest = hex(&Sha256::digest(bytes(Content::New, size)));
    let list: String = (0..cells).fold(String::new(), |mut list, cell| {
        writeln!(list, "{digest}  {cell}/{NAME}").unwrap();
        list
    });
    let path = kind.dir.path().join("LIST");
    fs::write(&path, list).unwrap();
    let list = path.to_str().unwrap().to_owned();
    Kind {
        word: "a list of digests",
        more: vec!["--all".to_owned(), "--checksums".to_owned(), list],
        believes_dates: false,
        ..kind
    }
}

/// A Metalink that says `more` of each file, which a server of sizes and dates has.
fn metalink(word: &'static str, size: usize, cells: usize, more: &str) -> Kind {
    let kind = nginx(size, cells);
    let files: String = (0..cells).fold(String::new(), |mut files, cell| {
        let url = format!("{}{cell}/{NAME}", kind.url);
        writeln!(
            files,
            "<file name=\"{cell}/{NAME}\"><size>{size}</size>{more}<url>{url}</url></file>"
        )
        .unwrap();
        files
    });
    let path = kind.dir.path().join("all.meta4");
    let namespace = "urn:ietf:params:xml:ns:metalink";
    fs::write(
        &path,
        format!("<metalink xmlns=\"{namespace}\">{files}</metalink>"),
    )
    .unwrap();
    Kind {
        word,
        url: path.to_str().unwrap().to_owned(),
        more: Vec::new(),
        lists: false,
        believes_dates: false,
        ..kind
    }
}

pub fn digest(size: usize, cells: usize) -> Kind {
    let digest = hex(&Sha256::digest(bytes(Content::New, size)));
    metalink(
        "Metalink, a digest",
        size,
        cells,
        &format!("<hash type=\"sha-256\">{digest}</hash>"),
    )
}

pub fn pieces(size: usize, cells: usize) -> Kind {
    let new = bytes(Content::New, size);
    let length = 300_000;
    let hashes: String = new.chunks(length).fold(String::new(), |mut hashes, piece| {
        write!(hashes, "<hash>{}</hash>", hex(&Sha256::digest(piece))).unwrap();
        hashes
    });
    metalink(
        "Metalink, pieces",
        size,
        cells,
        &format!("<pieces type=\"sha-256\" length=\"{length}\">{hashes}</pieces>"),
    )
}

pub fn weak(size: usize, cells: usize) -> Kind {
    let digest = hex(&md5::Md5::digest(bytes(Content::New, size)));
    metalink(
        "Metalink, weak",
        size,
        cells,
        &format!("<hash type=\"md5\">{digest}</hash>"),
    )
}

pub fn unproved(size: usize, cells: usize) -> Kind {
    Kind {
        believes_dates: true,
        ..metalink("Metalink, nothing", size, cells, "")
    }
}
