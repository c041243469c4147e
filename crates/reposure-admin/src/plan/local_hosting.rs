//! What a local cluster says of its registry.

use k8s_openapi::api::core::v1::ConfigMap;
use serde::Deserialize;

/// The namespace of the ConfigMap.
pub const LOCAL_HOSTING_NAMESPACE: &str = "kube-public";
/// The ConfigMap.
pub const LOCAL_HOSTING: &str = "local-registry-hosting";
/// The key of the only version there is.
const KEY: &str = "localRegistryHosting.v1";
/// The longest text that is read, in bytes: four short strings.
const LONGEST: usize = 16 << 10;

/// What the ConfigMap `kube-public/local-registry-hosting` says, which kind, k3d, MicroK8s, Tilt and Zarf write.
///
/// See [KEP-1755](https://github.com/kubernetes/enhancements/tree/master/keps/sig-cluster-lifecycle/generic/1755-communicating-a-local-registry).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalHosting {
    /// Where the registry is, seen from outside of the cluster.
    pub host: Option<String>,
    /// Where the registry is, seen from pods; not given where they do not reach it, or where nobody cared to say so.
    pub host_from_cluster_network: Option<String>,
    /// Where the registry is, seen from the container runtime of the nodes; `host` if not given.
    pub host_from_container_runtime: Option<String>,
    /// A page with help.
    pub help: Option<String>,
}

/// Why the ConfigMap cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocalHostingError {
    /// It has no such key.
    #[error("it has no key {KEY}")]
    NoVersion,
    /// The text is too long.
    #[error("its {KEY} has more than {LONGEST} bytes")]
    TooLong,
    /// The text is no such YAML.
    #[error("its {KEY} is not what KEP-1755 says")]
    Malformed(#[source] serde_saphyr::Error),
}

impl LocalHosting {
    /// Reads what `config_map` says. Empty strings count as not given.
    ///
    /// # Errors
    /// [`LocalHostingError`] if it says nothing that can be read.
    pub fn of(config_map: &ConfigMap) -> Result<Self, LocalHostingError> {
        let text = config_map.data.as_ref().and_then(|data| data.get(KEY));
        let text = text.ok_or(LocalHostingError::NoVersion)?;
        if text.len() > LONGEST {
            return Err(LocalHostingError::TooLong);
        }
        let read: Self = serde_saphyr::from_str(text).map_err(LocalHostingError::Malformed)?;
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            host: given(read.host),
            host_from_cluster_network: given(read.host_from_cluster_network),
            host_from_container_runtime: given(read.host_from_container_runtime),
            help: given(read.help),
        })
    }

    /// Returns what pods put before an image's name.
    pub fn image_host(&self) -> Option<&str> {
        self.host_from_container_runtime.as_deref().or(self.host.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_map(key: &str, text: &str) -> ConfigMap {
        ConfigMap { data: Some([(key.to_owned(), text.to_owned())].into()), ..ConfigMap::default() }
    }

    #[test]
    fn reads_what_kind_and_k3d_write() {
        let kind = "host: \"localhost:5001\"\nhelp: \"https://kind.sigs.k8s.io/docs/user/local-registry/\"\n";
        let kind = LocalHosting::of(&config_map(KEY, kind)).unwrap();
        assert_eq!((kind.image_host(), &kind.host_from_cluster_network), (Some("localhost:5001"), &None));
        let k3d = "host: 0.0.0.0:5000\nhostFromClusterNetwork: k3d-registry:5000\nhostFromContainerRuntime: k3d-registry:5000\n";
        let k3d = LocalHosting::of(&config_map(KEY, k3d)).unwrap();
        assert_eq!(k3d.image_host(), Some("k3d-registry:5000"));
        assert_eq!(k3d.host_from_cluster_network.as_deref(), Some("k3d-registry:5000"));
    }

    #[test]
    fn an_empty_string_is_nothing_and_unknown_keys_are_passed_over() {
        let read = LocalHosting::of(&config_map(KEY, "hostFromClusterNetwork: \"\"\nnewer: [1]\n")).unwrap();
        assert_eq!(read, LocalHosting::default());
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let of = |key, text: &str| LocalHosting::of(&config_map(key, text)).unwrap_err();
        assert!(matches!(of("localRegistryHosting.v2", "host: a"), LocalHostingError::NoVersion));
        assert!(matches!(of(KEY, "host: [a"), LocalHostingError::Malformed(_)));
        assert!(matches!(of(KEY, &" ".repeat(LONGEST + 1)), LocalHostingError::TooLong));
    }
}
