//! The start of the admin API: its address, its tokens, its listener.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::{Gateway, StartError, announce, machine};
use crate::admin::tokens::Tokens;
use crate::admin::{self, Admin};

/// The data folder where nobody says another.
pub(super) const DATA: &str = "gatehouse-data";

impl Gateway {
    /// Starts to listen, where there is an address for it.
    pub(super) async fn start_admin(&mut self, address: Option<SocketAddr>, token: Option<&str>) -> Result<(), StartError> {
        let configured = self.document.admin.as_ref().map(|admin| admin.address.0);
        let Some(address) = address.or(configured) else { return Ok(()) };
        let tls = self.shared.current.load().admin_tls.clone();
        if tls.is_none() && !address.ip().is_loopback() {
            return Err(failed(format!("admin listener on {address}"), "only loopback addresses without admin.tls in the configuration"));
        }
        let resources = self.resources.clone().ok_or_else(|| failed("admin listener".into(), "there is no store"))?;
        let store = Arc::clone(&resources.store);
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
            resources,
            changer: self.changer.clone(),
            tokens,
            current: Arc::clone(&self.shared.current),
            workers: Arc::clone(&self.shared.pinned),
            builder: Arc::clone(&self.builder),
            operations: admin::operations(),
            tls: ArcSwapOption::new(tls),
            refusals: Default::default(),
        });
        tokio::spawn(Arc::clone(&admin).serve(listener));
        self.admin = Some(admin);
        Ok(())
    }
}

pub(super) fn failed(what: String, cause: impl ToString) -> StartError {
    StartError::Machine { what, cause: cause.to_string() }
}
