//! Metalinks (RFC 5854): files, the servers that have them, and what they must hash to.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use roxmltree::{Document, Node};
use url::{Origin, Url};

use crate::{
    client::{
        Error,
        id::{SOURCES_MAX, SourceId},
    },
    digest::Digest,
    escape::display_name,
    http1::path::RemotePath,
    piece_digests::PieceDigests,
    units::counted,
};

/// Most bytes of a Metalink: about 40,000 files with a mirror each.
pub const METALINK_MAX: usize = 16 << 20;

/// The namespace of version 4 (RFC 5854 §3).
const NAMESPACE: &str = "urn:ietf:params:xml:ns:metalink";

/// The priority of a URL that has none: it comes last (RFC 5854 §4.2.16).
const LAST: u32 = 999_999;

/// URLs of one file that are asked for at one server: nobody names more of them for a reason, and each may cost a request.
const URLS_MAX: usize = 16;

/// What a Metalink names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metalink {
    /// The servers that its URLs name, the most wanted first: each as a URL of its root directory.
    pub servers: Vec<Url>,
    /// The files, in their order.
    pub files: Vec<NamedFile>,
}

/// A file that a Metalink names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// Where it lands, below the target directory.
    pub path: RemotePath,
    /// Its size in bytes, if it is told.
    pub size: Option<u64>,
    /// The strongest of its digests that haul knows, but for a weak one.
    pub digest: Option<Digest>,
    /// A weak digest, which counts where nothing else proves the file.
    pub weak: Option<Digest>,
    /// The digests of its pieces, where haul knows their kind and they cover all of it.
    pub pieces: Option<Arc<PieceDigests>>,
    /// Its detached signature.
    pub signature: Option<Arc<Signature>>,
    /// What to ask which of the servers for, the most wanted first; several of one server are tried in turn.
    pub(in crate::client) places: Vec<(SourceId, String)>,
}

/// A detached signature of a file, from a Metalink (RFC 5854 §4.2.13) or from beside the file. Nothing here checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// What stands behind the file's name in its own: `.asc` for a signature of `OpenPGP`.
    pub end: &'static str,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl Signature {
    fn read(node: Node<'_, '_>) -> Option<Self> {
        let kind = node.attribute("mediatype")?.to_ascii_lowercase();
        let end = match kind.as_str() {
            "application/pgp-signature" => ".asc",
            "application/pkcs7-signature" | "application/x-pkcs7-signature" => ".p7s",
            _ => return None,
        };
        let text = node.text()?.trim();
        (!text.is_empty()).then(|| Self {
            end,
            bytes: format!("{text}\n").into_bytes(),
        })
    }
}

impl Metalink {
    /// Reads one. Files whose names lead out of the target directory, and those that no HTTP server has, are left out
    /// with a line in the log.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: String| Error::Usage(format!("no Metalink that haul can read: {why}"));
        let document = Document::parse(text).map_err(|error| wrong(error.to_string()))?;
        let root = document.root_element();
        if !is(root, "metalink") {
            let why = "its root is not `metalink` of RFC 5854 (version 4)";
            return Err(wrong(why.into()));
        }
        let (mut servers, mut names) = (Servers::default(), HashSet::new());
        let mut files = Vec::new();
        for node in root.children().filter(|node| is(*node, "file")) {
            let name = node.attribute("name").unwrap_or_default();
            let file = path_of(name).and_then(|path| {
                if names.insert(path.clone()) {
                    read_file(node, path, &mut servers)
                } else {
                    Err("another file has the same name".into())
                }
            });
            match file {
                Ok(file) => files.push(file),
                Err(why) => {
                    tracing::warn!(path = %display_name(name), "left out of the Metalink: {why}");
                }
            }
        }
        if files.is_empty() {
            return Err(wrong("it names no file that could be fetched".into()));
        }
        let (servers, places) = servers.in_order();
        for (source, _) in files.iter_mut().flat_map(|file| &mut file.places) {
            *source = places[source.place()];
        }
        Ok(Self { servers, files })
    }
}

/// The servers that URLs name.
#[derive(Debug, Default)]
struct Servers {
    /// Each with the best priority of its URLs.
    each: Vec<(u32, Url)>,
    /// Where each of them is there.
    places: HashMap<Origin, usize>,
}

