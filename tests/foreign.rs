//! Downloading from other people's servers: real ones where they are installed, recorded listings of others, and
//! servers that break the rules. Each ends right or with one clear error; nothing wrong lands under a final name.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use crate::common::{
    fetching::{Fetched, fetch_with, settings},
    proxy::{Line, proxy},
    scripted::{Reply, Request, Scripted, Then, chunked, file, not_found, ok, reply, scripted},
    serving::PATIENCE,
    tools::{installed, need, skipped},
    trees::{assert_same, content, make_tree, quick_temp},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use haul::{
    client::{Settings, Verified, Want},
    exit::Exit,
    http1::path::RemotePath,
};
use tempfile::TempDir;

pub const MIB: usize = 1 << 20;

pub fn temp() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Somebody's server on a port of its own; ended when it is dropped.
pub struct Foreign {
    child: Child,
    address: SocketAddr,
    _config: TempDir,
}

impl Foreign {
    /// Starts `command`, which gets the port, and waits until it answers.
    pub fn start(command: impl FnOnce(SocketAddr, &Path) -> Command) -> Self {
        let config = temp();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = command(address, config.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut foreign = Self {
            child,
            address,
            _config: config,
        };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = foreign.child.try_wait().unwrap();
            assert_eq!(ended, None, "the server does not start");
            assert!(start.elapsed() < PATIENCE, "the server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        foreign
    }

    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// nginx on `root`, with directives of the test's own; `None` where it is not installed.
pub fn nginx(root: &Path, directives: &str) -> Option<Foreign> {
    nginx_with(root, "", directives)
}

/// The same, with directives for all servers, too.
pub fn nginx_with(root: &Path, of_all: &str, directives: &str) -> Option<Foreign> {
    nginx_listening(root, "", of_all, directives)
}

/// The same, with parameters of what it listens on, such as `ssl`.
pub fn nginx_listening(
    root: &Path,
    listens: &str,
    of_all: &str,
    directives: &str,
) -> Option<Foreign> {
    let program = need("nginx")?;
    Some(Foreign::start(|address, dir| {
        let text = format!(
            "daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
            events {{ worker_connections 256; }}
            http {{
                access_log off; sendfile on; default_type application/octet-stream;
                client_body_temp_path {dir}/1; proxy_temp_path {dir}/2; fastcgi_temp_path {dir}/3;
                uwsgi_temp_path {dir}/4; scgi_temp_path {dir}/5; {of_all}
                server {{ listen {address} {listens}; root {root}; index .none; autoindex on; {directives} }}
            }}",
            dir = dir.display(),
            root = root.display(),
        );
        fs::write(dir.join("nginx.conf"), text).unwrap();
        let mut command = Command::new(program);
        command
            .arg("-p")
            .arg(dir)
            .arg("-c")
            .arg(dir.join("nginx.conf"));
        command
    }))
}

pub fn fetch(settings: Settings) -> Fetched {
    let mut fetching = fetch_with(settings);
    fetching.get_everything();
    fetching.finish()
}

pub fn assert_done(fetched: &Fetched) {
    assert_eq!(fetched.failed, []);
    assert_eq!(fetched.exit, Some(Exit::Done));
}

/// A tree with odd names, but without those that a server has no way to tell.
pub fn tree_without(names: &[&[u8]]) -> TempDir {
    let dir = temp();
    make_tree(dir.path());
    for name in names {
        let path = dir
            .path()
            .join("names")
            .join(std::ffi::OsStr::from_bytes(name));
        fs::remove_file(path).unwrap();
    }
    dir
}

pub fn assert_tree_arrives(source: &Path, url: &str) {
    let target = temp();
    let fetched = fetch(settings(url, target.path()));
    assert_done(&fetched);
    assert_same(source, target.path());
    let unverified = |(_, verified): &(String, Verified)| *verified == Verified::Unverified;
    assert!(
        fetched.finished.iter().all(unverified),
        "nobody told a digest"
    );
}

#[test]
fn nginx_html() {
    let source = tree_without(&[]);
    let Some(nginx) = nginx(source.path(), "autoindex_format html;") else {
        return;
    };
    assert_tree_arrives(source.path(), &nginx.url("/"));
}

#[test]
fn what_nginx_sent_is_gone_on_with_by_the_next_run() {
    const SIZE: usize = 48 << 20;
    let (source, target, state) = (temp(), temp(), temp());
    fs::write(source.path().join("big"), content(5, SIZE)).unwrap();
    let Some(nginx) = nginx(source.path(), "") else {
        return;
    };
    let proxy = proxy(nginx.address);
    let settings = || Settings {
        state_dir: Some(state.path().to_owned()),
        ..settings(&proxy.url("/"), target.path())
    };
    proxy.lines(|_| Line {
        rate: Some(4 << 20),
        ..Line::default()
    });
    let mut first = fetch_with(settings());
    first.get_path("/big");
    first.wait_for("a third of it", |now| now.items[0].done > SIZE as u64 / 3);
    drop(first);
    assert!(target.path().join("big.part").exists());
    let before = proxy.file_bytes();
    let mut second = fetch_with(settings());
    second.get_path("/big");
    assert_eq!(second.finish().failed, []);
    assert_same(source.path(), target.path());
    // Whole pieces are kept; what each connection had of the next one is not, nor what was on its way.
    let again = proxy.file_bytes() - SIZE as u64;
    assert!(again < 12 << 20, "{again} bytes were fetched twice");
    assert!(before > SIZE as u64 / 3, "{before}");
}

/// Time for 10,000 files of 4 KiB over a line with a round trip of 20 ms.
fn over_a_slow_line(upstream: SocketAddr) -> Duration {
    let target = temp();
    let proxy = proxy(upstream);
    proxy.lines(|_| Line {
        latency: Duration::from_millis(10),
        ..Line::default()
    });
    let began = Instant::now();
    let mut fetching = fetch_with(settings(&proxy.url("/"), target.path()));
    fetching.get_everything();
    let fetched = fetching.finish();
    let took = began.elapsed();
    assert_eq!((fetched.finished.len(), fetched.failed.len()), (10_000, 0));
    took
}

#[test]
fn many_small_files_do_not_wait_for_a_slow_line() {
    let source = temp();
    for n in 0..10_000u64 {
        fs::write(source.path().join(n.to_string()), content(n, 4096)).unwrap();
    }
    let serving = crate::common::serving::serve(source.path());
    // One answer waited for after the other, five connections would take 40 s. What is not optimized takes longer itself.
    let slower = if cfg!(debug_assertions) { 3 } else { 1 };
    let took = over_a_slow_line(serving.address);
    assert!(took < Duration::from_secs(3) * slower, "haul: {took:?}");
    if let Some(nginx) = nginx(source.path(), "") {
        let took = over_a_slow_line(nginx.address);
        assert!(took < Duration::from_secs(6) * slower, "nginx: {took:?}");
    }
}

#[test]
fn nginx_json() {
    let source = tree_without(&[]);
    let Some(nginx) = nginx(source.path(), "autoindex_format json;") else {
        return;
    };
    assert_tree_arrives(source.path(), &nginx.url("/"));
}

#[test]
fn python_http_server() {
    // A directory with an index.html has no listing; names that are no UTF-8 are listed under other ones.
    let source = tree_without(&[b"index.html", b"not utf8 \xff\xfe.bin"]);
    let Some(python) = need("python3") else {
        return;
    };
    let server = Foreign::start(|address, _| {
        let mut command = Command::new(python);
        command
            .args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"])
            .arg(source.path())
            .arg(address.port().to_string());
        command
    });
    assert_tree_arrives(source.path(), &server.url("/"));
}

#[test]
fn rclone_serve_http() {
    // rclone lists names with control characters, or that are no UTF-8, under other ones.
    let source = tree_without(&[b"not utf8 \xff\xfe.bin", b"new\nline", b"esc\x1b[31mape"]);
    let Some(rclone) = need("rclone") else {
        return;
    };
    let server = Foreign::start(|address, config| {
        let mut command = Command::new(rclone);
        command
            .args(["serve", "http", "--read-only", "--addr"])
            .arg(address.to_string())
            .arg(source.path())
            .env("RCLONE_CONFIG", config.join("rclone.conf"));
        command
    });
    assert_tree_arrives(source.path(), &server.url("/"));
}

#[test]
fn caddy_file_server() {
    // A directory with an index.html has no listing; names that are no UTF-8 are listed under other ones.
    let source = tree_without(&[b"index.html", b"not utf8 \xff\xfe.bin"]);
    let Some(caddy) = need("caddy") else {
        return;
    };
    let server = Foreign::start(|address, config| {
        let mut command = Command::new(caddy);
        command
            .args(["file-server", "--browse", "--listen"])
            .arg(address.to_string())
            .arg("--root")
            .arg(source.path())
            .env("XDG_CONFIG_HOME", config)
            .env("XDG_DATA_HOME", config);
        command
    });
    assert_tree_arrives(source.path(), &server.url("/"));
}

/// In no package of Debian's: held against the real ones where they are installed, against recorded answers elsewhere.
#[test]
fn dufs_and_miniserve() {
    let source = tree_without(&[b"not utf8 \xff\xfe.bin", b"new\nline", b"esc\x1b[31mape"]);
    for (program, address_flag) in [("dufs", "-b"), ("miniserve", "-i")] {
        let Some(program) = installed(program) else {
            skipped(&format!("{program} is not installed"));
            continue;
        };
        let server = Foreign::start(|address, _| {
            let mut command = Command::new(program);
            command
                .args([address_flag, "127.0.0.1", "-p"])
                .arg(address.port().to_string())
                .arg(source.path());
            command
        });
        assert_tree_arrives(source.path(), &server.url("/"));
    }
}

#[test]
fn browsing_nginx_tells_names_sizes_and_dates() {
    let source = tree_without(&[]);
    for format in ["html", "json"] {
        let Some(nginx) = nginx(source.path(), &format!("autoindex_format {format};")) else {
            return;
        };
        let target = temp();
        let fetching = fetch_with(settings(&nginx.url("/"), target.path()));
        let names = RemotePath::from_target(b"/names/").unwrap();
        let listed = fetching.runtime.block_on(fetching.client.list(&names));
        let mut listed: Vec<_> = listed.unwrap();
        listed.sort_by(|a, b| a.name.cmp(&b.name));
        let mut expected: Vec<_> = crate::common::trees::NAMES.iter().zip(100u64..).collect();
        expected.sort_unstable();
        assert_eq!(listed.len(), expected.len());
        for (entry, (name, size)) in listed.iter().zip(expected) {
            assert_eq!(entry.name, *name, "{format}");
            assert_eq!(entry.size, Some(size), "{format}");
            assert!(entry.modified.is_some() && !entry.is_dir, "{format}");
        }
    }
}

#[test]
fn a_large_file_from_nginx_comes_over_several_connections() {
    let (source, target) = (temp(), temp());
    fs::write(source.path().join("big"), content(1, 48 * MIB + 7)).unwrap();
    let Some(nginx) = nginx(source.path(), "") else {
        return;
    };
    let proxy = proxy(nginx.address);
    let fetched = fetch(Settings {
        workers: 4,
        ..settings(&proxy.url("/"), target.path())
    });
    assert_done(&fetched);
    assert_same(source.path(), target.path());
    assert!(proxy.connections() >= 3, "{}", proxy.connections());
    assert!(proxy.file_bytes() < (48 + 5) * MIB as u64, "fetched twice");
}

fn many_files(count: u64) -> TempDir {
    let source = temp();
    for i in 0..count {
        let dir = source.path().join(format!("{}", i % 10));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("{i}.txt")), content(i, 4096)).unwrap();
    }
    source
}

#[test]
fn two_thousand_small_files_from_nginx() {
    let (source, target) = (many_files(2000), quick_temp());
    let Some(nginx) = nginx(source.path(), "keepalive_requests 100000;") else {
        return;
    };
    let fetched = fetch(settings(&nginx.url("/"), target.path()));
    assert_done(&fetched);
    assert_eq!(fetched.retried, [""; 0]);
    assert_same(source.path(), target.path());
}

#[test]
fn an_nginx_that_closes_after_ten_requests() {
    let (source, target) = (many_files(300), quick_temp());
    fs::write(source.path().join("big"), content(1, 20 * MIB)).unwrap();
    let Some(nginx) = nginx(source.path(), "keepalive_requests 10;") else {
        return;
    };
    let fetched = fetch(settings(&nginx.url("/"), target.path()));
    assert_done(&fetched);
    assert_eq!(fetched.retried, [""; 0]);
    assert_same(source.path(), target.path());
}

/// A server with one directory page and the files that it names, by request target.
fn site(kind: &'static str, page: String, files: Vec<(&'static str, Vec<u8>)>) -> Scripted {
    scripted(move |request| {
        if request.target == "/" {
            return ok(kind, page.as_bytes());
        }
        let found = files.iter().find(|(target, _)| *target == request.target);
        found.map_or_else(not_found, |(_, content)| file(request, content, ""))
    })
}

