//! `reposure registry describe NAME`

mod kept;

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
    format::Format,
    output::{self, Rows},
    printable, standalone,
};

use kept::{Kept, events};

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
        _ => {
            let kept = Kept::find(context, &cluster, &args.name, &registry).await;
            let mut events = events(&cluster, "Registry", &args.name).await;
            events.extend(kept.iter().flat_map(|kept| kept.events.clone()));
            output::print(&text(&registry, kept.as_ref(), &events))
        }
    }
}

fn text(registry: &Registry, kept: Option<&Kept>, events: &[Event]) -> String {
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
    let keeper = if standalone::is_standalone(registry) { "nobody: it is standalone" } else { "an operator" };
    line("Kept by:", keeper);
    line("Host:", status.host.as_deref().unwrap_or("not known yet"));
    line("Registry:", &target(&registry.spec));
    line("Certificate:", &authority(&registry.spec));
    if let Some(end) = &status.certificate_expires {
        line("Expires:", &expiry(end, Timestamp::now()));
    }
    line("Credentials:", &credentials(&registry.spec));
    line("Surrogate:", status.surrogate_pod.as_deref().unwrap_or("not known yet"));
    if let Some(kept) = kept {
        line("Image:", kept.image.as_deref().unwrap_or("not known"));
        line("Version:", &version(kept.build.as_deref()));
    }
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

/// Says what build a surrogate is of, and how it becomes this one: no operator replaces it.
fn version(build: Option<&str>) -> String {
    let own = env!("CARGO_PKG_VERSION");
    match build {
        None => "not known: it does not answer".into(),
        Some(build) if build.split([' ', '+', '-']).next() == Some(own) => build.into(),
        Some(build) => format!("{build}; create it again with reposure {own} to replace it"),
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
mod tests {
    use reposure_admin::Provider;

    use super::*;

    #[test]
    fn a_surrogate_of_another_version_is_to_be_made_again() {
        let own = env!("CARGO_PKG_VERSION");
        for same in [own.to_owned(), format!("{own} (0123abc)"), format!("{own}+dirty")] {
            assert_eq!(version(Some(&same)), same);
        }
        assert_eq!(
            version(Some("0.1.0")),
            format!("0.1.0; create it again with reposure {own} to replace it")
        );
        assert!(version(None).contains("does not answer"));
    }

    #[test]
    fn says_where_certificate_and_credentials_are() {
        let said = |spec: RegistrySpec| {
            let text = text(&Registry::new("a", spec), None, &[]);
            let shown = text.lines().filter(|line| line.starts_with("Ce") || line.starts_with("Cr"));
            shown.collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(said(RegistrySpec::default()), @r"
        Certificate:  none
        Credentials:  none
        ");
        let secrets = RegistrySpec {
            authentication_secret: Some("ca".into()),
            authorization_secret: Some("login".into()),
            ..RegistrySpec::default()
        };
        insta::assert_snapshot!(said(secrets), @r"
        Certificate:  Secret ca, key tls.crt
        Credentials:  Secret login
        ");
        insta::assert_snapshot!(said(Provider::OpenShift.spec().unwrap()), @r"
        Certificate:  ConfigMap openshift-service-ca.crt, key service-ca.crt
        Credentials:  the surrogate's own token
        ");
    }

    #[test]
    fn a_registry_adds_no_line_of_its_own() {
        let mut registry = Registry::default();
        registry.spec.authorization_secret = Some("login\nConditions:   none".into());
        let text = text(&registry, None, &[]);
        assert_eq!(text.matches("\nConditions:").count(), 1, "{text}");
    }

    #[test]
    fn a_certificate_ends_in_days() {
        let now = "2028-02-28T12:00:00Z".parse().unwrap();
        for (end, expected) in [
            ("2028-03-01T13:00:00Z", "2028-03-01T13:00:00Z, in 2 days"),
            ("2028-02-28T13:00:00Z", "2028-02-28T13:00:00Z, in 0 days"),
            ("2028-02-28T11:00:00Z", "2028-02-28T11:00:00Z, 1 days ago"),
            ("soon", "soon"),
        ] {
            assert_eq!(expiry(end, now), expected);
        }
    }
}
