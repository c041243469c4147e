//! `reposure registry delete [NAME…]`

use anyhow::{Context as _, Result};
use clap::Args;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};
use reposure_admin::{Verb, wait};
use reposure_api::{Registry, registry::RegistrySpec};

use crate::{
    args::WaitArgs,
    connect,
    context::{Cluster, Context},
    output,
};

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
        let list = api.list(&ListParams::default()).await;
        let list = list.map_err(|error| cluster.failed::<Registry>(Verb::List, "*", error));
        let list = list.context("cannot list registries")?;
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
