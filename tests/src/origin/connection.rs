//! One connection of an origin: reads requests, records them, plays their scripts.

use std::{io, sync::Arc, sync::atomic::Ordering, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Log, Recorded, Script,
    answer::{Answer, Reading, Step},
};
use crate::wire::{Framing, Inbox};

/// Whether a connection may take another request.
enum Next {
    Request,
    End,
}

pub(super) async fn serve(mut stream: TcpStream, number: usize, script: Script, log: Arc<Log>) {
    let mut inbox = Inbox::default();
    // An error is a gateway that left between two requests or inside a body; the record shows which.
    while let Ok(Next::Request) = exchange(&mut stream, &mut inbox, number, &script, &log).await {}
}

async fn exchange(stream: &mut TcpStream, inbox: &mut Inbox, number: usize, script: &Script, log: &Log) -> io::Result<Next> {
    let Some(head) = inbox.head(stream).await? else { return Ok(Next::End) };
    let request = Recorded::new(number, head);
    let (answer, framing) = (script(&request), request.framing());
    let index = log.begin(request);
    invite(stream, &answer).await?;
    if !matches!(answer.reading, Reading::Never) {
        read_body(stream, inbox, framing, log, index).await?;
    }
    play(stream, &answer, log).await
}

async fn invite(stream: &mut TcpStream, answer: &Answer) -> io::Result<()> {
    match answer.reading {
        Reading::Invited => stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await,
        Reading::After(pause) => {
            tokio::time::sleep(pause).await;
            Ok(())
        }
        Reading::First | Reading::Never => Ok(()),
    }
}

/// Reads a body piece by piece, so that the record grows while it arrives.
async fn read_body(stream: &mut TcpStream, inbox: &mut Inbox, framing: Framing, log: &Log, index: usize) -> io::Result<()> {
    match framing {
        Framing::Length(mut left) => {
            while left > 0 {
                let bytes = inbox.exactly(stream, left.min(16 * 1024)).await?;
                left -= bytes.len();
                log.add_body(index, &bytes, &bytes);
            }
        }
        Framing::Chunked => loop {
            let (raw, content) = inbox.chunk(stream).await?;
            log.add_body(index, &raw, &content);
            if content.is_empty() {
                break;
            }
        },
        Framing::None | Framing::UntilClose => {}
    }
    log.finish(index);
    Ok(())
}

async fn play(stream: &mut TcpStream, answer: &Answer, log: &Log) -> io::Result<Next> {
    for step in &answer.steps {
        let done = match step {
            Step::Send(bytes) => stream.write_all(bytes).await,
            Step::Wait(pause) => wait(stream, *pause).await,
            Step::Flood(length) => flood(stream, *length).await,
            Step::Stall => wait(stream, Duration::MAX).await,
            Step::Close => return Ok(Next::End),
            Step::Reset => {
                stream.set_zero_linger()?;
                return Ok(Next::End);
            }
        };
        if done.is_err() {
            log.deserted.fetch_add(1, Ordering::Relaxed);
            return Ok(Next::End);
        }
    }
    Ok(if matches!(answer.reading, Reading::Never) { Next::End } else { Next::Request })
}

/// Waits, unless the gateway leaves first. A gateway does not pipeline, so what arrives now is the end, or the body
/// of a request that is answered without reading it.
async fn wait(stream: &mut TcpStream, pause: Duration) -> io::Result<()> {
    let left = async {
        let mut bytes = [0; 4096];
        while matches!(stream.read(&mut bytes).await, Ok(1..)) {}
    };
    match tokio::time::timeout(pause, left).await {
        Err(_) => Ok(()),
        Ok(()) => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

async fn flood(stream: &mut TcpStream, mut length: usize) -> io::Result<()> {
    let block = vec![b'x'; 64 * 1024];
    while length > 0 {
        let piece = length.min(block.len());
        stream.write_all(&block[..piece]).await?;
        length -= piece;
    }
    Ok(())
}
