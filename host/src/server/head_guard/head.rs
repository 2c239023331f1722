//! One HTTP/1 request head, checked line by line: what passes has exactly one reading, and hyper takes it.
//! Builds nothing; it only says where the head ends and what body follows.

use http::Uri;
use memchr::memchr;

use super::Limits;
use super::violation::Violation;
use crate::server::target::is_origin_form;

/// A whole head that broke no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Bytes up to and with the empty line.
    pub length: usize,
    /// What follows the head.
    pub body: Body,
    /// Whether the answer may switch the connection to another protocol.
    pub may_upgrade: bool,
}

/// How the body of a request is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// This many bytes; zero where there is no body.
    Length(u64),
    /// Chunks up to one of size zero, then trailers.
    Chunked,
}

/// Checks the head at the front of `bytes`; `None` while its empty line has not arrived.
pub fn check(bytes: &[u8], limits: &Limits) -> Result<Option<Head>, Violation> {
    let within = &bytes[..bytes.len().min(limits.head)];
    let mut at = leading_empty_line(within)?;
    let Some(first) = line(within, &mut at)? else { return incomplete(bytes, within, limits) };
    let mut fields = Fields::of(request_line(first, limits)?);
    while let Some(line) = line(within, &mut at)? {
        if line.is_empty() {
            refuse_control_characters(&within[..at], fields.count)?;
            return fields.finish(at).map(Some);
        }
        fields.add(line, limits)?;
    }
    if bytes.len() >= limits.head { Err(Violation::HeadTooLarge) } else { Ok(None) }
}

/// The next line without its end; `None` while the end has not arrived.
fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Result<Option<&'a [u8]>, Violation> {
    let rest = &bytes[*at..];
    let Some(end) = memchr(b'\n', rest) else { return Ok(None) };
    let Some(line) = rest[..end].strip_suffix(b"\r") else { return Err(Violation::BareLineFeed) };
    *at += end + 1;
    Ok(Some(line))
}

/// RFC 9112 §2.2: a server should pass over one empty line before a request line.
fn leading_empty_line(bytes: &[u8]) -> Result<usize, Violation> {
    match bytes {
        [b'\r', b'\n', ..] => Ok(2),
        [b'\r'] | [] => Ok(0),
        [b'\n', ..] => Err(Violation::BareLineFeed),
        [first, ..] if is_token(*first) => Ok(0),
        _ => Err(Violation::RequestLine),
    }
}

/// The first line has not ended: too long already, not a request at all, or only late.
fn incomplete(bytes: &[u8], within: &[u8], limits: &Limits) -> Result<Option<Head>, Violation> {
    let spaces = within.iter().filter(|&&byte| byte == b' ').count();
    match spaces {
        _ if within.len() <= limits.target => Ok(None),
        0 => Err(Violation::RequestLine),
        1 => Err(Violation::TargetTooLong),
        _ if bytes.len() >= limits.head => Err(Violation::HeadTooLarge),
        _ => Ok(None),
    }
}

/// What the request line says about the fields to come.
#[derive(Debug, Clone, Copy)]
struct RequestLine {
    is_old: bool,
    is_connect: bool,
}

fn request_line(line: &[u8], limits: &Limits) -> Result<RequestLine, Violation> {
    let (method, rest) = split_at_space(line)?;
    let (target, version) = split_at_space(rest)?;
    if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
        return Err(Violation::Method);
    }
    if target.len() > limits.target {
        return Err(Violation::TargetTooLong);
    }
    let is_old = is_old_version(version)?;
    if !is_valid_target(method, target) {
        return Err(Violation::Target);
    }
    Ok(RequestLine { is_old, is_connect: method == b"CONNECT" })
}

fn split_at_space(line: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    let space = memchr(b' ', line).ok_or(Violation::RequestLine)?;
    Ok((&line[..space], &line[space + 1..]))
}

fn is_old_version(version: &[u8]) -> Result<bool, Violation> {
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => Err(Violation::Version),
        _ => Err(Violation::RequestLine),
    }
}

fn is_valid_target(method: &[u8], target: &[u8]) -> bool {
    if is_origin_form(target) {
        return method != b"CONNECT";
    }
    match method {
        _ if target.starts_with(b"/") || target.contains(&b'#') => false,
        b"OPTIONS" if target == b"*" => true,
        b"CONNECT" => Uri::try_from(target).is_ok_and(|uri| uri.scheme().is_none() && uri.port().is_some()),
        _ => Uri::try_from(target).is_ok_and(|uri| uri.scheme().is_some() && uri.authority().is_some()),
    }
}

