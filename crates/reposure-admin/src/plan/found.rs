//! Registries that others have installed, found by their Services.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMap, Service, ServicePort};
use reposure_api::{RegistryKind, RegistryScheme, RegistrySpec};

use super::provider::at_service;

/// What Quay's operator notes on each of its objects: the host that it is known by.
const QUAY_HOST: &str = "quay-registry-hostname";
/// The key of the URL that Harbor is known by, in the ConfigMap that is called as its Service.
const HARBOR_URL: &str = "EXT_ENDPOINT";

/// A product that is known by its Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Harbor, as its Helm chart and Bitnami's install it.
    Harbor,
    /// Quay, as its operator installs it.
    Quay,
}

/// A registry that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRegistry {
    /// What it is.
    pub product: Product,
    /// The namespace of its Service.
    pub namespace: String,
    /// The Service's name.
    pub service: String,
    /// The Service's port.
    pub port: u16,
    /// Whether that port speaks TLS.
    pub tls: bool,
    /// The host that nodes and people know it by.
    pub known_as: Option<String>,
}

impl Product {
    /// Returns what is looked for, for people.
    pub const fn sought(self) -> &'static str {
        match self {
            Self::Harbor => {
                "a Service that selects app=harbor,component=core, or is labelled app.kubernetes.io/name=harbor and \
                 app.kubernetes.io/component=core"
            }
            Self::Quay => "a Service that is labelled quay-component=quay-app",
        }
    }

    /// Returns what it is called.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Harbor => "Harbor",
            Self::Quay => "Quay",
        }
    }

    /// Returns the namespace that its instructions suggest.
    pub const fn usual_namespace(self) -> &'static str {
        match self {
            Self::Harbor => "harbor",
            Self::Quay => "quay",
        }
    }

    /// Returns the registry behind a Service, if it is of this product.
    pub fn behind(self, service: &Service) -> Option<FoundRegistry> {
        let (metadata, spec) = (&service.metadata, service.spec.as_ref()?);
        let says = |name: &str, value: &str| {
            let holds = |map: Option<&BTreeMap<String, String>>| map?.get(name).map(|found| found == value);
            holds(metadata.labels.as_ref()).or_else(|| holds(spec.selector.as_ref())).unwrap_or_default()
        };
        let name = metadata.name.as_deref()?;
        let is_own = match self {
            // What answers for the portal too is nginx, which is not always there.
            Self::Harbor => {
                (says("app", "harbor") && says("component", "core"))
                    || (says("app.kubernetes.io/name", "harbor")
                        && says("app.kubernetes.io/component", "core"))
            }
            // Another Service is for its metrics alone.
            Self::Quay => says("quay-component", "quay-app") && !name.ends_with("-metrics"),
        };
        let (port, tls) = web_port(spec.ports.as_deref().unwrap_or_default()).filter(|_| is_own)?;
        let annotations = metadata.annotations.as_ref();
        Some(FoundRegistry {
            product: self,
            namespace: metadata.namespace.clone()?,
            service: name.into(),
            port,
            tls,
            known_as: annotations.and_then(|all| all.get(QUAY_HOST)).filter(|host| !host.is_empty()).cloned(),
        })
    }
}

/// Returns the port that the API is served at, and whether by TLS, which is preferred.
fn web_port(ports: &[ServicePort]) -> Option<(u16, bool)> {
    let web = |port: &&ServicePort| {
        let name = port.name.as_deref().unwrap_or_default();
        port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP") && !name.contains("metrics")
    };
    let tls = |port: &ServicePort| {
        port.name.as_deref().is_some_and(|name| name.starts_with("https")) || matches!(port.port, 443 | 8443)
    };
    let plain = |port: &ServicePort| {
        port.name.as_deref().is_some_and(|name| name.starts_with("http")) || matches!(port.port, 80 | 8080)
    };
    let number = |port: &ServicePort| u16::try_from(port.port).ok();
    let found = ports.iter().filter(web).find(|port| tls(port)).and_then(number).map(|port| (port, true));
    let or_plain = || ports.iter().filter(web).find(|port| plain(port)).and_then(number);
    found.or_else(|| Some((or_plain()?, false)))
}

impl FoundRegistry {
    /// Takes the host that Harbor is known by from the ConfigMap that is called as its Service.
    #[must_use]
    pub fn known_by(mut self, config_map: &ConfigMap) -> Self {
        let url = config_map.data.as_ref().and_then(|data| data.get(HARBOR_URL));
        let host = url.map(|url| url.rsplit_once("://").map_or(url.as_str(), |(_, host)| host));
        if let Some(host) = host.map(|host| host.trim_end_matches('/')).filter(|host| !host.is_empty()) {
            self.known_as = Some(host.into());
        }
        self
    }

