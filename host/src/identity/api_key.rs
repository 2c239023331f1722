//! The gateway's own form of API keys: `gth_<env>_<id>_<secret>_<checksum>`. The prefix lets scanners find a leaked key,
//! the checksum lets anybody tell a mistyped one from a revoked one without asking. Knows nothing of who holds them.

use std::fmt;

/// What every key of this form begins with.
const PREFIX: &str = "gth_";
/// Letters and digits only, so that a double click takes all of a key and `_` can only stand between its parts.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62^43 is a little more than 2^256.
const SECRET: usize = 43;
const ID: usize = 8;
/// 62^6 is more than 2^32.
const CHECKSUM: usize = 6;
const LONGEST_ENV: usize = 16;

/// A key that was just made. Shown once: only its digest is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// What the text of a key tells without knowing any key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form<'a> {
    /// A whole key of ours, with its public id.
    Ours {
        /// Tells keys apart without telling them.
        id: &'a str,
    },
    /// Ours by its prefix, but cut, mistyped or made up.
    Broken,
    /// A key from elsewhere, which may have any form.
    Foreign,
}

/// The first part of a key: 1 to 16 lower-case letters and digits, such as `live` or `test`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Env(String);

// === impl Env ===

impl Env {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// === impl ApiKey ===

impl ApiKey {
    /// A new key for this environment. `random` fills with bytes that nobody can guess.
    ///
    /// # Errors
    /// Those of `random`.
    pub fn generate<E>(env: &Env, mut random: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<Self, E> {
        let mut text = format!("{PREFIX}{}_", env.0);
        push_random(&mut text, ID, &mut random)?;
        text.push('_');
        push_random(&mut text, SECRET, &mut random)?;
        let checksum = checksum(text.as_bytes());
        text.push('_');
        text.extend(checksum.map(char::from));
        Ok(Self(text))
    }

    /// The key itself, to be shown once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

// === impl Form ===

impl<'a> Form<'a> {
    /// The form of a key's text.
    pub fn of(key: &'a [u8]) -> Self {
        match key.strip_prefix(PREFIX.as_bytes()) {
            None => Form::Foreign,
            Some(rest) => id(key, rest).map_or(Form::Broken, |id| Form::Ours { id }),
        }
    }
}

/// The id, if all the parts are there and the checksum is that of the others.
fn id<'a>(key: &'a [u8], rest: &'a [u8]) -> Option<&'a str> {
    let mut parts = rest.split(|byte| *byte == b'_');
    let (env, id, secret, sum) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let whole = parts.next().is_none() && is_env(env) && is_word(id, ID) && is_word(secret, SECRET) && sum.len() == CHECKSUM;
    let body = &key[..key.len().checked_sub(CHECKSUM + 1)?];
    if whole && checksum(body) == sum { std::str::from_utf8(id).ok() } else { None }
}

fn is_env(env: &[u8]) -> bool {
    (1..=LONGEST_ENV).contains(&env.len()) && env.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn is_word(text: &[u8], length: usize) -> bool {
    text.len() == length && text.iter().all(u8::is_ascii_alphanumeric)
}

/// CRC-32 (that of zlib) as six digits of the alphabet, the highest first.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut rest = crc32fast::hash(bytes) as usize;
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[rest % ALPHABET.len()];
        rest /= ALPHABET.len();
    }
    digits
}

fn push_random<E>(text: &mut String, count: usize, random: &mut impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<(), E> {
    // The largest multiple of 62 in a byte: what is above it would make the first letters likelier than the last.
    const FAIR: u8 = 248;
    let whole = text.len() + count;
    while text.len() < whole {
        let mut bytes = [0; 64];
        random(&mut bytes)?;
        let missing = whole - text.len();
        let fair = bytes.iter().filter(|byte| **byte < FAIR).take(missing);
        text.extend(fair.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])));
    }
    Ok(())
}

// === impl Env ===

impl std::str::FromStr for Env {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match is_env(text.as_bytes()) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("got {text:?}, want 1 to {LONGEST_ENV} lower-case letters and digits")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::convert::Infallible;

    use super::*;

    fn random(bytes: &mut [u8]) -> Result<(), Infallible> {
        fastrand::fill(bytes);
        Ok(())
    }

    fn key() -> ApiKey {
        ApiKey::generate(&"live".parse().expect("an environment"), random).expect("randomness that cannot fail")
    }

    #[test]
    fn a_new_key_has_the_form_and_its_own_id() {
        let key = key();
        let parts: Vec<&str> = key.reveal().split('_').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [3, 4, 8, 43, 6], "{parts:?}");
        assert_eq!(Form::of(key.reveal().as_bytes()), Form::Ours { id: parts[2] }, "it checks");
        assert_eq!(format!("{key:?}"), "ApiKey(…)", "a key is in no log");
    }

    #[test]
    fn the_checksum_is_crc_32_in_base_62() {
        // 0xcbf43926 is the check value of CRC-32: what it makes of these nine digits.
        let value = checksum(b"123456789").iter().fold(0u64, |value, digit| {
            value * 62 + ALPHABET.iter().position(|letter| letter == digit).expect("a digit of the alphabet") as u64
        });
        assert_eq!(value, 0xcbf4_3926, "the digits stand for the check value");
    }

    #[test]
    fn every_single_wrong_letter_is_noticed() {
        let key = key().reveal().to_owned();
        for place in PREFIX.len()..key.len() {
            let mut wrong = key.clone().into_bytes();
            wrong[place] = if wrong[place] == b'a' { b'b' } else { b'a' };
            assert_eq!(Form::of(&wrong), Form::Broken, "letter {place} of {key}");
        }
        for length in PREFIX.len()..key.len() {
            assert_eq!(Form::of(&key.as_bytes()[..length]), Form::Broken, "cut to {length}");
        }
        assert_eq!(Form::of(format!("{key}_").as_bytes()), Form::Broken, "one more part");
    }

    #[test]
    fn keys_from_elsewhere_are_not_judged() {
        for foreign in ["", "secret", "gth", "sk_live_1234", "GTH_live_a_b_c"] {
            assert_eq!(Form::of(foreign.as_bytes()), Form::Foreign, "{foreign}");
        }
        assert_eq!(Form::of(b"gth_\xff\xfe_a_b_c"), Form::Broken, "not even text");
    }

    #[test]
    fn no_letter_is_likelier_than_another() {
        let mut text = String::new();
        push_random(&mut text, 62_000, &mut random).expect("randomness that cannot fail");
        let seen: HashSet<char> = text.chars().collect();
        assert_eq!(seen.len(), 62, "all of the alphabet");
        // 1,000 of each are expected, with a standard deviation of 31.
        for letter in seen {
            let count = text.chars().filter(|other| *other == letter).count();
            assert!((750..1250).contains(&count), "{count} times {letter}");
        }
    }

    #[test]
    fn an_environment_is_a_short_word() {
        for bad in ["", "Live", "a_b", "a-b", &"a".repeat(17), "ä"] {
            assert!(bad.parse::<Env>().is_err(), "{bad:?}");
        }
        assert!("test2".parse::<Env>().is_ok(), "letters and digits");
    }
}
