//! Content codings as a client meets them (RFC 9110 §8.4): which are none, which are the file's own form, and which a
//! server applied while it sent.

use std::fmt;

/// What `Content-Encoding` says was done to a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`, `x-gzip` (RFC 1952).
    Gzip,
    /// `deflate` (RFC 1950; some servers send RFC 1951 under that name).
    Deflate,
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstd,
    /// Anything else, or several in a row; as it stands.
    Other(String),
}

/// Values that servers send though they name no coding: character sets, the framing of an upload that was kept as a
/// field of the object, and other words for none.
const NONE: [&str; 14] = [
    "identity",
    "none",
    "null",
    "binary",
    "8bit",
    "7bit",
    "aws-chunked",
    "chunked",
    "utf-8",
    "utf8",
    "us-ascii",
    "ascii",
    "iso-8859-1",
    "windows-1252",
];

impl Coding {
    /// Reads the field's value; `None` where it names no coding.
    pub fn parse(value: &str) -> Option<Self> {
        let lower = value.to_ascii_lowercase();
        let mut names = lower.split(',').map(str::trim);
        names.clone().find(|name| is_coding(name))?;
        let mut names = names.by_ref().filter(|name| is_coding(name));
        Some(match (names.next(), names.next()) {
            (Some("gzip" | "x-gzip"), None) => Self::Gzip,
            (Some("deflate"), None) => Self::Deflate,
            (Some("br"), None) => Self::Brotli,
            (Some("zstd"), None) => Self::Zstd,
            _ => Self::Other(lower),
        })
    }

    /// Whether a file of this name, sent as this type, is in this form by itself: then its bytes are kept as they are.
    /// Apache's usual `AddEncoding x-gzip .gz .tgz` says so of files that nobody compressed on the way.
    pub fn is_own_form(&self, name: &[u8], content_type: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end.as_bytes()));
        let is = |types: &[&str]| types.contains(&content_type);
        match self {
            Self::Gzip => {
                ends(&[".gz", ".tgz", ".gzip", ".svgz", ".emz", ".wmz", ".taz"])
                    || is(&[
                        "application/gzip",
                        "application/x-gzip",
                        "application/x-tgz",
                    ])
            }
            Self::Deflate => ends(&[".zz", ".zlib"]),
            Self::Brotli => ends(&[".br"]),
            Self::Zstd => ends(&[".zst", ".zstd", ".tzst"]) || is(&["application/zstd"]),
            Self::Other(coding) => match coding.as_str() {
                "compress" | "x-compress" => ends(&[".z", ".tz", ".taz"]),
                "bzip2" | "x-bzip2" | "x-bzip" => ends(&[".bz2", ".tbz", ".tbz2", ".bz"]),
                "xz" | "x-xz" => ends(&[".xz", ".txz"]),
                "lzma" | "x-lzma" => ends(&[".lzma", ".tlz"]),
                "lz4" => ends(&[".lz4"]),
                "zip" | "x-zip" => ends(&[".zip"]),
                _ => false,
            },
        }
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Other(coding) => coding,
        })
    }
}

fn is_coding(name: &str) -> bool {
    !name.is_empty() && !NONE.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_no_coding_is_none() {
        for none in ["", "identity", "UTF-8", " aws-chunked", "identity, utf-8"] {
            assert_eq!(Coding::parse(none), None, "{none}");
        }
        assert_eq!(Coding::parse("X-GZip"), Some(Coding::Gzip));
        assert_eq!(Coding::parse("aws-chunked,gzip"), Some(Coding::Gzip));
        for (value, coding) in [
            ("gzip", Coding::Gzip),
            ("deflate", Coding::Deflate),
            ("br", Coding::Brotli),
            ("zstd", Coding::Zstd),
            ("lz4", Coding::Other("lz4".into())),
        ] {
            assert_eq!(Coding::parse(value).as_ref(), Some(&coding));
            assert_eq!(coding.to_string(), value);
        }
        assert_eq!(
            Coding::parse("gzip, br"),
            Some(Coding::Other("gzip, br".into()))
        );
    }

    #[test]
    fn a_name_tells_a_files_own_form() {
        let own = |coding: &str, name: &str, kind: &str| {
            Coding::parse(coding)
                .unwrap()
                .is_own_form(name.as_bytes(), kind)
        };
        assert!(own("x-gzip", "a.tar.GZ", "application/x-tar"));
        assert!(own("gzip", "noname", "application/x-gzip"));
        assert!(own("x-compress", "old.tar.Z", ""));
        for (coding, name) in [
            ("gzip", "a.tgz"),
            ("deflate", "a.zz"),
            ("br", "a.br"),
            ("zstd", "a.tzst"),
            ("bzip2", "a.bz2"),
            ("x-xz", "a.txz"),
            ("lzma", "a.tlz"),
            ("lz4", "a.lz4"),
            ("zip", "a.zip"),
        ] {
            assert!(own(coding, name, ""), "{coding}");
            assert!(!own(coding, "a.html", "text/html"), "{coding}");
        }
        assert!(own("zstd", "noname", "application/zstd"));
        assert!(!own("rot13", "a.rot13", ""));
        assert!(!own("gzip", "page.html", "text/html"));
        assert!(!own("br", "a.gz", "application/x-gzip"));
    }
}
