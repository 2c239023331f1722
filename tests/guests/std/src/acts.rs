//! What a program may do that a plugin had better not, by name.

use std::fs;
use std::hint::black_box;
use std::io::{self, Read as _};
use std::mem;
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use gatehouse_plugin::Reply;
use wasip2::clocks::monotonic_clock;
use wasip2::random::random::get_random_bytes;

/// Does what the mode says. None if that leaves nothing to answer.
pub fn play(mode: &str) -> Option<Reply> {
    match mode {
        "surroundings" => return Some(Reply::new(200).text(surroundings())),
        "network" => return Some(Reply::new(200).text(network())),
        "random" => return Some(Reply::new(200).text(random())),
        "clock" => return Some(Reply::new(200).text(clock())),
        "panic" => panic!("the guest lost\nits temper"),
        "exit" => std::process::exit(3),
        "sleep" => sleep(),
        "partial" => eprint!("no end of "),
        "lines" => (0..100).for_each(|number| println!("line {number} {}", "of a flood ".repeat(20))),
        "line" => (0..100).for_each(|_| print!("{}", "endless ".repeat(100))),
        "control" => println!("first\u{1b}[31m\rsecond"),
        "leak" => leak(100),
        "hoard" => leak(usize::MAX),
        "random-flood" => drop(black_box(get_random_bytes(1 << 20))),
        _ => {}
    }
    None
}

/// What a guest finds of the machine it runs on.
fn surroundings() -> String {
    let variables = std::env::vars_os().count();
    let arguments = std::env::args_os().count();
    let mut input = String::new();
    let read = io::stdin().read_to_string(&mut input);
    let files = [fs::read("/etc/passwd").is_ok(), fs::write("/tmp/file", "text").is_ok(), fs::read_dir(".").is_ok()];
    format!("variables {variables}, arguments {arguments}, input {read:?}, files {files:?}")
}

/// What comes of reaching for the network.
fn network() -> String {
    let (address, any) = ("127.0.0.1:80", "127.0.0.1:0");
    let connect = TcpStream::connect(address).err().map(|error| error.kind());
    let listen = TcpListener::bind(any).err().map(|error| error.kind());
    let send = UdpSocket::bind(any).err().map(|error| error.kind());
    let resolve = "localhost:80".to_socket_addrs().is_ok();
    format!("connect {connect:?}, listen {listen:?}, send {send:?}, resolve {resolve}")
}

fn random() -> String {
    format!("{:?}", [get_random_bytes(8), get_random_bytes(8)])
}

/// The first look at the monotonic clock, and how long some work took by it, in nanoseconds.
fn clock() -> String {
    let first = monotonic_clock::now();
    let start = Instant::now();
    black_box((0..100_000_u64).map(black_box).sum::<u64>());
    format!("{first} {}", start.elapsed().as_nanos())
}

fn sleep() -> ! {
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

fn leak(handles: usize) {
    (0..handles).for_each(|_| mem::forget(monotonic_clock::subscribe_duration(0)));
}
