//! `reposure operator logs`

use anyhow::Result;
use clap::Args;
use reposure_api::labels::{self, Application};

use crate::{
    commands::logs::{self, LogsArgs},
    context::Context,
};

/// Show the operator's log
#[derive(Debug, Args)]
pub(crate) struct OperatorLogsArgs {
    #[command(flatten)]
    logs: LogsArgs,
}

pub(super) async fn run(context: &Context, args: &OperatorLogsArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    logs::print(&cluster, &labels::selector(Application::Operator, None), "the operator", args.logs).await
}
