//! `reposure simple install`

use anyhow::{Context as _, Result};
use clap::Args;
use reposure_admin::{
    S3, SimpleOptions, Storage,
    install::{self, Installed, Renewal},
    plan::{self, IssuerChoice},
};
use reposure_api::{labels::Application, names};

use crate::{
    args::{WaitArgs, parse_bucket, parse_issuer},
    commands::{operator::by_hand, report, rollout},
    context::Context,
    exit::{Failure, Kind},
};

use super::{Installed as Before, installed::Place};

/// The size of the volume, where none is said.
const SIZE: &str = "10Gi";

/// Install a simple registry in the cluster: CNCF Distribution
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct InstallArgs {
    /// Kept for scripts of the first Reposure: the registry serves the whole cluster always
    #[arg(long, short = 'c', hide = true)]
    cluster: bool,
    /// The registry that the image comes from
    #[arg(long, short = 'g', value_name = "HOST", default_value = plan::DEFAULT_IMAGE_HOST)]
    registry: String,
    /// The image, instead of library/registry:3 at --registry; 2.8 works too
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// The Secret that the nodes pull the image with
    #[arg(long, value_name = "SECRET")]
    image_pull_secret: Option<String>,
    /// What the images are built for, as nodes name it (amd64, arm64); any node by default
    #[arg(long, value_name = "ARCHITECTURE", value_delimiter = ',')]
    architectures: Vec<String>,
    /// The image of the gate, which stands before the registry where there is TLS or a password, instead of the one of this version at --registry
    #[arg(long, value_name = "IMAGE")]
    gate_image: Option<String>,
    /// The size of the volume for images, 10Gi by default
    #[arg(long, value_name = "SIZE")]
    size: Option<String>,
    /// The storage class of the volume, instead of the cluster's default
    #[arg(long, value_name = "NAME")]
    storage_class: Option<String>,
    /// Keep images in the pod: they are lost with it
    #[arg(long, conflicts_with_all = ["size", "storage_class"])]
    ephemeral: bool,
    /// Keep images in a bucket of an object store that speaks S3, instead of a volume
    #[arg(long, value_name = "s3://BUCKET[/PREFIX]", value_parser = parse_bucket, conflicts_with_all = ["size", "storage_class", "ephemeral"])]
    storage: Option<(String, String)>,
    /// The URL of the object store, if it is not Amazon's
    #[arg(long, value_name = "URL", requires = "storage")]
    storage_endpoint: Option<String>,
    /// The region of the object store
    #[arg(long, value_name = "REGION", default_value = "us-east-1", requires = "storage")]
    storage_region: String,
    /// The Secret with access-key and secret-key for the object store, which are read now: after a change, call this again; by default, the
    /// rights that the cloud gives the pod
    #[arg(long, value_name = "SECRET", requires = "storage")]
    storage_secret: Option<String>,
    /// How many pods serve the images of an object store
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100), requires = "storage")]
    replicas: u16,
    /// Make a `NetworkPolicy` too, which closes all of the pod's ports but the registry's, and all ways from it but those to an object store
    #[arg(long)]
    network_policy: bool,
    /// Let the cluster choose the user that the registry runs as, which OpenShift insists on
    #[arg(long)]
    any_user: bool,
    /// Serve TLS, with a certificate that is made here unless the Secret reposure-simple-authentication holds one of yours
    ///
    /// It is signed by an authority of its own, or made by cert-manager where that is there. The operator renews it, if there is one here and you may let it; calling this again
    /// renews it too. A registry that serves TLS goes on to, unless this is false.
    #[arg(long, short = 'a', value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    authentication: Option<bool>,
    /// Have cert-manager make the certificate by this issuer, NAME or ClusterIssuer/NAME; `none`, by an authority of its own even where cert-manager is there
    #[arg(long, value_name = "ISSUER", value_parser = parse_issuer, requires = "authentication")]
    issuer: Option<IssuerChoice>,
    /// Ask for a password: one of those in the Secret reposure-simple-htpasswd, hashed with bcrypt, which is made if there is none
    ///
    /// Whom its key htpasswd names may do everything, whom htpasswd-pull names may but pull. Where there is no such Secret, a user is made who may do everything and whose
    /// password is printed, and NAME-pull, whose password is in the Secret reposure-simple-pull, for imagePullSecrets. A registry that asks for one
    /// goes on to, unless this is false.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    authorization: Option<bool>,
    /// The name of the user who is made
    #[arg(long, value_name = "NAME", default_value = "reposure", requires = "authorization")]
    username: String,
    #[command(flatten)]
    wait: WaitArgs,
}

