//! A log that is kept for the test to read.

use core::cell::RefCell;
use std::string::String;
use std::vec::Vec;

use crate::bindings::log as raw;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// `log::debug`.
    Debug,
    /// `log::info`.
    Info,
    /// `log::warn`.
    Warn,
    /// `log::error`.
    Error,
}

std::thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// Takes the lines logged so far.
#[must_use]
pub fn logs() -> Vec<(Level, String)> {
    LINES.take()
}

pub(crate) fn log(level: raw::Level, message: &str) {
    let level = match level {
        raw::Level::Debug => Level::Debug,
        raw::Level::Info => Level::Info,
        raw::Level::Warn => Level::Warn,
        raw::Level::Error => Level::Error,
    };
    LINES.with_borrow_mut(|lines| lines.push((level, message.into())));
}
