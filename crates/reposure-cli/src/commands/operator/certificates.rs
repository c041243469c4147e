//! What lets an operator renew the certificates of simple registries, which came before it.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use kube::{Api, ResourceExt, api::ListParams};
use reposure_admin::{Applied, Scope, certificates};
use reposure_api::{
    labels::{Application, CERTIFICATE, NAME},
    names,
};

use crate::{context::Cluster, exit, printable};

/// Lets the operator renew the certificates of the simple registries that it sees to, as far as there are such and the user may; where he
/// may not, that is said and no failure.
pub(super) async fn grant(cluster: &Cluster, scope: &Scope) -> Vec<Applied> {
    let mut all = Vec::new();
    for namespace in namespaces(cluster, scope).await {
        if !has_authority(cluster, &namespace).await {
            continue;
        }
        match certificates::grant(&cluster.client, &namespace).await {
            Ok(applied) => all.extend(applied),
            Err(error) => {
                let why = exit::chain(&error);
                let (namespace, why) = (printable::line(&namespace), printable::line(&why).into_owned());
                eprintln!(
                    "the operator was not let renew the certificate of the simple registry in {namespace}: {why}"
                );
            }
        }
    }
    all
}

/// Returns the namespaces of a scope; of the whole cluster those that have a simple registry, as far as they may be seen.
async fn namespaces(cluster: &Cluster, scope: &Scope) -> Vec<String> {
    match scope {
        Scope::Namespace => vec![cluster.namespace.clone()],
        Scope::Namespaces(named) => named.clone(),
        Scope::Cluster => {
            let label = format!("{NAME}={}", Application::Simple.as_str());
            let api = Api::<Deployment>::all(cluster.client.clone());
            let list = api.list_metadata(&ListParams::default().labels(&label)).await;
            let found = list.map(|list| list.items).unwrap_or_default();
            found
                .iter()
                .filter(|found| found.name_any() == names::SIMPLE)
                .filter_map(ResourceExt::namespace)
                .collect()
        }
    }
}

/// Tells whether there is an authority of ours.
async fn has_authority(cluster: &Cluster, namespace: &str) -> bool {
    let api = Api::<Secret>::namespaced(cluster.client.clone(), namespace);
    let found = api.get_metadata_opt(names::SIMPLE_AUTHORITY).await.ok().flatten();
    found.is_some_and(|secret| secret.annotations().contains_key(CERTIFICATE))
}
