//! Applies and deletes objects.
//!
//! Objects are written by [server-side apply](https://kubernetes.io/docs/reference/using-api/server-side-apply/), so that
//! fields that others set stay theirs, and each call can be repeated.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client,
    api::{
        ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions,
        PropagationPolicy,
    },
};
use reposure_api::{Registry, labels::MANAGED_BY};

use crate::{
    error::{AdminError, Verb},
    object::{Manager, Object, ObjectName},
    plan::{Plan, Step},
};

/// How objects are written.
#[derive(Clone, Debug, Default)]
pub struct ApplyOptions {
    /// Who keeps them.
    pub manager: Manager,
    /// With whom they are deleted.
    pub owner: Option<OwnerReference>,
    /// Whether the API server only checks them.
    pub dry_run: bool,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there before.
    Created,
    /// It was changed.
    Updated,
    /// It was already so.
    Unchanged,
    /// It was deleted, or is being.
    Deleted,
}

/// An object that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The object.
    pub object: ObjectName,
    /// What became of it.
    pub change: Change,
    /// The version that the API server gave it; none where that was not learnt.
    pub resource_version: Option<String>,
}

/// Returns the reference that makes the objects of a surrogate go with their registry; none if the registry was not read
/// from a cluster.
pub fn owner(registry: &Registry) -> Option<OwnerReference> {
    let Some(reference) = kube::Resource::controller_owner_ref(registry, &()) else {
        return registry.metadata.owner_references.as_ref()?.first().cloned();
    };
    Some(OwnerReference { block_owner_deletion: Some(true), ..reference })
}

/// Carries out `plan` in its order. Stops at the first error; what was done before stays, and the call can be repeated.
///
/// Dropping the future leaves the steps done that were done.
///
/// # Errors
/// [`AdminError`] names the object and the verb.
pub async fn apply_all(
    client: &Client,
    plan: &Plan,
    options: &ApplyOptions,
) -> Result<Vec<Applied>, AdminError> {
    let mut applied = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        applied.push(match step {
            Step::Apply(object) => apply(client, object, options).await?,
            Step::CreateIfMissing(object) => create_if_missing(client, object, options).await?,
        });
    }
    Ok(applied)
}

/// Writes `object` by server-side apply, by force: what the plan says wins over others.
///
/// # Errors
/// [`AdminError`] names the object and the verb. It needs the rights to get, create and patch.
pub async fn apply(client: &Client, object: &Object, options: &ApplyOptions) -> Result<Applied, AdminError> {
    let (name, dynamic) = prepare(object, options)?;
    let api = api(client, &object.resource(), name.namespace.as_deref());
    let before =
        api.get_metadata_opt(&name.name).await.map_err(|error| AdminError::new(Verb::Get, &name, error))?;
    let parameters =
        PatchParams { dry_run: options.dry_run, ..PatchParams::apply(options.manager.as_str()).force() };
    let after = api
        .patch(&name.name, &parameters, &Patch::Apply(&dynamic))
        .await
        .map_err(|error| AdminError::new(Verb::Patch, &name, error))?;
    let before = before.map(|object| object.metadata.resource_version);
    let after = after.metadata.resource_version;
    let change = match before {
        None => Change::Created,
        Some(before) if before == after => Change::Unchanged,
        Some(_) => Change::Updated,
    };
    Ok(Applied { object: name, change, resource_version: after })
}

/// Lets go of everything that `manager` keeps of the object of the name of `object`: what nobody else keeps goes, the rest stays.
/// Nothing happens if there is none.
///
/// # Errors
/// [`AdminError`] names the object and the verb. It needs the rights to get and patch.
pub async fn release(client: &Client, object: &Object, manager: Manager) -> Result<(), AdminError> {
    let (name, resource) = (object.name(), object.resource());
    let api = api(client, &resource, name.namespace.as_deref());
    let found = api.get_metadata_opt(&name.name).await;
    if found.map_err(|error| AdminError::new(Verb::Get, &name, error))?.is_none() {
        return Ok(());
    }
    let nothing = DynamicObject::new(&name.name, &resource);
    let parameters = PatchParams::apply(manager.as_str()).force();
    let done = api.patch(&name.name, &parameters, &Patch::Apply(&nothing)).await;
    done.map(drop).map_err(|error| AdminError::new(Verb::Patch, &name, error))
}

