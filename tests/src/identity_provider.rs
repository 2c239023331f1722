//! A real OpenID provider, `oidc-provider` on Node: `tests/identity-provider` says what it issues. `make setup-tests`
//! installs it.

use std::{net::SocketAddr, process::Stdio};

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::process::{Child, ChildStdin, Command};

use crate::{
    client::ask,
    files,
    lines::Lines,
    request::{Request, request},
    response::Response,
};

/// A running provider. It ends with the test.
pub struct IdentityProvider {
    address: SocketAddr,
    process: Child,
    // The provider leaves when this is closed.
    _input: ChildStdin,
    log: Lines,
}

/// The client that tokens are issued to, and so their subject.
pub const CLIENT: &str = "alice";

/// The client that may ask about tokens.
pub const GATEWAY: &str = "gatehouse";

/// What a token is for, which says of which kind it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A JWT signed by RS256.
    Rs256,
    /// A JWT signed by ES256.
    Es256,
    /// Text that only the provider understands.
    Opaque,
}

impl IdentityProvider {
    /// Starts a provider with keys of its own.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    pub async fn start() -> Self {
        let mut command = Command::new("node");
        command.arg("serve.mjs").current_dir(files::installed("identity-provider"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("node is installed: run `make setup-tests` first");
        let input = process.stdin.take().expect("stdin is a pipe");
        let output = Lines::collect(process.stdout.take().expect("stdout is a pipe"));
        let log = Lines::collect(process.stderr.take().expect("stderr is a pipe"));
        let line = output.find(|line| line.starts_with("http://")).await;
        let line = line.unwrap_or_else(|| panic!("the identity provider did not start:\n{}", log.text()));
        let address = line.trim_start_matches("http://").parse().expect("it prints its address");
        Self { address, process, _input: input, log }
    }

    /// Its name as an issuer, which is its address.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The secret of one of its clients.
    #[must_use]
    pub fn secret(client: &str) -> String {
        format!("the secret of {client}")
    }

    /// Has a token issued, good for an hour, for the audience `api` and this scope.
    ///
    /// # Panics
    /// When it issues none.
    pub async fn token(&self, kind: Kind, scope: &str) -> String {
        let resource = match kind {
            Kind::Rs256 => "urn:api:rs256",
            Kind::Es256 => "urn:api:es256",
            Kind::Opaque => "urn:api:opaque",
        };
        let form = format!("grant_type=client_credentials&resource={resource}&scope={scope}");
        let response = self.post("/token", &form).await;
        let token = response.json()["access_token"].as_str().map(str::to_owned);
        token.unwrap_or_else(|| panic!("no token: {}{}\n{}", response.head, response.text(), self.log.text()))
    }

    /// Takes a token back.
    ///
    /// # Panics
    /// When it refuses to.
    pub async fn revoke(&self, token: &str) {
        let response = self.post("/token/revocation", &format!("token={token}")).await;
        assert_eq!(response.status, 200, "the token is taken back: {}", response.text());
    }

    /// Signs with fresh keys from now on. Those before stay published.
    pub async fn rotate(&self) {
        self.control("/control/rotate").await;
    }

    /// Signs with fresh keys from now on, and forgets those before.
    pub async fn rotate_and_forget(&self) {
        self.control("/control/rotate?forget").await;
    }

    /// Ends it.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub async fn stop(&mut self) {
        self.process.kill().await.expect("our own child can be ended");
    }

    async fn control(&self, target: &str) {
        let response = ask(self.address, self.request(target)).await;
        assert_eq!(response.status, 200, "{target}: {}", response.text());
    }

    async fn post(&self, target: &str, form: &str) -> Response {
        // RFC 6749 §2.3.1: id and secret are form-encoded first.
        let secret = Self::secret(CLIENT).replace(' ', "%20");
        let basic = STANDARD.encode(format!("{CLIENT}:{secret}"));
        let request = self.request(target).header("authorization", &format!("Basic {basic}"));
        ask(self.address, request.header("content-type", "application/x-www-form-urlencoded").body(form)).await
    }

    fn request(&self, target: &str) -> Request {
        request("POST", target).header("host", &self.address.to_string()).header("connection", "close")
    }
}
