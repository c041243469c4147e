//! A registry without an operator: the same plan, carried out here and now.

use std::net::{IpAddr, Ipv6Addr};

use anyhow::{Context as _, Result};
use clap::Args;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use reposure_admin::{
    Manager, Object, Observed, Plan, Settings, apply, manifests, plan, standalone as surrogates,
};
use reposure_api::Registry;

use super::has_image_streams;
use crate::{
    commands::report,
    context::{Cluster, Context},
    exit::{Failure, Kind},
    format::Format,
    output, standalone,
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
    /// What the surrogate's image is built for, as nodes name it (amd64, arm64); any node by default
    #[arg(long, value_name = "ARCHITECTURE", value_delimiter = ',', requires = "standalone")]
    architectures: Vec<String>,
    /// Make a `NetworkPolicy` too, which closes all of the surrogate's ports but the two that it serves, and all ways from it but those to
    /// the registry, DNS and API server
    #[arg(long, requires = "standalone")]
    network_policy: bool,
    /// Write nothing, and show what would be written, as YAML or with -o json
    #[arg(long, requires = "standalone")]
    pub(super) dry_run: bool,
}

impl StandaloneArgs {
    fn settings(&self, observed: &Observed) -> Settings {
        let image = self.image.clone().unwrap_or_else(|| plan::image(&self.registry));
        let mut settings = Settings::new(image, Manager::Cli);
        settings.pull_secret.clone_from(&self.image_pull_secret);
        settings.architectures.clone_from(&self.architectures);
        settings.network_policy = self.network_policy;
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
) -> Result<()> {
    let name = registry.name_any();
    if let Ok(Some(_)) = cluster.api::<Registry>().get_opt(&name).await {
        let message =
            format!("there is a Registry {name} in namespace {}, for an operator", cluster.namespace);
        let hint =
            format!("without --standalone to change it, or reposure registry delete {name} --wait first");
        return Err(Failure::new(Kind::Conflict, message).hint(hint).into());
    }
    let target = registry.spec.target(&cluster.namespace).context("cannot use the registry")?;
    let observed = Observed { service: standalone::service(cluster, &target).await };
    let plan =
        plan::surrogate(registry, &observed, &args.settings(&observed)).context("cannot use the registry")?;
    if args.dry_run {
        let more = if has_image_streams(&registry.spec) {
            plan::image_streams_access(registry)
        } else {
            Plan::default()
        };
        return show(context, &Plan { steps: [plan.plan.steps, more.steps].concat() });
    }
    let before = standalone::config_map(cluster, &name).await;
    let applied = surrogates::apply(&cluster.client, registry, &plan).await;
    let mut changed = applied.context("cannot make the surrogate")?;
    if let Some(policy) = before.and_then(|before| stale(&before, &plan.plan)) {
        let deleted = apply::delete(&cluster.client, &policy).await;
        changed.push(deleted.context("cannot remove the NetworkPolicy")?);
    }
    report::changes(context, &changed)
}

/// Returns the `NetworkPolicy` of a registry as it was kept, if there is none any more in the plan that was carried out.
fn stale(before: &ConfigMap, now: &Plan) -> Option<Object> {
    let is_policy = |object: &&Object| matches!(object, Object::NetworkPolicy(_));
    if now.objects().any(|object| is_policy(&object)) {
        return None;
    }
    let (registry, settings) = (plan::standalone_registry(before)?, plan::standalone_settings(before)?);
    let before = plan::surrogate(&registry, &Observed::default(), &settings).ok()?;
    before.plan.objects().find(is_policy).cloned()
}

/// Shows what would be written.
fn show(context: &Context, plan: &Plan) -> Result<()> {
    match context.format() {
        Format::Json => output::structured(Format::Json, &plan.objects().collect::<Vec<&Object>>()),
        _ => output::write(&manifests::render(plan)?),
    }
}
