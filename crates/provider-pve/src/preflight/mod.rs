//! The facts that decide whether a plan works. Asked at once, each at its own node; what may not
//! be read, or cannot be had, stays unknown: the plan then says nothing of it.

mod access;
mod network;
mod places;

use futures::future::join;
use pvx_core::preflight::{Answers, Questions};
use pvx_core::provider::ProviderError;

use crate::cluster::Cluster;

impl Cluster {
    /// Everything that is asked.
    pub(crate) async fn answer(&self, questions: &Questions) -> Result<Answers, ProviderError> {
        let (access, places) =
            join(self.read_access(questions), self.places(&questions.places)).await;
        Ok(Answers { access: access?, places })
    }
}
