//! Waiting for a Deployment, and what its pods say when it does not come.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use reposure_admin::{AdminError, plan::pod, wait};
use reposure_api::labels::{self, Application};

use crate::{context::Cluster, exit::Failure};

/// Waits until the Deployment `name` is available; `what` says what it is in an error.
pub(super) async fn wait(
    cluster: &Cluster,
    name: &str,
    application: Application,
    what: &str,
    limit: Duration,
) -> Result<()> {
    match wait::deployment_available(&cluster.client, &cluster.namespace, name, limit).await {
        Err(error @ (AdminError::Deadline { .. } | AdminError::Hopeless { .. })) => {
            let pods = why(cluster, &labels::selector(application, None)).await;
            let message = format!("{what} is installed, but does not run{pods}");
            let hint = format!(
                "kubectl describe pods --namespace {} -l app.kubernetes.io/name={name}",
                cluster.namespace
            );
            Err(Failure::because(message, error).hint(hint).into())
        }
        Err(error) => Err(Failure::because(format!("cannot see whether {what} runs"), error).into()),
        Ok(()) => Ok(()),
    }
}

/// Says what the first pod that is not ready waits for, to whoever may read pods.
async fn why(cluster: &Cluster, labels: &BTreeMap<String, String>) -> String {
    let selector = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let pods = cluster.api::<Pod>().list(&ListParams::default().labels(&selector)).await;
    let pods = pods.map(|list| list.items).unwrap_or_default();
    let Some(waiting) = pods.iter().find(|each| !pod::is_ready(each)) else { return String::new() };
    let (reason, message) = pod::why_not_ready(Some(waiting));
    format!(": {reason}: {message}")
}
