//! A registry without an operator: the same plan, carried out here and now.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Context as _, Result};
use clap::Args;
use reposure_admin::{Manager, Observed, Settings, plan, standalone as surrogates};
use reposure_api::Registry;

use crate::{
    args::WaitArgs,
    commands::report,
    context::{Cluster, Context},
    standalone,
};

/// How the surrogate is made where no operator makes it.
#[derive(Debug, Args)]
pub(super) struct StandaloneArgs {
    /// Make the surrogate by your own rights, those of the role `edit`, without an operator
    #[arg(long)]
    pub(super) standalone: bool,
    /// The registry that the surrogate's image comes from, with --standalone
    #[arg(long, short = 'g', value_name = "HOST", default_value = plan::DEFAULT_IMAGE_HOST, requires = "standalone")]
    registry: String,
    /// The surrogate's image, instead of the one of this version at --registry
    #[arg(long, value_name = "IMAGE", requires = "standalone")]
    image: Option<String>,
    /// The Secret that the nodes pull the surrogate's image with
    #[arg(long, value_name = "SECRET", requires = "standalone")]
    image_pull_secret: Option<String>,
}

impl StandaloneArgs {
    fn settings(&self, observed: &Observed) -> Settings {
        let image = self.image.clone().unwrap_or_else(|| plan::image(&self.registry));
        let mut settings = Settings::new(image, Manager::Cli);
        settings.pull_secret.clone_from(&self.image_pull_secret);
        // The family of the cluster's pods is that of its Services.
        if let Some(IpAddr::V6(_)) = observed.service.cluster_ip() {
            settings.listen = Ipv6Addr::UNSPECIFIED.into();
        }
        settings
    }
}

/// Makes the surrogate of `registry`, and keeps the registry with it.
pub(super) async fn create(
    context: &Context,
    cluster: &Cluster,
    registry: &Registry,
    args: &StandaloneArgs,
    wait: WaitArgs,
) -> Result<()> {
    let target = registry.spec.target(&cluster.namespace).context("cannot use the registry")?;
    let observed = Observed { service: standalone::service(cluster, &target).await };
    let plan =
        plan::surrogate(registry, &observed, &args.settings(&observed)).context("cannot use the registry")?;
    let applied = surrogates::apply(&cluster.client, registry, &plan).await;
    report::changes(context, &applied.context("cannot make the surrogate")?)?;
    if wait.wait {
        standalone::wait(context, cluster, registry, wait.timeout)
            .await
            .context("the registry is known, but cannot be used")?;
    }
    Ok(())
}
