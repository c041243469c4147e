//! What the user may do, by the API server's own word.

use reposure_parcel::wire::Right;

use super::check::Check;
use crate::{
    connect::{self, Review, Sought, Way},
    context::Cluster,
    exit::Kind,
};

/// Asks which rights there are, and returns those for which there are tokens and a channel.
pub(super) async fn examine(cluster: &Cluster, sought: &Sought, checks: &mut Vec<Check>) -> Vec<Right> {
    let reviews = Reviews { cluster, pod: sought.pod(), port: sought.port() };
    let mut held = Vec::new();
    for right in Right::ALL {
        let name = format!("right to {}", verb(right));
        match reviews.of(right, &sought.name).await {
            Ok(missing) if missing.is_empty() => {
                held.push(right);
                checks.push(Check::ok(name, "yes"));
            }
            Ok(missing) => {
                let detail = format!("no: {}", missing.join("; "));
                checks.push(if right == Right::Pull {
                    Check::failed(Kind::Denied, name, detail)
                        .hint("ask for it, or for the role edit in the namespace")
                } else {
                    Check::warning(name, detail)
                });
            }
            // Some clusters have no such review; the channels will show.
            Err(error) => {
                held.push(right);
                checks.push(Check::because(name, &error.into()).at_most_warning());
            }
        }
    }
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
    /// Returns what is missing for a right.
    async fn of(&self, right: Right, registry: &str) -> kube::Result<Vec<String>> {
        let account = connect::account(registry, right);
        let mut missing = Vec::new();
        if !self.may("create", "serviceaccounts", "token", &account).await? {
            missing.push(format!("create serviceaccounts/token of {account}"));
        }
        let mut closed = Vec::new();
        for way in Way::ALL {
            let verbs = way.verbs(right);
            let object = way.object(&self.pod, self.port);
            let mut lacking = Vec::new();
            for verb in verbs {
                if !self.may(verb, "pods", way.subresource(), &object).await? {
                    lacking.push(*verb);
                }
            }
            if lacking.is_empty() {
                return Ok(missing);
            }
            closed.push(format!("{} pods/{} of {object}", lacking.join(", "), way.subresource()));
        }
        missing.push(closed.join(" or "));
        Ok(missing)
    }

    async fn may(&self, verb: &str, resource: &str, subresource: &str, name: &str) -> kube::Result<bool> {
        let Cluster { client, namespace, .. } = self.cluster;
        Review { verb, resource, subresource, name }.ask(client, namespace).await
    }
}