impl Servers {
    fn place(&mut self, url: &Url, priority: u32) -> Option<SourceId> {
        let origin = url.origin();
        let at = match self.places.get(&origin) {
            Some(at) => *at,
            None if self.each.len() == SOURCES_MAX => return None,
            None => {
                let mut server = url.clone();
                server.set_path("/");
                server.set_query(None);
                server.set_fragment(None);
                // A login that a document holds is nobody's. These fail for URLs without a host only.
                let _ = server.set_username("");
                let _ = server.set_password(None);
                self.each.push((priority, server));
                self.places.insert(origin, self.each.len() - 1);
                self.each.len() - 1
            }
        };
        self.each[at].0 = self.each[at].0.min(priority);
        Some(SourceId::at(at))
    }

    /// The servers, the most wanted first, and where each of those that were placed is now.
    fn in_order(self) -> (Vec<Url>, Vec<SourceId>) {
        let mut order: Vec<usize> = (0..self.each.len()).collect();
        order.sort_by_key(|at| self.each[*at].0);
        let mut places = vec![SourceId::default(); order.len()];
        for (now, before) in order.iter().enumerate() {
            places[*before] = SourceId::at(now);
        }
        let servers = order.iter().map(|at| self.each[*at].1.clone());
        (servers.collect(), places)
    }
}

/// Whether it is an element of version 4 with this name.
fn is(node: Node<'_, '_>, name: &str) -> bool {
    node.has_tag_name((NAMESPACE, name))
}

/// The path that a `name` means: no directory above, nothing absolute (RFC 5854 §4.1.2.1).
fn path_of(name: &str) -> Result<RemotePath, String> {
    let mut path = RemotePath::root();
    for part in name.split('/') {
        path.push(part.as_bytes())
            .map_err(|error| format!("its name leads nowhere: {error}"))?;
    }
    Ok(path)
}

fn read_file(
    node: Node<'_, '_>,
    path: RemotePath,
    servers: &mut Servers,
) -> Result<NamedFile, String> {
    let children = |name| node.children().filter(move |child| is(*child, name));
    let size = children("size").find_map(|size| size.text()?.trim().parse().ok());
    let (weak, strong): (Vec<_>, Vec<_>) = children("hash")
        .filter_map(|hash| read_hash(hash, hash.attribute("type")?, &path))
        .partition(Digest::is_weak);
    let pieces = size.and_then(|size| {
        let told = children("pieces").filter_map(|told| read_pieces(told, size, &path));
        told.max_by_key(|(strength, _)| *strength)
    });
    let mut urls: Vec<(u32, Url)> = children("url")
        .filter_map(|url| {
            let priority = url.attribute("priority").and_then(|text| text.parse().ok());
            let url = Url::parse(url.text()?.trim()).ok()?;
            url.has_host().then(|| (priority.unwrap_or(LAST), url))
        })
        .filter(|(_, url)| matches!(url.scheme(), "http" | "https"))
        .collect();
    urls.sort_by_key(|(priority, _)| *priority);
    let places = read_places(urls, &path, servers);
    if places.is_empty() {
        return Err("no HTTP server is named for it".into());
    }
    Ok(NamedFile {
        path,
        size,
        digest: strong.into_iter().max_by_key(Digest::strength),
        weak: weak.into_iter().next(),
        pieces: pieces.map(|(_, pieces)| Arc::new(pieces)),
        signature: children("signature")
            .find_map(Signature::read)
            .map(Arc::new),
        places,
    })
}

/// What to ask which servers for, of a file with these URLs; those that are too many are left out with a line in the log.
fn read_places(
    urls: Vec<(u32, Url)>,
    path: &RemotePath,
    servers: &mut Servers,
) -> Vec<(SourceId, String)> {
    let mut known: HashMap<SourceId, HashSet<String>> = HashMap::new();
    let (mut places, mut left) = (Vec::new(), 0);
    for (priority, url) in urls {
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let Some(source) = servers.place(&url, priority) else {
            left += 1;
            continue;
        };
        let its = known.entry(source).or_default();
        if its.contains(&target) {
            continue;
        }
        if its.len() == URLS_MAX {
            left += 1;
            continue;
        }
        its.insert(target.clone());
        places.push((source, target));
    }
    if left > 0 {
        let (path, left) = (display_name(path.as_bytes()), counted(left, "URL", "URLs"));
        tracing::warn!(%path, "{left} of it in the Metalink left out: at most {URLS_MAX} at one server, and {SOURCES_MAX} servers");
    }
    places
}

