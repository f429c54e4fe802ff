//! What an answer needs of the connection while it waits: to notice that its client left, and to say that it waits.

use std::{future::poll_fn, io, pin::pin, task::Poll, time::Duration};

use tokio::time::{sleep, timeout};

use crate::server::{
    connection::{stream::Stream, table::Opened},
    work::{Busy, Late, Mount, Place, Turn},
};

/// How long whoever serves a file system may take to answer.
const ANSWERS: Duration = Duration::from_secs(10);

/// The connection of whoever an answer is made for; none in tests of the answers alone.
#[derive(Clone, Copy, Default)]
pub struct Link<'c>(Option<(&'c Stream, &'c Opened)>);

/// Why an answer is not made.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The file system says no.
    #[error("{}", crate::exit::reason(.0))]
    Io(#[from] io::Error),
    /// The client left.
    #[error("the client went away")]
    Gone,
    /// Too much is to be done for others first.
    #[error("no turn came in time")]
    Late,
    /// Too much is to be done already.
    #[error("too much of this is waiting to be done")]
    Busy(Busy),
    /// The file system does not answer.
    #[error("the file system does not answer")]
    Hangs,
    /// What was promised cannot be kept: the answer must not look whole.
    #[error("{0}")]
    Incomplete(&'static str),
}

impl From<Late> for Stop {
    fn from(Late: Late) -> Self {
        Self::Late
    }
}

impl From<Busy> for Stop {
    fn from(busy: Busy) -> Self {
        Self::Busy(busy)
    }
}

impl<'c> Link<'c> {
    /// Of this connection.
    pub fn new(stream: &'c Stream, opened: &'c Opened) -> Self {
        Self(Some((stream, opened)))
    }

    /// Does what may take long, unless the client leaves.
    pub async fn unless_gone<T>(self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let Some((stream, _)) = self.0 else {
            return Ok(work.await);
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = stream.gone() => Err(Stop::Gone),
        }
    }

    /// Does what is done in a moment, also for a client that has closed its sending side: it may still read. One that left
    /// is noticed by what is sent.
    async fn soon<T>(self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let Some((stream, _)) = self.0 else {
            return Ok(work.await);
        };
        let gone = async {
            stream.gone().await;
            sleep(ANSWERS).await;
        };
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = gone => Err(Stop::Gone),
        }
    }

    /// Waits for others; meanwhile the connection may be closed to make room.
    pub async fn waits<T>(self, work: impl Future<Output = T>) -> Result<T, Stop> {
        if let Some((_, opened)) = self.0 {
            opened.awaits_turn();
        }
        let done = self.unless_gone(work).await;
        if let Some((_, opened)) = self.0 {
            opened.handle().busy();
        }
        done
    }

    /// The same for what mostly has not to wait.
    pub async fn may_wait<T>(self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let mut work = pin!(work);
        let at_once = poll_fn(|context| {
            Poll::Ready(match work.as_mut().poll(context) {
                Poll::Ready(done) => Some(done),
                Poll::Pending => None,
            })
        });
        match at_once.await {
            Some(done) => Ok(done),
            None => self.waits(work).await,
        }
    }

    /// Waits for what a thread asks of a file system: no longer than some seconds, and no longer than the client does, where
    /// `mount` may hang. The thread hangs on, with its turn.
    pub async fn asked<T>(
        self,
        mount: Mount,
        work: impl Future<Output = io::Result<T>>,
    ) -> Result<T, Stop> {
        if mount.is_none() {
            // A tree may lead onto a mount all the same.
            return Ok(self.soon(work).await??);
        }
        let answered = self.waits(timeout(ANSWERS, work)).await?;
        Ok(answered.map_err(|_| Stop::Hangs)??)
    }

    /// Waits for a turn. Meanwhile the connection may be closed to make room for others.
    pub async fn turn(self, place: &Place) -> Result<Turn, Stop> {
        Ok(self.waits(place.turn()).await??)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{
        io::AsyncWriteExt as _,
        net::{TcpListener, TcpStream},
    };

    use super::*;
    use crate::server::connection::table::Open;

    #[tokio::test]
    async fn who_closes_its_sending_side_gets_what_is_made_in_a_moment() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let stream = Stream::Plain(listener.accept().await.unwrap().0);
        client.shutdown().await.unwrap();
        stream.gone().await;
        let opened = Arc::new(Open::default()).enter(address.ip());
        let link = Link::new(&stream, &opened);
        let work = async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            Ok(5)
        };
        assert_eq!(link.asked(None, work).await.unwrap(), 5);
        let long = link.unless_gone(std::future::pending::<()>()).await;
        assert!(matches!(long, Err(Stop::Gone)));
    }
}
