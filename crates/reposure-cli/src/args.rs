//! What a user may type. The doc comments are the help texts.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use reposure_admin::plan::{IssuerChoice, IssuerRef, LogFormat};

use crate::{
    commands::{
        completion::CompletionArgs, doctor::DoctorArgs, image::ImageCommand, operator::OperatorCommand,
        registry::RegistryCommand, simple::SimpleCommand,
    },
    connect::ChannelChoice,
    format::{Format, FormatParser},
};

/// Push, pull, list and delete images in registries of a Kubernetes cluster, through its API server alone
#[derive(Debug, Parser)]
#[command(name = "reposure", version, propagate_version = true, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Push, pull, list and delete images
    #[command(subcommand, visible_alias = "images")]
    Image(ImageCommand),
    /// Create, delete, list and describe registries
    #[command(subcommand, visible_aliases = ["registries", "reg"])]
    Registry(RegistryCommand),
    /// Install and remove the operator
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// Install and remove a simple registry in the cluster
    #[command(subcommand)]
    Simple(SimpleCommand),
    Doctor(DoctorArgs),
    /// Show the version
    Version,
    /// Print a completion script for a shell
    Completion(CompletionArgs),
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Kubeconfig file, instead of those in the environment variable KUBECONFIG, or ~/.kube/config
    #[arg(long, short = 'k', global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, short = 'x', global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Address of the API server, instead of the kubeconfig's
    #[arg(long, short = 'm', global = true, value_name = "URL")]
    pub(crate) master: Option<String>,
    /// Namespace
    #[arg(long, short = 'n', global = true, value_name = "NAME")]
    pub(crate) namespace: Option<String>,
    /// How to reach a registry: its surrogate, through the API server, or the registry itself
    #[arg(
        long,
        global = true,
        env = "REPOSURE_CHANNEL",
        value_name = "CHANNEL",
        value_enum,
        default_value_t,
        hide_env_values = true
    )]
    pub(crate) channel: ChannelChoice,
    /// With `--channel direct`, trust the certificates in this file for the registry, instead of those that it names, or the system's
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) registry_ca: Option<PathBuf>,
    /// Output format
    #[arg(
        long = "output",
        visible_alias = "format",
        short = 'o',
        global = true,
        value_name = "FORMAT",
        default_value = "bare",
        value_parser = FormatParser
    )]
    pub(crate) output: Format,
    /// Log more; twice for even more
    #[arg(long, short = 'v', global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Write the log to a file
    #[arg(long, short = 'l', global = true, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Width of the output, in characters; 0 for the terminal's
    #[arg(long, short = 'j', global = true, value_name = "N", default_value_t = 0, hide = true)]
    pub(crate) width: u16,
    /// Colour the output
    #[arg(long, short = 'z', global = true, value_name = "WHEN", default_value = "true", hide = true)]
    pub(crate) colorize: Colorize,
    /// Kept for scripts of the first Reposure: YAML is strict here always
    #[arg(long, short = 'y', global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) strict: Option<bool>,
    /// Kept for scripts of the first Reposure: output is indented here always
    #[arg(long, short = 'r', global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) pretty: Option<bool>,
    /// Kept for scripts of the first Reposure: it concerns formats that are binary
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) base64: Option<bool>,
    /// Address of a surrogate on this machine, instead of one in a cluster: for demonstrations and tests
    #[arg(
        long,
        global = true,
        env = "REPOSURE_SURROGATE",
        value_name = "ADDRESS:PORT",
        hide = true,
        hide_env_values = true
    )]
    pub(crate) surrogate: Option<SocketAddr>,
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Colorize {
    True,
    False,
    Force,
}

/// `--wait` and its deadline.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct WaitArgs {
    /// Wait until it is ready, or gone
    #[arg(long, short = 'w')]
    pub(crate) wait: bool,
    /// How long to wait: 30s, 5m
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
}

/// Parses `s3://BUCKET[/PREFIX]` into bucket and prefix, the latter without slashes at its ends.
pub(crate) fn parse_bucket(text: &str) -> Result<(String, String), String> {
    let place = text.strip_prefix("s3://").ok_or("it does not begin with s3://")?;
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let is_of_bucket =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    if bucket.is_empty() || !bucket.bytes().all(is_of_bucket) {
        return Err("a bucket's name has small letters, digits, dots and dashes".into());
    }
    Ok((bucket.into(), prefix.trim_matches('/').into()))
}

/// Parses the name of a form that logs have.
pub(crate) fn log_formats() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(LogFormat::ALL.map(LogFormat::as_str)).try_map(|name| name.parse())
}

/// Parses `90`, `30s`, `5m`, `1h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let span: jiff::SignedDuration =
        text.parse().map_err(|error| format!("{text:?} is no duration such as 30s or 5m: {error}"))?;
    span.try_into().map_err(|_| format!("{text:?} is negative"))
}
/// Parses who makes a certificate: `none`, `NAME`, `Issuer/NAME` or `ClusterIssuer/NAME`.
pub(crate) fn parse_issuer(text: &str) -> Result<IssuerChoice, String> {
    let (kind, name) = text.split_once('/').unwrap_or(("Issuer", text));
    if name.is_empty() || name.contains('/') {
        return Err("NAME, ClusterIssuer/NAME or none".into());
    }
    match kind {
        "Issuer" if text == "none" => Ok(IssuerChoice::Own),
        "Issuer" => Ok(IssuerChoice::Named(IssuerRef::issuer(name))),
        "ClusterIssuer" => Ok(IssuerChoice::Named(IssuerRef::cluster_issuer(name))),
        _ => Err(format!("{kind} is neither Issuer nor ClusterIssuer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_has_a_kind_and_a_name() {
        let named = |issuer| Ok(IssuerChoice::Named(issuer));
        assert_eq!(parse_issuer("none"), Ok(IssuerChoice::Own));
        assert_eq!(parse_issuer("team"), named(IssuerRef::issuer("team")));
        assert_eq!(parse_issuer("Issuer/none"), named(IssuerRef::issuer("none")));
        assert_eq!(parse_issuer("ClusterIssuer/team"), named(IssuerRef::cluster_issuer("team")));
        for text in ["", "Issuer/", "ClusterIssuer/a/b", "Secret/a"] {
            assert!(parse_issuer(text).is_err(), "{text}");
        }
    }
}
