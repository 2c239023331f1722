//! Changes of what the admin API made: planned against the state they meet, checked and built with everything else as
//! one document, on the disk before they are served, and served before they are acknowledged. One after the other, and
//! in one queue with reloads, so that they never race.

use std::sync::Arc;

use sha2::{Digest, Sha256 as Hash};
use tokio::sync::{mpsc, oneshot};

use super::Gateway;
use super::amend;
use super::prepare::{kept, snapshot};
use super::resources::Resources;
use crate::admin::problem::Problem;
use crate::config::document::Document;
use crate::config::text::{Sha256, Timestamp};
use crate::config::{Change, Declared, Item, Kind, Loaded, Made, Problems};
use crate::rollout::Seat;
use crate::snapshot::{Amended, Builder, Snapshot};
use crate::store::StoreError;
use crate::store::revisions::{Difference, Differences, FileDifferences, Revision};

/// Changes that wait; more callers than this wait to be in line.
const QUEUE: usize = 64;

/// Says what to change, given what there is. Runs where it may block.
pub type Plan = Box<dyn FnOnce(&State) -> Result<Vec<Change>, Problem> + Send>;

/// What a plan is made against. Nothing else changes it meanwhile.
pub struct State {
    /// What the files declare.
    pub declared: Arc<Declared>,
    /// What the admin API made so far.
    pub made: Arc<Made>,
    /// The revision that serves.
    pub revision: u64,
    /// Both, as they are kept.
    pub resources: Arc<Resources>,
}

/// A wish to change something.
pub struct Wish {
    /// Who wishes it.
    pub by: String,
    /// What, in a few words.
    pub action: String,
    /// Whether it is only to be seen what would come of it.
    pub dry_run: bool,
    /// The changes.
    pub plan: Plan,
}

/// What came of a wish.
#[derive(Debug)]
pub struct Applied {
    /// The revision that serves what was wished. With a dry run, the one that serves now.
    pub revision: u64,
    /// What changed, or would.
    pub changes: Vec<Difference>,
    /// What has no effect, or a risk.
    pub warnings: Problems,
}

/// Why nothing came of it. Nothing was changed.
#[derive(Debug)]
pub enum Refused {
    /// The plan itself says no.
    Declined(Box<Problem>),
    /// The configuration would be wrong.
    Invalid(Problems),
    /// The store failed.
    Store(StoreError),
    /// Something else of the gateway's own failed.
    Failed(String),
}

/// The way to the queue.
#[derive(Clone)]
pub struct Changer(mpsc::Sender<Waiting>);

/// A wish in the queue.
pub struct Waiting {
    wish: Wish,
    answer: oneshot::Sender<Result<Applied, Refused>>,
}

/// A queue, and the way to it.
pub fn queue() -> (Changer, mpsc::Receiver<Waiting>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Changer(sender), receiver)
}

/// A state that can be served.
struct Candidate {
    made: Arc<Made>,
    changes: Vec<Change>,
    differences: Differences,
    snapshot: Snapshot,
    extent: Extent,
    warnings: Problems,
}

/// How much a change changes.
enum Extent {
    /// Everything may be another; what is left of the document.
    Whole(Document),
    /// Little: a few resources, with these seats beside those there are.
    Little(Vec<Arc<Seat>>),
}

/// What a plan comes to.
enum Outcome {
    /// Nothing that would change anything, or that is meant to.
    Unchanged(Applied),
    /// A new state, on the disk already.
    New(Box<Candidate>),
}

impl Changer {
    /// Applies a wish when its turn comes.
    ///
    /// # Errors
    /// Why nothing came of it.
    pub async fn apply(&self, wish: Wish) -> Result<Applied, Refused> {
        let gone = |_| Refused::Failed("the gateway is going away".into());
        let (answer, answered) = oneshot::channel();
        self.0.send(Waiting { wish, answer }).await.map_err(|_| gone(()))?;
        answered.await.map_err(|_| gone(())).flatten()
    }
}

impl Gateway {
    /// Applies the wish whose turn it is. Whoever wished it may be gone; what was begun is done all the same.
    pub(super) async fn grant(&mut self, waiting: Waiting) {
        let applied = self.try_grant(waiting.wish).await;
        if let Err(Refused::Invalid(_)) = &applied {
            self.shared.metrics.config_rejected("api");
        }
        let _ = waiting.answer.send(applied);
    }

    async fn try_grant(&mut self, wish: Wish) -> Result<Applied, Refused> {
        let Some(resources) = self.resources.clone() else { return Err(Refused::Failed("there is no store".into())) };
        let (builder, current) = (Arc::clone(&self.builder), self.shared.current.load_full());
        let (resources_there, revision) = (Arc::clone(&resources), self.revision);
        let work = move || work(wish, &resources_there, &builder, &current, revision);
        let outcome = tokio::task::spawn_blocking(work).await.map_err(|error| Refused::Failed(error.to_string()))??;
        match outcome {
            Outcome::Unchanged(applied) => Ok(applied),
            Outcome::New(candidate) => {
                let Candidate { made, differences, snapshot, extent, warnings, .. } = *candidate;
                self.settle(&snapshot).await;
                resources.set_made(made);
                match extent {
                    Extent::Whole(document) => {
                        self.swap(snapshot, document, Vec::new());
                        self.settle_registries().await;
                    }
                    Extent::Little(seats) => self.swap_little(snapshot, &seats),
                }
                Ok(Applied { revision: self.revision, changes: differences.0, warnings })
            }
        }
    }
}

