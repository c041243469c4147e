//! `reposure registry logs NAME`

use anyhow::Result;
use clap::Args;
use reposure_api::labels::{self, Application};

use crate::{
    commands::logs::{self, LogsArgs},
    context::Context,
};

/// Show the log of a registry's surrogate
#[derive(Debug, Args)]
pub(crate) struct RegistryLogsArgs {
    /// The registry's name
    name: String,
    #[command(flatten)]
    logs: LogsArgs,
}

pub(super) async fn run(context: &Context, args: &RegistryLogsArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let labels = labels::selector(Application::Surrogate, Some(&args.name));
    logs::print(&cluster, &labels, &format!("registry {}", args.name), args.logs).await
}
