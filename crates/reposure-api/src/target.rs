//! A specification that was checked: what the registry is, in types.

use std::{fmt, net::IpAddr};

use crate::registry::{IndirectService, RegistryKind, RegistryScheme, RegistrySpec};

/// The longest DNS label, of a Service or a namespace ([RFC 1123](https://www.rfc-editor.org/rfc/rfc1123)).
const LABEL_LENGTH: usize = 63;
/// What OpenShift's registry is called within its cluster.
const OPENSHIFT_HOSTS: [&str; 2] = [
    "image-registry.openshift-image-registry.svc",
    "image-registry.openshift-image-registry.svc.cluster.local",
];
/// The longest URL of a token service, in bytes: what most servers take for a line of a request.
const REALM_LENGTH: usize = 2048;
/// The longest DNS name, of a Secret or a ConfigMap.
const NAME_LENGTH: usize = 253;

/// Where a registry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// At a host of its own.
    Direct {
        /// `host` or `host:port`.
        host: String,
    },
    /// Behind a Service.
    Service {
        /// The Service's namespace.
        namespace: String,
        /// The Service's name.
        name: String,
        /// The Service's port.
        port: u16,
    },
}

/// Why a specification cannot be used. The schema refuses all of these, where the installed one is the newest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Neither `direct` nor `indirect` is given.
    #[error("neither direct nor indirect is given: one of them must say where the registry is")]
    NoTarget,
    /// Both `direct` and `indirect` are given.
    #[error("both direct and indirect are given: only one of them can say where the registry is")]
    TwoTargets,
    /// `direct.host` is no host.
    #[error("direct.host {0:?} is neither HOST nor HOST:PORT")]
    Host(String),
    /// `imageHost` is no host.
    #[error("imageHost {0:?} is neither HOST nor HOST:PORT")]
    ImageHost(String),
    /// `realm` is no URL.
    #[error("realm {0:?} is no URL of a token service: expected https://HOST[:PORT]/PATH, or http")]
    Realm(String),
    /// A field does not hold the name of an object.
    #[error("{field} {value:?} is no valid name")]
    Name {
        /// The field.
        field: &'static str,
        /// What it holds.
        value: String,
    },
    /// `indirect.port` is zero.
    #[error("indirect.port 0 is no port: it must be between 1 and 65535")]
    Port,
    /// `surrogatePort` collides with the port of the status.
    #[error("surrogatePort {0} cannot be used: it must be at least 1024 and not 10251")]
    SurrogatePort(u16),
    /// Two fields exclude each other.
    #[error("{0} and {1} exclude each other")]
    Exclusive(&'static str, &'static str),
}

impl Target {
    /// Returns the `host` or `host:port` that a pod of the cluster dials: for a Service its name in the cluster's DNS.
    pub fn dial_host(&self) -> String {
        match self {
            Self::Direct { host } => host.clone(),
            Self::Service { namespace, name, port } => format!("{name}.{namespace}.svc:{port}"),
        }
    }

    /// Returns what pods put before an image's name: for a Service its cluster IP, since nodes do not ask the cluster's
    /// DNS; its name where it has none.
    pub fn image_host(&self, cluster_ip: Option<IpAddr>) -> String {
        match (self, cluster_ip) {
            (Self::Service { port, .. }, Some(IpAddr::V4(address))) => format!("{address}:{port}"),
            (Self::Service { port, .. }, Some(IpAddr::V6(address))) => format!("[{address}]:{port}"),
            _ => self.dial_host(),
        }
    }

    /// Returns the scheme of a registry of which nothing else is known.
    ///
    /// It is `https` for a public host, so that credentials do not cross the open network in the clear, and `http` inside.
    fn default_scheme(&self) -> RegistryScheme {
        if self.is_inside() { RegistryScheme::Http } else { RegistryScheme::Https }
    }

    /// Tells whether it is of the cluster or of a private network: a Service, a name of the cluster (one label, or below `svc`,
    /// `local` or `localhost`) or a private address.
    pub fn is_inside(&self) -> bool {
        match self {
            Self::Direct { host } => is_inside(host),
            Self::Service { .. } => true,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct { host } => write!(formatter, "host {host}"),
            Self::Service { namespace, name, port } => write!(formatter, "Service {namespace}/{name}:{port}"),
        }
    }
}