fn work(wish: Wish, resources: &Arc<Resources>, builder: &Builder, current: &Snapshot, revision: u64) -> Result<Outcome, Refused> {
    let state = State {
        declared: resources.declared().map_err(Refused::Failed)?,
        made: resources.made(),
        revision,
        resources: Arc::clone(resources),
    };
    let changes = (wish.plan)(&state).map_err(|problem| Refused::Declined(Box::new(problem)))?;
    let changes: Vec<Change> =
        changes.into_iter().filter(|change| state.made.get(change.kind(), change.name()) != change.after()).collect();
    if changes.is_empty() {
        return Ok(Outcome::Unchanged(Applied { revision, changes: Vec::new(), warnings: Problems::default() }));
    }
    let candidate = build(&state, changes, builder, current)?;
    if wish.dry_run {
        let Candidate { differences, warnings, .. } = candidate;
        return Ok(Outcome::Unchanged(Applied { revision, changes: differences.0, warnings }));
    }
    remember(&state, &candidate, &wish.by, &wish.action).map_err(Refused::Store)?;
    Ok(Outcome::New(Box::new(candidate)))
}

fn build(state: &State, changes: Vec<Change>, builder: &Builder, current: &Snapshot) -> Result<Candidate, Refused> {
    let mut made = Made::clone(&state.made);
    let mut differences = Vec::with_capacity(changes.len());
    for change in &changes {
        differences.push(Difference::of(change, state.made.get(change.kind(), change.name())));
        made.apply(change.clone());
    }
    let (made, differences) = (Arc::new(made), Differences(differences));
    let next = amend::Next { state, changes: &changes, made: &made };
    if let Some((Amended { snapshot, seats }, warnings)) = next.amend(builder, current) {
        let warnings = of_made(&warnings);
        return Ok(Candidate { made, changes, differences, snapshot, extent: Extent::Little(seats), warnings });
    }
    let (loaded, snapshot) = whole(state, &made, builder, current)?;
    let warnings = of_made(&loaded.warnings);
    Ok(Candidate { made, changes, differences, snapshot, extent: Extent::Whole(kept(loaded)), warnings })
}

/// What files may mean otherwise was said when they were applied.
fn of_made(warnings: &Problems) -> Problems {
    Problems::new(warnings.iter().filter(|warning| warning.file.is_empty()).cloned().collect())
}

/// Checks and builds all there is.
fn whole(state: &State, made: &Arc<Made>, builder: &Builder, current: &Snapshot) -> Result<(Loaded, Snapshot), Refused> {
    let loaded = state.declared.with(made, &builder.stock()).map_err(Refused::Invalid)?;
    let snapshot = snapshot(&loaded, builder, Some(current), state.revision + 1).map_err(|(_, problems)| Refused::Invalid(problems))?;
    Ok((loaded, snapshot))
}

/// Durable once this returns: the changes, their revision and who made them, all or nothing.
fn remember(state: &State, candidate: &Candidate, by: &str, action: &str) -> Result<(), StoreError> {
    let revision = Revision {
        number: candidate.snapshot.revision,
        at: Timestamp::now(),
        by: by.to_owned(),
        action: action.to_owned(),
        files: state.declared.digest(),
        changes: candidate.differences.0.len(),
        file_changes: 0,
        size: 0,
    };
    let digest = Hash::digest(serde_json::to_vec(&candidate.differences).expect("differences are plain data"));
    state.resources.store.write(|writing| {
        candidate.changes.iter().try_for_each(|change| writing.change(change))?;
        let number = revision.number;
        writing.add_revision(revision, &candidate.differences, &FileDifferences::default())?;
        writing.audit(by, action, Some(number), Some(Sha256(digest.into())))
    })
}

impl State {
    /// A resource that the admin API made.
    ///
    /// # Errors
    /// 409 where a file declares it, 404 where there is none.
    pub fn made(&self, kind: Kind, name: &str) -> Result<&Item, Problem> {
        self.refuse_declared(kind, name)?;
        self.made.get(kind, name).ok_or_else(|| Problem::not_found(format!("There is no {} {name:?}.", kind.noun())))
    }

    /// Says no where a file declares this plugin, or a route uses it.
    ///
    /// # Errors
    /// 409, naming the file or the route.
    pub fn refuse_named(&self, plugin: &str) -> Result<(), Problem> {
        if let Some(file) = self.declared.plugin(plugin) {
            let place = place(file);
            return Err(Problem::conflict("declared_in_file", format!("{place} declares the plugin {plugin:?}.")));
        }
        let made = self.made.of(Kind::Routes).values().filter_map(|item| if let Item::Route(route) = item { Some(&**route) } else { None });
        let mut routes = self.declared.routes().chain(made);
        match routes.find(|route| route.plugins().any(|used| used == plugin)) {
            Some(route) => Err(Problem::conflict("in_use", format!("The route {:?} uses the plugin {plugin:?}.", route.name))),
            None => Ok(()),
        }
    }

    /// Says no where a file declares a resource of this name.
    ///
    /// # Errors
    /// 409, naming the file.
    pub fn refuse_declared(&self, kind: Kind, name: &str) -> Result<(), Problem> {
        let Some((_, file)) = self.declared.find(kind, name) else { return Ok(()) };
        let place = place(file);
        let detail = format!("{place} declares the {} {name:?}; it is changed there.", kind.noun());
        Err(Problem::conflict("declared_in_file", detail))
    }
}

/// What declares something, for people.
fn place(file: &str) -> String {
    if file.is_empty() { "The command line".to_owned() } else { format!("The file {file}") }
}
