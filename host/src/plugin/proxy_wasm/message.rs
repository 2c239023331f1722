//! Heads and trailers as guests see them: pseudo-headers first, then fields. What a guest writes is checked here, one field at
//! a time, as the edits of components are.

use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use smallvec::SmallVec;

use crate::plugin::verdict;

use super::abi::Status;

/// Fields of one map, and pairs that a guest hands over.
const MAX_FIELDS: usize = 1_024;

/// A value on its way to a guest.
pub type Value = SmallVec<[u8; 128]>;

/// A request's or response's head, or trailers.
#[derive(Debug, Default, Clone)]
pub struct Head {
    /// What stands before the fields.
    pub line: Line,
    /// The fields. A request's `:authority` is its `host`.
    pub headers: HeaderMap,
}

/// What stands before the fields.
#[derive(Debug, Default, Clone)]
pub enum Line {
    /// Nothing: trailers.
    #[default]
    None,
    /// Of a request.
    Request {
        /// Its method.
        method: Method,
        /// Its path and query.
        uri: Uri,
        /// Whether it came by TLS.
        secure: bool,
    },
    /// Of a response.
    Response(StatusCode),
}

impl Head {
    /// Trailers.
    pub fn trailers(headers: HeaderMap) -> Self {
        Self { line: Line::None, headers }
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.pseudo().len() + self.headers.len() - usize::from(self.is_request() && self.headers.contains_key(header::HOST))
    }

    /// The value of that name. Several lines of it are one, with commas.
    pub fn get(&self, key: &[u8]) -> Option<Value> {
        if key.first() == Some(&b':') {
            return self.pseudo().iter().find(|(name, _)| name.as_bytes() == key).map(|(_, value)| Value::from_slice(value));
        }
        let name = HeaderName::from_bytes(key).ok()?;
        let mut lines = self.headers.get_all(name).iter();
        let mut value = Value::from_slice(lines.next()?.as_bytes());
        for line in lines {
            value.push(b',');
            value.extend_from_slice(line.as_bytes());
        }
        Some(value)
    }

    /// All pairs, in the order of guests.
    pub fn each(&self, mut act: impl FnMut(&[u8], &[u8])) {
        self.pseudo().iter().for_each(|(name, value)| act(name.as_bytes(), value));
        let without_host = self.is_request();
        let fields = self.headers.iter().filter(|(name, _)| !(without_host && *name == header::HOST));
        fields.for_each(|(name, value)| act(name.as_str().as_bytes(), value.as_bytes()));
    }

    /// Replaces all lines of the name.
    pub fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Status> {
        if key.first() == Some(&b':') {
            return self.set_pseudo(key, value);
        }
        let name = field_name(key)?;
        if name == header::HOST && self.is_request() {
            return self.set_authority(value);
        }
        match verdict::is_framing(&name) {
            true => self.frame(&name),
            false => drop(self.headers.insert(name, field_value(value)?)),
        }
        self.bounded()
    }

