//! Takes from an operator what it is bound to and is not to have any more.

use std::fmt;

use anyhow::{Context as _, Result};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding};
use reposure_admin::{
    AdminError, Applied, Object, ObjectName, OperatorOptions, Scope,
    operator_rights::{self, Bound, OperatorRights},
    plan,
};
use reposure_api::names;

use crate::{context::Cluster, printable};

/// What became of what an operator was bound to.
pub(super) struct Taken {
    pub(super) applied: Vec<Applied>,
    /// What the user could not take.
    pub(super) left: Vec<Left>,
    /// Whether bindings of the cluster may be there that the user may not see.
    pub(super) hides_cluster: bool,
}

/// A binding that an administrator has to take.
pub(super) struct Left {
    binding: ObjectName,
    /// Whether it was seen, or may be there from an earlier installation.
    seen: bool,
    is_shared: bool,
    /// Whether the role was made with it.
    has_own_role: bool,
    operator: String,
}

/// Takes what the operator is bound to, but for what it is to have by `now`; `before` says what it may have where that may not be seen. What
/// the user may not take is left, for him to be told.
///
/// # Errors
/// When something that may be taken cannot be.
pub(super) async fn take(
    cluster: &Cluster,
    before: Option<&OperatorOptions>,
    now: Option<&OperatorOptions>,
) -> Result<Taken> {
    let rights = find(cluster, before, now).await?;
    let is_kept = |bound: &Bound| now.is_some_and(|now| bound.is_of(now));
    let mut taken = take_all(cluster, &rights, is_kept).await?;
    taken.applied.extend(take_roles(cluster, &rights, before, now).await?);
    taken.left.extend(hidden(cluster, &rights, before, now));
    Ok(taken)
}

/// The same where the operator stays as it is, and with it the roles that it was given by hand: those are not read back.
///
/// # Errors
/// As [`take`].
pub(super) async fn take_superfluous(cluster: &Cluster, options: &OperatorOptions) -> Result<Taken> {
    let rights = find(cluster, Some(options), None).await?;
    let is_kept = |bound: &Bound| {
        let role = bound.further_role().map(Into::into);
        bound.is_of(&OperatorOptions { role, ..options.clone() })
    };
    take_all(cluster, &rights, is_kept).await
}

/// Tells whether the operator of the namespace holds, or held, rights to registries of the whole cluster, as far as that may be seen.
pub(super) async fn sees_all(cluster: &Cluster) -> Result<bool> {
    let rights = find(cluster, None, None).await?;
    let own = ObjectName::of::<ClusterRoleBinding>(None, names::OPERATOR);
    Ok(rights.bound.iter().any(|bound| bound.binding == own))
}

async fn find(
    cluster: &Cluster,
    before: Option<&OperatorOptions>,
    now: Option<&OperatorOptions>,
) -> Result<OperatorRights> {
    let mut namespaces = vec![cluster.namespace.clone()];
    for options in [before, now].into_iter().flatten() {
        if let Scope::Namespaces(named) = &options.scope {
            namespaces.extend(named.iter().cloned());
        }
    }
    namespaces.sort();
    namespaces.dedup();
    let found = OperatorRights::find(&cluster.client, &cluster.namespace, &namespaces).await;
    found.context("cannot see what the operator is bound to")
}

async fn take_all(
    cluster: &Cluster,
    rights: &OperatorRights,
    is_kept: impl Fn(&Bound) -> bool,
) -> Result<Taken> {
    let own = ObjectName::of::<ClusterRoleBinding>(None, "*");
    let mut taken =
        Taken { applied: Vec::new(), left: Vec::new(), hides_cluster: rights.unseen.contains(&own) };
    for bound in rights.bound.iter().filter(|bound| !is_kept(bound)) {
        match rights.take(&cluster.client, bound).await {
            Ok(applied) => taken.applied.extend(applied),
            Err(AdminError::Denied { .. }) => taken.left.push(Left::seen(cluster, bound)),
            Err(error) => return Err(error).context("cannot take a right from the operator"),
        }
    }
    Ok(taken)
}