/// Creates `object` unless there is one of its name, which then stays as it is.
///
/// # Errors
/// [`AdminError`] names the object and the verb. It needs the right to create, and none to read.
pub async fn create_if_missing(
    client: &Client,
    object: &Object,
    options: &ApplyOptions,
) -> Result<Applied, AdminError> {
    let (name, dynamic) = prepare(object, options)?;
    let api = api(client, &object.resource(), name.namespace.as_deref());
    let parameters =
        PostParams { dry_run: options.dry_run, field_manager: Some(options.manager.as_str().into()) };
    match api.create(&parameters, &dynamic).await {
        Ok(after) => {
            let resource_version = after.metadata.resource_version;
            Ok(Applied { object: name, change: Change::Created, resource_version })
        }
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
            Ok(Applied { object: name, change: Change::Unchanged, resource_version: None })
        }
        Err(error) => Err(AdminError::new(Verb::Create, &name, error)),
    }
}

/// Deletes what `plan` made, last made first, and what goes with it. What is not there is no error.
///
/// # Errors
/// [`AdminError`] names the object and the verb.
pub async fn delete_all(client: &Client, plan: &Plan) -> Result<Vec<Applied>, AdminError> {
    let mut deleted = Vec::with_capacity(plan.steps.len());
    for step in plan.steps.iter().rev() {
        deleted.push(delete(client, step.object()).await?);
    }
    Ok(deleted)
}

/// Deletes the object of the name of `object`, and what it owns. [`Change::Unchanged`] if there is none.
///
/// # Errors
/// [`AdminError`] names the object and the verb.
pub async fn delete(client: &Client, object: &Object) -> Result<Applied, AdminError> {
    let name = object.name();
    let api = api(client, &object.resource(), name.namespace.as_deref());
    let parameters =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    let change = match api.delete(&name.name, &parameters).await {
        Ok(_) => Change::Deleted,
        Err(kube::Error::Api(status)) if status.code == 404 => Change::Unchanged,
        Err(error) => return Err(AdminError::new(Verb::Delete, &name, error)),
    };
    Ok(Applied { object: name, change, resource_version: None })
}

/// Deletes an object of this name if the command line tool has made it. Nothing happens if there is none, or somebody else's.
pub(crate) async fn delete_ours(
    client: &Client,
    resource: &ApiResource,
    name: &ObjectName,
    propagation_policy: Option<PropagationPolicy>,
) -> Result<Option<Applied>, AdminError> {
    let api = api(client, resource, name.namespace.as_deref());
    let found = api.get_metadata_opt(&name.name).await;
    let found = found.map_err(|error| AdminError::new(Verb::Get, name, error))?;
    let metadata = found.map(|found| found.metadata).unwrap_or_default();
    let manager = metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY));
    if manager.map(String::as_str) != Some(Manager::Cli.as_str()) {
        return Ok(None);
    }
    // That one, and none that somebody has put in its place since.
    let preconditions = Some(Preconditions { uid: metadata.uid, resource_version: None });
    let parameters = DeleteParams { propagation_policy, preconditions, ..DeleteParams::default() };
    match api.delete(&name.name, &parameters).await {
        Ok(_) => Ok(Some(Applied { object: name.clone(), change: Change::Deleted, resource_version: None })),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(AdminError::new(Verb::Delete, name, error)),
    }
}

pub(crate) fn api(client: &Client, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    }
}

fn prepare(object: &Object, options: &ApplyOptions) -> Result<(ObjectName, DynamicObject), AdminError> {
    let name = object.name();
    let mut dynamic = object
        .to_dynamic()
        .map_err(|source| AdminError::Encode { object: Box::new(name.clone()), source })?;
    dynamic.metadata.owner_references = options.owner.clone().map(|owner| vec![owner]);
    Ok((name, dynamic))
}
