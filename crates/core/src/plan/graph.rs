//! The order of actions, as a petgraph graph: an edge goes from what is first to what waits.

use petgraph::Direction;
use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Action, ActionId};

/// Actions and what each one waits for. Serialised as a list of actions with their `needs`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(with = "Vec<Listed>")]
#[serde(try_from = "Vec<Listed>", into = "Vec<Listed>")]
pub struct ActionGraph(DiGraph<Action, ()>);

/// One action as it is serialised.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ListedAction")]
struct Listed {
    #[serde(flatten)]
    action: Action,
    /// Actions that must be done before it.
    #[serde(default)]
    needs: Vec<ActionId>,
}

/// Why a list of actions is not a graph that can be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Action numbers must be 0, 1, 2, … in order.
    #[error("action {0} is not at its place in the list")]
    Misplaced(ActionId),
    /// A `needs` entry that names no action.
    #[error("action {0} needs {1}, which is not in the plan")]
    Unknown(ActionId, ActionId),
    /// Actions that wait for each other.
    #[error("action {0} waits for itself")]
    Cycle(ActionId),
}

impl ActionGraph {
    /// Adds an action; its id is its place and is returned.
    pub fn add(&mut self, mut action: Action) -> ActionId {
        let id = ActionId(u32::try_from(self.0.node_count()).unwrap_or(u32::MAX));
        action.id = id;
        self.0.add_node(action);
        id
    }

    /// `later` waits for `first`.
    pub fn order(&mut self, first: ActionId, later: ActionId) {
        if self.get(first).is_some() && self.get(later).is_some() {
            self.0.update_edge(index(first), index(later), ());
        }
    }

    /// The action with this number.
    pub fn get(&self, id: ActionId) -> Option<&Action> {
        self.0.node_weight(index(id))
    }

    /// All actions, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Action> {
        self.0.node_weights()
    }

    /// Number of actions.
    pub fn len(&self) -> usize {
        self.0.node_count()
    }

    /// No actions?
    pub fn is_empty(&self) -> bool {
        self.0.node_count() == 0
    }

    /// What must be done before `id`.
    pub fn needs(&self, id: ActionId) -> Vec<ActionId> {
        self.neighbors(id, Direction::Incoming)
    }

    /// What waits for `id`.
    pub fn unlocks(&self, id: ActionId) -> Vec<ActionId> {
        self.neighbors(id, Direction::Outgoing)
    }

    fn neighbors(&self, id: ActionId, direction: Direction) -> Vec<ActionId> {
        if self.get(id).is_none() {
            return Vec::new();
        }
        let mut found: Vec<_> = self
            .0
            .neighbors_directed(index(id), direction)
            .filter_map(|n| self.0.node_weight(n).map(|a| a.id))
            .collect();
        found.sort_unstable();
        found
    }

    /// An order in which the actions can be run one by one.
    ///
    /// # Errors
    /// [`GraphError::Cycle`] when actions wait for each other.
    pub fn sequence(&self) -> Result<Vec<ActionId>, GraphError> {
        toposort(&self.0, None)
            .map(|order| {
                order.iter().filter_map(|n| self.0.node_weight(*n).map(|a| a.id)).collect()
            })
            .map_err(|cycle| GraphError::Cycle(id_of(cycle.node_id())))
    }

    /// Length of the longest chain of actions: the lower bound of rounds.
    pub fn depth(&self) -> usize {
        let mut depth = vec![0_usize; self.len()];
        for id in self.sequence().unwrap_or_default() {
            let before = self.needs(id).iter().filter_map(|n| depth.get(n.0 as usize)).max();
            let here = before.copied().unwrap_or(0) + 1;
            if let Some(slot) = depth.get_mut(id.0 as usize) {
                *slot = here;
            }
        }
        depth.into_iter().max().unwrap_or(0)
    }
}

impl PartialEq for ActionGraph {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().zip(other.iter()).all(|(a, b)| a == b)
            && self.iter().all(|a| self.needs(a.id) == other.needs(a.id))
    }
}

fn index(id: ActionId) -> NodeIndex {
    NodeIndex::new(id.0 as usize)
}

fn id_of(node: NodeIndex) -> ActionId {
    ActionId(u32::try_from(node.index()).unwrap_or(u32::MAX))
}

impl From<ActionGraph> for Vec<Listed> {
    fn from(graph: ActionGraph) -> Self {
        graph
            .iter()
            .map(|action| Listed { action: action.clone(), needs: graph.needs(action.id) })
            .collect()
    }
}

impl TryFrom<Vec<Listed>> for ActionGraph {
    type Error = GraphError;

    fn try_from(list: Vec<Listed>) -> Result<Self, Self::Error> {
        let mut graph = Self::default();
        for entry in &list {
            if graph.add(entry.action.clone()) != entry.action.id {
                return Err(GraphError::Misplaced(entry.action.id));
            }
        }
        for entry in &list {
            for need in &entry.needs {
                if graph.get(*need).is_none() {
                    return Err(GraphError::Unknown(entry.action.id, *need));
                }
                graph.order(*need, entry.action.id);
            }
        }
        graph.sequence()?;
        Ok(graph)
    }
}
