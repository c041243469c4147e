//! The built-in registry's certificate where cert-manager makes it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, PropagationPolicy},
};
use reposure_api::names::{SIMPLE_AUTHENTICATION, SIMPLE_AUTHORITY};

use crate::{
    apply::{Applied, ApplyOptions, Change, api, apply_all, delete_ours},
    error::{AdminError, Verb},
    object::{Object, ObjectName},
    plan::{self, CERT_MANAGER, CERT_MANAGER_VERSION, CertificateNames, IssuerRef, OF_CERTIFICATE, Plan},
    wait::{Progress, poll},
};

/// How long cert-manager may take: an issuer that asks somebody else answers within a minute or not at all.
const LIMIT: Duration = Duration::from_secs(120);

/// Tells whether cert-manager's API is there, which anyone may ask.
pub(crate) async fn is_there(client: &Client) -> bool {
    let version = format!("{CERT_MANAGER}/{CERT_MANAGER_VERSION}");
    let served = client.list_api_group_resources(&version).await;
    served.is_ok_and(|list| list.resources.iter().any(|resource| resource.name == "certificates"))
}

/// Tells whether the Secret of the certificate is cert-manager's, or there is none that it would overwrite.
pub(crate) async fn may_make(client: &Client, namespace: &str) -> Result<bool, AdminError> {
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    let name = ObjectName::of::<Secret>(Some(namespace), SIMPLE_AUTHENTICATION);
    let found = api.get_metadata_opt(SIMPLE_AUTHENTICATION).await;
    let found = found.map_err(|error| AdminError::new(Verb::Get, &name, error))?;
    let annotations = |found: kube::api::PartialObjectMeta<Secret>| found.metadata.annotations;
    Ok(found.is_none_or(|found| annotations(found).is_some_and(|all| all.contains_key(OF_CERTIFICATE))))
}

/// Asks cert-manager for the certificate, and waits for it. With an issuer of the user's, what was made to do without one goes then.
///
/// # Errors
/// [`AdminError`] names the object and the verb; [`AdminError::Deadline`] tells what cert-manager says.
pub(crate) async fn make(
    client: &Client,
    names: &CertificateNames,
    issuer: Option<&IssuerRef>,
    options: &ApplyOptions,
) -> Result<Vec<Applied>, AdminError> {
    let plan = plan::cert_manager(names, issuer);
    let mut applied = apply_all(client, &plan, options).await?;
    if let Some(certificate) = plan.objects().last() {
        wait(client, certificate).await?;
    }
    if let Some(issuer) = issuer {
        applied.extend(remove_ours(client, &plan::superseded(names.namespace(), issuer), true).await?);
    }
    Ok(applied)
}

async fn wait(client: &Client, certificate: &Object) -> Result<(), AdminError> {
    let name = certificate.name();
    let api = api(client, &certificate.resource(), name.namespace.as_deref());
    let probe = async || {
        let found = api.get(&name.name).await.map_err(|error| AdminError::new(Verb::Get, &name, error))?;
        Ok(pending(&found).map_or(Progress::Done(()), Progress::Waiting))
    };
    poll(&name, "ready", LIMIT, probe).await
}

/// Says why a `Certificate` is not ready; none if it is.
fn pending(certificate: &DynamicObject) -> Option<String> {
    let conditions = certificate.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let ready = conditions.into_iter().find(|condition| condition["type"] == "Ready");
    let Some(ready) = ready else { return Some("cert-manager has not looked at it yet".into()) };
    let observed = ready["observedGeneration"].as_i64();
    let is_old = observed.is_some_and(|observed| Some(observed) != certificate.metadata.generation);
    if ready["status"] == "True" && !is_old {
        return None;
    }
    Some(ready["message"].as_str().map_or_else(|| ready["status"].to_string(), Into::into))
}

/// Takes away what was asked of cert-manager. The Secrets that it made stay in any case if they are `kept`, and else unless cert-manager has
/// made them belong to what goes.
///
/// # Errors
/// [`AdminError`] names the object and the verb.
pub async fn remove(client: &Client, namespace: &str, kept: bool) -> Result<Vec<Applied>, AdminError> {
    if !is_there(client).await {
        return Ok(Vec::new());
    }
    remove_ours(client, &plan::cert_manager(&CertificateNames::new(namespace, &[]), None), kept).await
}

