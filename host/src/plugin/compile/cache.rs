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
use std::time::{Duration, SystemTime};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use wasmtime::Engine;

use super::{Code, Sha256Digest};

/// How long an entry stays that nobody asks for.
const UNUSED: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long a file may be under another name; after that, whoever wrote it is gone.
const UNFINISHED: Duration = Duration::from_secs(3600);

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
    pub fn find<C: Code>(&self, engine: &Engine, digest: Sha256Digest) -> Option<C> {
        let path = self.path(engine, digest);
        let found = self.read(engine, &path)?;
        // One that cannot be marked may be compiled anew one day.
        let _ = mark_used(&path);
        Some(found)
    }

    /// Takes an entry away. Code that is in use stays mapped.
    pub fn remove(&self, engine: &Engine, digest: Sha256Digest) {
        remove(&self.path(engine, digest));
    }

    /// Takes away, on a thread of its own, what nobody asked for in a long time and what a crash left half-written.
    pub fn tidy(&self) {
        let folder = self.folder.clone();
        std::thread::spawn(move || old(&folder, SystemTime::now()).iter().for_each(|path| remove(path)));
    }

    /// Keeps a compiled component and gives it back mapped from the file, where its pages are shared and can be given
    /// back to the system. None where it cannot be kept, or not be used.
    pub fn keep<C: Code>(&self, engine: &Engine, digest: Sha256Digest, compiled: &[u8]) -> Option<C> {
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

    fn read<C: Code>(&self, engine: &Engine, path: &Path) -> Option<C> {
        let code = fs::read(path).ok()?;
        let tag = fs::read(path.with_extension("mac")).ok()?;
        if self.mac(&code).verify_slice(&tag).is_err() {
            tracing::warn!(path = %path.display(), "compiled component is damaged; compiling it anew");
            return None;
        }
        // SAFETY: the checksum says that we wrote these bytes, and nobody changes the file after its rename.
        match unsafe { C::from_file(engine, path) } {
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

/// An entry with its checksum, or any other file.
fn remove(path: &Path) {
    for path in [path, &path.with_extension("mac")] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "compiled component not removed");
            }
            _ => {}
        }
    }
}

fn mark_used(path: &Path) -> io::Result<()> {
    let now = SystemTime::now();
    let file = fs::File::open(path)?;
    file.set_modified(now)?;
    fs::File::open(path.with_extension("mac"))?.set_modified(now)
}

/// Files that are not needed at this moment.
fn old(folder: &Path, now: SystemTime) -> Vec<PathBuf> {
    let is_old = |path: &Path| {
        let longest = match path.extension()?.to_str()? {
            "cwasm" | "mac" => UNUSED,
            "tmp" => UNFINISHED,
            _ => return None,
        };
        let age = now.duration_since(fs::metadata(path).ok()?.modified().ok()?).ok()?;
        Some(age > longest)
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| is_old(path).unwrap_or_default()).collect()
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
    use wasmtime::component::Component;

    use super::*;

    #[test]
    fn a_damaged_entry_is_not_used() {
        let folder = std::env::temp_dir().join(format!("gatehouse-cache-{}", std::process::id()));
        let engine = Engine::default();
        let bytes = b"\0asm\x0d\0\x01\0";
        let digest = Sha256Digest::of(bytes);
        let cache = Cache::open(&folder).expect("a folder under the temporary one");
        let compiled = engine.precompile_component(bytes).expect("an empty component compiles");
        assert!(cache.keep::<Component>(&engine, digest, &compiled).is_some(), "it is kept");

        let path = cache.path(&engine, digest);
        let mut code = fs::read(&path).expect("the entry was kept");
        code[100] ^= 1;
        fs::remove_file(&path).expect("ours");
        fs::write(&path, &code).expect("ours");
        assert!(cache.find::<Component>(&engine, digest).is_none(), "one flipped bit is enough to refuse it");
        assert!(cache.keep::<Component>(&engine, digest, &compiled).is_some(), "it is replaced");
        assert!(cache.find::<Component>(&engine, digest).is_some(), "and found again");
        fs::remove_dir_all(&folder).expect("ours");
    }

    #[test]
    fn what_nobody_asks_for_goes_after_a_month_and_what_was_not_finished_after_an_hour() {
        let folder = std::env::temp_dir().join(format!("gatehouse-old-{}", std::process::id()));
        let engine = Engine::default();
        let bytes = b"\0asm\x0d\0\x01\0";
        let digest = Sha256Digest::of(bytes);
        let cache = Cache::open(&folder).expect("a folder under the temporary one");
        let compiled = engine.precompile_component(bytes).expect("an empty component compiles");
        cache.keep::<Component>(&engine, digest, &compiled).expect("it is kept");
        fs::write(folder.join("a.1-2.tmp"), b"half").expect("ours");
        let after = |hours: u64| old(&folder, SystemTime::now() + Duration::from_secs(hours * 3600)).len();
        assert_eq!((after(0), after(2), after(24 * 31)), (0, 1, 3), "an entry is two files; the key stays");

        let path = cache.path(&engine, digest);
        let long_ago = SystemTime::now() - Duration::from_secs(29 * 24 * 3600);
        fs::File::open(&path).and_then(|file| file.set_modified(long_ago)).expect("ours");
        assert_eq!(after(48), 2, "this and the unfinished one");
        cache.find::<Component>(&engine, digest).expect("it is there");
        assert_eq!(after(48), 1, "it was asked for");
        cache.remove(&engine, digest);
        assert!(cache.find::<Component>(&engine, digest).is_none() && folder.join("key").exists());
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
        theirs.keep::<Component>(&engine, digest, &compiled).expect("it is kept there");
        for extension in ["cwasm", "mac"] {
            let from = theirs.path(&engine, digest).with_extension(extension);
            fs::copy(from, ours.path(&engine, digest).with_extension(extension)).expect("ours");
        }
        assert!(ours.find::<Component>(&engine, digest).is_none(), "code that somebody else compiled is not run");
        fs::remove_dir_all(&folder).expect("ours");
    }
}
