//! How the endpoints of an upstream are spoken to, from its part of the document.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::document::{self, Protocol as Configured};
use crate::config::{Code, KeyPath};
use crate::upstream::Transport;
use crate::upstream::transport::{Protocol, TlsSettings, TransportError};

use super::Build;

impl Build<'_> {
    /// A transport of no use where there is none, which is found here.
    pub(super) fn transport(&mut self, configured: &document::Upstream, path: &KeyPath) -> Arc<Transport> {
        let is_secure = may_find_tls(configured) || configured.endpoints.iter().any(|endpoint| endpoint.url.starts_with("https:"));
        let settings = configured.tls.as_ref().map(|tls| settings(tls, |path| self.sources.resolve(path))).unwrap_or_default();
        let transport = Transport::new(protocol(configured.protocol), &settings, is_secure).unwrap_or_else(|error| {
            let (key, want) = wanted(&error);
            self.found(path.clone().key("tls").key(key), Code::Value, error.to_string(), want);
            Transport::plain()
        });
        Arc::new(transport)
    }
}

/// Whether discovery may bring endpoints with TLS. Those that register themselves say so only then.
fn may_find_tls(configured: &document::Upstream) -> bool {
    configured.discovery.as_ref().is_some_and(|discovery| discovery.dns.as_ref().is_none_or(|dns| dns.tls))
}

/// Which key is wrong, and what it should be.
fn wanted(error: &TransportError) -> (&'static str, &'static str) {
    match error {
        TransportError::Authorities(_) => ("ca", "a PEM file of certificates"),
        TransportError::ClientCertificate(_) => ("client_certificate", "a certificate and its key"),
        TransportError::Sni(_) => ("sni", "a host name"),
    }
}

fn settings(tls: &document::UpstreamTls, resolve: impl Fn(&Path) -> PathBuf) -> TlsSettings {
    TlsSettings {
        ca: tls.ca.as_deref().map(&resolve),
        sni: tls.sni.clone(),
        client_certificate: tls.client_certificate.as_ref().map(|pair| (resolve(&pair.cert), resolve(&pair.key))),
    }
}

fn protocol(configured: Configured) -> Protocol {
    match configured {
        Configured::Http1 => Protocol::Http1,
        Configured::H2 => Protocol::Http2,
        Configured::Auto => Protocol::Auto,
    }
}
