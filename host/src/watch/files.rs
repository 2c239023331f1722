//! The files that a configuration is made of, and telling a change from a touch.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::config::Loaded;
use crate::config::document::{self, Document};
use crate::rollout::signature;

/// The files of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    pub(super) config: PathBuf,
    pub(super) others: BTreeSet<PathBuf>,
}

/// What the files hold, taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Files {
    /// The configuration itself, and what it points at, whatever stands in for it now: components, key sets, secrets, certificates.
    pub fn of(config: &Path, loaded: &Loaded) -> Self {
        let document = &loaded.document;
        let components = document.plugins.iter().filter_map(|plugin| plugin.source.as_ref()?.file.as_deref());
        // Who signed them is told beside them, and may be told later.
        let signatures: Vec<PathBuf> = components.clone().map(signature::beside).collect();
        let key_sets = document.issuers.iter().filter_map(|issuer| issuer.jwks.as_ref()?.file.as_deref());
        let secrets = secrets(document).filter_map(|secret| secret.file.as_deref());
        let admin_tls = document.admin.iter().filter_map(|admin| admin.tls.as_ref());
        let tls = document.listeners.iter().filter_map(|listener| listener.tls.as_ref()).chain(admin_tls);
        let certificates = tls.flat_map(certificate_files);
        let upstream_tls = document.upstreams.iter().filter_map(|upstream| upstream.tls.as_ref()).flat_map(upstream_files);
        let authorities = document.plugins.iter().filter_map(|plugin| plugin.source.as_ref()?.oci.as_ref()?.ca());
        let others = components
            .chain(authorities)
            .chain(signatures.iter().map(PathBuf::as_path))
            .chain(key_sets)
            .chain(secrets)
            .chain(certificates)
            .chain(upstream_tls);
        Self { config: config.to_owned(), others: others.map(|file| loaded.sources.folder().join(file)).collect() }
    }

    /// Of a configuration that could not be read: at least a change of it is noticed.
    pub fn only(config: &Path) -> Self {
        Self { config: config.to_owned(), others: BTreeSet::new() }
    }

    /// Reads all of them. A file that cannot be read counts as such.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        for file in self.config_files().iter().chain(&self.others) {
            hash.update(file.as_os_str().as_encoded_bytes());
            match fs::read(file) {
                Ok(bytes) => hash.update(Sha256::digest(bytes)),
                Err(_) => hash.update(b"unreadable"),
            }
        }
        Fingerprint(hash.finalize().into())
    }

    /// The files of the document itself: one, or those of a folder.
    pub(super) fn config_files(&self) -> BTreeSet<PathBuf> {
        match fs::read_dir(&self.config) {
            Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| is_document(path)).collect(),
            Err(_) => BTreeSet::from([self.config.clone()]),
        }
    }
}

/// Whether a file of a folder would be read as a part of the document.
pub(super) fn is_document(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn secrets(document: &Document) -> impl Iterator<Item = &document::Secret> {
    let shared = document.issuers.iter().filter_map(|issuer| issuer.secret.as_ref());
    let introspection = document.issuers.iter().filter_map(|issuer| Some(&issuer.introspection.as_ref()?.client_secret));
    let upstreams = document.upstreams.iter().filter_map(|upstream| Some(&upstream.auth.as_ref()?.client_credentials.client_secret));
    let registries = document.plugins.iter().filter_map(|plugin| Some(&plugin.source.as_ref()?.oci.as_ref()?.auth()?.password));
    shared.chain(introspection).chain(upstreams).chain(registries).chain(&document.identity.pepper)
}

fn certificate_files(tls: &document::Tls) -> impl Iterator<Item = &Path> {
    tls.certificates.iter().flat_map(pair).chain(tls.client_auth.iter().map(|client_auth| client_auth.ca.as_path()))
}

fn upstream_files(tls: &document::UpstreamTls) -> impl Iterator<Item = &Path> {
    tls.client_certificate.iter().flat_map(pair).chain(tls.ca.as_deref())
}

fn pair(certificate: &document::Certificate) -> [&Path; 2] {
    [&certificate.cert, &certificate.key]
}
