//! Compiled components on disk, found by digest, so that a restart compiles nothing.
//!
//! An entry is machine code that this process will run. It is found by the component's SHA-256 and the engine's
//! settings, readable by the owner only, written whole under another name and then renamed, never changed after,
//! and carries a keyed checksum, so that a file cut short, altered or put there by somebody else is compiled anew
//! instead of run.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::Sha256Digest;

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

    /// The component of that digest, if it was compiled before.
    pub fn find(&self, engine: &Engine, digest: Sha256Digest) -> Option<Component> {
        self.read(engine, &self.path(engine, digest))
    }

    /// Keeps a compiled component and gives it back mapped from the file, where its pages are shared and can be given
    /// back to the system. None where it cannot be kept, or not be used.
    pub fn keep(&self, engine: &Engine, digest: Sha256Digest, compiled: &[u8]) -> Option<Component> {
        let path = self.path(engine, digest);
        match self.write(&path, compiled) {
            Ok(()) => self.read(engine, &path),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "compiled component not kept");
                None
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
    keep_first(path, &key)
}

/// Writes the key if there is none. Two gateways that share a folder and start at the same time end with the same one.
fn keep_first(path: &Path, key: &[u8; 32]) -> io::Result<[u8; 32]> {
    let temporary = path.with_extension(format!("{}-{:08x}.tmp", std::process::id(), fastrand::u32(..)));
    write_whole(&temporary, key)?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    match linked {
        Ok(()) => Ok(*key),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => keep_in_force(path, key),
        Err(error) => Err(error),
    }
}

/// The key of whoever was first; a file that holds no key is replaced.
fn keep_in_force(path: &Path, key: &[u8; 32]) -> io::Result<[u8; 32]> {
    if let Ok(found) = <[u8; 32]>::try_from(fs::read(path)?) {
        return Ok(found);
    }
    write_whole(path, key)?;
    Ok(*key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_entry_is_not_used() {
        let folder = std::env::temp_dir().join(format!("gatehouse-cache-{}", std::process::id()));
        let engine = Engine::default();
        let bytes = b"\0asm\x0d\0\x01\0";
        let digest = Sha256Digest::of(bytes);
        let cache = Cache::open(&folder).expect("a folder under the temporary one");
        let compiled = engine.precompile_component(bytes).expect("an empty component compiles");
        assert!(cache.keep(&engine, digest, &compiled).is_some(), "it is kept");

        let path = cache.path(&engine, digest);
        let mut code = fs::read(&path).expect("the entry was kept");
        code[100] ^= 1;
        fs::remove_file(&path).expect("ours");
        fs::write(&path, &code).expect("ours");
        assert!(cache.find(&engine, digest).is_none(), "one flipped bit is enough to refuse it");
        assert!(cache.keep(&engine, digest, &compiled).is_some(), "it is replaced");
        assert!(cache.find(&engine, digest).is_some(), "and found again");
        fs::remove_dir_all(&folder).expect("ours");
    }

    #[test]
    fn an_entry_of_another_folder_is_not_used() {
        let folder = std::env::temp_dir().join(format!("gatehouse-planted-{}", std::process::id()));
        let engine = Engine::default();
        let bytes = b"\0asm\x0d\0\x01\0";
        let digest = Sha256Digest::of(bytes);
        let (ours, theirs) = (Cache::open(&folder.join("a")).expect("a folder"), Cache::open(&folder.join("b")).expect("a folder"));
        let compiled = engine.precompile_component(bytes).expect("an empty component compiles");
        theirs.keep(&engine, digest, &compiled).expect("it is kept there");
        for extension in ["cwasm", "mac"] {
            let from = theirs.path(&engine, digest).with_extension(extension);
            fs::copy(from, ours.path(&engine, digest).with_extension(extension)).expect("ours");
        }
        assert!(ours.find(&engine, digest).is_none(), "code that somebody else compiled is not run");
        fs::remove_dir_all(&folder).expect("ours");
    }
}
