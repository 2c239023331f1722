//! Which blob of an artifact is the component. Two layouts are common: the one of the CNCF's Wasm working group, with
//! layers `application/wasm`, and the older one with content layers of their own types. What the configuration blob says
//! is of no use to a gateway: the component is looked at itself.

use oci_client::manifest::{OciDescriptor, OciManifest};
use thiserror::Error;

use super::LARGEST;

/// The types of layers that are components.
pub const COMPONENTS: [&str; 3] =
    ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm", "application/vnd.module.wasm.content.layer.v1+wasm"];

/// Why an artifact is none that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Misfit {
    /// It is several artifacts.
    #[error("it is an index of several artifacts; name one of them by its digest")]
    Index,
    /// It has not one layer.
    #[error("it has {0} layers, a component has one")]
    Layers(usize),
    /// Its layer is something else.
    #[error("its layer is {0:?}, not one of {list}", list = COMPONENTS.join(", "))]
    Type(String),
    /// Its component is too large.
    #[error("its component has {0} bytes, {LARGEST} are allowed")]
    TooLarge(i64),
    /// Its component is larger than it said.
    #[error("its component has more than {LARGEST} bytes, whatever its manifest says")]
    Endless,
    /// Its layer is named by another kind of digest.
    #[error("its layer has the digest {0:?}, want sha256:…")]
    Digest(String),
}

/// The layer that is the component.
pub fn component(manifest: &OciManifest) -> Result<&OciDescriptor, Misfit> {
    let OciManifest::Image(manifest) = manifest else { return Err(Misfit::Index) };
    let [layer] = &*manifest.layers else { return Err(Misfit::Layers(manifest.layers.len())) };
    if !COMPONENTS.contains(&&*layer.media_type) {
        return Err(Misfit::Type(layer.media_type.clone()));
    }
    if usize::try_from(layer.size).map_or(true, |size| size > LARGEST) {
        return Err(Misfit::TooLarge(layer.size));
    }
    match layer.digest.starts_with("sha256:") {
        true => Ok(layer),
        false => Err(Misfit::Digest(layer.digest.clone())),
    }
}

/// The annotation of a manifest with the signature of its component: what is in `FILE.sig` beside a file.
pub const SIGNATURE: &str = "dev.gatehouse.signature";

/// The signature of the component, if there is one.
pub fn signature(manifest: &OciManifest) -> Option<String> {
    let OciManifest::Image(manifest) = manifest else { return None };
    manifest.annotations.as_ref()?.get(SIGNATURE).map(|signature| signature.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(layers: &[(&str, i64)]) -> OciManifest {
        let layers: Vec<_> = layers
            .iter()
            .map(|(kind, size)| serde_json::json!({"mediaType": kind, "size": size, "digest": format!("sha256:{}", "a".repeat(64))}))
            .collect();
        let config = serde_json::json!({"mediaType": "application/vnd.wasm.config.v0+json", "size": 2, "digest": "sha256:b"});
        serde_json::from_value(serde_json::json!({"schemaVersion": 2, "config": config, "layers": layers})).expect("a manifest")
    }

    #[track_caller]
    fn check(layers: &[(&str, i64)], expected: Option<Misfit>) {
        assert_eq!(component(&manifest(layers)).err(), expected, "{layers:?}");
    }

    #[test]
    fn one_layer_that_is_a_component_is_taken() {
        check(&[("application/wasm", 8)], None);
        check(&[("application/vnd.wasm.content.layer.v1+wasm", 8)], None);
        check(&[("application/vnd.module.wasm.content.layer.v1+wasm", 32 << 20)], None);
        check(&[], Some(Misfit::Layers(0)));
        check(&[("application/wasm", 8), ("application/wasm", 8)], Some(Misfit::Layers(2)));
        let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
        check(&[(tar, 8)], Some(Misfit::Type(tar.into())));
        check(&[("application/wasm", (32 << 20) + 1)], Some(Misfit::TooLarge((32 << 20) + 1)));
        check(&[("application/wasm", -1)], Some(Misfit::TooLarge(-1)));
    }
}
