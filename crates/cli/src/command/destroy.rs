//! `pvx destroy`

use pvx_core::plan::Intent;
use pvx_core::planner::Options;

use super::execute;
use crate::args::{DestroyOptions, Global};
use crate::exit::{CliError, Code};
use crate::session::Session;

pub(crate) async fn run(global: &Global, options: &DestroyOptions) -> Result<Code, CliError> {
    let session = Session::open(global, &options.documents.paths).await?;
    let wishes = Options { erase_kept: options.erase_kept, ..Options::default() };
    let result = execute::run(&session, &options.run, wishes, Intent::Destroy).await;
    session.close().await;
    result
}
