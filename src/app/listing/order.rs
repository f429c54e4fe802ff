//! The order of a listing, worked out apart from it: sorted once per key, filtered as often as one types.

use std::{cmp::Ordering, sync::Arc};

use crate::entry::Entry;

/// What a listing is sorted by. Directories come first in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortKey {
    /// Natural order: `part2` before `part10`, upper and lower case alike.
    #[default]
    Name,
    /// Bytes; what has no size counts as smallest.
    Size,
    /// Time since the last change; ascending means youngest first.
    Age,
}

impl SortKey {
    /// The word in the pane's title and in `:sort`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Size => "size",
            Self::Age => "age",
        }
    }

    pub(super) const fn next(self) -> Self {
        match self {
            Self::Name => Self::Size,
            Self::Size => Self::Age,
            Self::Age => Self::Name,
        }
    }
}

/// How entries are chosen and ordered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arrangement {
    /// The order's key.
    pub key: SortKey,
    /// Largest, oldest or last name first.
    pub descending: bool,
    /// Only names that hold this text; upper and lower case alike unless it has an upper-case letter.
    pub filter: String,
    /// Names that begin with a dot too.
    pub hidden: bool,
}

impl Arrangement {
    /// What the order of all entries depends on.
    pub(super) fn sort(&self) -> (SortKey, bool) {
        (self.key, self.descending)
    }
}

/// An arrangement to be worked out off the loop.
#[derive(Debug, Clone)]
pub struct Job {
    pub(super) generation: u64,
    pub(super) filled: u64,
    pub(super) entries: Arc<Vec<Entry>>,
    pub(super) arrangement: Arrangement,
    /// All entries in their order, where that is known already: then they are only filtered.
    pub(super) sorted: Option<Arc<Vec<u32>>>,
    /// The name to look for in the result.
    pub(super) wanted: Option<Vec<u8>>,
    /// What was listed before: a million names take longer to free than a frame may.
    pub(super) garbage: Option<Arc<Vec<Entry>>>,
}

/// What came of a [`Job`].
#[derive(Debug)]
pub struct Arranged {
    pub(super) generation: u64,
    pub(super) filled: u64,
    pub(super) sort: (SortKey, bool),
    pub(super) sorted: Arc<Vec<u32>>,
    pub(super) order: Vec<u32>,
    pub(super) place: Option<usize>,
}

impl Job {
    /// Sorts where that is not done yet, and filters. May take seconds for a million entries.
    pub fn run(self) -> Arranged {
        drop(self.garbage);
        let (entries, how) = (&self.entries, &self.arrangement);
        let sorted = self
            .sorted
            .unwrap_or_else(|| Arc::new(sorted(entries, how)));
        let order = chosen(entries, how, &sorted);
        let place = self
            .wanted
            .and_then(|name| order.iter().position(|&i| entries[i as usize].name == name));
        Arranged {
            generation: self.generation,
            filled: self.filled,
            sort: how.sort(),
            sorted,
            order,
            place,
        }
    }
}

/// The indices of all entries, in order.
fn sorted(entries: &[Entry], how: &Arrangement) -> Vec<u32> {
    let mut order: Vec<u32> = (0..u32::try_from(entries.len()).unwrap_or(u32::MAX)).collect();
    order.sort_unstable_by(|&a, &b| {
        let (a, b) = (&entries[a as usize], &entries[b as usize]);
        b.is_dir.cmp(&a.is_dir).then_with(|| {
            let by_key = match how.key {
                SortKey::Name => Ordering::Equal,
                SortKey::Size => a.size.cmp(&b.size),
                // Age grows as the time of change falls; what has none is oldest.
                SortKey::Age => b.modified.cmp(&a.modified),
            };
            let order = by_key.then_with(|| natural(&a.name, &b.name));
            if how.descending {
                order.reverse()
            } else {
                order
            }
        })
    });
    order
}

/// Those of them that are shown.
fn chosen(entries: &[Entry], how: &Arrangement, sorted: &[u32]) -> Vec<u32> {
    let exact = how.filter.chars().any(char::is_uppercase);
    let chosen = |i: &u32| {
        let name = &entries[*i as usize].name;
        (how.hidden || !name.starts_with(b".")) && holds(name, &how.filter, exact)
    };
    sorted.iter().copied().filter(chosen).collect()
}

/// Whether `name` holds `text`; `exact` tells upper from lower case.
pub fn holds(name: &[u8], text: &str, exact: bool) -> bool {
    let text = text.as_bytes();
    if text.is_empty() {
        return true;
    }
    name.windows(text.len()).any(|part| {
        if exact {
            part == text
        } else {
            part.eq_ignore_ascii_case(text)
        }
    })
}

/// Natural order: runs of digits by their value, letters without regard to case, ties by bytes.
fn natural(a: &[u8], b: &[u8]) -> Ordering {
    let (mut x, mut y) = (a, b);
    while let ([p, ..], [q, ..]) = (x, y) {
        if p.is_ascii_digit() && q.is_ascii_digit() {
            let (left, right);
            ((left, x), (right, y)) = (number(x), number(y));
            let order = left.len().cmp(&right.len()).then_with(|| left.cmp(right));
            if order.is_ne() {
                return order;
            }
        } else {
            let order = p.to_ascii_lowercase().cmp(&q.to_ascii_lowercase());
            if order.is_ne() {
                return order;
            }
            (x, y) = (&x[1..], &y[1..]);
        }
    }
    x.len().cmp(&y.len()).then_with(|| a.cmp(b))
}

/// The digits that a text begins with, without leading zeros, and what follows them.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|b| !b.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    let zeros = digits.iter().take_while(|b| **b == b'0').count();
    (&digits[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_by_their_value() {
        let mut names = ["b2", "B10", "a", "b02", "b1", "10", "9", "b"];
        names.sort_by(|a, b| natural(a.as_bytes(), b.as_bytes()));
        assert_eq!(names, ["9", "10", "a", "b", "b1", "b02", "b2", "B10"]);
    }
}
