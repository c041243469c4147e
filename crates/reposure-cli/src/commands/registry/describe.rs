//! `reposure registry describe NAME`

mod surrogate;

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use k8s_openapi::{api::core::v1::Event, apimachinery::pkg::apis::meta::v1::Condition, jiff::Timestamp};
use kube::ResourceExt as _;
use reposure_api::{
    Registry, SurrogateNames,
    registry::RegistrySpec,
    target::{Authority, Credentials},
};

use crate::{
    connect,
    context::Context,
    exit,
    format::Format,
    output::{self, Rows},
    printable, standalone,
};

use super::access::{self, AccessError, Seen};
use surrogate::{Surrogate, events, last_seen};

/// Show a registry, its surrogate, who may do what, its conditions and what happened to it
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
        _ => {
            let (surrogate, access, of_registry) = tokio::join!(
                Surrogate::find(context, &cluster, &args.name, &registry),
                access::of_all(&cluster, &registry),
                events(&cluster, "Registry", &args.name),
            );
            let mut events = [of_registry, surrogate.events.clone()].concat();
            events.sort_by_key(last_seen);
            output::print(&text(&registry, &surrogate, &access, &events))
        }
    }
}

fn text(
    registry: &Registry,
    surrogate: &Surrogate,
    access: &Result<Seen, AccessError>,
    events: &[Event],
) -> String {
    let mut text = String::new();
    // What a Registry holds is anybody's, and must not look like a line of ours.
    let mut line = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<14}{}", printable::line(value));
    };
    let status = registry.status.clone().unwrap_or_default();
    let names = SurrogateNames::new(&registry.name_any());
    line("Name:", &registry.name_any());
    line("Namespace:", &registry.namespace().unwrap_or_default());
    let is_standalone = standalone::is_standalone(registry);
    line("Kept by:", if is_standalone { "nobody: it is standalone" } else { "an operator" });
    line("Host:", status.host.as_deref().unwrap_or("not known yet"));
    line("Registry:", &target(&registry.spec));
    line("Certificate:", &authority(&registry.spec));
    if let Some(end) = &status.certificate_expires {
        line("Expires:", &expiry(end, Timestamp::now()));
    }
    line("Credentials:", &credentials(&registry.spec));
    line("Surrogate:", status.surrogate_pod.as_deref().unwrap_or("not known yet"));
    line("Node:", surrogate.node.as_deref().unwrap_or("not known"));
    line("Restarts:", &surrogate.restarts.to_string());
    line("Image:", surrogate.image.as_deref().unwrap_or("not known"));
    line("Version:", &version(surrogate.build.as_deref(), is_standalone));
    line(
        "Accounts:",
        &format!("{}, {}, {}", names.pull_account(), names.push_account(), names.admin_account()),
    );
    text.push_str(&who_may(access));
    if status.conditions.is_empty() {
        text.push_str("Conditions:   none: is an operator installed for this namespace?\n");
    } else {
        text.push_str("Conditions:\n");
        text.push_str(&indented(&conditions(&status.conditions, is_standalone)));
    }
    if !events.is_empty() {
        text.push_str("Events:\n");
        text.push_str(&indented(&happened(events)));
    }
    text
}

/// Shows who may do what, or why that is not known.
fn who_may(access: &Result<Seen, AccessError>) -> String {
    match access {
        Ok(Seen { lines, hidden }) => {
            let others = hidden.as_ref().map(|error| format!("  others are not shown: {error}"));
            format!("Access:\n{}{}", indented(&access::rows(lines)), output::lines(others))
        }
        Err(error) => output::lines([format!("Access:       not known: {}", exit::chain(error))]),
    }
}

/// Says what build a surrogate is of, and how it becomes this one.
fn version(build: Option<&str>, is_standalone: bool) -> String {
    let own = env!("CARGO_PKG_VERSION");
    match build {
        None => "not known: it does not answer".into(),
        Some(build) if build.split([' ', '+', '-']).next() == Some(own) => build.into(),
        // No operator replaces it.
        Some(build) if is_standalone => format!("{build}; create it again with reposure {own} to replace it"),
        Some(build) => format!("{build}; reposure operator upgrade makes it {own}"),
    }
}

/// Says when a certificate ends, and in how many days.
fn expiry(end: &str, now: Timestamp) -> String {
    let Ok(time) = end.parse::<Timestamp>() else { return end.into() };
    match time.duration_since(now).as_hours().div_euclid(24) {
        past @ ..0 => format!("{end}, {} days ago", -past),
        days => format!("{end}, in {days} days"),
    }
}

/// Shows conditions. Those of a standalone registry are kept by nobody, but were asked for just now.
fn conditions(conditions: &[Condition], is_standalone: bool) -> Rows {
    let mut rows = Rows::new(&["TYPE", "STATUS", "SINCE", "REASON", "MESSAGE"], 5);
    for condition in conditions {
        let Condition { type_, status, reason, message, last_transition_time, .. } = condition.clone();
        let since = if is_standalone { "asked now".into() } else { to_the_second(last_transition_time.0) };
        rows.push(vec![type_, status, since, reason, message]);
    }
    rows
}

fn happened(events: &[Event]) -> Rows {
    let mut rows = Rows::new(&["TYPE", "LAST SEEN", "REASON", "MESSAGE"], 4);
    for event in events {
        let seen = last_seen(event).map(to_the_second);
        let Event { type_, reason, message, .. } = event.clone();
        rows.push([type_, seen, reason, message].map(Option::unwrap_or_default).to_vec());
    }
    rows
}

fn to_the_second(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
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

/// Says where the certificate is that is trusted.
fn authority(spec: &RegistrySpec) -> String {
    match spec.authority() {
        None => "none".into(),
        Some(Authority::Secret { name, key }) => format!("Secret {name}, key {key}"),
        Some(Authority::ConfigMap { name, key }) => format!("ConfigMap {name}, key {key}"),
    }
}

fn credentials(spec: &RegistrySpec) -> String {
    match spec.credentials() {
        None => "none".into(),
        Some(Credentials::Secret { name }) => format!("Secret {name}"),
        Some(Credentials::ServiceAccount) => "the surrogate's own token".into(),
    }
}

#[cfg(test)]
mod tests;
