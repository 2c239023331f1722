//! Bytes both ways after an upgrade, until both sides have finished, one breaks off, or nothing has moved for too long.
//! A side that reads slowly slows the other: nothing is read before what was read is written.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::Instant;

/// What is read at once. Thousands of connections that mostly wait should not hold much.
const BUFFER: usize = 8 << 10;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both sides have finished.
    Finished,
    /// Nothing moved for too long.
    Idle,
    /// The client broke off.
    ClientBroke,
    /// The endpoint broke off.
    UpstreamBroke,
}

/// What has passed so far.
#[derive(Debug, Default)]
pub struct Passed {
    /// Bytes from the client.
    pub up: Cell<u64>,
    /// Bytes to the client.
    pub down: Cell<u64>,
}

/// Copies until the end. `early` are bytes of the client that came with its request.
pub async fn run<C, U>(client: C, early: &[u8], upstream: U, idle: Duration, passed: &Passed) -> End
where
    C: AsyncRead + AsyncWrite,
    U: AsyncRead + AsyncWrite,
{
    let (client_in, client_out) = split(client);
    let (upstream_in, upstream_out) = split(upstream);
    let moved = Cell::new(Instant::now());
    let up = Pump { count: &passed.up, moved: &moved, read: End::ClientBroke, write: End::UpstreamBroke };
    let down = Pump { count: &passed.down, moved: &moved, read: End::UpstreamBroke, write: End::ClientBroke };
    let both = async { tokio::try_join!(up.copy(early, client_in, upstream_out), down.copy(&[], upstream_in, client_out)) };
    tokio::select! {
        done = both => done.map_or_else(|end| end, |_| End::Finished),
        () = idle_for(idle, &moved) => End::Idle,
    }
}

/// One direction.
struct Pump<'a> {
    count: &'a Cell<u64>,
    moved: &'a Cell<Instant>,
    /// What it means when reading fails.
    read: End,
    /// What it means when writing fails.
    write: End,
}

impl Pump<'_> {
    /// Copies to the end of the input, and passes that on: the other direction may go on.
    async fn copy(&self, early: &[u8], mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> Result<(), End> {
        self.write(early, &mut to).await.map_err(|_| self.write)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let read = from.read(&mut buffer).await.map_err(|_| self.read)?;
            if read == 0 {
                return to.shutdown().await.map_err(|_| self.write);
            }
            self.write(&buffer[..read], &mut to).await.map_err(|_| self.write)?;
        }
    }

    async fn write(&self, bytes: &[u8], to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.moved.set(Instant::now());
        to.write_all(bytes).await?;
        to.flush().await?;
        self.count.set(self.count.get() + bytes.len() as u64);
        self.moved.set(Instant::now());
        Ok(())
    }
}

async fn idle_for(limit: Duration, moved: &Cell<Instant>) {
    loop {
        let due = moved.get() + limit;
        if due <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(due).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    const IDLE: Duration = Duration::from_secs(600);

    /// The two far ends, and the tunnel's end once it is over.
    fn tunnel(buffer: usize) -> (DuplexStream, DuplexStream, impl Future<Output = (End, u64, u64)>) {
        let (client, client_end) = duplex(buffer);
        let (upstream, upstream_end) = duplex(buffer);
        let run = async move {
            let passed = Passed::default();
            let end = run(client_end, b"early ", upstream_end, IDLE, &passed).await;
            (end, passed.up.get(), passed.down.get())
        };
        (client, upstream, run)
    }

    #[tokio::test]
    async fn one_side_may_finish_before_the_other() {
        let (mut client, mut upstream, run) = tunnel(1024);
        let talk = async {
            client.write_all(b"question").await.unwrap();
            client.shutdown().await.unwrap();
            let mut asked = String::new();
            upstream.read_to_string(&mut asked).await.unwrap();
            assert_eq!(asked, "early question", "what came with the request goes first");
            upstream.write_all(b"answer").await.unwrap();
            drop(upstream);
            let mut answered = String::new();
            client.read_to_string(&mut answered).await.unwrap();
            assert_eq!(answered, "answer", "after the client has finished");
        };
        let (end, ()) = tokio::join!(run, talk);
        assert_eq!(end, (End::Finished, 14, 6));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it_and_a_byte_either_way_keeps_it() {
        let (mut client, mut upstream, run) = tunnel(1024);
        let began = Instant::now();
        let talk = async {
            for _ in 0..3 {
                tokio::time::sleep(IDLE / 2).await;
                upstream.write_all(b"!").await.unwrap();
                client.read_u8().await.unwrap();
            }
        };
        let (end, ()) = tokio::join!(run, talk);
        assert_eq!(end.0, End::Idle);
        assert_eq!(began.elapsed().as_secs(), (IDLE * 5 / 2).as_secs(), "counted from the last byte");
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_that_does_not_read_stops_the_other() {
        let (mut client, upstream, run) = tunnel(64);
        let mut sent = 0;
        let flood = async {
            while tokio::time::timeout(Duration::from_secs(1), client.write_all(&[0; 64])).await.is_ok() {
                sent += 64;
            }
        };
        tokio::select! {
            _ = run => panic!("nothing has ended"),
            () = flood => {}
        }
        drop(upstream);
        assert!(sent <= BUFFER + 256, "{sent} bytes were taken for a side that reads none");
    }
}