impl RegistrySpec {
    /// Checks everything and says where the registry of a `Registry` in `namespace` is.
    ///
    /// # Errors
    /// [`SpecError`] names the first field that cannot be used.
    pub fn target(&self, namespace: &str) -> Result<Target, SpecError> {
        self.check_exclusive()?;
        self.check_names()?;
        if self.surrogate_port.is_some_and(|port| port < 1024 || port == 10251) {
            return Err(SpecError::SurrogatePort(self.surrogate_port.unwrap_or_default()));
        }
        if let Some(host) = self.image_host.as_deref().and_then(given).filter(|host| !is_host(host)) {
            return Err(SpecError::ImageHost(host.into()));
        }
        if let Some(realm) = self.realm().filter(|realm| !is_realm(realm)) {
            return Err(SpecError::Realm(realm.into()));
        }
        match (&self.direct, &self.indirect) {
            (None, None) => Err(SpecError::NoTarget),
            (Some(_), Some(_)) => Err(SpecError::TwoTargets),
            (Some(direct), None) if is_host(&direct.host) => Ok(Target::Direct { host: direct.host.clone() }),
            (Some(direct), None) => Err(SpecError::Host(direct.host.clone())),
            (None, Some(service)) => service.target(namespace),
        }
    }

    /// Returns how the registry at `target` is dialled: as `scheme` says; without it `https` if an authority is named
    /// or the host is a public one, and else `http`.
    pub fn scheme(&self, target: &Target) -> RegistryScheme {
        match self.scheme {
            Some(scheme) => scheme,
            None if self.authority().is_some() => RegistryScheme::Https,
            None => target.default_scheme(),
        }
    }

    /// Returns what pods put before an image's name: `imageHost`, or what `target` makes of the cluster IP of its Service.
    pub fn image_host(&self, target: &Target, cluster_ip: Option<IpAddr>) -> String {
        let own = self.image_host.as_deref().and_then(given);
        own.map_or_else(|| target.image_host(cluster_ip), Into::into)
    }

    /// Returns what holds the certificate to trust, and its key within.
    pub fn authority(&self) -> Option<Authority<'_>> {
        let key = |default| self.authentication_secret_data_key.as_deref().and_then(given).unwrap_or(default);
        let secret = self.authentication_secret.as_deref().and_then(given);
        let config_map = self.authentication_config_map.as_deref().and_then(given);
        match (secret, config_map) {
            (Some(name), _) => Some(Authority::Secret { name, key: key("tls.crt") }),
            (None, Some(name)) => Some(Authority::ConfigMap { name, key: key("service-ca.crt") }),
            (None, None) => None,
        }
    }

    /// Returns what the registry is, where it has names or an API of its own: `kind`, or OpenShift's registry by its host.
    pub fn registry_kind(&self) -> Option<RegistryKind> {
        let direct = self.direct.as_ref().map(|direct| direct.host.as_str());
        let host = direct.map(|host| split_port(host).0);
        self.kind
            .or_else(|| host.filter(|host| OPENSHIFT_HOSTS.contains(host)).map(|_| RegistryKind::OpenShift))
    }

    /// Returns where tokens are fetched, instead of where the registry says.
    pub fn realm(&self) -> Option<&str> {
        self.realm.as_deref().and_then(given)
    }

    /// Returns what the credentials are.
    pub fn credentials(&self) -> Option<Credentials<'_>> {
        match self.authorization_secret.as_deref().and_then(given) {
            Some(name) => Some(Credentials::Secret { name }),
            None if self.authorization_service_account == Some(true) => Some(Credentials::ServiceAccount),
            None => None,
        }
    }

    fn check_exclusive(&self) -> Result<(), SpecError> {
        let given = |field: &Option<String>| field.as_deref().and_then(given).is_some();
        if given(&self.authentication_secret) && given(&self.authentication_config_map) {
            return Err(SpecError::Exclusive("authenticationSecret", "authenticationConfigMap"));
        }
        if given(&self.authorization_secret) && self.authorization_service_account == Some(true) {
            return Err(SpecError::Exclusive("authorizationSecret", "authorizationServiceAccount"));
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), SpecError> {
        let fields = [
            ("authenticationSecret", &self.authentication_secret),
            ("authenticationConfigMap", &self.authentication_config_map),
            ("authorizationSecret", &self.authorization_secret),
        ];
        for (field, value) in fields {
            if let Some(value) = value.as_deref().and_then(given) {
                check(field, value, is_name(value))?;
            }
        }
        let key = self.authentication_secret_data_key.as_deref().and_then(given);
        key.map_or(Ok(()), |key| check("authenticationSecretDataKey", key, is_key(key)))
    }
}

