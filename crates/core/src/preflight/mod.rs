//! What would make a plan fail, found before anything is changed: the plan says which facts decide
//! ([`questions`]), a [`Reader`](crate::provider::Reader) fetches them, and [`check`] adds findings
//! to the plan. Pure, like the planner. A plan without actions asks nothing.

mod permissions;
pub mod place;
mod privilege;
pub mod pveum;

pub use permissions::{Access, Applying, Permissions, TagRules};
pub use privilege::needed as needed_privileges;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::plan::{Plan, Privilege};
use crate::planner::{Input, settle};

/// What has to be asked beside the snapshot that the plan was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Questions {
    /// What the token may do (`/access/permissions`).
    pub permissions: bool,
    /// Another token that is to carry the plan out.
    pub applying: Option<String>,
    /// Paths of the ACL that count, should the list of all not tell of them for certain.
    pub paths: BTreeSet<String>,
    /// What has to be asked of places.
    pub places: place::Asked,
    /// VMIDs that guests are made at, and those of guests that were there before and are not
    /// seen: asked for only when the token does not see all guests.
    pub vmids: BTreeSet<u32>,
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
    /// What the token may do, and the rules that this depends on.
    pub access: Access,
}

/// Which facts decide whether the plan works.
pub fn questions(plan: &Plan, input: &Input<'_>) -> Questions {
    let unseen = privilege::unseen(input);
    let permissions = !plan.is_empty() || plan.is_blocked() || !unseen.is_empty();
    let needed = permissions.then(|| needed_privileges(plan, input, &Access::default()));
    let paths = |check: Privilege| [Some(check.path), check.pool].into_iter().flatten();
    Questions {
        applying: None,
        places: place::questions(plan, input),
        permissions,
        paths: needed.into_iter().flatten().flat_map(paths).collect(),
        vmids: privilege::new_vmids(plan).into_iter().chain(unseen.into_keys()).collect(),
    }
}

/// Adds to the plan what would make it fail.
pub fn check(plan: &mut Plan, input: &Input<'_>, answers: &Answers) {
    plan.privileges = needed_privileges(plan, input, &answers.access);
    privilege::check(plan, input, &answers.access);
    let places = place::check(plan, input, &answers.places);
    plan.findings.extend(places);
    settle(&mut plan.findings, input.sources);
}
