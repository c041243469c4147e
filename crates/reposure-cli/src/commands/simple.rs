//! `reposure simple …`

mod host;
mod install;
mod installed;
mod logs;
mod shell;
mod uninstall;

use anyhow::Result;
use clap::Subcommand;

use crate::context::Context;

pub(crate) use installed::Installed;

#[derive(Debug, Subcommand)]
pub(crate) enum SimpleCommand {
    Install(Box<install::InstallArgs>),
    Uninstall(uninstall::UninstallArgs),
    /// Print what pods put before the name of an image in the simple registry
    Host,
    Logs(logs::SimpleLogsArgs),
    Shell(shell::SimpleShellArgs),
}

pub(super) async fn run(context: &Context, command: SimpleCommand) -> Result<()> {
    match command {
        SimpleCommand::Install(args) => install::run(context, &args).await,
        SimpleCommand::Uninstall(args) => uninstall::run(context, &args).await,
        SimpleCommand::Host => host::run(context).await,
        SimpleCommand::Logs(args) => logs::run(context, &args).await,
        SimpleCommand::Shell(args) => shell::run(context, &args).await,
    }
}
