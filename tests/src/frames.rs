//! HTTP/2 frame by frame, for what a well-behaved client cannot send (RFC 9113 §4, §6).

use std::{io, net::SocketAddr};

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::wire::{Inbox, soon};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// One HTTP/2 connection, raw.
pub struct Frames {
    stream: TcpStream,
    inbox: Inbox,
}

/// How the gateway met a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was answered, with this block of HPACK.
    Answered(Vec<u8>),
    /// Its stream was reset, with this code.
    Reset(u32),
    /// The connection was ended, with this code.
    GoAway(u32),
    /// The connection ended without a word.
    Closed,
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frames {
    /// Connects, and sends the preface with empty settings.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gateway listens");
        let mut frames = Self { stream, inbox: Inbox::default() };
        frames.stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.expect("the gateway reads");
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    /// Sends the head of a request, each line a literal that leaves no trace in HPACK's table.
    pub async fn headers(&mut self, stream: u32, lines: &[(&str, &str)], end: bool) {
        let block: Vec<u8> = lines.iter().flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes())).collect();
        self.send(HEADERS, END_HEADERS | if end { END_STREAM } else { 0 }, stream, &block).await;
    }

    /// Sends a piece of a body.
    pub async fn data(&mut self, stream: u32, bytes: &[u8], end: bool) {
        self.send(DATA, if end { END_STREAM } else { 0 }, stream, bytes).await;
    }

    /// Takes a request back.
    pub async fn reset(&mut self, stream: u32) {
        const CANCEL: u32 = 8;
        self.send(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()).await;
    }

    /// What becomes of a request.
    pub async fn fate(&mut self, stream: u32) -> Fate {
        soon("the fate of a stream", async {
            loop {
                let Ok(frame) = self.receive().await else { return Fate::Closed };
                match frame.kind {
                    HEADERS if frame.stream == stream => return Fate::Answered(frame.payload),
                    RST_STREAM if frame.stream == stream => return Fate::Reset(number(&frame.payload[..4])),
                    GOAWAY if number(&frame.payload[4..8]) != 0 => return Fate::GoAway(number(&frame.payload[4..8])),
                    SETTINGS if frame.flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await,
                    _ => {}
                }
            }
        })
        .await
    }

    /// Waits until the gateway announces the end of the connection, and returns the code it gives.
    ///
    /// # Panics
    /// When the connection ends without.
    pub async fn goaway(&mut self) -> u32 {
        soon("a GOAWAY", async {
            loop {
                let frame = self.receive().await.expect("the gateway says GOAWAY before it closes");
                match frame.kind {
                    GOAWAY => return number(&frame.payload[4..8]),
                    SETTINGS if frame.flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await,
                    _ => {}
                }
            }
        })
        .await
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("tests send small frames").to_be_bytes();
        let mut frame = vec![length[1], length[2], length[3], kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.extend_from_slice(payload);
        // A gateway that has seen enough may have closed; the fate tells.
        self.stream.write_all(&frame).await.ok();
    }

    async fn receive(&mut self) -> io::Result<Frame> {
        let head = self.inbox.exactly(&mut self.stream, 9).await?;
        let length = number(&[0, head[0], head[1], head[2]]) as usize;
        let payload = self.inbox.exactly(&mut self.stream, length).await?;
        Ok(Frame { kind: head[3], flags: head[4], stream: number(&head[5..9]) & 0x7fff_ffff, payload })
    }
}

impl Fate {
    /// The status of an answer, where HPACK has it in its static table (RFC 7541 A) or as a plain literal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let Self::Answered(block) = self else { return None };
        // The size of the table may be changed before the first line.
        let block = if block.first().is_some_and(|byte| byte & 0xe0 == 0x20) { &block[1..] } else { block };
        let indexed = [200, 204, 206, 304, 400, 404, 500];
        match block {
            [first @ 0x88..=0x8e, ..] => Some(indexed[usize::from(first - 0x88)]),
            // A literal with the name `:status`, its value plain or by Huffman: digits are 5 or 6 bits there.
            [0x08 | 0x48, length, rest @ ..] if length & 0x80 == 0 => std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok(),
            [0x08 | 0x48, length, rest @ ..] => digits(rest.get(..usize::from(length & 0x7f))?),
            _ => None,
        }
    }
}

/// Decodes Huffman-coded digits (RFC 7541 B): 0 to 2 have five bits, 3 to 9 have six.
fn digits(bytes: &[u8]) -> Option<u16> {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut text, mut rest) = (0, bits.as_str());
    for _ in 0..3 {
        let (digit, length) = match u8::from_str_radix(rest.get(..5)?, 2).ok()? {
            digit @ 0..=2 => (digit, 5),
            _ => (u8::from_str_radix(rest.get(..6)?, 2).ok()?.checked_sub(0x19)? + 3, 6),
        };
        text = text * 10 + u16::from(digit);
        rest = &rest[length..];
    }
    Some(text)
}

fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut line = vec![0];
    for text in [name, value] {
        line.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("tests write short lines"));
        line.extend_from_slice(text);
    }
    line
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_from_hpack() {
        #[track_caller]
        fn check(block: &[u8], status: Option<u16>) {
            assert_eq!(Fate::Answered(block.to_vec()).status(), status);
        }
        check(&[0x88], Some(200));
        check(&[0x8c], Some(400));
        check(&[0x3f, 0x00], None);
        check(&[0x20, 0x8d], Some(404));
        // RFC 7541 C.6.1 and C.6.3 spell 302 and 307.
        check(&[0x48, 0x82, 0x64, 0x02], Some(302));
        check(&[0x48, 0x83, 0x64, 0x0e, 0xff], Some(307));
        check(b"\x08\x03431", Some(431));
    }
}
