//! Lines: an entry as one line of JSON, formatted straight into the worker's buffer.
//! A field with nothing to say is left out.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::clock::Clock;
use super::entry::{Entry, Flags};
use super::json;

/// Bytes of a path that are logged.
const LONGEST_PATH: usize = 2048;

/// Bytes of any other text from outside that are logged.
const LONGEST_TEXT: usize = 256;

/// Writes an entry and the end of the line.
pub fn write(out: &mut Vec<u8>, clock: &mut Clock, entry: &Entry<'_>) {
    out.extend_from_slice(b"{\"time\":\"");
    clock.write(out, entry.time);
    out.push(b'"');
    let mut line = Line { out };
    line.request(entry);
    line.way(entry);
    line.answer(entry);
    line.figures(entry);
    line.out.extend_from_slice(b"}\n");
}

struct Line<'a> {
    out: &'a mut Vec<u8>,
}

impl Line<'_> {
    /// What came in.
    fn request(&mut self, entry: &Entry<'_>) {
        self.text("request_id", entry.request_id);
        self.name("listener", Some(entry.listener));
        self.address("client_address", entry.client_address);
        self.text("method", entry.method.as_bytes());
        self.text("host", without_user(entry.host));
        self.path(entry.path);
        self.name("protocol", Some(entry.protocol.as_str()));
    }

    /// Where it went.
    fn way(&mut self, entry: &Entry<'_>) {
        self.name("route", entry.route);
        self.name("upstream", entry.upstream);
        self.name("endpoint", entry.endpoint);
        self.name("client", entry.client);
    }

    /// What came of it.
    fn answer(&mut self, entry: &Entry<'_>) {
        self.number("status", u64::from(entry.status));
        self.flags(entry.flags);
        self.name("plugin", entry.plugin);
        self.name("error", entry.error);
    }

    fn figures(&mut self, entry: &Entry<'_>) {
        self.number("bytes_in", entry.bytes_in);
        self.number("bytes_out", entry.bytes_out);
        self.micros("duration_us", entry.duration);
        if let Some(upstream) = entry.upstream_duration {
            self.micros("upstream_us", upstream);
        }
        self.micros("overhead_us", entry.overhead);
        self.number("attempts", u64::from(entry.attempts));
        self.plugins(entry.plugins);
        self.number("revision", entry.revision);
        self.text("trace_id", entry.trace_id.unwrap_or_default());
        self.text("user_agent", entry.user_agent.unwrap_or_default());
    }

    #[inline]
    fn key(&mut self, key: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    #[inline]
    fn string(&mut self, text: &[u8]) {
        self.out.push(b'"');
        json::escape(self.out, text);
        self.out.push(b'"');
    }

    fn text(&mut self, key: &str, text: &[u8]) {
        if !text.is_empty() {
            self.key(key);
            self.string(&text[..text.len().min(LONGEST_TEXT)]);
        }
    }

    fn name(&mut self, key: &str, name: Option<&str>) {
        self.text(key, name.unwrap_or_default().as_bytes());
    }

    fn path(&mut self, path: &[u8]) {
        let end = path.iter().take(LONGEST_PATH).take_while(|byte| !matches!(byte, b'?' | b'#')).count();
        self.key("path");
        self.string(&path[..end]);
    }

    #[inline]
    fn digits(&mut self, number: u64) {
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }

    fn number(&mut self, key: &str, number: u64) {
        self.key(key);
        self.digits(number);
    }

    fn micros(&mut self, key: &str, duration: Duration) {
        self.number(key, micros(duration));
    }

    fn address(&mut self, key: &str, address: IpAddr) {
        self.key(key);
        self.out.push(b'"');
        match address.to_canonical() {
            IpAddr::V4(address) => self.v4(address),
            IpAddr::V6(address) => write!(self.out, "{address}").expect("writing to memory does not fail"),
        }
        self.out.push(b'"');
    }

    fn v4(&mut self, address: Ipv4Addr) {
        for (at, part) in address.octets().into_iter().enumerate() {
            if at > 0 {
                self.out.push(b'.');
            }
            self.digits(u64::from(part));
        }
    }

    fn flags(&mut self, flags: Flags) {
        if flags.is_empty() {
            return;
        }
        self.key("flags");
        let mut before = b'[';
        for flag in flags.iter() {
            self.out.push(before);
            self.string(flag.as_str().as_bytes());
            before = b',';
        }
        self.out.push(b']');
    }

    fn plugins(&mut self, plugins: &[(&str, Duration)]) {
        if plugins.is_empty() {
            return;
        }
        self.key("plugins");
        let mut before = b'{';
        for (at, (name, _)) in plugins.iter().enumerate() {
            // A second key of one name would hide the first, so a plugin used twice is told once.
            if plugins[..at].iter().any(|(earlier, _)| earlier == name) {
                continue;
            }
            self.out.push(before);
            self.string(name.as_bytes());
            self.out.push(b':');
            self.tenths(plugins[at..].iter().filter(|(other, _)| other == name).map(|(_, took)| *took).sum());
            before = b',';
        }
        self.out.push(b'}');
    }

    /// Microseconds with one decimal: most plugins take about one.
    fn tenths(&mut self, duration: Duration) {
        let tenths = duration.as_nanos().min(u128::from(u64::MAX)) as u64 / 100;
        self.digits(tenths / 10);
        self.out.extend_from_slice(&[b'.', b'0' + (tenths % 10) as u8]);
    }
}

