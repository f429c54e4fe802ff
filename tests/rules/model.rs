//! The rules, as docs/UPDATE.md has them.

use std::collections::BTreeMap;

use super::kinds::Kind;

/// The name that the file is to get.
pub const NAME: &str = "f.txt";

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// What the server has.
    New,
    /// As many bytes, others.
    Other,
    /// Its beginning.
    Short,
    /// It, and more.
    Long,
    Empty,
}

/// What has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// A file, and whether it has the date that the server tells.
    File(Content, bool),
    /// An empty directory.
    Dir,
    /// A link to something outside.
    Link(&'static str),
    Fifo,
}

/// What is in a directory.
pub type State = BTreeMap<String, Thing>;

#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub word: &'static str,
    pub backup: bool,
}

pub const RULES: [Rule; 7] = [
    rule("verify", false),
    rule("rename", false),
    rule("skip", false),
    rule("overwrite", false),
    rule("overwrite", true),
    rule("update", false),
    rule("update", true),
];

const fn rule(word: &'static str, backup: bool) -> Rule {
    Rule { word, backup }
}

/// What becomes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Becomes {
    New,
    Copy,
    Replaces,
    IsHere,
}

impl Becomes {
    /// Whether a dry run may call it so: what its listing does not decide is compared, and what is overwritten is fetched before
    /// anybody knows that it is equal.
    pub fn is_foretold_as(self, would: &str, rule: Rule) -> bool {
        match (self, would) {
            (Self::New, "fetch")
            | (Self::Copy, "copy")
            | (Self::Replaces, "replace")
            | (Self::IsHere, "keep")
            | (Self::Copy | Self::Replaces | Self::IsHere, "compare") => true,
            (Self::IsHere, "replace") => rule.word == "overwrite",
            _ => false,
        }
    }
}

/// What a run makes of a directory.
pub fn expected(before: &State, rule: Rule, kind: &Kind) -> (State, Becomes) {
    let mut after = before.clone();
    let new = Thing::File(kind.label(Content::New), kind.has_date());
    let copies = || {
        (0..).map(|copy| {
            if copy == 0 {
                NAME.to_owned()
            } else {
                format!("f ({copy}).txt")
            }
        })
    };
    let free = copies().find(|name| !before.contains_key(name)).unwrap();
    let fetched = |mut after: State| {
        let becomes = if free == NAME {
            Becomes::New
        } else {
            Becomes::Copy
        };
        after.insert(free.clone(), new.clone());
        (after, becomes)
    };
    let is_file = matches!(before.get(NAME), Some(Thing::File(..)));
    match rule.word {
        "skip" if before.contains_key(NAME) => return (after, Becomes::IsHere),
        "skip" | "rename" => return fetched(after),
        _ => {}
    }
    let replaces = is_file && rule.word != "verify";
    let here: Vec<_> = copies()
        .take_while(|name| before.contains_key(name))
        .collect();
    let same = here
        .iter()
        .take(if replaces { 1 } else { here.len() })
        .find(|name| match &before[*name] {
            Thing::File(content, dated) => {
                kind.counts(*content, *dated)
                    && (rule.word != "overwrite"
                        || kind.label(*content) == kind.label(Content::New))
            }
            _ => false,
        });
    if let Some(same) = same {
        if rule.word != "verify" && kind.has_date() {
            let Thing::File(content, _) = before[same] else {
                unreachable!()
            };
            after.insert(same.clone(), Thing::File(content, true));
        }
        return (after, Becomes::IsHere);
    }
    if !replaces {
        return fetched(after);
    }
    if rule.backup {
        let mut backups = (1..).map(|number| {
            if number == 1 {
                format!("{NAME}~")
            } else {
                format!("{NAME}~{number}")
            }
        });
        let backup = backups.find(|name| !before.contains_key(name)).unwrap();
        after.insert(backup, before[NAME].clone());
    }
    after.insert(NAME.to_owned(), new);
    (after, Becomes::Replaces)
}
