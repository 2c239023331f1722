//! What is logged while a case is played: the plugin's own lines, and what the gateway says of its faults.

use std::fmt::Debug;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// A line.
#[derive(Debug, Clone)]
pub struct Line {
    /// How grave it is.
    pub level: Level,
    /// Whether the plugin wrote it; else the gateway did.
    pub is_plugins: bool,
    /// What it says.
    pub text: String,
}

thread_local! {
    static LINES: Arc<Mutex<Vec<Line>>> = Arc::default();
}

/// Runs something and gives back the lines that this thread logged meanwhile. They go nowhere else.
pub fn during<T>(act: impl FnOnce() -> T) -> (Vec<Line>, T) {
    let lines = LINES.with(Arc::clone);
    lines.lock().clear();
    let subscriber = tracing_subscriber::registry().with(Capture(Arc::clone(&lines)));
    let outcome = tracing::subscriber::with_default(subscriber, act);
    (std::mem::take(&mut *lines.lock()), outcome)
}

/// The lines so far, and from now on others.
pub fn so_far() -> Vec<Line> {
    LINES.with(|lines| lines.lock().clone())
}

struct Capture(Arc<Mutex<Vec<Line>>>);

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        let is_plugins = metadata.target() == "plugin";
        if !is_plugins && *metadata.level() > Level::WARN {
            return;
        }
        let mut message = Message::default();
        event.record(&mut message);
        self.0.lock().push(Line { level: *metadata.level(), is_plugins, text: message.text() });
    }
}

#[derive(Default)]
struct Message {
    message: String,
    error: Option<String>,
}

impl Message {
    fn text(self) -> String {
        match self.error {
            Some(error) => format!("{}: {error}", self.message),
            None => self.message,
        }
    }
}

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "error" | "refusal" => self.error = Some(format!("{value:?}")),
            _ => {}
        }
    }
}
