//! What would make a plan fail, found before anything is changed: the plan says which facts decide
//! ([`questions`]), a [`Reader`](crate::provider::Reader) fetches them, and [`check`] adds findings
//! to the plan. Pure, like the planner. A plan without actions asks nothing.

pub mod place;

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::planner::{Input, settle};

/// What has to be asked beside the snapshot that the plan was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// What the token may do (`/access/permissions`).
    pub permissions: bool,
    /// What has to be asked of places.
    pub places: place::Asked,
}

impl Questions {
    /// Nothing to ask?
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is known then. A fact that could not be had is absent, and nothing is concluded from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// What is known of places.
    #[serde(default)]
    pub places: place::Known,
}

/// Which facts decide whether the plan works.
pub fn questions(plan: &Plan, input: &Input<'_>) -> Questions {
    Questions { permissions: !plan.is_empty(), places: place::questions(plan, input) }
}

/// Adds to the plan what would make it fail.
pub fn check(plan: &mut Plan, input: &Input<'_>, answers: &Answers) {
    let places = place::check(plan, input, &answers.places);
    plan.findings.extend(places);
    settle(&mut plan.findings, input.sources);
}
