//! How an administrator gives a right by kubectl: a Role of its own, and a binding of it, without which it grants nothing.

use std::fmt;

use reposure_parcel::wire::Right;

use crate::connect::Way;

/// What stands for who gets it: he knows his name to the cluster, by `kubectl auth whoami`.
const USER: &str = "USER";

/// A right to one object, which is written as the commands that give it, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The name of the Role and of its binding.
    name: String,
    namespace: String,
    verbs: String,
    resource: String,
    object: String,
}

impl Grant {
    /// Gives `verbs` on one object of a resource.
    pub(crate) fn new(name: &str, namespace: &str, verbs: &[&str], resource: &str, object: &str) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            verbs: verbs.join(","),
            resource: resource.into(),
            object: object.into(),
        }
    }

    /// Gives what it takes to reach a surrogate on a way, but for a token.
    pub(crate) fn of_way(way: Way, right: Right, namespace: &str, pod: &str, port: u16) -> Self {
        let (name, resource) = (format!("reposure-{right}-{way}"), format!("pods/{}", way.subresource()));
        Self::new(&name, namespace, way.verbs(right), &resource, &way.object(pod, port))
    }

    /// Gives tokens of a ServiceAccount.
    pub(crate) fn of_token(namespace: &str, account: &str) -> Self {
        Self::new(&format!("{account}-token"), namespace, &["create"], "serviceaccounts/token", account)
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, namespace, verbs, resource, object } = self;
        write!(
            formatter,
            "kubectl create role {name} --namespace={namespace} --verb={verbs} --resource={resource} --resource-name={object} && \
             kubectl create rolebinding {name} --namespace={namespace} --role={name} --user={USER}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_and_its_binding_are_made() {
        let push = Grant::of_way(Way::Proxy, Right::Push, "shop", "reposure-surrogate-default-0", 10250);
        insta::assert_snapshot!(push, @"kubectl create role reposure-push-proxy --namespace=shop --verb=get,create,update --resource=pods/proxy --resource-name=https:reposure-surrogate-default-0:10250 && kubectl create rolebinding reposure-push-proxy --namespace=shop --role=reposure-push-proxy --user=USER");
        let forward =
            Grant::of_way(Way::PortForward, Right::Pull, "shop", "reposure-surrogate-default-0", 10250);
        insta::assert_snapshot!(forward, @"kubectl create role reposure-pull-port-forward --namespace=shop --verb=get,create --resource=pods/portforward --resource-name=reposure-surrogate-default-0 && kubectl create rolebinding reposure-pull-port-forward --namespace=shop --role=reposure-pull-port-forward --user=USER");
        insta::assert_snapshot!(Grant::of_token("shop", "reposure-surrogate-default-push"), @"kubectl create role reposure-surrogate-default-push-token --namespace=shop --verb=create --resource=serviceaccounts/token --resource-name=reposure-surrogate-default-push && kubectl create rolebinding reposure-surrogate-default-push-token --namespace=shop --role=reposure-surrogate-default-push-token --user=USER");
    }
}
