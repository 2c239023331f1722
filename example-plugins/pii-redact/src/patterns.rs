//! What counts as personal: e-mail addresses (RFC 5321 in its common form) and numbers of payment cards (ISO/IEC 7812).

use alloc::vec::Vec;
use core::ops::Range;

use crate::runs::Pattern;

/// `local@domain.tld`.
pub static EMAIL: Pattern = Pattern {
    class: |byte| byte.is_ascii_alphanumeric() || b"._%+-@'".contains(&byte),
    // RFC 5321 §4.5.3.1.3, with some punctuation around it.
    longest: 254 + 16,
    judge: email,
};

/// 13 to 19 digits with a check digit, in groups that a space or hyphen parts, or in one.
pub static CARD: Pattern = Pattern {
    class: |byte| byte.is_ascii_digit() || byte == b' ' || byte == b'-',
    // A line of numbers before it does not hide one: several times the longest card.
    longest: 256,
    judge: cards,
};

fn email(run: &[u8], mask: &[u8], out: &mut Vec<u8>) {
    let is_inner = |byte: &u8| !b".'-".contains(byte);
    let start = run.iter().position(is_inner).unwrap_or(0);
    let end = run.iter().rposition(is_inner).map_or(run.len(), |last| last + 1);
    if is_email(&run[start..end]) {
        replace(run, start..end, mask, out);
    } else {
        out.extend_from_slice(run);
    }
}

fn is_email(text: &[u8]) -> bool {
    let mut parts = text.split(|&byte| byte == b'@');
    let (Some(local), Some(domain), None) = (parts.next(), parts.next(), parts.next()) else { return false };
    (1..=64).contains(&local.len()) && is_domain(domain)
}

fn is_domain(domain: &[u8]) -> bool {
    let mut labels = domain.rsplit(|&byte| byte == b'.');
    let top = labels.next().unwrap_or_default();
    let is_label = |label: &[u8]| !label.is_empty() && label.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let mut others = labels.peekable();
    top.len() >= 2 && top.iter().all(u8::is_ascii_alphabetic) && others.peek().is_some() && others.all(is_label)
}

fn replace(run: &[u8], place: Range<usize>, mask: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&run[..place.start]);
    out.extend_from_slice(mask);
    out.extend_from_slice(&run[place.end..]);
}

fn cards(run: &[u8], mask: &[u8], out: &mut Vec<u8>) {
    let groups = groups(run);
    let (mut at, mut group) = (0, 0);
    while group < groups.len() {
        match card_at(run, &groups[group..]) {
            Some(count) => {
                let place = groups[group].start..groups[group + count - 1].end;
                out.extend_from_slice(&run[at..place.start]);
                out.extend_from_slice(mask);
                at = place.end;
                group += count;
            }
            None => group += 1,
        }
    }
    out.extend_from_slice(&run[at..]);
}

/// The places of the groups of digits.
fn groups(run: &[u8]) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (place, _) in run.iter().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match groups.last_mut() {
            Some(group) if group.end == place => group.end += 1,
            _ => groups.push(place..place + 1),
        }
    }
    groups
}

/// How many of the first groups are a card together, the most there may be. One separator stands between two.
fn card_at(run: &[u8], groups: &[Range<usize>]) -> Option<usize> {
    let joined = groups.windows(2).take_while(|pair| pair[1].start == pair[0].end + 1).count() + 1;
    (1..=joined.min(groups.len())).rev().find(|&count| {
        let digits: Vec<u8> = groups[..count].iter().flat_map(|group| &run[group.clone()]).map(|digit| digit - b'0').collect();
        (13..=19).contains(&digits.len()) && checks(&digits)
    })
}

/// The Luhn algorithm: of every second digit from the end the double counts, as the sum of its digits. All zeros are no card.
fn checks(digits: &[u8]) -> bool {
    let weighed = digits.iter().rev().enumerate().map(|(place, &digit)| match (place % 2, digit) {
        (1, digit @ 5..) => u32::from(digit) * 2 - 9,
        (1, digit) => u32::from(digit) * 2,
        (_, digit) => u32::from(digit),
    });
    let sum: u32 = weighed.sum();
    sum > 0 && sum.is_multiple_of(10)
}
