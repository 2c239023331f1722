//! What a certificate says, and how upstreams and plugins are told of a client's: `x-forwarded-client-cert`, in Envoy's
//! form. The listener has verified the certificate by then; a client's own header of that name never gets so far.

use std::fmt::Write as _;

use http::HeaderValue;
use http::header::HeaderName;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Carries the verified certificate of the client.
pub const CLIENT_CERTIFICATE: HeaderName = HeaderName::from_static("x-forwarded-client-cert");

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Details {
    /// Its subject, such as `CN=orders, O=Example`.
    pub subject: String,
    /// The host names it is for.
    pub dns_names: Vec<String>,
    /// The URIs it is for, as SPIFFE has them.
    pub uris: Vec<String>,
    /// When it ends: Unix time in seconds.
    pub not_after: i64,
}

impl Details {
    /// None if it is no X.509 certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok().flatten().map(|names| &names.value.general_names);
        let (mut dns_names, mut uris) = (Vec::new(), Vec::new());
        for name in names.into_iter().flatten() {
            match name {
                GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
                GeneralName::URI(uri) => uris.push((*uri).to_owned()),
                _ => {}
            }
        }
        Some(Self { subject: parsed.subject().to_string(), dns_names, uris, not_after: parsed.validity().not_after.timestamp() })
    }
}

/// The header's value for a certificate that was verified. At least its hash, whatever names it has.
pub fn describe(certificate: &CertificateDer<'_>) -> HeaderValue {
    let mut hash = String::from("Hash=");
    for byte in Sha256::digest(certificate) {
        let _ = write!(hash, "{byte:02x}");
    }
    let mut text = hash.clone();
    if let Some(details) = Details::of(certificate) {
        pair(&mut text, "Subject", &details.subject);
        details.uris.iter().for_each(|uri| pair(&mut text, "URI", uri));
        details.dns_names.iter().for_each(|name| pair(&mut text, "DNS", name));
    }
    let value = HeaderValue::from_str(&text).or_else(|_| HeaderValue::from_str(&hash));
    value.expect("hexadecimal digits are a header value")
}

/// In quotes always, so that no name can look like another pair.
fn pair(text: &mut String, key: &str, value: &str) {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    let _ = write!(text, ";{key}=\"{value}\"");
}
