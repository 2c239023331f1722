//! What `make run` starts: a small sample upstream, and the gateway in front of it.
//! The gateway is the real binary with the configuration in `demo/gatehouse.yaml`; only the upstream lives here.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

const UPSTREAM: &str = "127.0.0.1:9001";

const LINES: &str = "
  200          curl -i -H 'x-api-key: demo-key' http://127.0.0.1:8080/orders/1
  401          curl -i http://127.0.0.1:8080/orders/1
  429          curl -i 'http://127.0.0.1:8080/limited?try=[1-3]'
  transformed  curl -i http://127.0.0.1:8080/transformed
  aggregated   curl -i http://127.0.0.1:8080/dashboard

Metrics are at http://127.0.0.1:9080/metrics. Change host/examples/demo/gatehouse.yaml while this runs. Ctrl-C drains and ends.
";

fn main() -> ExitCode {
    let upstream = match TcpListener::bind(UPSTREAM) {
        Ok(upstream) => upstream,
        Err(error) => {
            eprintln!("the sample upstream cannot listen on {UPSTREAM}: {error}");
            return ExitCode::FAILURE;
        }
    };
    std::thread::spawn(move || serve(&upstream));
    match gateway().and_then(introduce) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("the gateway cannot be started: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The binary beside this example.
fn gateway() -> std::io::Result<Child> {
    let example = std::env::current_exe()?;
    let built: PathBuf = example.ancestors().nth(2).unwrap_or(Path::new(".")).join("gatehouse");
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo/gatehouse.yaml");
    Command::new(built).arg("run").arg("--config").arg(config).stdout(Stdio::piped()).spawn()
}

/// Shows what to try once the gateway is ready, then passes its output on until it ends.
fn introduce(mut gateway: Child) -> std::io::Result<u8> {
    let output = gateway.stdout.take().map(BufReader::new);
    for line in output.into_iter().flat_map(BufRead::lines) {
        let line = line?;
        println!("{line}");
        if line == "ready" {
            println!("{LINES}");
        }
    }
    Ok(gateway.wait()?.code().map_or(1, |code| u8::try_from(code).unwrap_or(1)))
}

fn serve(upstream: &TcpListener) {
    for stream in upstream.incoming().flatten() {
        std::thread::spawn(move || drop(converse(stream)));
    }
}

/// HTTP/1.1 with keep-alive, as much as a sample needs: the gateway in front has checked every request.
fn converse(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
        }
        let head = String::from_utf8_lossy(&head).to_lowercase();
        discard_body(&head, &mut reader)?;
        let path = head.split(' ').nth(1).unwrap_or("/").to_owned();
        let body = document(&path);
        write!(writer, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())?;
    }
}

fn discard_body(head: &str, reader: &mut impl Read) -> std::io::Result<()> {
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).map(drop)
}

fn document(path: &str) -> String {
    match path.split('?').next().unwrap_or_default() {
        "/orders" => r#"[{"id":1,"item":"lamp"},{"id":2,"item":"desk"}]"#.into(),
        "/users/1" => r#"{"id":1,"name":"Ada"}"#.into(),
        path => format!(r#"{{"id":7,"item":"lamp","path":{path:?},"internal":"warehouse 3"}}"#),
    }
}
