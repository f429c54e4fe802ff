//! What a file is taken for: the media type that its name suggests and, for text, the charset that its beginning shows.

use std::{borrow::Cow, os::fd::AsFd as _};

use super::link::{Link, Stop};
use crate::{
    server::tree::{catalog::blocking, found::FoundFile},
    sys::send::read_cached,
};

const UNKNOWN: &str = "application/octet-stream";
/// Bytes of a text that are looked at; what follows is taken for the same.
const LOOKED_AT: usize = 4096;
/// Names of texts that say so without an extension, in lower case.
const TEXTS: [&[u8]; 21] = [
    b"authors",
    b"brewfile",
    b"build",
    b"changelog",
    b"changes",
    b"containerfile",
    b"contributing",
    b"copying",
    b"dockerfile",
    b"gemfile",
    b"history",
    b"install",
    b"jenkinsfile",
    b"license",
    b"makefile",
    b"news",
    b"notice",
    b"procfile",
    b"readme",
    b"todo",
    b"vagrantfile",
];

/// The media type of a file called `name`. Of a text it says `charset=utf-8` where that is what it begins with: browsers guess
/// otherwise, and mostly something else.
pub(super) async fn of(
    found: &FoundFile,
    name: &[u8],
    link: Link<'_>,
) -> Result<Cow<'static, str>, Stop> {
    let named = by_name(name);
    let is_nameless = named == UNKNOWN && TEXTS.contains(&name.to_ascii_lowercase().as_slice());
    if !is_nameless && !named.starts_with("text/") {
        return Ok(Cow::Borrowed(named));
    }
    let begin = beginning(found, link).await?;
    if !is_utf8(&begin, found.stamp.size) || (named != "text/plain" && tells_charset(&begin)) {
        return Ok(Cow::Borrowed(named));
    }
    let kind = if is_nameless { "text/plain" } else { named };
    Ok(Cow::Owned(format!("{kind}; charset=utf-8")))
}

/// The media type that a name suggests.
pub(super) fn by_name(name: &[u8]) -> &'static str {
    let Some(dot) = name.iter().rposition(|b| *b == b'.') else {
        return UNKNOWN;
    };
    std::str::from_utf8(&name[dot + 1..])
        .ok()
        .and_then(|extension| mime_guess::from_ext(extension).first_raw())
        .unwrap_or(UNKNOWN)
}

/// Whether a browser runs scripts in such a document: with the origin, and the login, of the listing.
pub(super) fn is_active(media_type: &str) -> bool {
    let (essence, _) = media_type.split_once(';').unwrap_or((media_type, ""));
    let (_, subtype) = essence.split_once('/').unwrap_or_default();
    subtype == "html" || subtype == "xml" || subtype.ends_with("+xml")
}

async fn beginning(found: &FoundFile, link: Link<'_>) -> Result<Vec<u8>, Stop> {
    let mut bytes = vec![0; LOOKED_AT];
    if found.mount.is_none()
        && let Some(read) = read_cached(found.file.as_fd(), &mut bytes, 0)?
    {
        bytes.truncate(read);
        return Ok(bytes);
    }
    let turn = match &found.place {
        Some(place) => Some(link.turn(place).await?),
        None => None,
    };
    let file = found.file.as_fd().try_clone_to_owned()?;
    let read = blocking(move || {
        let _turn = turn;
        let read = rustix::io::pread(&file, &mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    });
    link.asked(found.mount, read).await
}

/// Whether a text of `size` bytes that begins so is UTF-8, as far as that can be seen: a character may be cut off.
fn is_utf8(begin: &[u8], size: u64) -> bool {
    let is_whole = begin.len() as u64 >= size;
    match std::str::from_utf8(begin) {
        Ok(text) => !text.contains('\0'),
        Err(error) => {
            !is_whole && error.error_len().is_none() && !begin[..error.valid_up_to()].contains(&0)
        }
    }
}

/// Whether a page or style sheet names its charset itself, which a field would overrule.
fn tells_charset(begin: &[u8]) -> bool {
    begin
        .windows(b"charset".len())
        .any(|word| word.eq_ignore_ascii_case(b"charset"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tree::{found::Opened, stamp::Stamp};

    #[tokio::test]
    async fn text_says_its_charset_where_it_shows() {
        let long = "ü".repeat(LOOKED_AT);
        let cut = format!("x{long}");
        for (name, content, kind) in [
            ("a.txt", "hello".as_bytes(), "text/plain; charset=utf-8"),
            ("a.txt", "Grüße".as_bytes(), "text/plain; charset=utf-8"),
            ("a.txt", b"", "text/plain; charset=utf-8"),
            ("a.txt", b"Gr\xfc\xdfe", "text/plain"),
            ("a.txt", b"\xff\xfeh\0i\0", "text/plain"),
            ("a.txt", b"whole but cut \xc3", "text/plain"),
            ("a.txt", long.as_bytes(), "text/plain; charset=utf-8"),
            ("a.txt", cut.as_bytes(), "text/plain; charset=utf-8"),
            ("a.txt", b"charset=latin1", "text/plain; charset=utf-8"),
            ("a.html", b"<p>hi", "text/html; charset=utf-8"),
            ("a.html", b"<meta CHARSET=iso-8859-1>", "text/html"),
            ("a.css", b"@charset \"utf-8\";", "text/css"),
            ("README", b"hi", "text/plain; charset=utf-8"),
            ("Makefile", b"all:\n", "text/plain; charset=utf-8"),
            ("README", b"\x7fELF\0\0", UNKNOWN),
            ("reader", b"hi", UNKNOWN),
            ("a.png", b"hi", "image/png"),
            ("a.json", b"{}", "application/json"),
        ] {
            let temp = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(temp.path(), content).unwrap();
            let file: std::os::fd::OwnedFd = temp.reopen().unwrap().into();
            let stamp = Stamp::of(&rustix::fs::fstat(&file).unwrap());
            let found = FoundFile {
                file: Opened::new(file, None),
                stamp,
                mount: None,
                in_memory: false,
                place: None,
            };
            let said = of(&found, name.as_bytes(), Link::default()).await.unwrap();
            assert_eq!(said, kind, "{name} {:?}", &content[..content.len().min(20)]);
        }
    }
}