impl IndirectService {
    fn target(&self, own_namespace: &str) -> Result<Target, SpecError> {
        let namespace = self.namespace.as_deref().and_then(given).unwrap_or(own_namespace);
        check("indirect.namespace", namespace, is_label(namespace))?;
        check("indirect.service", &self.service, is_label(&self.service))?;
        if self.port == 0 {
            return Err(SpecError::Port);
        }
        Ok(Target::Service { namespace: namespace.into(), name: self.service.clone(), port: self.port })
    }
}

/// What holds the certificate to trust for a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority<'a> {
    /// A Secret.
    Secret {
        /// Its name.
        name: &'a str,
        /// The certificate's key.
        key: &'a str,
    },
    /// A ConfigMap.
    ConfigMap {
        /// Its name.
        name: &'a str,
        /// The certificate's key.
        key: &'a str,
    },
}

/// What the credentials for a registry are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// What a Secret holds.
    Secret {
        /// Its name.
        name: &'a str,
    },
    /// The token of the surrogate's own ServiceAccount.
    ServiceAccount,
}

/// Objects that other programs wrote hold an empty string where a field is not given.
fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn check(field: &'static str, value: &str, valid: bool) -> Result<(), SpecError> {
    if valid { Ok(()) } else { Err(SpecError::Name { field, value: value.into() }) }
}

fn is_realm(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
    is_host(authority)
        && text.len() <= REALM_LENGTH
        && !text.contains(|c: char| c == '#' || c.is_whitespace())
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty()
        && text.len() <= LABEL_LENGTH
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_name(text: &str) -> bool {
    let part = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= NAME_LENGTH && text.split('.').all(part)
}

fn is_key(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.len() <= NAME_LENGTH && text.bytes().all(inner) && !text.starts_with("..") && text != "."
}

fn is_host(text: &str) -> bool {
    let (host, port) = split_port(text);
    let valid_host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok()),
        None => host.len() <= NAME_LENGTH && !host.is_empty() && host.bytes().all(is_host_byte),
    };
    valid_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rfind(':') {
        Some(colon) if !text[colon..].contains(']') => (&text[..colon], Some(&text[colon + 1..])),
        _ => (text, None),
    }
}

