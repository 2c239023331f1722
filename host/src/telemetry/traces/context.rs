//! W3C trace context, level 1: what `traceparent` and `tracestate` say, and what is written in their place. A header that
//! breaks a rule counts as none, so that a broken client begins a new trace and damages nobody's.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

/// Names the trace and the span that a request belongs to.
pub static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Carries what tracing systems want to tell each other; passed on as it is.
pub static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Bytes of a `traceparent` of version 00, the one that is written.
pub const LENGTH: usize = 55;

/// Members that a `tracestate` may have (§3.3.1.1).
const MOST_MEMBERS: usize = 32;

/// The name of a trace; never zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceId(pub [u64; 2]);

/// The name of a span within its trace; never zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanId(pub u64);

/// A span's place: which trace, which span, and whether the trace is recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether spans of the trace are recorded.
    pub sampled: bool,
}

// === impl Context ===

impl Context {
    /// What the headers of a request say. None without exactly one valid `traceparent`.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let value = values.next()?;
        match values.next() {
            None => Self::parse(value.as_bytes()),
            Some(_) => None,
        }
    }

    /// Reads a `traceparent` (§3.2). A later version is read as far as version 00 goes.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (head, rest) = text.split_at_checked(LENGTH)?;
        let version = hex(&head[..2])?;
        let later = rest.is_empty() || (version > 0 && rest[0] == b'-');
        if version == 0xff || !later || [head[2], head[35], head[52]] != [b'-'; 3] {
            return None;
        }
        let trace = [hex(&head[3..19])?, hex(&head[19..35])?];
        let span = hex(&head[36..52])?;
        let flags = hex(&head[53..])?;
        (trace != [0; 2] && span != 0).then_some(Self { trace: TraceId(trace), span: SpanId(span), sampled: flags & 1 != 0 })
    }

    /// The context of another span in the same trace.
    pub fn with_span(self, span: SpanId) -> Self {
        Self { span, ..self }
    }

    /// The text of a `traceparent`.
    pub fn text(&self) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&mut text[3..19], self.trace.0[0]);
        write_hex(&mut text[19..35], self.trace.0[1]);
        write_hex(&mut text[36..52], self.span.0);
        text[54] = b'0' + u8::from(self.sampled);
        text
    }
}

impl TraceId {
    /// The bytes, in the order they are written in.
    pub fn bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0[0].to_be_bytes());
        bytes[8..].copy_from_slice(&self.0[1].to_be_bytes());
        bytes
    }
}

/// Whether the `tracestate` of a request may go on: each member is a key and a value, no key occurs twice (§3.3.1).
pub fn state_is_valid(headers: &HeaderMap) -> bool {
    let values = headers.get_all(&TRACESTATE).iter().map(HeaderValue::as_bytes);
    let members = values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).filter(|member| !member.is_empty());
    let mut keys: SmallVec<[&[u8]; MOST_MEMBERS]> = SmallVec::new();
    for member in members {
        let Some((key, value)) = member.iter().position(|byte| *byte == b'=').map(|at| (&member[..at], &member[at + 1..])) else {
            return false;
        };
        if keys.len() == MOST_MEMBERS || keys.contains(&key) || !is_key(key) || !is_value(value) {
            return false;
        }
        keys.push(key);
    }
    true
}

/// A key: `vendor`, or `tenant@vendor`.
fn is_key(key: &[u8]) -> bool {
    let fine = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'));
    match key.iter().position(|byte| *byte == b'@') {
        None => (1..=256).contains(&key.len()) && key[0].is_ascii_lowercase() && fine(key),
        Some(at) => {
            let (tenant, vendor) = (&key[..at], &key[at + 1..]);
            let begins = !tenant.is_empty() && !tenant[0].is_ascii_punctuation() && vendor.first().is_some_and(u8::is_ascii_lowercase);
            begins && tenant.len() <= 241 && vendor.len() <= 14 && fine(tenant) && fine(vendor)
        }
    }
}

fn is_value(value: &[u8]) -> bool {
    (1..=256).contains(&value.len()) && value.iter().all(|byte| matches!(byte, 0x20..=0x7e) && !matches!(byte, b',' | b'='))
}

