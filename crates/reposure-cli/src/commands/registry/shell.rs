//! `reposure registry shell NAME`

use anyhow::Result;
use clap::Args;
use reposure_api::labels::{self, Application};
use reposure_parcel::session;

use crate::{
    commands::shell::{self, Beside, ShellArgs},
    context::Context,
};

/// Open a shell beside the surrogate of a registry
///
/// A container is added to the pod, which sees the processes and files of the one beside it; it cannot be removed again but with the pod.
/// It takes the right to patch pods/ephemeralcontainers and to attach.
#[derive(Debug, Args)]
pub(crate) struct RegistryShellArgs {
    /// The registry's name
    name: String,
    #[command(flatten)]
    shell: ShellArgs,
}

pub(super) async fn run(context: &Context, args: &RegistryShellArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let labels = labels::selector(Application::Surrogate, Some(&args.name));
    let beside = Beside { labels, container: session::CONTAINER, what: &format!("registry {}", args.name) };
    shell::run(&cluster, beside, &args.shell).await
}
