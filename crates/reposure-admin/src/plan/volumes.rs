//! The files of a surrogate: where they are, and from which volumes they come.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, ConfigMapVolumeSource, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath,
    ObjectFieldSelector, ProjectedVolumeSource, SecretVolumeSource, ServiceAccountTokenProjection, Volume,
    VolumeMount, VolumeProjection,
};
use reposure_api::target::{Authority, Credentials};

/// The folder of the configuration.
const CONFIG: &str = "/etc/reposure";
/// The configuration.
pub(crate) const CONFIG_FILE: &str = "/etc/reposure/config.json";
/// The folder of what comes from the API server.
const KUBERNETES: &str = "/var/run/reposure/kubernetes";
/// A token for the API server.
pub(crate) const TOKEN_FILE: &str = "/var/run/reposure/kubernetes/token";
/// The authority of the API server.
pub(crate) const API_AUTHORITY_FILE: &str = "/var/run/reposure/kubernetes/ca.crt";
/// The pod's UID.
pub(crate) const POD_UID_FILE: &str = "/var/run/reposure/kubernetes/pod-uid";
/// The folder of the registry's authority.
const AUTHORITY: &str = "/var/run/reposure/authority";
/// The registry's authority.
pub(crate) const AUTHORITY_FILE: &str = "/var/run/reposure/authority/ca.crt";
/// The folder of the registry's credentials.
pub(crate) const CREDENTIALS: &str = "/var/run/reposure/credentials";
/// How long a mounted token is valid, in seconds: an hour, renewed by the kubelet at four fifths.
const TOKEN_SECONDS: i64 = 3600;
/// The ConfigMap with the API server's authority that Kubernetes keeps in every namespace.
const ROOT_AUTHORITY: &str = "kube-root-ca.crt";

/// Returns the volumes and where they are mounted.
///
/// What the user names are optional: a surrogate starts without them and says what it misses, and the
/// kubelet mounts them when they come.
pub(crate) fn volumes(
    config_map: &str,
    authority: Option<Authority<'_>>,
    credentials: Option<Credentials<'_>>,
) -> (Vec<Volume>, Vec<VolumeMount>) {
    let mut volumes = vec![config_volume(config_map), kubernetes_volume()];
    let mut mounts = vec![mount("config", CONFIG), mount("kubernetes", KUBERNETES)];
    if let Some(authority) = authority {
        volumes.push(authority_volume(authority));
        mounts.push(mount("authority", AUTHORITY));
    }
    if let Some(credentials) = credentials {
        volumes.push(credentials_volume(credentials));
        mounts.push(mount("credentials", CREDENTIALS));
    }
    (volumes, mounts)
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}

fn config_volume(config_map: &str) -> Volume {
    let config_map = ConfigMapVolumeSource {
        name: config_map.into(),
        items: Some(vec![file("config.json", "config.json")]),
        ..ConfigMapVolumeSource::default()
    };
    Volume { name: "config".into(), config_map: Some(config_map), ..Volume::default() }
}

fn kubernetes_volume() -> Volume {
    let authority = ConfigMapProjection {
        name: ROOT_AUTHORITY.into(),
        items: Some(vec![file("ca.crt", "ca.crt")]),
        ..ConfigMapProjection::default()
    };
    let uid = DownwardAPIVolumeFile {
        path: "pod-uid".into(),
        field_ref: Some(ObjectFieldSelector { field_path: "metadata.uid".into(), api_version: None }),
        ..DownwardAPIVolumeFile::default()
    };
    let sources = vec![
        token(),
        VolumeProjection { config_map: Some(authority), ..VolumeProjection::default() },
        VolumeProjection {
            downward_api: Some(DownwardAPIProjection { items: Some(vec![uid]) }),
            ..VolumeProjection::default()
        },
    ];
    projected("kubernetes", sources)
}

fn authority_volume(authority: Authority<'_>) -> Volume {
    let volume = Volume { name: "authority".into(), ..Volume::default() };
    match authority {
        Authority::Secret { name, key } => Volume {
            secret: Some(SecretVolumeSource {
                secret_name: Some(name.into()),
                items: Some(vec![file(key, "ca.crt")]),
                optional: Some(true),
                ..SecretVolumeSource::default()
            }),
            ..volume
        },
        Authority::ConfigMap { name, key } => Volume {
            config_map: Some(ConfigMapVolumeSource {
                name: name.into(),
                items: Some(vec![file(key, "ca.crt")]),
                optional: Some(true),
                ..ConfigMapVolumeSource::default()
            }),
            ..volume
        },
    }
}

fn credentials_volume(credentials: Credentials<'_>) -> Volume {
    match credentials {
        Credentials::Secret { name } => {
            let secret = SecretVolumeSource {
                secret_name: Some(name.into()),
                optional: Some(true),
                ..SecretVolumeSource::default()
            };
            Volume { name: "credentials".into(), secret: Some(secret), ..Volume::default() }
        }
        Credentials::ServiceAccount => projected("credentials", vec![token()]),
    }
}

/// Returns a token for the API server's own audience.
fn token() -> VolumeProjection {
    let token = ServiceAccountTokenProjection {
        path: "token".into(),
        expiration_seconds: Some(TOKEN_SECONDS),
        audience: None,
    };
    VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() }
}

fn projected(name: &str, sources: Vec<VolumeProjection>) -> Volume {
    let projected = ProjectedVolumeSource { sources: Some(sources), ..ProjectedVolumeSource::default() };
    Volume { name: name.into(), projected: Some(projected), ..Volume::default() }
}

fn file(key: &str, path: &str) -> KeyToPath {
    KeyToPath { key: key.into(), path: path.into(), mode: None }
}
