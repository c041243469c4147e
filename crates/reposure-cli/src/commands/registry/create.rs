//! `reposure registry create NAME`

use anyhow::{Context as _, Result};
use clap::{ArgGroup, Args, ValueEnum};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use reposure_admin::{Provider, RegistryOptions, apply, plan, wait};
use reposure_api::{RegistryScheme, Target, UploadStrategy, names};

use crate::{
    args::WaitArgs,
    commands::{operator::by_hand, report},
    context::{Cluster, Context},
};

/// The key of the authority in the Secret of the simple registry, as cert-manager has it too.
const AUTHORITY_KEY: &str = "ca.crt";

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
    /// The Service's namespace, instead of the registry's own
    #[arg(long, value_name = "NAME", requires = "service")]
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
    /// In which form blobs are sent to the registry, instead of the one that it turns out to take
    #[arg(long, value_name = "FORM")]
    upload: Option<Upload>,
    #[command(flatten)]
    wait: WaitArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProviderName {
    /// The one of `reposure simple install`
    Simple,
    /// Minikube's add-on
    Minikube,
    /// OpenShift's internal registry
    Openshift,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scheme {
    Http,
    Https,
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
    fn options(&self, namespace: &str, simple: Simple) -> RegistryOptions {
        let mut options = self.of_target(namespace, simple.tls);
        let spec = &mut options.spec;
        if simple.has_authority {
            spec.authentication_secret_data_key = Some(AUTHORITY_KEY.into());
        }
        if simple.password {
            spec.authorization_secret = Some(names::SIMPLE_AUTHORIZATION.into());
        }
        if let Some(scheme) = self.scheme {
            spec.scheme = Some(match scheme {
                Scheme::Http => RegistryScheme::Http,
                Scheme::Https => RegistryScheme::Https,
            });
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
        options
    }

    fn of_target(&self, namespace: &str, simple_tls: bool) -> RegistryOptions {
        let provider = match self.provider {
            Some(ProviderName::Simple) => Provider::Simple { tls: simple_tls },
            Some(ProviderName::Minikube) => Provider::Minikube,
            Some(ProviderName::Openshift) => Provider::OpenShift,
            None => return RegistryOptions::at(namespace, &self.name, self.target(namespace)),
        };
        RegistryOptions::of_provider(namespace, &self.name, provider)
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

/// How the simple registry was installed.
#[derive(Clone, Copy, Debug, Default)]
struct Simple {
    tls: bool,
    /// Whether an authority is named beside its certificate, which else has to be trusted by itself.
    has_authority: bool,
    password: bool,
}

/// Looks how the simple registry was installed. Whoever may not see that names the Secrets for the surrogate by --authentication-secret
/// and --authorization-secret.
async fn look_at_simple(cluster: &Cluster) -> Simple {
    let found = cluster.api::<Deployment>().get_opt(names::SIMPLE).await;
    let spec = found.ok().flatten().and_then(|deployment| deployment.spec?.template.spec);
    let volumes = spec.and_then(|spec| spec.volumes).unwrap_or_default();
    let secrets: Vec<_> = volumes.into_iter().filter_map(|volume| volume.secret?.secret_name).collect();
    let has = |secret: &str| secrets.iter().any(|name| name == secret);
    let tls = has(names::SIMPLE_AUTHENTICATION);
    Simple { tls, has_authority: tls && has_authority(cluster).await, password: has(names::SIMPLE_HTPASSWD) }
}

async fn has_authority(cluster: &Cluster) -> bool {
    let secret = cluster.api::<Secret>().get_opt(names::SIMPLE_AUTHENTICATION).await.ok().flatten();
    secret.and_then(|secret| secret.data).is_some_and(|data| data.contains_key(AUTHORITY_KEY))
}

pub(super) async fn run(context: &Context, args: CreateArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let simple = match args.provider {
        Some(ProviderName::Simple) => look_at_simple(&cluster).await,
        _ => Simple::default(),
    };
    let options = args.options(&cluster.namespace, simple);
    let openshift = matches!(args.provider, Some(ProviderName::Openshift));
    let registry = plan::registry(&options);
    let applied = apply::apply(&cluster.client, &registry.clone().into(), &by_hand())
        .await
        .with_context(|| format!("cannot create registry {}", args.name))?;
    let mut all = vec![applied];
    if openshift {
        let access = plan::openshift_access(&registry);
        all.push(
            apply::apply(&cluster.client, &access, &by_hand())
                .await
                .context("cannot give the surrogate access")?,
        );
    }
    report::changes(context, &all)?;
    if args.wait.wait {
        wait::registry_ready(&cluster.client, &cluster.namespace, &args.name, args.wait.timeout)
            .await
            .context("the registry is known, but cannot be used")?;
    }
    Ok(())
}