/// The host alone: `user:password@host` would put a password into the log.
fn without_user(host: &[u8]) -> &[u8] {
    host.rsplit(|byte| *byte == b'@').next().unwrap_or(host)
}

fn micros(duration: Duration) -> u64 {
    let whole = duration.as_secs().saturating_mul(1_000_000);
    whole.saturating_add(u64::from(duration.subsec_micros()))
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Flag, Protocol};
    use super::*;

    fn line(entry: &Entry<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, &mut Clock::default(), entry);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_ordinary_request_is_one_line() {
        let expected = concat!(
            r#"{"time":"2026-11-24T08:48:06.007Z","request_id":"0123456789abcdef0123456789abcdef","#,
            r#""listener":"public","client_address":"192.0.2.1","method":"GET","host":"api.example.com","#,
            r#""path":"/orders/17","protocol":"HTTP/1.1","route":"orders","upstream":"orders","#,
            r#""endpoint":"127.0.0.1:9001","client":"acme","status":200,"bytes_in":0,"bytes_out":10240,"#,
            r#""duration_us":1234,"upstream_us":1200,"overhead_us":34,"attempts":1,"revision":7,"#,
            r#""user_agent":"curl/8.0"}"#,
            "\n"
        );
        assert_eq!(line(&Entry::example()), expected, "the golden line");
    }

    #[test]
    fn a_refused_request_says_who_refused_it_and_why() {
        let mut flags = Flags::from(Flag::PluginFault);
        flags.insert(Flag::ClientGone);
        let entry = Entry {
            client_address: "2001:db8::1".parse().unwrap(),
            protocol: Protocol::Http2,
            upstream: None,
            endpoint: None,
            client: None,
            status: 503,
            flags,
            plugin: Some("acme-header"),
            error: Some("plugin_timeout"),
            bytes_out: 0,
            upstream_duration: None,
            attempts: 0,
            plugins: &[
                ("jwt", Duration::from_nanos(850)),
                ("acme-header", Duration::from_millis(10)),
                ("jwt", Duration::from_nanos(1_099)),
            ],
            user_agent: None,
            ..Entry::example()
        };
        let expected = concat!(
            r#"{"time":"2026-11-24T08:48:06.007Z","request_id":"0123456789abcdef0123456789abcdef","#,
            r#""listener":"public","client_address":"2001:db8::1","method":"GET","host":"api.example.com","#,
            r#""path":"/orders/17","protocol":"HTTP/2","route":"orders","status":503,"flags":["PF","CD"],"#,
            r#""plugin":"acme-header","error":"plugin_timeout","bytes_in":0,"bytes_out":0,"#,
            r#""duration_us":1234,"overhead_us":34,"attempts":0,"#,
            r#""plugins":{"jwt":1.9,"acme-header":10000.0},"revision":7}"#,
            "\n"
        );
        assert_eq!(line(&entry), expected, "the golden line");
    }

    #[test]
    fn the_query_is_never_logged() {
        for path in ["/orders?api_key=secret", "/orders#secret", "/orders?", "/orders"] {
            let entry = Entry { path: path.as_bytes(), ..Entry::example() };
            assert!(line(&entry).contains(r#""path":"/orders","#), "only the path of {path}");
        }
    }

    #[test]
    fn a_password_in_the_host_is_never_logged() {
        let entry = Entry { host: b"user:secret@api.example.com:8080", ..Entry::example() };
        assert!(line(&entry).contains(r#""host":"api.example.com:8080""#), "only the host");
    }

    #[test]
    fn bytes_from_outside_cannot_forge_a_line() {
        let entry = Entry {
            method: "G\"ET",
            host: b"a\"}\n{\"status\":200",
            path: b"/\xff\x00\r\n",
            user_agent: Some(b"\x1b[31m\\"),
            ..Entry::example()
        };
        let line = line(&entry);
        assert_eq!(line.matches('\n').count(), 1, "one line only");
        for field in [
            r#""method":"G\"ET""#,
            r#""host":"a\"}\n{\"status\":200""#,
            "\"path\":\"/\u{fffd}\\u0000\\r\\n\"",
            r#""user_agent":"\u001b[31m\\""#,
        ] {
            assert!(line.contains(field), "{field} is missing in {line}");
        }
    }

    #[test]
    fn long_texts_are_cut() {
        let long = vec![b'x'; 100_000];
        let entry = Entry { path: &long, host: &long, user_agent: Some(&long), ..Entry::example() };
        assert!(line(&entry).len() < 4096, "a line stays a line");
    }
}
