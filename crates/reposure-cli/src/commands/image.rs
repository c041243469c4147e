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
use reposure_client::session::Session;
use reposure_oci::{ImageName, RepositoryName};
use reposure_parcel::kind::RegistryKind;

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

/// Refuses a name that is none in the registry, before anything is asked of it.
fn check_name(session: &Session, repository: &RepositoryName) -> Result<(), Failure> {
    let hello = session.hello();
    let Some(kind) = hello.upstream.registry_kind() else { return Ok(()) };
    kind.check(repository).map_err(|error| {
        let last = repository.as_str().rsplit('/').next().unwrap_or_default();
        let failure = Failure::new(Kind::Usage, error.to_string());
        match kind {
            // A project is a namespace.
            RegistryKind::OpenShift => failure.hint(format!("{}/{last}, for one", hello.namespace)),
            RegistryKind::Harbor => {
                failure.hint(format!("library/{last}, for one: the project must be there"))
            }
        }
    })
}

/// Takes a number of exchanges at once. More help nobody, and each takes memory.
fn jobs() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=256)
}
