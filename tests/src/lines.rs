//! The lines a process writes, kept while it runs.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::wire::PATIENCE;

/// Lines so far. Clones see the same ones.
#[derive(Clone, Default)]
pub struct Lines {
    lines: Arc<Mutex<Written>>,
}

#[derive(Default)]
struct Written {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    /// Collects from a pipe until it ends.
    pub fn collect(pipe: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let lines = Self::default();
        let written = lines.clone();
        tokio::spawn(async move {
            let mut reader = BufReader::new(pipe).lines();
            while let Ok(Some(line)) = reader.next_line().await {
                written.with(|written| written.lines.push(line));
            }
            written.with(|written| written.ended = true);
        });
        lines
    }

    /// All of them as one text.
    #[must_use]
    pub fn text(&self) -> String {
        self.with(|written| written.lines.join("\n"))
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.with(|written| written.lines.clone())
    }

    /// Waits for a line. None when the pipe ends, or nothing came for long.
    pub async fn find(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let search = async {
            loop {
                let (found, ended) = self.with(|written| (written.lines.iter().find(|line| wanted(line)).cloned(), written.ended));
                if found.is_some() || ended {
                    return found;
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, search).await.ok().flatten()
    }

    fn with<T>(&self, act: impl FnOnce(&mut Written) -> T) -> T {
        act(&mut self.lines.lock().expect("nobody panics with the list"))
    }
}