impl InstallArgs {
    /// Takes what was said, and of what is installed what must not go unsaid.
    fn options(&self, namespace: &str, before: Option<Before>) -> SimpleOptions {
        SimpleOptions {
            image: self.image.clone().unwrap_or_else(|| SimpleOptions::image_at(&self.registry)),
            pull_secret: self.image_pull_secret.clone(),
            gate_image: self.gate_image.clone().unwrap_or_else(|| plan::image(&self.registry)),
            architectures: self.architectures.clone(),
            storage: self.storage(),
            replicas: self.replicas,
            tls: self.authentication.unwrap_or(before.is_some_and(|before| before.tls)),
            issuer: self.issuer.clone().unwrap_or_default(),
            authorization: self.authorization.unwrap_or(before.is_some_and(|before| before.password)),
            network_policy: self.network_policy,
            fixed_user: !self.any_user,
            ..SimpleOptions::new(namespace)
        }
    }

    fn storage(&self) -> Storage {
        match &self.storage {
            Some((bucket, prefix)) => Storage::S3(S3 {
                bucket: bucket.clone(),
                prefix: prefix.clone(),
                region: self.storage_region.clone(),
                endpoint: self.storage_endpoint.clone(),
                secret: self.storage_secret.clone(),
            }),
            None if self.ephemeral => Storage::Ephemeral,
            None => {
                let size = self.size.clone().unwrap_or_else(|| SIZE.into());
                Storage::Claim { size, class: self.storage_class.clone() }
            }
        }
    }

    /// Refuses to leave images behind for a volume that nobody has asked for.
    fn check_place(&self, before: Option<Before>) -> Result<(), Failure> {
        let is_said =
            self.ephemeral || self.storage.is_some() || self.size.is_some() || self.storage_class.is_some();
        let (place, again) = match before.map(|before| before.images) {
            None | Some(Place::Volume) => return Ok(()),
            Some(_) if is_said => return Ok(()),
            Some(Place::Pod) => ("its pod", "--ephemeral"),
            Some(Place::Bucket) => ("a bucket", "--storage s3://BUCKET"),
        };
        let message =
            format!("the simple registry keeps its images in {place}, and a volume would have none of them");
        Err(Failure::new(Kind::Conflict, message).hint(format!("{again}, as before, or --size for a volume")))
    }
}

pub(super) async fn run(context: &Context, args: &InstallArgs) -> Result<()> {
    let cluster = context.cluster().await?;
    let before = Before::find(&cluster).await;
    args.check_place(before)?;
    let options = args.options(&cluster.namespace, before);
    tell_of_what_stays(args, &options);
    let installed = install::simple(&cluster.client, &options, &args.username, &by_hand())
        .await
        .context("cannot install the registry")?;
    report::changes_and_user(context, &installed.applied, installed.user.as_ref())?;
    tell(&installed);
    if args.wait.wait {
        let limit = args.wait.timeout;
        rollout::wait(&cluster, names::SIMPLE, Application::Simple, "the registry", limit).await?;
    }
    Ok(())
}

/// Says on standard error what is as it was, though nothing was said of it.
fn tell_of_what_stays(args: &InstallArgs, options: &SimpleOptions) {
    if args.authentication.is_none() && options.tls {
        eprintln!("The registry goes on to serve TLS; --authentication=false ends that.");
    }
    if args.authorization.is_none() && options.authorization {
        eprintln!("The registry goes on to ask for a password; --authorization=false ends that.");
    }
}

/// Says on standard error what the user has to do about the certificate, if anything.
fn tell(installed: &Installed) {
    if let Some(time) = installed.replaced {
        eprintln!(
            "The certificate is replaced from {time} on: let nodes trust ca.crt of Secret {} before.",
            names::SIMPLE_AUTHENTICATION
        );
    }
    if let Some(Renewal::Nobody { due, end }) = installed.renewal {
        eprintln!(
            "No operator was let renew the certificate, which is good until {end}: call this again from {due} on."
        );
    }
}
