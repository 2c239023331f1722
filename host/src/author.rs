//! What a plugin's author does on the way to a gateway: a project from nothing ([`project`]), its component ([`build`]),
//! what it is ([`inspect`]), does ([`test`]) and costs ([`bench`]), in whatever language there is an SDK for ([`language`]).
//! Runs on the author's machine; no gateway needs it.

pub mod bench;
pub mod build;
pub mod componentize;
pub mod embedded;
pub mod inspect;
pub mod language;
pub mod project;
pub mod test;
