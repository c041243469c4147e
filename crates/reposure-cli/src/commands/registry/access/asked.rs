//! Who may do what on a registry: what was granted is read, and the API server is asked whether it holds.

use futures::{StreamExt as _, TryStreamExt as _, future::try_join_all, stream};
use k8s_openapi::api::{authorization::v1::LocalSubjectAccessReview, rbac::v1::Subject};
use kube::ResourceExt as _;
use reposure_admin::{AdminError, ObjectName, Verb, grant, plan};
use reposure_api::{Registry, SurrogateNames};
use reposure_parcel::wire::{self, Right};
use serde::Serialize;

use super::super::subject::{Shown, identity};
use crate::{
    connect::{
        self, Way,
        review::{Identity, Review, ReviewError},
    },
    context::Cluster,
};

/// How many subjects are asked for at once, each by a dozen small requests.
const AT_ONCE: usize = 8;

/// Why it is not known who may do what.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum AccessError {
    /// Bindings could not be read, or the API server may not be asked for others.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The API server does not say.
    #[error(transparent)]
    Review(#[from] ReviewError),
}

/// What somebody may do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Line {
    pub(in super::super) subject: String,
    pub(in super::super) level: &'static str,
    /// The RoleBinding; none for whoever was asked for by name, whose rights may come from anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) via: Option<String>,
    /// Whether the API server allows it; none where it may not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) allowed: Option<bool>,
    /// The channels that are open.
    pub(in super::super) channels: Vec<String>,
}

/// Who may do what, as far as that could be seen.
pub(in super::super) struct Seen {
    pub(in super::super) lines: Vec<Line>,
    /// Why others than the user of the kubeconfig are left out, if they are.
    pub(in super::super) hidden: Option<AdminError>,
}

/// Asks for whoever was granted something, and for the user of the kubeconfig.
pub(in super::super) async fn of_all(cluster: &Cluster, registry: &Registry) -> Result<Seen, AccessError> {
    let asked = Asked::new(cluster, registry);
    let (mut granted, mut hidden) = (Vec::new(), None);
    for level in Right::ALL {
        match grant::granted(&cluster.client, registry, level).await {
            Ok(subjects) => granted.extend(subjects.into_iter().map(|subject| (subject, level))),
            Err(error @ AdminError::Denied { .. }) => {
                hidden = Some(error);
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let lines = stream::iter(&granted).map(|(subject, level)| asked.of_granted(subject, *level));
    let mut lines: Vec<Line> = lines.buffered(AT_ONCE).try_collect().await?;
    lines.push(asked.of_anybody("you".into(), None).await?);
    Ok(Seen { lines, hidden })
}

/// Asks for `subjects`, whatever their rights come from.
pub(super) async fn of_these(
    cluster: &Cluster,
    registry: &Registry,
    subjects: &[Subject],
) -> Result<Vec<Line>, AccessError> {
    let asked = Asked::new(cluster, registry);
    let ask = async |subject: &Subject| {
        let line = asked.of_anybody(Shown(subject).to_string(), Some(&identity(subject))).await;
        line.map_err(|error| match error {
            ReviewError::Kube(error) => {
                let reviews = ObjectName::of::<LocalSubjectAccessReview>(Some(&cluster.namespace), "*");
                AdminError::new(Verb::Create, &reviews, error).into()
            }
            error @ ReviewError::Silent => AccessError::from(error),
        })
    };
    stream::iter(subjects).map(ask).buffered(AT_ONCE).try_collect().await
}

/// What is asked of the API server.
struct Asked<'a> {
    cluster: &'a Cluster,
    registry: String,
    pod: String,
    port: u16,
}

impl<'a> Asked<'a> {
    fn new(cluster: &'a Cluster, registry: &Registry) -> Self {
        let port = registry.spec.surrogate_port.unwrap_or(wire::PORT);
        let name = registry.name_any();
        Self { cluster, pod: SurrogateNames::new(&name).pod(), registry: name, port }
    }

    /// Asks whether what was granted holds. Whoever may not ask for others is told of it all the same.
    async fn of_granted(&self, subject: &Subject, level: Right) -> Result<Line, ReviewError> {
        let channels = match self.channels(Some(&identity(subject)), level).await {
            Ok(channels) => Some(channels),
            Err(ReviewError::Kube(kube::Error::Api(status))) if status.code == 403 => None,
            Err(error) => return Err(error),
        };
        Ok(Line {
            subject: Shown(subject).to_string(),
            level: level.as_str(),
            via: Some(format!("rolebinding/{}", plan::grant_name(&self.registry, level))),
            allowed: channels.as_ref().map(|channels| !channels.is_empty()),
            channels: names(&channels.unwrap_or_default()),
        })
    }

    /// Asks for the highest level that somebody has, or else the user of the kubeconfig.
    async fn of_anybody(&self, subject: String, who: Option<&Identity>) -> Result<Line, ReviewError> {
        let mut held = ("none", Vec::new());
        for level in Right::ALL.into_iter().rev() {
            let channels = self.channels(who, level).await?;
            if !channels.is_empty() {
                held = (level.as_str(), channels);
                break;
            }
        }
        let (level, channels) = held;
        let allowed = Some(!channels.is_empty());
        Ok(Line { subject, level, via: None, allowed, channels: names(&channels) })
    }

    /// Returns the channels that are open for a level to somebody, or else to the user of the kubeconfig.
    async fn channels(&self, who: Option<&Identity>, level: Right) -> Result<Vec<Way>, ReviewError> {
        let account = connect::account(&self.registry, level);
        let token =
            Review { verb: "create", resource: "serviceaccounts", subresource: "token", name: &account };
        let has_token = self.ask(token, who).await?;
        let mut open = Vec::new();
        for way in Way::ALL {
            if (has_token || !way.needs_token()) && self.may(way, who, level).await? {
                open.push(way);
            }
        }
        Ok(open)
    }

    async fn may(&self, way: Way, who: Option<&Identity>, level: Right) -> Result<bool, ReviewError> {
        let object = way.object(&self.pod, self.port);
        let ask = |verb: &'static str| {
            let review =
                Review { verb, resource: "pods", subresource: way.subresource(), name: object.as_str() };
            self.ask(review, who)
        };
        let held = try_join_all(way.verbs(level).iter().copied().map(ask)).await?;
        Ok(held.into_iter().all(|held| held))
    }

    async fn ask(&self, review: Review<'_>, who: Option<&Identity>) -> Result<bool, ReviewError> {
        let Cluster { client, namespace, .. } = self.cluster;
        match who {
            Some(who) => review.ask_of(who, client, namespace).await,
            None => review.ask(client, namespace).await,
        }
    }
}

fn names(ways: &[Way]) -> Vec<String> {
    ways.iter().map(ToString::to_string).collect()
}
