//! What the configuration is made of while the gateway runs: what its files declare, as it was last applied, and what
//! the admin API made. Both are only read here; `apply` is who changes them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::cli::stock;
use crate::config::{Declared, Item, Kind, Made};
use crate::store::{Store, StoreError};

/// What was read again is let go of when nobody has asked for it for so long.
const IDLE: Duration = Duration::from_secs(60);

/// The resources there are.
pub struct Resources {
    /// Where they outlive the process.
    pub store: Arc<Store>,
    made: ArcSwap<Made>,
    declared: Mutex<Option<Cached>>,
}

struct Cached {
    declared: Arc<Declared>,
    /// Whether it stays: small, or nowhere else to be had from.
    stays: bool,
    asked: Instant,
}

/// Where a resource came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The admin API made it.
    Made,
    /// A file declares it; an empty name is the command line.
    File(String),
}

impl Resources {
    /// What the store holds; what files declare comes later, see [`Resources::applied`]. Blocks.
    pub fn open(store: Arc<Store>) -> Result<Self, StoreError> {
        let made = store.read()?.made()?;
        Ok(Self { store, made: ArcSwap::from_pointee(made), declared: Mutex::new(None) })
    }

    /// What the admin API made.
    pub fn made(&self) -> Arc<Made> {
        self.made.load_full()
    }

    /// What the files declare, as it was last applied. Blocks.
    ///
    /// # Errors
    /// Why it cannot be read again.
    pub fn declared(&self) -> Result<Arc<Declared>, String> {
        if let Some(cached) = &mut *self.declared.lock() {
            cached.asked = Instant::now();
            return Ok(Arc::clone(&cached.declared));
        }
        let sources = self.store.last_good().map_err(|error| format!("the last good configuration: {error}"))?;
        let sources = sources.ok_or("there is no last good configuration")?.sources;
        let declared = Declared::of_sources(sources, &self.made(), &stock());
        let declared = Arc::new(declared.map_err(|problems| format!("the last good configuration: {problems}"))?);
        self.keep(&declared, false);
        Ok(declared)
    }

    /// A resource by name. Blocks.
    ///
    /// # Errors
    /// Those of `declared`.
    pub fn find(&self, kind: Kind, name: &str) -> Result<Option<(Item, Origin)>, String> {
        if let Some((item, file)) = self.declared()?.find(kind, name) {
            return Ok(Some((item, Origin::File(file.to_owned()))));
        }
        Ok(self.made().get(kind, name).map(|item| (item.clone(), Origin::Made)))
    }

    /// Takes over what files declare, once it is applied; None where it can be read again.
    pub(super) fn applied(&self, declared: Option<&Arc<Declared>>) {
        match declared {
            Some(declared) => self.keep(declared, true),
            None => *self.declared.lock() = None,
        }
    }

    /// Takes over what the admin API made, once it is applied.
    pub(super) fn set_made(&self, made: Arc<Made>) {
        self.made.store(made);
    }

    /// Lets go of what nobody has asked for in a while.
    pub(super) fn tidy(&self) {
        let mut cached = self.declared.lock();
        if cached.as_ref().is_some_and(|cached| !cached.stays && cached.asked.elapsed() > IDLE) {
            *cached = None;
        }
    }

    fn keep(&self, declared: &Arc<Declared>, stays: bool) {
        *self.declared.lock() = Some(Cached { declared: Arc::clone(declared), stays, asked: Instant::now() });
    }
}
