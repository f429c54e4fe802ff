//! Which remote paths are wanted: patterns over segments, with a look ahead that spares listing what cannot match.

use std::{borrow::Cow, ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use globset::{GlobBuilder, GlobMatcher};

use crate::{
    client::Error,
    http1::path::{RemotePath, decode_leniently, encode_name},
};

/// Begins a segment that is one name as a URL has it, of any bytes: no name holds it.
const NAME: char = '\0';

/// The segment of a pattern that matches `name` and nothing else.
pub fn literal(name: &[u8]) -> String {
    let Ok(text) = str::from_utf8(name) else {
        return format!("{NAME}{}", encode_name(name));
    };
    let mut segment = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '{' | '}') {
            segment.extend(['[', c, ']']);
        } else {
            segment.push(c);
        }
    }
    segment
}

/// What is wanted below a directory.
#[derive(Debug, Clone)]
pub struct Filter {
    get: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

/// One pattern: `*` and `?` stay within a segment, `**` crosses segments, a trailing `/` takes the whole tree. A
/// pattern without wildcards takes the tree of the directory that it names as well.
#[derive(Debug, Clone)]
struct Pattern {
    /// As it was given, for people.
    text: String,
    segments: Vec<Segment>,
    /// Whether it takes the tree of a directory that it matches, and whether it matches nothing else.
    tree: bool,
    only_tree: bool,
    /// Whether anything that it matches was seen; see [`Filter::unmatched`].
    matched: bool,
}

#[derive(Debug, Clone)]
enum Segment {
    /// `**`
    Any,
    One {
        text: Vec<u8>,
        glob: GlobMatcher,
    },
    /// See [`literal`].
    Name(Vec<u8>),
}

impl Filter {
    /// Takes everything that a pattern of `get` matches (everything, where there is none) and none of `exclude` does.
    pub fn new(get: &[String], exclude: &[String]) -> Result<Self, Error> {
        let parse = |patterns: &[String]| {
            patterns
                .iter()
                .map(|text| Pattern::parse(text))
                .collect::<Result<_, Error>>()
        };
        Ok(Self {
            get: parse(get)?,
            exclude: parse(exclude)?,
        })
    }

    /// The same; `None` where no pattern at all is given, so that everything is taken.
    pub fn of(get: &[String], exclude: &[String]) -> Result<Option<Self>, Error> {
        let any = !get.is_empty() || !exclude.is_empty();
        any.then(|| Self::new(get, exclude)).transpose()
    }

    /// What is wanted, by the patterns as they were given; raw.
    pub fn label(&self) -> String {
        if self.get.is_empty() {
            return "everything".to_owned();
        }
        let texts: Vec<_> = self.get.iter().map(|it| it.text.as_str()).collect();
        texts.join(" ")
    }

    /// Whether the file at `path` is wanted.
    pub fn wants(&self, path: &RemotePath) -> bool {
        let names: Vec<_> = path.names().collect();
        let matches =
            |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches_file(&names));
        (self.get.is_empty() || matches(&self.get)) && !matches(&self.exclude)
    }

    /// The same of a file that is there, which patterns of `get` are noted to have matched, even where it is left out.
    pub fn takes(&mut self, path: &RemotePath) -> bool {
        let names: Vec<_> = path.names().collect();
        let mut wanted = self.get.is_empty();
        for pattern in &mut self.get {
            if (!wanted || !pattern.matched) && pattern.matches_file(&names) {
                (wanted, pattern.matched) = (true, true);
            }
        }
        wanted && !self.exclude.iter().any(|it| it.matches_file(&names))
    }

    /// Whether a pattern leaves the file at `path` out.
    pub fn excludes(&self, path: &RemotePath) -> bool {
        let names: Vec<_> = path.names().collect();
        self.exclude.iter().any(|it| it.matches_file(&names))
    }

    /// Notes that the directory at `path` is there: whoever wants all of it has what there is, and be it nothing.
    pub fn enter(&mut self, path: &RemotePath) {
        let names: Vec<_> = path.names().collect();
        for pattern in &mut self.get {
            pattern.matched |= pattern.takes_tree(&names);
        }
    }

    /// Takes over what `other`, a copy of this one, has noted.
    pub fn learn(&mut self, other: &Self) {
        for (own, its) in self.get.iter_mut().zip(&other.get) {
            own.matched |= its.matched;
        }
    }

    /// Patterns of `get`, as they were given, that nothing has matched so far; raw.
    pub fn unmatched(&self) -> impl Iterator<Item = &str> {
        let unmatched = self.get.iter().filter(|pattern| !pattern.matched);
        unmatched.map(|pattern| pattern.text.as_str())
    }

