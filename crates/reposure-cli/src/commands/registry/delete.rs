//! `reposure registry delete [NAME…]`

use anyhow::{Context as _, Result};
use clap::Args;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams},
};
use reposure_admin::wait;
use reposure_api::Registry;

use crate::{
    args::WaitArgs,
    context::{Cluster, Context},
    exit::{Failure, Kind},
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
    let api: Api<Registry> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let names = if args.all {
        let list = api.list(&ListParams::default()).await.context("cannot list registries")?;
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
            let message = format!("there is no registry {name} in namespace {}", cluster.namespace);
            return Err(Failure::new(Kind::NotFound, message).into());
        }
        done => drop(done.with_context(|| format!("cannot delete registry {name}"))?),
    }
    if args.wait.wait {
        let mut registry = Registry::new(name, Default::default());
        registry.metadata.namespace = Some(cluster.namespace.clone());
        wait::deleted(&cluster.client, &registry.into(), args.wait.timeout).await?;
    }
    Ok(())
}
