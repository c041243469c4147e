//! What takes more than one plan, since a later one depends on what the cluster made of an earlier one.

use std::net::IpAddr;

use k8s_openapi::{api::core::v1::Service, jiff::Timestamp};
use kube::{Api, Client, api::ApiResource};
use reposure_api::names::{SIMPLE, SIMPLE_AUTHENTICATION};

use crate::{
    apply::{Applied, ApplyOptions, apply_all},
    error::{AdminError, Verb},
    object::ObjectName,
    plan::{self, Plan, SimpleOptions, Step},
};

/// Installs the built-in registry. With TLS it makes a certificate for the Service's addresses, unless the Secret
/// `reposure-simple-authentication` is there already.
///
/// Dropping the future leaves a part installed; the call can be repeated.
///
/// # Errors
/// [`AdminError`] names the object and the verb.
pub async fn simple(
    client: &Client,
    options: &SimpleOptions,
    apply_options: &ApplyOptions,
) -> Result<Vec<Applied>, AdminError> {
    let mut applied = Vec::new();
    if options.tls && !apply_options.dry_run {
        let service = Plan::of([plan::simple_service(options).into()]);
        applied.extend(apply_all(client, &service, apply_options).await?);
        let addresses = addresses(client, &options.namespace).await?;
        let certificate = Plan { steps: vec![certificate(&options.namespace, &addresses)?] };
        applied.extend(apply_all(client, &certificate, apply_options).await?);
    }
    let rest = apply_all(client, &plan::simple(options), apply_options).await?;
    applied.extend(
        rest.into_iter()
            .filter(|step| applied.iter().all(|before| before.object != step.object))
            .collect::<Vec<_>>(),
    );
    Ok(applied)
}

fn certificate(namespace: &str, addresses: &[IpAddr]) -> Result<Step, AdminError> {
    plan::simple_certificate(namespace, addresses, Timestamp::now()).map_err(|source| {
        let secret = ApiResource::erase::<k8s_openapi::api::core::v1::Secret>(&());
        let object = Box::new(ObjectName::new(&secret, Some(namespace), SIMPLE_AUTHENTICATION));
        AdminError::Certificate { object, source }
    })
}

async fn addresses(client: &Client, namespace: &str) -> Result<Vec<IpAddr>, AdminError> {
    let api = Api::<Service>::namespaced(client.clone(), namespace);
    let name = ObjectName::new(&ApiResource::erase::<Service>(&()), Some(namespace), SIMPLE);
    let service = api.get(SIMPLE).await.map_err(|error| AdminError::new(Verb::Get, &name, error))?;
    let addresses = service.spec.and_then(|spec| spec.cluster_ips).unwrap_or_default();
    Ok(addresses.iter().filter_map(|address| address.parse().ok()).collect())
}
