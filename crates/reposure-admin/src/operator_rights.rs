//! What an operator is bound to, found by its bindings wherever they are, and taken from it.
//!
//! A binding outlives what it names: whoever makes a ServiceAccount of that name has what it gives. And an operator that is installed anew
//! with less would keep what it had. So bindings are found by their labels and their subjects, and not by what is believed to be there.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding, RoleRef, Subject};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ApiResource, DeleteParams, ListParams, Patch, PatchParams, Preconditions},
    core::ObjectMeta,
};
use reposure_api::{
    labels::{Application, MANAGED_BY, NAME},
    names::{OPERATOR, SIMPLE_CERTIFICATES},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{
    apply::{self, Applied, Change},
    error::{AdminError, Verb},
    object::{Manager, Object, ObjectName},
    plan::{self, OperatorOptions, Scope},
};

/// What binds an operator.
#[derive(Debug, Default)]
pub struct OperatorRights {
    /// The bindings of ours that name it.
    pub bound: Vec<Bound>,
    /// What may not be listed, each as a kind with the name `*`.
    pub unseen: Vec<ObjectName>,
    /// The roles that bindings of ours give to others.
    of_others: Vec<ObjectName>,
}

/// A binding that names an operator.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The binding.
    pub binding: ObjectName,
    /// The role that it gives.
    pub role: ObjectName,
    /// Whom it names beside.
    others: Vec<Subject>,
    version: Preconditions,
}

impl OperatorRights {
    /// Finds the bindings of ours to the operator of the namespace `operator`: everywhere, or where only single namespaces may be looked at in
    /// these `namespaces`.
    ///
    /// # Errors
    /// [`AdminError`] but for what may not be listed, which is told in `unseen`.
    pub async fn find(client: &Client, operator: &str, namespaces: &[String]) -> Result<Self, AdminError> {
        let mut rights = Self::default();
        let subject = subject(operator);
        if !rights.list::<ClusterRoleBinding>(Api::all(client.clone()), None, &subject).await? {
            rights.unseen.push(ObjectName::of::<ClusterRoleBinding>(None, "*"));
        }
        if rights.list::<RoleBinding>(Api::all(client.clone()), None, &subject).await? {
            return Ok(rights);
        }
        for namespace in namespaces {
            let api = Api::<RoleBinding>::namespaced(client.clone(), namespace);
            if !rights.list(api, Some(namespace), &subject).await? {
                rights.unseen.push(ObjectName::of::<RoleBinding>(Some(namespace), "*"));
            }
        }
        Ok(rights)
    }

    /// Tells whether a binding of this name could be there all the same.
    pub fn may_hide(&self, binding: &ObjectName) -> bool {
        self.unseen.iter().any(|place| place.kind == binding.kind && place.namespace == binding.namespace)
    }

    /// Tells whether a binding of ours gives this role to somebody else.
    pub fn is_of_others(&self, role: &ObjectName) -> bool {
        self.of_others.contains(role)
    }

