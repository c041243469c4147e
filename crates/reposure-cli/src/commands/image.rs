//! `reposure image …`

mod cache;
mod compression;
mod delete;
mod list;
mod pull;
mod push;
mod referrers;
mod source;
mod verify;

use anyhow::Result;
use clap::{Subcommand, builder::RangedU64ValueParser};
use reposure_oci::ImageName;

use crate::{
    context::Context,
    exit::{Failure, Kind},
};

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    Push(Box<push::PushArgs>),
    Pull(Box<pull::PullArgs>),
    Verify(verify::VerifyArgs),
    #[command(visible_alias = "ls")]
    List(list::ListArgs),
    #[command(visible_alias = "rm")]
    Delete(delete::DeleteArgs),
    Referrers(referrers::ReferrersArgs),
}

pub(super) async fn run(context: &Context, command: ImageCommand) -> Result<()> {
    match command {
        ImageCommand::Push(args) => push::run(context, *args).await,
        ImageCommand::Pull(args) => pull::run(context, *args).await,
        ImageCommand::Verify(args) => verify::run(context, args).await,
        ImageCommand::List(args) => list::run(context, &args).await,
        ImageCommand::Delete(args) => delete::run(context, args).await,
        ImageCommand::Referrers(args) => referrers::run(context, &args).await,
    }
}

/// Says that a registry has no such image.
fn not_in(image: &ImageName, registry: &str) -> Failure {
    let failure = Failure::new(Kind::NotFound, format!("there is no image {image} in registry {registry}"));
    failure.hint(format!("reposure image list {registry}"))
}

/// Takes a number of exchanges at once. More help nobody, and each takes memory.
fn jobs() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=256)
}
