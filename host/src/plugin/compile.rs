//! Ahead-of-time compilation, cached on disk by digest, so that a restart compiles nothing.
//!
//! A cache entry is machine code that this process will run. It is found by the component's SHA-256 and the engine's
//! settings, readable by the owner only, written whole under another name and then renamed, never changed after,
//! and carries a keyed checksum, so that a file cut short or altered is compiled anew instead of run.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The SHA-256 of a component's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

impl Sha256Digest {
    /// Hashes a component.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The first twelve hexadecimal digits: a plugin's version in logs and metrics.
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl std::fmt::Display for Sha256Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Sha256Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

/// A folder of compiled components.
pub struct Cache {
    folder: PathBuf,
    key: [u8; 32],
}

impl Cache {
    /// Opens or makes the folder. Fails if it cannot be written, or is open to others.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        Ok(Self { key: checksum_key(&folder.join("key"))?, folder: folder.to_owned() })
    }

    /// The compiled component: from the cache, or compiled now and kept.
    pub fn component(&self, engine: &Engine, bytes: &[u8], digest: Sha256Digest) -> wasmtime::Result<Component> {
        let path = self.path(engine, digest);
        if let Some(component) = self.read(engine, &path) {
            return Ok(component);
        }
        let compiled = engine.precompile_component(bytes)?;
        match self.write(&path, &compiled) {
            // Mapped from the file, its pages are shared and can be given back.
            Ok(()) => self.read(engine, &path).map_or_else(|| from_memory(engine, &compiled), Ok),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "compiled component not kept");
                from_memory(engine, &compiled)
            }
        }
    }

    fn path(&self, engine: &Engine, digest: Sha256Digest) -> PathBuf {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut settings = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut settings);
        self.folder.join(format!("{digest}-{:016x}.cwasm", settings.finish()))
    }

    fn read(&self, engine: &Engine, path: &Path) -> Option<Component> {
        let code = fs::read(path).ok()?;
        let tag = fs::read(path.with_extension("mac")).ok()?;
        if self.mac(&code).verify_slice(&tag).is_err() {
            tracing::warn!(path = %path.display(), "compiled component is damaged; compiling it anew");
            return None;
        }
        // SAFETY: the checksum says that we wrote these bytes, and nobody changes the file after its rename.
        match unsafe { Component::deserialize_file(engine, path) } {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::debug!(%error, path = %path.display(), "compiled component does not fit this engine");
                None
            }
        }
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        let tag = self.mac(code).finalize().into_bytes();
        write_whole(&path.with_extension("mac"), &tag)?;
        write_whole(path, code)
    }

    fn mac(&self, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(code);
        mac
    }
}

fn from_memory(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes come from this engine's compiler, just now.
    unsafe { Component::deserialize(engine, compiled) }
}

/// Under another name first, flushed, then renamed: a reader sees all of it or nothing, and never a change.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}-{:08x}.tmp", std::process::id(), fastrand::u32(..)));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

fn checksum_key(path: &Path) -> io::Result<[u8; 32]> {
    if let Ok(Ok(key)) = fs::read(path).map(<[u8; 32]>::try_from) {
        return Ok(key);
    }
    let mut key = [0; 32];
    fs::File::open("/dev/urandom").and_then(|mut random| io::Read::read_exact(&mut random, &mut key))?;
    write_whole(path, &key)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_cache_entry_is_compiled_anew_and_not_run() {
        let folder = std::env::temp_dir().join(format!("gatehouse-cache-{}", std::process::id()));
        let engine = Engine::default();
        let bytes = b"\0asm\x0d\0\x01\0";
        let digest = Sha256Digest::of(bytes);
        let cache = Cache::open(&folder).expect("a folder under the temporary one");
        cache.component(&engine, bytes, digest).expect("an empty component compiles");

        let path = cache.path(&engine, digest);
        let mut code = fs::read(&path).expect("the entry was kept");
        code[100] ^= 1;
        fs::remove_file(&path).expect("ours");
        fs::write(&path, &code).expect("ours");
        assert!(cache.read(&engine, &path).is_none(), "one flipped bit is enough to refuse it");
        cache.component(&engine, bytes, digest).expect("it is compiled anew");
        assert!(cache.read(&engine, &path).is_some(), "and kept again");
        fs::remove_dir_all(&folder).expect("ours");
    }
}
