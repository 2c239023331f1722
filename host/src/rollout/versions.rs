//! The versions of a plugin that have a part, made ready for its seats: components found and compiled, and configured as
//! each seat asks for.

use std::fs;
use std::sync::Arc;

use crate::plugin::compile::Sha256Digest;
use crate::plugin::load::Artifact;
use crate::plugin::{Loader, Refusal, Usage, builtin};
use crate::registry::Copied;

use super::comparison::Comparison;
use super::record::{Record, Source, Version, now};
use super::seat::{Candidate, Lineup, Part, Seat, Share};
use super::{Declared, Origin, RolloutError, Rollouts, modules, stable, trying};

/// The versions of a plugin that have a part, compiled.
pub(super) struct Versions {
    stable: Arc<Artifact>,
    previous: Option<Arc<Artifact>>,
    candidate: Option<(Arc<Artifact>, Share, Part)>,
}

impl Versions {
    /// The versions, configured as a seat asks for.
    pub(super) fn lineup(&self, loader: &Loader, seat: &Seat) -> Result<Lineup, RolloutError> {
        let usage = |artifact: &Arc<Artifact>, shadow: bool| -> Result<Arc<Usage>, RolloutError> {
            let refused = |refusal: Refusal| RolloutError::Configured { config: seat.spec.config.to_string(), refusal };
            loader.usage(artifact, &seat.spec.of(artifact.digest, shadow)).map_err(refused)
        };
        let candidate = match &self.candidate {
            None => None,
            Some((artifact, share, part)) => {
                let usage = usage(artifact, part.is_shadow())?;
                Some(Candidate { usage, share: *share, part: part.clone() })
            }
        };
        Ok(Lineup {
            stable: usage(&self.stable, false)?,
            previous: self.previous.as_ref().and_then(|artifact| usage(artifact, false).ok()),
            candidate,
        })
    }
}

impl Rollouts {
    /// The declared component is a version like others, so that one can go back to it.
    pub(super) fn number_declared(
        &self,
        loader: &Loader,
        plugin: &str,
        record: &mut Record,
        declared: Option<&Declared>,
    ) -> Result<(), RolloutError> {
        let Some(declared) = declared else { return Ok(()) };
        if record.with(declared.digest.into()).is_some() {
            declared.signature.iter().for_each(|signature| record.sign(declared.digest.into(), signature, None));
            return Ok(());
        }
        let (bytes, artifact) = (declared.bytes(plugin)?, loader.known(declared.digest));
        let imports = artifact.map(|artifact| artifact.imports.clone()).unwrap_or_default();
        modules::write(self.store()?, declared.digest, &bytes)?;
        let version = Version {
            version: 0,
            sha256: declared.digest.into(),
            size: bytes.len() as u64,
            imports,
            source: Source::from(&declared.origin),
            signed_by: None,
            signature: declared.signature.clone(),
            created: now(),
        };
        record.add(version, Some(declared.digest.into()));
        Ok(())
    }

    /// What a record says, compiled.
    pub(super) fn versions(
        &self,
        loader: &Loader,
        plugin: &str,
        record: &Record,
        declared: Option<Sha256Digest>,
        comparison: Option<&Arc<Comparison>>,
    ) -> Result<Versions, RolloutError> {
        let serving = stable(record, declared).and_then(|version| record.digest(version)).or(declared);
        let serving = serving.ok_or_else(|| RolloutError::UnknownPlugin(plugin.to_owned()))?;
        let previous = record.previous.and_then(|version| record.digest(version));
        let candidate = record.candidate.as_ref().and_then(|terms| trying(record, terms, comparison));
        let signed = |digest: Sha256Digest| {
            // What the configuration declares was checked when the configuration was.
            let version = record.with(digest.into()).filter(|_| declared != Some(digest));
            let checked = version.map(|version| self.signatures.load().check_version(plugin, version, || self.component(digest)));
            checked.unwrap_or(Ok(())).and_then(|()| self.artifact(loader, digest))
        };
        Ok(Versions {
            stable: signed(serving)?,
            // Where it cannot be had any more, there is nothing to fall back to.
            previous: previous.and_then(|digest| signed(digest).ok()),
            candidate: match candidate {
                None => None,
                Some((digest, share, part)) => Some((signed(digest)?, share, part)),
            },
        })
    }

    fn artifact(&self, loader: &Loader, digest: Sha256Digest) -> Result<Arc<Artifact>, RolloutError> {
        match loader.known(digest) {
            Some(artifact) => Ok(artifact),
            None => loader.artifact(&self.component(digest)?).map_err(RolloutError::Component),
        }
    }
}

impl Declared {
    fn bytes(&self, plugin: &str) -> Result<Vec<u8>, RolloutError> {
        let path = match &self.origin {
            Origin::BuiltIn => return Ok(builtin::find(plugin).unwrap_or_default().to_vec()),
            Origin::Registry { copy: Copied::Memory(bytes), .. } => return Ok(bytes.to_vec()),
            Origin::File(path) | Origin::Registry { copy: Copied::Disk(path), .. } => path,
        };
        let bytes = fs::read(path).map_err(|cause| RolloutError::Module { digest: self.digest.to_string(), cause })?;
        match Sha256Digest::of(&bytes) == self.digest {
            true => Ok(bytes),
            false => Err(RolloutError::FileChanged(path.clone())),
        }
    }
}
