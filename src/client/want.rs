//! What is asked for, and how the journal keeps that for a later run.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use super::{
    Error,
    read::{metalink::NamedFile, pattern::Filter},
};
use crate::{
    config::OnConflict,
    digest::Digest,
    escape::display_name,
    http1::path::{RemotePath, check_name},
    units::Rate,
};

/// What to download.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Want {
    /// A file, or a directory's tree.
    Path {
        /// Which.
        path: RemotePath,
        /// The file's size, where a listing told it.
        size: Option<u64>,
    },
    /// One file: under another name in the target directory, or with a digest that it must have.
    #[serde(skip)]
    File {
        /// The file.
        path: RemotePath,
        /// Its name here, where it is not the remote one.
        name: Option<Vec<u8>>,
        /// What its content must hash to, whatever the server says.
        checksum: Option<Digest>,
    },
    /// What patterns match below the base URL; an empty `get` means everything.
    Patterns {
        /// Patterns of what is wanted.
        get: Vec<String>,
        /// Patterns of what is left out.
        exclude: Vec<String>,
    },
    /// What a Metalink names, from its servers: those that the client was started with.
    #[serde(skip)]
    Named(Vec<NamedFile>),
}

impl Want {
    /// Refuses what nobody can be asked for: a malformed pattern, or a name that no file can have.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Self::Patterns { get, exclude } => Filter::of(get, exclude).map(drop),
            Self::File {
                name: Some(name), ..
            } => check_name(name).map_err(|error| {
                let name = display_name(name);
                Error::Usage(format!("`{name}` is no file name: it is {error}"))
            }),
            Self::Path { .. } | Self::File { .. } | Self::Named(_) => Ok(()),
        }
    }
}

/// What happens where local files are in the way of what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rule {
    /// The conflict rule.
    pub on_conflict: OnConflict,
    /// What is replaced is kept as `name~`.
    pub backup: bool,
}

/// One thing that was asked for. Names are percent-encoded: they may be any bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    want: Kept,
    /// Another directory than the target, absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<PathBuf>,
    /// What happens where a local file is in the way. Journals before version 5 say no more than `"update":true`.
    #[serde(
        default,
        alias = "update",
        deserialize_with = "on_conflict",
        skip_serializing_if = "is_usual"
    )]
    on_conflict: OnConflict,
    /// What is replaced is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    backup: bool,
    /// What its connections together may take, in bytes a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    /// It comes before all others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kept {
    Path(String),
    File {
        path: String,
        name: Option<String>,
        checksum: Option<String>,
    },
    Patterns {
        get: Vec<String>,
        exclude: Vec<String>,
    },
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "it is called with a reference"
)]
fn is_usual(rule: &OnConflict) -> bool {
    *rule == OnConflict::default()
}

/// Reads a rule, or whether it is `update`.
fn on_conflict<'de, D: Deserializer<'de>>(from: D) -> Result<OnConflict, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Kept {
        Updates(bool),
        Rule(OnConflict),
    }
    Ok(match Kept::deserialize(from)? {
        Kept::Updates(true) => OnConflict::Update,
        Kept::Updates(false) => OnConflict::default(),
        Kept::Rule(rule) => rule,
    })
}

impl Wanted {
    /// How `want` is kept. `None` for a Metalink's files: the same Metalink names them again.
    pub fn new(want: &Want, to: Option<&Path>, rule: Rule) -> Option<Self> {
        let want = match want {
            Want::Path { path, .. } => Kept::Path(path.encoded()),
            Want::File {
                path,
                name,
                checksum,
            } => Kept::File {
                path: path.encoded(),
                name: name
                    .as_deref()
                    .map(|name| crate::http1::path::encode_name(name).into_owned()),
                checksum: checksum.as_ref().map(ToString::to_string),
            },
            Want::Patterns { get, exclude } => Kept::Patterns {
                get: get.clone(),
                exclude: exclude.clone(),
            },
            Want::Named(_) => return None,
        };
        Some(Self {
            want,
            to: to.and_then(|dir| std::path::absolute(dir).ok()),
            on_conflict: rule.on_conflict,
            backup: rule.backup,
            limit: None,
            first: false,
        })
    }

