//! The volume of the built-in registry.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use reposure_api::names::SIMPLE;
use tokio::time::timeout;

use super::check::Check;
use crate::{
    connect::{LOOK_DEADLINE, Sought},
    context::Cluster,
    exit::Kind,
};

const VOLUME: &str = "volume";

/// Looks at the volume claim, if the registry is the built-in one and the user may.
pub(super) async fn examine(cluster: &Cluster, sought: &Sought) -> Option<Check> {
    let namespace = sought.simple_namespace(&cluster.namespace)?;
    let api: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client.clone(), namespace);
    match timeout(LOOK_DEADLINE, api.get_opt(SIMPLE)).await.ok()?.ok()? {
        Some(claim) => Some(check(&claim, namespace)),
        None => Some(Check::ok(VOLUME, "none: images are kept in the registry's pod, and go with it")),
    }
}

fn check(claim: &PersistentVolumeClaim, namespace: &str) -> Check {
    let status = claim.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or("of unknown phase");
    let size = status.and_then(|status| Some(status.capacity.as_ref()?.get("storage")?.0.as_str()));
    let wanted =
        claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
    let size = size.or(wanted.map(|wanted| wanted.0.as_str())).unwrap_or("of unknown size");
    let detail = format!("claim {SIMPLE}, {size}, {phase}");
    if phase == "Bound" {
        return Check::ok(VOLUME, detail);
    }
    Check::failed(Kind::Unreachable, VOLUME, detail)
        .hint(format!("kubectl describe pvc {SIMPLE} --namespace {namespace}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::commands::doctor::check::State;

    #[test]
    fn a_claim_without_a_volume_is_named() {
        let requests = json!({"resources": {"requests": {"storage": "10Gi"}}});
        for (status, state, detail) in [
            (json!({"phase": "Bound", "capacity": {"storage": "11Gi"}}), State::Ok, "11Gi, Bound"),
            (json!({"phase": "Pending"}), State::Failed, "10Gi, Pending"),
            (json!({"phase": "Lost"}), State::Failed, "10Gi, Lost"),
        ] {
            let claim = json!({"metadata": {}, "spec": requests, "status": status});
            let check = check(&serde_json::from_value(claim).unwrap(), "shop");
            let lines = check.lines();
            assert!(check.state == state && lines[0].ends_with(detail), "{lines:?}");
        }
    }
}
