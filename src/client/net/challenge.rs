//! Digest authentication (RFC 7616; RFC 2617 as older servers have it): a login that is proved without sending it.

use std::fmt::Write as _;

use md5::Md5;
use sha2::{Digest as _, Sha256, Sha512_256};

use crate::credentials::Secret;

/// What a server asks to be proved.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a parameter, there or not"
)]
pub struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// The algorithm's name as the server wrote it, where it did.
    named: Option<String>,
    /// The `-sess` form: the nonces are in the key.
    session: bool,
    /// `qop=auth`; servers from before 1999 know none.
    qop: bool,
    userhash: bool,
    /// The last answer was right but for its nonce.
    pub stale: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Algorithm {
    Md5,
    Sha512_256,
    Sha256,
}

impl Algorithm {
    fn hash(self, text: &str) -> String {
        let bytes = match self {
            Self::Md5 => Md5::digest(text).to_vec(),
            Self::Sha512_256 => Sha512_256::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
        };
        bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// A request that is to be let in.
pub struct Request<'a> {
    /// `GET` or `HEAD`.
    pub method: &'a str,
    /// Its target, as it stands in the request line.
    pub uri: &'a str,
    /// How many requests were answered to this nonce, this one included.
    pub count: u32,
    /// The client's own nonce.
    pub cnonce: &'a str,
}

impl Challenge {
    /// The strongest that is understood of all that stand in `WWW-Authenticate` fields.
    pub fn strongest(fields: &[String]) -> Option<Self> {
        let all = fields.iter().flat_map(|field| schemes(field));
        let known = all.filter_map(|(scheme, parameters)| Self::read(&scheme, &parameters));
        known.max_by_key(|challenge| challenge.algorithm)
    }

    fn read(scheme: &str, parameters: &[(String, String)]) -> Option<Self> {
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let get = |name: &str| {
            let found = parameters
                .iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        let named = get("algorithm");
        let lower = named.as_deref().unwrap_or("md5").to_ascii_lowercase();
        let session = lower.ends_with("-sess");
        let algorithm = match lower.trim_end_matches("-sess") {
            "md5" => Algorithm::Md5,
            "sha-256" => Algorithm::Sha256,
            "sha-512-256" => Algorithm::Sha512_256,
            _ => return None,
        };
        let qop = match get("qop") {
            Some(list) => {
                let mut each = list.split(',').map(str::trim);
                // `auth-int` alone would have the body hashed, of which there is none to agree on.
                each.any(|one| one.eq_ignore_ascii_case("auth"))
                    .then_some(true)?
            }
            None => false,
        };
        let is = |name: &str| get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Some(Self {
            realm: get("realm").unwrap_or_default(),
            nonce: get("nonce")?,
            opaque: get("opaque"),
            algorithm,
            named,
            session,
            qop,
            userhash: is("userhash"),
            stale: is("stale"),
        })
    }

    /// Whether both ask for the same proof.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.realm, &self.nonce) == (&other.realm, &other.nonce)
    }

    /// The value of `Authorization` for one request.
    pub fn answer(&self, user: &str, password: &Secret, request: &Request<'_>) -> Secret {
        let hash = |text: &str| self.algorithm.hash(text);
        let Self { realm, nonce, .. } = self;
        let Request {
            method,
            uri,
            count,
            cnonce,
        } = request;
        let mut key = hash(&format!("{user}:{realm}:{}", password.expose()));
        if self.session {
            key = hash(&format!("{key}:{nonce}:{cnonce}"));
        }
        let what = hash(&format!("{method}:{uri}"));
        let response = if self.qop {
            hash(&format!("{key}:{nonce}:{count:08x}:{cnonce}:auth:{what}"))
        } else {
            hash(&format!("{key}:{nonce}:{what}"))
        };
        let user = if self.userhash {
            hash(&format!("{user}:{realm}"))
        } else {
            user.to_owned()
        };
        let mut text = format!(
            "Digest username={}, realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(&user),
            quoted(realm),
            quoted(nonce),
            quoted(uri),
        );
        if let Some(named) = &self.named {
            let _ = write!(text, ", algorithm={named}");
        }
        if let Some(opaque) = &self.opaque {
            let _ = write!(text, ", opaque={}", quoted(opaque));
        }
        if self.qop {
            let _ = write!(text, ", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\"");
        } else if self.session {
            let _ = write!(text, ", cnonce=\"{cnonce}\"");
        }
        if self.userhash {
            text.push_str(", userhash=true");
        }
        Secret::new(text)
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The schemes in a field, each with its parameters (RFC 9110 §11.6.1: both are parted by commas).
fn schemes(field: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut all: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = field.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let value = behind.trim_start().strip_prefix('=').map(str::trim_start);
        rest = match (value, all.last_mut()) {
            (Some(value), Some((_, parameters))) if !word.is_empty() => {
                let (value, behind) = parameter(value);
                parameters.push((word.to_owned(), value));
                behind
            }
            (None, _) if !word.is_empty() => {
                all.push((word.to_owned(), Vec::new()));
                behind
            }
            // Nonsense is skipped, a character at a time.
            _ => behind.get(1..).unwrap_or_default(),
        };
        rest = rest.trim_start_matches([' ', '\t', ',']);
    }
    all
}

/// A token or quoted string at the front, and what is behind it.
fn parameter(text: &str) -> (String, &str) {
    let Some(inside) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let (mut value, mut characters) = (String::new(), inside.char_indices());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &inside[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 §3.9.1: both challenges, and the answer to each.
    #[test]
    fn the_examples_of_the_rfc() {
        let field = |algorithm: &str| {
            format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            )
        };
        let request = Request {
            method: "GET",
            uri: "/dir/index.html",
            count: 1,
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        };
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let challenge = Challenge::strongest(&[field(algorithm)]).unwrap();
            let answer = challenge.answer("Mufasa", &Secret::new("Circle of Life"), &request);
            let answer = answer.expose();
            assert!(
                answer.contains(&format!("response=\"{response}\"")),
                "{answer}"
            );
            assert!(answer.contains("qop=auth, nc=00000001"), "{answer}");
            assert!(answer.contains("opaque=\"FQhe/"), "{answer}");
        }
        let both = [field("MD5"), field("SHA-256")];
        assert_eq!(
            Challenge::strongest(&both).unwrap().algorithm,
            Algorithm::Sha256
        );
    }

    #[test]
    fn challenges_are_read_out_of_lists() {
        let field =
            "Basic realm=\"a, b\", Digest realm=\"x \\\"y\\\"\" , nonce=abc, stale=TRUE, Bearer";
        let challenge = Challenge::strongest(&[field.into()]).unwrap();
        assert_eq!(
            (challenge.realm.as_str(), challenge.nonce.as_str()),
            ("x \"y\"", "abc")
        );
        assert!(challenge.stale && !challenge.qop && challenge.named.is_none());
        for none in [
            "Basic realm=\"x\"",
            "Digest realm=\"x\"",
            "Digest nonce=x, algorithm=rot13",
            "Digest nonce=x, qop=\"auth-int\"",
            "\"\", =, Digest",
            "",
        ] {
            assert_eq!(Challenge::strongest(&[none.into()]), None, "{none}");
        }
    }
}
