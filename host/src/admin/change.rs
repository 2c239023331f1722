//! What all operations have in common that change what this API made: dry runs, waiting for workers, preconditions, and
//! what is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::content::{Answer, Created, Described, Json};
use super::operation::Call;
use super::problem::{Invalid, Problem};
use crate::config;
use crate::config::units::Period;
use crate::config::{Change, Item, Problems};
use crate::gateway::apply::{Applied, Refused, State, Wish};
use crate::store::revisions::Difference;

/// How often workers are looked at.
const LOOK: Duration = Duration::from_millis(2);
/// Changes that an answer shows; the revision shows all.
const SHOWN: usize = 1000;
/// The longest that anybody may wait for them.
const LONGEST: Duration = Duration::from_secs(60);
/// How long somebody waits who does not say how long.
const USUAL: Duration = Duration::from_secs(10);

/// How a change is to be made.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct How {
    /// Check and build all of it, and change nothing.
    pub dry_run: bool,
    /// Answer once every worker has the new revision in hand, or after this time, at most 60s; `true` is 10s.
    pub wait: Option<Patience>,
}

/// How a change that makes no revision is to be made.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Wait {
    /// Answer once every worker has in hand what serves now, or after this time, at most 60s; `true` is 10s.
    pub wait: Option<Patience>,
}

/// The longest that an answer waits for workers: a time, or `true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Patience(Duration);

/// What came of a change.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Outcome {
    /// The revision that has the change in it. With a dry run, the one that serves.
    pub revision: u64,
    /// Whether it was only tried.
    pub dry_run: bool,
    /// What changed, or would: the first thousand.
    pub changes: Vec<Difference>,
    /// How many changes there are in all.
    pub total: usize,
    /// What has no effect, or is a risk.
    pub warnings: Vec<Invalid>,
    /// Who has the revision in hand. New requests are served by it in any case.
    pub workers: Workers,
}

/// Workers that have a revision in hand.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Workers {
    /// So many have.
    pub serving: usize,
    /// So many there are.
    pub of: usize,
}

/// What is answered to a PUT: 201 where nothing was there before.
#[derive(Debug)]
pub struct Written {
    /// Whether something new is there.
    pub created: bool,
    /// What came of it.
    pub outcome: Outcome,
}

/// A change to be made: who, what, how.
pub struct Order {
    admin: Arc<Admin>,
    by: String,
    action: String,
    how: How,
    /// The path in the configuration of what was sent, if it is one resource.
    pub sent: String,
}

impl Order {
    /// What a call is to do.
    pub fn of<B>(call: &Call<How, B>, action: String) -> Self {
        Self { admin: Arc::clone(&call.admin), by: call.by(), action, how: call.query.clone(), sent: String::new() }
    }

    /// Does it, or tries to.
    pub async fn carry_out(self, plan: impl FnOnce(&State) -> Result<Vec<Change>, Problem> + Send + 'static) -> Result<Outcome, Problem> {
        let wish = Wish { by: self.by, action: self.action, dry_run: self.how.dry_run, plan: Box::new(plan) };
        let Applied { revision, mut changes, warnings } =
            self.admin.changer.apply(wish).await.map_err(|refused| problem(refused, &self.sent))?;
        if let Some(wait) = self.how.wait.filter(|_| !self.how.dry_run) {
            wait_for_workers(&self.admin, revision, wait).await;
        }
        let warnings = warnings.iter().map(|warning| Invalid::of(warning, &self.sent)).collect();
        let (total, workers) = (changes.len(), workers(&self.admin, revision));
        changes.truncate(SHOWN);
        Ok(Outcome { revision, dry_run: self.how.dry_run, changes, total, warnings, workers })
    }
}

/// The tag of a resource.
pub fn tag(item: &Item) -> String {
    config::tag(&item.to_json())
}

/// Holds what a caller has seen against what is there.
pub fn check_seen(seen: Option<&[String]>, absent: bool, there: Option<&str>) -> Result<(), Problem> {
    if absent && there.is_some() {
        return Err(Problem::precondition_failed("There is one already."));
    }
    let Some(seen) = seen else { return Ok(()) };
    match there {
        Some(there) if seen.iter().any(|tag| tag == there || tag == "*") => Ok(()),
        Some(_) => Err(Problem::precondition_failed("It is no longer what it was when you looked.")),
        None => Err(Problem::precondition_failed("It is not there.")),
    }
}

/// Everything that is wrong with a configuration.
pub fn invalid(problems: &Problems, sent: &str) -> Problem {
    let errors: Vec<Invalid> = problems.iter().map(|problem| Invalid::of(problem, sent)).collect();
    let detail = match errors.len() {
        1 => "The configuration would be wrong in one place.".to_owned(),
        several => format!("The configuration would be wrong in {several} places."),
    };
    Problem::invalid(detail, errors)
}

fn problem(refused: Refused, sent: &str) -> Problem {
    match refused {
        Refused::Declined(problem) => *problem,
        Refused::Invalid(problems) => invalid(&problems, sent),
        Refused::Store(error) => error.into(),
        Refused::Failed(cause) => Problem::unavailable(format!("Nothing was changed: {cause}.")),
    }
}

/// Does something that changes no resource, in one queue with all that does: whoever would come to need what goes away
/// comes before or after it.
pub async fn in_turn(admin: &Admin, act: impl FnOnce(&State) -> Result<(), Problem> + Send + 'static) -> Result<(), Problem> {
    let plan = Box::new(move |state: &State| act(state).map(|()| Vec::new()));
    let wish = Wish { by: String::new(), action: String::new(), dry_run: false, plan };
    admin.changer.apply(wish).await.map(drop).map_err(|refused| problem(refused, ""))
}

async fn wait_for_workers(admin: &Admin, revision: u64, Patience(most): Patience) {
    let until = Instant::now() + most.min(LONGEST);
    while workers(admin, revision).serving < admin.workers.len() && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
}

fn workers(admin: &Admin, revision: u64) -> Workers {
    Workers { serving: admin.workers.iter().filter(|pinned| pinned.get() >= revision).count(), of: admin.workers.len() }
}

impl Wait {
    /// Waits, if that is wished, until all workers have in hand what serves now.
    pub async fn for_workers(&self, admin: &Admin) {
        if let Some(patience) = self.wait {
            wait_for_workers(admin, admin.current.load().revision, patience).await;
        }
    }
}

impl TryFrom<String> for Patience {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "true" => Ok(Self(USUAL)),
            "false" => Ok(Self(Duration::ZERO)),
            time => match time.parse::<Period>() {
                Ok(period) => Ok(Self(period.into())),
                Err(reason) => Err(format!("wait is {text:?} ({reason}), want a duration such as 5s, or true")),
            },
        }
    }
}

impl JsonSchema for Patience {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Patience".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"anyOf": [{"type": "boolean"}, generator.subschema_for::<Period>()]})
    }
}

impl Answer for Written {
    fn describe(generator: &mut SchemaGenerator) -> Vec<(StatusCode, Option<Described>)> {
        [Json::<Outcome>::describe(generator), Created::<Outcome>::describe(generator)].concat()
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        match self.created {
            true => Created(self.outcome).into_response(),
            false => Json(self.outcome).into_response(),
        }
    }
}
