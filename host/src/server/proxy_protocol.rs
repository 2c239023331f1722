//! The PROXY protocol, versions 1 and 2, on accepted connections: who the client of the proxy before us is. Exactly the
//! header is read, so that what follows it is still on the connection.

use std::io;
use std::net::SocketAddr;

use ppp::{v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// The largest header of version 1, its line end included.
const LARGEST_V1: usize = 107;
/// The largest rest of a header of version 2 that is taken: addresses, and what else the proxy has to say.
const LARGEST_V2: usize = 4096;
/// The beginning of a header of version 2, and its length without what follows.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEAD: usize = 16;

/// Both ends of a connection, as the proxy has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub client: SocketAddr,
    /// Where it connected to.
    pub local: SocketAddr,
}

/// Reads the header. None where it says that the connection is the proxy's own.
///
/// # Errors
/// When there is none, it is malformed or too large, or the connection ends.
pub async fn read(stream: &mut TcpStream) -> io::Result<Option<Ends>> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    match header == SIGNATURE {
        true => read_v2(stream, header).await,
        false if header.starts_with(b"PROXY ") => read_v1(stream, header).await,
        false => Err(malformed("there is no PROXY header")),
    }
}

async fn read_v1(stream: &mut TcpStream, mut header: Vec<u8>) -> io::Result<Option<Ends>> {
    // Nothing behind the line end may be taken, so the line is looked at before it is read.
    while !header.ends_with(b"\n") {
        let mut ahead = [0; LARGEST_V1];
        let room = LARGEST_V1 - header.len();
        if room == 0 {
            return Err(malformed("the PROXY line is too long"));
        }
        let seen = stream.peek(&mut ahead[..room]).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = ahead[..seen].iter().position(|&byte| byte == b'\n').map_or(seen, |end| end + 1);
        let start = header.len();
        header.resize(start + end, 0);
        stream.read_exact(&mut header[start..]).await?;
    }
    parse_v1(&header)
}

async fn read_v2(stream: &mut TcpStream, mut header: Vec<u8>) -> io::Result<Option<Ends>> {
    header.resize(V2_HEAD, 0);
    stream.read_exact(&mut header[SIGNATURE.len()..]).await?;
    let rest = usize::from(u16::from_be_bytes([header[14], header[15]]));
    if rest > LARGEST_V2 {
        return Err(malformed("the PROXY header is too large"));
    }
    header.resize(V2_HEAD + rest, 0);
    stream.read_exact(&mut header[V2_HEAD..]).await?;
    parse_v2(&header)
}

fn parse_v1(header: &[u8]) -> io::Result<Option<Ends>> {
    let header = v1::Header::try_from(header).map_err(|error| malformed(&error.to_string()))?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(ends) => Some(Ends {
            client: (ends.source_address, ends.source_port).into(),
            local: (ends.destination_address, ends.destination_port).into(),
        }),
        v1::Addresses::Tcp6(ends) => Some(Ends {
            client: (ends.source_address, ends.source_port).into(),
            local: (ends.destination_address, ends.destination_port).into(),
        }),
    })
}

fn parse_v2(header: &[u8]) -> io::Result<Option<Ends>> {
    let header = v2::Header::try_from(header).map_err(|error| malformed(&error.to_string()))?;
    if header.command == v2::Command::Local {
        return Ok(None);
    }
    match header.addresses {
        v2::Addresses::IPv4(ends) => Ok(Some(Ends {
            client: (ends.source_address, ends.source_port).into(),
            local: (ends.destination_address, ends.destination_port).into(),
        })),
        v2::Addresses::IPv6(ends) => Ok(Some(Ends {
            client: (ends.source_address, ends.source_port).into(),
            local: (ends.destination_address, ends.destination_port).into(),
        })),
        v2::Addresses::Unspecified => Ok(None),
        v2::Addresses::Unix(_) => Err(malformed("the PROXY header has no IP addresses")),
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    const V2_IPV4: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x1f\x90\x01\xbb";

    /// What is read of these bytes, sent in such pieces, and what is left on the connection.
    async fn sent(bytes: &[u8], piece: usize) -> (io::Result<Option<Ends>>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.set_nodelay(true).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let bytes = bytes.to_vec();
        let sending = tokio::spawn(async move {
            for piece in bytes.chunks(piece) {
                client.write_all(piece).await.ok();
                tokio::task::yield_now().await;
            }
        });
        let read = read(&mut stream).await;
        let mut rest = Vec::new();
        if read.is_ok() {
            stream.read_to_end(&mut rest).await.unwrap();
        }
        drop(stream);
        sending.await.unwrap();
        (read, rest)
    }

    #[tokio::test]
    async fn both_versions_are_read_to_their_last_byte_and_no_further() {
        let headers = [b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 443\r\n", V2_IPV4];
        for header in headers {
            for piece in [1, 7, 1000] {
                let (read, rest) = sent(&[header, b"GET / HTTP/1.1\r\n"].concat(), piece).await;
                let ends = read.unwrap().expect("there are addresses");
                assert_eq!((ends.client.to_string(), ends.local.port()), ("192.0.2.7:8080".into(), 443));
                assert_eq!(rest, b"GET / HTTP/1.1\r\n", "in pieces of {piece}");
            }
        }
    }

    #[tokio::test]
    async fn a_connection_of_the_proxys_own_has_no_client() {
        assert_eq!(sent(b"PROXY UNKNOWN\r\nGET", 1000).await.0.unwrap(), None);
        assert_eq!(sent(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET", 1000).await.0.unwrap(), None);
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        let large = [&V2_IPV4[..14], &[0xff, 0xff], &[0; 60_000]].concat();
        let cases: [&[u8]; 9] = [
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            b"PROXY TCP4 192.0.2.7\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 99999\r\n",
            b"PROXY TCP6 192.0.2.7 10.0.0.1 8080 443\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 443\n",
            b"PROXY ",
            &V2_IPV4[..20],
            &long,
            &large,
        ];
        for case in cases {
            assert!(sent(case, 1000).await.0.is_err(), "{:?}", String::from_utf8_lossy(case));
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let mut header = V2_IPV4.to_vec();
            header.extend((0..random.usize(..40)).map(|_| random.u8(..)));
            for _ in 0..random.usize(1..6) {
                let place = random.usize(12..header.len());
                header[place] = random.u8(..);
            }
            let _ = parse_v2(&header);
            let line: Vec<u8> = (0..random.usize(..60)).map(|_| random.u8(..)).collect();
            let _ = parse_v1(&[b"PROXY ", line.as_slice(), b"\r\n"].concat());
        }
    }
}
