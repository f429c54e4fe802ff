//! As much of DER (X.690) as it takes to say what a certificate or key is.

/// Tag and content of the value that `bytes` begin with, and what follows it.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The content of a SEQUENCE.
fn sequence(bytes: &[u8]) -> Option<&[u8]> {
    value(bytes).and_then(|(tag, content, _)| (tag == 0x30).then_some(content))
}

/// The version of a certificate, from 1 (RFC 5280 §4.1.2.1).
pub(super) fn version(certificate: &[u8]) -> Option<u8> {
    let to_be_signed = sequence(sequence(certificate)?)?;
    match value(to_be_signed)? {
        (0xa0, version, _) => match value(version)? {
            (0x02, [number], _) => number.checked_add(1),
            _ => None,
        },
        // It begins with the serial number: the field has a default.
        (0x02, ..) => Some(1),
        _ => None,
    }
}

/// Identifiers of kinds of keys: as they are encoded, and what people call them.
const KINDS: [(&[u8], &str); 6] = [
    (&[0x2b, 0x81, 0x04, 0x00, 0x23], "an ECDSA key on P-521"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x0a], "an ECDSA key on secp256k1"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x21], "an ECDSA key on P-224"),
    (&[0x2b, 0x65, 0x71], "an Ed448 key"),
    (&[0x2b, 0x65, 0x6e], "an X25519 key, which cannot sign"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01], "a DSA key"),
];

/// What a private key is, where it is one that is refused: PKCS #8 (RFC 5208), PKCS #1 (RFC 8017 §A.1.2) or SEC 1.
pub(super) fn key_kind(key: &[u8]) -> Option<String> {
    let content = sequence(key)?;
    let is_named = |identifier: &[u8]| {
        let named = [&[0x06, identifier.len() as u8], identifier].concat();
        key.windows(named.len()).any(|window| window == named)
    };
    if let Some((_, kind)) = KINDS.iter().find(|(identifier, _)| is_named(identifier)) {
        return Some((*kind).to_owned());
    }
    let (_, _, rest) = value(content)?;
    let modulus = match value(rest)? {
        (0x02, modulus, _) => modulus,
        (0x30, _, rest) => {
            let (tag, inner, _) = value(rest)?;
            let (_, _, rest) = value(sequence(inner).filter(|_| tag == 0x04)?)?;
            value(rest).filter(|(tag, ..)| *tag == 0x02)?.1
        }
        _ => return None,
    };
    let zeros = modulus.iter().position(|byte| *byte != 0)?;
    let bits = (modulus.len() - zeros) * 8 - modulus[zeros].leading_zeros() as usize;
    Some(format!("an RSA key of {bits} bits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_or_no_der_is_nothing() {
        let key = [0x30, 0x06, 0x02, 0x01, 0x00, 0x02, 0x01, 0x05];
        assert_eq!(key_kind(&key).as_deref(), Some("an RSA key of 3 bits"));
        for end in 0..key.len() {
            assert_eq!(key_kind(&key[..end]), None);
            assert_eq!(version(&key[..end]), None);
        }
        for bytes in [
            &[0x30, 0x80][..],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 0x85],
        ] {
            assert_eq!(key_kind(bytes), None);
            assert_eq!(version(bytes), None);
        }
    }
}
