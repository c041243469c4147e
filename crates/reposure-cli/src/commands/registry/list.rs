//! `reposure registry list`

use anyhow::{Context as _, Result};
use clap::Args;
use kube::{Api, ResourceExt as _, api::ListParams};
use reposure_admin::Verb;
use reposure_api::{
    Registry,
    conditions::{self, ConditionType},
};

use crate::{
    context::Context,
    output::{self, Rows},
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
    let api: Api<Registry> =
        if args.all_namespaces { Api::all(cluster.client.clone()) } else { cluster.api() };
    let registries = match api.list(&ListParams::default()).await {
        Ok(list) => list.items,
        Err(error) => {
            Err(cluster.failed::<Registry>(Verb::List, "*", error)).context("cannot list registries")?
        }
    };
    let mut rows = Rows::new(&["NAME", "HOST", "READY", "REASON", "NAMESPACE", "SURROGATE", "MESSAGE"], 4);
    for registry in &registries {
        rows.push(row(registry));
    }
    let names: Vec<String> =
        registries.iter().map(|registry| format!("registry/{}", registry.name_any())).collect();
    output::list(context.format(), &registries, &names, &rows)
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
        of_ready(|ready| &ready.message),
    ]
}
