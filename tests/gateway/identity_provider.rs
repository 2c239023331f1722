//! Tokens of a real OpenID provider: found by discovery, while its keys change under load, and when it is gone.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use gatehouse_tests::{
    Client, Gateway, IdentityProvider, Request, Setup,
    clock::Clock,
    get,
    identity_provider::{CLIENT, GATEWAY, Kind},
    wire::soon,
};
use tokio::{task::JoinSet, time::sleep};

fn config(provider: &IdentityProvider) -> String {
    format!(
        "issuers: [{{name: main, issuer: \"{}\", audiences: [api], algorithms: [RS256, ES256], jwks: {{refetch_floor: 200ms}}}}]
routes:
  - {{name: all, chain: [{{plugin: jwt, config: {{issuer: main, scopes: [orders.read]}}}}, {{plugin: mock, config: {{body: in}}}}]}}
",
        provider.issuer()
    )
}

fn bearing(token: &str) -> Request {
    get("/").header("authorization", &format!("Bearer {token}"))
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.ask(bearing(token)).await.status
}

#[tokio::test]
async fn a_provider_is_discovered_and_its_tokens_get_in() {
    let provider = IdentityProvider::start().await;
    let gateway = Gateway::start(&config(&provider)).await;
    for kind in [Kind::Rs256, Kind::Es256] {
        let token = provider.token(kind, "orders.read").await;
        assert_eq!(status(&gateway, &token).await, 200, "{kind:?}");
    }
    let narrow = provider.token(Kind::Es256, "orders.write").await;
    let response = gateway.ask(bearing(&narrow)).await;
    assert_eq!(response.status, 403, "another scope");
    assert!(response.header("www-authenticate").is_some_and(|challenge| challenge.contains("insufficient_scope")));
    let opaque = provider.token(Kind::Opaque, "orders.read").await;
    assert_eq!(status(&gateway, &opaque).await, 401, "a token that is no JWT");
    let entries = gateway.access_log(4).await;
    let served: Vec<_> = entries.iter().filter(|entry| entry["status"] == 200).collect();
    assert_eq!(served.len(), 2, "each worker logs in its own order: {entries:?}");
    assert!(served.iter().all(|entry| entry["client"] == CLIENT), "the log knows who it was");
}

/// Clients that send one request after the other with whatever token is theirs at the moment.
struct Load {
    tokens: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    clients: JoinSet<()>,
}

impl Load {
    fn new(gateway: &Gateway, clients: usize, token: String) -> Self {
        let load = Self { tokens: Arc::new(Mutex::new(vec![token])), over: Arc::default(), sent: Arc::default(), clients: JoinSet::new() };
        (0..clients).fold(load, |mut load, number| {
            load.clients.spawn(load.client(gateway, number));
            load
        })
    }

    /// Every third client stays with the oldest token, the others take the newest.
    fn client(&self, gateway: &Gateway, number: usize) -> impl Future<Output = ()> + 'static + use<> {
        let (tokens, over, sent, address) = (self.tokens.clone(), self.over.clone(), self.sent.clone(), gateway.address());
        async move {
            let mut client = Client::connect(address).await;
            while !over.load(Relaxed) {
                let token = {
                    let tokens = tokens.lock().unwrap();
                    if number.is_multiple_of(3) { tokens[0].clone() } else { tokens[tokens.len() - 1].clone() }
                };
                let response = client.ask(&bearing(&token)).await;
                assert_eq!(response.status, 200, "a valid token: {}{}", response.head, response.text());
                sent.fetch_add(1, Relaxed);
            }
        }
    }

    fn use_also(&self, token: String) {
        self.tokens.lock().unwrap().push(token);
    }

    async fn end(self) -> usize {
        self.over.store(true, Relaxed);
        soon("the clients to end", self.clients.join_all()).await;
        self.sent.load(Relaxed)
    }
}

#[tokio::test]
async fn keys_change_under_load_and_no_valid_request_fails() {
    let provider = IdentityProvider::start().await;
    let gateway = Gateway::start(&config(&provider)).await;
    let load = Load::new(&gateway, 40, provider.token(Kind::Rs256, "orders.read").await);
    for turn in 0..6 {
        sleep(Duration::from_millis(400)).await;
        provider.rotate().await;
        let kind = if turn % 2 == 0 { Kind::Es256 } else { Kind::Rs256 };
        load.use_also(provider.token(kind, "orders.read").await);
    }
    sleep(Duration::from_millis(400)).await;
    let sent = load.end().await;
    assert!(sent > 500, "that was under load: {sent}");
    let fetched = gateway.log().matches("fetched the issuer's keys").count();
    assert!((7..=8).contains(&fetched), "once at the start and once for each change: {fetched}");
    assert_eq!(gateway.metrics().await.sum("gatehouse_plugin_faults_total", &[]), 0.0, "waiting is no fault");
}

