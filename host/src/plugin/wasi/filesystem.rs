//! `wasi:filesystem`: no folder is open, so no file can be reached. What works on files is linked by name alone, since
//! without a descriptor a guest has nothing to call it with.

use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource, ResourceType};

use super::Misuse;
use crate::plugin::state::HostState;

const TYPES: &str = "wasi:filesystem/types@0.2.12";
const PREOPENS: &str = "wasi:filesystem/preopens@0.2.12";

const DESCRIPTOR_METHODS: [&str; 27] = [
    "advise",
    "append-via-stream",
    "create-directory-at",
    "get-flags",
    "get-type",
    "is-same-object",
    "link-at",
    "metadata-hash",
    "metadata-hash-at",
    "open-at",
    "read",
    "read-directory",
    "read-via-stream",
    "readlink-at",
    "remove-directory-at",
    "rename-at",
    "set-size",
    "set-times",
    "set-times-at",
    "stat",
    "stat-at",
    "symlink-at",
    "sync",
    "sync-data",
    "unlink-file-at",
    "write",
    "write-via-stream",
];

/// An open file or folder. There are none.
enum Descriptor {}

/// A folder's entries. There are none.
enum DirectoryEntryStream {}

/// Links both interfaces.
pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    link_types(linker)?;
    linker.instance(PREOPENS)?.func_wrap("get-directories", |mut store: StoreContextMut<'_, HostState>, (): ()| {
        store.data_mut().count_host_call()?;
        Ok((Vec::<(Resource<Descriptor>, String)>::new(),))
    })
}

fn link_types(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    let mut types = linker.instance(TYPES)?;
    types.resource("descriptor", ResourceType::host::<Descriptor>(), |_, _| Ok(()))?;
    types.resource("directory-entry-stream", ResourceType::host::<DirectoryEntryStream>(), |_, _| Ok(()))?;
    let methods = DESCRIPTOR_METHODS.iter().map(|method| format!("[method]descriptor.{method}"));
    let others = ["[method]directory-entry-stream.read-directory-entry", "filesystem-error-code"].map(String::from);
    for name in methods.chain(others) {
        types.func_new(&name, |_, _, _, _| Err(Misuse::NoFiles.into()))?;
    }
    Ok(())
}