    /// Takes `bound` from the operator. A binding that names others too stays theirs; any other goes, and the role that was made with it.
    ///
    /// The call can be repeated. Dropping the future leaves at most a role, which gives nothing to anybody.
    ///
    /// # Errors
    /// [`AdminError`] names the object and the verb.
    pub async fn take(&self, client: &Client, bound: &Bound) -> Result<Vec<Applied>, AdminError> {
        if !bound.others.is_empty() {
            return bound.leave_to_others(client).await.map(|applied| vec![applied]);
        }
        let mut taken: Vec<Applied> = bound.delete(client).await?.into_iter().collect();
        if bound.has_own_role() && !self.is_of_others(&bound.role) {
            match delete_role(client, &bound.role).await {
                Ok(deleted) => taken.extend(deleted),
                // Without its binding it gives nothing to anybody.
                Err(AdminError::Denied { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    /// Adds what is listed; says whether it may be.
    async fn list<K: Binding>(
        &mut self,
        api: Api<K>,
        namespace: Option<&str>,
        operator: &Subject,
    ) -> Result<bool, AdminError> {
        let applications = [Application::Operator, Application::Simple].map(Application::as_str).join(",");
        let selector = format!("{MANAGED_BY}={},{NAME} in ({applications})", Manager::Cli.as_str());
        let listed = match api.list(&ListParams::default().labels(&selector)).await {
            Ok(listed) => listed.items,
            Err(error) => match AdminError::new(Verb::List, &ObjectName::of::<K>(namespace, "*"), error) {
                AdminError::Denied { .. } => return Ok(false),
                // A cluster without these kinds has none of them.
                AdminError::NotFound { .. } => return Ok(true),
                error => return Err(error),
            },
        };
        for binding in listed {
            let subjects = binding.subjects();
            match plan::without(subjects, std::slice::from_ref(operator)) {
                Some(others) => {
                    if !others.is_empty() {
                        self.of_others.push(role_of(&binding));
                    }
                    self.bound.push(Bound::new(&binding, others));
                }
                None if subjects.is_empty() => {}
                None => self.of_others.push(role_of(&binding)),
            }
        }
        Ok(true)
    }
}

impl Bound {
    fn new<K: Binding>(binding: &K, others: Vec<Subject>) -> Self {
        let ObjectMeta { uid, resource_version, .. } = binding.meta().clone();
        Self {
            binding: ObjectName::of::<K>(binding.meta().namespace.as_deref(), &binding.name_any()),
            role: role_of(binding),
            others,
            // That one as it was read, and none that somebody has put in its place or given to others since.
            version: Preconditions { uid, resource_version },
        }
    }

    /// Tells whether an operator of `options` is to have it.
    pub fn is_of(&self, options: &OperatorOptions) -> bool {
        if self.binding.name == SIMPLE_CERTIFICATES {
            let namespace = self.binding.namespace.as_ref();
            return namespace.is_some_and(|namespace| sees_to(options, namespace));
        }
        plan::operator(options).objects().any(|object| object.name() == self.binding)
    }

    /// Returns the `ClusterRole` that somebody wanted it to have beside its own, where that is what this gives.
    pub fn further_role(&self) -> Option<&str> {
        let name = self.binding.name.strip_prefix(OPERATOR)?.strip_prefix('-')?;
        (self.role.namespace.is_none() && self.role.name == name).then_some(name)
    }

    /// Tells whether others are named as well, who keep it.
    pub fn is_shared(&self) -> bool {
        !self.others.is_empty()
    }

    /// Tells whether the role was made with the binding: then they have one name.
    pub fn has_own_role(&self) -> bool {
        self.role.name == self.binding.name
    }

    async fn delete(&self, client: &Client) -> Result<Option<Applied>, AdminError> {
        let name = &self.binding;
        let preconditions = Some(self.version.clone());
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        let deleted = apply::api(client, &self.resource(), name.namespace.as_deref());
        match deleted.delete(&name.name, &parameters).await {
            Ok(_) => {
                Ok(Some(Applied { object: name.clone(), change: Change::Deleted, resource_version: None }))
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(AdminError::new(Verb::Delete, name, error)),
        }
    }

    async fn leave_to_others(&self, client: &Client) -> Result<Applied, AdminError> {
        let name = &self.binding;
        let metadata = json!({"uid": self.version.uid, "resourceVersion": self.version.resource_version});
        let patch = Patch::Merge(json!({"metadata": metadata, "subjects": self.others}));
        let parameters =
            PatchParams { field_manager: Some(Manager::Cli.as_str().into()), ..PatchParams::default() };
        let api = apply::api(client, &self.resource(), name.namespace.as_deref());
        let patched = api.patch(&name.name, &parameters, &patch).await;
        let patched = patched.map_err(|error| AdminError::new(Verb::Patch, name, error))?;
        let resource_version = patched.metadata.resource_version;
        Ok(Applied { object: name.clone(), change: Change::Updated, resource_version })
    }

    fn resource(&self) -> ApiResource {
        match self.binding.namespace {
            Some(_) => ApiResource::erase::<RoleBinding>(&()),
            None => ApiResource::erase::<ClusterRoleBinding>(&()),
        }
    }
}

/// Tells whether `object` is a role or a binding.
pub fn is_right(object: &Object) -> bool {
    matches!(
        object,
        Object::Role(_) | Object::RoleBinding(_) | Object::ClusterRole(_) | Object::ClusterRoleBinding(_)
    )
}

/// Deletes a role if it was made by the command line tool.
///
/// # Errors
/// [`AdminError`] names the object and the verb.
pub async fn delete_role(client: &Client, role: &ObjectName) -> Result<Option<Applied>, AdminError> {
    let resource = match role.namespace {
        Some(_) => ApiResource::erase::<Role>(&()),
        None => ApiResource::erase::<ClusterRole>(&()),
    };
    apply::delete_ours(client, &resource, role, None).await
}

fn sees_to(options: &OperatorOptions, namespace: &str) -> bool {
    match &options.scope {
        Scope::Namespace => options.namespace == namespace,
        Scope::Namespaces(named) => named.iter().any(|name| name == namespace),
        Scope::Cluster => true,
    }
}

fn subject(namespace: &str) -> Subject {
    Subject {
        kind: "ServiceAccount".into(),
        name: OPERATOR.into(),
        namespace: Some(namespace.into()),
        api_group: None,
    }
}

fn role_of<K: Binding>(binding: &K) -> ObjectName {
    let RoleRef { kind, name, .. } = binding.role_ref();
    if kind == "ClusterRole" {
        return ObjectName::of::<ClusterRole>(None, name);
    }
    ObjectName::of::<Role>(binding.meta().namespace.as_deref(), name)
}

/// What both kinds of bindings have.
trait Binding: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug {
    fn subjects(&self) -> &[Subject];
    fn role_ref(&self) -> &RoleRef;
}

impl Binding for RoleBinding {
    fn subjects(&self) -> &[Subject] {
        self.subjects.as_deref().unwrap_or_default()
    }

    fn role_ref(&self) -> &RoleRef {
        &self.role_ref
    }
}

impl Binding for ClusterRoleBinding {
    fn subjects(&self) -> &[Subject] {
        self.subjects.as_deref().unwrap_or_default()
    }

    fn role_ref(&self) -> &RoleRef {
        &self.role_ref
    }
}
