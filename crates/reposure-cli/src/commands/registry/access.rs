//! `reposure registry access NAME`

use anyhow::Result;
use clap::Args;
use futures::future::try_join_all;
use k8s_openapi::api::rbac::v1::Subject;
use reposure_admin::{AdminError, grant, plan};
use reposure_api::{Registry, SurrogateNames};
use reposure_parcel::wire::{self, Right};
use serde::Serialize;

use super::subject::{Shown, failed, identity};
use crate::{
    connect::{
        self, Way,
        review::{Identity, Review, ReviewError},
    },
    context::{Cluster, Context},
    exit,
    output::{self, Rows},
};

/// Show who was granted what on a registry, and what you may do yourself, as the API server says
///
/// Whoever may not read the bindings of the namespace sees only himself.
#[derive(Debug, Args)]
pub(crate) struct AccessArgs {
    /// The name
    name: String,
}

/// What somebody may do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    subject: String,
    level: &'static str,
    /// The RoleBinding; none for the user of the kubeconfig, whose rights may come from anywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    via: Option<String>,
    /// Whether the API server allows it; none where it may not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<bool>,
    /// The channels that are open.
    channels: Vec<String>,
}

pub(super) async fn run(context: &Context, args: &AccessArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let registry = connect::find(&cluster, &args.name).await?;
    let asked = Asked::new(&cluster, &registry, &args.name);
    let mut lines = Vec::new();
    for level in Right::ALL {
        match grant::granted(&cluster.client, &registry, level).await {
            Ok(subjects) => {
                for subject in &subjects {
                    lines.push(asked.of_subject(subject, level).await?);
                }
            }
            Err(error @ AdminError::Denied { .. }) => {
                exit::warn(&format!("only what you may do is shown: {error}"));
                break;
            }
            Err(error) => return Err(failed("see access to", &args.name, &cluster.namespace, error).into()),
        }
    }
    lines.push(asked.of_self().await?);
    show(context, &lines)
}

fn show(context: &Context, lines: &[Line]) -> Result<()> {
    let mut rows = Rows::new(&["SUBJECT", "LEVEL", "ALLOWED", "VIA", "CHANNELS"], 4);
    for line in lines {
        let allowed = line.allowed.map_or("unknown", |allowed| if allowed { "yes" } else { "no" });
        let via = line.via.clone().unwrap_or_default();
        let channels = line.channels.join(", ");
        rows.push(vec![line.subject.clone(), line.level.into(), allowed.into(), via, channels]);
    }
    let names: Vec<String> = lines.iter().map(|line| line.subject.clone()).collect();
    output::list(context.format(), &lines, &names, &rows)
}

/// What is asked of the API server.
struct Asked<'a> {
    cluster: &'a Cluster,
    registry: &'a str,
    pod: String,
    port: u16,
}

impl<'a> Asked<'a> {
    fn new(cluster: &'a Cluster, registry: &Registry, name: &'a str) -> Self {
        let port = registry.spec.surrogate_port.unwrap_or(wire::PORT);
        Self { cluster, registry: name, pod: SurrogateNames::new(name).pod(), port }
    }

    async fn of_subject(&self, subject: &Subject, level: Right) -> Result<Line> {
        let channels = match self.channels(Some(&identity(subject)), level).await {
            Ok(channels) => Some(channels),
            Err(ReviewError::Kube(kube::Error::Api(status))) if status.code == 403 => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Line {
            subject: Shown(subject).to_string(),
            level: level.as_str(),
            via: Some(format!("rolebinding/{}", plan::grant_name(self.registry, level))),
            allowed: channels.as_ref().map(|channels| !channels.is_empty()),
            channels: names(&channels.unwrap_or_default()),
        })
    }

    /// Returns the highest level that the user of the kubeconfig has.
    async fn of_self(&self) -> Result<Line> {
        let mut held = ("none", Vec::new());
        for level in Right::ALL.into_iter().rev() {
            let channels = self.channels(None, level).await?;
            if !channels.is_empty() {
                held = (level.as_str(), channels);
                break;
            }
        }
        let (level, channels) = held;
        let allowed = Some(!channels.is_empty());
        Ok(Line { subject: "you".into(), level, via: None, allowed, channels: names(&channels) })
    }

    /// Returns the channels that are open for a level to somebody, or else to the user of the kubeconfig.
    async fn channels(&self, who: Option<&Identity>, level: Right) -> Result<Vec<Way>, ReviewError> {
        let account = connect::account(self.registry, level);
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
