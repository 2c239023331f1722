//! One look at a registry: what a reference stands for, and its component if that is something new. Everything that
//! comes is held against its digest, and against the largest size before and while it comes.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context, Poll};
use std::time::Duration;

use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use thiserror::Error;
use tokio::io::AsyncWrite;

use super::layout::{self, Misfit};
use super::{Artifact, LARGEST};

/// How long a registry may take to take a connection, and between two parts of an answer.
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(10);

/// An artifact that was pulled.
pub struct Found {
    /// The digest of its manifest.
    pub manifest: String,
    /// Its component.
    pub bytes: Vec<u8>,
    /// The signature of its component, if it brings one.
    pub signature: Option<String>,
}

/// Why nothing was pulled.
#[derive(Debug, Error)]
pub enum PullError {
    /// The reference is none.
    #[error("{0}")]
    Reference(#[from] oci_client::ParseError),
    /// The registry is away, or does not give it.
    #[error("{}", told(.0))]
    Registry(#[from] OciDistributionError),
    /// What it gives is no component.
    #[error("{0}")]
    Misfit(#[from] Misfit),
    /// It took too long.
    #[error("the registry took longer than {0:?}")]
    Slow(Duration),
    /// This machine does not give what is needed.
    #[error("{0}")]
    Machine(String),
}

/// What an artifact is now, if its manifest is not the known one.
pub async fn within(patience: Duration, artifact: &Artifact, known: Option<&str>) -> Result<Option<Found>, PullError> {
    let looked = tokio::time::timeout(patience, look(artifact, known)).await;
    looked.unwrap_or(Err(PullError::Slow(patience)))
}

async fn look(artifact: &Artifact, known: Option<&str>) -> Result<Option<Found>, PullError> {
    let (client, auth) = (client(artifact)?, auth(artifact)?);
    let reference: Reference = artifact.reference.parse()?;
    let manifest = match artifact.digest() {
        Some(digest) => digest.to_owned(),
        None => client.fetch_manifest_digest(&reference, &auth).await?,
    };
    if known == Some(&*manifest) {
        return Ok(None);
    }
    // By its digest from here on: a tag that moves meanwhile cannot mix two artifacts.
    let pinned = reference.clone_with_digest(manifest.clone());
    let (described, _) = client.pull_manifest(&pinned, &auth).await?;
    let layer = layout::component(&described)?;
    let mut component = Capped::default();
    let pulled = client.pull_blob(&pinned, layer, &mut component).await;
    if component.is_over {
        return Err(Misfit::Endless.into());
    }
    pulled?;
    Ok(Some(Found { manifest, bytes: component.bytes, signature: layout::signature(&described) }))
}

/// A client for one look: its connections belong to the runtime that makes it.
pub(super) fn client(artifact: &Artifact) -> Result<Client, PullError> {
    static PROVIDER: Once = Once::new();
    // The library's HTTP client takes the cryptography that the process has installed. Somebody else may have done so.
    PROVIDER.call_once(|| drop(rustls::crypto::aws_lc_rs::default_provider().install_default()));
    let protocol = if artifact.speaks_plainly() { ClientProtocol::Http } else { ClientProtocol::Https };
    let config = ClientConfig {
        protocol,
        tls_certs_only: trusted(artifact),
        connect_timeout: Some(CONNECT),
        read_timeout: Some(SILENCE),
        platform_resolver: None,
        user_agent: concat!("gatehouse/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    };
    Ok(Client::try_from(config)?)
}

fn trusted(artifact: &Artifact) -> Vec<Certificate> {
    let authorities = artifact.authorities.iter().flat_map(|authorities| authorities.iter());
    authorities.map(|der| Certificate { encoding: CertificateEncoding::Der, data: der.clone() }).collect()
}

pub(super) fn auth(artifact: &Artifact) -> Result<RegistryAuth, PullError> {
    let Some(credentials) = &artifact.credentials else { return Ok(RegistryAuth::Anonymous) };
    let password = String::from_utf8(credentials.password.0.clone());
    let password = password.map_err(|_| PullError::Machine("the password is not UTF-8".into()))?;
    Ok(RegistryAuth::Basic(credentials.username.clone(), password))
}

/// An error with its causes, without the length of an error page.
fn told(error: &OciDistributionError) -> String {
    const LONGEST: usize = 400;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    let text = text.replace(['\n', '\r'], " ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Bytes up to the largest size. A registry may send more than its manifest says.
#[derive(Default)]
struct Capped {
    bytes: Vec<u8>,
    is_over: bool,
}

impl AsyncWrite for Capped {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.bytes.len() + bytes.len() > LARGEST {
            self.is_over = true;
            return Poll::Ready(Err(io::Error::other("too large")));
        }
        self.bytes.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
