//! The files of the registry and of its gate: where they are, and from which volumes they come.

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, KeyToPath, PersistentVolumeClaimVolumeSource, SecretVolumeSource, Volume,
    VolumeMount,
};
use reposure_api::names::{SIMPLE, SIMPLE_AUTHENTICATION, SIMPLE_HTPASSWD};

use super::{
    config::CONFIG_FILE,
    options::{SimpleOptions, Storage},
};

/// The folder of the configuration.
pub(super) const CONFIG_FOLDER: &str = "/etc/reposure/config";
/// The folder of certificate and key.
pub(super) const TLS_FOLDER: &str = "/etc/reposure/tls";
/// The folder of the users.
pub(super) const USERS_FOLDER: &str = "/etc/reposure/htpasswd";

/// Returns the volumes, and where they are mounted by the registry and by its gate.
pub(super) fn volumes(options: &SimpleOptions) -> (Vec<Volume>, Vec<VolumeMount>, Vec<VolumeMount>) {
    let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
    if let Some(data) = data_volume(&options.storage) {
        volumes.push(data);
        mounts.push(mount("data", "/var/lib/registry", false));
    }
    volumes.push(config_volume());
    mounts.push(mount("config", CONFIG_FOLDER, true));
    let mut gate_mounts = Vec::new();
    if options.tls {
        volumes.push(secret_volume("tls", SIMPLE_AUTHENTICATION));
        gate_mounts.push(mount("tls", TLS_FOLDER, true));
    }
    if options.authorization {
        volumes.push(secret_volume("htpasswd", SIMPLE_HTPASSWD));
        gate_mounts.push(mount("htpasswd", USERS_FOLDER, true));
    }
    (volumes, mounts, gate_mounts)
}

fn data_volume(storage: &Storage) -> Option<Volume> {
    let volume = Volume { name: "data".into(), ..Volume::default() };
    Some(match storage {
        Storage::Ephemeral => Volume { empty_dir: Some(EmptyDirVolumeSource::default()), ..volume },
        Storage::S3(_) => return None,
        Storage::Claim { .. } => {
            let claim = PersistentVolumeClaimVolumeSource { claim_name: SIMPLE.into(), read_only: None };
            Volume { persistent_volume_claim: Some(claim), ..volume }
        }
    })
}

/// Of what is in the Secret, the registry reads but its configuration.
fn config_volume() -> Volume {
    let file = KeyToPath { key: CONFIG_FILE.into(), path: CONFIG_FILE.into(), mode: None };
    let secret = SecretVolumeSource {
        secret_name: Some(SIMPLE.into()),
        items: Some(vec![file]),
        ..SecretVolumeSource::default()
    };
    Volume { name: "config".into(), secret: Some(secret), ..Volume::default() }
}

/// Returns the volume of a Secret that must exist: a pod without it does not start, and says why.
fn secret_volume(name: &str, secret: &str) -> Volume {
    let secret = SecretVolumeSource { secret_name: Some(secret.into()), ..SecretVolumeSource::default() };
    Volume { name: name.into(), secret: Some(secret), ..Volume::default() }
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