/// Two files with odd names, and an empty directory.
fn odd_files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("/100%25%20%23%3F%2B%26%22.txt", content(1, 3000)),
        ("/%E6%97%A5%E6%9C%AC.bin", content(2, 2 * MIB + 5)),
        ("/sub/", Vec::new()),
    ]
}

fn assert_odd_files_arrive(server: &Scripted) {
    let target = temp();
    let mut fetching = fetch_with(settings(&server.url("/"), target.path()));
    // Without the directory: what a listing of it looks like is not the question.
    fetching.get(Want::Patterns {
        get: vec!["*".into()],
        exclude: vec!["sub/".into()],
    });
    let fetched = fetching.finish();
    assert_done(&fetched);
    let read = |name: &str| fs::read(target.path().join(name)).unwrap();
    assert!(read("100% #?+&\".txt") == content(1, 3000));
    assert!(read("日本.bin") == content(2, 2 * MIB + 5));
    let root = RemotePath::root();
    let fetching = fetch_with(settings(&server.url("/"), target.path()));
    let listed = fetching.runtime.block_on(fetching.client.list(&root));
    let dirs: Vec<_> = listed
        .unwrap()
        .into_iter()
        .filter(|entry| entry.is_dir)
        .collect();
    assert_eq!(dirs.len(), 1);
    assert_eq!(dirs[0].name, b"sub");
}

