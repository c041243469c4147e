//! `reposure operator manifests`

use anyhow::Result;
use reposure_admin::manifests;

use super::install::InstallArgs;
use crate::{context::Context, output};

/// Prints what `install` would apply, for `kubectl apply` and for reading; asks no cluster.
pub(super) async fn run(context: &Context, args: &InstallArgs) -> Result<()> {
    let namespace = context.namespace().await;
    output::write(&manifests::operator(&args.options(&namespace))?)
}
