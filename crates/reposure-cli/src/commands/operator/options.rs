//! What kind of operator is wanted, for those commands that make one.

use clap::Args;
use reposure_admin::{
    OperatorOptions, Scope,
    plan::{self, LogFormat},
};

use crate::args::log_formats;

/// What `install` applies and `manifests` prints.
#[derive(Debug, Args)]
pub(super) struct OperatorArgs {
    /// See to the registries of all namespaces, not only of this one
    #[arg(long, short = 'c')]
    cluster: bool,
    /// See to the registries of these namespaces, not only of this one
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',', conflicts_with = "cluster")]
    watch: Vec<String>,
    /// How many operators run: one sees to registries, the others stand by
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=9))]
    replicas: u16,
    /// What the image is built for, as nodes name it (amd64, arm64); any node by default
    #[arg(long, value_name = "ARCHITECTURE", value_delimiter = ',')]
    architectures: Vec<String>,
    /// How operator and surrogates write their logs; by default the operator as text, and surrogates as JSON
    #[arg(long, value_name = "FORMAT", value_parser = log_formats())]
    log_format: Option<LogFormat>,
    /// Keep a `NetworkPolicy` for each surrogate, which closes all of its ports but the two that it serves, and all ways from it but those to
    /// its registry, DNS and API server
    #[arg(long)]
    network_policies: bool,
    /// Let nothing but sessions of reposure run in surrogates, whoever may exec into pods: a policy of the cluster, which takes an
    /// administrator
    #[arg(long)]
    exec_policy: bool,
    /// Bind this cluster role to the operator too
    #[arg(long, short = 'e', value_name = "NAME")]
    role: Option<String>,
    /// The registry that the image comes from
    #[arg(long, short = 'g', value_name = "HOST", default_value = plan::DEFAULT_IMAGE_HOST)]
    registry: String,
    /// The image of operator and surrogates, instead of the one of this version at --registry
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// The Secret that the nodes pull the image with
    #[arg(long, value_name = "SECRET")]
    image_pull_secret: Option<String>,
}

impl OperatorArgs {
    pub(super) fn options(&self, namespace: &str) -> OperatorOptions {
        OperatorOptions {
            scope: self.scope(),
            replicas: self.replicas,
            architectures: self.architectures.clone(),
            log_format: self.log_format,
            image: self.image.clone().unwrap_or_else(|| plan::image(&self.registry)),
            pull_secret: self.image_pull_secret.clone(),
            role: self.role.clone(),
            network_policies: self.network_policies,
            exec_policy: self.exec_policy,
            ..OperatorOptions::new(namespace)
        }
    }

    fn scope(&self) -> Scope {
        match &self.watch[..] {
            _ if self.cluster => Scope::Cluster,
            [] => Scope::Namespace,
            namespaces => Scope::Namespaces(namespaces.to_vec()),
        }
    }
}
