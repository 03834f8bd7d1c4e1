//! `pvx apply`

use pvx_core::plan::Intent;

use super::execute;
use crate::args::{ApplyOptions, Global};
use crate::exit::{CliError, Code};
use crate::session::Session;

pub(crate) async fn run(global: &Global, options: &ApplyOptions) -> Result<Code, CliError> {
    let session = Session::open(global, &options.documents.paths).await?;
    let allowed = options.apply_changes.apply_changes.into();
    let result = execute::run(&session, &options.run, Intent::Apply, allowed).await;
    session.close().await;
    result
}
