//! `reposure registry list`

use anyhow::{Context as _, Result};
use clap::Args;
use kube::{Api, ResourceExt as _, api::ListParams};
use reposure_admin::{AdminError, Verb};
use reposure_api::{
    Registry,
    conditions::{self, ConditionType},
};

use crate::{
    context::{Cluster, Context},
    output::{self, Rows},
    standalone,
};

/// List registries
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Those of all namespaces
    #[arg(long, short = 'A')]
    all_namespaces: bool,
}

pub(super) async fn run(context: &Context, args: &ListArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let mut registries = find(&cluster, args.all_namespaces).await.context("cannot list registries")?;
    standalone::look_at_all(context, &cluster, &mut registries).await;
    let headings = &["NAME", "HOST", "READY", "REASON", "NAMESPACE", "SURROGATE", "KEPT BY", "MESSAGE"];
    let mut rows = Rows::new(headings, 4);
    for registry in &registries {
        rows.push(row(registry));
    }
    let names: Vec<String> =
        registries.iter().map(|registry| format!("registry/{}", registry.name_any())).collect();
    output::list(context.format(), &registries, &names, &rows)
}

/// Lists what operators see to, and what none does. Where the kind is not defined, or may not be listed, the latter are all there are.
pub(super) async fn find(cluster: &Cluster, all_namespaces: bool) -> Result<Vec<Registry>, AdminError> {
    let api: Api<Registry> = if all_namespaces { Api::all(cluster.client.clone()) } else { cluster.api() };
    let parameters = ListParams::default();
    let (listed, kept) = tokio::join!(api.list(&parameters), standalone::list(cluster, all_namespaces));
    match (listed, kept) {
        (Ok(list), kept) => {
            let known = |one: &Registry, other: &Registry| {
                (one.name_any(), one.namespace()) == (other.name_any(), other.namespace())
            };
            let kept = kept.unwrap_or_default().into_iter();
            let kept: Vec<_> = kept.filter(|kept| !list.items.iter().any(|one| known(one, kept))).collect();
            Ok(list.items.into_iter().chain(kept).collect())
        }
        (Err(kube::Error::Api(status)), Ok(kept))
            if status.code == 404 || status.code == 403 && !kept.is_empty() =>
        {
            Ok(kept)
        }
        (Err(error), _) => Err(cluster.failed::<Registry>(Verb::List, "*", error)),
    }
}

fn row(registry: &Registry) -> Vec<String> {
    let status = registry.status.clone().unwrap_or_default();
    let ready = conditions::find(&status.conditions, ConditionType::Ready);
    let of_ready = |field: fn(&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition) -> &String| {
        ready.map(field).cloned().unwrap_or_default()
    };
    vec![
        registry.name_any(),
        status.host.unwrap_or_default(),
        of_ready(|ready| &ready.status),
        of_ready(|ready| &ready.reason),
        registry.namespace().unwrap_or_default(),
        status.surrogate_pod.unwrap_or_default(),
        if standalone::is_standalone(registry) { "nobody" } else { "operator" }.into(),
        of_ready(|ready| &ready.message),
    ]
}
