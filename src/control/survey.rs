//! Walks of trees on the server, for sums and for searches: two directories at a time, bounded, ended by dropping it.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream::FuturesUnordered};

use crate::{
    app::survey::{Chunk, Extent, News, Sum, Survey},
    entry::Entry,
    http1::path::RemotePath,
};

/// Directories that one walk lists.
const DIRS_MAX: u64 = 20_000;
/// Entries that it takes.
const ENTRIES_MAX: u64 = 500_000;
/// Levels below a root: links can lead in circles.
const DEPTH_MAX: usize = 64;
/// Directories that are asked for at a time: transfers share the server.
const AT_ONCE: usize = 2;
/// Entries that are told at once.
const CHUNK: usize = 4096;

/// Walks; `list` lists a directory, `tell` is told what is found, and ends the walk by an error.
pub async fn walk<E, G, L, T>(
    survey: Survey,
    list: impl Fn(RemotePath) -> L,
    mut tell: impl FnMut(News) -> T,
) -> Result<(), G>
where
    L: Future<Output = Result<Vec<Entry>, E>>,
    T: Future<Output = Result<(), G>>,
{
    let mut extent = Extent::default();
    for root in survey.roots {
        let mut sum = Sum::default();
        let mut left = vec![(root.clone(), 0)];
        let mut flight = FuturesUnordered::new();
        loop {
            while flight.len() < AT_ONCE
                && let Some((dir, depth)) = left.pop()
            {
                let asked = extent.dirs + extent.failed + flight.len() as u64;
                if asked >= DIRS_MAX || extent.entries >= ENTRIES_MAX {
                    (extent.cut, sum.more) = (true, true);
                    left.clear();
                    break;
                }
                let listed = list(dir.clone());
                flight.push(async move { (listed.await, dir, depth) });
            }
            let Some((listed, dir, depth)) = flight.next().await else {
                break;
            };
            let Ok(mut entries) = listed else {
                extent.failed += 1;
                sum.more = true;
                continue;
            };
            extent.dirs += 1;
            let room = ENTRIES_MAX - extent.entries;
            if entries.len() as u64 > room {
                entries.truncate(room as usize);
                (extent.cut, sum.more) = (true, true);
            }
            extent.entries += entries.len() as u64;
            for entry in &entries {
                if !entry.is_dir {
                    sum.files += 1;
                    sum.bytes = sum.bytes.saturating_add(entry.size.unwrap_or(0));
                    sum.more |= entry.size.is_none();
                } else if let (Ok(below), true) = (dir.join(&entry.name), depth < DEPTH_MAX) {
                    left.push((below.into_dir(), depth + 1));
                } else {
                    (extent.cut, sum.more) = (true, true);
                }
            }
            if survey.names {
                for entries in chunks(entries) {
                    let dir = dir.clone();
                    tell(News::Found(Arc::new(Chunk { dir, entries }))).await?;
                }
            } else {
                tell(counted(&root, Sum { more: true, ..sum }, false)).await?;
            }
        }
        if !survey.names {
            tell(counted(&root, sum, true)).await?;
        }
    }
    tell(News::Ended(extent)).await
}

fn counted(root: &RemotePath, sum: Sum, ended: bool) -> News {
    let root = root.clone();
    News::Counted { root, sum, ended }
}

/// Entries in pieces that are matched in little time.
fn chunks(mut entries: Vec<Entry>) -> Vec<Vec<Entry>> {
    let mut chunks = Vec::new();
    while entries.len() > CHUNK {
        let rest = entries.split_off(CHUNK);
        chunks.push(std::mem::replace(&mut entries, rest));
    }
    chunks.push(entries);
    chunks
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, convert::Infallible, future::ready};

    use super::*;

    fn entry(name: &str, size: Option<u64>) -> Entry {
        Entry {
            name: name.into(),
            is_dir: size.is_none(),
            size,
            modified: None,
            blake3: None,
        }
    }

    fn path(text: &str) -> RemotePath {
        RemotePath::from_target(text.as_bytes()).unwrap()
    }

    async fn walked(
        roots: &[&str],
        names: bool,
        list: impl Fn(&str) -> Result<Vec<Entry>, ()>,
    ) -> Vec<News> {
        let roots = roots.iter().map(|root| path(root)).collect();
        let survey = Survey {
            id: 1,
            roots,
            names,
        };
        let mut told = Vec::new();
        let tell = |news| {
            told.push(news);
            ready(Ok::<(), Infallible>(()))
        };
        let list = |dir: RemotePath| ready(list(&dir.to_string_lossy()));
        walk(survey, list, tell).await.unwrap();
        told
    }

    fn sums(told: &[News]) -> HashMap<RemotePath, Sum> {
        let counted = told.iter().filter_map(|news| match news {
            News::Counted { root, sum, .. } => Some((root.clone(), *sum)),
            _ => None,
        });
        counted.collect()
    }

    fn extent(told: &[News]) -> Extent {
        match told.last() {
            Some(News::Ended(extent)) => *extent,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn sums_are_whole_only_where_all_was_listed() {
        let list = |dir: &str| match dir {
            "a/" => Ok(vec![entry("sub", None), entry("f", Some(3))]),
            "a/sub/" => Ok(vec![entry("g", Some(4))]),
            "b/" => Ok(vec![entry("closed", None), entry("h", Some(5))]),
            _ => Err(()),
        };
        let told = walked(&["/a/", "/b/"], false, list).await;
        let sums = sums(&told);
        let sum = |bytes, files, more| Sum { bytes, files, more };
        assert_eq!(sums[&path("/a/")], sum(7, 2, false));
        assert_eq!(sums[&path("/b/")], sum(5, 1, true));
        let first = told.iter().find_map(|news| match news {
            News::Counted { sum, .. } => Some(*sum),
            _ => None,
        });
        assert!(first.unwrap().more, "on the way it is a lower bound");
        let extent = extent(&told);
        assert_eq!((extent.dirs, extent.failed, extent.cut), (3, 1, false));
        assert!(extent.lacks().unwrap().contains("1 directories"));
    }

    #[tokio::test]
    async fn a_directory_that_holds_itself_is_cut_and_told() {
        let list = |_: &str| Ok(vec![entry("again", None), entry("f", Some(1))]);
        let told = walked(&["/loop/"], false, list).await;
        assert!(extent(&told).cut && sums(&told)[&path("/loop/")].more);
        assert_eq!(extent(&told).dirs, DEPTH_MAX as u64 + 1);
        let list = |_: &str| Ok(vec![entry("a", None), entry("b", None)]);
        let told = walked(&["/wide/"], true, list).await;
        assert!(extent(&told).cut);
        assert_eq!(extent(&told).dirs, DIRS_MAX);
    }

    #[tokio::test]
    async fn entries_are_bounded_and_told_in_pieces() {
        let list = |_: &str| {
            Ok((0..600_000)
                .map(|n| entry(&format!("{n}"), Some(1)))
                .collect())
        };
        let told = walked(&["/"], true, list).await;
        let found: Vec<_> = told
            .iter()
            .filter_map(|news| match news {
                News::Found(chunk) => Some(chunk.entries.len()),
                _ => None,
            })
            .collect();
        assert!(found.iter().all(|len| *len <= CHUNK));
        assert_eq!(found.iter().sum::<usize>() as u64, ENTRIES_MAX);
        assert!(extent(&told).cut);
    }
}
