//! What of a draft later checks may look at: they must not find again, or find because of it, what was found already.

use std::collections::HashSet;

use super::Findings;
use super::draft::{Draft, Named, Slot};
use crate::config::document::Route;
use crate::config::holes::Holes;
use crate::config::place::{KeyPath, Place, Segment, Spot};

/// Leaves out items with something wrong in them, and steps of plugins that are left out. Routes stay, for the
/// steps of their chains can be judged on their own.
pub(super) fn keep(draft: &mut Draft, findings: &Findings, holes: &mut Holes) {
    let faulty = Faulty(findings.iter().filter_map(|finding| item_of(&finding.spot)).collect());
    faulty.leave_out("listeners", &mut draft.listeners);
    faulty.leave_out("upstreams", &mut draft.upstreams);
    faulty.leave_out("issuers", &mut draft.issuers);
    faulty.leave_out("clients", &mut draft.clients);
    let mut gone = faulty.leave_out("plugins", &mut draft.plugins);
    draft.plugins.iter().filter_map(|slot| slot.item.as_ref().ok()).for_each(|plugin| {
        gone.remove(&plugin.name);
    });
    for slot in &mut draft.routes {
        if let Ok(route) = &mut slot.item {
            leave_out_steps(route, slot.file, slot.index, &gone, holes);
        }
    }
}

/// Items by section, file and index.
struct Faulty(HashSet<(String, usize, usize)>);

fn item_of(spot: &Spot) -> Option<(String, usize, usize)> {
    let Spot::File(file, path) = spot else { return None };
    match path.segments() {
        [Segment::Key(section), Segment::Index(index), ..] => Some((section.clone(), *file, *index)),
        _ => None,
    }
}

impl Faulty {
    /// Returns the names of what is left out, or was broken before.
    fn leave_out<T: Named>(&self, section: &str, slots: &mut Vec<Slot<T>>) -> HashSet<String> {
        let mut gone = HashSet::new();
        slots.retain(|slot| {
            let faulty = slot.item.is_err() || self.0.contains(&(section.to_owned(), slot.file, slot.index));
            gone.extend(slot.name().filter(|_| faulty).map(str::to_owned));
            !faulty
        });
        gone
    }
}

fn leave_out_steps(route: &mut Route, file: usize, index: usize, gone: &HashSet<String>, holes: &mut Holes) {
    let root = Place::root(file);
    let list = root.key("routes");
    let chain = list.index(index).key("chain").path();
    let left_out = route.chain.iter().enumerate().filter(|(_, step)| gone.contains(&step.plugin));
    // Looked up before any is added, for each moves those behind it.
    let places: Vec<KeyPath> = left_out.map(|(step, _)| holes.restore(file, chain.clone().index(step))).collect();
    places.into_iter().for_each(|place| holes.add(file, place));
    route.chain.retain(|step| !gone.contains(&step.plugin));
    route.component.take_if(|component| gone.contains(component));
}
