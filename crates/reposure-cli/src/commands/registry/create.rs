//! `reposure registry create NAME`

mod found;
mod provider;
mod simple;
mod standalone;

use anyhow::{Context as _, Result};
use clap::{ArgGroup, Args, ValueEnum};
use kube::ResourceExt as _;
use reposure_admin::{ApplyOptions, RegistryOptions, apply, plan, wait};
use reposure_api::{Registry, RegistryKind, RegistryScheme, RegistrySpec, Target, UploadStrategy, names};

use crate::{
    args::WaitArgs,
    commands::{operator::by_hand, report},
    connect,
    context::{Cluster, Context},
    exit::{Failure, Kind},
};

use provider::ProviderName;
use standalone::StandaloneArgs;

/// Tell Reposure of a registry, by a provider, a Service or a host
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("where").required(true).args(["provider", "host", "service"])))]
pub(crate) struct CreateArgs {
    /// The name
    name: String,
    /// A registry that is known by name
    #[arg(long, short = 'p', value_name = "NAME")]
    provider: Option<ProviderName>,
    /// The registry's own host
    #[arg(long, value_name = "HOST[:PORT]")]
    host: Option<String>,
    /// The Service before the registry
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// The Service's namespace, instead of the registry's own; with a provider, where its Service is looked for instead of everywhere
    #[arg(long, value_name = "NAME", conflicts_with = "host")]
    service_namespace: Option<String>,
    /// The Service's port
    #[arg(long, value_name = "N", default_value_t = names::SIMPLE_PORT, requires = "service")]
    port: u16,
    /// How the registry is dialled: by default with TLS if a certificate is named, or the host is a public one
    #[arg(long, value_name = "SCHEME")]
    scheme: Option<Scheme>,
    /// The Secret with the certificate to trust for the registry
    #[arg(long, value_name = "SECRET")]
    authentication_secret: Option<String>,
    /// The key of the certificate in that Secret
    #[arg(long, value_name = "KEY", requires = "authentication_secret")]
    authentication_secret_data_key: Option<String>,
    /// The Secret with the credentials for the registry
    #[arg(long, value_name = "SECRET")]
    authorization_secret: Option<String>,
    /// What pods put before an image's name, where nodes reach the registry elsewhere than its surrogate
    #[arg(long, value_name = "HOST[:PORT]")]
    image_host: Option<String>,
    /// What the registry is, where it has names or an API of its own; a provider says so itself
    #[arg(long, value_name = "KIND")]
    kind: Option<KindName>,
    /// Where tokens for the registry are fetched, instead of the URL that it names
    #[arg(long, value_name = "URL")]
    realm: Option<String>,
    /// In which form blobs are sent to the registry, instead of the one that it turns out to take
    #[arg(long, value_name = "FORM")]
    upload: Option<Upload>,
    #[command(flatten)]
    standalone: StandaloneArgs,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scheme {
    Http,
    Https,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindName {
    /// OpenShift's registry: it lists and deletes by ImageStreams
    Openshift,
    /// Harbor: it lists project by project
    Harbor,
}

impl From<KindName> for RegistryKind {
    fn from(kind: KindName) -> Self {
        match kind {
            KindName::Openshift => Self::OpenShift,
            KindName::Harbor => Self::Harbor,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Upload {
    /// As the registry takes them: in one request, and in pieces where it refuses large ones
    Auto,
    /// By one PUT with its length
    Monolithic,
    /// By one PATCH without a length, as docker does
    Stream,
    /// By a PATCH for each piece
    Chunked,
}

impl From<Upload> for UploadStrategy {
    fn from(upload: Upload) -> Self {
        match upload {
            Upload::Auto => Self::Auto,
            Upload::Monolithic => Self::Monolithic,
            Upload::Stream => Self::Stream,
            Upload::Chunked => Self::Chunked,
        }
    }
}

impl CreateArgs {
    async fn options(&self, cluster: &Cluster) -> Result<RegistryOptions> {
        let mut options = self.of_target(cluster).await?;
        let spec = &mut options.spec;
        if let Some(scheme) = self.scheme {
            spec.scheme = Some(match scheme {
                Scheme::Http => RegistryScheme::Http,
                Scheme::Https => RegistryScheme::Https,
            });
        }
        if self.image_host.is_some() {
            spec.image_host.clone_from(&self.image_host);
        }
        if let Some(kind) = self.kind {
            spec.kind = Some(kind.into());
        }
        if self.realm.is_some() {
            spec.realm.clone_from(&self.realm);
        }
        spec.upload = self.upload.map(Into::into);
        if self.authentication_secret.is_some() {
            spec.authentication_secret.clone_from(&self.authentication_secret);
            spec.authentication_secret_data_key.clone_from(&self.authentication_secret_data_key);
            spec.authentication_config_map = None;
        }
        if self.authorization_secret.is_some() {
            spec.authorization_secret.clone_from(&self.authorization_secret);
            spec.authorization_service_account = None;
        }
        Ok(options)
    }

    async fn of_target(&self, cluster: &Cluster) -> Result<RegistryOptions> {
        let (namespace, name) = (cluster.namespace.clone(), self.name.clone());
        let Some(provider) = self.provider else {
            let target = self.target(&namespace);
            return Ok(RegistryOptions::at(namespace, name, target));
        };
        let spec = provider.spec(cluster, self.service_namespace.as_deref()).await?;
        Ok(RegistryOptions { namespace, name, spec })
    }

    fn target(&self, namespace: &str) -> Target {
        match (&self.host, &self.service) {
            (None, Some(service)) => Target::Service {
                namespace: self.service_namespace.clone().unwrap_or_else(|| namespace.into()),
                name: service.clone(),
                port: self.port,
            },
            (host, _) => Target::Direct { host: host.clone().unwrap_or_default() },
        }
    }
}

pub(super) async fn run(context: &Context, args: CreateArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let options = args.options(&cluster).await?;
    let registry = plan::registry(&options);
    if args.standalone.standalone {
        standalone::create(context, &cluster, &registry, &args.standalone).await?;
    } else {
        define(context, &cluster, &registry).await?;
    }
    if args.standalone.dry_run {
        return Ok(());
    }
    // Without them it does not get ready.
    if has_image_streams(&registry.spec) {
        give_access(context, &cluster, &args.name).await?;
    }
    if args.wait.wait {
        let ready = ready(context, &cluster, &registry, &args).await;
        ready.context("the registry is known, but cannot be used")?;
    }
    Ok(())
}

/// Waits until the registry can be used.
async fn ready(context: &Context, cluster: &Cluster, registry: &Registry, args: &CreateArgs) -> Result<()> {
    let limit = args.wait.timeout;
    if args.standalone.standalone {
        return crate::standalone::wait(context, cluster, registry, limit).await;
    }
    wait::registry_ready(&cluster.client, &cluster.namespace, &args.name, limit).await?;
    Ok(())
}

/// Tells whether the surrogate shows its own token to OpenShift's registry, and so needs rights there.
fn has_image_streams(spec: &RegistrySpec) -> bool {
    spec.authorization_service_account == Some(true) && spec.registry_kind() == Some(RegistryKind::OpenShift)
}

/// Gives the surrogate rights to the ImageStreams of its project, by the rights of whoever makes the registry: no operator holds them.
async fn give_access(context: &Context, cluster: &Cluster, name: &str) -> Result<()> {
    // With what it is known by in the cluster, so that the rights go with it.
    let registry = connect::find(cluster, name).await?;
    let options = ApplyOptions { owner: apply::owner(&registry), ..by_hand() };
    let given = apply::apply_all(&cluster.client, &plan::image_streams_access(&registry), &options).await;
    let given = given.map_err(|error| {
        let message = "the registry is known, but you cannot give its surrogate rights to the ImageStreams of the project";
        Failure::because(message, error)
            .hint("let an administrator of the project do the same: oc policy add-role-to-user admin gives that right")
    });
    report::changes(context, &given?)
}

/// Makes the `Registry`, for an operator.
async fn define(context: &Context, cluster: &Cluster, registry: &Registry) -> Result<()> {
    let name = registry.name_any();
    if crate::standalone::find(cluster, &name).await.is_some() {
        let message = format!("there is a standalone registry {name} in namespace {}", cluster.namespace);
        return Err(Failure::new(Kind::Conflict, message)
            .hint(format!("--standalone to change it, or reposure registry adopt {name}"))
            .into());
    }
    let applied = apply::apply(&cluster.client, &registry.clone().into(), &by_hand()).await;
    report::changes(context, &[applied.with_context(|| format!("cannot create registry {name}"))?])
}