    /// Whether the directory at `path` may hold something that is wanted.
    pub fn may_hold(&self, path: &RemotePath) -> bool {
        let names: Vec<_> = path.names().collect();
        let excluded = self
            .exclude
            .iter()
            .any(|pattern| pattern.takes_tree(&names));
        !excluded
            && (self.get.is_empty() || self.get.iter().any(|pattern| pattern.leads_to(&names)))
    }

    /// Whether the directory at `path` is wanted itself, so that it is made even when it is empty.
    pub fn wants_dir(&self, path: &RemotePath) -> bool {
        let names: Vec<_> = path.names().collect();
        self.get.is_empty() || self.get.iter().any(|pattern| pattern.takes_tree(&names))
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, Error> {
        let segments: Vec<&str> = text
            .split('/')
            .filter(|segment| !segment.is_empty() && *segment != ".")
            .collect();
        if segments.is_empty() && !text.contains('/') {
            return Err(Error::Usage(
                "an empty pattern matches nothing: use `**` or --all for everything".into(),
            ));
        }
        let only_tree = text.ends_with('/');
        let wild = |text: &&str| !text.starts_with(NAME) && text.contains(['*', '?', '[', '{']);
        let tree = only_tree || !segments.iter().any(wild);
        let compile = |segment: &&str| -> Result<Segment, Error> {
            match *segment {
                "**" => Ok(Segment::Any),
                text if text.starts_with(NAME) => {
                    let name = decode_leniently(&text.as_bytes()[NAME.len_utf8()..]);
                    Ok(Segment::Name(name.into_owned()))
                }
                text => {
                    let glob = GlobBuilder::new(text).backslash_escape(true).build();
                    let glob = glob.map_err(|error| {
                        Error::Usage(format!(
                            "the pattern `{}` is malformed: {}",
                            text.escape_debug(),
                            error.kind()
                        ))
                    })?;
                    Ok(Segment::One {
                        text: text.as_bytes().to_vec(),
                        glob: glob.compile_matcher(),
                    })
                }
            }
        };
        Ok(Self {
            text: shown(text),
            segments: segments.iter().map(compile).collect::<Result<_, _>>()?,
            tree,
            only_tree,
            matched: false,
        })
    }

    fn matches_file(&self, names: &[&[u8]]) -> bool {
        (!self.only_tree && matches(&self.segments, names))
            || (1..names.len()).any(|depth| self.takes_tree(&names[..depth]))
    }

    /// Whether the pattern takes all of the directory `names`, or of one above it.
    fn takes_tree(&self, names: &[&[u8]]) -> bool {
        self.tree && (0..=names.len()).any(|depth| matches(&self.segments, &names[..depth]))
    }

    /// Whether something below the directory `names` may match.
    fn leads_to(&self, names: &[&[u8]]) -> bool {
        if self.takes_tree(names) {
            return true;
        }
        for (segment, name) in self.segments.iter().zip(names) {
            match segment {
                Segment::Any => return true,
                one if !one.matches(name) => return false,
                Segment::One { .. } | Segment::Name(_) => {}
            }
        }
        names.len() < self.segments.len()
    }
}

impl Segment {
    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Name(own) => own == name,
            Self::One { text, glob } => {
                text == name || glob.is_match(Path::new(OsStr::from_bytes(name)))
            }
        }
    }
}

/// A pattern for people: names of any bytes as far as they are text.
fn shown(pattern: &str) -> String {
    let segments = pattern.split('/').map(|segment| {
        segment.strip_prefix(NAME).map_or(segment.into(), |name| {
            let name = decode_leniently(name.as_bytes()).into_owned();
            Cow::Owned(String::from_utf8_lossy(&name).into_owned())
        })
    });
    segments.collect::<Vec<_>>().join("/")
}

