//! Grants and revokes what a user may do with a registry.
//!
//! The subjects of a RoleBinding are one list that server-side apply replaces as a whole
//! (<https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy>), so they are read, changed and written back
//! with the version that was read.

use k8s_openapi::{
    api::rbac::v1::{Role, RoleBinding, Subject},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams, Preconditions},
};
use reposure_api::Registry;
use reposure_parcel::wire::Right;

use crate::{
    again::again,
    apply::{self, Applied, ApplyOptions, Change},
    error::{AdminError, Verb},
    object::{Manager, Object, ObjectName},
    plan,
};

/// How often a binding is read again that somebody else changes at the same time. Each attempt that loses means that another won.
const ATTEMPTS: usize = 8;

/// Gives `subjects` the rights of `level` on `registry`, beside those who have them already: writes the Role, then its binding.
///
/// The call can be repeated. Dropping the future leaves the Role behind, which gives nothing to anybody.
///
/// # Errors
/// [`AdminError`] names the object and the verb. It needs the rights that it gives, and those to get, create, patch and update
/// `roles` and `rolebindings`, as the built-in role `admin` has them.
pub async fn grant(
    client: &Client,
    registry: &Registry,
    level: Right,
    subjects: &[Subject],
) -> Result<Vec<Applied>, AdminError> {
    let binding = plan::grant_binding(registry, level, subjects.to_vec());
    let role = apply_role(client, registry, level).await?;
    let edit = Edit::new(client, &binding);
    let binding = again(ATTEMPTS, async || edit.add(&binding).await).await?;
    Ok(vec![role, binding])
}

/// Returns the Role and the binding as [`grant`] would leave them; writes nothing.
///
/// # Errors
/// [`AdminError`] where the binding may not be read.
pub async fn preview(
    client: &Client,
    registry: &Registry,
    level: Right,
    subjects: &[Subject],
) -> Result<[Object; 2], AdminError> {
    let before = granted(client, registry, level).await?;
    let subjects = plan::with(&before, subjects).unwrap_or(before);
    let binding = plan::grant_binding(registry, level, subjects);
    Ok([plan::grant_role(registry, level).into(), binding.into()])
}

/// Takes the rights of `level` on `registry` from `subjects`. A binding that is left without subjects goes, and then its Role.
///
/// Nothing is returned where none of them had these rights. The call can be repeated.
///
/// # Errors
/// As [`grant`], with the right to delete.
pub async fn revoke(
    client: &Client,
    registry: &Registry,
    level: Right,
    subjects: &[Subject],
) -> Result<Vec<Applied>, AdminError> {
    let binding = plan::grant_binding(registry, level, Vec::new());
    let edit = Edit::new(client, &binding);
    let removed = again(ATTEMPTS, async || edit.remove(subjects).await).await?;
    let mut all = Vec::new();
    if removed.change == Change::Deleted {
        all.push(apply::delete(client, &plan::grant_role(registry, level).into()).await?);
        // Whoever was granted the same meanwhile is bound to a Role that has just gone.
        if edit.get().await?.is_some() {
            all = vec![apply_role(client, registry, level).await?];
        }
    }
    if removed.change != Change::Unchanged {
        all.insert(0, removed);
    }
    Ok(all)
}

/// Reads who is bound to `level` of `registry`; nobody where there is no binding.
///
/// # Errors
/// [`AdminError`], above all where `rolebindings` may not be read.
pub async fn granted(client: &Client, registry: &Registry, level: Right) -> Result<Vec<Subject>, AdminError> {
    let binding = plan::grant_binding(registry, level, Vec::new());
    Ok(Edit::new(client, &binding).get().await?.and_then(|binding| binding.subjects).unwrap_or_default())
}

async fn apply_role(client: &Client, registry: &Registry, level: Right) -> Result<Applied, AdminError> {
    let role: Role = plan::grant_role(registry, level);
    let options =
        ApplyOptions { manager: Manager::Cli, owner: apply::owner(registry), ..ApplyOptions::default() };
    apply::apply(client, &role.into(), &options).await
}

/// The change of one binding.
struct Edit {
    api: Api<RoleBinding>,
    object: ObjectName,
}

impl Edit {
    fn new(client: &Client, binding: &RoleBinding) -> Self {
        let namespace = binding.metadata.namespace.as_deref().unwrap_or_default();
        let api = Api::namespaced(client.clone(), namespace);
        Self { api, object: Object::from(binding.clone()).name() }
    }

    async fn get(&self) -> Result<Option<RoleBinding>, AdminError> {
        self.api.get_opt(&self.object.name).await.map_err(|error| self.failed(Verb::Get, error))
    }

    async fn add(&self, wanted: &RoleBinding) -> Result<Applied, AdminError> {
        let Some(mut found) = self.get().await? else {
            let created = self.api.create(&parameters(), wanted).await;
            let created = created.map_err(|error| self.failed(Verb::Create, error))?;
            return Ok(self.applied(Change::Created, created.metadata));
        };
        let before = found.subjects.clone().unwrap_or_default();
        let more = plan::with(&before, wanted.subjects.as_deref().unwrap_or_default());
        // One that is left from a registry of this name that has just been deleted would go with it.
        let owners = &wanted.metadata.owner_references;
        if more.is_none() && found.metadata.owner_references == *owners {
            return Ok(self.applied(Change::Unchanged, found.metadata));
        }
        found.metadata.owner_references.clone_from(owners);
        self.write(found, more.unwrap_or(before)).await
    }

    async fn remove(&self, less: &[Subject]) -> Result<Applied, AdminError> {
        let Some(found) = self.get().await? else {
            return Ok(self.applied(Change::Unchanged, ObjectMeta::default()));
        };
        match plan::without(found.subjects.as_deref().unwrap_or_default(), less) {
            None => Ok(self.applied(Change::Unchanged, found.metadata)),
            Some(rest) if rest.is_empty() => self.delete(found).await,
            Some(rest) => self.write(found, rest).await,
        }
    }

    /// Replaces the binding if it still is what was read.
    async fn write(&self, found: RoleBinding, subjects: Vec<Subject>) -> Result<Applied, AdminError> {
        let changed = RoleBinding { subjects: Some(subjects), ..found };
        let written = self.api.replace(&self.object.name, &parameters(), &changed).await;
        let written = written.map_err(|error| self.failed(Verb::Update, error))?;
        Ok(self.applied(Change::Updated, written.metadata))
    }

    /// Deletes the binding if it still is what was read.
    async fn delete(&self, found: RoleBinding) -> Result<Applied, AdminError> {
        let ObjectMeta { uid, resource_version, .. } = found.metadata;
        let unchanged = Preconditions { uid, resource_version };
        let parameters = DeleteParams { preconditions: Some(unchanged), ..DeleteParams::default() };
        let deleted = self.api.delete(&self.object.name, &parameters).await;
        deleted.map_err(|error| self.failed(Verb::Delete, error))?;
        Ok(self.applied(Change::Deleted, ObjectMeta::default()))
    }

    fn failed(&self, verb: Verb, error: kube::Error) -> AdminError {
        AdminError::new(verb, &self.object, error)
    }

    fn applied(&self, change: Change, metadata: ObjectMeta) -> Applied {
        Applied { object: self.object.clone(), change, resource_version: metadata.resource_version }
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(Manager::Cli.as_str().into()), ..PostParams::default() }
}
