//! The origin behind every proxy of the load bench: HTTP/1.1, one thread, one fixed answer.
//! It does as little as it can, so that the core it shares with the load generator has room.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Length of the answer's body, as the issue asks: 10 KB.
const BODY_LEN: usize = 10_240;

/// Longest request head taken; the bench sends about 1 KB.
const HEAD_LIMIT: usize = 16 * 1024;

/// A GET for this path is answered with its own head, to show what a proxy forwarded.
const ECHO: &[u8] = b"GET /echo ";

const END_OF_HEAD: &[u8] = b"\r\n\r\n";

const REFUSAL: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn main() -> io::Result<()> {
    let address = address_argument()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    // Spawned tasks live on this thread for as long as the process: a leaked answer costs nothing.
    let answer: &'static [u8] = Vec::leak(response(&"0123456789abcdef".repeat(BODY_LEN / 16)));
    runtime.block_on(serve(address, answer))
}

fn address_argument() -> io::Result<SocketAddr> {
    let usage = || io::Error::new(ErrorKind::InvalidInput, "usage: bench-origin ADDRESS:PORT");
    let argument = std::env::args().nth(1).ok_or_else(usage)?;
    argument.parse().map_err(|_| usage())
}

/// Prints the address it got, then answers for ever.
async fn serve(address: SocketAddr, answer: &'static [u8]) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            if let Err(error) = converse(stream, answer).await {
                eprintln!("bench-origin: connection: {error}");
            }
        });
    }
}

/// Answers every request of one connection, until the other side closes it.
async fn converse(mut stream: TcpStream, answer: &[u8]) -> io::Result<()> {
    let mut buffer = vec![0; HEAD_LIMIT];
    let mut filled = 0;
    loop {
        match head_length(&buffer[..filled]) {
            Some(length) if buffer.starts_with(ECHO) => {
                let head = String::from_utf8_lossy(&buffer[..length]);
                write(&mut stream, &response(&head)).await?;
                filled = forget(&mut buffer, length, filled);
            }
            // Only GET, because a body would have to be read past.
            Some(length) if buffer.starts_with(b"GET ") => {
                write(&mut stream, answer).await?;
                filled = forget(&mut buffer, length, filled);
            }
            None if filled < HEAD_LIMIT => match read(&mut stream, &mut buffer[filled..]).await? {
                0 => return Ok(()),
                count => filled += count,
            },
            _ => return write(&mut stream, REFUSAL).await,
        }
    }
}

fn head_length(received: &[u8]) -> Option<usize> {
    memmem::find(received, END_OF_HEAD).map(|at| at + END_OF_HEAD.len())
}

/// Moves what follows the first `used` bytes to the front and says how much that is.
fn forget(buffer: &mut [u8], used: usize, filled: usize) -> usize {
    buffer.copy_within(used..filled, 0);
    filled - used
}

fn response(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nserver: bench-origin\r\ncontent-type: text/plain\r\n\
         content-length: {}\r\ncache-control: no-store\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Reads at least one byte; 0 means the other side is done, however it went away.
async fn read(stream: &mut TcpStream, space: &mut [u8]) -> io::Result<usize> {
    match stream.read(space).await {
        // A load generator that has counted enough resets what it still has open.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(0),
        outcome => outcome,
    }
}

/// Writes everything, unless the other side went away: then the next read ends the conversation.
async fn write(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    match stream.write_all(bytes).await {
        Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(()),
        outcome => outcome,
    }
}
