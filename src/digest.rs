//! Digests of whole files: those that other servers tell (RFC 9530), and those that the user gives.

use std::{fmt, fs::File, io, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512};

/// What the whole of a file must hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Digest {
    /// BLAKE3, 32 bytes.
    Blake3(blake3::Hash),
    /// SHA-256.
    Sha256([u8; 32]),
    /// SHA-512.
    Sha512([u8; 64]),
    /// MD5, which published lists still have: it tells accidents, not malice. No field and no option gives one.
    Md5([u8; 16]),
}

impl Digest {
    /// The strongest that is known of a `Repr-Digest` (`sha-256=:BASE64:`, RFC 9530 §2) or of the older `Digest`
    /// (`SHA-256=BASE64`, RFC 3230). `None` where none is.
    pub fn from_field(field: &str) -> Option<Self> {
        let each = field.split(',').filter_map(|one| {
            let (algorithm, value) = one.trim().split_once('=')?;
            let bytes = BASE64_STANDARD
                .decode(value.trim().trim_matches(':'))
                .ok()?;
            Self::from_bytes(algorithm.trim(), &bytes)
        });
        each.filter(|digest| !digest.is_weak())
            .max_by_key(Self::strength)
    }

    /// From the digits of all its bytes; `None` where the algorithm is not known or the digits are not right.
    pub fn from_hex(algorithm: &str, hex: &str) -> Option<Self> {
        let digits: Option<Vec<u8>> = hex
            .chars()
            .map(|c| c.to_digit(16).map(|digit| digit as u8))
            .collect();
        let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
        let pairs = digits.chunks(2);
        let bytes: Vec<u8> = pairs.map(|pair| pair[0] << 4 | pair[1]).collect();
        Self::from_bytes(algorithm, &bytes)
    }

    /// Whether [`from_hex`](Self::from_hex) knows an algorithm by this name.
    pub fn is_known(algorithm: &str) -> bool {
        let known = ["blake3", "sha-256", "sha256", "sha-512", "sha512", "md5"];
        known
            .iter()
            .any(|name| name.eq_ignore_ascii_case(algorithm))
    }

    /// Orders digests of one content by what they prove.
    pub fn strength(&self) -> u8 {
        match self {
            Self::Md5(_) => 0,
            Self::Sha256(_) => 1,
            Self::Sha512(_) => 2,
            Self::Blake3(_) => 3,
        }
    }

    /// Whether another content with the same digest can be made.
    pub fn is_weak(&self) -> bool {
        matches!(self, Self::Md5(_))
    }

    fn from_bytes(algorithm: &str, bytes: &[u8]) -> Option<Self> {
        match algorithm.to_ascii_lowercase().as_str() {
            "blake3" => Some(Self::Blake3(blake3::Hash::from_bytes(
                bytes.try_into().ok()?,
            ))),
            "sha-256" | "sha256" => Some(Self::Sha256(bytes.try_into().ok()?)),
            "sha-512" | "sha512" => Some(Self::Sha512(bytes.try_into().ok()?)),
            "md5" => Some(Self::Md5(bytes.try_into().ok()?)),
            _ => None,
        }
    }

    /// Whether `content` has this digest.
    pub fn matches(&self, content: &[u8]) -> bool {
        match self {
            Self::Blake3(hash) => blake3::hash(content) == *hash,
            Self::Sha256(hash) => Sha256::digest(content)[..] == hash[..],
            Self::Sha512(hash) => Sha512::digest(content)[..] == hash[..],
            Self::Md5(hash) => Md5::digest(content)[..] == hash[..],
        }
    }

    /// Whether a file has this digest, read from its first byte. Blocking.
    pub fn matches_file(&self, file: &File) -> io::Result<bool> {
        use std::os::unix::fs::FileExt;
        let mut at = 0;
        self.matches_stream(|buffer| {
            let n = file.read_at(buffer, at)?;
            at += n as u64;
            Ok(n)
        })
    }

