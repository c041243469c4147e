//! The kind `Registry`: how to reach one OCI registry, and what became of it.
#![expect(
    unreachable_pub,
    reason = "the derived schema is made from a copy of each struct in a private scope"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to reach one OCI registry, with which authority and credentials.
///
/// Exactly one of `direct` and `indirect` is given.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "reposure.puccini.cloud",
    version = "v1alpha1",
    kind = "Registry",
    plural = "registries",
    singular = "registry",
    shortname = "reg",
    category = "all",
    namespaced,
    status = "RegistryStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A registry of OCI images that Reposure pushes to, pulls from, lists and deletes in.",
    printcolumn = r#"{"name": "Host", "type": "string", "jsonPath": ".status.host", "description": "What pods put before an image's name"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Surrogate", "type": "string", "jsonPath": ".status.surrogatePod", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[x_kube(
    validation = Rule::new("has(self.direct) != has(self.indirect)")
        .message("exactly one of direct and indirect is required"),
    validation = Rule::new("!(has(self.authenticationSecret) && has(self.authenticationConfigMap))")
        .message("authenticationSecret and authenticationConfigMap exclude each other"),
    validation = Rule::new("!(has(self.authorizationSecret) && has(self.authorizationServiceAccount) && self.authorizationServiceAccount)")
        .message("authorizationSecret and authorizationServiceAccount exclude each other"),
)]
#[serde(rename_all = "camelCase")]
pub struct RegistrySpec {
    /// The type of the registry.
    #[serde(rename = "type")]
    pub type_: RegistryType,

    /// The registry's own host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<DirectHost>,

    /// The Service before the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indirect: Option<IndirectService>,

    /// How the registry is dialled. By default `https` if an authority is named, that is `authenticationSecret` or
    /// `authenticationConfigMap`, or if `direct` names a public host; otherwise `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<RegistryScheme>,

    /// The Secret, in this namespace, with the PEM certificate to trust for the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub authentication_secret: Option<String>,

    /// The key of the certificate within `authenticationSecret` or `authenticationConfigMap`. By default `tls.crt` in a
    /// Secret and `service-ca.crt` in a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub authentication_secret_data_key: Option<String>,

    /// The ConfigMap, in this namespace, with the PEM certificate to trust for the registry, instead of
    /// `authenticationSecret`; `openshift-service-ca.crt` on OpenShift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub authentication_config_map: Option<String>,

    /// The Secret, in this namespace, with the credentials for the registry. Its type is
    /// `kubernetes.io/dockerconfigjson`, `kubernetes.io/dockercfg`, `kubernetes.io/service-account-token`,
    /// `kubernetes.io/basic-auth` or `kubernetes.io/tls` (a certificate that is shown to the registry), or its keys are
    /// `token`, or `username` and `password`. A certificate, `tls.crt` and `tls.key`, may be there beside the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub authorization_secret: Option<String>,

    /// Whether the surrogate shows its own ServiceAccount's token to the registry, which OpenShift's registry takes.
    /// That ServiceAccount must have been given rights to the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_service_account: Option<bool>,

    /// What pods put before an image's name, where nodes reach the registry at another `host` or `host:port` than the surrogate:
    /// `localhost:32000` on MicroK8s. By default the Service's cluster IP and port, or the direct host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 259), regex(pattern = r"^[^/\s]+$"))]
    pub image_host: Option<String>,

    /// What the registry is, where it has names or an API of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<RegistryKind>,

    /// The URL where tokens for the registry are fetched, instead of the one that it names, which may be known outside of the cluster
    /// alone: `http://harbor-core.harbor.svc/service/token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https?://[^/?#@\s]+[^#\s]*$"))]
    pub realm: Option<String>,

    /// In which form blobs are sent to the registry, `auto` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<UploadStrategy>,

    /// The port of the surrogate, 10250 by default. On AWS Fargate that port is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1024, max = 65535), extend("format" = "int32"))]
    pub surrogate_port: Option<u16>,
}

/// A registry's type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RegistryType {
    /// It speaks the OCI Distribution API.
    #[default]
    Oci,
}

/// What the registry is, where it has names or an API of its own. With `openshift` the surrogate lists and deletes by the ImageStreams of
/// this namespace, and with `harbor` it lists project by project where it may not list all. By default it is `openshift` if `direct` names
/// the registry of OpenShift, and otherwise nothing but a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RegistryKind {
    /// OpenShift's.
    OpenShift,
    /// Harbor.
    Harbor,
}

/// How a registry is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RegistryScheme {
    /// Plain HTTP.
    Http,
    /// TLS.
    Https,
}

