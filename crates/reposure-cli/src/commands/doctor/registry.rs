//! What the operator says of the registry.

use reposure_api::conditions::{self, ConditionType};

use super::check::Check;
use crate::{connect::Sought, context::Cluster, exit::Kind};

pub(super) async fn examine(cluster: &Cluster, name: &str, checks: &mut Vec<Check>) -> Option<Sought> {
    let title = format!("registry {name}");
    let sought = match Sought::find(cluster, name).await {
        Ok(sought) => sought,
        Err(error) => {
            checks.push(Check::because(title, &error));
            return None;
        }
    };
    checks.push(match conditions::find(sought.conditions(), ConditionType::Ready) {
        _ if !sought.is_known() => {
            Check::warning(title, "you may not read it, so that its names are guessed")
        }
        None if sought.is_standalone() => Check::ok(title, "no operator sees to it"),
        None => Check::failed(Kind::Unreachable, title, "no operator has seen it")
            .hint(format!("reposure operator install --wait --namespace {}", cluster.namespace)),
        Some(ready) if ready.status == "True" => Check::ok(title, "ready"),
        Some(ready) => {
            let detail = format!("not ready: {}: {}", ready.reason, ready.message);
            Check::failed(Kind::Unreachable, title, detail).hint(format!("reposure registry describe {name}"))
        }
    });
    Some(sought)
}
