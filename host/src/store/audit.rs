//! The audit log: who changed what, each entry with the digest of the one before. Nobody can change, add or take away
//! an entry in the middle without it showing; the digest of the last one also goes to the diagnostic log, against which
//! an end that was cut off shows. The oldest entries go, and the digest of the last of them stays.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256 as Hash};

use crate::config::text::{Sha256, Timestamp};

use super::{Reading, Record, StoreError, Writing, number};

/// Entries that a check takes at a time.
const PAGE: usize = 1000;

/// One entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// What was done.
    #[serde(flatten)]
    pub deed: Deed,
    /// The digest of all of the above.
    pub hash: Sha256,
}

/// What was done, and where it stands in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deed {
    /// Its place, from 1, without gaps.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// Who: a token by name and id.
    pub by: String,
    /// What.
    pub action: String,
    /// The revision it led to, if it led to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The digest of what exactly changed, as the revision shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Sha256>,
    /// The hash of the entry before; zeros for the first.
    pub previous: Sha256,
}

/// Where the log begins, once its oldest entries are gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Anchor {
    /// The last entry that is gone.
    sequence: u64,
    /// Its hash.
    hash: Sha256,
}

/// The only anchor there is.
const ANCHOR: &str = "anchor";

/// Whether the log is as it was written.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Verdict {
    /// Entries there are.
    pub entries: u64,
    /// Entries that were before these and are not kept any more.
    pub gone: u64,
    /// Whether each fits the one before.
    pub intact: bool,
    /// The first that does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<u64>,
    /// The hash of the last one; zeros if there is none.
    pub hash: Sha256,
}

const NOTHING: Sha256 = Sha256([0; 32]);

impl Record for Entry {
    const TABLE: &'static str = "audit";
}

impl Record for Anchor {
    const TABLE: &'static str = "audit-anchor";
}

impl Deed {
    fn hash(&self) -> Sha256 {
        let text = serde_json::to_vec(self).expect("an entry is plain data");
        Sha256(Hash::digest(text).into())
    }
}

impl Writing {
    /// Adds an entry, with whatever else is written.
    pub fn audit(&self, by: &str, action: &str, revision: Option<u64>, changes: Option<Sha256>) -> Result<(), StoreError> {
        let last = self.last::<Entry>()?.map(|(_, last)| last);
        let (sequence, previous) = last.map_or((1, NOTHING), |last| (last.deed.sequence + 1, last.hash));
        // What is hashed has to read as it was written, and a timestamp is written to the second.
        let at = Timestamp::now();
        let deed = Deed { sequence, at, by: by.to_owned(), action: action.to_owned(), revision, changes, previous };
        let hash = deed.hash();
        tracing::info!(sequence, by, action, revision, %hash, "audit");
        self.put(&number(sequence), &Entry { deed, hash })?;
        match self.keep_last::<Entry>(self.kept.audit.max(1))? {
            None => Ok(()),
            Some(gone) => self.put(ANCHOR, &Anchor { sequence: gone.deed.sequence, hash: gone.hash }),
        }
    }

    /// Lets the log begin with the one entry there is: those before it are somewhere else.
    pub(super) fn anchor_audit(&self) -> Result<(), StoreError> {
        let Some((_, first)) = self.last::<Entry>()? else { return Ok(()) };
        self.put(ANCHOR, &Anchor { sequence: first.deed.sequence.saturating_sub(1), hash: first.deed.previous })
    }
}

impl Reading {
    /// Reads all of the log and checks that each entry fits the one before.
    pub fn check_audit(&self) -> Result<Verdict, StoreError> {
        let anchor = self.get(ANCHOR)?.unwrap_or(Anchor { sequence: 0, hash: NOTHING });
        let mut verdict = Verdict { entries: 0, gone: anchor.sequence, intact: true, broken_at: None, hash: anchor.hash };
        let mut after = None;
        loop {
            let page = self.page::<Entry>(after.as_deref(), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(verdict) };
            after = Some(last.clone());
            page.iter().for_each(|(_, entry)| verdict.take(entry));
        }
    }
}

impl Verdict {
    fn take(&mut self, entry: &Entry) {
        self.entries += 1;
        let sequence = self.gone + self.entries;
        let fits = entry.deed.previous == self.hash && entry.deed.hash() == entry.hash && entry.deed.sequence == sequence;
        if !fits && self.intact {
            (self.intact, self.broken_at) = (false, Some(sequence));
        }
        self.hash = entry.hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::document::History;
    use crate::store::Store;

    fn log(test: &str) -> Store {
        let folder = std::env::temp_dir().join(format!("gatehouse-audit-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let store = Store::open(&folder).expect("a store");
        for action in ["one", "two", "three"] {
            store.write(|writing| writing.audit("somebody", action, Some(1), None)).expect("room");
        }
        store
    }

    fn check(store: &Store) -> (u64, Option<u64>) {
        let verdict = store.read().and_then(|reading| reading.check_audit()).expect("a readable log");
        assert_eq!(verdict.intact, verdict.broken_at.is_none());
        (verdict.entries, verdict.broken_at)
    }

    #[test]
    fn a_log_that_nobody_touched_is_intact() {
        let store = log("whole");
        assert_eq!(check(&store), (3, None));
    }

    #[test]
    fn a_log_without_its_oldest_entries_is_intact_still() {
        let store = log("trimmed");
        store.keeping().set(History { audit: 2, ..History::default() });
        store.write(|writing| writing.audit("somebody", "four", None, None)).expect("room");
        assert_eq!(check(&store), (2, None));
        assert_eq!(store.read().unwrap().check_audit().unwrap().gone, 2);
        let mut entry: Entry = store.read().unwrap().get(&number(3)).unwrap().expect("two entries");
        entry.deed.by = "somebody else".into();
        entry.hash = entry.deed.hash();
        store.write(|writing| writing.put(&number(3), &entry)).expect("room");
        assert_eq!(check(&store), (2, Some(4)));
        store.write(|writing| writing.delete::<Entry>(&number(3))).expect("room");
        assert_eq!(check(&store), (1, Some(3)), "one more than was said to be gone");
    }

    #[test]
    fn an_entry_that_was_changed_or_taken_away_shows() {
        let store = log("changed");
        let mut entry: Entry = store.read().unwrap().get(&number(2)).unwrap().expect("three entries");
        entry.deed.by = "somebody else".into();
        store.write(|writing| writing.put(&number(2), &entry)).expect("room");
        assert_eq!(check(&store), (3, Some(2)));

        entry.hash = entry.deed.hash();
        store.write(|writing| writing.put(&number(2), &entry)).expect("room");
        assert_eq!(check(&store), (3, Some(3)), "a new hash does not help: the next entry knows the old one");

        let store = log("first");
        store.write(|writing| writing.delete::<Entry>(&number(1))).expect("room");
        assert_eq!(check(&store), (2, Some(1)), "the first one, too");

        let store = log("gone");
        store.write(|writing| writing.delete::<Entry>(&number(2))).expect("room");
        assert_eq!(check(&store), (2, Some(2)));
    }
}