/// In which form blobs are sent to the registry. `auto`, the default, sends each in one request, and in pieces where the registry
/// is known to refuse large requests, or it or a proxy before it turns out to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UploadStrategy {
    /// As the registry takes them.
    Auto,
    /// By one PUT with its length.
    Monolithic,
    /// By one PATCH without a length, as docker does.
    Stream,
    /// By a PATCH for each piece.
    Chunked,
}

/// A registry's own host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DirectHost {
    /// `host` or `host:port`.
    // 253 of a name, a colon and five digits; a bracketed IPv6 address is shorter.
    #[schemars(length(min = 1, max = 259), regex(pattern = r"^[^/\s]+$"))]
    pub host: String,
}

/// A Service before a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IndirectService {
    /// The Service's namespace, by default the `Registry`'s own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,

    /// The Service's name.
    #[schemars(length(min = 1, max = 63))]
    pub service: String,

    /// The Service's TCP port.
    #[schemars(range(min = 1, max = 65535), extend("format" = "int32"))]
    pub port: u16,
}

/// What became of a `Registry`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryStatus {
    /// The surrogate's pod, in this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surrogate_pod: Option<String>,

    /// What pods put before an image's name: `spec.imageHost`, or the Service's cluster IP and port, or the direct host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,

    /// When the certificate ends that the registry showed last, RFC 3339; absent where it is reached without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_expires: Option<String>,

    /// The generation of the specification that this status is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// `SurrogateReady`, `RegistryReachable`, `Authenticated`, `CertificateValid`, and `Ready`, which is all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt as _;
    use serde_json::{Value, json};

    use super::*;

    fn version() -> Value {
        serde_json::to_value(Registry::crd()).unwrap()["spec"]["versions"][0].clone()
    }

    #[test]
    fn keeps_the_names_of_the_first_reposure() {
        let crd = serde_json::to_value(Registry::crd()).unwrap();
        assert_eq!(crd["metadata"]["name"], "registries.reposure.puccini.cloud");
        assert_eq!(crd["spec"]["scope"], "Namespaced");
        let names = json!({"kind": "Registry", "plural": "registries", "singular": "registry", "shortNames": ["reg"], "categories": ["all"]});
        assert_eq!(crd["spec"]["names"], names);
        assert_eq!(version()["name"], "v1alpha1");
        assert_eq!(version()["subresources"]["status"], json!({}));
    }

    #[test]
    fn reads_an_object_of_the_first_reposure() {
        let registry: Registry = serde_json::from_value(json!({
            "apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry",
            "metadata": {"name": "default", "namespace": "team"},
            "spec": {
                "type": "oci", "indirect": {"namespace": "", "service": "reposure-simple", "port": 5000},
                "authenticationSecret": "a", "authenticationSecretDataKey": "k", "authorizationSecret": "z",
            },
            "status": {"surrogatePod": "reposure-surrogate-default"},
        }))
        .unwrap();
        assert_eq!(registry.spec.authentication_secret_data_key.as_deref(), Some("k"));
        assert_eq!(registry.status.unwrap().surrogate_pod.as_deref(), Some("reposure-surrogate-default"));
    }

    #[test]
    fn describes_each_field_and_checks_what_a_schema_can() {
        let schema = &version()["schema"]["openAPIV3Schema"]["properties"];
        let spec = &schema["spec"];
        assert_eq!(spec["properties"]["type"]["enum"], json!(["oci"]));
        assert_eq!(spec["required"], json!(["type"]));
        let forms = json!(["auto", "monolithic", "stream", "chunked"]);
        assert_eq!(spec["properties"]["upload"]["enum"], forms);
        for (name, field) in spec["properties"].as_object().unwrap() {
            assert!(field["description"].is_string(), "{name}");
        }
        assert_eq!(spec["properties"]["kind"]["enum"], json!(["openshift", "harbor"]));
        assert_eq!(spec["properties"]["imageHost"]["maxLength"], json!(259));
        let rules = spec["x-kubernetes-validations"].as_array().unwrap();
        assert_eq!(rules[0]["rule"], "has(self.direct) != has(self.indirect)");
        assert_eq!(rules.len(), 3);
        assert_eq!(spec["properties"]["indirect"]["properties"]["port"]["maximum"], json!(65535.0));
        let conditions = &schema["status"]["properties"]["conditions"];
        assert_eq!(conditions["x-kubernetes-list-type"], "map");
        assert_eq!(conditions["x-kubernetes-list-map-keys"], json!(["type"]));
    }

    #[test]
    fn prints_host_and_readiness() {
        let columns = version()["additionalPrinterColumns"].clone();
        let names: Vec<_> =
            columns.as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Host", "Ready", "Reason", "Surrogate", "Age"]);
    }
}
