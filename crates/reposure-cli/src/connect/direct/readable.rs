//! What a registry names, as far as it may be read.

use std::fmt::Debug;

use anyhow::{Context as _, Result};
use kube::{Resource, core::NamespaceResourceScope};
use reposure_admin::Verb;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{
    connect::LOOK_DEADLINE,
    context::Cluster,
    exit::{API_SERVER, Failure, Kind},
};

/// Reads an object, if it is there and the user may read it.
pub(super) async fn readable<K>(cluster: &Cluster, name: &str) -> Result<Option<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let (api, kind) = (cluster.api::<K>(), K::kind(&()));
    let silent = || {
        let waited = LOOK_DEADLINE.as_secs();
        let message = format!("the API server did not say within {waited} s what {kind} {name} holds");
        Failure::new(Kind::Unreachable, message).hint(API_SERVER)
    };
    match timeout(LOOK_DEADLINE, api.get_opt(name)).await.map_err(|_| silent())? {
        Ok(found) => {
            if found.is_none() {
                tracing::info!("there is no {kind} {name}");
            }
            Ok(found)
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            tracing::info!("you may not read {kind} {name}");
            Ok(None)
        }
        Err(error) => {
            let failed = Err(cluster.failed::<K>(Verb::Get, name, error));
            failed.context("cannot read what the registry names")
        }
    }
}
