//! Plugins whose components are in registries: all of a document are pulled together.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::document::Oci;
use crate::config::{Code, Finding, KeyPath};
use crate::pem;
use crate::registry::{Absent, Artifact, Component, Credentials};

use super::super::build::read_secret;
use super::Loading;

/// The components of plugins in registries, by the places of the plugins in the document.
pub fn pull(loading: &Loading<'_>, findings: &mut Vec<Finding>) -> HashMap<usize, Component> {
    let (mut places, mut artifacts) = (Vec::new(), Vec::new());
    for (place, oci) in sources(loading) {
        match artifact(loading, oci, path(place)) {
            Ok(artifact) => {
                places.push((place, oci));
                artifacts.push(artifact);
            }
            Err(finding) => findings.push(finding),
        }
    }
    let components = loading.builder.registries.components(&artifacts);
    let mut pulled = HashMap::new();
    for ((place, oci), component) in places.into_iter().zip(components) {
        match component {
            Ok(component) => drop(pulled.insert(place, component)),
            Err(Absent::Unpulled) if !loading.unknown_is_wrong => {}
            Err(absent) => findings.push(missing(place, oci, absent)),
        }
    }
    pulled
}

fn sources<'a>(loading: &Loading<'a>) -> impl Iterator<Item = (usize, &'a Oci)> {
    let plugins = loading.document.plugins.iter().enumerate();
    plugins.filter_map(|(place, plugin)| Some((place, plugin.source.as_ref()?.oci.as_ref()?)))
}

fn artifact(loading: &Loading<'_>, oci: &Oci, path: KeyPath) -> Result<Artifact, Finding> {
    let credentials = match oci.auth() {
        None => None,
        Some(auth) => {
            let refused = |(got, want)| Finding::new(path.clone().key("auth").key("password"), Code::Value, got, want);
            let password = read_secret(&auth.password, loading.sources).map_err(refused)?;
            Some(Credentials { username: auth.username.clone(), password })
        }
    };
    let authorities = authorities(loading, oci, &path)?;
    let (reference, refresh) = (oci.reference().to_owned(), oci.refresh().get());
    Ok(Artifact { reference, credentials, refresh, insecure: oci.insecure(), authorities })
}

fn authorities(loading: &Loading<'_>, oci: &Oci, path: &KeyPath) -> Result<Option<Arc<[Vec<u8>]>>, Finding> {
    let Some(file) = oci.ca().map(|file| loading.sources.resolve(file)) else { return Ok(None) };
    let refused = |want: String| Finding::new(path.clone().key("ca"), Code::Unreadable, file.display().to_string(), want);
    let certificates = pem::certificates(&file).map_err(|error| refused(format!("a PEM file of certificates: {error}")))?;
    Ok(Some(certificates.iter().map(|certificate| certificate.to_vec()).collect()))
}

fn missing(place: usize, oci: &Oci, absent: Absent) -> Finding {
    let why = match absent {
        Absent::Unpulled => "it was not pulled".to_owned(),
        Absent::Failed(why) => why,
    };
    let path = match oci {
        Oci::Reference(_) => path(place),
        Oci::Artifact(_) => path(place).key("reference"),
    };
    Finding::new(path, Code::Unreadable, oci.reference(), format!("an artifact that can be pulled: {why}"))
}

fn path(place: usize) -> KeyPath {
    KeyPath::default().key("plugins").index(place).key("source").key("oci")
}
