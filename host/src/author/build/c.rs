//! C: clang for `wasm32-wasi`, with the flags of the project's `compile_flags.txt`, which editors read as well; then the
//! component of what it made.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::{BuildError, Made, Project, Tool, module, read};
use crate::author::language::Language;

/// C, by its main file.
pub const LANGUAGE: Language = Language { name: "c", is_in: |folder| folder.join("plugin.c").is_file(), build };

/// Flags of every compilation, one a line. The one that finds the SDK's header finds the SDK.
const FLAGS: &str = "compile_flags.txt";
const SDK_HEADERS: &str = "plugins-sdk/c/include";
const INSTALL: &str = "apt-get install clang lld wasi-libc libclang-rt-dev-wasm32";
/// What `wasi-sdk` is found by where it is used in the place of a distribution's packages.
const WASI_SDK: &str = "WASI_SDK_PATH";
const DEBUG: [&str; 2] = ["-O1", "-g"];
const RELEASE: [&str; 2] = ["-O2", "-Wl,--strip-all"];

fn build(project: &Project) -> Result<Made, BuildError> {
    let folder = fs::canonicalize(&project.folder).map_err(|error| BuildError::Io(project.folder.clone(), error))?;
    is_whole(&folder)?;
    let made = module::place(&folder)?;
    let flags = flags(&folder)?;
    let sdk = sdk(&folder, &flags)?;
    let sources = [sources(&folder), sources(&folder.join("src")), sources(&sdk.join("src")), vec![sdk.join("bindings/plugin.c")]];
    let clang = clang(&folder).args(flags).args(if project.release { RELEASE } else { DEBUG });
    // The stack below everything else: one that overflows leaves the memory, and does not grow into data.
    clang.args(["-mexec-model=reactor", "-Wl,--stack-first", "-o"]).arg(&made.module).args(sources.concat()).run()?;
    made.componentize()
}

fn clang(folder: &Path) -> Tool {
    let program = env::var_os(WASI_SDK).map_or_else(|| OsString::from("clang"), |sdk| Path::new(&sdk).join("bin/clang").into());
    Tool::new(program, INSTALL, folder).args(["--target=wasm32-wasi"])
}

/// Clang comes without a linker, a library and its own built-ins for this target: it names a part that it finds by its path.
fn is_whole(folder: &Path) -> Result<(), BuildError> {
    for (what, question) in [
        ("wasm-ld, the linker,", "-print-prog-name=wasm-ld"),
        ("the C library for wasm32-wasi", "-print-file-name=crt1-reactor.o"),
        ("clang's runtime for wasm32-wasi", "-print-libgcc-file-name"),
    ] {
        let answer = clang(folder).args([question]).output()?;
        if !Path::new(answer.trim()).is_file() {
            return Err(BuildError::Missing { what: what.to_owned(), install: INSTALL.to_owned() });
        }
    }
    Ok(())
}

fn flags(folder: &Path) -> Result<Vec<String>, BuildError> {
    let text = read(&folder.join(FLAGS))?;
    let lines = String::from_utf8_lossy(&text);
    Ok(lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

fn sdk(folder: &Path, flags: &[String]) -> Result<PathBuf, BuildError> {
    let headers = flags.iter().filter_map(|flag| flag.strip_prefix("-I")).find(|path| path.ends_with(SDK_HEADERS));
    let headers = headers.ok_or_else(|| BuildError::Project(format!("{FLAGS} does not name the SDK: want a line -I…/{SDK_HEADERS}")))?;
    fs::canonicalize(folder.join(headers).join("..")).map_err(|error| BuildError::Io(folder.join(headers), error))
}

/// The C files of a folder, none of those below it, in an order that does not change.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let mut sources: Vec<_> = entries.filter(|path| path.extension().is_some_and(|extension| extension == "c")).collect();
    sources.sort();
    sources
}