    /// Returns how to reach it. Tokens are fetched by the same Service: the registry itself names the host that it is known by
    /// outside of the cluster.
    pub fn spec(&self) -> RegistrySpec {
        let (kind, realm) = match self.product {
            Product::Harbor => (Some(RegistryKind::Harbor), "/service/token"),
            Product::Quay => (None, "/v2/auth"),
        };
        let (scheme, usual, prefix) =
            if self.tls { (RegistryScheme::Https, 443, "https") } else { (RegistryScheme::Http, 80, "http") };
        let port = if self.port == usual { String::new() } else { format!(":{}", self.port) };
        RegistrySpec {
            scheme: Some(scheme),
            kind,
            realm: Some(format!("{prefix}://{}.{}.svc{port}{realm}", self.service, self.namespace)),
            image_host: self.known_as.clone(),
            ..at_service(Some(&self.namespace), &self.service, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(product: Product, service: Value) -> Option<FoundRegistry> {
        product.behind(&serde_json::from_value(service).unwrap())
    }

    fn harbor(ports: &Value) -> Value {
        json!({
            "metadata": {"name": "my-harbor-core", "namespace": "reg", "labels": {"app": "harbor", "release": "my"}},
            "spec": {"ports": ports, "selector": {"app": "harbor", "release": "my", "component": "core"}},
        })
    }

    fn text(spec: &RegistrySpec) -> String {
        serde_json::to_string(spec).unwrap()
    }

    #[test]
    fn harbor_is_reached_by_its_core() {
        let ports = json!([{"name": "http-web", "port": 80}, {"name": "http-metrics", "port": 8001}]);
        let core = found(Product::Harbor, harbor(&ports)).unwrap();
        insta::assert_snapshot!(text(&core.spec()), @r#"{"type":"oci","indirect":{"namespace":"reg","service":"my-harbor-core","port":80},"scheme":"http","kind":"harbor","realm":"http://my-harbor-core.reg.svc/service/token"}"#);
        let known: ConfigMap =
            serde_json::from_value(json!({"data": {"EXT_ENDPOINT": "https://harbor.example.com:8443/"}}))
                .unwrap();
        assert_eq!(core.known_by(&known).spec().image_host.as_deref(), Some("harbor.example.com:8443"));
        let tls = found(Product::Harbor, harbor(&json!([{"name": "https-web", "port": 8443}]))).unwrap();
        assert_eq!(tls.spec().realm.as_deref(), Some("https://my-harbor-core.reg.svc:8443/service/token"));
    }

    #[test]
    fn other_services_of_harbor_and_bitnamis_labels() {
        let mut portal = harbor(&json!([{"name": "http-web", "port": 80}]));
        portal["spec"]["selector"]["component"] = "portal".into();
        assert_eq!(found(Product::Harbor, portal), None);
        let labels = json!({"app.kubernetes.io/name": "harbor", "app.kubernetes.io/component": "core"});
        let bitnami = json!({"metadata": {"name": "h-core", "namespace": "h", "labels": labels},
            "spec": {"ports": [{"name": "http", "port": 80}]}});
        assert_eq!(found(Product::Harbor, bitnami).unwrap().service, "h-core");
        assert_eq!(found(Product::Harbor, harbor(&json!([{"name": "grpc", "port": 9000}]))), None);
    }

    #[test]
    fn quay_is_reached_by_tls_and_known_by_what_its_operator_noted() {
        let ports = json!([{"name": "http", "port": 80}, {"name": "jwtproxy", "port": 8081}, {"name": "https", "port": 443}]);
        let service = json!({
            "metadata": {"name": "main-quay-app", "namespace": "quay", "labels": {"quay-component": "quay-app"},
                "annotations": {"quay-registry-hostname": "quay.example.com"}},
            "spec": {"ports": ports, "selector": {"quay-component": "quay-app"}},
        });
        insta::assert_snapshot!(text(&found(Product::Quay, service).unwrap().spec()), @r#"{"type":"oci","indirect":{"namespace":"quay","service":"main-quay-app","port":443},"scheme":"https","imageHost":"quay.example.com","realm":"https://main-quay-app.quay.svc/v2/auth"}"#);
    }
}
