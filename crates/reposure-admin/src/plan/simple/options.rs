//! What built-in registry is wanted.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use reposure_api::{
    labels::{Application, labels},
    names::SIMPLE,
};

use crate::{
    object::Manager,
    plan::{DEFAULT_IMAGE_HOST, IssuerChoice, image},
};

/// The image, without the host of the registry that it comes from.
const REPOSITORY: &str = "library/registry:3";

/// Where the built-in registry keeps its images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// In its pod: they go with it.
    Ephemeral,
    /// In a volume claim `reposure-simple`, which uninstalling does not delete unasked.
    Claim {
        /// How much, as Kubernetes writes quantities: `10Gi`.
        size: String,
        /// The storage class; the cluster's default one if none.
        class: Option<String>,
    },
    /// In an object store that speaks S3, so that several pods may serve them.
    S3(S3),
}

/// A place in an object store that speaks S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3 {
    /// The bucket, which has to be there.
    pub bucket: String,
    /// What stands before the keys of all objects, without a slash at either end; nothing if empty.
    pub prefix: String,
    /// The region.
    pub region: String,
    /// The URL of the store; Amazon's of the region if none.
    pub endpoint: Option<String>,
    /// The Secret with the keys `access-key` and `secret-key`; the pod's own rights in its cloud if none.
    pub secret: Option<String>,
}

impl Default for Storage {
    fn default() -> Self {
        Self::Claim { size: "10Gi".into(), class: None }
    }
}

/// What built-in registry is to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct SimpleOptions {
    /// The namespace.
    pub namespace: String,
    /// The image, as the kubelet takes it.
    pub image: String,
    /// The image of the gate that stands before it where there is TLS or a password.
    pub gate_image: String,
    /// A Secret to pull the images with.
    pub pull_secret: Option<String>,
    /// What both images are built for, as nodes name it in the label `kubernetes.io/arch`; any node where it is empty.
    pub architectures: Vec<String>,
    /// Where images are kept.
    pub storage: Storage,
    /// How many pods serve them: one, unless they are kept where several can reach them.
    pub replicas: u16,
    /// Whether it speaks TLS, with the Secret `reposure-simple-authentication`, keys `tls.crt` and `tls.key`.
    pub tls: bool,
    /// Who makes its certificate.
    pub issuer: IssuerChoice,
    /// Whether it asks for user and password, those of the Secret `reposure-simple-htpasswd`: key `htpasswd` for those who may do
    /// everything, and `htpasswd-pull`, which may be missing, for those who may but pull.
    pub authorization: bool,
    /// Whether a `NetworkPolicy` closes all of its ports but the registry's.
    pub network_policy: bool,
    /// Whether it runs as user 1000, which the official image needs and OpenShift, which gives users, refuses.
    pub fixed_user: bool,
}

impl SimpleOptions {
    /// Returns a registry for `namespace`: one pod, 10 GiB, no TLS, no passwords, the official image.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            image: Self::image_at(DEFAULT_IMAGE_HOST),
            gate_image: image(DEFAULT_IMAGE_HOST),
            pull_secret: None,
            architectures: Vec::new(),
            storage: Storage::default(),
            replicas: 1,
            tls: false,
            issuer: IssuerChoice::Auto,
            authorization: false,
            network_policy: false,
            fixed_user: true,
        }
    }

    /// Returns the official image at the registry `host`.
    pub fn image_at(host: &str) -> String {
        format!("{host}/{REPOSITORY}")
    }

    /// Tells whether a gate stands before it: Distribution reads a certificate but once, and tells no reader from a writer.
    pub(in crate::plan) const fn has_gate(&self) -> bool {
        self.tls || self.authorization
    }

    pub(super) fn metadata(&self) -> ObjectMeta {
        metadata(&self.namespace, SIMPLE)
    }
}

pub(in crate::plan) fn metadata(namespace: &str, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(namespace.into()),
        labels: Some(labels(Application::Simple, None, Manager::Cli.as_str())),
        ..ObjectMeta::default()
    }
}