#[test]
fn a_listing_of_caddy() {
    let page = r#"[{"name":"sub/","size":4096,"url":"./sub/","mod_time":"2026-11-22T11:28:11.123456789Z","mode":2147484141,"is_dir":true,"is_symlink":false},
        {"name":"100% #?+\u0026\".txt","size":3000,"url":"./100%25%20%23%3F+\u0026%22.txt","mod_time":"2026-11-22T11:28:11Z","mode":420,"is_dir":false,"is_symlink":false},
        {"name":"日本.bin","size":2097157,"url":"./%E6%97%A5%E6%9C%AC.bin","mod_time":"2026-11-22T11:28:11Z","mode":420,"is_dir":false,"is_symlink":false}]"#;
    let server = site("application/json; charset=utf-8", page.into(), odd_files());
    assert_odd_files_arrive(&server);
}

/// What dufs answers to `?json`, and embeds in its page.
const DUFS: &str = r#"{"href":"/","kind":"Index","uri_prefix":"/","allow_upload":false,"allow_delete":false,"allow_search":true,"allow_archive":true,"dir_exists":true,"auth":false,"user":null,
    "paths":[{"path_type":"Dir","name":"sub","mtime":1763810891000,"size":0},
    {"path_type":"File","name":"100% #?+&\".txt","mtime":1763810891000,"size":3000},
    {"path_type":"File","name":"日本.bin","mtime":1763810891000,"size":2097157}]}"#;

