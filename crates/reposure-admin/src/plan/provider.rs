//! The registries that are known by name.

use reposure_api::{DirectHost, IndirectService, RegistryKind, RegistryScheme, RegistrySpec, names};

use super::local_hosting::LocalHosting;

/// The namespace of minikube's add-on.
pub const MINIKUBE_NAMESPACE: &str = "kube-system";
/// The namespace of MicroK8s' add-on.
pub const MICROK8S_NAMESPACE: &str = "container-registry";
/// The Service of the add-ons of minikube and MicroK8s.
pub const ADDON_SERVICE: &str = "registry";
/// Where the nodes of MicroK8s reach its registry: the node port of the add-on, on each node itself.
const MICROK8S_IMAGE_HOST: &str = "localhost:32000";
/// OpenShift's registry. By host: nodes know this name and no address of it, and the certificate is for this name.
const OPENSHIFT_HOST: &str = "image-registry.openshift-image-registry.svc:5000";
/// The ConfigMap with OpenShift's service authority, which is in every namespace.
const OPENSHIFT_AUTHORITY: &str = "openshift-service-ca.crt";

/// A registry that is known by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// The built-in one, in the namespace of the `Registry`.
    Simple {
        /// Whether it speaks TLS.
        tls: bool,
    },
    /// Minikube's add-on.
    Minikube,
    /// MicroK8s' add-on.
    MicroK8s,
    /// OpenShift's internal registry.
    OpenShift,
    /// The registry of a local cluster, which [KEP-1755](https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry)
    /// tells of.
    Local(LocalHosting),
}

impl Provider {
    /// Returns how to reach it; none where pods do not, as the cluster itself says.
    pub fn spec(&self) -> Option<RegistrySpec> {
        match self {
            Self::Simple { tls } => Some(RegistrySpec {
                authentication_secret: tls.then(|| names::SIMPLE_AUTHENTICATION.into()),
                ..at_service(None, names::SIMPLE, names::SIMPLE_PORT)
            }),
            Self::Minikube => Some(at_service(Some(MINIKUBE_NAMESPACE), ADDON_SERVICE, 80)),
            Self::MicroK8s => Some(RegistrySpec {
                image_host: Some(MICROK8S_IMAGE_HOST.into()),
                ..at_service(Some(MICROK8S_NAMESPACE), ADDON_SERVICE, 5000)
            }),
            Self::OpenShift => Some(openshift()),
            Self::Local(hosting) => local(hosting),
        }
    }
}

fn openshift() -> RegistrySpec {
    RegistrySpec {
        direct: Some(DirectHost { host: OPENSHIFT_HOST.into() }),
        authentication_config_map: Some(OPENSHIFT_AUTHORITY.into()),
        authorization_service_account: Some(true),
        kind: Some(RegistryKind::OpenShift),
        ..RegistrySpec::default()
    }
}

/// Such a registry speaks plain HTTP: the KEP says nothing of certificates, nor of credentials.
fn local(hosting: &LocalHosting) -> Option<RegistrySpec> {
    let host = hosting.host_from_cluster_network.clone()?;
    let image_host = hosting.image_host().filter(|image_host| *image_host != host);
    Some(RegistrySpec {
        direct: Some(DirectHost { host }),
        scheme: Some(RegistryScheme::Http),
        image_host: image_host.map(Into::into),
        ..RegistrySpec::default()
    })
}

pub(crate) fn at_service(namespace: Option<&str>, name: &str, port: u16) -> RegistrySpec {
    let service = IndirectService { namespace: namespace.map(Into::into), service: name.into(), port };
    RegistrySpec { indirect: Some(service), ..RegistrySpec::default() }
}
