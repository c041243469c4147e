//! The command line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use clap::{
    Parser,
    builder::{PossibleValuesParser, TypedValueParser},
};
use reposure_admin::{
    Manager, Settings,
    plan::{self, LogFormat},
};
use tracing_subscriber::EnvFilter;

/// Keeps a surrogate for every Registry.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub struct Args {
    /// See to the registries of these namespaces; by default the one that the operator runs in
    #[arg(long, short, value_name = "NAMESPACE", value_delimiter = ',', conflicts_with = "all_namespaces")]
    pub(crate) namespace: Vec<String>,

    /// See to the registries of all namespaces
    #[arg(long, short = 'A')]
    pub(crate) all_namespaces: bool,

    /// The image of surrogates
    #[arg(long, value_name = "IMAGE", default_value_t = plan::image(plan::DEFAULT_IMAGE_HOST))]
    pub(crate) image: String,

    /// The Secret, in the namespace of each registry, to pull the image of surrogates with
    #[arg(long, value_name = "SECRET")]
    pub(crate) image_pull_secret: Option<String>,

    /// What the images of operator and surrogates are built for, as nodes name it; by default what this program is built for
    #[arg(long, value_name = "ARCHITECTURE", value_delimiter = ',')]
    pub(crate) architectures: Vec<String>,

    /// Keep a `NetworkPolicy` for each surrogate, which closes all of its ports but the two that it serves
    #[arg(long)]
    pub(crate) network_policies: bool,

    /// The operator's own address: surrogates listen on addresses of its family
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) pod_ip: Option<IpAddr>,

    /// The operator's own pod, named in events and in the Lease of the one that sees to registries
    #[arg(long, value_name = "NAME")]
    pub(crate) pod_name: Option<String>,

    /// The port of /alive, /ready and /metrics
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub(crate) health_port: u16,

    /// What is logged, as tracing filters say it
    #[arg(long, value_name = "FILTER", env = "RUST_LOG", default_value = "info")]
    pub(crate) log: String,

    /// How it is logged, by surrogates too; by default the operator's own log is text, and that of surrogates JSON
    #[arg(long, value_name = "FORMAT", value_parser = log_formats())]
    pub(crate) log_format: Option<LogFormat>,
}

fn log_formats() -> impl TypedValueParser<Value = LogFormat> {
    PossibleValuesParser::new(LogFormat::ALL.map(LogFormat::as_str)).try_map(|name| name.parse())
}

impl Args {
    pub(crate) fn settings(&self) -> Settings {
        let listen: IpAddr = match self.pod_ip {
            Some(IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
            _ => Ipv4Addr::UNSPECIFIED.into(),
        };
        let pull_secret = self.image_pull_secret.clone();
        let architectures = match &self.architectures[..] {
            [] => plan::own_architecture(),
            named => named.to_vec(),
        };
        Settings {
            pull_secret,
            listen,
            architectures,
            log_format: self.log_format,
            network_policy: self.network_policies,
            ..Settings::new(self.image.clone(), Manager::Operator)
        }
    }
}

/// Returns how `args` want the operator's own log to be written.
pub fn log_format(args: &Args) -> LogFormat {
    args.log_format.unwrap_or(LogFormat::Text)
}

/// Returns the filter that `args` ask for; where it is malformed, the default one.
pub fn tracing_filter(args: &Args) -> EnvFilter {
    EnvFilter::try_new(&args.log).unwrap_or_else(|_| EnvFilter::new("info"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_plan_of_the_operator_gives() {
        let plan = plan::operator(&reposure_admin::OperatorOptions {
            pull_secret: Some("s".into()),
            log_format: Some(LogFormat::Json),
            network_policies: true,
            ..reposure_admin::OperatorOptions::new("team")
        });
        let deployment = serde_json::to_value(plan.steps.last().unwrap().object()).unwrap();
        let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
        let arguments =
            arguments.iter().map(|argument| argument.as_str().unwrap().replace("$(POD_IP)", "fd00::1"));
        let args = Args::try_parse_from(["operator".to_owned()].into_iter().chain(arguments)).unwrap();
        assert_eq!(args.namespace, ["team"]);
        assert_eq!(args.settings().architectures, plan::own_architecture());
        assert_eq!(args.settings().listen, IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        assert_eq!(args.settings().pull_secret.as_deref(), Some("s"));
        assert!(args.settings().network_policy);
        assert_eq!((log_format(&args), args.settings().log_format), (LogFormat::Json, Some(LogFormat::Json)));
        assert!(Args::try_parse_from(["operator", "--namespace", "a", "--all-namespaces"]).is_err());
    }

    #[test]
    fn writes_text_and_has_surrogates_do_as_they_do_unless_it_is_told() {
        let args = Args::try_parse_from(["operator"]).unwrap();
        assert_eq!((log_format(&args), args.settings().log_format), (LogFormat::Text, None));
        assert!(Args::try_parse_from(["operator", "--log-format=xml"]).is_err());
    }

    #[test]
    fn takes_several_namespaces() {
        let args = Args::try_parse_from(["operator", "--namespace", "a,b", "--namespace", "c"]).unwrap();
        assert_eq!(args.namespace, ["a", "b", "c"]);
    }
}