#[test]
fn a_listing_of_dufs_as_json() {
    let server = site("application/json; charset=utf-8", DUFS.into(), odd_files());
    assert_odd_files_arrive(&server);
}

#[test]
fn a_listing_of_dufs_in_its_page() {
    let page = format!(
        r#"<!DOCTYPE html><html><head><link rel="stylesheet" href="/__dufs_v0.43.0__/index.css"></head><body>
        <a href="" class="control download hidden" title="Download file" download=""></a>
        <template id="index-data">{}</template>
        <script src="/__dufs_v0.43.0__/index.js"></script></body></html>"#,
        BASE64_STANDARD.encode(DUFS)
    );
    let server = site("text/html; charset=utf-8", page, odd_files());
    assert_odd_files_arrive(&server);
}

#[test]
fn a_listing_of_miniserve() {
    let page = r##"<!DOCTYPE html><html><body><a href="?sort=name&amp;order=asc">Name</a><div class="container">
        <h1 class="title"><span>127.0.0.1:8080</span>/</h1><table><tbody>
        <tr class="entry-type-directory"><td><p><a class="directory" href="/sub/">sub/</a></p></td><td class="size-cell"></td></tr>
        <tr class="entry-type-file"><td><p><a class="file" href="/100%25%20%23%3F%2B%26%22.txt">100% #?+&amp;&quot;.txt</a>
        <span class="mobile-info size">2.93 KiB</span></p></td><td class="size-cell">2.93 KiB</td></tr>
        <tr class="entry-type-file"><td><p><a class="file" href="/%E6%97%A5%E6%9C%AC.bin">日本.bin</a></p></td></tr>
        </tbody></table><a class="back" href="#top">⇪</a>
        <div class="footer"><a href="https://github.com/svenstaro/miniserve">miniserve</a></div></div></body></html>"##;
    let server = site("text/html; charset=utf-8", page.into(), odd_files());
    assert_odd_files_arrive(&server);
}

/// Fetches the only file `f` of a server whose answers for it are scripted.
pub struct Odd {
    pub fetched: Fetched,
    pub target: TempDir,
    pub content: Vec<u8>,
    pub requests: Vec<Request>,
}