    /// Adds a line.
    pub fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), Status> {
        let name = match key.first() {
            Some(b':') => return self.set_pseudo(key, value),
            _ => field_name(key)?,
        };
        // Two hosts are none.
        if verdict::is_framing(&name) || name == header::HOST && self.is_request() {
            return self.set(key, value);
        }
        self.headers.append(name, field_value(value)?);
        self.bounded()
    }

    /// Removes all lines of the name. Pseudo-headers, and what frames the message, stay.
    pub fn remove(&mut self, key: &[u8]) -> Result<(), Status> {
        if key.first() == Some(&b':') {
            return Ok(());
        }
        let name = field_name(key)?;
        if name == header::CONTENT_LENGTH || !verdict::is_framing(&name) && !(name == header::HOST && self.is_request()) {
            self.headers.remove(name);
        }
        Ok(())
    }

    /// Puts these pairs in place of all there are. What frames the message stays as it is.
    pub fn replace(&mut self, pairs: &[(&[u8], &[u8])]) -> Result<(), Status> {
        let mut new = Head { line: self.line.clone(), headers: HeaderMap::with_capacity(pairs.len()) };
        for (name, value) in self.headers.iter().filter(|(name, _)| is_kept(name)) {
            new.headers.append(name.clone(), value.clone());
        }
        if let Some(host) = self.headers.get(header::HOST).filter(|_| self.is_request()) {
            new.headers.insert(header::HOST, host.clone());
        }
        for (key, value) in pairs {
            new.add(key, value)?;
        }
        *self = new;
        Ok(())
    }

    /// The body's length is the gateway's to write. A guest that writes one means that the old one is wrong.
    fn frame(&mut self, name: &HeaderName) {
        if name == header::CONTENT_LENGTH {
            self.headers.remove(name);
        }
    }

    fn bounded(&self) -> Result<(), Status> {
        if self.headers.len() > MAX_FIELDS { Err(Status::InternalFailure) } else { Ok(()) }
    }

    fn is_request(&self) -> bool {
        matches!(self.line, Line::Request { .. })
    }

    fn pseudo(&self) -> SmallVec<[(&'static str, &[u8]); 4]> {
        let mut pairs = SmallVec::new();
        match &self.line {
            Line::None => {}
            Line::Response(status) => pairs.push((":status", status.as_str().as_bytes())),
            Line::Request { method, uri, secure } => {
                if let Some(host) = self.headers.get(header::HOST) {
                    pairs.push((":authority", host.as_bytes()));
                }
                pairs.push((":path", uri.path_and_query().map_or("/", |path| path.as_str()).as_bytes()));
                pairs.push((":method", method.as_str().as_bytes()));
                pairs.push((":scheme", scheme(*secure).as_bytes()));
            }
        }
        pairs
    }

    fn set_pseudo(&mut self, key: &[u8], value: &[u8]) -> Result<(), Status> {
        if key == b":authority" && self.is_request() {
            return self.set_authority(value);
        }
        let text = std::str::from_utf8(value).map_err(|_| Status::BadArgument)?;
        match (&mut self.line, key) {
            (Line::Request { method, .. }, b":method") => *method = verdict::other_method(text).map_err(|_| Status::BadArgument)?,
            (Line::Request { uri, .. }, b":path") => {
                *uri = verdict::path_and_query(text.to_owned()).map_err(|_| Status::BadArgument)?.into()
            }
            // How the request came is a fact, and how it goes on is the upstream's matter.
            (Line::Request { .. }, b":scheme") => {}
            (Line::Response(status), b":status") => *status = status_of(text)?,
            _ => return Err(Status::BadArgument),
        }
        Ok(())
    }

    fn set_authority(&mut self, value: &[u8]) -> Result<(), Status> {
        Authority::try_from(value).map_err(|_| Status::BadArgument)?;
        self.headers.insert(header::HOST, field_value(value)?);
        Ok(())
    }
}

/// The scheme in `:scheme` and `request.scheme`.
pub fn scheme(secure: bool) -> &'static str {
    if secure { "https" } else { "http" }
}

/// A field's name.
pub fn field_name(key: &[u8]) -> Result<HeaderName, Status> {
    HeaderName::from_bytes(key).map_err(|_| Status::BadArgument)
}

/// A field's value.
pub fn field_value(value: &[u8]) -> Result<HeaderValue, Status> {
    HeaderValue::from_bytes(value).map_err(|_| Status::BadArgument)
}

/// A status that a guest may answer with: 200 to 599.
pub fn status_of(text: &str) -> Result<StatusCode, Status> {
    let code = text.parse().map_err(|_| Status::BadArgument)?;
    verdict::status(code).map_err(|_| Status::BadArgument)
}

fn is_kept(name: &HeaderName) -> bool {
    verdict::is_framing(name) && name != header::CONTENT_LENGTH
}

/// Pairs as they lie in memory: their number, the lengths of each, then each with a zero after name and value.
pub mod pairs {
    use super::{Head, MAX_FIELDS, Status};

    /// The bytes that the pairs take.
    pub fn size(head: &Head) -> usize {
        let mut size = 4;
        head.each(|name, value| size += 8 + name.len() + value.len() + 2);
        size
    }

    /// Writes them into as many bytes as [`size`] said.
    pub fn write(head: &Head, to: &mut [u8]) {
        let count = head.len();
        let (lengths, mut texts) = to.split_at_mut(4 + 8 * count);
        let (number, lengths) = lengths.split_at_mut(4);
        number.copy_from_slice(&(count as u32).to_le_bytes());
        let mut lengths = lengths.chunks_exact_mut(4);
        let mut put = |text: &[u8]| {
            if let Some(length) = lengths.next() {
                length.copy_from_slice(&(text.len() as u32).to_le_bytes());
            }
            let (place, rest) = std::mem::take(&mut texts).split_at_mut(text.len() + 1);
            place[..text.len()].copy_from_slice(text);
            place[text.len()] = 0;
            texts = rest;
        };
        head.each(|name, value| {
            put(name);
            put(value);
        });
    }

