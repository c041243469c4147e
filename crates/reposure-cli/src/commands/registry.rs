//! `reposure registry …`

mod access;
mod adopt;
mod create;
mod delete;
mod describe;
mod grant;
mod info;
mod list;
mod logs;
mod revoke;
mod shell;
mod subject;

use anyhow::Result;
use clap::Subcommand;

use crate::context::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum RegistryCommand {
    Create(Box<create::CreateArgs>),
    Adopt(adopt::AdoptArgs),
    #[command(visible_alias = "rm")]
    Delete(delete::DeleteArgs),
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    Describe(describe::DescribeArgs),
    Info(info::InfoArgs),
    Logs(logs::RegistryLogsArgs),
    Shell(shell::RegistryShellArgs),
    Grant(grant::GrantArgs),
    Revoke(revoke::RevokeArgs),
    Access(access::AccessArgs),
}

pub(super) async fn run(context: &Context, command: RegistryCommand) -> Result<()> {
    match command {
        RegistryCommand::Create(args) => create::run(context, *args).await,
        RegistryCommand::Adopt(args) => adopt::run(context, &args).await,
        RegistryCommand::Delete(args) => delete::run(context, &args).await,
        RegistryCommand::List(args) => list::run(context, &args).await,
        RegistryCommand::Describe(args) => Box::pin(describe::run(context, &args)).await,
        RegistryCommand::Info(args) => info::run(context, &args).await,
        RegistryCommand::Logs(args) => logs::run(context, &args).await,
        RegistryCommand::Shell(args) => shell::run(context, &args).await,
        RegistryCommand::Grant(args) => grant::run(context, &args).await,
        RegistryCommand::Revoke(args) => revoke::run(context, &args).await,
        RegistryCommand::Access(args) => access::run(context, &args).await,
    }
}