/// As [`odd`], with the size in the listing or without.
pub fn odd_sized(
    size: usize,
    listed: bool,
    answer: impl Fn(&Request, &[u8]) -> Reply + Send + Sync + 'static,
) -> Odd {
    let bytes = content(size as u64, size);
    let server = scripted({
        let bytes = bytes.clone();
        move |request| {
            if request.target == "/" && listed {
                let page = format!(r#"[{{"name":"f","size":{size},"url":"./f","is_dir":false}}]"#);
                ok("application/json", page.as_bytes())
            } else if request.target == "/" {
                ok("text/html", b"<a href=\"f\">f</a>")
            } else {
                answer(request, &bytes)
            }
        }
    });
    let target = temp();
    let fetched = fetch(Settings {
        workers: 3,
        retries: 1,
        timeout: Duration::from_secs(1),
        ..settings(&server.url("/"), target.path())
    });
    Odd {
        fetched,
        target,
        content: bytes,
        requests: server.requests(),
    }
}

/// Fetches a file of `size` bytes from a server that answers for it with `answer`.
pub fn odd(size: usize, answer: impl Fn(&Request, &[u8]) -> Reply + Send + Sync + 'static) -> Odd {
    odd_sized(size, true, answer)
}

impl Odd {
    pub fn arrives(&self) {
        assert_done(&self.fetched);
        let there = fs::read(self.target.path().join("f")).unwrap();
        assert!(there == self.content, "{} bytes", there.len());
        assert_eq!(fs::read_dir(self.target.path()).unwrap().count(), 1);
    }

    /// It failed with this status and a reason that tells this; nothing landed.
    pub fn fails(&self, exit: Exit, reason: &str) {
        assert_eq!(self.fetched.finished, [], "{reason}");
        assert_eq!(self.fetched.failed.len(), 1, "{:?}", self.fetched.failed);
        let told = &self.fetched.failed[0].1;
        assert!(told.contains(reason), "{told:?} does not tell {reason:?}");
        assert!(!told.contains('\n'), "{told:?}");
        assert_eq!(self.fetched.exit, Some(exit), "{told}");
        assert!(!self.target.path().join("f").exists(), "it landed");
    }
}

/// A small file, one of a piece and a bit, and one of several runs.
pub const SIZES: [usize; 3] = [50_000, MIB + 1, 9 * MIB + 7];

/// All sizes at once: most of the time goes by in pauses before another try.
pub fn each_size(case: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for size in SIZES {
            let case = &case;
            scope.spawn(move || case(size));
        }
    });
}

#[test]
fn servers_that_close_after_each_answer() {
    each_size(|size| {
        odd(size, |_, bytes| {
            let mut bytes = bytes.to_vec();
            let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len());
            bytes.splice(0..0, head.into_bytes());
            let then = Then::Close;
            Reply { bytes, then }
        })
        .arrives();
        odd(size, |request, bytes| {
            file(request, bytes, "\nConnection: close").then(Then::Close)
        })
        .arrives();
    });
}

#[test]
fn servers_that_tell_no_length() {
    each_size(|size| {
        for listed in [true, false] {
            odd_sized(size, listed, |_, bytes| {
                let mut body = chunked(bytes, 70_001, ";x=y");
                body.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
                reply("200 OK\nTransfer-Encoding: chunked", &body)
            })
            .arrives();
            odd_sized(size, listed, |_, bytes| {
                reply("200 OK\nConnection: close", bytes).then(Then::Close)
            })
            .arrives();
        }
        // Cut short, which only the listing can tell.
        odd(size, |_, bytes| {
            reply("200 OK", &bytes[..bytes.len() - 1]).then(Then::Close)
        })
        .fails(Exit::Network, "before the size in its listing");
    });
}

#[test]
fn servers_that_ignore_ranges() {
    each_size(|size| {
        for fields in [
            "",
            "\nAccept-Ranges: bytes",
            "\nETag: \"x\"\nAccept-Ranges: bytes",
        ] {
            for listed in [true, false] {
                odd_sized(size, listed, move |_, bytes| {
                    let length = bytes.len();
                    reply(&format!("200 OK\nContent-Length: {length}{fields}"), bytes)
                })
                .arrives();
            }
        }
    });
}

