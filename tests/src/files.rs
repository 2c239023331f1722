//! Where built things are: the gateway's binary, which `make test` builds, and guests, which the build script does.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The gateway's binary: `GATEHOUSE_BIN`, or the one built beside this test.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn gatehouse() -> PathBuf {
    let path = env::var_os("GATEHOUSE_BIN").map_or_else(|| built("gatehouse"), PathBuf::from);
    assert!(path.is_file(), "no gateway at {}: run `make test`, or `cargo build --bin gatehouse` first", path.display());
    path
}

/// A binary that was built beside this test.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    profile_folder().join(name)
}

/// A guest of `tests/guests`, as a component.
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    Path::new(env!("GUESTS")).join(format!("{}.wasm", name.replace('-', "_")))
}

/// A component of `tests/wasi-http`. Programs keep the hyphens of their names, libraries do not.
#[must_use]
pub fn foreign(name: &str) -> PathBuf {
    let [program, library] = [name.to_owned(), name.replace('-', "_")].map(|name| Path::new(env!("WASI_HTTP")).join(name + ".wasm"));
    if program.exists() { program } else { library }
}

/// A filter of `tests/proxy-wasm`, as a module.
#[must_use]
pub fn filter(name: &str) -> PathBuf {
    Path::new(env!("PROXY_WASM")).join(format!("{name}.wasm"))
}

/// Prometheus' own checker of metrics: the one in the `PATH`, or the one that `make test` fetched.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn promtool() -> PathBuf {
    tool("promtool")
}

/// A registry for artifacts: the one in the `PATH`, or the one that `make test` fetched.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn docker_registry() -> PathBuf {
    tool("docker-registry")
}

fn tool(name: &str) -> PathBuf {
    let installed = env::var_os("PATH").into_iter().flat_map(|path| env::split_paths(&path).collect::<Vec<_>>());
    let folders = installed.chain(profile_folder().parent().map(|target| target.join("tools/usr/bin")));
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no {name}: run `make test`, or `make setup-tests` first"))
}

/// The root of the repository.
///
/// # Panics
/// When the sources are gone.
#[must_use]
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().expect("the tests run beside their sources");
    tests.parent().expect("tests/ is a folder of the repository").to_owned()
}

/// Something that `make test` installs into the target folder.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn installed(name: &str) -> PathBuf {
    let path = profile_folder().parent().expect("target/ holds the profiles").join(name);
    assert!(path.exists(), "no {}: run `make setup-tests` first", path.display());
    path
}

/// A `PATH` to the compilers of plugins: the machine's own, after the Go that `make test` installs if that has none new enough.
///
/// # Panics
/// When the target folder has a colon in its path.
#[must_use]
pub fn toolchains() -> OsString {
    let installed = built("..").join("go-sdk/go/bin");
    let own = env::var_os("PATH").unwrap_or_default();
    env::join_paths([installed].into_iter().chain(env::split_paths(&own))).expect("no colon in the path")
}

// The test runs as `target/<profile>/deps/<test>`.
fn profile_folder() -> PathBuf {
    let test = env::current_exe().expect("this process has a binary");
    test.ancestors().nth(2).expect("cargo runs tests from target/<profile>/deps").to_owned()
}
