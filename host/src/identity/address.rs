//! Where the gateway asks an issuer: at a configured address, or at one that the issuer's own metadata name. The metadata
//! are looked up in the background; who asks before they are known waits for them.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Uri;
use thiserror::Error;
use tokio::{runtime::Handle, sync::watch, time::sleep};
use tracing::{debug, warn};

use crate::identity::{
    discovery::{self, DiscoveryError, Metadata},
    fetch::Fetch,
    form,
};

/// How an address is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// It stands in the configuration.
    Url(String),
    /// This issuer says where it is (OpenID Connect Discovery, RFC 8414).
    Issuer(String),
}

/// An endpoint of an issuer, of those that its metadata name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// For opaque tokens (RFC 7662).
    Introspection,
    /// For tokens of the gateway's own (RFC 6749 §3.2).
    Token,
}

/// The address of an endpoint.
pub struct Address {
    source: Source,
    endpoint: Endpoint,
    known: watch::Sender<Option<Uri>>,
    attended: AtomicBool,
}

/// What is wrong with how an address is to be known.
#[derive(Debug, Error)]
pub enum AddressError {
    /// Not an address that can be asked.
    #[error("{0:?} is not an http or https address of a host")]
    BadUrl(String),
    /// An issuer that cannot be asked for its metadata.
    #[error("the issuer cannot be asked for it: {0}")]
    Undiscoverable(DiscoveryError),
}

// === impl Address ===

impl Address {
    const LIFETIME: Duration = Duration::from_secs(3_600);
    const FIRST_RETRY: Duration = Duration::from_secs(1);
    const LONGEST_RETRY: Duration = Duration::from_secs(60);

    /// The address of this endpoint.
    pub fn new(source: Source, endpoint: Endpoint) -> Result<Self, AddressError> {
        let known = match &source {
            Source::Url(url) => Some(form::address(url).ok_or_else(|| AddressError::BadUrl(url.clone()))?),
            Source::Issuer(issuer) => {
                discovery::addresses(issuer).map_err(AddressError::Undiscoverable)?;
                None
            }
        };
        Ok(Self { source, endpoint, known: watch::Sender::new(known), attended: AtomicBool::new(false) })
    }

    /// Looks for it in the background, where it is not configured, until it is dropped. Does nothing the second time.
    pub fn attend(self: &Arc<Self>, runtime: &Handle, fetch: &Arc<impl Fetch>) {
        if matches!(self.source, Source::Issuer(_)) && !self.attended.swap(true, Relaxed) {
            runtime.spawn(look(Arc::downgrade(self), Arc::clone(fetch)));
        }
    }

    /// The address, as soon as it is known.
    pub async fn find(&self) -> Uri {
        let mut known = self.known.subscribe();
        let found = known.wait_for(Option::is_some).await;
        found.ok().and_then(|found| found.clone()).expect("the sender is ours, and it was waited for")
    }

    // How long it is good for, or how long until the next try.
    fn learn(&self, looked: Result<Metadata, DiscoveryError>, failures: &mut u32) -> Duration {
        let (Source::Issuer(source) | Source::Url(source), endpoint) = (&self.source, self.endpoint);
        let named = looked.map(|metadata| match endpoint {
            Endpoint::Introspection => metadata.introspection_endpoint,
            Endpoint::Token => metadata.token_endpoint,
        });
        if let Ok(Some(address)) = named {
            debug!(issuer = source, ?endpoint, %address, "the issuer says where it is asked");
            self.known.send_replace(Some(address));
            *failures = 0;
            return Self::LIFETIME;
        }
        let reason = named.map_or_else(|error| error.to_string(), |_| "its metadata do not name it".to_owned());
        if *failures == 0 {
            warn!(issuer = source, ?endpoint, reason, "it is not known where to ask the issuer; a last answer stays good");
        }
        let wait = Self::FIRST_RETRY * 2u32.saturating_pow((*failures).min(16));
        *failures += 1;
        wait.min(Self::LONGEST_RETRY)
    }
}

