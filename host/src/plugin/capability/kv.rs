//! `kv`: the guest's side of the key-value store.

use std::time::{Duration, Instant};

use crate::plugin::bindings::gatehouse::plugin::kv::{Error, Host};
use crate::plugin::capability::kv_store::KvError;
use crate::plugin::state::HostState;

impl Host for HostState {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.count_host_call()?;
        Ok(self.plugin.kv.get(&key, Instant::now()))
    }

    fn set(&mut self, key: String, value: Vec<u8>, ttl_ms: Option<u64>) -> wasmtime::Result<Result<(), Error>> {
        self.count_host_call()?;
        let ttl = ttl_ms.map(Duration::from_millis);
        Ok(self.plugin.kv.set(&key, &value, ttl, Instant::now()).map_err(Error::from))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<()> {
        self.count_host_call()?;
        self.plugin.kv.delete(&key);
        Ok(())
    }

    fn increment(&mut self, key: String, delta: i64, ttl_ms: Option<u64>) -> wasmtime::Result<Result<i64, Error>> {
        self.count_host_call()?;
        let ttl = ttl_ms.map(Duration::from_millis);
        Ok(self.plugin.kv.increment(&key, delta, ttl, Instant::now()).map_err(Error::from))
    }
}

impl From<KvError> for Error {
    fn from(error: KvError) -> Self {
        match error {
            KvError::Quota => Error::Quota,
            KvError::NotACounter => Error::NotACounter,
        }
    }
}
