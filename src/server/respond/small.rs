//! Small files, read whole into the buffer in which answers gather.

use std::os::fd::AsFd as _;

use super::link::{Link, Stop};
use crate::{
    server::tree::{
        catalog::blocking,
        found::{FoundFile, Since},
    },
    sys::send::read_cached,
};

/// Reads a file to the end of `out`, and what became of it meanwhile: changed, where it was not all there.
pub(super) async fn append(
    found: FoundFile,
    out: &mut Vec<u8>,
    link: Link<'_>,
) -> Result<(FoundFile, Since), Stop> {
    let (start, size) = (out.len(), found.stamp.size as usize);
    if found.mount.is_none() {
        out.resize(start + size, 0);
        let (file, bytes) = (found.file.as_fd(), &mut out[start..]);
        let read = if found.in_memory {
            Some(rustix::io::pread(file, bytes, 0).map_err(std::io::Error::from)?)
        } else {
            read_cached(file, bytes, 0)?
        };
        match read {
            Some(read) if read == size => {
                let since = found.since();
                return Ok((found, since));
            }
            _ => out.truncate(start),
        }
    }
    let turn = match &found.place {
        Some(place) => Some(link.turn(place).await?),
        None => None,
    };
    let mount = found.mount;
    let read = blocking(move || {
        let _turn = turn;
        let mut bytes = vec![0; size];
        let mut filled = 0;
        while filled < size {
            match rustix::io::pread(&found.file, &mut bytes[filled..], filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        let since = if filled == size {
            found.since()
        } else {
            Since::Changed
        };
        Ok((found, bytes, since))
    });
    let (found, bytes, since) = link.asked(mount, read).await?;
    out.extend_from_slice(&bytes);
    Ok((found, since))
}
