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
};

/// Asks which rights there are, and returns those for which there is a channel. One is enough: a right that is missing may be one
/// that is not needed.
pub(super) async fn examine(cluster: &Cluster, sought: &Sought, checks: &mut Vec<Check>) -> Vec<Right> {
    let reviews = Reviews { cluster, pod: sought.pod(), port: sought.port() };
    let (mut held, mut results) = (Vec::new(), Vec::new());
    for right in Right::ALL {
        let name = format!("right to {}", verb(right));
        results.push(match reviews.of(right, &sought.name).await {
            Ok(missing) if missing.is_empty() => {
                held.push(right);
                Check::ok(name, "yes")
            }
            Ok(missing) => Check::failed(Kind::Denied, name, format!("no: {}", missing.join(", or ")))
                .hint("ask for it, or for the role edit in the namespace"),
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

struct Reviews<'a> {
    cluster: &'a Cluster,
    pod: String,
    port: u16,
}

impl Reviews<'_> {
    /// Returns what is missing for a right, for each channel; nothing if one is open to it.
    async fn of(&self, right: Right, registry: &str) -> Result<Vec<String>, ReviewError> {
        let account = connect::account(registry, right);
        let token =
            Review { verb: "create", resource: "serviceaccounts", subresource: "token", name: &account };
        let has_token = token.ask(&self.cluster.client, &self.cluster.namespace).await?;
        let mut missing = Vec::new();
        for way in Way::ALL {
            let mut lacking = self.verbs(way, right).await?;
            if way.needs_token() && !has_token {
                lacking.push(format!("create serviceaccounts/token of {account}"));
            }
            if lacking.is_empty() {
                return Ok(Vec::new());
            }
            missing.push(lacking.join(" and "));
        }
        Ok(missing)
    }

    /// Returns what is missing of the right to a channel.
    async fn verbs(&self, way: Way, right: Right) -> Result<Vec<String>, ReviewError> {
        let Cluster { client, namespace, .. } = self.cluster;
        let (verbs, object) = (way.verbs(right).to_vec(), way.object(&self.pod, self.port));
        let missing = review::missing(client, namespace, verbs, way.subresource(), &object).await?;
        let lacks = || format!("{} pods/{} of {object}", missing.join(", "), way.subresource());
        Ok(if missing.is_empty() { Vec::new() } else { vec![lacks()] })
    }
}