    /// Whether what `read` gives has this digest, up to where it gives nothing. Blocking.
    pub fn matches_stream(
        &self,
        read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<bool> {
        let mut hasher = Hasher::like(self);
        feed(read, |bytes| hasher.update(bytes))?;
        Ok(hasher.end() == *self)
    }

    /// Whether what `read` gives, up to where it gives nothing, has one of two digests; it is read once. Blocking.
    pub fn either_matches_stream(
        either: [&Self; 2],
        read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<bool> {
        let mut hashers = either.map(Hasher::like);
        feed(read, |bytes| {
            for hasher in &mut hashers {
                hasher.update(bytes);
            }
        })?;
        let mut both = hashers.into_iter().zip(either);
        Ok(both.any(|(hasher, digest)| hasher.end() == *digest))
    }
}

/// A digest of what is told so far.
enum Hasher {
    Blake3(Box<blake3::Hasher>),
    Sha256(Sha256),
    Sha512(Sha512),
    Md5(Md5),
}

impl Hasher {
    /// Of nothing, and of the same kind as `digest`.
    fn like(digest: &Digest) -> Self {
        match digest {
            Digest::Blake3(_) => Self::Blake3(Box::default()),
            Digest::Sha256(_) => Self::Sha256(Sha256::new()),
            Digest::Sha512(_) => Self::Sha512(Sha512::new()),
            Digest::Md5(_) => Self::Md5(Md5::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake3(hasher) => _ = hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
            Self::Md5(hasher) => hasher.update(bytes),
        }
    }

    fn end(self) -> Digest {
        match self {
            Self::Blake3(hasher) => Digest::Blake3(hasher.finalize()),
            Self::Sha256(hasher) => Digest::Sha256(hasher.finalize().into()),
            Self::Sha512(hasher) => Digest::Sha512(hasher.finalize().into()),
            Self::Md5(hasher) => Digest::Md5(hasher.finalize().into()),
        }
    }
}

/// `ALG=HEX`, as `--checksum` takes it.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (algorithm, bytes) = match self {
            Self::Blake3(hash) => ("blake3", &hash.as_bytes()[..]),
            Self::Sha256(hash) => ("sha-256", &hash[..]),
            Self::Sha512(hash) => ("sha-512", &hash[..]),
            Self::Md5(hash) => ("md5", &hash[..]),
        };
        write!(f, "{algorithm}=")?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The same, read.
impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no checksum: use blake3=HEX, sha-256=HEX or sha-512=HEX, with all digits of the digest"
            )
        };
        let (algorithm, hex) = text.split_once('=').ok_or_else(wrong)?;
        Self::from_hex(algorithm.trim(), hex.trim())
            .filter(|digest| !digest.is_weak())
            .ok_or_else(wrong)
    }
}

/// Reads to the end.
fn feed(
    mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    mut take: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => take(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9530, appendix D: the digests of `{"hello": "world"}` and a line feed.
    const CONTENT: &[u8] = b"{\"hello\": \"world\"}\n";
    const SHA256: &str = "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=";

    #[test]
    fn fields_of_both_kinds_are_read() {
        for field in [
            format!("sha-256=:{SHA256}:"),
            format!("SHA-256={SHA256}"),
            format!("md5=:abcd:, sha-256=:{SHA256}:"),
            format!("unixsum=1, SHA-256={SHA256}"),
        ] {
            let digest = Digest::from_field(&field).unwrap();
            assert!(
                digest.matches(CONTENT) && !digest.matches(b"else"),
                "{field}"
            );
        }
        for field in [
            "",
            "sha-256",
            "sha-256=:AAAA:",
            "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:",
            "sha-256=:!:",
        ] {
            assert_eq!(Digest::from_field(field), None, "{field}");
        }
    }

    #[test]
    fn a_checksum_is_read_from_the_command_line() {
        let file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut &file, CONTENT).unwrap();
        let hex = |bytes: &[u8]| {
            use std::fmt::Write;
            bytes.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        };
        for text in [
            format!("blake3={}", blake3::hash(CONTENT)),
            format!("sha-256={}", hex(&Sha256::digest(CONTENT))),
            format!("SHA512={}", hex(&Sha512::digest(CONTENT)).to_uppercase()),
        ] {
            let digest: Digest = text.parse().unwrap();
            assert!(
                digest.matches_file(&file).unwrap() && digest.matches(CONTENT),
                "{text}"
            );
        }
        for text in [
            "",
            "sha-256",
            "sha-256=12",
            "md5=00",
            "md5=d41d8cd98f00b204e9800998ecf8427e",
            "sha-256=zz",
            "blake3=0",
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
