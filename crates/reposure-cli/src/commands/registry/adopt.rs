//! `reposure registry adopt NAME`

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use kube::{
    ResourceExt as _,
    api::{DeleteParams, PropagationPolicy},
};
use reposure_admin::{
    AdminError, Manager, Observed, RegistryOptions, Settings, SurrogatePlan, Verb, apply, plan,
    standalone as surrogates, wait,
};
use reposure_api::Registry;

use crate::{
    args::parse_duration,
    commands::operator::by_hand,
    connect,
    context::{Cluster, Context},
    exit::{Failure, Kind},
    output, standalone,
};

/// How long the cluster may take to forget a `Registry` that nobody took over.
const UNDO_LIMIT: Duration = Duration::from_secs(30);

/// Hand a standalone registry to an operator
///
/// A `Registry` is created from the settings that are kept, and the operator takes the surrogate over. The images stay where they
/// are, and pushes go on. Where no operator does so in time, the registry stays standalone.
#[derive(Debug, Args)]
pub(crate) struct AdoptArgs {
    /// The name
    name: String,
    /// How long the operator may take: 30s, 5m
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    timeout: Duration,
}

pub(super) async fn run(context: &Context, args: &AdoptArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let name = &args.name;
    let config_map = standalone::config_map(&cluster, name).await;
    let Some(kept) = config_map.as_ref().and_then(plan::standalone_registry) else {
        return Err(not_kept(&cluster, name).await.into());
    };
    // Only the names of its objects matter, and which there are.
    let settings = config_map.as_ref().and_then(plan::standalone_settings);
    let settings =
        settings.unwrap_or_else(|| Settings::new(plan::image(plan::DEFAULT_IMAGE_HOST), Manager::Cli));
    let planned =
        plan::surrogate(&kept, &Observed::default(), &settings).context("cannot use what is kept")?;
    let options =
        RegistryOptions { namespace: cluster.namespace.clone(), name: name.clone(), spec: kept.spec };
    let applied = apply::apply(&cluster.client, &plan::registry(&options).into(), &by_hand()).await;
    applied.with_context(|| format!("cannot create registry {name}"))?;
    let created = cluster.api::<Registry>().get(name).await;
    let created = created.map_err(|error| cluster.failed::<Registry>(Verb::Get, name, error))?;
    hand_over(&cluster, &created, &planned, args.timeout).await?;
    output::print(&format!("registry/{name} adopted\n"))
}

async fn hand_over(
    cluster: &Cluster,
    registry: &Registry,
    plan: &SurrogatePlan,
    limit: Duration,
) -> Result<()> {
    let name = registry.name_any();
    match surrogates::hand_over(&cluster.client, registry, plan, limit).await {
        Err(error @ AdminError::Deadline { .. }) => {
            let policy = Some(PropagationPolicy::Orphan);
            let orphan = DeleteParams { propagation_policy: policy, ..DeleteParams::default() };
            let undone = cluster.api::<Registry>().delete(&name, &orphan).await;
            undone.map_err(|error| cluster.failed::<Registry>(Verb::Delete, &name, error))?;
            // The garbage collector takes a moment to let go of what it would have owned.
            wait::deleted(&cluster.client, &registry.clone().into(), UNDO_LIMIT).await?;
            let message = format!("no operator takes registry {name} over, so that it stays standalone");
            let hint = format!("reposure operator install --wait --namespace {}", cluster.namespace);
            Err(Failure::because(message, error).hint(hint).into())
        }
        done => done.with_context(|| format!("registry {name} cannot be handed over")),
    }
}

async fn not_kept(cluster: &Cluster, name: &str) -> Failure {
    match cluster.api::<Registry>().get_opt(name).await {
        Ok(Some(_)) => Failure::new(Kind::Conflict, format!("an operator sees to registry {name} already")),
        _ => connect::missing(cluster, name).await,
    }
}
