//! A folder per noun, a file per verb.

pub(crate) mod completion;
pub(crate) mod doctor;
pub(crate) mod image;
mod logs;
pub(crate) mod operator;
pub(crate) mod registry;
mod report;
mod rollout;
mod shell;
pub(crate) mod simple;
mod version;

use anyhow::Result;

use crate::{args::Command, connect, context::Context};

/// Runs the command that was typed.
pub(crate) async fn run(context: &Context, command: Command) -> Result<()> {
    connect::direct::check(&context.global)?;
    match command {
        Command::Image(command) => image::run(context, command).await,
        Command::Registry(command) => registry::run(context, command).await,
        Command::Operator(command) => operator::run(context, command).await,
        Command::Simple(command) => simple::run(context, command).await,
        Command::Doctor(args) => doctor::run(context, &args).await,
        Command::Version => version::run(context),
        Command::Completion(args) => completion::run(&args),
    }
}
