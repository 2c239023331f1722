//! Proxy-Wasm filters as steps of a chain: those of the public SDKs, unchanged, and ours that ask for everything else or mean
//! harm.

mod bodies;
mod calls;
mod harm;
mod heads;
mod house;
mod loading;
mod sdks;
mod state;
