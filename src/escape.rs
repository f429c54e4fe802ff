//! Remote text for people: what a name cannot show, or could do to a terminal, becomes a visible escape.
//!
//! Everything that came from another machine or from a file name passes [`display_name`] before it reaches a
//! screen, a log or stderr. Two different names never look alike for want of an escape: the result can be read
//! back without ambiguity (an escape is `\xHH` for a byte or an ASCII control, `\u{…}` for a character, and a
//! backslash of the name itself is doubled wherever it could be taken for the start of one).

use std::{borrow::Cow, fmt::Write as _};

/// The visible form of a name or any other foreign text, raw bytes or a `str`.
///
/// - C0 controls and DEL become `\x1b`, bytes that are no UTF-8 `\xff`.
/// - C1 controls, bidirectional controls, joiners, variation selectors, spaces that are not U+0020 or U+3000,
///   and everything else that shows nothing become `\u{202e}`.
/// - A backslash stays as it is, unless `x`, `u`, another backslash or an escape follows: then it is doubled.
///
/// Borrows when nothing has to change.
pub fn display_name<T: AsRef<[u8]> + ?Sized>(raw: &T) -> Cow<'_, str> {
    let raw = raw.as_ref();
    if let Ok(text) = std::str::from_utf8(raw)
        && (is_printable(raw) && !raw.contains(&b'\\')
            || !text.chars().any(|c| c == '\\' || is_hidden(c)))
    {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(raw.len() + 16);
    // A backslash waits until it is known what follows it.
    let mut backslash = false;
    for chunk in raw.utf8_chunks() {
        for c in chunk.valid().chars() {
            if std::mem::take(&mut backslash) {
                let ambiguous = matches!(c, 'x' | 'u' | '\\') || is_hidden(c);
                shown.push_str(if ambiguous { r"\\" } else { r"\" });
            }
            match c {
                '\\' => backslash = true,
                c if c.is_ascii() && is_hidden(c) => {
                    push(&mut shown, format_args!("\\x{:02x}", u32::from(c)));
                }
                c if is_hidden(c) => push(&mut shown, format_args!("\\u{{{:x}}}", u32::from(c))),
                c => shown.push(c),
            }
        }
        for byte in chunk.invalid() {
            if std::mem::take(&mut backslash) {
                shown.push_str(r"\\");
            }
            push(&mut shown, format_args!("\\x{byte:02x}"));
        }
    }
    if backslash {
        shown.push('\\');
    }
    Cow::Owned(shown)
}

/// An error for people, in one line that does no harm.
pub fn display_error(error: &impl std::fmt::Display) -> String {
    display_name(&error.to_string()).into_owned()
}

/// The visible form of a local path.
pub fn display_path(path: &std::path::Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    display_name(path.as_os_str().as_bytes()).into_owned()
}

/// Whether all of it is printable ASCII, as nearly every name and line is: nothing of it is hidden.
pub fn is_printable(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A shown name as a word for a shell: quoted where that would part it or act on it.
pub fn shell_word(shown: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%,=".contains(c);
    if !shown.is_empty() && shown.chars().all(is_plain) {
        return Cow::Borrowed(shown);
    }
    Cow::Owned(format!("'{}'", shown.replace('\'', r"'\''")))
}

/// Writing to a `String` cannot fail.
fn push(text: &mut String, escape: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(escape);
}

/// Whether a character shows nothing of itself, or changes how others are shown.
fn is_hidden(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    c.is_control()
        || (c.is_whitespace() && c != '\u{3000}')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'   // zero width, joiners, direction marks
            | '\u{2028}'..='\u{202e}'   // separators, embeddings, overrides
            | '\u{2060}'..='\u{206f}'   // word joiner, isolates
            | '\u{2800}'                // a braille cell without dots
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'   // variation selectors
            | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}' // tags, more variation selectors
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn errors_and_paths_are_shown_as_names_are() {
        let path = std::path::Path::new("a\u{1b}b");
        let shown = display_name(b"a\x1bb");
        assert!(shown.len() > 3 && is_printable(shown.as_bytes()));
        assert_eq!(display_path(path), shown);
        assert_eq!(display_error(&path.display()), shown);
        assert!(is_printable(b" az~") && !is_printable(b"a\x1f") && !is_printable(b"\x7f"));
    }

    #[test]
    fn plain_names_are_borrowed() {
        for name in [
            "notes.md",
            "日本 ünï.mp4",
            "a b",
            "",
            "emoji 🎉",
            "wide\u{3000}space",
        ] {
            assert!(matches!(display_name(name), Cow::Borrowed(same) if same == name));
        }
    }

    #[test]
    fn what_hides_or_acts_becomes_visible() {
        for (raw, shown) in [
            (b"\x1b[2Jx".as_slice(), r"\x1b[2Jx"),
            (b"a\nb\x7f\0", r"a\x0ab\x7f\x00"),
            (b"\xff\xfe", r"\xff\xfe"),
            (b"\xe6\x97", r"\xe6\x97"),
            ("\u{9b}31m".as_bytes(), r"\u{9b}31m"),
            (b"\x9b31m", r"\x9b31m"),
            ("exe\u{202e}gpj".as_bytes(), r"exe\u{202e}gpj"),
            ("a\u{200d}b\u{fe0f}".as_bytes(), r"a\u{200d}b\u{fe0f}"),
            ("10\u{202f}PM".as_bytes(), r"10\u{202f}PM"),
            ("a\u{a0}b".as_bytes(), r"a\u{a0}b"),
            (br"C:\dir\", r"C:\dir\"),
            (br"a\x1b", r"a\\x1b"),
            (b"\\\x1b", r"\\\x1b"),
            (br"\\", r"\\\"),
            (b"\\\xff", r"\\\xff"),
        ] {
            assert_eq!(display_name(raw), shown, "{raw:?}");
        }
    }

    /// Reads the visible form back, as the module's grammar says.
    fn undo(shown: &str) -> Vec<u8> {
        let mut raw = Vec::new();
        let mut rest = shown;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            if c != '\\' {
                raw.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            } else if let Some(hex) = rest.strip_prefix('x') {
                raw.push(u8::from_str_radix(&hex[..2], 16).unwrap());
                rest = &hex[2..];
            } else if let Some(hex) = rest.strip_prefix("u{") {
                let (digits, after) = hex.split_once('}').unwrap();
                let c = char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap();
                raw.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
            } else {
                raw.push(b'\\');
                rest = rest.strip_prefix('\\').unwrap_or(rest);
            }
        }
        raw
    }

    #[test]
    fn no_two_names_look_alike_and_none_can_act() {
        // Every string of up to four of these: all ways in which escapes and backslashes can meet.
        let parts: [&[u8]; 10] = [
            b"\\",
            b"x",
            b"u",
            b"1b",
            b"{9b}",
            b"\x1b",
            b"\x9b",
            "\u{9b}".as_bytes(),
            b"a",
            b"\xe2\x80",
        ];
        let mut seen: HashMap<String, Vec<u8>> = HashMap::new();
        let mut names: Vec<Vec<u8>> = vec![Vec::new()];
        for _ in 0..4 {
            names = names
                .iter()
                .flat_map(|name| parts.iter().map(move |part| [name, *part].concat()))
                .collect();
            for name in &names {
                let shown = display_name(name).into_owned();
                assert!(!shown.chars().any(is_hidden), "{shown}");
                assert_eq!(&undo(&shown), name, "{shown}");
                let before = seen.entry(shown).or_insert_with(|| name.clone());
                assert_eq!(before, name);
            }
        }
    }

    #[test]
    fn a_word_for_a_shell_is_one_word_to_it() {
        for (shown, word) in [
            ("o/x-1.2_b.asc", "o/x-1.2_b.asc"),
            ("o/big (1).asc", "'o/big (1).asc'"),
            ("a'; b", r"'a'\''; b'"),
            ("$(x)", "'$(x)'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(shown), word);
        }
    }
}
