//! The built-in registry's certificates, made and renewed as planned.

use std::net::IpAddr;

use k8s_openapi::{
    api::{
        core::v1::{Secret, Service},
        rbac::v1::{ClusterRoleBinding, RoleBinding, Subject},
    },
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use reposure_api::names::{OPERATOR, SIMPLE, SIMPLE_AUTHENTICATION, SIMPLE_AUTHORITY};
use serde_json::{Map, Value, json};

use crate::{
    again::again,
    apply::{Applied, ApplyOptions, Change, apply_all},
    error::{AdminError, Verb},
    object::{Manager, Object, ObjectName},
    plan::{self, CERT_MANAGER, CertificateNames, Certificates, Found, Plan},
};

/// How often Secrets are read again that somebody else changes at the same time.
const ATTEMPTS: usize = 4;

/// What became of the certificates.
pub struct Kept {
    /// The Secrets that were written.
    pub applied: Vec<Applied>,
    /// How it is with the certificates now.
    pub certificates: Certificates,
}

/// Makes the authority and the certificate of the built-in registry in `namespace`, whose Service has these `addresses`, or renews them
/// where it is time. With `replace_cert_manager`, what cert-manager has made and sees to no more is replaced too.
///
/// The call can be repeated. Dropping the future may leave the authority without what it signs.
///
/// # Errors
/// [`AdminError`] names the object and the verb. It needs the rights to get, create and patch Secrets.
pub async fn make(
    client: &Client,
    namespace: &str,
    addresses: &[IpAddr],
    replace_cert_manager: bool,
) -> Result<Kept, AdminError> {
    let names = CertificateNames::new(namespace, addresses);
    again(ATTEMPTS, async || {
        let found = Found { replace_cert_manager, ..find(client, namespace).await? };
        keep(client, &names, &found, Manager::Cli).await
    })
    .await
}

/// Renews the certificates of the built-in registry in `namespace` where it is time; none where they are not there, and nothing is made.
///
/// # Errors
/// [`AdminError`] names the object and the verb; [`AdminError::Denied`] where nobody has let the operator do so.
pub async fn renew(client: &Client, namespace: &str) -> Result<Option<Kept>, AdminError> {
    let found = find(client, namespace).await?;
    if found.authority.is_none() || found.certificate.is_none() {
        return Ok(None);
    }
    let addresses = addresses(client, namespace).await?;
    let names = CertificateNames::new(namespace, &addresses);
    keep(client, &names, &found, Manager::Operator).await.map(Some)
}

/// Lets the operators that see to registries in `namespace` renew the certificates in it. Returns what was written: nothing where there is
/// no operator, or none that may be seen.
///
/// # Errors
/// [`AdminError`] names the object and the verb. It needs the rights to make Roles, as the built-in role `admin` has them.
pub async fn grant(client: &Client, namespace: &str) -> Result<Vec<Applied>, AdminError> {
    let operators = operators(client, namespace).await;
    if operators.is_empty() {
        return Ok(Vec::new());
    }
    let options = ApplyOptions { manager: Manager::Cli, ..ApplyOptions::default() };
    apply_all(client, &Plan::of(plan::simple_certificates_role(namespace, &operators)), &options).await
}

/// Reads the addresses of the built-in registry's Service.
///
/// # Errors
/// [`AdminError`] where there is none, or it may not be read.
pub async fn addresses(client: &Client, namespace: &str) -> Result<Vec<IpAddr>, AdminError> {
    let api = Api::<Service>::namespaced(client.clone(), namespace);
    let service = api.get(SIMPLE).await;
    let service = service.map_err(|error| {
        AdminError::new(Verb::Get, &ObjectName::of::<Service>(Some(namespace), SIMPLE), error)
    })?;
    let addresses = service.spec.and_then(|spec| spec.cluster_ips).unwrap_or_default();
    Ok(addresses.iter().filter_map(|address| address.parse().ok()).collect())
}

/// Finds the operators that see to registries in a namespace, by what gives them their rights: a binding there, or one in the cluster.
/// Whoever may not read bindings cannot make any either.
async fn operators(client: &Client, namespace: &str) -> Vec<Subject> {
    let here = Api::<RoleBinding>::namespaced(client.clone(), namespace).get_opt(OPERATOR).await;
    let here = here.ok().flatten().and_then(|binding| binding.subjects).unwrap_or_default();
    let all = Api::<ClusterRoleBinding>::all(client.clone()).get_opt(OPERATOR).await;
    let all = all.ok().flatten().and_then(|binding| binding.subjects).unwrap_or_default();
    plan::operators(&[here, all].concat())
}

async fn find(client: &Client, namespace: &str) -> Result<Found, AdminError> {
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    let get = async |name: &str| {
        let failed =
            |error| AdminError::new(Verb::Get, &ObjectName::of::<Secret>(Some(namespace), name), error);
        api.get_opt(name).await.map_err(failed)
    };
    Ok(Found {
        authority: get(SIMPLE_AUTHORITY).await?,
        certificate: get(SIMPLE_AUTHENTICATION).await?,
        replace_cert_manager: false,
    })
}

async fn keep(
    client: &Client,
    names: &CertificateNames,
    found: &Found,
    manager: Manager,
) -> Result<Kept, AdminError> {
    let certificates = plan::simple_certificates(found, names, Timestamp::now()).map_err(|source| {
        let object = Box::new(ObjectName::of::<Secret>(Some(names.namespace()), SIMPLE_AUTHORITY));
        AdminError::Certificate { object, source }
    })?;
    let mut applied = Vec::new();
    if let Certificates::Ours(outlook) = &certificates {
        for secret in &outlook.writes {
            applied.push(write(client, secret, found, manager).await?);
        }
    }
    Ok(Kept { applied, certificates })
}

/// Creates a Secret, or changes the one that was found if it still is what it was.
async fn write(
    client: &Client,
    secret: &Secret,
    found: &Found,
    manager: Manager,
) -> Result<Applied, AdminError> {
    let object = Object::from(secret.clone()).name();
    let api = Api::<Secret>::namespaced(client.clone(), object.namespace.as_deref().unwrap_or_default());
    let before = [&found.authority, &found.certificate].into_iter().flatten();
    let before = before.into_iter().find(|before| before.metadata.name == secret.metadata.name);
    let (verb, change, written) = match before {
        None => {
            let parameters =
                PostParams { field_manager: Some(manager.as_str().into()), ..PostParams::default() };
            (Verb::Create, Change::Created, api.create(&parameters, secret).await)
        }
        Some(before) => {
            let parameters =
                PatchParams { field_manager: Some(manager.as_str().into()), ..PatchParams::default() };
            let patch = Patch::Merge(difference(before, secret));
            (Verb::Patch, Change::Updated, api.patch(&object.name, &parameters, &patch).await)
        }
    };
    let written = written.map_err(|error| AdminError::new(verb, &object, error))?;
    Ok(Applied { object, change, resource_version: written.metadata.resource_version })
}

/// Returns what makes `after` of `before`, if that is still of the version that was read.
fn difference(before: &Secret, after: &Secret) -> Value {
    let mut data = Map::new();
    for key in before.data.iter().flat_map(|data| data.keys()) {
        // What is not named any more goes.
        data.insert(key.clone(), Value::Null);
    }
    for (key, value) in after.data.iter().flatten() {
        data.insert(key.clone(), json!(value));
    }
    let metadata = json!({
        "resourceVersion": after.metadata.resource_version,
        "labels": after.metadata.labels,
        "annotations": annotations(before, after),
    });
    json!({"metadata": metadata, "data": data})
}

/// Returns what is to be said of a Secret. What cert-manager has said of it goes, by which it would be taken for cert-manager's again.
fn annotations(before: &Secret, after: &Secret) -> Map<String, Value> {
    let names = before.metadata.annotations.iter().flat_map(|annotations| annotations.keys());
    let of_cert_manager = names.filter(|name| name.split('/').next() == Some(CERT_MANAGER));
    let mut annotations: Map<_, _> = of_cert_manager.map(|name| (name.clone(), Value::Null)).collect();
    for (name, text) in after.metadata.annotations.iter().flatten() {
        annotations.insert(name.clone(), json!(text));
    }
    annotations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cert_manager_has_said_of_a_secret_of_ours_goes() {
        let secret = |json: Value| -> Secret { serde_json::from_value(json).unwrap() };
        let before = secret(
            json!({"metadata": {"annotations": {"cert-manager.io/issuer-name": "a", "example.com/kept": "b"}},
            "data": {"tls.crt": "", "other": ""}}),
        );
        let after = secret(
            json!({"metadata": {"resourceVersion": "1", "annotations": {"mark": "c"}}, "data": {"tls.crt": "QQ=="}}),
        );
        let patch = difference(&before, &after);
        assert_eq!(
            patch["metadata"]["annotations"],
            json!({"cert-manager.io/issuer-name": null, "mark": "c"})
        );
        assert_eq!(patch["data"], json!({"tls.crt": "QQ==", "other": null}));
        assert_eq!(patch["metadata"]["resourceVersion"], "1");
    }
}
