//! `pvx apply`

use pvx_core::plan::Intent;
use pvx_core::planner::Options;

use super::execute;
use crate::args::{ApplyOptions, Global};
use crate::exit::{CliError, Code};
use crate::session::Session;

pub(crate) async fn run(global: &Global, options: &ApplyOptions) -> Result<Code, CliError> {
    let session = Session::open(global, &options.documents.paths).await?;
    let session = session.replacing(&options.anew.replace);
    let wishes = Options {
        apply_changes: options.apply_changes.apply_changes.into(),
        replace: options.anew.replace.clone(),
        ..Options::default()
    };
    let result = execute::run(&session, &options.run, wishes, Intent::Apply).await;
    session.close().await;
    result
}
