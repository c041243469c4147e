//! How the simple registry is installed, as far as that may be seen.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PodSpec, Volume},
};
use reposure_api::names;

use crate::context::Cluster;

/// How the simple registry is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Installed {
    pub(crate) tls: bool,
    pub(crate) password: bool,
    pub(crate) images: Place,
}

/// Where its images are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Pod,
    Volume,
    Bucket,
}

impl Installed {
    /// Looks, where it is there and may be seen.
    pub(crate) async fn find(cluster: &Cluster) -> Option<Self> {
        let found = cluster.api::<Deployment>().get_opt(names::SIMPLE).await.ok()??;
        Some(Self::of(&found.spec?.template.spec?))
    }

    fn of(pod: &PodSpec) -> Self {
        let volumes = pod.volumes.as_deref().unwrap_or_default();
        let secrets = volumes.iter().filter_map(|volume| volume.secret.as_ref()?.secret_name.as_deref());
        let has = |secret: &str| secrets.clone().any(|name| name == secret);
        Self {
            tls: has(names::SIMPLE_AUTHENTICATION),
            password: has(names::SIMPLE_HTPASSWD),
            images: place(volumes),
        }
    }
}

fn place(volumes: &[Volume]) -> Place {
    if volumes.iter().any(|volume| volume.persistent_volume_claim.is_some()) {
        Place::Volume
    } else if volumes.iter().any(|volume| volume.empty_dir.is_some()) {
        Place::Pod
    } else {
        Place::Bucket
    }
}

#[cfg(test)]
mod tests {
    use reposure_admin::{
        Object, SimpleOptions, Storage,
        plan::{self, SimpleKeys},
    };

    use super::*;

    fn installed(options: &SimpleOptions) -> Installed {
        let plan = plan::simple(options, &SimpleKeys::random());
        let deployment = plan.objects().find_map(|object| match object {
            Object::Deployment(deployment) => Some(deployment),
            _ => None,
        });
        Installed::of(&deployment.unwrap().spec.clone().unwrap().template.spec.unwrap())
    }

    #[test]
    fn what_is_planned_is_recognised() {
        let plain = SimpleOptions::new("team");
        let volume = Installed { tls: false, password: false, images: Place::Volume };
        assert_eq!(installed(&plain), volume);
        let tls = SimpleOptions { tls: true, ..plain.clone() };
        assert_eq!(installed(&tls), Installed { tls: true, ..volume });
        let password = SimpleOptions { authorization: true, ..plain.clone() };
        assert_eq!(installed(&password), Installed { password: true, ..volume });
        let pod = SimpleOptions { storage: Storage::Ephemeral, ..plain.clone() };
        assert_eq!(installed(&pod), Installed { images: Place::Pod, ..volume });
        let s3 = reposure_admin::S3 {
            bucket: "b".into(),
            prefix: String::new(),
            region: "r".into(),
            endpoint: None,
            secret: None,
        };
        let bucket = SimpleOptions { storage: Storage::S3(s3), ..plain };
        assert_eq!(installed(&bucket), Installed { images: Place::Bucket, ..volume });
    }
}
