//! What is to be known of a surrogate that no operator tells of.

use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use reposure_admin::plan;
use reposure_api::{ConditionType, Registry, State, SurrogateNames, conditions};

use crate::{
    connect::{self, Sought},
    context::{Cluster, Context},
    standalone,
};

/// What is to be known of a surrogate that no operator tells of.
pub(super) struct Kept {
    /// The image that it was made with.
    pub(super) image: Option<String>,
    /// The build that answers; none if none does.
    pub(super) build: Option<String>,
    /// What happened to its pod, and to what makes that.
    pub(super) events: Vec<Event>,
}

impl Kept {
    /// Looks for it, if no operator sees to `registry`.
    pub(super) async fn find(
        context: &Context,
        cluster: &Cluster,
        name: &str,
        registry: &Registry,
    ) -> Option<Self> {
        if !standalone::is_standalone(registry) {
            return None;
        }
        let names = SurrogateNames::new(name);
        let pod = names.pod();
        let (image, build, of_set, of_pod) = tokio::join!(
            image(cluster, name),
            build(context, cluster, registry),
            events(cluster, "StatefulSet", names.stateful_set()),
            events(cluster, "Pod", &pod),
        );
        Some(Self { image, build, events: of_set.into_iter().chain(of_pod).collect() })
    }
}

async fn image(cluster: &Cluster, name: &str) -> Option<String> {
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

/// Lists what happened to an object. Events are of use where they may be read, and no reason to fail.
pub(super) async fn events(cluster: &Cluster, kind: &str, name: &str) -> Vec<Event> {
    let selector = format!("involvedObject.kind={kind},involvedObject.name={name}");
    let found = cluster.api::<Event>().list(&ListParams::default().fields(&selector)).await;
    found.map(|list| list.items).unwrap_or_default()
}
