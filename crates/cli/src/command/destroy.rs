//! `pvx destroy`

use pvx_core::desired::ApplyChanges;
use pvx_core::plan::Intent;

use super::execute;
use crate::args::{DestroyOptions, Global};
use crate::exit::{CliError, Code};
use crate::session::Session;

pub(crate) async fn run(global: &Global, options: &DestroyOptions) -> Result<Code, CliError> {
    let session = Session::open(global, &options.documents.paths).await?;
    let result =
        execute::run(&session, &options.run, Intent::Destroy, ApplyChanges::default()).await;
    session.close().await;
    result
}