fn matches(segments: &[Segment], names: &[&[u8]]) -> bool {
    match (segments, names) {
        ([], names) => names.is_empty(),
        ([Segment::Any, rest @ ..], names) => {
            (0..=names.len()).any(|skip| matches(rest, &names[skip..]))
        }
        ([_, ..], []) => false,
        ([one, rest @ ..], [name, names @ ..]) => one.matches(name) && matches(rest, names),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(get: &[&str], exclude: &[&str]) -> Filter {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        Filter::new(&owned(get), &owned(exclude)).unwrap()
    }

    fn path(text: &str) -> RemotePath {
        RemotePath::from_target(text.as_bytes()).unwrap()
    }

    #[test]
    fn files() {
        for (pattern, file, wanted) in [
            ("*.iso", "a.iso", true),
            ("*.iso", "d/a.iso", false),
            ("**/*.iso", "d/e/a.iso", true),
            ("**/*.iso", "a.iso", true),
            ("d/*", "d/a", true),
            ("d/*", "d/e/a", false),
            ("d/", "d/e/a", true),
            ("d", "d/e/a", true),
            ("d", "d", true),
            ("?.txt", "a.txt", true),
            ("?.txt", "ab.txt", false),
            ("d/**", "d/e/a", true),
            ("*/", "d/e/a", true),
            ("*/", "a", false),
            ("[1].txt", "[1].txt", true),
            ("a b&c.txt", "a b&c.txt", true),
            ("/a", "a", true),
        ] {
            let wants = filter(&[pattern], &[])
                .wants(&RemotePath::from_target(file.replace(' ', "%20").as_bytes()).unwrap());
            assert_eq!(wants, wanted, "{pattern} {file}");
        }
        let without = filter(&[], &["*.tmp", "cache/"]);
        assert!(
            without.wants(&path("/a"))
                && !without.wants(&path("/a.tmp"))
                && !without.wants(&path("/cache/x/y"))
        );
    }

    #[test]
    fn names_of_any_bytes_are_literal_where_they_are_to_be() {
        for name in [&b"a\xff b%41"[..], b"odd[1]{*}?", b"plain"] {
            let pattern = format!("{}/*.txt", literal(name));
            let it = filter(&[&pattern], &[]);
            let mut dir = RemotePath::root();
            dir.push(name).unwrap();
            assert!(it.wants(&dir.join(b"x.txt").unwrap()), "{pattern:?}");
            assert!(it.may_hold(&dir) && !it.wants(&dir.join(b"x").unwrap()));
            assert!(!it.wants(&path("/a%fe%20b%2541/x.txt")) && !it.wants(&path("/odd1/x.txt")));
        }
        let bytes = format!("{}/sub", literal(b"a\xff"));
        let tree = filter(&[&bytes], &[]);
        assert!(tree.wants(&path("/a%ff/sub/x")));
        assert_eq!(tree.label(), "a\u{fffd}/sub");
    }

    #[test]
    fn directories_that_cannot_match_are_not_listed() {
        let some = filter(&["a/b*/*.txt", "x/"], &["x/skip/"]);
        for (dir, may) in [
            ("/", true),
            ("/a/", true),
            ("/a/bc/", true),
            ("/a/c/", false),
            ("/a/bc/d/", false),
            ("/x/y/z/", true),
            ("/x/skip/", false),
            ("/x/skip/deep/", false),
            ("/q/", false),
        ] {
            assert_eq!(some.may_hold(&path(dir)), may, "{dir}");
        }
        assert!(some.wants_dir(&path("/x/empty/")) && !some.wants_dir(&path("/a/bc/")));
        assert!(filter(&["**/*.iso"], &[]).may_hold(&path("/any/depth/")));
    }

    #[test]
    fn what_nothing_matched_is_known() {
        let mut known = filter(&["*.iso", "a.iso", "d/", "e/*", "f"], &["*.iso"]);
        let unmatched = |of: &Filter| of.unmatched().map(str::to_owned).collect::<Vec<_>>();
        let mut seen = known.clone();
        assert!(!seen.takes(&path("/a.iso")), "it is left out");
        seen.enter(&path("/d/"));
        seen.enter(&path("/e/"));
        assert_eq!(unmatched(&known).len(), 5);
        known.learn(&seen);
        assert_eq!(unmatched(&known), ["e/*", "f"]);
        assert!(known.takes(&path("/f/x/y")) && !known.takes(&path("/g")));
        known.learn(&seen);
        assert_eq!(unmatched(&known), ["e/*"]);
        // One that others matched already is wanted as before, and what matches nothing is not.
        for name in ["/e/z", "/f", "/e/f/z", "/b.iso"] {
            assert_eq!(
                known.clone().takes(&path(name)),
                known.wants(&path(name)),
                "{name}"
            );
        }
        let mut all = filter(&[], &["x"]);
        assert!(all.takes(&path("/a")) && !all.takes(&path("/x")) && unmatched(&all).is_empty());
    }

    #[test]
    fn a_malformed_pattern_is_told() {
        assert!(Filter::new(&["[".into()], &[]).is_err());
        assert!(Filter::new(&[String::new()], &[]).is_err());
    }
}
