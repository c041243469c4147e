//! What lets an operator renew the certificates of simple registries, which came before it or outlive it.

use anyhow::Result;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret, rbac::v1::RoleBinding};
use kube::{Api, Resource, ResourceExt, api::ListParams};
use reposure_admin::{AdminError, Applied, Change, Scope, apply, certificates, plan};
use reposure_api::{
    labels::{Application, CERTIFICATE, NAME},
    names,
};
use serde::de::DeserializeOwned;

use crate::{context::Cluster, exit, printable};

/// Lets the operator renew the certificates of the simple registries that it sees to, as far as there are such and the user may; where he
/// may not, that is said and no failure.
pub(super) async fn grant(cluster: &Cluster, scope: &Scope) -> Vec<Applied> {
    let mut all = Vec::new();
    for namespace in namespaces::<Deployment>(cluster, scope, names::SIMPLE).await {
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

/// Takes that away again.
///
/// # Errors
/// When something that is there cannot be deleted.
pub(super) async fn revoke(cluster: &Cluster, scope: &Scope) -> Result<Vec<Applied>> {
    let mut all = Vec::new();
    for namespace in namespaces::<RoleBinding>(cluster, scope, names::SIMPLE_CERTIFICATES).await {
        for object in plan::simple_certificates_role(&namespace, &[]).iter().rev() {
            match apply::delete(&cluster.client, object).await {
                Ok(deleted) if deleted.change == Change::Deleted => all.push(deleted),
                // One who may not has made none.
                Ok(_) | Err(AdminError::Denied { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(all)
}

/// Returns the namespaces of a scope; of the whole cluster those that have such an object, as far as they may be seen.
async fn namespaces<K>(cluster: &Cluster, scope: &Scope, name: &str) -> Vec<String>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    match scope {
        Scope::Namespace => vec![cluster.namespace.clone()],
        Scope::Namespaces(named) => named.clone(),
        Scope::Cluster => {
            let label = format!("{NAME}={}", Application::Simple.as_str());
            let api = Api::<K>::all(cluster.client.clone());
            let list = api.list_metadata(&ListParams::default().labels(&label)).await;
            let found = list.map(|list| list.items).unwrap_or_default();
            found.iter().filter(|found| found.name_any() == name).filter_map(ResourceExt::namespace).collect()
        }
    }
}

/// Tells whether there is an authority of ours.
async fn has_authority(cluster: &Cluster, namespace: &str) -> bool {
    let api = Api::<Secret>::namespaced(cluster.client.clone(), namespace);
    let found = api.get_metadata_opt(names::SIMPLE_AUTHORITY).await.ok().flatten();
    found.is_some_and(|secret| secret.annotations().contains_key(CERTIFICATE))
}
