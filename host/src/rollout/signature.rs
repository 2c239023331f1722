//! Who signed a component: Ed25519 signatures over its bytes, and the plugins that have to have one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_eddsa_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SignatureVerificationAlgorithm, alg_id};
use rustls::sign::SigningKey;

use crate::config::document::SignaturePolicy;
use crate::config::text::PublicKey;
use crate::pem;

use super::RolloutError;
use super::record::{Source, Version};

/// An Ed25519 private key in PKCS #8 is these bytes and then the key's 32 (RFC 8410 §7).
const PKCS8: [u8; 16] = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Which plugins have to be signed, and by whom.
#[derive(Debug, Clone, Default)]
pub struct Signatures(Vec<SignaturePolicy>);

impl Signatures {
    /// As the configuration says.
    pub fn new(policies: &[SignaturePolicy]) -> Self {
        Self(policies.to_vec())
    }

    /// Says no where a version may not serve as this plugin: policies may be newer than versions. What came with the gateway
    /// needs no signature. Only reads the component where somebody has to sign it.
    pub fn check_version(
        &self,
        plugin: &str,
        version: &Version,
        component: impl FnOnce() -> Result<Vec<u8>, RolloutError>,
    ) -> Result<(), RolloutError> {
        if version.source == Source::BuiltIn || !self.ask_of(plugin) {
            return Ok(());
        }
        let checked = self.check(plugin, &component()?, version.signature.as_deref());
        checked.map(drop).map_err(|error| RolloutError::Unsigned { version: version.version, reason: error.to_string() })
    }

    fn ask_of(&self, plugin: &str) -> bool {
        self.0.iter().any(|policy| matches(&policy.names, plugin) && !policy.keys.is_empty())
    }

    /// The key that signed a component of this plugin. None if nobody has to; an error if somebody has to and did not.
    pub fn check(&self, plugin: &str, bytes: &[u8], signature: Option<&str>) -> Result<Option<PublicKey>, RolloutError> {
        let mut keys = self.0.iter().filter(|policy| matches(&policy.names, plugin)).flat_map(|policy| policy.keys.iter()).peekable();
        if keys.peek().is_none() {
            return Ok(None);
        }
        let missing = || RolloutError::Signature(format!("plugin {plugin} has to be signed, and this component is not"));
        let signature = STANDARD.decode(signature.ok_or_else(missing)?.trim());
        let signature = signature.map_err(|_| RolloutError::Signature("the signature is not Base64".into()))?;
        let signed = keys.find(|key| is_signed(**key, bytes, &signature));
        let forged =
            || RolloutError::Signature(format!("the signature is not by a key that may sign plugin {plugin}, or not of this component"));
        signed.copied().map(Some).ok_or_else(forged)
    }
}

/// What an upload came with.
#[derive(Debug, Clone, Default)]
pub struct Signed {
    /// The key that its signature is by, where somebody had to sign it.
    pub by: Option<String>,
    /// Its signature, in Base64.
    pub signature: Option<String>,
}

/// Whether a text has the form of a signature.
pub fn is_one(text: &str) -> bool {
    STANDARD.decode(text.trim()).is_ok_and(|bytes| bytes.len() == 64)
}

/// Where the signature of a file is.
pub fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

/// The signature beside a file, if there is one.
pub fn read_beside(file: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(beside(file)) {
        Ok(signature) => Ok(Some(signature.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A private key to sign with.
pub struct Signer(Arc<dyn SigningKey>);

impl Signer {
    /// From a PEM file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let key = PrivatePkcs8KeyDer::from_pem_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::from_der(&key).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// A new key, and the text of its PEM file.
    pub fn generate() -> Result<(Self, String), String> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| error.to_string())?;
        let der = [&PKCS8[..], &seed].concat();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(&der));
        Ok((Self::from_der(&PrivatePkcs8KeyDer::from(der))?, pem))
    }

    fn from_der(key: &PrivatePkcs8KeyDer<'_>) -> Result<Self, String> {
        any_eddsa_type(key).map(Self).map_err(|_| "not an Ed25519 private key".to_owned())
    }

    /// The key that verifies what this one signs.
    pub fn public_key(&self) -> PublicKey {
        let spki = self.0.public_key().expect("an Ed25519 key has a public key");
        // RFC 8410 §4: the key itself is the last 32 bytes.
        let key = spki.as_ref().last_chunk::<32>().expect("it is longer than the key in it");
        PublicKey(*key)
    }

    /// The signature of a component, as text.
    pub fn sign(&self, bytes: &[u8]) -> Result<String, String> {
        let signer = self.0.choose_scheme(&[SignatureScheme::ED25519]).ok_or("not an Ed25519 private key")?;
        signer.sign(bytes).map(|signature| STANDARD.encode(signature)).map_err(|error| error.to_string())
    }
}

fn is_signed(key: PublicKey, bytes: &[u8], signature: &[u8]) -> bool {
    let provider = pem::provider();
    let is_ed25519 = |algorithm: &&&dyn SignatureVerificationAlgorithm| algorithm.signature_alg_id() == alg_id::ED25519;
    let algorithm = provider.signature_verification_algorithms.all.iter().find(is_ed25519);
    algorithm.is_some_and(|algorithm| algorithm.verify_signature(&key.0, bytes, signature).is_ok())
}

/// Whether a name is as a pattern says, in which `*` stands for any letters.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(place) = name.find(part) else { return false };
        name = &name[place + part.len()..];
    }
    name.len() >= last.len() && name.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        for (pattern, name, wanted) in [
            ("acme", "acme", true),
            ("acme", "acme-header", false),
            ("acme-*", "acme-header", true),
            ("acme-*", "acme-", true),
            ("acme-*", "other", false),
            ("*", "anything", true),
            ("*-auth", "basic-auth", true),
            ("*-auth", "basic-auth-2", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} and {name}");
        }
    }

    #[test]
    fn a_component_of_a_plugin_that_has_to_be_signed_is_checked() {
        let (signer, _) = Signer::generate().unwrap();
        let (other, _) = Signer::generate().unwrap();
        let signatures = Signatures::new(&[SignaturePolicy { names: "acme-*".into(), keys: vec![signer.public_key()] }]);
        let signature = signer.sign(b"component").unwrap();
        let check = |plugin: &str, bytes: &[u8], signature: Option<&str>| signatures.check(plugin, bytes, signature);
        assert_eq!(check("acme-header", b"component", Some(&signature)).unwrap(), Some(signer.public_key()));
        assert_eq!(check("other", b"component", None).unwrap(), None, "nobody has to sign that");
        for (bytes, signature) in
            [(&b"component"[..], None), (b"another", Some(&*signature)), (b"component", Some("AAAA")), (b"component", Some("%"))]
        {
            assert!(check("acme-header", bytes, signature).is_err(), "{signature:?}");
        }
        assert!(check("acme-header", b"component", Some(&other.sign(b"component").unwrap())).is_err(), "a key of nobody's");
    }

    #[test]
    fn a_key_survives_its_file() {
        let (signer, pem) = Signer::generate().unwrap();
        let path = std::env::temp_dir().join(format!("gatehouse-key-{}.pem", std::process::id()));
        fs::write(&path, pem).unwrap();
        assert_eq!(Signer::read(&path).unwrap().public_key(), signer.public_key());
        fs::write(&path, "nonsense").unwrap();
        assert!(Signer::read(&path).is_err());
        fs::remove_file(&path).unwrap();
    }
}
