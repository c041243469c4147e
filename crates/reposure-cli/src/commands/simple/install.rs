//! `reposure simple install`

use anyhow::{Context as _, Result};
use clap::Args;
use reposure_admin::{SimpleOptions, Storage, install, plan};
use reposure_api::{labels::Application, names};

use crate::{
    args::WaitArgs,
    commands::{operator::by_hand, report, rollout},
    context::Context,
};

/// Install a simple registry in the cluster: CNCF Distribution
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct InstallArgs {
    /// Kept for scripts of the first Reposure: the registry serves the whole cluster always
    #[arg(long, short = 'c', hide = true)]
    cluster: bool,
    /// The registry that the image comes from
    #[arg(long, short = 'g', value_name = "HOST", default_value = plan::DEFAULT_IMAGE_HOST)]
    registry: String,
    /// The image, instead of library/registry:3 at --registry; 2.8 works too
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// The Secret that the nodes pull the image with
    #[arg(long, value_name = "SECRET")]
    image_pull_secret: Option<String>,
    /// The size of the volume for images
    #[arg(long, value_name = "SIZE", default_value = "10Gi")]
    size: String,
    /// The storage class of the volume, instead of the cluster's default
    #[arg(long, value_name = "NAME")]
    storage_class: Option<String>,
    /// Keep images in the pod: they are lost with it
    #[arg(long, conflicts_with_all = ["size", "storage_class"])]
    ephemeral: bool,
    /// Let the cluster choose the user that the registry runs as, which OpenShift insists on
    #[arg(long)]
    any_user: bool,
    /// Serve TLS, with a certificate that is made here unless the Secret reposure-simple-authentication holds one
    #[arg(long, short = 'a')]
    authentication: bool,
    /// Ask for a password: one of those in the Secret reposure-simple-htpasswd, key htpasswd, hashed with bcrypt
    #[arg(long)]
    authorization: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

impl InstallArgs {
    fn options(&self, namespace: &str) -> SimpleOptions {
        let storage = if self.ephemeral {
            Storage::Ephemeral
        } else {
            Storage::Claim { size: self.size.clone(), class: self.storage_class.clone() }
        };
        SimpleOptions {
            image: self.image.clone().unwrap_or_else(|| SimpleOptions::image_at(&self.registry)),
            pull_secret: self.image_pull_secret.clone(),
            storage,
            tls: self.authentication,
            authorization: self.authorization,
            fixed_user: !self.any_user,
            ..SimpleOptions::new(namespace)
        }
    }
}

pub(super) async fn run(context: &Context, args: &InstallArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let options = args.options(&cluster.namespace);
    let applied = install::simple(&cluster.client, &options, &by_hand())
        .await
        .context("cannot install the registry")?;
    report::changes(context, &applied)?;
    if args.wait.wait {
        let limit = args.wait.timeout;
        rollout::wait(&cluster, names::SIMPLE, Application::Simple, "the registry", limit).await?;
    }
    Ok(())
}
