//! Keys, key sets and tokens. Signed with the primitives by hand, so that a fault of the gateway's JWT library
//! cannot hide in a test that uses the same one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    hmac,
    rand::SystemRandom,
    rsa::{KeyPair as RsaKey, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

/// The issuer that test tokens name.
pub const ISSUER: &str = "https://issuer.example";

/// The audience that test tokens name.
pub const AUDIENCE: &str = "api";

/// A private key that signs tokens, with its id in the key set.
pub struct SigningKey {
    id: String,
    secret: Secret,
}

enum Secret {
    Rs256(RsaKey),
    Es256(EcdsaKeyPair),
}

impl SigningKey {
    /// A fresh RSA key for RS256.
    ///
    /// # Panics
    /// When the machine has no randomness.
    #[must_use]
    pub fn rs256(id: &str) -> Self {
        let key = RsaKey::generate(KeySize::Rsa2048).expect("the machine makes keys");
        Self { id: id.to_owned(), secret: Secret::Rs256(key) }
    }

    /// A fresh P-256 key for ES256.
    ///
    /// # Panics
    /// When the machine has no randomness.
    #[must_use]
    pub fn es256(id: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("the machine makes keys");
        Self { id: id.to_owned(), secret: Secret::Es256(key) }
    }

    /// Signs claims as they are.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with_header(&json!({"alg": self.algorithm(), "kid": self.id, "typ": "JWT"}), claims)
    }

    /// Signs claims under a header as it is.
    #[must_use]
    pub fn sign_with_header(&self, header: &Value, claims: &Value) -> String {
        let input = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        format!("{input}.{}", encode(self.signature(input.as_bytes())))
    }

    /// Signs a header and a payload to the letter, be they JSON or not.
    #[must_use]
    pub fn sign_text(&self, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", encode(header), encode(payload));
        format!("{input}.{}", encode(self.signature(input.as_bytes())))
    }

    /// What everybody knows of an RSA key, in each form that somebody might take for a shared secret.
    ///
    /// # Panics
    /// When the key is none.
    #[must_use]
    pub fn public_forms(&self) -> Vec<(&'static str, Vec<u8>)> {
        let Secret::Rs256(key) = &self.secret else { panic!("an RSA key") };
        let public = key.public_key();
        let der: PublicKeyX509Der = public.as_der().expect("a public key has a form");
        let lines: Vec<_> = STANDARD.encode(der.as_ref()).into_bytes().chunks(64).map(<[u8]>::to_vec).collect();
        let pem = [&b"-----BEGIN PUBLIC KEY-----"[..], &lines.join(&b'\n'), b"-----END PUBLIC KEY-----"].join(&b'\n');
        let modulus = public.modulus().big_endian_without_leading_zero();
        vec![
            ("PEM", pem.clone()),
            ("PEM with a line end", [&pem[..], b"\n"].concat()),
            ("DER", der.as_ref().to_vec()),
            ("PKCS #1", public.as_ref().to_vec()),
            ("modulus", modulus.to_vec()),
            ("modulus in base64url", encode(modulus).into_bytes()),
            ("JWK", self.jwk().to_string().into_bytes()),
        ]
    }

    /// A token of this subject that is good for an hour.
    #[must_use]
    pub fn token(&self, subject: &str) -> String {
        self.sign(&claims(subject))
    }

    /// The public key, as a member of a key set.
    #[must_use]
    pub fn jwk(&self) -> Value {
        match &self.secret {
            Secret::Rs256(key) => {
                let public = key.public_key();
                let modulus = encode(public.modulus().big_endian_without_leading_zero());
                let exponent = encode(public.exponent().big_endian_without_leading_zero());
                json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, "n": modulus, "e": exponent})
            }
            Secret::Es256(key) => {
                // An uncompressed point: 4, then x and y of 32 bytes each.
                let point = key.public_key().as_ref();
                let (x, y) = (encode(&point[1..33]), encode(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": x, "y": y})
            }
        }
    }

    fn algorithm(&self) -> &'static str {
        match self.secret {
            Secret::Rs256(_) => "RS256",
            Secret::Es256(_) => "ES256",
        }
    }

    fn signature(&self, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.secret {
            Secret::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, input, &mut signature).expect("the key signs");
                signature
            }
            Secret::Es256(key) => key.sign(&random, input).expect("the key signs").as_ref().to_vec(),
        }
    }
}

/// Signs with a shared secret by HMAC with SHA-256, whatever the header says.
#[must_use]
pub fn sign_with_secret(secret: &[u8], header: &Value, claims: &Value) -> String {
    let input = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    format!("{input}.{}", encode(tag))
}

/// A key set of these keys, as a file holds it.
#[must_use]
pub fn key_set(keys: &[&SigningKey]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// The claims of a token that is good for an hour.
#[must_use]
pub fn claims(subject: &str) -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": seconds_from_now(3600), "scope": "orders.read"})
}

/// A numeric date so far from now; negative for the past.
///
/// # Panics
/// When the clock stands before 1970.
#[must_use]
pub fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|since: Duration| since.as_secs());
    i64::try_from(now.expect("the clock is set")).expect("the year is near") + seconds
}

/// SHA-256 in hexadecimal, as the config names API keys.
#[must_use]
pub fn sha256(text: &str) -> String {
    sha256_bytes(text.as_bytes())
}

/// The same of bytes, as components are named.
#[must_use]
pub fn sha256_bytes(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Text as the parts of a token have it: base64url without padding.
#[must_use]
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn the_parts_of_a_token_verify() {
        let key = SigningKey::es256("a");
        let token = key.token("alice");
        let (input, signature) = token.rsplit_once('.').unwrap();
        let Secret::Es256(secret) = &key.secret else { unreachable!("the key was made for ES256") };
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, secret.public_key().as_ref());
        public.verify(input.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    }

    #[test]
    fn a_digest_is_hexadecimal() {
        assert_eq!(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
