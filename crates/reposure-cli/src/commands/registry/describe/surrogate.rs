//! What is to be known of a surrogate itself, and of what happened to it.

use k8s_openapi::{
    api::core::v1::{Event, Pod},
    jiff::Timestamp,
};
use kube::api::ListParams;
use reposure_admin::plan;
use reposure_api::{ConditionType, Registry, State, SurrogateNames, conditions};
use tokio::time::timeout;

use crate::{
    connect::{self, LOOK_DEADLINE, Sought},
    context::{Cluster, Context},
    standalone,
};

/// What is to be known of a surrogate, as far as one may see it.
#[derive(Default)]
pub(super) struct Surrogate {
    /// The node that its pod is on.
    pub(super) node: Option<String>,
    /// How often its container was started again.
    pub(super) restarts: i32,
    /// The image that it was made with.
    pub(super) image: Option<String>,
    /// The build that answers; none if none does.
    pub(super) build: Option<String>,
    /// What happened to its pod, and to what makes that.
    pub(super) events: Vec<Event>,
}

impl Surrogate {
    /// Looks at the surrogate of `registry`.
    pub(super) async fn find(context: &Context, cluster: &Cluster, name: &str, registry: &Registry) -> Self {
        let names = SurrogateNames::new(name);
        let pod_name = names.pod();
        let (pod, kept, build, of_set, of_pod) = tokio::join!(
            pod(cluster, &pod_name),
            kept_image(cluster, name, registry),
            build(context, cluster, registry),
            events(cluster, "StatefulSet", names.stateful_set()),
            events(cluster, "Pod", &pod_name),
        );
        let events = of_set.into_iter().chain(of_pod).collect();
        Self { build, events, ..Self::of_pod(&pod.unwrap_or_default()) }.with_image(kept)
    }

    fn of_pod(pod: &Pod) -> Self {
        let spec = pod.spec.as_ref();
        let container = spec.and_then(|spec| spec.containers.first());
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        Self {
            node: spec.and_then(|spec| spec.node_name.clone()),
            restarts: statuses.and_then(|all| all.first()).map_or(0, |first| first.restart_count),
            image: container.and_then(|container| container.image.clone()),
            ..Self::default()
        }
    }

    /// Takes what was kept where there is no pod that says it.
    fn with_image(self, kept: Option<String>) -> Self {
        Self { image: self.image.or(kept), ..self }
    }
}

async fn pod(cluster: &Cluster, name: &str) -> Option<Pod> {
    timeout(LOOK_DEADLINE, cluster.api::<Pod>().get_opt(name)).await.ok()?.ok()?
}

async fn kept_image(cluster: &Cluster, name: &str, registry: &Registry) -> Option<String> {
    if !standalone::is_standalone(registry) {
        return None;
    }
    let config_map = standalone::config_map(cluster, name).await?;
    plan::standalone_settings(&config_map).map(|settings| settings.image)
}

/// Asks the surrogate, if it answered a moment ago.
async fn build(context: &Context, cluster: &Cluster, registry: &Registry) -> Option<String> {
    let conditions = &registry.status.as_ref()?.conditions;
    if conditions::state(conditions, ConditionType::SurrogateReady) != State::True {
        return None;
    }
    let sought = Sought::known_as(registry.clone());
    connect::hello(cluster, &sought, context.global.channel).await.ok().map(|hello| hello.build)
}

/// Lists what happened to an object, the latest last. Events are of use where they may be read, and no reason to fail.
pub(super) async fn events(cluster: &Cluster, kind: &str, name: &str) -> Vec<Event> {
    let selector = format!("involvedObject.kind={kind},involvedObject.name={name}");
    let parameters = ListParams::default().fields(&selector);
    let found = timeout(LOOK_DEADLINE, cluster.api::<Event>().list(&parameters)).await;
    found.ok().and_then(Result::ok).map(|list| list.items).unwrap_or_default()
}

/// Returns when an event was last seen. What counts repetitions by series has the time there.
pub(super) fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
    let micro = series.or(event.event_time.as_ref()).map(|time| time.0);
    event.last_timestamp.as_ref().map(|time| time.0).max(micro)
}