    /// Reads what a guest wrote.
    pub fn read(bytes: &[u8]) -> Result<Vec<(&[u8], &[u8])>, Status> {
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        let (number, rest) = bytes.split_first_chunk::<4>().ok_or(Status::ParseFailure)?;
        let count = u32::from_le_bytes(*number) as usize;
        if count > MAX_FIELDS {
            return Err(Status::BadArgument);
        }
        let (lengths, mut texts) = rest.split_at_checked(8 * count).ok_or(Status::ParseFailure)?;
        let mut lengths = lengths.chunks_exact(4).map(|length| u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize);
        let mut text = || -> Option<&[u8]> {
            let (text, rest) = texts.split_at_checked(lengths.next()?)?;
            texts = rest.strip_prefix(b"\0")?;
            Some(text)
        };
        (0..count).map(|_| Some((text()?, text()?))).collect::<Option<Vec<_>>>().ok_or(Status::ParseFailure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Head {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("example.test"));
        headers.append("x-a", HeaderValue::from_static("1"));
        headers.append("x-a", HeaderValue::from_static("2"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("7"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        Head { line: Line::Request { method: Method::PUT, uri: Uri::from_static("/a?b=c"), secure: true }, headers }
    }

    fn all(head: &Head) -> Vec<(String, String)> {
        let mut all = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        head.each(|name, value| all.push((text(name), text(value))));
        all
    }

    #[test]
    fn a_request_is_pseudo_headers_and_fields() {
        let head = request();
        let names: Vec<String> = all(&head).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            names,
            [
                ":authority=example.test",
                ":path=/a?b=c",
                ":method=PUT",
                ":scheme=https",
                "x-a=1",
                "x-a=2",
                "content-length=7",
                "connection=te"
            ]
        );
        assert_eq!(head.len(), names.len());
        assert_eq!(head.get(b"X-A").as_deref(), Some(&b"1,2"[..]), "several lines are one value");
        assert_eq!(head.get(b"host").as_deref(), Some(&b"example.test"[..]));
        assert_eq!(head.get(b"x-b"), None);
    }

    #[test]
    fn pairs_come_back_as_they_went() {
        let head = request();
        let mut bytes = vec![0xff; pairs::size(&head)];
        pairs::write(&head, &mut bytes);
        let read = pairs::read(&bytes).expect("they were just written");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(read.into_iter().map(|(name, value)| (text(name), text(value))).collect::<Vec<_>>(), all(&head));
    }

    #[test]
    fn pairs_that_are_cut_short_are_refused() {
        let head = request();
        let mut bytes = vec![0; pairs::size(&head)];
        pairs::write(&head, &mut bytes);
        for length in 1..bytes.len() {
            assert!(pairs::read(&bytes[..length]).is_err(), "{length} bytes of {}", bytes.len());
        }
        assert_eq!(pairs::read(&u32::MAX.to_le_bytes()), Err(Status::BadArgument));
        assert_eq!(pairs::read(&[]), Ok(Vec::new()));
    }

    #[test]
    fn what_frames_a_message_is_not_a_guests_to_write() {
        let mut head = request();
        head.set(b"transfer-encoding", b"chunked").expect("it is passed over");
        head.set(b"connection", b"upgrade").expect("it is passed over");
        head.remove(b"connection").expect("it is passed over");
        assert_eq!(head.get(b"connection").as_deref(), Some(&b"te"[..]));
        assert_eq!(head.get(b"transfer-encoding"), None);
        head.set(b"content-length", b"99").expect("the old one is wrong then");
        assert_eq!(head.get(b"content-length"), None);
    }

    #[test]
    fn what_is_not_http_is_refused() {
        let mut head = request();
        for (key, value) in [
            ("x y", "1"),
            ("", "1"),
            ("x-a", "1\r\nx: 2"),
            (":method", "TRACE"),
            (":path", "no-slash"),
            (":authority", "a b"),
            (":status", "200"),
            (":else", "1"),
        ] {
            assert_eq!(head.set(key.as_bytes(), value.as_bytes()), Err(Status::BadArgument), "{key}: {value}");
        }
        assert_eq!(all(&head), all(&request()), "nothing came of it");
    }

    #[test]
    fn all_pairs_are_replaced_but_what_frames_the_message() {
        let mut head = request();
        head.replace(&[(b":path", b"/new"), (b"x-b", b"3")]).expect("all of it is valid");
        let text: Vec<String> = all(&head).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(text, [":authority=example.test", ":path=/new", ":method=PUT", ":scheme=https", "connection=te", "x-b=3"]);
    }
}
