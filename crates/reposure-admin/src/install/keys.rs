//! What is secret in the configuration of the built-in registry: kept from before, or read where the user has it.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use reposure_api::names::SIMPLE;

use super::secret_name;
use crate::{
    apply::{Applied, ApplyOptions, Change, apply_all},
    error::{AdminError, Verb},
    plan::{self, KeysError, S3Keys, SimpleKeys, SimpleOptions, Storage},
};

/// What was found, and the Secret that was made for it.
pub(super) struct FoundKeys {
    pub(super) keys: SimpleKeys,
    pub(super) created: Vec<Applied>,
}

/// Makes what signs the state of uploads where there is none yet, and reads it and what opens the object store.
pub(super) async fn find(
    client: &Client,
    options: &SimpleOptions,
    apply_options: &ApplyOptions,
) -> Result<FoundKeys, AdminError> {
    // First, so that nothing is made where the user has made a mistake.
    let s3 = match &options.storage {
        Storage::S3(s3) => s3.secret.as_deref(),
        _ => None,
    };
    let s3 = match s3 {
        Some(name) => Some(read(client, &options.namespace, name, S3Keys::of).await?),
        None => None,
    };
    let mut created = apply_all(client, &plan::simple_signing_key(options), apply_options).await?;
    created.retain(|applied| applied.change == Change::Created);
    let is_there = !apply_options.dry_run || created.is_empty();
    let keys = if is_there {
        read(client, &options.namespace, SIMPLE, SimpleKeys::of).await?
    } else {
        SimpleKeys::random()
    };
    Ok(FoundKeys { keys: SimpleKeys { s3, ..keys }, created })
}

async fn read<T>(
    client: &Client,
    namespace: &str,
    name: &str,
    take: impl FnOnce(&Secret) -> Result<T, KeysError>,
) -> Result<T, AdminError> {
    let object = secret_name(namespace, name);
    let secret = Api::<Secret>::namespaced(client.clone(), namespace).get(name).await;
    let secret = secret.map_err(|error| AdminError::new(Verb::Get, &object, error))?;
    take(&secret).map_err(|source| AdminError::Keys { object: Box::new(object), source })
}