async fn look(address: Weak<Address>, fetch: Arc<impl Fetch>) {
    let mut failures = 0;
    loop {
        let Some(Source::Issuer(issuer)) = address.upgrade().map(|address| address.source.clone()) else { return };
        let looked = discovery::discover(&issuer, &*fetch).await;
        let Some(found) = address.upgrade() else { return };
        let wait = found.learn(looked, &mut failures);
        drop(found);
        sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use parking_lot::Mutex;
    use serde_json::json;
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::identity::fetch::{FetchError, Fetched};

    const ISSUER: &str = "https://issuer.example";

    // Says where everything is, once it is up.
    #[derive(Default)]
    struct Script {
        path: Mutex<Option<&'static str>>,
        asked: Mutex<Vec<Instant>>,
    }

    impl Fetch for Script {
        async fn get(&self, _url: &Uri) -> Result<Fetched, FetchError> {
            self.asked.lock().push(Instant::now());
            let path = self.path.lock().ok_or(FetchError::Status(StatusCode::BAD_GATEWAY))?;
            let (introspection, token) = (format!("{ISSUER}/{path}/introspect"), format!("{ISSUER}/{path}/token"));
            let metadata = json!({
                "issuer": ISSUER, "jwks_uri": ISSUER, "introspection_endpoint": introspection, "token_endpoint": token,
            });
            Ok(Fetched { body: metadata.to_string().into(), cache_control: None })
        }
    }

    fn discovered(endpoint: Endpoint, script: &Arc<Script>) -> Arc<Address> {
        let address = Arc::new(Address::new(Source::Issuer(ISSUER.into()), endpoint).unwrap());
        address.attend(&Handle::current(), script);
        address
    }

    #[tokio::test]
    async fn a_configured_address_is_known_at_once() {
        let address = Address::new(Source::Url("https://issuer.example/x".into()), Endpoint::Token).unwrap();
        assert_eq!(address.find().await, "https://issuer.example/x");
    }

    #[tokio::test(start_paused = true)]
    async fn an_issuer_says_where_it_is_asked() {
        let script = Arc::new(Script { path: Mutex::new(Some("a")), ..Script::default() });
        assert_eq!(discovered(Endpoint::Introspection, &script).find().await, "https://issuer.example/a/introspect");
        assert_eq!(discovered(Endpoint::Token, &script).find().await, "https://issuer.example/a/token");
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_too_early_waits_until_the_issuer_is_up() {
        let script = Arc::new(Script::default());
        let address = discovered(Endpoint::Token, &script);
        assert!(timeout(Duration::from_secs(2), address.find()).await.is_err(), "nobody says");
        *script.path.lock() = Some("a");
        assert!(timeout(Duration::from_secs(2), address.find()).await.is_ok(), "the next try finds it");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_is_looked_up_every_hour_and_kept_while_nobody_answers() {
        let script = Arc::new(Script { path: Mutex::new(Some("a")), ..Script::default() });
        let address = discovered(Endpoint::Token, &script);
        address.find().await;
        *script.path.lock() = Some("b");
        sleep(Duration::from_secs(3_599)).await;
        assert_eq!(address.find().await, "https://issuer.example/a/token", "not yet");
        sleep(Duration::from_secs(2)).await;
        assert_eq!(address.find().await, "https://issuer.example/b/token", "it moved");
        *script.path.lock() = None;
        sleep(Duration::from_secs(3_700)).await;
        assert_eq!(address.find().await, "https://issuer.example/b/token", "the last known");
        drop(address);
        let asked = script.asked.lock().len();
        sleep(Duration::from_secs(3_600)).await;
        assert_eq!(script.asked.lock().len(), asked, "nobody wants to know any more");
    }

    #[test]
    fn an_address_of_something_else_is_refused() {
        for source in ["", "issuer.example", "ftp://issuer.example/", "https://user:secret@issuer.example/"] {
            assert!(Address::new(Source::Url(source.into()), Endpoint::Token).is_err(), "{source}");
            assert!(Address::new(Source::Issuer(source.into()), Endpoint::Token).is_err(), "{source}");
        }
    }
}
