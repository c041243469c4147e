//! What the user may do, by the API server's own word.

use reposure_parcel::wire::Right;

use super::check::Check;
use crate::{
    connect::{
        self, Sought, Way,
        review::{self, Review, ReviewError},
    },
    context::Cluster,
    exit::Kind,
    roles::Grant,
};

/// Asks which rights there are, and returns those for which there is a channel. One is enough: a right that is missing may be one
/// that is not needed.
pub(super) async fn examine(cluster: &Cluster, sought: &Sought, checks: &mut Vec<Check>) -> Vec<Right> {
    let reviews = Reviews { cluster, pod: sought.pod(), port: sought.port() };
    let (mut held, mut results) = (Vec::new(), Vec::new());
    for right in Right::ALL {
        let name = format!("right to {}", verb(right));
        results.push(match reviews.of(right, &sought.name).await {
            Ok(None) => {
                held.push(right);
                Check::ok(name, "yes")
            }
            Ok(Some(missing)) => missing.check(name),
            // Some clusters have no such review; the channels will show.
            Err(error) => {
                held.push(right);
                Check::because(name, &error.into()).at_most_warning()
            }
        });
    }
    let is_enough = !held.is_empty();
    checks.extend(results.into_iter().map(|check| if is_enough { check.at_most_warning() } else { check }));
    held
}

const fn verb(right: Right) -> &'static str {
    match right {
        Right::Pull => "pull",
        Right::Push => "push",
        Right::Admin => "delete",
    }
}

/// What is missing for a right.
#[derive(Default)]
struct Missing {
    /// For each channel.
    lacking: Vec<String>,
    /// What gives it, for the first channel.
    grants: Vec<Grant>,
}

impl Missing {
    fn check(&self, name: String) -> Check {
        let ask = "ask for it, with your name for USER, or for the role edit in the namespace:".to_owned();
        let hint = self.grants.iter().fold(ask, |hint, grant| format!("{hint}\n{grant}"));
        Check::failed(Kind::Denied, name, format!("no: {}", self.lacking.join(", or "))).hint(hint)
    }
}

struct Reviews<'a> {
    cluster: &'a Cluster,
    pod: String,
    port: u16,
}

impl Reviews<'_> {
    /// Returns what is missing for a right; none if one channel is open to it.
    async fn of(&self, right: Right, registry: &str) -> Result<Option<Missing>, ReviewError> {
        let Cluster { client, namespace, .. } = self.cluster;
        let account = connect::account(registry, right);
        let token =
            Review { verb: "create", resource: "serviceaccounts", subresource: "token", name: &account };
        let has_token = token.ask(client, namespace).await?;
        let mut missing = Missing::default();
        for way in Way::ALL {
            let mut lacking = Vec::new();
            if let Some(verbs) = self.verbs(way, right).await? {
                let grant = Grant::of_way(way, right, namespace, &self.pod, self.port);
                lacking.push((verbs, grant));
            }
            if way.needs_token() && !has_token {
                let token = format!("create serviceaccounts/token of {account}");
                lacking.push((token, Grant::of_token(namespace, &account)));
            }
            let (said, grants): (Vec<String>, Vec<Grant>) = lacking.into_iter().unzip();
            if said.is_empty() {
                return Ok(None);
            }
            missing.lacking.push(said.join(" and "));
            if missing.grants.is_empty() {
                missing.grants = grants;
            }
        }
        Ok(Some(missing))
    }

    /// Returns what is missing of the right to a channel.
    async fn verbs(&self, way: Way, right: Right) -> Result<Option<String>, ReviewError> {
        let Cluster { client, namespace, .. } = self.cluster;
        let (verbs, object) = (way.verbs(right).to_vec(), way.object(&self.pod, self.port));
        let missing = review::missing(client, namespace, verbs, way.subresource(), &object).await?;
        let lacks = format!("{} pods/{} of {object}", missing.join(", "), way.subresource());
        Ok(if missing.is_empty() { None } else { Some(lacks) })
    }
}
