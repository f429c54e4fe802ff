//! What holds a landing: nothing gets a final name, or is told complete, without a [`Proof`].
//!
//! A proof stands on two facts that come from different places, and looks both up when the file lands:
//!
//! | file | what is here | what was told |
//! |---|---|---|
//! | with values | the value of every piece, computed from the bytes that were written | the root that those values must merge to |
//! | without | every piece looked up by itself | the ranges that writes reported, without a gap; the digest of the whole, or of each of a Metalink's pieces, read back from the disk, where one is known |
//! | in one answer | the very bytes that are about to be written | their number, and their digest where one is known |
//!
//! No counter and no flag that was set earlier is believed: whoever says that a file is complete only asks for a proof.

use std::{fs::File, ops::Range};

use blake3::Hash;
use rangemap::RangeSet;

use super::{
    Verified,
    disk::landed::{Holds, Landed},
};
use crate::{
    digest::Digest,
    piece_digests::PieceDigests,
    pieces::{self, Value},
    sums::METALINK,
};

/// That a file's bytes are the server's, and how that is known. Only this module makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Proof(Verified);

/// Why a file that was taken for complete is not: a fault of the program, not of the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Gap {
    /// Pieces that are missing, or that are not what the server told.
    #[error("{} pieces are missing or wrong, the first is {}", .0.len(), .0.first().unwrap_or(&0))]
    Pieces(Vec<u32>),
    /// The pieces are what the server told one by one, but not as a whole.
    #[error("its pieces do not merge to its digest")]
    Root,
    /// A range that nobody wrote.
    #[error("bytes {}-{} were never written", .0.start, .0.end - 1)]
    Bytes(Range<u64>),
}

impl Gap {
    /// The pieces that have to be fetched again.
    pub fn pieces(&self) -> Vec<u32> {
        match self {
            Self::Pieces(pieces) => pieces.clone(),
            Self::Root => Vec::new(),
            Self::Bytes(range) => pieces::reached(range).collect(),
        }
    }
}

impl Proof {
    /// A file of several pieces: their values as they are here must merge to `root`. `told` only names the culprits
    /// where they do not. 64 bytes are hashed for each piece.
    pub fn of_values(here: &[Option<Value>], told: &[Value], root: Hash) -> Result<Self, Gap> {
        let whole: Option<Vec<Value>> = here.iter().copied().collect();
        if let Some(values) = whole
            && values.len() > 1
            && pieces::root(&values) == root
        {
            return Ok(Self(Verified::Blake3));
        }
        let wrong = |at: &usize| here[*at].is_none() || here[*at].as_ref() != told.get(*at);
        let wrong: Vec<u32> = (0..here.len()).filter(wrong).map(|at| at as u32).collect();
        Err(if wrong.is_empty() {
            Gap::Root
        } else {
            Gap::Pieces(wrong)
        })
    }

    /// A file of `size` bytes whose pieces have no values: each must be done, and every byte written.
    pub fn of_ranges(
        size: u64,
        is_done: impl Fn(u32) -> bool,
        written: &RangeSet<u64>,
    ) -> Result<Self, Gap> {
        let missing: Vec<u32> = (0..pieces::count(size))
            .filter(|piece| !is_done(*piece))
            .collect();
        if !missing.is_empty() {
            return Err(Gap::Pieces(missing));
        }
        match written.gaps(&(0..size)).next() {
            Some(gap) => Err(Gap::Bytes(gap)),
            None => Ok(Self(Verified::Unverified)),
        }
    }

