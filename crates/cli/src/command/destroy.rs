//! `pvx destroy`

use pvx_core::plan::Intent;
use pvx_core::planner::Options;

use super::execute::{self, Work};
use crate::args::{DestroyOptions, Global};
use crate::exit::{CliError, Code};
use crate::saved;
use crate::session::Session;

pub(crate) async fn run(global: &Global, options: &DestroyOptions) -> Result<Code, CliError> {
    saved::refuse_among(&options.documents.paths)?;
    let session = Session::open(global, &options.documents.paths).await?;
    let wishes = Options { erase_kept: options.erase_kept, ..Options::default() };
    let work = Work::Documents { wishes, intent: Intent::Destroy };
    let result = execute::run(&session, &options.run, work, false).await;
    session.close().await;
    result
}
