//! The plan of the built-in registry's certificate where [cert-manager](https://cert-manager.io/docs/usage/certificate/) makes it.

use std::collections::BTreeMap;

use kube::CustomResource;
use reposure_api::{
    labels::{Application, CLI_MANAGER, labels},
    names::{SIMPLE, SIMPLE_AUTHENTICATION, SIMPLE_AUTHORITY},
};
use serde::{Deserialize, Serialize};

use super::{CertificateNames, Plan, simple::metadata};
use crate::object::Object;

/// The API group of cert-manager.
pub const CERT_MANAGER: &str = "cert-manager.io";
/// The version of its API that is used, which it has had since 1.0.
pub const CERT_MANAGER_VERSION: &str = "v1";
/// cert-manager's annotation of a Secret, with the name of the `Certificate` that it is of.
pub(crate) const OF_CERTIFICATE: &str = "cert-manager.io/certificate-name";
/// How long an authority is good: ten years, as one of our own is.
const AUTHORITY_DURATION: &str = "87600h";
/// How long a certificate is good: ninety days, as one of our own is. It is renewed at two thirds of it.
const DURATION: &str = "2160h";

/// Who makes the certificate of the built-in registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IssuerChoice {
    /// An authority of cert-manager's where that is there and nobody else has made one, else one of our own.
    #[default]
    Auto,
    /// One of our own.
    Own,
    /// An issuer of cert-manager's.
    Named(IssuerRef),
}

/// What cert-manager makes a certificate by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerRef {
    /// The name.
    pub name: String,
    /// `Issuer`, of the same namespace, or `ClusterIssuer`.
    pub kind: String,
    /// The API group.
    pub group: String,
}

impl IssuerRef {
    /// Returns an issuer of this name in the registry's namespace.
    pub fn issuer(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: "Issuer".into(), group: CERT_MANAGER.into() }
    }

    /// Returns an issuer of this name for the whole cluster.
    pub fn cluster_issuer(name: impl Into<String>) -> Self {
        Self { kind: "ClusterIssuer".into(), ..Self::issuer(name) }
    }
}

/// What makes certificates.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[kube(group = "cert-manager.io", version = "v1", kind = "Issuer", namespaced, schema = "disabled")]
#[kube(doc = "What makes certificates.", derive = "PartialEq")]
#[serde(rename_all = "camelCase")]
pub struct IssuerSpec {
    /// Certificates sign themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_signed: Option<SelfSigned>,
    /// An authority signs them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<AuthorityOf>,
}

/// Certificates sign themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfSigned {}

/// An authority signs certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorityOf {
    /// The Secret of the authority.
    pub secret_name: String,
}

/// A certificate that is wanted.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[kube(group = "cert-manager.io", version = "v1", kind = "Certificate", namespaced, schema = "disabled")]
#[kube(doc = "A certificate that is wanted.", derive = "PartialEq")]
#[serde(rename_all = "camelCase")]
pub struct CertificateSpec {
    /// The Secret that it is put in.
    pub secret_name: String,
    /// What else is put in there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_template: Option<SecretTemplate>,
    /// How long it is good, as Go writes durations.
    pub duration: String,
    /// Whether it may sign others.
    #[serde(rename = "isCA", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_ca: bool,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// The names that it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// The addresses that it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ip_addresses: Vec<String>,
    /// What it is used for.
    pub usages: Vec<String>,
    /// Its key.
    pub private_key: PrivateKey,
    /// What makes it.
    pub issuer_ref: IssuerRef,
}

/// What is put into a Secret beside a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretTemplate {
    /// The labels.
    pub labels: BTreeMap<String, String>,
}

/// The key of a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrivateKey {
    /// The algorithm.
    pub algorithm: String,
    /// The bits.
    pub size: u32,
    /// Whether a renewed certificate has a new one.
    pub rotation_policy: String,
}

/// Plans what cert-manager makes the Secret `reposure-simple-authentication` by: a `Certificate` for `names` of `issuer`; without one,
/// of an authority that it makes first, in the Secret `reposure-simple-ca`.
pub fn cert_manager(names: &CertificateNames, issuer: Option<&IssuerRef>) -> Plan {
    let mut objects = Vec::new();
    if issuer.is_none() {
        objects.extend(authority(names.namespace()));
    }
    let issuer = issuer.cloned().unwrap_or_else(|| IssuerRef::issuer(SIMPLE_AUTHORITY));
    let addresses = names.addresses().iter().map(ToString::to_string).collect();
    let spec = CertificateSpec {
        dns_names: names.hosts().into(),
        ip_addresses: addresses,
        ..specification(SIMPLE_AUTHENTICATION, DURATION, &["server auth"], issuer)
    };
    objects.push(certificate(names.namespace(), SIMPLE, spec));
    Plan::of(objects)
}