    /// A whole file in memory: its `size` as the answer told it, where it did, and every digest that is known of it.
    /// `None` where one does not match.
    pub fn of_content<'a>(
        content: &[u8],
        size: Option<u64>,
        digests: impl IntoIterator<Item = &'a Digest>,
    ) -> Option<Self> {
        if size.is_some_and(|size| size != content.len() as u64) {
            return None;
        }
        let mut proof = Self(Verified::Unverified);
        for digest in digests {
            proof = digest.matches(content).then(|| proof.and(digest))?;
        }
        Some(proof)
    }

    /// Holds the file, read back from the disk, against the digest of its whole. Blocking. `None` where it differs.
    pub fn with_digest(self, file: &File, digest: &Digest) -> std::io::Result<Option<Self>> {
        let matches = digest.matches_file(file)?;
        Ok(matches.then(|| self.and(digest)))
    }

    /// Holds the file, read back from the disk, against the digests of its pieces, as a Metalink tells them. Blocking. `None`
    /// where one differs, or another size is told.
    pub fn with_pieces(self, file: &File, told: &PieceDigests) -> std::io::Result<Option<Self>> {
        let fits = file.metadata()?.len() == told.size();
        Ok((fits && told.wrong(file)?.is_empty()).then(|| self.and_listed(METALINK)))
    }

    /// The same for a whole file in memory.
    pub fn of_pieces(self, content: &[u8], told: &PieceDigests) -> Option<Self> {
        let matches = told.match_content(content);
        matches.then(|| self.and_listed(METALINK))
    }

    /// The same for the digest that a published list tells, which is called by that list's `word`.
    pub fn with_listed(
        self,
        file: &File,
        digest: &Digest,
        word: &'static str,
    ) -> std::io::Result<Option<Self>> {
        let matches = digest.matches_file(file)?;
        Ok(matches.then(|| self.and_listed(word)))
    }

    /// The same for a whole file in memory.
    pub fn of_listed(self, content: &[u8], digest: &Digest, word: &'static str) -> Option<Self> {
        digest.matches(content).then(|| self.and_listed(word))
    }

    /// A file that was here before: `how` the conflict rule found that it will do.
    pub fn of_local(how: Verified) -> Self {
        Self(how)
    }

    /// What it still proves of the file that has the name now.
    pub fn of_landed(self, landed: &Landed) -> Self {
        match landed.holds {
            Holds::New => self,
            Holds::Equal => Self(self.0.min(Verified::Present)),
            Holds::Other => Self(Verified::Unread),
        }
    }

    /// How it is known.
    pub fn verified(self) -> Verified {
        self.0
    }

    fn and_listed(self, word: &'static str) -> Self {
        Self(self.0.min(Verified::Listed(word)))
    }

    fn and(self, digest: &Digest) -> Self {
        let how = match digest {
            Digest::Blake3(_) => Verified::Blake3,
            _ => Verified::Digest,
        };
        // The strongest of those that all hold.
        Self(self.0.min(how))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pieces::{PIECE, PieceHasher};

    fn values(count: u32) -> Vec<Value> {
        let value = |index| {
            let mut hasher = PieceHasher::new(index);
            hasher.update(&vec![index as u8; PIECE as usize]);
            hasher.value()
        };
        (0..count).map(value).collect()
    }

    #[test]
    fn values_that_merge_to_the_root_prove_a_file_and_nothing_else_does() {
        let told = values(5);
        let root = pieces::root(&told);
        let here: Vec<_> = told.iter().copied().map(Some).collect();
        let proof = Proof::of_values(&here, &told, root).unwrap();
        assert_eq!(proof.verified(), Verified::Blake3);
        let mut missing = here.clone();
        missing[3] = None;
        let gap = Proof::of_values(&missing, &told, root).unwrap_err();
        assert_eq!(gap, Gap::Pieces(vec![3]));
        let mut wrong = here.clone();
        wrong[0] = Some(told[1]);
        let gap = Proof::of_values(&wrong, &told, root).unwrap_err();
        assert_eq!(gap.pieces(), [0]);
        // Who lies about both the values and the bytes is found out by the root.
        let mut lies = told.clone();
        lies[0] = told[1];
        assert_eq!(Proof::of_values(&wrong, &lies, root), Err(Gap::Root));
        assert!(Proof::of_values(&[], &[], root).is_err());
        // A single piece has no value of its own: nothing is merged from one.
        let one = Proof::of_values(&here[..1], &told[..1], root);
        assert_eq!(one, Err(Gap::Root));
    }

    #[test]
    fn without_values_every_piece_and_every_byte_is_looked_up() {
        let size = 2 * PIECE + 5;
        let mut written = RangeSet::new();
        assert_eq!(
            Proof::of_ranges(size, |_| true, &written),
            Err(Gap::Bytes(0..size))
        );
        written.insert(0..PIECE + 9);
        written.insert(2 * PIECE..size);
        let gap = Proof::of_ranges(size, |_| true, &written).unwrap_err();
        assert_eq!(gap.pieces(), [1]);
        written.insert(PIECE..2 * PIECE);
        assert_eq!(
            Proof::of_ranges(size, |piece| piece != 2, &written),
            Err(Gap::Pieces(vec![2]))
        );
        let proof = Proof::of_ranges(size, |_| true, &written).unwrap();
        assert_eq!(proof.verified(), Verified::Unverified);
        assert!(Proof::of_ranges(0, |_| false, &RangeSet::new()).is_ok());
    }

    #[test]
    fn what_another_file_holds_is_not_proved_by_the_one_that_was_dropped() {
        let digest = Digest::Blake3(blake3::hash(b"abc"));
        let proof = Proof::of_content(b"abc", None, [&digest]).unwrap();
        for (holds, verified) in [
            (Holds::New, Verified::Blake3),
            (Holds::Equal, Verified::Blake3),
            (Holds::Other, Verified::Unread),
        ] {
            let name = Vec::new();
            let landed = Landed { name, holds };
            assert_eq!(proof.of_landed(&landed).verified(), verified);
        }
    }

    #[test]
    fn the_digests_of_all_pieces_prove_a_file_and_no_stronger_word_is_lost() {
        use std::os::unix::fs::FileExt as _;
        let content = b"0123456789";
        let digest = |piece: &[u8]| {
            Digest::Sha256(
                sha2::Digest::finalize(sha2::Digest::chain_update(
                    <sha2::Sha256 as sha2::Digest>::new(),
                    piece,
                ))
                .into(),
            )
        };
        let told = content.chunks(4).map(digest).collect();
        let told = PieceDigests::new(10, 4, told).unwrap();
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(content, 0).unwrap();
        let held = |proof: Proof| {
            proof
                .with_pieces(&file, &told)
                .unwrap()
                .map(Proof::verified)
        };
        let unverified = Proof(Verified::Unverified);
        assert_eq!(held(unverified), Some(Verified::Listed("Metalink")));
        assert_eq!(held(Proof(Verified::Blake3)), Some(Verified::Blake3));
        assert!(unverified.of_pieces(content, &told).is_some());
        assert!(unverified.of_pieces(b"0123456780", &told).is_none());
        file.write_all_at(b"x", 9).unwrap();
        assert_eq!(held(unverified), None);
        file.write_all_at(b"9more", 9).unwrap();
        assert_eq!(held(unverified), None);
    }

    #[test]
    fn a_digest_of_the_whole_proves_a_file_as_it_is_read_back() {
        use std::os::unix::fs::FileExt as _;
        let digest = Digest::Blake3(blake3::hash(b"abc"));
        let file = tempfile::tempfile().unwrap();
        let held = || {
            let unverified = Proof(Verified::Unverified);
            let whole = unverified.with_digest(&file, &digest).unwrap();
            let listed = unverified
                .with_listed(&file, &digest, "SHA256SUMS")
                .unwrap();
            (whole.map(Proof::verified), listed.map(Proof::verified))
        };
        file.write_all_at(b"abd", 0).unwrap();
        assert_eq!(held(), (None, None));
        file.write_all_at(b"abc", 0).unwrap();
        let listed = Verified::Listed("SHA256SUMS");
        assert_eq!(held(), (Some(Verified::Blake3), Some(listed)));
        let in_memory = |content: &[u8]| {
            let proof = Proof(Verified::Unverified).of_listed(content, &digest, "SHA256SUMS");
            proof.map(Proof::verified)
        };
        assert_eq!(in_memory(b"abc"), Some(listed));
        assert_eq!(in_memory(b"abd"), None);
    }

    #[test]
    fn content_is_held_against_its_size_and_every_digest() {
        let right = Digest::Blake3(blake3::hash(b"abc"));
        let wrong = Digest::Blake3(blake3::hash(b"abd"));
        let how = |size, digests: &[&Digest]| {
            let proof = Proof::of_content(b"abc", size, digests.iter().copied());
            proof.map(Proof::verified)
        };
        assert_eq!(how(Some(3), &[]), Some(Verified::Unverified));
        assert_eq!(how(None, &[&right]), Some(Verified::Blake3));
        assert_eq!(how(Some(3), &[&right, &wrong]), None);
        assert_eq!(how(Some(4), &[&right]), None);
    }
}