/// The digest that a `hash` element tells; `None` where haul does not know its kind. Digits that are none of that kind are named
/// in the log: whoever wrote them takes the file for proven.
fn read_hash(node: Node<'_, '_>, kind: &str, path: &RemotePath) -> Option<Digest> {
    let digits = node.text().unwrap_or_default().trim();
    let digest = Digest::from_hex(kind, digits);
    if digest.is_none() && Digest::is_known(kind) {
        let (path, kind) = (display_name(path.as_bytes()), display_name(kind));
        let count = digits.chars().count();
        tracing::warn!(%path, "a digest of it in the Metalink is left out: {count} digits are no {kind}");
    }
    digest
}

/// What a `pieces` element tells of a file of `size` bytes, and what its digests prove; `None` where it does not cover it, or
/// haul does not know their kind.
fn read_pieces(node: Node<'_, '_>, size: u64, path: &RemotePath) -> Option<(u8, PieceDigests)> {
    let kind = node.attribute("type")?;
    let length = node.attribute("length")?.trim().parse().ok()?;
    let hashes = node.children().filter(|child| is(*child, "hash"));
    let digests = hashes.map(|hash| read_hash(hash, kind, path).filter(|digest| !digest.is_weak()));
    let digests: Vec<Digest> = digests.collect::<Option<_>>()?;
    let strength = digests.first().map_or(0, Digest::strength);
    Some((strength, PieceDigests::new(size, length, digests)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(files: &str) -> Result<Metalink, Error> {
        Metalink::parse(&format!(
            "<?xml version=\"1.0\"?><metalink xmlns=\"{NAMESPACE}\">{files}</metalink>"
        ))
    }

    #[test]
    fn the_most_wanted_server_comes_first() {
        let metalink = parse(
            "<file name='a/b c.iso'><size> 7 </size>\
             <hash type='md5'>00</hash><hash type='sha-256'>e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855</hash>\
             <url>http://last/x</url><url priority='2'>http://u:secret@two:81/p/b?v=1#f</url>\
             <url priority='1'>ftp://one/p/b</url><url priority='1'>https://one/b%20c</url></file>\
             <file name='d'><url>http://two:81/d</url></file>",
        )
        .unwrap();
        let servers: Vec<_> = metalink.servers.iter().map(Url::as_str).collect();
        assert_eq!(servers, ["https://one/", "http://two:81/", "http://last/"]);
        let file = &metalink.files[0];
        assert_eq!(
            (file.path.as_bytes(), file.size),
            (&b"a/b c.iso"[..], Some(7))
        );
        assert!(matches!(file.digest, Some(Digest::Sha256(_))));
        let place = |at, target: &str| (SourceId::at(at), target.to_owned());
        assert_eq!(
            file.places,
            [place(0, "/b%20c"), place(1, "/p/b?v=1"), place(2, "/x")]
        );
        assert_eq!(metalink.files[1].places, [place(1, "/d")]);
    }

    #[test]
    fn each_url_of_one_server_is_kept_once_in_its_order() {
        let metalink = parse(
            "<file name='a'><url priority='2'>http://h/new</url><url priority='1'>http://h/old</url>\
             <url priority='3'>http://h/old</url></file>",
        )
        .unwrap();
        let at = SourceId::at(0);
        let place = |target: &str| (at, target.to_owned());
        assert_eq!(metalink.files[0].places, [place("/old"), place("/new")]);
    }

    #[test]
    fn of_too_many_urls_the_most_wanted_of_each_server_are_kept() {
        let url = |at: usize| format!("<url>http://h{}/{at}</url>", at % 3);
        let urls: String = (0..100_000).map(url).collect();
        let metalink = parse(&format!("<file name='a'>{urls}</file>")).unwrap();
        let places = &metalink.files[0].places;
        assert_eq!(places.len(), 3 * URLS_MAX);
        for (at, (source, target)) in places.iter().enumerate() {
            assert_eq!(*source, SourceId::at(at % 3));
            assert_eq!(*target, format!("/{at}"));
        }
        let url = |at: usize| format!("<url>http://h{at}/a</url>");
        let urls: String = (0..2 * SOURCES_MAX).map(url).collect();
        let metalink = parse(&format!("<file name='a'>{urls}</file>")).unwrap();
        assert_eq!(metalink.files[0].places.len(), SOURCES_MAX);
        assert_eq!(metalink.servers.len(), SOURCES_MAX);
    }

    #[test]
    fn a_weak_digest_stands_apart() {
        let md5 = "<hash type='MD5'>d41d8cd98f00b204e9800998ecf8427e</hash>";
        let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let sha256 = format!("<hash type='sha-256'>{sha256}</hash>");
        for (hashes, strong) in [
            (md5.to_owned(), false),
            (format!("{md5}{sha256}"), true),
            (format!("{sha256}{md5}"), true),
        ] {
            let text = format!("<file name='x'>{hashes}<url>http://h/x</url></file>");
            let file = parse(&text).unwrap().files.remove(0);
            assert_eq!(file.digest.is_some(), strong, "{hashes}");
            assert!(matches!(file.weak, Some(Digest::Md5(_))), "{hashes}");
        }
    }

    #[test]
    fn digests_of_pieces_and_signatures_are_read_where_they_fit() {
        let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let file = |size: &str, more: &str| {
            let text = format!("<file name='x'>{size}{more}<url>http://h/x</url></file>");
            parse(&text).unwrap().files.remove(0)
        };
        let pieces = |kind: &str, length: &str, hash: &str, count: usize| {
            let hashes = format!("<hash> {hash}\n</hash>").repeat(count);
            format!("<pieces type='{kind}' length='{length}'>{hashes}</pieces>")
        };
        let size = "<size>10</size>";
        let right = pieces("sha-256", "4", sha256, 3);
        let sha1 = pieces("sha-1", "2", "da39a3ee5e6b4b0d3255bfef95601890afd80709", 5);
        let told = file(size, &format!("{sha1}{right}")).pieces.unwrap();
        let ranges: Vec<_> = told.ranges().collect();
        assert_eq!(ranges, [0..4, 4..8, 8..10]);
        for (size, more) in [
            (size, sha1.as_str()),
            ("", &right),
            (size, &pieces("sha-256", "4", sha256, 2)),
            (size, &pieces("sha-256", "0", sha256, 3)),
            (size, &pieces("sha-256", "4", "00", 3)),
            (
                size,
                &pieces("md5", "4", "d41d8cd98f00b204e9800998ecf8427e", 3),
            ),
        ] {
            assert_eq!(file(size, more).pieces, None, "{more}");
        }
        let signed = |kind: &str| format!("<signature mediatype='{kind}'>\n A\nB \n</signature>");
        let (end, bytes) = (".asc", b"A\nB\n".to_vec());
        let signature = file("", &signed("application/pgp-signature")).signature;
        assert_eq!(signature.as_deref(), Some(&Signature { end, bytes }));
        assert_eq!(file("", &signed("text/plain")).signature, None);
    }

    #[test]
    fn what_leads_out_of_the_target_is_left_out() {
        for name in ["../x", "/etc/x", "a/../../x", "", "a//b", "."] {
            let one = format!("<file name='{name}'><url>http://h/x</url></file>");
            assert!(parse(&one).is_err(), "{name}");
            let metalink = parse(&format!("{one}<file name='y'><url>http://h/y</url></file>"));
            assert_eq!(metalink.unwrap().files.len(), 1, "{name}");
        }
    }

    #[test]
    fn other_documents_are_refused_in_words() {
        for (text, says) in [
            ("", "no Metalink"),
            ("<html/>", "RFC 5854"),
            (
                "<metalink xmlns='http://www.metalinker.org/'/>",
                "version 4",
            ),
            ("<!DOCTYPE m [<!ENTITY a 'b'>]><metalink/>", "DTD"),
        ] {
            let error = Metalink::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let error = parse("<file name='x'><url>ftp://h/x</url></file>").unwrap_err();
        assert!(error.to_string().contains("no file"), "{error}");
    }
}