/// What the header lines have said so far.
struct Fields {
    request: RequestLine,
    count: usize,
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

impl Fields {
    fn of(request: RequestLine) -> Self {
        Self { request, count: 0, hosts: 0, length: None, chunked: false, upgrade: false }
    }

    fn add(&mut self, line: &[u8], limits: &Limits) -> Result<(), Violation> {
        self.count += 1;
        if self.count > limits.headers {
            return Err(Violation::TooManyHeaders);
        }
        let colon = name_end(line, self.count == 1)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        // The length first: it alone dismisses nearly every field.
        match colon {
            4 if name.eq_ignore_ascii_case(b"host") => self.hosts += 1,
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => self.set_length(value)?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.set_encoding(value)?,
            _ => {}
        }
        Ok(())
    }

    /// Refuses even an equal second length: some hop behind us may add or pick differently.
    fn set_length(&mut self, value: &[u8]) -> Result<(), Violation> {
        let length = decimal(trim(value)).ok_or(Violation::ContentLength)?;
        match self.length.replace(length) {
            None => Ok(()),
            Some(_) => Err(Violation::DuplicateContentLength),
        }
    }

    fn set_encoding(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.request.is_old {
            return Err(Violation::EncodingOnOldVersion);
        }
        if self.chunked || !trim(value).eq_ignore_ascii_case(b"chunked") {
            return Err(Violation::TransferEncoding);
        }
        self.chunked = true;
        Ok(())
    }

    fn finish(&self, length: usize) -> Result<Head, Violation> {
        match self.hosts {
            0 if !self.request.is_old => return Err(Violation::MissingHost),
            0 | 1 => {}
            _ => return Err(Violation::DuplicateHost),
        }
        let body = match (self.length, self.chunked) {
            (Some(_), true) => return Err(Violation::LengthAndEncoding),
            (length, false) => Body::Length(length.unwrap_or(0)),
            (None, true) => Body::Chunked,
        };
        if self.request.is_connect && (self.chunked || self.length.is_some()) {
            return Err(Violation::ConnectBody);
        }
        // hyper, too, ignores an upgrade on HTTP/1.0 and takes CONNECT for one.
        Ok(Head { length, body, may_upgrade: self.request.is_connect || self.upgrade && !self.request.is_old })
    }
}

/// Where the name of a header line ends, that is, the place of its colon.
pub fn name_end(line: &[u8], is_first: bool) -> Result<usize, Violation> {
    let end = line.iter().position(|&byte| !is_token(byte)).ok_or(Violation::HeaderName)?;
    match (end, line[end]) {
        (0, b' ' | b'\t') if is_first => Err(Violation::LeadingSpace),
        (0, b' ' | b'\t') => Err(Violation::FoldedLine),
        (1.., b':') => Ok(end),
        (1.., b' ' | b'\t') if trim(&line[end..]).starts_with(b":") => Err(Violation::SpaceBeforeColon),
        _ => Err(Violation::HeaderName),
    }
}

/// Checks a whole head at once, which the compiler turns into vector code: its only control characters are tabs and
/// one CR and LF per line. The lines were seen to end in CR LF, so as many CRs as lines means there is no lone one.
fn refuse_control_characters(head: &[u8], fields: usize) -> Result<(), Violation> {
    let mut forbidden = false;
    let mut returns = 0;
    for block in head.chunks(128) {
        let (bad, crs) = block.iter().fold((0u8, 0u8), |(bad, crs), &byte| {
            let control = (byte < 0x20) & (byte != b'\t') & (byte != b'\r') & (byte != b'\n');
            (bad | u8::from(control | (byte == 0x7f)), crs + u8::from(byte == b'\r'))
        });
        forbidden |= bad != 0;
        returns += usize::from(crs);
    }
    // Beside the fields there are the request line, the empty line, and perhaps an empty line in front.
    let lines = fields + 2 + usize::from(head[0] == b'\r');
    if forbidden || returns != lines { Err(Violation::ControlCharacter) } else { Ok(()) }
}

/// A decimal number of digits only, within what hyper can count.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let number = digits.iter().try_fold(0u64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    });
    number.filter(|&number| number <= i64::MAX as u64)
}

/// Without the optional white space around a value, which is spaces and tabs only.
fn trim(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

static TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0u8;
    while byte < 0x7f {
        let symbol =
            matches!(byte, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        token[byte as usize] = byte.is_ascii_alphanumeric() || symbol;
        byte += 1;
    }
    token
};
