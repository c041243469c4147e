//! `reposure registry delete [NAME…]`

use anyhow::{Context as _, Result};
use clap::Args;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::ConfigMap};
use kube::{Api, ResourceExt, api::DeleteParams, core::ObjectMeta};
use reposure_admin::{Verb, apply, plan, wait};
use reposure_api::{Registry, SurrogateNames, registry::RegistrySpec};

use crate::{
    args::WaitArgs,
    connect,
    context::{Cluster, Context},
    output, standalone,
};

use super::list;

/// Let Reposure forget a registry; the registry itself and its images stay
#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The names
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    names: Vec<String>,
    /// All of the namespace
    #[arg(long, short = 'a')]
    all: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(context: &Context, args: &DeleteArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let api: Api<Registry> = cluster.api();
    let names = if args.all {
        let list = list::find(&cluster, false).await.context("cannot list registries")?;
        list.iter().map(ResourceExt::name_any).collect()
    } else {
        args.names.clone()
    };
    for name in &names {
        delete(&cluster, &api, name, args).await?;
        output::print(&format!("registry/{name} deleted\n"))?;
    }
    Ok(())
}

async fn delete(cluster: &Cluster, api: &Api<Registry>, name: &str, args: &DeleteArgs) -> Result<()> {
    if let Some(config_map) = standalone::config_map(cluster, name).await
        && plan::standalone_registry(&config_map).is_some()
    {
        return delete_standalone(cluster, name, config_map, args).await;
    }
    // In the foreground, so that the registry is gone when its surrogate is.
    match api.delete(name, &DeleteParams::foreground()).await {
        Err(kube::Error::Api(status)) if status.code == 404 => {
            return Err(connect::missing(cluster, name).await.into());
        }
        Err(error) => {
            let error = cluster.failed::<Registry>(Verb::Delete, name, error);
            return Err(error).with_context(|| format!("cannot delete registry {name}"));
        }
        Ok(_) => {}
    }
    if args.wait.wait {
        let mut registry = Registry::new(name, RegistrySpec::default());
        registry.metadata.namespace = Some(cluster.namespace.clone());
        wait::deleted(&cluster.client, &registry.into(), args.wait.timeout).await?;
    }
    Ok(())
}

/// Deletes what keeps a registry, and what that owns with it.
async fn delete_standalone(
    cluster: &Cluster,
    name: &str,
    config_map: ConfigMap,
    args: &DeleteArgs,
) -> Result<()> {
    let deleted = apply::delete(&cluster.client, &config_map.into()).await;
    deleted.with_context(|| format!("cannot delete registry {name}"))?;
    if args.wait.wait {
        let metadata = ObjectMeta {
            name: Some(SurrogateNames::new(name).stateful_set().into()),
            namespace: Some(cluster.namespace.clone()),
            ..ObjectMeta::default()
        };
        let set = StatefulSet { metadata, ..StatefulSet::default() };
        wait::deleted(&cluster.client, &set.into(), args.wait.timeout).await?;
    }
    Ok(())
}
