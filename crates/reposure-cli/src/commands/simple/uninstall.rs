//! `reposure simple uninstall`

use anyhow::{Context as _, Result};
use clap::Args;
use reposure_admin::{
    Object, SimpleOptions, Storage, apply, install,
    plan::{self, SimpleKeys},
    wait,
};

use crate::{args::WaitArgs, commands::report, context::Context};

/// Remove the simple registry
///
/// Its volume stays, and with it the images, unless --delete-images is given. So do Secrets that were not made by `simple install`.
#[derive(Debug, Args)]
pub(crate) struct UninstallArgs {
    /// Delete the volume with all images too
    #[arg(long)]
    delete_images: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(context: &Context, args: &UninstallArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let storage = if args.delete_images { Storage::default() } else { Storage::Ephemeral };
    let options = SimpleOptions { storage, ..SimpleOptions::new(&cluster.namespace) };
    // Only the names of its objects matter.
    let plan = plan::simple(&options, &SimpleKeys::random());
    let mut deleted =
        apply::delete_all(&cluster.client, &plan).await.context("cannot remove the registry")?;
    let secrets = install::remove_simple_secrets(&cluster.client, &cluster.namespace).await;
    deleted.extend(secrets.context("the registry is removed, but not its Secrets")?);
    let policy = install::remove_simple_network_policy(&cluster.client, &cluster.namespace).await;
    deleted.extend(policy.context("the registry is removed, but not its NetworkPolicy")?);
    let before = install::remove_simple_config_map(&cluster.client, &cluster.namespace).await;
    deleted.extend(before.context("the registry is removed, but not its ConfigMap")?);
    report::changes(context, &deleted)?;
    if args.wait.wait {
        let objects: Vec<&Object> = plan.objects().collect();
        for object in objects {
            wait::deleted(&cluster.client, object, args.wait.timeout).await?;
        }
    }
    Ok(())
}
