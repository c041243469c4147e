//! `reposure operator manifests`

use anyhow::Result;
use clap::Args;
use reposure_admin::manifests;

use super::options::OperatorArgs;
use crate::{context::Context, output};

/// Print what `operator install` would apply
///
/// It is YAML for `kubectl apply` and for reading, and takes no cluster.
#[derive(Debug, Args)]
pub(crate) struct ManifestsArgs {
    #[command(flatten)]
    operator: OperatorArgs,
}

pub(super) async fn run(context: &Context, args: &ManifestsArgs) -> Result<()> {
    let namespace = context.namespace().await;
    output::write(&manifests::operator(&args.operator.options(&namespace))?)
}
