//! The start of the admin API: its address, its tokens, its listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::{Gateway, StartError, announce, machine};
use crate::admin::tokens::Tokens;
use crate::admin::{self, Admin};
use crate::store::{Store, StoreError};

/// The data folder where nobody says another.
pub const DATA: &str = "gatehouse-data";

impl Gateway {
    /// Starts to listen, where there is an address for it.
    pub(super) async fn start_admin(&mut self, address: Option<SocketAddr>, token: Option<&str>) -> Result<(), StartError> {
        let configured = self.document.admin.as_ref().map(|admin| admin.address.0);
        let Some(address) = address.or(configured) else { return Ok(()) };
        let tls = self.shared.current.load().admin_tls.clone();
        if tls.is_none() && !address.ip().is_loopback() {
            return Err(failed(format!("admin listener on {address}"), "only loopback addresses without admin.tls in the configuration"));
        }
        let store = self.open_store()?;
        let (tokens, made) = Tokens::open(token, &store).map_err(|error| failed("admin tokens".into(), error))?;
        let listener = tokio::net::TcpListener::bind(address).await.map_err(machine(format!("admin listener on {address}")))?;
        let bound = listener.local_addr().map_err(machine("admin listener"))?;
        announce(&format!("listening admin {}://{bound}", if tls.is_some() { "https" } else { "http" }));
        if let Some(token) = made {
            announce(&format!("admin token {token}"));
            tracing::info!("an admin token was made and printed; it is not shown again");
        }
        let admin = Arc::new(Admin {
            readiness: Arc::clone(&self.readiness),
            metrics: self.shared.metrics.clone(),
            store,
            tokens,
            current: Arc::clone(&self.shared.current),
            workers: Arc::clone(&self.shared.pinned),
            builder: Arc::clone(&self.builder),
            operations: admin::operations(),
            tls: ArcSwapOption::new(tls),
        });
        tokio::spawn(Arc::clone(&admin).serve(listener));
        self.admin = Some(admin);
        Ok(())
    }

    fn open_store(&self) -> Result<Arc<Store>, StartError> {
        if let Some(store) = &self.store {
            return Ok(Arc::clone(store));
        }
        let folder = self.data.clone().unwrap_or_else(|| PathBuf::from(DATA));
        let broken = |error: StoreError| failed(format!("data folder {}", folder.display()), error);
        let store = Store::open(&folder).map(Arc::new).map_err(broken)?;
        self.builder.rollouts.remember(Arc::clone(&store)).map_err(broken)?;
        Ok(store)
    }
}

pub(super) fn failed(what: String, cause: impl ToString) -> StartError {
    StartError::Machine { what, cause: cause.to_string() }
}