/// Deletes the objects of a plan that are ours.
async fn remove_ours(client: &Client, plan: &Plan, kept: bool) -> Result<Vec<Applied>, AdminError> {
    let mut deleted = Vec::new();
    for object in plan.objects() {
        let name = object.name();
        let policy = if kept {
            policy(client, name.namespace.as_deref()).await?
        } else {
            PropagationPolicy::Background
        };
        let orphans = policy == PropagationPolicy::Orphan && matches!(object, Object::Certificate(_));
        match delete_ours(client, &object.resource(), &name, Some(policy)).await {
            Ok(Some(removed)) => {
                deleted.push(removed);
                match if orphans { remove_requests(client, &name).await } else { Ok(Vec::new()) } {
                    Ok(requests) => deleted.extend(requests),
                    Err(AdminError::Denied { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            // Whoever may not see them has not made them.
            Ok(None) | Err(AdminError::Denied { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(deleted)
}

/// Deletes the requests that a `Certificate` has left which took nothing with it: they would be in the way of those of another one of its name.
async fn remove_requests(client: &Client, certificate: &ObjectName) -> Result<Vec<Applied>, AdminError> {
    let kind = GroupVersionKind::gvk(CERT_MANAGER, CERT_MANAGER_VERSION, "CertificateRequest");
    let resource = ApiResource::from_gvk(&kind);
    let requests = api(client, &resource, certificate.namespace.as_deref());
    let named = |name: &str| ObjectName::new(&resource, certificate.namespace.as_deref(), name);
    let found = match requests.list_metadata(&ListParams::default()).await {
        Ok(found) => found,
        Err(error) => return Err(AdminError::new(Verb::List, &named("*"), error)),
    };
    let mut deleted = Vec::new();
    for request in &found.items {
        if request.annotations().get(OF_CERTIFICATE) != Some(&certificate.name) {
            continue;
        }
        let object = named(&request.name_any());
        match requests.delete(&object.name, &DeleteParams::default()).await {
            Ok(_) => deleted.push(Applied { object, change: Change::Deleted, resource_version: None }),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(AdminError::new(Verb::Delete, &object, error)),
        }
    }
    Ok(deleted)
}

/// Returns what becomes of what belongs to a `Certificate` whose Secret stays: it goes, or else the requests that stay are in the way of
/// those of another `Certificate` of the same name. But where cert-manager makes a `Certificate` the owner of its Secret
/// (`--enable-certificate-owner-ref`), nothing goes by itself.
async fn policy(client: &Client, namespace: Option<&str>) -> Result<PropagationPolicy, AdminError> {
    let api = Api::<Secret>::namespaced(client.clone(), namespace.unwrap_or_default());
    for name in [SIMPLE_AUTHENTICATION, SIMPLE_AUTHORITY] {
        let found = api
            .get_metadata_opt(name)
            .await
            .map_err(|error| AdminError::new(Verb::Get, &ObjectName::of::<Secret>(namespace, name), error));
        let has_owner = match found {
            Ok(found) => {
                found.and_then(|found| found.metadata.owner_references).is_some_and(|all| !all.is_empty())
            }
            // Whoever may not see it may not take it away either.
            Err(AdminError::Denied { .. }) => true,
            Err(error) => return Err(error),
        };
        if has_owner {
            return Ok(PropagationPolicy::Orphan);
        }
    }
    Ok(PropagationPolicy::Background)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_certificate_is_ready_when_cert_manager_says_so_of_what_is_wanted_now() {
        let of = |conditions: Value| {
            let object = json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate",
                "metadata": {"name": "a", "generation": 2}, "status": {"conditions": conditions}});
            pending(&serde_json::from_value(object).unwrap())
        };
        assert_eq!(of(json!([{"type": "Ready", "status": "True", "observedGeneration": 2}])), None);
        assert_eq!(of(json!([{"type": "Ready", "status": "True"}])), None);
        assert!(of(json!([{"type": "Ready", "status": "True", "observedGeneration": 1}])).is_some());
        let failed = json!([{"type": "Issuing", "status": "True"}, {"type": "Ready", "status": "False", "message": "no issuer"}]);
        assert_eq!(of(failed).as_deref(), Some("no issuer"));
        assert!(of(json!([])).is_some());
    }
}