/// Plans what is to go where `issuer` makes the certificate: the authority that is made without one, unless the user has named that.
pub(crate) fn superseded(namespace: &str, issuer: &IssuerRef) -> Plan {
    if [SIMPLE, SIMPLE_AUTHORITY].map(IssuerRef::issuer).contains(issuer) {
        return Plan::default();
    }
    Plan::of(authority(namespace))
}

fn authority(namespace: &str) -> [Object; 3] {
    let self_signed = IssuerSpec { self_signed: Some(SelfSigned {}), ca: None };
    let secret_name = SIMPLE_AUTHORITY.into();
    let ca = IssuerSpec { ca: Some(AuthorityOf { secret_name }), self_signed: None };
    let spec = CertificateSpec {
        is_ca: true,
        common_name: Some(namespace.into()),
        ..specification(SIMPLE_AUTHORITY, AUTHORITY_DURATION, &["cert sign"], IssuerRef::issuer(SIMPLE))
    };
    [
        issuer(namespace, SIMPLE, self_signed),
        certificate(namespace, SIMPLE_AUTHORITY, spec),
        issuer(namespace, SIMPLE_AUTHORITY, ca),
    ]
}

fn issuer(namespace: &str, name: &str, spec: IssuerSpec) -> Object {
    Issuer { metadata: metadata(namespace, name), spec }.into()
}

fn certificate(namespace: &str, name: &str, spec: CertificateSpec) -> Object {
    Certificate { metadata: metadata(namespace, name), spec }.into()
}

fn specification(secret: &str, duration: &str, usages: &[&str], issuer_ref: IssuerRef) -> CertificateSpec {
    let labels = labels(Application::Simple, None, CLI_MANAGER);
    CertificateSpec {
        secret_name: secret.into(),
        secret_template: Some(SecretTemplate { labels }),
        duration: duration.into(),
        is_ca: false,
        common_name: None,
        dns_names: Vec::new(),
        ip_addresses: Vec::new(),
        usages: usages.iter().copied().map(Into::into).collect(),
        private_key: PrivateKey { algorithm: "ECDSA".into(), size: 256, rotation_policy: "Always".into() },
        issuer_ref,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(issuer: Option<&IssuerRef>) -> String {
        let names = CertificateNames::new("team", &["10.96.1.2".parse().unwrap()]);
        let yaml = crate::manifests::render(&cert_manager(&names, issuer)).unwrap();
        yaml.split_once("---\n").unwrap().1.into()
    }

    #[test]
    fn an_issuer_of_the_users_is_asked() {
        insta::assert_snapshot!(yaml(Some(&IssuerRef::cluster_issuer("team"))), @r#"
        apiVersion: cert-manager.io/v1
        kind: Certificate
        metadata:
          labels:
            app.kubernetes.io/instance: reposure-simple
            app.kubernetes.io/managed-by: reposure-cli
            app.kubernetes.io/name: reposure-simple
            app.kubernetes.io/part-of: reposure
          name: reposure-simple
          namespace: team
        spec:
          secretName: reposure-simple-authentication
          secretTemplate:
            labels:
              app.kubernetes.io/instance: reposure-simple
              app.kubernetes.io/managed-by: reposure-cli
              app.kubernetes.io/name: reposure-simple
              app.kubernetes.io/part-of: reposure
          duration: 2160h
          dnsNames:
          - reposure-simple
          - reposure-simple.team
          - reposure-simple.team.svc
          - reposure-simple.team.svc.cluster.local
          - localhost
          ipAddresses:
          - "10.96.1.2"
          - "127.0.0.1"
          - "::1"
          usages:
          - server auth
          privateKey:
            algorithm: ECDSA
            size: 256
            rotationPolicy: Always
          issuerRef:
            name: team
            kind: ClusterIssuer
            group: cert-manager.io
        "#);
    }

    #[test]
    fn an_authority_that_was_made_goes_unless_it_is_the_one_that_is_named() {
        let superseded = |issuer| superseded("team", &issuer).steps.len();
        assert_eq!(superseded(IssuerRef::issuer("team")), 3);
        assert_eq!(superseded(IssuerRef::cluster_issuer(SIMPLE_AUTHORITY)), 3);
        assert_eq!(superseded(IssuerRef::issuer(SIMPLE_AUTHORITY)), 0);
        assert_eq!(superseded(IssuerRef::issuer(SIMPLE)), 0);
    }

    #[test]
    fn without_one_an_authority_is_made_first() {
        let yaml = yaml(None);
        let kinds: Vec<_> = yaml.lines().filter(|line| line.starts_with("kind:")).collect();
        assert_eq!(kinds, ["kind: Issuer", "kind: Certificate", "kind: Issuer", "kind: Certificate"]);
        for text in ["isCA: true", "selfSigned: {}", "secretName: reposure-simple-ca", "duration: 87600h"] {
            assert!(yaml.contains(text), "{text} is not in {yaml}");
        }
    }
}
