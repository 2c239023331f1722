//! A real OCI registry, Debian's `docker-registry`, with folders of its own. Artifacts are pushed by hand over HTTP, not by
//! the library that the gateway pulls them with.

use std::{fmt::Write as _, fs, net::SocketAddr, process::Stdio};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{
    client::ask,
    files,
    lines::Lines,
    request::{Request, request},
    tls::Certificate,
    tokens::sha256_bytes,
};

/// Who may use a registry that asks.
pub const USERNAME: &str = "gatehouse";
/// The password.
pub const PASSWORD: &str = "the password of the tests";
/// The password as bcrypt keeps it, at its cheapest.
const HTPASSWD: &str = "$2b$04$abcdefghijklmnopqrstuuswlUkQcpxHv7pKiaGS1ugeSmpRjlXGi";

/// A running registry. It ends with the test.
pub struct Registry {
    address: SocketAddr,
    process: Child,
    folder: TempDir,
    asks: bool,
    secure: bool,
}

/// How a component lies in an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// As the CNCF's Wasm working group and its tools have it.
    Wasm,
    /// As an image with a content layer.
    Content,
}

impl Registry {
    /// Starts an empty registry that lets everybody in.
    pub async fn start() -> Self {
        Self::start_with(false).await
    }

    /// Starts one that lets nobody in but [`USERNAME`].
    pub async fn start_asking() -> Self {
        Self::start_with(true).await
    }

    async fn start_with(asks: bool) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let (process, address) = spawn(&folder, "127.0.0.1:0", asks, false).await;
        Self { address, process, folder, asks, secure: false }
    }

    /// Ends it.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub async fn stop(&mut self) {
        self.process.kill().await.expect("our own child can be ended");
    }

    /// Starts it again where it was, with what it had.
    pub async fn start_again(&mut self) {
        (self.process, _) = spawn(&self.folder, &self.address.to_string(), self.asks, self.secure).await;
    }

    /// Starts it again with what it had, speaking TLS with this certificate from then on. Nothing can be pushed any more.
    ///
    /// # Panics
    /// When its folder takes no files.
    pub async fn start_again_with_tls(&mut self, certificate: &Certificate) {
        self.stop().await;
        fs::write(self.folder.path().join("tls.pem"), certificate.pem()).expect("the folder takes files");
        fs::write(self.folder.path().join("tls.key"), certificate.key_pem()).expect("the folder takes files");
        self.secure = true;
        self.start_again().await;
    }

    /// The reference of a tag or, with `@`, of a digest.
    #[must_use]
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Pushes a component. Returns the digest of its manifest.
    pub async fn push(&self, name: &str, tag: &str, layout: Layout, component: &[u8]) -> String {
        let (layer, config) = match layout {
            Layout::Wasm => ("application/wasm", "application/vnd.wasm.config.v0+json"),
            Layout::Content => ("application/vnd.wasm.content.layer.v1+wasm", "application/vnd.oci.image.config.v1+json"),
        };
        self.push_layers(name, tag, config, &[(layer, component)]).await
    }

    /// Pushes anything as layers. Returns the digest of the manifest.
    ///
    /// # Panics
    /// When the registry does not take it.
    pub async fn push_layers(&self, name: &str, tag: &str, config: &str, layers: &[(&str, &[u8])]) -> String {
        let mut described = Vec::new();
        for (kind, bytes) in layers {
            described.push(self.blob(name, kind, bytes).await);
        }
        let config = self.blob(name, config, b"{}").await;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": described}).to_string();
        let digest = digest(manifest.as_bytes());
        let put = self.request("PUT", &format!("/v2/{name}/manifests/{tag}")).header("content-type", kind).body(manifest);
        let response = ask(self.address, put).await;
        assert_eq!(response.status, 201, "the manifest is taken: {}{}", response.head, response.text());
        digest
    }

    /// Pushes a blob. Returns its descriptor.
    async fn blob(&self, name: &str, kind: &str, bytes: &[u8]) -> Value {
        let begun = ask(self.address, self.request("POST", &format!("/v2/{name}/blobs/uploads/")).body("")).await;
        let location = begun.header("location").unwrap_or_else(|| panic!("an upload begins: {}{}", begun.head, begun.text()));
        let target = location.trim_start_matches(&format!("http://{}", self.address)).to_owned();
        let put = self.request("PUT", &format!("{target}&digest={}", digest(bytes)));
        let response = ask(self.address, put.header("content-type", "application/octet-stream").body(bytes)).await;
        assert_eq!(response.status, 201, "the blob is taken: {}{}", response.head, response.text());
        json!({"mediaType": kind, "digest": digest(bytes), "size": bytes.len()})
    }

    fn request(&self, method: &str, target: &str) -> Request {
        let request = request(method, target).header("host", &self.address.to_string()).header("connection", "close");
        let basic = STANDARD.encode(format!("{USERNAME}:{PASSWORD}"));
        if self.asks { request.header("authorization", &format!("Basic {basic}")) } else { request }
    }
}

/// A digest as registries write it.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256_bytes(bytes))
}

async fn spawn(folder: &TempDir, address: &str, asks: bool, secure: bool) -> (Child, SocketAddr) {
    let path = folder.path().display();
    let mut config = format!(
        "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {path}/data}}}}\nhttp:\n  addr: \"{address}\"\n"
    );
    if secure {
        writeln!(config, "  tls: {{certificate: {path}/tls.pem, key: {path}/tls.key}}").expect("a text takes text");
    }
    if asks {
        fs::write(folder.path().join("htpasswd"), format!("{USERNAME}:{HTPASSWD}\n")).expect("the folder takes files");
        writeln!(config, "auth: {{htpasswd: {{realm: tests, path: {path}/htpasswd}}}}").expect("a text takes text");
    }
    fs::write(folder.path().join("config.yml"), config).expect("the folder takes files");
    let mut command = Command::new(files::docker_registry());
    command.arg("serve").arg(folder.path().join("config.yml")).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut process = command.spawn().expect("the registry's binary runs");
    let log = Lines::collect(process.stderr.take().expect("stderr is a pipe"));
    let line = log.find(|line| line.contains("listening on ")).await;
    let line = line.unwrap_or_else(|| panic!("the registry did not start:\n{}", log.text()));
    let address = line.split("listening on ").nth(1).and_then(|rest| rest.split(['"', ',']).next());
    (process, address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("an address: {line}")))
}
