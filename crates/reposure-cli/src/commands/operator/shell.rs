//! `reposure operator shell`

use anyhow::Result;
use clap::Args;
use reposure_api::labels::{self, Application};

use crate::{
    commands::shell::{self, Beside, ShellArgs},
    context::Context,
};

/// Open a shell beside the operator
///
/// A container is added to the pod, which sees the processes and files of the one beside it; it cannot be removed again but with the pod.
/// It takes the right to patch pods/ephemeralcontainers and to attach.
#[derive(Debug, Args)]
pub(crate) struct OperatorShellArgs {
    #[command(flatten)]
    shell: ShellArgs,
}

pub(super) async fn run(context: &Context, args: &OperatorShellArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let labels = labels::selector(Application::Operator, None);
    let beside = Beside { labels, container: "operator", what: "the operator" };
    shell::run(&cluster, beside, &args.shell).await
}
