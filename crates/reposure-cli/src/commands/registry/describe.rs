//! `reposure registry describe NAME`

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use k8s_openapi::{api::core::v1::Event, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{ResourceExt as _, api::ListParams};
use reposure_api::{Registry, SurrogateNames, registry::RegistrySpec};

use crate::{
    connect,
    context::{Cluster, Context},
    format::Format,
    output::{self, Rows},
    standalone,
};

/// Show a registry, its conditions and what happened to it
#[derive(Debug, Args)]
pub(crate) struct DescribeArgs {
    /// The name
    name: String,
}

pub(super) async fn run(context: &Context, args: &DescribeArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let mut registry = connect::find(&cluster, &args.name).await?;
    standalone::look_at(context, &cluster, &mut registry).await;
    match context.format() {
        format @ (Format::Json | Format::Yaml) => output::structured(format, &registry),
        Format::Name => output::print(&format!("registry/{}\n", registry.name_any())),
        _ => output::print(&text(&registry, &events(&cluster, &registry).await)),
    }
}

/// Events are of use where they may be read, and no reason to fail.
async fn events(cluster: &Cluster, registry: &Registry) -> Vec<Event> {
    let selector = format!("involvedObject.kind=Registry,involvedObject.name={}", registry.name_any());
    cluster
        .api::<Event>()
        .list(&ListParams::default().fields(&selector))
        .await
        .map(|list| list.items)
        .unwrap_or_default()
}

fn text(registry: &Registry, events: &[Event]) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<14}{value}");
    };
    let status = registry.status.clone().unwrap_or_default();
    let names = SurrogateNames::new(&registry.name_any());
    line("Name:", &registry.name_any());
    line("Namespace:", &registry.namespace().unwrap_or_default());
    let keeper = if standalone::is_standalone(registry) { "nobody: it is standalone" } else { "an operator" };
    line("Kept by:", keeper);
    line("Host:", status.host.as_deref().unwrap_or("not known yet"));
    line("Registry:", &target(&registry.spec));
    line("Certificate:", registry.spec.authentication_secret.as_deref().unwrap_or("none"));
    line("Credentials:", registry.spec.authorization_secret.as_deref().unwrap_or("none"));
    line("Surrogate:", status.surrogate_pod.as_deref().unwrap_or("not known yet"));
    line(
        "Access:",
        &format!("{}, {}, {}", names.pull_account(), names.push_account(), names.admin_account()),
    );
    if status.conditions.is_empty() {
        line("Conditions:", "none: is an operator installed for this namespace?");
    } else {
        text.push_str("Conditions:\n");
        text.push_str(&indented(&conditions(&status.conditions)));
    }
    if !events.is_empty() {
        text.push_str("Events:\n");
        text.push_str(&indented(&happened(events)));
    }
    text
}

fn conditions(conditions: &[Condition]) -> Rows {
    let mut rows = Rows::new(&["TYPE", "STATUS", "REASON", "MESSAGE"], 4);
    for condition in conditions {
        let Condition { type_, status, reason, message, .. } = condition.clone();
        rows.push(vec![type_, status, reason, message]);
    }
    rows
}

fn happened(events: &[Event]) -> Rows {
    let mut rows = Rows::new(&["TYPE", "REASON", "MESSAGE"], 3);
    for event in events {
        let Event { type_, reason, message, .. } = event.clone();
        rows.push([type_, reason, message].map(Option::unwrap_or_default).to_vec());
    }
    rows
}

fn indented(rows: &Rows) -> String {
    output::lines(rows.render(true).lines().map(|line| format!("  {line}")))
}

fn target(spec: &RegistrySpec) -> String {
    match (&spec.direct, &spec.indirect) {
        (Some(direct), _) => direct.host.clone(),
        (None, Some(service)) => {
            let namespace =
                service.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
            format!("Service {namespace}{}, port {}", service.service, service.port)
        }
        (None, None) => "none".into(),
    }
}
