//! What needs no entry in a document for its routes to name it. The document itself cannot know: whoever has it checked
//! says so.

use std::collections::BTreeSet;

/// Plugins that need no entry in a document.
#[derive(Debug, Clone, Default)]
pub struct Stock {
    /// Those that come with the gateway.
    pub built_ins: Vec<&'static str>,
    /// Those that were uploaded and have a version that serves; None where nobody knows of uploads.
    pub uploaded: Option<BTreeSet<String>>,
}

impl Stock {
    /// What helps where a document names a plugin that there is not.
    pub(super) fn advice(&self, plugin: &str) -> String {
        match self.uploaded {
            Some(_) => format!("`gatehouse plugin push {plugin} FILE` brings one in"),
            None => format!("for one that is uploaded write plugins: [{{name: {plugin}, source: {{uploaded: true}}}}]"),
        }
    }
}
