//! Reads INI files, with rust-ini, into settings that know their line.
//!
//! rust-ini keeps no line numbers, lets a key run over several lines, and joins lines at a backslash even with
//! escapes off. So it is given one line at a time: what it finds there stands on that line and nowhere else.

use std::{fmt, io, path::Path};

use ini::{Ini, ParseOption};

/// Backslashes and quotes are ordinary characters: `C:\new` and passwords stand as they are.
const LITERAL: ParseOption = ParseOption {
    enabled_quote: false,
    enabled_escape: false,
    enabled_indented_mutiline_value: false,
    enabled_preserve_key_leading_whitespace: false,
};

/// One `key = value` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The section it stands in; `None` before the first header.
    pub section: Option<String>,
    /// The name before the `=`.
    pub key: String,
    /// What follows the `=`, without the blanks around it.
    pub value: String,
    /// Its line, from 1.
    pub line: usize,
}

/// A file's content: its section headers with their lines, and its settings, both in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct File {
    /// Headers, also of sections without settings.
    pub sections: Vec<(String, usize)>,
    /// Settings.
    pub settings: Vec<Setting>,
}

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be opened, or is no UTF-8.
    #[error("cannot read the configuration {path}: {}", crate::exit::reason(.source))]
    Read {
        /// The file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// A line is no header, comment or setting.
    #[error("{place}: {problem}")]
    Syntax {
        /// File, line and section.
        place: Place,
        /// What was read, and what is allowed.
        problem: String,
    },
}

/// Where something stands in a file: `configs/serve.ini:3: [serve]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user named it.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The section; `None` before the first header.
    pub section: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.line)?;
        match &self.section {
            Some(section) => write!(f, ": [{section}]"),
            None => Ok(()),
        }
    }
}

/// Reads the file at `path`.
pub fn read(path: &Path) -> Result<File, Error> {
    let shown = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&shown, &text),
        Err(source) => Err(Error::Read {
            path: shown,
            source,
        }),
    }
}

/// Reads `text`, the content of the file that errors call `path`.
pub fn parse(path: &str, text: &str) -> Result<File, Error> {
    let mut file = File::default();
    let mut section = None;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        let fail = |section: &Option<String>, problem: String| Error::Syntax {
            place: Place {
                path: path.into(),
                line: number,
                section: section.clone(),
            },
            problem,
        };
        if line.starts_with('[') {
            let name = header(line).map_err(|problem| fail(&section, problem))?;
            file.sections.push((name.clone(), number));
            section = Some(name);
        } else {
            let (key, value) = setting(line).map_err(|problem| fail(&section, problem))?;
            file.settings.push(Setting {
                section: section.clone(),
                key,
                value,
                line: number,
            });
        }
    }
    Ok(file)
}

/// Reads `[name]`.
fn header(line: &str) -> Result<String, String> {
    let wrong = || format!("`{line}` is no section: write [name] on a line of its own");
    if !line.ends_with(']') {
        return Err(wrong());
    }
    let ini = Ini::load_from_str_opt(line, LITERAL).map_err(|_| wrong())?;
    ini.sections()
        .flatten()
        .next()
        .map(str::to_owned)
        .ok_or_else(wrong)
}

/// Reads `key = value`.
fn setting(line: &str) -> Result<(String, String), String> {
    // What may hold a login stays out of messages.
    let secret = ["auth", "header", "proxy"];
    let shown = match secret.iter().find(|key| line.starts_with(*key)) {
        Some(key) => &format!("{key}…"),
        None => line,
    };
    let wrong = || format!("`{shown}` has no `=`: write key = value, or # before a comment");
    // rust-ini takes a colon for an equals sign; here it is part of a value, such as an address.
    let before = line.split_once('=').ok_or_else(wrong)?.0;
    if before.trim().is_empty() {
        return Err(format!("`{shown}` has no key before its `=`"));
    }
    if before.contains(':') {
        return Err(format!("`{shown}` has a `:` in its key: write key = value"));
    }
    let ini = Ini::load_from_str_opt(line, LITERAL).map_err(|_| wrong())?;
    let (key, value) = ini.general_section().iter().next().ok_or_else(wrong)?;
    Ok((key.into(), value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_know_their_section_and_line() {
        let text = "\u{feff}port = 1\r\n\r\n[serve]\n; a comment\n  # another\n  dir =  a b \n[connect]\nget=*.txt\nget = \n";
        let file = parse("x.ini", text).unwrap();
        assert_eq!(file.sections, [("serve".into(), 3), ("connect".into(), 7)]);
        let flat: Vec<_> = file
            .settings
            .iter()
            .map(|s| {
                (
                    s.section.as_deref(),
                    s.key.as_str(),
                    s.value.as_str(),
                    s.line,
                )
            })
            .collect();
        assert_eq!(
            flat,
            [
                (None, "port", "1", 1),
                (Some("serve"), "dir", "a b", 6),
                (Some("connect"), "get", "*.txt", 8),
                (Some("connect"), "get", "", 9),
            ]
        );
    }

    #[test]
    fn values_are_literal() {
        for value in [
            r"C:\new",
            r"C:\dir\",
            r"a\tb\x41",
            "p=a:s#s;w'o\"r%d",
            "\"quoted\"",
            "'quoted'",
            "a ; b",
            "a # b",
            "[x]",
            "日本 ünï",
        ] {
            let file = parse("x.ini", &format!("dir = {value}\nport = 1\n")).unwrap();
            assert_eq!(file.settings.len(), 2, "{value}");
            assert_eq!(file.settings[0].value, value);
        }
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (text, says) in [
            (
                "[serve]\nport\ndir = x",
                "x.ini:2: [serve]: `port` has no `=`",
            ),
            ("\nport: 80", "x.ini:2: `port: 80` has no `=`"),
            (
                "url: http://x/?a=b",
                "x.ini:1: `url: http://x/?a=b` has a `:` in its key",
            ),
            ("= 5", "x.ini:1: `= 5` has no key"),
            ("[serve\nport = 1", "x.ini:1: `[serve` is no section"),
            (
                "[serve] port = 1",
                "x.ini:1: `[serve] port = 1` is no section",
            ),
        ] {
            let error = parse("x.ini", text).unwrap_err().to_string();
            assert!(error.starts_with(says), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_missing_file_is_told_plainly() {
        let error = read(Path::new("/no/such.ini")).unwrap_err().to_string();
        assert_eq!(
            error,
            "cannot read the configuration /no/such.ini: no such file or directory"
        );
    }
}