/// Lower-case hex digits as a number; the standard allows no others.
fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

fn write_hex(out: &mut [u8], number: u64) {
    for (place, digit) in out.iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (4 * place) & 15) as usize];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn parse(text: &str) -> Option<Context> {
        Context::parse(text.as_bytes())
    }

    #[test]
    fn a_valid_parent_is_read_and_written_as_it_was() {
        for flags in ["00", "01"] {
            let text = format!("00-{TRACE}-{SPAN}-{flags}");
            let context = parse(&text).expect("a valid traceparent");
            assert_eq!(context.trace, TraceId([0x0af7_6519_16cd_43dd, 0x8448_eb21_1c80_319c]));
            assert_eq!(context.span, SpanId(0xb7ad_6b71_6920_3331));
            assert_eq!(context.sampled, flags == "01");
            assert_eq!(context.text(), text.as_bytes(), "and back");
        }
    }

    #[test]
    fn flags_that_are_not_known_are_not_passed_on() {
        let context = parse(&format!("00-{TRACE}-{SPAN}-fe")).expect("unknown flags are allowed");
        assert!(!context.sampled);
        assert!(context.text().ends_with(b"-00"));
    }

    #[test]
    fn a_later_version_is_read_as_far_as_this_one_goes() {
        #[track_caller]
        fn check(text: &str, sampled: Option<bool>) {
            assert_eq!(parse(text).map(|context| context.sampled), sampled, "{text}");
        }
        check(&format!("01-{TRACE}-{SPAN}-01"), Some(true));
        check(&format!("cc-{TRACE}-{SPAN}-00-what-the-future-brings"), Some(false));
        check(&format!("cc-{TRACE}-{SPAN}-01-"), Some(true));
        check(&format!("cc-{TRACE}-{SPAN}-01.what"), None);
        check(&format!("ff-{TRACE}-{SPAN}-01"), None);
    }

    #[test]
    fn what_breaks_a_rule_is_nothing() {
        let zeros = "0000000000000000";
        for text in [
            String::new(),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0X"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{zeros}{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{zeros}-01"),
            format!("00-{}g-{SPAN}-01", &TRACE[1..]),
            format!(" 0-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}{SPAN}--01"),
            format!("00-{SPAN}-{TRACE}-01"),
        ] {
            assert_eq!(parse(&text), None, "{text:?}");
        }
    }

    #[test]
    fn two_parents_are_none() {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&format!("00-{TRACE}-{SPAN}-01")).expect("it is ASCII");
        headers.append(&TRACEPARENT, value.clone());
        assert!(Context::of(&headers).is_some());
        headers.append(&TRACEPARENT, value);
        assert!(Context::of(&headers).is_none());
    }

    #[test]
    fn a_state_with_one_bad_member_is_bad() {
        #[track_caller]
        fn check(values: &[&str], valid: bool) {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(&TRACESTATE, HeaderValue::from_str(value).expect("a header value"));
            }
            assert_eq!(state_is_valid(&headers), valid, "{values:?}");
        }
        check(&[], true);
        check(&["a=1,b=2", "c=3"], true);
        check(&["", "a=1, ,\tb=2 ,"], true);
        check(&["4tenant@vendor=x y!~", "a_-*/9=1"], true);
        check(&[&"k".repeat(256)], false);
        check(&[&format!("{}=1", "k".repeat(256))], true);
        check(&[&format!("{}=1", "k".repeat(257))], false);
        check(&[&format!("a={}", "v".repeat(257))], false);
        check(&["a=1,a=2"], false);
        check(&["a=1", "a=2"], false);
        check(&["A=1"], false);
        check(&["1a=1"], false);
        check(&["a=1=2"], false);
        check(&["a="], false);
        check(&["=1"], false);
        check(&["@v=1"], false);
        check(&["t@=1"], false);
        check(&["t@v@w=1"], false);
        let members: Vec<String> = (0..33).map(|number| format!("k{number}=1")).collect();
        check(&[&members[..32].join(",")], true);
        check(&[&members.join(",")], false);
    }
}
