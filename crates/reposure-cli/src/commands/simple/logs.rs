//! `reposure simple logs`

use anyhow::Result;
use clap::Args;
use reposure_api::labels::{self, Application};

use crate::{
    commands::logs::{self, LogsArgs},
    context::Context,
};

/// Show the simple registry's log
#[derive(Debug, Args)]
pub(crate) struct SimpleLogsArgs {
    #[command(flatten)]
    logs: LogsArgs,
}

pub(super) async fn run(context: &Context, args: &SimpleLogsArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    logs::print(&cluster, &labels::selector(Application::Simple, None), "the simple registry", args.logs)
        .await
}