    /// Whether both ask for the same, however fast, in whatever turn, and whatever is to happen to files in the way.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        (&self.want, &self.to) == (&other.want, &other.to)
    }

    /// What its connections together may take.
    pub fn limit(&self) -> Option<Rate> {
        self.limit.map(Rate)
    }

    /// Another limit, or none.
    pub fn set_limit(&mut self, limit: Option<Rate>) {
        self.limit = limit.map(|rate| rate.0);
    }

    /// What happens where local files are in the way.
    pub fn rule(&self) -> Rule {
        Rule {
            on_conflict: self.on_conflict,
            backup: self.backup,
        }
    }

    /// Another directory than the target.
    pub fn to(&self) -> Option<&Path> {
        self.to.as_deref()
    }

    /// What was asked for, and where it goes if not to the target; `None` where nobody could have asked for it.
    pub fn want(&self) -> Option<(Want, Option<PathBuf>)> {
        let path = |text: &str| RemotePath::from_target(format!("/{text}").as_bytes()).ok();
        let want = match &self.want {
            Kept::Path(text) => Want::Path {
                path: path(text)?,
                size: None,
            },
            Kept::File {
                path: text,
                name,
                checksum,
            } => Want::File {
                path: path(text)?,
                name: match name {
                    Some(name) => Some(
                        crate::http1::path::decode(name.as_bytes())
                            .ok()?
                            .into_owned(),
                    ),
                    None => None,
                },
                checksum: match checksum {
                    Some(text) => Some(text.parse().ok()?),
                    None => None,
                },
            },
            Kept::Patterns { get, exclude } => Want::Patterns {
                get: get.clone(),
                exclude: exclude.clone(),
            },
        };
        Some((want, self.to.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_was_asked_for() {
        let path = |text: &[u8]| RemotePath::from_target(text).unwrap();
        let checksum = format!("blake3={}", blake3::hash(b"x").to_hex());
        let rule = |on_conflict, backup| Rule {
            on_conflict,
            backup,
        };
        for (want, rule) in [
            Want::Path {
                path: path(b"/a%2520b/%ff%0a/"),
                size: None,
            },
            Want::File {
                path: path(b"/a"),
                name: Some(b"b \xff".to_vec()),
                checksum: Some(checksum.parse().unwrap()),
            },
            Want::Patterns {
                get: vec!["*.iso".into()],
                exclude: Vec::new(),
            },
        ]
        .into_iter()
        .zip([
            Rule::default(),
            rule(OnConflict::Update, true),
            rule(OnConflict::Skip, false),
        ]) {
            let to = Some(PathBuf::from("/elsewhere"));
            let mut wanted = Wanted::new(&want, to.as_deref(), rule).unwrap();
            assert_eq!(wanted.rule(), rule);
            let text = serde_json::to_string(&wanted).unwrap();
            assert!(!text.contains("limit") && !text.contains("first"), "{text}");
            let plain = wanted.clone();
            wanted.set_limit(Some(Rate(5)));
            wanted.first = true;
            assert!(wanted.asks_the_same(&plain) && wanted != plain);
            let other = Wanted::new(&want, to.as_deref(), Rule::default()).unwrap();
            assert!(wanted.asks_the_same(&other), "by whatever rule");
            let text = serde_json::to_string(&wanted).unwrap();
            let read: Wanted = serde_json::from_str(&text).unwrap();
            assert_eq!(read, wanted);
            let (again, there) = read.want().unwrap();
            assert_eq!(Wanted::new(&again, there.as_deref(), rule), Some(plain));
            assert_eq!(format!("{again:?}"), format!("{want:?}"));
        }
    }

    #[test]
    fn what_an_earlier_version_kept_has_its_rule() {
        for (more, rule) in [
            ("", OnConflict::Verify),
            (r#","update":false"#, OnConflict::Verify),
            (r#","update":true"#, OnConflict::Update),
            (r#","on_conflict":"overwrite""#, OnConflict::Overwrite),
        ] {
            let text = format!(r#"{{"want":{{"path":"a"}}{more}}}"#);
            let wanted: Wanted = serde_json::from_str(&text).unwrap();
            assert_eq!(wanted.rule().on_conflict, rule, "{text}");
            let text = serde_json::to_string(&wanted).unwrap();
            assert_eq!(serde_json::from_str::<Wanted>(&text).unwrap(), wanted);
        }
    }
}
