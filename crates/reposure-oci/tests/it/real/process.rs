//! A registry as a child process.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::token::{ISSUER, SERVICE, TokenServer};

/// How long a registry may take to listen, on a busy machine.
const START: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Debian's `docker-registry`.
    Two,
    /// `build/bin/registry3`.
    Three,
}

impl Version {
    fn program(self) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/bin");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::iter::once(root).chain(std::env::split_paths(&path));
        let (name, cure) = match self {
            Self::Two => ("docker-registry", "apt-get install docker-registry"),
            Self::Three => ("registry3", "make build/bin/registry3"),
        };
        let found = folders.find(|folder| folder.join(name).is_file());
        found.unwrap_or_else(|| panic!("{name} is missing: {cure}")).join(name)
    }
}

/// Who may come in, and how.
#[derive(Clone, Copy, Default)]
pub(crate) struct Settings<'a> {
    pub(crate) htpasswd: Option<&'a str>,
    pub(crate) tokens: Option<&'a TokenServer>,
    pub(crate) tls: bool,
    pub(crate) client_tls: bool,
}

/// Certificates of an authority made for one test.
struct Certificates {
    authority: String,
    client: (String, String),
}

/// A registry that listens until it is dropped.
pub(crate) struct Registry {
    child: Child,
    address: SocketAddr,
    certificates: Option<Certificates>,
    folder: TempDir,
}

impl Registry {
    pub(crate) async fn start(version: Version, settings: Settings<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = free_address();
        let certificates = settings.tls.then(|| Certificates::write(folder.path()));
        let config = folder.path().join("config.yml");
        fs::write(&config, configuration(folder.path(), address, settings)).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(version.program())
            .arg("serve")
            .arg(&config)
            .env_clear()
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut registry = Self { child, address, certificates, folder };
        registry.listening().await;
        registry
    }

    async fn listening(&mut self) {
        let deadline = Instant::now() + START;
        while TcpStream::connect(self.address).await.is_err() {
            let ended = self.child.try_wait().unwrap();
            let log = || fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none() && Instant::now() < deadline, "it does not listen: {}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn authority(&self) -> Option<&str> {
        self.certificates.as_ref().map(|certificates| certificates.authority.as_str())
    }

    /// Returns PEM of a certificate and a key that the registry lets in.
    pub(crate) fn client_identity(&self) -> &(String, String) {
        &self.certificates.as_ref().unwrap().client
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns an address that was free just now.
fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn configuration(folder: &Path, address: SocketAddr, settings: Settings<'_>) -> String {
    let at = folder.display();
    let mut lines = vec![
        "version: 0.1".into(),
        format!("storage: {{filesystem: {{rootdirectory: {at}/storage}}, delete: {{enabled: true}}}}"),
        format!("http:\n  addr: '{address}'"),
    ];
    if settings.tls {
        lines.push(format!("  tls:\n    certificate: {at}/server.crt\n    key: {at}/server.key"));
    }
    if settings.client_tls {
        lines.push(format!("    clientcas: ['{at}/authority.crt']"));
    }
    if let Some(users) = settings.htpasswd {
        fs::write(folder.join("htpasswd"), users).unwrap();
        lines.push(format!("auth: {{htpasswd: {{realm: test, path: {at}/htpasswd}}}}"));
    }
    if let Some(tokens) = settings.tokens {
        fs::write(folder.join("tokens.crt"), tokens.certificate()).unwrap();
        let realm = tokens.realm();
        let names = format!("realm: '{realm}', service: {SERVICE}, issuer: {ISSUER}");
        lines.push(format!("auth: {{token: {{{names}, rootcertbundle: {at}/tokens.crt}}}}"));
    }
    lines.join("\n")
}

impl Certificates {
    /// Makes an authority, and certificates for a server on the machine itself and for a client.
    fn write(folder: &Path) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let issue = |names: Vec<String>| {
            let key = KeyPair::generate().unwrap();
            let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
            (certificate.pem(), key.serialize_pem())
        };
        let (certificate, key) = issue(vec!["localhost".into(), Ipv4Addr::LOCALHOST.to_string()]);
        let files = [("server.crt", certificate), ("server.key", key), ("authority.crt", issuer.pem())];
        for (name, content) in files {
            fs::write(folder.join(name), content).unwrap();
        }
        Self { authority: issuer.pem(), client: issue(vec!["client".into()]) }
    }
}