/// Deletes the roles that were made for the operator as it was and are not for it as it is: those that are left without a binding.
async fn take_roles(
    cluster: &Cluster,
    rights: &OperatorRights,
    before: Option<&OperatorOptions>,
    now: Option<&OperatorOptions>,
) -> Result<Vec<Applied>> {
    let mut deleted = Vec::new();
    let is_role = |object: &&Object| matches!(object, Object::Role(_) | Object::ClusterRole(_));
    for role in planned(before, now).iter().filter(is_role).map(Object::name) {
        if rights.is_of_others(&role) || rights.may_hide(&binding_of(&role)) {
            continue;
        }
        match operator_rights::delete_role(&cluster.client, &role).await {
            Ok(done) => deleted.extend(done),
            // It gives nothing to anybody.
            Err(AdminError::Denied { .. }) => {}
            Err(error) => return Err(error).context("cannot remove a role of the operator"),
        }
    }
    Ok(deleted)
}

/// Returns the bindings that the operator had, and could have still where that may not be seen.
fn hidden(
    cluster: &Cluster,
    rights: &OperatorRights,
    before: Option<&OperatorOptions>,
    now: Option<&OperatorOptions>,
) -> Vec<Left> {
    let is_binding =
        |object: &&Object| matches!(object, Object::RoleBinding(_) | Object::ClusterRoleBinding(_));
    let bindings = planned(before, now);
    let bindings = bindings.iter().filter(is_binding).map(Object::name);
    bindings.filter(|name| rights.may_hide(name)).map(|binding| Left::hidden(cluster, binding)).collect()
}

/// Returns the roles and bindings of an operator as it was that it is not to have now.
fn planned(before: Option<&OperatorOptions>, now: Option<&OperatorOptions>) -> Vec<Object> {
    let of = |options: Option<&OperatorOptions>| {
        let plan = options.map(plan::operator).unwrap_or_default();
        plan.objects().filter(|object| operator_rights::is_right(object)).cloned().collect::<Vec<_>>()
    };
    let kept: Vec<ObjectName> = of(now).iter().map(Object::name).collect();
    of(before).into_iter().filter(|object| !kept.contains(&object.name())).collect()
}

/// Returns the binding that is made with a role.
fn binding_of(role: &ObjectName) -> ObjectName {
    match role.namespace.as_deref() {
        None => ObjectName::of::<ClusterRoleBinding>(None, &role.name),
        namespace => ObjectName::of::<RoleBinding>(namespace, &role.name),
    }
}

/// Which binding it is.
impl fmt::Display for Left {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.binding, formatter)
    }
}

impl Left {
    fn seen(cluster: &Cluster, bound: &Bound) -> Self {
        Self {
            binding: bound.binding.clone(),
            seen: true,
            is_shared: bound.is_shared(),
            has_own_role: bound.has_own_role(),
            operator: cluster.namespace.clone(),
        }
    }

    fn hidden(cluster: &Cluster, binding: ObjectName) -> Self {
        Self {
            binding,
            seen: false,
            is_shared: false,
            has_own_role: true,
            operator: cluster.namespace.clone(),
        }
    }

    /// Says on standard error what is left, and what an administrator can do.
    pub(super) fn say(&self) {
        let Self { binding, operator, .. } = self;
        let binding = printable::line(&binding.to_string()).into_owned();
        let command = printable::line(&self.command()).into_owned();
        let subject = format!("{operator}/{}", names::OPERATOR);
        if self.seen {
            eprintln!("{binding} still names {subject}; for an administrator: {command}");
        } else {
            eprintln!("{binding} may still name {subject}; for an administrator, if it does: {command}");
        }
    }

    /// Returns what an administrator types.
    fn command(&self) -> String {
        let ObjectName { kind, namespace, name, .. } = &self.binding;
        let kind = kind.to_lowercase();
        let place =
            namespace.as_ref().map(|namespace| format!(" --namespace {namespace}")).unwrap_or_default();
        if self.is_shared {
            return format!("kubectl edit{place} {kind} {name}");
        }
        let role =
            if self.has_own_role { format!(",{}", kind.trim_end_matches("binding")) } else { String::new() };
        format!("kubectl delete{place} {kind}{role} {name}")
    }
}
