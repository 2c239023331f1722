//! The shape of a document: each file with something broken in it is held against the JSON Schema, and what does not
//! fit is cut out, so that the rest can still be read.

use std::collections::HashSet;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::Findings;
use super::draft::{BrokenItem, Draft, SINGLES};
use crate::config::holes::Holes;
use crate::config::misfit::{Misfits, key_path};
use crate::config::place::{Finding, KeyPath, Segment, Spot};
use crate::config::problem::Code;
use crate::config::schema;
use crate::config::yaml::Parsed;

/// Cuts that are made at most: each takes time, and nobody reads that many problems.
const MOST_CUTS: usize = 1000;
/// Cutting one thing out can leave another incomplete, but not for long.
const MOST_ROUNDS: usize = 8;

/// Finds what is wrong with the shape of each file, and cuts it out of the values.
pub(super) fn review(draft: &Draft, parsed: &mut [Parsed], findings: &mut Findings) -> Holes {
    let mut holes = Holes::default();
    let broken = draft.broken();
    review_singles(draft, findings);
    if broken.is_empty() && draft.unfit.is_empty() {
        return holes;
    }
    let schema = schema::schema();
    let validator = schema::validator(&schema);
    let suspects: HashSet<usize> = broken.iter().map(|broken| broken.file).chain(draft.unfit.iter().copied()).collect();
    for (file, parsed) in parsed.iter_mut().enumerate() {
        let suspect = suspects.contains(&file);
        let Some(value) = parsed.value.as_mut().filter(|_| suspect) else { continue };
        let mut misfits = Misfits { at: Spot::File(file, KeyPath::default()), schema: &schema, findings };
        validator.iter_errors(value).for_each(|error| misfits.error(&error));
        cut(file, value, &validator, &mut holes);
    }
    add_unexplained(&broken, findings);
    holes
}

// What serde refuses and the schema does not is a gap in the schema, but the user must hear of it all the same.
fn add_unexplained(broken: &[BrokenItem<'_>], findings: &mut Findings) {
    let explained: HashSet<Spot> = findings.iter().map(|finding| finding.spot.item()).collect();
    for item in broken {
        let section = KeyPath::default().key(item.section);
        let path = item.index.map_or(section.clone(), |index| section.index(index));
        let spot = Spot::File(item.file, path);
        if !explained.contains(&spot) {
            findings.add(Finding::new(spot, Code::Value, item.error, "a valid item"));
        }
    }
}

/// Finds a section that may stand once and stands in several files.
pub(super) fn review_singles(draft: &Draft, findings: &mut Findings) {
    let files = [
        draft.admin.iter().map(|slot| slot.file).collect::<Vec<_>>(),
        draft.access_log.iter().map(|slot| slot.file).collect(),
        draft.drain.iter().map(|slot| slot.file).collect(),
        draft.identity.iter().map(|slot| slot.file).collect(),
        draft.telemetry.iter().map(|slot| slot.file).collect(),
    ];
    for (section, files) in SINGLES.iter().zip(files) {
        for file in files.iter().skip(1) {
            let spot = Spot::File(*file, KeyPath::default().key(*section));
            let got = format!("a second {section}");
            findings.add(Finding::new(spot, Code::Conflict, got, "one in all files together").on_key());
        }
    }
}

// Round by round, until what is left fits the schema or cannot be made to.
fn cut(file: usize, value: &mut Value, validator: &Validator, holes: &mut Holes) {
    for _ in 0..MOST_ROUNDS {
        let mut cuts: Vec<KeyPath> = validator.iter_errors(value).take(MOST_CUTS + 1).flat_map(|error| misfits_of(&error)).collect();
        // An item as a whole stays where it is: it is known to be broken, and its place counts.
        cuts.retain(|path| path.segments().len() > path.item().segments().len());
        if cuts.is_empty() || cuts.len() > MOST_CUTS {
            return;
        }
        // From the end, so that no cut moves what another one is about.
        cuts.sort_by(|a, b| b.cmp(a));
        let places: Vec<KeyPath> = cuts.iter().map(|path| holes.restore(file, path.clone())).collect();
        cuts.dedup();
        cuts.iter().for_each(|path| remove(value, path));
        places.into_iter().for_each(|place| holes.add(file, place));
    }
}

/// The keys that are unknown, or the value that does not fit.
fn misfits_of(error: &ValidationError<'_>) -> Vec<KeyPath> {
    let path = key_path(error.instance_path());
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => unexpected.iter().map(|key| path.clone().key(key)).collect(),
        _ => vec![path],
    }
}

fn remove(value: &mut Value, path: &KeyPath) {
    let Some((last, around)) = path.segments().split_last() else { return };
    let inside = around.iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get_mut(key),
        Segment::Index(index) => value.get_mut(index),
    });
    match (inside, last) {
        (Some(Value::Object(map)), Segment::Key(key)) => drop(map.remove(key)),
        (Some(Value::Array(list)), Segment::Index(index)) if *index < list.len() => drop(list.remove(*index)),
        _ => {}
    }
}
