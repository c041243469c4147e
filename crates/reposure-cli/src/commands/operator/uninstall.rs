//! `reposure operator uninstall`

use anyhow::{Context as _, Result};
use clap::Args;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use reposure_admin::{
    Change, Object, OperatorOptions, Plan, Scope, Verb, apply, operator_rights, plan, wait,
};
use reposure_api::{Registry, names};

use super::{
    installed,
    rights::{self, Left},
};
use crate::{
    args::WaitArgs,
    commands::report,
    context::{Cluster, Context},
    exit::{Failure, Kind},
    printable,
};

/// Remove the operator
///
/// The definition of Registry stays, and with it the registries of other namespaces, unless --all is given. Images stay in any case.
/// What binds the operator goes, in all namespaces that may be looked at.
#[derive(Debug, Args)]
pub(crate) struct UninstallArgs {
    /// Remove an operator that sees to all namespaces
    #[arg(long, short = 'c')]
    cluster: bool,
    /// Delete the registries that it sees to as well, and the definition of Registry if no registry is left
    #[arg(long, short = 'a')]
    all: bool,
    #[command(flatten)]
    wait: WaitArgs,
}

pub(super) async fn run(context: &Context, args: &UninstallArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let options = options(&cluster, args).await?;
    let registries = seen_to(&cluster, &options.scope).await?;
    if !args.all && !registries.is_empty() {
        let names: Vec<String> = registries.iter().map(label).collect();
        let message = format!("the operator still sees to {}", names.join(", "));
        return Err(Failure::new(Kind::Conflict, message).hint("delete them first, or give --all").into());
    }
    for registry in &registries {
        delete(&cluster, registry, args).await?;
    }
    let plan = plan::operator(&options);
    let is_right = |object: &&Object| operator_rights::is_right(object);
    let rest = Plan::of(plan.objects().filter(|object| !is_right(object)).cloned());
    let mut deleted =
        apply::delete_all(&cluster.client, &rest).await.context("cannot remove the operator")?;
    let taken = rights::take(&cluster, Some(&options), None).await?;
    deleted.extend(taken.applied);
    let undefine = args.all && seen_to(&cluster, &Scope::Cluster).await.is_ok_and(|left| left.is_empty());
    if undefine {
        let definition = apply::delete_all(&cluster.client, &plan::definition()).await;
        deleted.extend(definition.context("cannot remove the definition of Registry")?);
    }
    report::changes(context, &deleted)?;
    say_what_stays(undefine, &taken.left, taken.hides_cluster);
    if args.wait.wait {
        let is_deleted = |object: &&Object| {
            deleted.iter().any(|done| done.change == Change::Deleted && done.object == object.name())
        };
        for object in plan.objects().filter(is_deleted) {
            wait::deleted(&cluster.client, object, args.wait.timeout).await?;
        }
    }
    all_taken(&taken.left)
}

/// Returns how the operator was installed, as its Deployment says; where there is none any more, as the arguments do.
async fn options(cluster: &Cluster, args: &UninstallArgs) -> Result<OperatorOptions> {
    let Some(found) = installed::options(cluster).await? else { return remains(cluster, args).await };
    let (message, hint) = match (&found.scope, args.cluster) {
        (Scope::Cluster, true) | (Scope::Namespace | Scope::Namespaces(_), false) => return Ok(found),
        (Scope::Cluster, false) => ("sees to all namespaces", "give --cluster to remove it"),
        // Else the registries of other operators would be taken for its own.
        (_, true) => ("does not see to all namespaces", "leave out --cluster to remove it"),
    };
    let message = format!("the {} here {message}", names::OPERATOR);
    Err(Failure::new(Kind::Conflict, message).hint(hint).into())
}

/// Returns what there may be of an operator that has no Deployment any more. Without its rights it saw to no other namespace.
async fn remains(cluster: &Cluster, args: &UninstallArgs) -> Result<OperatorOptions> {
    let scope = if args.cluster { Scope::Cluster } else { Scope::Namespace };
    if args.cluster && !rights::sees_all(cluster).await? {
        let message = format!("no operator in namespace {} sees to all namespaces", cluster.namespace);
        let hint = "--namespace with the one that it is in, or leave out --cluster";
        return Err(Failure::new(Kind::NotFound, message).hint(hint).into());
    }
    Ok(OperatorOptions { scope, crd: false, ..OperatorOptions::new(&cluster.namespace) })
}

/// Says on standard error what is not taken.
fn say_what_stays(undefined: bool, left: &[Left], hides_cluster: bool) {
    let definition = if undefined { "" } else { "the definition of Registry with its roles, " };
    let mut stays = vec![format!("{definition}registries' servers and their images, and Secrets")];
    stays.extend(left.iter().map(|left| printable::line(&left.to_string()).into_owned()));
    if hides_cluster {
        stays.push("and whatever binds it in the whole cluster, which you may not see".into());
    }
    eprintln!("what stays: {}", stays.join(", "));
}

/// Fails where something is left that the operator is bound to.
fn all_taken(left: &[Left]) -> Result<()> {
    if left.is_empty() {
        return Ok(());
    }
    left.iter().for_each(Left::say);
    let message = "the operator is gone, but not all that was bound to it";
    let hint =
        "whoever makes a ServiceAccount of its name has those rights: give the commands to an administrator";
    Err(Failure::new(Kind::Denied, message).hint(hint).into())
}

async fn seen_to(cluster: &Cluster, scope: &Scope) -> Result<Vec<Registry>> {
    let client = cluster.client.clone();
    let apis: Vec<Api<Registry>> = match scope {
        Scope::Cluster => vec![Api::all(client)],
        Scope::Namespace => vec![cluster.api()],
        Scope::Namespaces(named) => {
            named.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect()
        }
    };
    let mut registries = Vec::new();
    for api in apis {
        registries.extend(listed(cluster, &api).await?);
    }
    Ok(registries)
}

async fn listed(cluster: &Cluster, api: &Api<Registry>) -> Result<Vec<Registry>> {
    match api.list(&ListParams::default()).await {
        Ok(list) => Ok(list.items),
        // Without a definition there is nothing that it could see to.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => {
            Err(cluster.failed::<Registry>(Verb::List, "*", error)).context("cannot list registries")
        }
    }
}

/// Deletes a registry and waits, so that its surrogate is gone before the operator is.
async fn delete(cluster: &Cluster, registry: &Registry, args: &UninstallArgs) -> Result<()> {
    let namespace = registry.namespace().unwrap_or_else(|| cluster.namespace.clone());
    let api: Api<Registry> = Api::namespaced(cluster.client.clone(), &namespace);
    let gone = api.delete(&registry.name_any(), &DeleteParams::foreground()).await;
    gone.with_context(|| format!("cannot delete registry {}", label(registry)))?;
    Ok(wait::deleted(&cluster.client, &registry.clone().into(), args.wait.timeout).await?)
}

fn label(registry: &Registry) -> String {
    format!("{}/{}", registry.namespace().unwrap_or_default(), registry.name_any())
}
