//! What every reconciliation uses.

use std::sync::{Arc, Mutex};

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Pod, ServiceAccount},
    networking::v1::NetworkPolicy,
};
use kube::{
    Client, Resource,
    api::PartialObjectMeta,
    runtime::{
        events::Recorder,
        reflector::{ObjectRef, Store},
    },
};
use reposure_admin::{ObjectName, Settings};
use reposure_api::Registry;

use crate::{memory::Memory, metrics::Metrics, renewal::Renewals};

/// What every reconciliation uses.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    pub(crate) stores: Stores,
    pub(crate) recorder: Recorder,
    pub(crate) memory: Mutex<Memory>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) renewals: Renewals,
}

/// What is seen of the cluster, kept up to date by watches.
#[derive(Clone)]
pub(crate) struct Stores {
    pub(crate) registries: Store<Registry>,
    pub(crate) pods: Store<Pod>,
    pub(crate) stateful_sets: Store<PartialObjectMeta<StatefulSet>>,
    pub(crate) config_maps: Store<PartialObjectMeta<ConfigMap>>,
    pub(crate) service_accounts: Store<PartialObjectMeta<ServiceAccount>>,
    /// None where the operator makes none, and has no right to see them.
    pub(crate) network_policies: Option<Store<PartialObjectMeta<NetworkPolicy>>>,
}

impl Stores {
    /// Waits until each has seen what is there. Cancel safe.
    pub(crate) async fn wait_until_ready(
        &self,
    ) -> Result<(), kube::runtime::reflector::store::WriterDropped> {
        self.registries.wait_until_ready().await?;
        self.pods.wait_until_ready().await?;
        self.stateful_sets.wait_until_ready().await?;
        self.config_maps.wait_until_ready().await?;
        if let Some(policies) = &self.network_policies {
            policies.wait_until_ready().await?;
        }
        self.service_accounts.wait_until_ready().await
    }

    /// Returns the version of a surrogate's object as last seen; none if it is not there.
    pub(crate) fn version(&self, object: &ObjectName) -> Option<String> {
        match object.kind.as_str() {
            "StatefulSet" => version(&self.stateful_sets, object),
            "ConfigMap" => version(&self.config_maps, object),
            "ServiceAccount" => version(&self.service_accounts, object),
            "NetworkPolicy" => version(self.network_policies.as_ref()?, object),
            _ => None,
        }
    }
}

fn version<K>(store: &Store<PartialObjectMeta<K>>, object: &ObjectName) -> Option<String>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let key = ObjectRef::<PartialObjectMeta<K>>::new(&object.name)
        .within(object.namespace.as_deref().unwrap_or_default());
    store.get(&key).and_then(|found| found.metadata.resource_version.clone())
}
