//! Moving file bytes to a socket: without copying them where the system can, and without waiting for a disk.
//!
//! All functions here are made for sockets in non-blocking mode, inside `TcpStream::async_io`.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use rustix::{
    io::{Errno, pread},
    net::{SendFlags, send},
};

/// What the portable twin copies at once, in bytes; it stands on the stack.
const COPY: usize = 16 * 1024;

/// Sends up to `count` bytes of `file` from `offset`; returns how many went, 0 at the file's end.
///
/// Linux moves them inside the kernel (`sendfile`); elsewhere, and for files that cannot be spliced, they are copied.
pub fn send_file(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    count: usize,
) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    match rustix::fs::sendfile(socket, file, Some(&mut { offset }), count) {
        Err(Errno::INVAL | Errno::NOSYS) => {}
        result => return Ok(result?),
    }
    Ok(copy(socket, file, offset, count)?)
}

/// The portable twin of `sendfile`. What does not fit into the socket is read again at the next call.
fn copy(
    socket: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    count: usize,
) -> Result<usize, Errno> {
    let mut buffer = [0; COPY];
    let mut sent = 0;
    while sent < count {
        let wanted = COPY.min(count - sent);
        let read = pread(file, &mut buffer[..wanted], offset + sent as u64)?;
        if read == 0 {
            break;
        }
        match send(socket, &buffer[..read], FLAGS) {
            Ok(written) => {
                sent += written;
                if written < read {
                    break;
                }
            }
            Err(Errno::AGAIN) if sent > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}

/// A closed connection is an error, never a signal.
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
const FLAGS: SendFlags = SendFlags::NOSIGNAL;
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
const FLAGS: SendFlags = SendFlags::empty();

/// Sends bytes that more will follow at once, so that a head leaves in one packet with the start of its body.
pub fn send_more(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    let flags = FLAGS | SendFlags::MORE;
    #[cfg(not(target_os = "linux"))]
    let flags = FLAGS;
    Ok(send(socket, bytes, flags)?)
}

/// Reads what is in memory already, and returns `None` where a disk would have to be waited for (or where the
/// system cannot tell).
pub fn read_cached(
    file: BorrowedFd<'_>,
    buffer: &mut [u8],
    offset: u64,
) -> io::Result<Option<usize>> {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::{ReadWriteFlags, preadv2};
        let slices = &mut [io::IoSliceMut::new(buffer)];
        match preadv2(file, slices, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => return Ok(Some(read)),
            // tmpfs does not know the flag, and is memory altogether.
            Err(Errno::OPNOTSUPP) if is_memory(file) => {
                return Ok(Some(pread(file, buffer, offset)?));
            }
            Err(Errno::AGAIN | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let _ = (file, buffer, offset);
    Ok(None)
}

/// Whether the file lives in a file system without a disk; `false` where the system cannot tell.
pub fn is_memory(file: BorrowedFd<'_>) -> bool {
    #[cfg(target_os = "linux")]
    {
        const TMPFS: u32 = 0x0102_1994;
        const RAMFS: u32 = 0x8584_58f6;
        rustix::fs::fstatfs(file).is_ok_and(|fs| matches!(fs.f_type as u32, TMPFS | RAMFS))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = file;
        false
    }
}

/// Whether `count` bytes from `offset` seem to be in memory: their first and their last byte are.
pub fn is_cached(file: BorrowedFd<'_>, offset: u64, count: u64) -> bool {
    let probe = |at| matches!(read_cached(file, &mut [0], at), Ok(Some(_)));
    probe(offset) && (count < 2 || probe(offset + count - 1))
}

/// Brings `count` bytes from `offset` into memory and waits until they are there; blocks on the disk.
pub fn read_ahead(file: BorrowedFd<'_>, offset: u64, count: u64) -> io::Result<()> {
    /// Kernels read ahead in windows of about this size, so one byte of each waits for all of it.
    const WINDOW: u64 = 64 * 1024;
    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    {
        // Advice only: where it is not taken, the reads below do the work.
        let _ = rustix::fs::fadvise(
            file,
            offset,
            std::num::NonZeroU64::new(count),
            rustix::fs::Advice::WillNeed,
        );
    }
    let mut at = offset;
    while at < offset + count {
        pread(file.as_fd(), &mut [0], at)?;
        at += WINDOW;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{Read as _, Seek as _, Write as _},
        os::unix::net::UnixStream,
    };

    type Sender = fn(BorrowedFd<'_>, BorrowedFd<'_>, u64, usize) -> io::Result<usize>;

    #[test]
    fn both_senders_send_the_same_until_the_end_of_the_file() {
        let twins: [Sender; 2] = [send_file, |socket, file, offset, count| {
            Ok(copy(socket, file, offset, count)?)
        }];
        for send in twins {
            let mut file = tempfile::tempfile().unwrap();
            let content: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
            file.write_all(&content).unwrap();
            file.rewind().unwrap();
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            ours.set_nonblocking(true).unwrap();
            let reader = std::thread::spawn(move || {
                let mut got = Vec::new();
                theirs.read_to_end(&mut got).unwrap();
                got
            });
            let mut offset = 5;
            loop {
                match send(ours.as_fd(), file.as_fd(), offset, 1 << 20) {
                    Ok(0) => break,
                    Ok(sent) => offset += sent as u64,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        std::thread::yield_now();
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(offset, content.len() as u64);
            drop(ours);
            assert!(reader.join().unwrap() == content[5..]);
        }
    }

    #[test]
    fn what_was_just_written_is_read_or_known_to_be_unknown() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"hello").unwrap();
        let mut buffer = [0; 10];
        if let Some(read) = read_cached(file.as_fd(), &mut buffer, 1).unwrap() {
            assert_eq!(&buffer[..read], b"ello");
        }
        read_ahead(file.as_fd(), 0, 5).unwrap();
    }
}
