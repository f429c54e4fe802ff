//! What people compare: the SHA-256 of a certificate, as browsers and `openssl x509 -fingerprint -sha256` show it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::forms;

/// The SHA-256 of a certificate's DER form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Self(Sha256::digest(certificate).into())
    }

    /// The ends of it, for where there is no room: `9F:3A…C1`. It identifies nothing.
    pub fn short(&self) -> String {
        let [first, second, .., last] = self.0;
        format!("{first:02X}:{second:02X}…{last:02X}")
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        forms::text::serialize(self, to)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        forms::text::deserialize(from)
    }
}

/// Bytes in upper-case hexadecimal, with colons between them.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, byte) in self.0.iter().enumerate() {
            let colon = if n == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// Reads 64 hexadecimal digits of either case, with or without colons, and with `SHA256:` before them or not.
    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.trim();
        let digits: String = match bare.get(..7) {
            Some(start) if start.eq_ignore_ascii_case("sha256:") => &bare[7..],
            _ => bare,
        }
        .chars()
        .filter(|c| *c != ':')
        .collect();
        // BLAKE3's digests have the same size, and its crate reads them.
        match blake3::Hash::from_hex(&digits) {
            Ok(hash) => Ok(Self(*hash.as_bytes())),
            Err(_) => Err(format!(
                "`{text}` is no fingerprint: SHA-256 has 64 hexadecimal digits, with or without colons, as `haul serve` prints them"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_other_tools_write_it() {
        let fingerprint = Fingerprint::of(b"");
        let shown = fingerprint.to_string();
        assert!(
            shown.starts_with("E3:B0:C4:42:") && shown.len() == 95,
            "{shown}"
        );
        assert_eq!(fingerprint.short(), "E3:B0…55");
        for written in [
            shown.clone(),
            shown.replace(':', ""),
            shown.to_lowercase(),
            format!("sha256:{}", shown.replace(':', "").to_lowercase()),
            format!(" SHA256:{shown} "),
        ] {
            assert_eq!(written.parse(), Ok(fingerprint), "{written}");
        }
        for wrong in [
            "",
            "E3:B0",
            "sha1:00",
            &shown[1..],
            &format!("{shown}0"),
            "é",
        ] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