#[test]
fn a_server_without_ranges_that_breaks_once_is_asked_from_the_start() {
    let tries = AtomicUsize::new(0);
    odd(9 * MIB, move |_, bytes| {
        let length = bytes.len();
        let head = format!("200 OK\nContent-Length: {length}");
        if tries.fetch_add(1, Ordering::Relaxed) == 0 {
            reply(&head, &bytes[..5 * MIB + 9]).then(Then::Close)
        } else {
            reply(&head, bytes)
        }
    })
    .arrives();
}

#[test]
fn weak_tags_say_nothing_about_bytes() {
    let odd = odd(9 * MIB, |request, bytes| {
        assert_eq!(request.field("If-Range"), None);
        assert_eq!(request.field("If-Match"), None);
        file(
            request,
            bytes,
            &format!("\nETag: W/\"{}\"", fastrand::u32(..)),
        )
    });
    odd.arrives();
}

#[test]
fn the_date_of_a_listing_is_no_validator() {
    let bytes = content(17, 9 * MIB);
    let date = "Wed, 01 Jan 2025 00:00:00 GMT";
    let server = scripted({
        let bytes = bytes.clone();
        move |request| match request.target.as_str() {
            "/" => {
                let page = format!(
                    r#"[{{"name":"f","type":"file","mtime":"{date}","size":{}}}]"#,
                    bytes.len()
                );
                ok("application/json", page.as_bytes())
            }
            // It never told a date, so none is that of what it has (RFC 9110 §13.1.5).
            _ if request.field("If-Range").is_some() => ok("application/octet-stream", &bytes),
            _ => file(request, &bytes, ""),
        }
    });
    let target = temp();
    let fetched = fetch(settings(&server.url("/"), target.path()));
    assert_done(&fetched);
    assert_eq!(fetched.retried, [] as [String; 0]);
    let conditional = |request: &Request| request.field("If-Range").is_some();
    assert!(!server.requests().iter().any(conditional));
    let there = target.path().join("f");
    assert!(fs::read(&there).unwrap() == bytes);
    let modified = fs::metadata(&there).unwrap().modified().unwrap();
    assert_eq!(httpdate::fmt_http_date(modified), date);
}

#[test]
fn without_a_strong_tag_the_date_tells_of_a_change() {
    let answers = AtomicUsize::new(0);
    let odd = odd(24 * MIB, move |request, bytes| {
        // After the second answer it is another file.
        let date = match answers.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => "Sun, 06 Nov 1994 08:49:37 GMT",
            _ => "Mon, 07 Nov 1994 08:49:37 GMT",
        };
        file(request, bytes, &format!("\nLast-Modified: {date}"))
    });
    odd.arrives();
    assert!(
        odd.fetched
            .retried
            .iter()
            .any(|reason| reason.contains("changed")),
        "{:?}",
        odd.fetched.retried
    );
}

