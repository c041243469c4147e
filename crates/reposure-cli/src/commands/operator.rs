//! `reposure operator …`

mod certificates;
mod install;
mod installed;
mod logs;
mod manifests;
mod options;
mod rights;
mod shell;
mod uninstall;
mod upgrade;

use anyhow::Result;
use clap::Subcommand;

use crate::context::Context;

pub(super) use install::by_hand;

#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    Install(install::InstallArgs),
    Upgrade(upgrade::UpgradeArgs),
    Uninstall(uninstall::UninstallArgs),
    Manifests(manifests::ManifestsArgs),
    Logs(logs::OperatorLogsArgs),
    Shell(shell::OperatorShellArgs),
}

pub(super) async fn run(context: &Context, command: OperatorCommand) -> Result<()> {
    match command {
        OperatorCommand::Install(args) => install::run(context, &args).await,
        OperatorCommand::Upgrade(args) => upgrade::run(context, &args).await,
        OperatorCommand::Uninstall(args) => uninstall::run(context, &args).await,
        OperatorCommand::Manifests(args) => manifests::run(context, &args).await,
        OperatorCommand::Logs(args) => logs::run(context, &args).await,
        OperatorCommand::Shell(args) => shell::run(context, &args).await,
    }
}
