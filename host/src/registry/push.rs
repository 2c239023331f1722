//! A component into a registry, as one layer: the layout of the CNCF's Wasm working group, which other tools take as well.

use std::collections::BTreeMap;

use oci_client::Reference;
use oci_client::client::{Config, ImageLayer};
use oci_client::manifest::OciImageManifest;

use super::Artifact;
use super::layout::{COMPONENTS, SIGNATURE};
use super::pull::{self, PullError};

/// The type of the configuration that goes with the layer.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// What the configuration has to say. The gateway looks at the component itself.
const CONTENT: &[u8] = br#"{"architecture":"wasm","os":"wasip2"}"#;

/// Pushes a component under the tag of a reference. Gives the digest of its manifest.
///
/// # Errors
/// When the reference is none, or the registry away or not willing.
pub async fn push(artifact: &Artifact, component: Vec<u8>, signature: Option<String>) -> Result<String, PullError> {
    let (client, auth) = (pull::client(artifact)?, pull::auth(artifact)?);
    let reference: Reference = artifact.reference.parse()?;
    let layers = [ImageLayer::new(component, COMPONENTS[0].to_owned(), None)];
    let config = Config::new(CONTENT.to_vec(), CONFIG.to_owned(), None);
    let annotations = signature.map(|signature| BTreeMap::from([(SIGNATURE.to_owned(), signature)]));
    let manifest = OciImageManifest::build(&layers, &config, annotations);
    client.push(&reference, &layers, config, &auth, Some(manifest)).await?;
    Ok(client.fetch_manifest_digest(&reference, &auth).await?)
}
