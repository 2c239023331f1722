//! The diagnostic log: `tracing` events to standard error, as text for people at a terminal and as JSON for machines.
//! A reader that stalls costs lines, never a worker's time.

use std::io::{self, IsTerminal};
use std::str::FromStr;

use tracing::Dispatch;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// What is logged when nobody says otherwise.
const DEFAULT_FILTER: &str = "info";

/// Lines that may wait for the writer.
const QUEUED_LINES: usize = 8_192;

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Format {
    /// Text where standard error is a terminal, else JSON.
    #[default]
    Auto,
    /// Text.
    Text,
    /// A JSON object for each line.
    Json,
}

/// Keeps the log's writer going. Dropping it writes what is queued.
#[must_use = "without its guard the log ends at once"]
pub struct LogGuard {
    dropped: ErrorCounter,
    _writer: WorkerGuard,
}

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is none.
    #[error("log filter {filter:?} is not understood")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// A format by no known name.
    #[error("log format {0:?} is none of auto, text, json")]
    Format(String),
    /// The process has a log already.
    #[error("the log is set up already")]
    Installed(#[source] TryInitError),
}

/// Starts the log of this process. The filter is the given one, else `RUST_LOG`, else `info`.
pub fn start(filter: Option<&str>, format: Format) -> Result<LogGuard, LogError> {
    let filter = match filter {
        Some(filter) => filter.to_owned(),
        None => std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default(),
    };
    let terminal = io::stderr().is_terminal();
    let look = Look {
        json: format == Format::Json || format == Format::Auto && !terminal,
        colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUED_LINES).thread_name("log").finish(io::stderr());
    let dropped = writer.error_counter();
    dispatch(&filter, look, writer)?.try_init().map_err(LogError::Installed)?;
    Ok(LogGuard { dropped, _writer: guard })
}

impl LogGuard {
    /// Lines dropped so far because standard error took them too slowly.
    pub fn dropped_lines(&self) -> usize {
        self.dropped.dropped_lines()
    }
}

impl FromStr for Format {
    type Err = LogError;

    fn from_str(text: &str) -> Result<Self, LogError> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(LogError::Format(text.to_owned())),
        }
    }
}

struct Look {
    json: bool,
    colour: bool,
}

fn dispatch<W>(filter: &str, look: Look, writer: W) -> Result<Dispatch, LogError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt().with_env_filter(parse(filter)?).with_writer(writer);
    Ok(match look.json {
        true => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).into(),
        false => lines.with_ansi(look.colour).into(),
    })
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    let filter = if filter.trim().is_empty() { DEFAULT_FILTER } else { filter };
    EnvFilter::try_new(filter).map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(filter: &str, json: bool) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let look = Look { json, colour: false };
        let dispatch = dispatch(filter, look, move || writer.clone()).unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::debug!(plugin = "jwt", "a detail");
            tracing::info!(plugin = "jwt", elapsed_us = 7, "answered the request");
        });
        String::from_utf8(memory.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn json_lines_carry_message_level_and_fields() {
        let log = logged("", true);
        assert_eq!(log.lines().count(), 1, "details are below the default level: {log}");
        for field in
            [r#""level":"INFO""#, r#""message":"answered the request""#, r#""plugin":"jwt""#, r#""elapsed_us":7"#, r#""timestamp":""#]
        {
            assert!(log.contains(field), "{field} is missing in {log}");
        }
    }

    #[test]
    fn text_lines_are_for_people() {
        let log = logged("info", false);
        assert!(log.ends_with("answered the request plugin=\"jwt\" elapsed_us=7\n"), "as text: {log}");
        assert!(!log.contains('\u{1b}'), "no colours unless asked for: {log}");
    }

    #[test]
    fn the_filter_chooses_what_is_logged() {
        assert_eq!(logged("debug", true).lines().count(), 2, "both events");
        assert_eq!(logged("error", true), "", "neither event");
        assert_eq!(logged("hyper=debug", true), "", "another crate's events only");
    }

    #[test]
    fn a_filter_that_is_not_understood_is_refused_by_its_text() {
        let error = start(Some("gatehouse=loud"), Format::Auto).err().unwrap();
        assert_eq!(error.to_string(), r#"log filter "gatehouse=loud" is not understood"#, "the filter is named");
    }

    #[test]
    fn a_format_has_one_of_three_names() {
        assert_eq!("json".parse::<Format>().unwrap(), Format::Json, "a known name");
        let error = "xml".parse::<Format>().unwrap_err();
        assert_eq!(error.to_string(), r#"log format "xml" is none of auto, text, json"#, "an unknown name");
    }
}