#[tokio::test]
async fn a_key_that_the_provider_forgot_is_forgotten_here() {
    let provider = IdentityProvider::start().await;
    let gateway = Gateway::start(&config(&provider)).await;
    let old = provider.token(Kind::Es256, "orders.read").await;
    assert_eq!(status(&gateway, &old).await, 200);
    provider.rotate_and_forget().await;
    let new = provider.token(Kind::Es256, "orders.read").await;
    assert_eq!(status(&gateway, &new).await, 200, "the new key is fetched");
    assert_eq!(status(&gateway, &old).await, 401, "and the old one is gone with it, remembered tokens too");
}

/// The gateway as a client of the provider that may ask about tokens, and believes an answer for a second.
async fn asking(provider: &IdentityProvider) -> Gateway {
    let issuer = provider.issuer();
    let yaml = format!(
        "
        issuers:
          - name: main
            issuer: \"{issuer}\"
            audiences: [api]
            introspection: {{url: \"{issuer}/token/introspection\", client_id: {GATEWAY}, client_secret: {{file: $DIR/secret}}, cache: 1s}}
        routes:
          - name: all
            chain: [{{plugin: oauth2-introspection, config: {{issuer: main, scopes: [orders.read]}}}}, {{plugin: mock, config: {{body: in}}}}]
        "
    );
    Setup::new(&yaml).file("secret", IdentityProvider::secret(GATEWAY)).start().await
}

#[tokio::test]
async fn a_token_that_is_taken_back_is_refused_within_the_cache_time() {
    let mut provider = IdentityProvider::start().await;
    let gateway = asking(&provider).await;
    let [token, other] = [provider.token(Kind::Opaque, "orders.read").await, provider.token(Kind::Opaque, "orders.read").await];
    let narrow = provider.token(Kind::Opaque, "orders.write").await;
    assert_eq!(status(&gateway, &token).await, 200, "the provider knows it");
    assert_eq!(status(&gateway, &narrow).await, 403, "another scope");
    assert_eq!(status(&gateway, "invented").await, 401, "the provider does not know it");
    provider.revoke(&token).await;
    let revoked = Instant::now();
    while status(&gateway, &token).await == 200 {
        assert!(revoked.elapsed() < Duration::from_secs(3), "a second is the longest that an answer is believed");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status(&gateway, &token).await, 401, "and it stays refused");
    assert_eq!(status(&gateway, &other).await, 200, "the client's other token is as good as before");
    provider.stop().await;
    sleep(Duration::from_millis(1_500)).await;
    assert_eq!(status(&gateway, &other).await, 503, "nobody can be asked any more, and the last answer is too old");
}

#[tokio::test]
async fn a_provider_that_is_gone_for_ten_minutes_locks_nobody_out() {
    let mut provider = IdentityProvider::start().await;
    let (clock, setup) = Clock::under(Setup::new(&config(&provider)));
    let gateway = setup.start().await;
    let seen = provider.token(Kind::Rs256, "orders.read").await;
    let unseen = [provider.token(Kind::Rs256, "orders.read").await, provider.token(Kind::Es256, "orders.read").await];
    provider.rotate().await;
    let too_new = provider.token(Kind::Es256, "orders.read").await;
    assert_eq!(status(&gateway, &seen).await, 200);
    provider.stop().await;
    clock.advance(Duration::from_secs(600));
    assert_eq!(status(&gateway, &too_new).await, 401, "by a key that nobody can be asked for any more");
    gateway.wait_for_log("says that the provider is gone", |line| line.contains("kept the issuer's keys as they are")).await;
    assert_eq!(status(&gateway, &seen).await, 200, "a token that was verified more than a minute ago");
    for token in &unseen {
        assert_eq!(status(&gateway, token).await, 200, "a token that was never verified before");
    }
    clock.advance(Duration::from_secs(3_700));
    assert_eq!(status(&gateway, &seen).await, 401, "an hour is over, and so is the token");
}
