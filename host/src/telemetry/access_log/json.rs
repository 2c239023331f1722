//! JSON strings from untrusted bytes: always valid UTF-8, always one line, nothing a terminal would act on.

/// Bytes that stand for themselves in a JSON string.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7f {
        plain[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    plain
};

/// Writes the inside of a JSON string. What is not UTF-8 becomes U+FFFD.
#[inline]
pub fn escape(out: &mut Vec<u8>, text: &[u8]) {
    if text.iter().all(|byte| PLAIN[usize::from(*byte)]) {
        out.extend_from_slice(text);
    } else {
        escape_slowly(out, text);
    }
}

#[cold]
fn escape_slowly(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(|character| push(out, character));
        if !chunk.invalid().is_empty() {
            push(out, char::REPLACEMENT_CHARACTER);
        }
    }
}

fn push(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        _ if deceives(character) => push_escaped(out, character),
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Control characters, and those that break or turn a line around in whatever shows the log.
fn deceives(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || turns
}

fn push_escaped(out: &mut Vec<u8>, character: char) {
    // All of them lie below U+10000, where one escape is enough.
    let code = character as u32;
    out.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        out.push(b"0123456789abcdef"[(code >> shift & 15) as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &[u8], expected: &str) {
        let mut out = Vec::new();
        escape(&mut out, text);
        assert_eq!(String::from_utf8(out).as_deref(), Ok(expected), "escaping {text:?}");
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        check(b"", "");
        check(b"/orders/17?~!{}'", "/orders/17?~!{}'");
        check("/stra\u{df}e/\u{1f600}".as_bytes(), "/stra\u{df}e/\u{1f600}");
    }

    #[test]
    fn quotes_and_control_characters_are_escaped() {
        check(b"a\"b\\c", r#"a\"b\\c"#);
        check(b"a\nb\rc\td", r"a\nb\rc\td");
        check(b"\0\x1b[2J\x7f", r"\u0000\u001b[2J\u007f");
    }

    #[test]
    fn characters_that_deceive_a_reader_are_escaped() {
        check("\u{9b}2J".as_bytes(), r"\u009b2J");
        check("a\u{2028}b\u{202e}c\u{2066}d".as_bytes(), r"a\u2028b\u202ec\u2066d");
    }

    #[test]
    fn what_is_not_utf_8_is_replaced() {
        check(b"a\xffb", "a\u{fffd}b");
        check(b"\xc3", "\u{fffd}");
        check(b"\xed\xa0\x80\"", "\u{fffd}\u{fffd}\u{fffd}\\\"");
        check(b"\xc0\xaf", "\u{fffd}\u{fffd}");
    }
}
