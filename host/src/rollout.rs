//! Versions of plugins on a live gateway: who gets which, how they compare, and which one goes back by itself.

pub mod comparison;
mod seat;

pub use seat::{Candidate, Lineup, Part, Seat, Share, Turn};