/// Hundred small files from a server with this answer, which gets the file's bytes.
fn hundred(answer: impl Fn(&Request, &[u8]) -> Reply + Send + Sync + 'static) -> Vec<Request> {
    let entries: Vec<_> = (0..100)
        .map(|i| format!(r#"{{"name":"{i}","size":1000,"url":"./{i}","is_dir":false}}"#))
        .collect();
    let page = format!("[{}]", entries.join(","));
    let server = scripted(move |request| {
        if request.target == "/" {
            return ok("application/json", page.as_bytes());
        }
        let seed = request.target[1..].parse().unwrap();
        answer(request, &content(seed, 1000))
    });
    let target = temp();
    let fetched = fetch(Settings {
        workers: 2,
        timeout: Duration::from_secs(1),
        ..settings(&server.url("/"), target.path())
    });
    assert_done(&fetched);
    for seed in 0..100 {
        let there = fs::read(target.path().join(seed.to_string())).unwrap();
        assert!(there == content(seed, 1000), "{seed}");
    }
    server.requests()
}

#[test]
fn servers_that_break_under_pipelining_are_asked_one_by_one() {
    for then in [Then::Forget, Then::Close, Then::Hang] {
        let start = Instant::now();
        let requests = hundred(move |request, bytes| {
            let then = if request.pipelined { then } else { Then::Keep };
            file(request, bytes, "").then(then)
        });
        let broken = requests.iter().filter(|request| request.pipelined).count();
        // Each of the two connections may find it out for itself, on the way down from 64.
        assert!(broken <= 16, "{then:?}: {broken} times");
        assert!(start.elapsed() < Duration::from_secs(6), "{then:?}");
    }
}

#[test]
fn a_server_that_closes_without_a_word_after_seven_answers() {
    hundred(|request, bytes| {
        let then = if request.nth == 6 {
            Then::Close
        } else {
            Then::Keep
        };
        file(request, bytes, "").then(then)
    });
}

#[test]
fn a_busy_server_is_asked_again_when_it_says() {
    each_size(|size| {
        let tries = AtomicUsize::new(0);
        let start = Instant::now();
        odd(size, move |request, bytes| {
            if tries.fetch_add(1, Ordering::Relaxed) == 0 {
                reply(
                    "503 Service Unavailable\nRetry-After: 1\nContent-Length: 0",
                    b"",
                )
            } else {
                file(request, bytes, "")
            }
        })
        .arrives();
        assert!(start.elapsed() >= Duration::from_secs(1));
    });
    odd(1000, |_, _| {
        reply(
            "503 Service Unavailable\nRetry-After: 0\nContent-Length: 0",
            b"",
        )
    })
    .fails(Exit::Network, "503");
}

#[test]
fn a_redirect_to_another_path_is_followed_with_its_query() {
    each_size(|size| {
        odd(size, |request, bytes| {
            if request.target == "/f" {
                reply(
                    "302 Found\nLocation: /store/f?key=a%20b\nContent-Length: 4",
                    b"gone",
                )
            } else {
                assert_eq!(request.target, "/store/f?key=a%20b");
                file(request, bytes, "\nETag: \"x\"")
            }
        })
        .arrives();
    });
    odd(1000, |_, _| {
        reply("302 Found\nLocation: /f\nContent-Length: 0", b"")
    })
    .fails(Exit::Remote, "redirects");
}

#[test]
fn answers_that_are_not_as_compressed_as_they_say_are_refused() {
    each_size(|size| {
        let odd = odd(size, |request, bytes| {
            assert_eq!(request.field("Accept-Encoding"), Some("identity"));
            file(request, bytes, "\nContent-Encoding: gzip")
        });
        odd.fails(Exit::Network, "compresses");
    });
}

#[test]
fn lengths_that_lie() {
    each_size(|size| {
        // More than it names: what is left over must not be taken for an answer.
        odd(size, |_, bytes| {
            let length = bytes.len() - 100;
            reply(&format!("200 OK\nContent-Length: {length}"), bytes)
        })
        .fails(Exit::Network, "longer than it says");
        // Less than it names, then closed; then silence.
        for then in [Then::Close, Then::Hang] {
            odd(size, move |_, bytes| {
                let length = bytes.len() + 100;
                reply(&format!("200 OK\nContent-Length: {length}"), bytes).then(then)
            })
            .fails(
                Exit::Network,
                if then == Then::Close {
                    "closed"
                } else {
                    "no answer"
                },
            );
        }
    });
}

#[test]
fn ranges_that_lie() {
    let size = 9 * MIB;
    // Wrong place.
    odd(size, move |request, bytes| {
        let (first, last) = request.range(size).unwrap();
        let length = last - first + 1;
        let head = format!(
            "206 Partial Content\nContent-Range: bytes {}-{}/{size}\nContent-Length: {length}",
            first + 1,
            last + 1
        );
        reply(&head, &bytes[first..=last])
    })
    .fails(Exit::Network, "not the range");
    // No total: it may be the whole or not, so that the whole is asked for (RFC 9110 §14.4).
    odd_sized(size, false, move |request, bytes| {
        let Some((first, last)) = request.range(size) else {
            return file(request, bytes, "");
        };
        let length = last - first + 1;
        let head = format!(
            "206 Partial Content\nContent-Range: bytes {first}-{last}/*\nContent-Length: {length}"
        );
        reply(&head, &bytes[first..=last])
    })
    .arrives();
    // No range at all.
    odd(size, move |request, bytes| {
        let (first, last) = request.range(size).unwrap();
        let head = format!("206 Partial Content\nContent-Length: {}", last - first + 1);
        reply(&head, &bytes[first..=last])
    })
    .fails(Exit::Network, "not the range");
    // Another total each time.
    let totals = AtomicUsize::new(20 * MIB);
    odd(size, move |request, bytes| {
        let (first, last) = request.range(size).unwrap_or((0, 9));
        let total = totals.fetch_add(1, Ordering::Relaxed);
        let head = format!(
            "206 Partial Content\nContent-Range: bytes {first}-{last}/{total}\nContent-Length: {}",
            last - first + 1
        );
        reply(&head, &bytes[first..=last])
    })
    .fails(Exit::Network, "not the range");
    // The right range, but fewer bytes: never the last piece.
    let odd = odd(size, move |request, bytes| {
        let (first, last) = request.range(size).unwrap();
        let end = (last + 1).min(8 * MIB + 5);
        let length = end.saturating_sub(first);
        let head = format!(
            "206 Partial Content\nContent-Range: bytes {first}-{last}/{size}\nContent-Length: {length}"
        );
        reply(&head, &bytes[first..first + length])
    });
    odd.fails(Exit::Network, "ends before the range");
    assert!(odd.requests.len() < 60, "{} requests", odd.requests.len());
}

#[test]
fn answers_that_are_no_http() {
    let cases = [
        (
            &b"HTTP/1.1 200 OK\r\nX-Endless: "[..],
            Then::Repeat,
            "too long",
        ),
        // Never silent for as long as the client waits.
        (b"HTTP/1.1 200 OK\r\nX-Drip: ", Then::Drip, "no answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Then::Repeat, "100"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Then::Hang, "not HTTP"),
        (b"", Then::Close, "closed"),
        (b"", Then::Hang, "no answer"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello",
            Then::Keep,
            "length",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            Then::Hang,
            "chunk",
        ),
    ];
    std::thread::scope(|scope| {
        for (bytes, then, reason) in cases {
            scope.spawn(move || {
                let exit = if reason == "100" {
                    Exit::Remote
                } else {
                    Exit::Network
                };
                let bytes = bytes.to_vec();
                odd(1000, move |_, _| Reply {
                    bytes: bytes.clone(),
                    then,
                })
                .fails(exit, reason);
            });
        }
    });
}

#[test]
fn a_server_without_head_is_asked_with_get() {
    let server = scripted(|request| match (&*request.method, &*request.target) {
        ("HEAD", _) => reply("405 Method Not Allowed\nAllow: GET\nContent-Length: 0", b""),
        (_, "/") => ok("text/html", b"<a href=\"f\">f</a>"),
        _ => file(request, b"new", ""),
    });
    let target = temp();
    fs::write(target.path().join("f"), "old").unwrap();
    let fetched = fetch(settings(&server.url("/"), target.path()));
    assert_done(&fetched);
    assert_eq!(fs::read(target.path().join("f")).unwrap(), b"old");
    assert_eq!(fs::read(target.path().join("f (1)")).unwrap(), b"new");
}

#[test]
fn listings_that_cannot_be_read() {
    for (answer, exit, reason) in [
        (not_found(), Exit::Remote, "404"),
        (
            reply("401 Unauthorized\nContent-Length: 0", b""),
            Exit::Access,
            "login",
        ),
        (
            reply("403 Forbidden\nContent-Length: 0", b""),
            Exit::Remote,
            "403",
        ),
        (ok("image/png", b"png"), Exit::Remote, "image/png"),
        (
            ok("application/json", b"[{\"name\":\"f\""),
            Exit::Remote,
            "JSON",
        ),
        (
            ok("application/json", b"{\"error\":\"no\"}"),
            Exit::Remote,
            "JSON",
        ),
        (
            reply(
                "302 Found\nLocation: http://127.0.0.2:1/\nContent-Length: 0",
                b"",
            ),
            Exit::Remote,
            "127.0.0.2",
        ),
    ] {
        let shown = format!("{reason}: {}", String::from_utf8_lossy(&answer.bytes));
        let server = scripted(move |_| answer.clone());
        let target = temp();
        let fetched = fetch(Settings {
            retries: 1,
            ..settings(&server.url("/"), target.path())
        });
        assert_eq!(fetched.finished, [], "{shown}");
        assert_eq!(fetched.failed.len(), 1, "{shown}");
        assert!(fetched.failed[0].1.contains(reason), "{:?}", fetched.failed);
        assert_eq!(fetched.exit, Some(exit), "{shown}");
    }
}

#[test]
fn names_that_would_leave_the_target_are_refused_and_the_rest_arrives() {
    let page = r#"[{"name":"..","size":1,"url":"./..","is_dir":false},{"name":"../evil","size":3,"is_dir":false},
        {"name":"a/b","size":3,"url":"./a%2Fb","is_dir":false},{"name":".","is_dir":true,"url":"./"},
        {"name":"/etc","is_dir":true,"url":"/etc/"},{"name":"","size":3,"is_dir":false},
        {"name":"good","size":3,"url":"./good","is_dir":false}]"#;
    let server = scripted(move |request| match &*request.target {
        "/" => ok("application/json", page.as_bytes()),
        _ => file(request, b"abc", ""),
    });
    let outer = temp();
    let target = outer.path().join("inner");
    let fetched = fetch(settings(&server.url("/"), &target));
    assert_eq!(fetched.paths(), ["good"], "{:?}", fetched.failed);
    assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
}
