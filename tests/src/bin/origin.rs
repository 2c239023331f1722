//! An upstream server as a process of its own, so that a test can kill it and stop it. Its argument is the port. `/mode/NAME`
//! makes it answer with `ok`, with `500` or `slow` (200 ms later than usual); `/hits` says how many requests it had.
//! `/healthz` answers as everything else does, and does not count.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What an answer takes, so that the noise of the machine is small beside it.
const WORK: Duration = Duration::from_millis(10);
/// How much longer a slow one takes.
const DELAY: Duration = Duration::from_millis(200);

const MODES: [&str; 3] = ["ok", "500", "slow"];

#[derive(Default)]
struct State {
    mode: AtomicUsize,
    hits: AtomicU64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let port: u16 = env::args().nth(1).and_then(|port| port.parse().ok()).unwrap_or_default();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
    println!("{}", listener.local_addr().expect("a bound socket has an address"));
    let state = Arc::new(State::default());
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&state)));
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        head.extend_from_slice(&buffer[..read]);
        while let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            let request: Vec<u8> = head.drain(..end + 4).collect();
            let path = String::from_utf8_lossy(&request).split(' ').nth(1).unwrap_or_default().to_owned();
            if stream.write_all(&answer(&path, &state).await).await.is_err() {
                return;
            }
        }
    }
}

async fn answer(path: &str, state: &State) -> Vec<u8> {
    if let Some(mode) = path.strip_prefix("/mode/").and_then(|name| MODES.iter().position(|mode| *mode == name)) {
        state.mode.store(mode, Ordering::Relaxed);
        return response(200, "done");
    }
    if path == "/hits" {
        return response(200, &state.hits.load(Ordering::Relaxed).to_string());
    }
    if path != "/healthz" {
        state.hits.fetch_add(1, Ordering::Relaxed);
    }
    match MODES[state.mode.load(Ordering::Relaxed)] {
        "500" => return response(500, "broken"),
        "slow" => tokio::time::sleep(WORK + DELAY).await,
        _ => tokio::time::sleep(WORK).await,
    }
    response(200, "served")
}

fn response(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Scripted\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