/// Whether a host is one of the cluster or of a private network, which rarely speaks TLS unless an authority is named.
fn is_inside(host: &str) -> bool {
    let name = split_port(host).0.trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address.is_unique_local(),
        Err(_) => {
            let last = name.rsplit('.').next().unwrap_or(name);
            !name.contains('.') || matches!(last, "svc" | "local" | "localhost")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::DirectHost;

    fn direct(host: &str) -> RegistrySpec {
        RegistrySpec { direct: Some(DirectHost { host: host.into() }), ..RegistrySpec::default() }
    }

    fn indirect(namespace: &str, service: &str, port: u16) -> RegistrySpec {
        let namespace = Some(namespace.to_owned());
        let indirect = IndirectService { namespace, service: service.into(), port };
        RegistrySpec { indirect: Some(indirect), ..RegistrySpec::default() }
    }

    #[test]
    fn a_service_without_namespace_is_beside_the_registry() {
        let target = indirect("", "reposure-simple", 5000).target("team").unwrap();
        assert_eq!(target.dial_host(), "reposure-simple.team.svc:5000");
        assert_eq!(target.image_host("10.96.0.7".parse().ok()), "10.96.0.7:5000");
        assert_eq!(target.image_host("fd00::7".parse().ok()), "[fd00::7]:5000");
        assert_eq!(target.image_host(None), "reposure-simple.team.svc:5000");
    }

    #[test]
    fn refuses_what_is_no_target() {
        assert_eq!(RegistrySpec::default().target("team"), Err(SpecError::NoTarget));
        let both = RegistrySpec { direct: direct("a").direct, ..indirect("", "a", 1) };
        assert_eq!(both.target("team"), Err(SpecError::TwoTargets));
        for host in ["", "http://a", "a:0", "a:70000", "a:", "[::1", "a b", "a/b", "u@a"] {
            assert_eq!(direct(host).target("team"), Err(SpecError::Host(host.into())), "{host:?}");
        }
        for service in ["", "a/../../secrets/b", "A", "-a", &"a".repeat(64)] {
            assert!(indirect("", service, 1).target("team").is_err(), "{service:?}");
        }
        assert_eq!(indirect("", "a", 0).target("team"), Err(SpecError::Port));
    }

    #[test]
    fn refuses_fields_that_exclude_each_other() {
        let mut spec = direct("a");
        spec.authorization_secret = Some("s".into());
        spec.authorization_service_account = Some(true);
        assert!(matches!(spec.target("team"), Err(SpecError::Exclusive("authorizationSecret", _))));
    }

    #[test]
    fn nodes_may_reach_a_registry_elsewhere() {
        let mut spec = indirect("container-registry", "registry", 5000);
        let target = spec.target("team").unwrap();
        let address = Some(IpAddr::from([10, 1, 2, 3]));
        assert_eq!(spec.image_host(&target, address), "10.1.2.3:5000");
        spec.image_host = Some("localhost:32000".into());
        assert_eq!(spec.image_host(&target, address), "localhost:32000");
        spec.image_host = Some("http://localhost".into());
        assert_eq!(spec.target("team"), Err(SpecError::ImageHost("http://localhost".into())));
    }

    #[test]
    fn openshifts_registry_is_known_by_its_host() {
        let kind = |host: &str| direct(host).registry_kind();
        for host in ["image-registry.openshift-image-registry.svc:5000", OPENSHIFT_HOSTS[1]] {
            assert_eq!(kind(host), Some(RegistryKind::OpenShift), "{host}");
        }
        assert_eq!(kind("image-registry.example.com:5000"), None);
        assert_eq!(indirect("openshift-image-registry", "image-registry", 5000).registry_kind(), None);
        let said = RegistrySpec { kind: Some(RegistryKind::Harbor), ..direct(OPENSHIFT_HOSTS[0]) };
        assert_eq!(said.registry_kind(), Some(RegistryKind::Harbor));
    }

    #[test]
    fn tokens_are_fetched_at_a_url() {
        let checked = |realm: &str| {
            let spec = RegistrySpec { realm: Some(realm.into()), ..direct("a") };
            spec.target("team").map(|_| spec.realm().map(ToOwned::to_owned))
        };
        for realm in
            ["http://harbor-core.harbor.svc/service/token", "https://a:8443/v2/auth?x=y", "http://[::1]:1"]
        {
            assert_eq!(checked(realm), Ok(Some(realm.into())));
        }
        assert_eq!(checked(""), Ok(None));
        for realm in
            ["a/token", "ftp://a/token", "http://", "http://ann:hush@a/token", "http://a/#x", "http://a/b c"]
        {
            assert_eq!(checked(realm), Err(SpecError::Realm(realm.into())), "{realm}");
        }
    }

    #[test]
    fn takes_hosts_of_every_form() {
        for host in ["docker.io", "registry:5000", "10.1.2.3:80", "[::1]:5000", "[fd00::1]"] {
            assert!(direct(host).target("team").is_ok(), "{host:?}");
        }
    }

    #[test]
    fn dials_public_hosts_and_named_authorities_over_tls() {
        let scheme = |spec: &RegistrySpec| spec.scheme(&spec.target("team").unwrap());
        for host in ["ghcr.io", "registry.example.com:5000", "8.8.8.8", "[2001:db8::1]:5000"] {
            assert_eq!(scheme(&direct(host)), RegistryScheme::Https, "{host}");
        }
        for host in ["registry:5000", "a.b.svc:80", "a.b.svc.cluster.local", "10.1.2.3", "[::1]:5000"] {
            assert_eq!(scheme(&direct(host)), RegistryScheme::Http, "{host}");
        }
        let mut service = indirect("", "a", 1);
        assert_eq!(scheme(&service), RegistryScheme::Http);
        service.authentication_secret = Some("ca".into());
        assert_eq!(scheme(&service), RegistryScheme::Https);
        service.scheme = Some(RegistryScheme::Http);
        assert_eq!(scheme(&service), RegistryScheme::Http);
    }

    #[test]
    fn an_authority_has_a_key_and_an_empty_name_is_none() {
        let mut spec = direct("a");
        spec.authentication_secret = Some(String::new());
        assert_eq!(spec.authority(), None);
        spec.authentication_secret = Some("ca".into());
        assert_eq!(spec.authority(), Some(Authority::Secret { name: "ca", key: "tls.crt" }));
        spec.authentication_secret_data_key = Some("../x".into());
        assert!(spec.target("team").is_err());
    }
}
