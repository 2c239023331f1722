//! What a plugin's author does on the way to a gateway: a project from nothing ([`project`]), its component ([`build`]),
//! in whatever language there is an SDK for ([`language`]). Runs on the author's machine; no gateway needs it.

pub mod build;
pub mod componentize;
pub mod embedded;
pub mod language;
pub mod project;
pub mod test;
