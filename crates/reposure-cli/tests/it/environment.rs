//! A place for the program to run in, which nothing of this machine leaks into, with a registry and a surrogate beside it.

use std::{
    ffi::OsStr,
    fmt, fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use reposure_parcel::{
    config::{Access, ApiServer, Config, Kind, Scheme, UploadStrategy, UpstreamConfig},
    session::{COPIED, greeting},
};
use reposure_surrogate::Surrogate;
use reposure_testing::{
    Auth, Cluster, FakeApiServer, ForwardProxy, ImageStreamApi, MemoryRegistry, Options, Quirks, RandomImage,
    Rule, SocksProxy, api_server::Behaviour,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The program.
const REPOSURE: &str = env!("CARGO_BIN_EXE_reposure");

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: somewhere, cluster: {server: 'URL'}}]
contexts: [{name: here, context: {cluster: somewhere, user: me, namespace: team}}]
users: [{name: me, user: {token: secret}}]
";

pub(crate) struct TestEnvironment {
    folder: TempDir,
    scene: Option<Scene>,
    runtime: Runtime,
}

struct Scene {
    registry: Option<MemoryRegistry>,
    surrogate: Surrogate,
    _image_streams: Option<ImageStreamApi>,
}

/// What a run of the program left behind.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl TestEnvironment {
    /// Has no surrogate and no cluster.
    pub(crate) fn alone() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "team", "tmp"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Self { folder, scene: None, runtime }
    }

    /// Has a registry in memory and a surrogate, which every registry's name leads to.
    pub(crate) fn new() -> Self {
        let mut environment = Self::alone();
        environment.scene = Some(environment.runtime.block_on(Scene::new(environment.folder.path())));
        environment
    }

    /// Has OpenShift's registry with a project `test`, and a surrogate whose token may do there what the plan gives it.
    pub(crate) fn openshift() -> Self {
        let mut environment = Self::alone();
        let folder = environment.path("mounted");
        fs::create_dir_all(&folder).unwrap();
        environment.scene = Some(environment.runtime.block_on(Scene::openshift(&folder)));
        environment
    }

    pub(crate) fn registry(&self) -> &MemoryRegistry {
        self.scene.as_ref().unwrap().registry.as_ref().unwrap()
    }

    /// Starts another registry, which no surrogate is beside.
    pub(crate) fn other_registry(&self, options: Options) -> MemoryRegistry {
        self.runtime.block_on(MemoryRegistry::start(options)).unwrap()
    }

    /// Returns one with nothing but a stand-in for an API server: see [`Self::api_server`].
    pub(crate) fn with_api_server() -> (Self, FakeApiServer) {
        let environment = Self::alone();
        let api_server = environment.api_server();
        (environment, api_server)
    }

    /// Starts a stand-in for an API server, which knows of no objects yet and leads to no pod, and writes the kubeconfig `config`.
    pub(crate) fn api_server(&self) -> FakeApiServer {
        let nowhere = ([127, 0, 0, 1], 1).into();
        let server = self.runtime.block_on(FakeApiServer::start(nowhere, Behaviour::default())).unwrap();
        self.write_kubeconfig(&server);
        server
    }

    /// Writes the kubeconfig `config`, which leads to an API server.
    pub(crate) fn write_kubeconfig(&self, server: &FakeApiServer) {
        self.write("config", KUBECONFIG.replace("URL", &server.url()));
    }

    /// Starts a stand-in for an API server, before the surrogate.
    pub(crate) fn api_server_before_surrogate(&self) -> FakeApiServer {
        let server = FakeApiServer::start(self.surrogate(), Behaviour::default());
        let server = self.runtime.block_on(server).unwrap();
        server.lead_sessions(&sessions(self.folder.path()), &greeting("test"), &[COPIED]);
        server
    }

    /// Returns where the surrogate listens.
    pub(crate) fn surrogate(&self) -> SocketAddr {
        self.scene.as_ref().unwrap().surrogate.address()
    }

    /// Starts a proxy that leads to `target`, or refuses everything.
    pub(crate) fn forward_proxy(&self, target: Option<SocketAddr>) -> ForwardProxy {
        self.runtime.block_on(ForwardProxy::start(target)).unwrap()
    }

    /// Starts the same over TLS.
    pub(crate) fn forward_proxy_over_tls(&self, target: Option<SocketAddr>) -> ForwardProxy {
        self.runtime.block_on(ForwardProxy::start_over_tls(target)).unwrap()
    }

    /// Starts a proxy that speaks SOCKS 5, and leads to `target` or refuses everything.
    pub(crate) fn socks_proxy(&self, target: Option<SocketAddr>) -> SocksProxy {
        self.runtime.block_on(SocksProxy::start(target, false)).unwrap()
    }

    /// Ends the registry; the surrogate stays.
    pub(crate) fn stop_registry(&mut self) {
        let registry = self.scene.as_mut().unwrap().registry.take();
        self.runtime.block_on(async { drop(registry) });
    }

    /// Returns the path of a file in the folder that the program runs in.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.work().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn write_oci_archive(&self, name: &str, image: &RandomImage) {
        image.write_oci_archive("v1", fs::File::create(self.path(name)).unwrap()).unwrap();
    }

    /// Lists the names in the folder that the program runs in.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.work()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("team")
    }

    /// Makes a command that sees this environment alone.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.work());
        command.env("HOME", self.folder.path().join("home")).env("TMPDIR", self.folder.path().join("tmp"));
        if let Some(scene) = &self.scene {
            command.env("REPOSURE_SURROGATE", scene.surrogate.address().to_string());
        }
        command
    }

    /// Makes a command of the program.
    pub(crate) fn reposure(&self) -> Command {
        self.command(REPOSURE)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.run_with(args, b"")
    }

    /// Runs the program with `stdin` as its standard input.
    pub(crate) fn run_with(&self, args: &[&str], stdin: &[u8]) -> Output {
        self.finish(self.command(REPOSURE).args(args), stdin)
    }

    pub(crate) fn finish(&self, command: &mut Command, stdin: &[u8]) -> Output {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that does not read its input ends all the same.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        let output = child.wait_with_output().unwrap();
        Output {
            code: output.status.code().unwrap(),
            stdout: output.stdout,
            stderr: self.redact(&String::from_utf8(output.stderr).unwrap()),
        }
    }

    /// Runs the program and sees to it that it succeeds without a word on standard error.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{args:?}");
        output.text()
    }

    /// Puts names in place of what differs from run to run.
    fn redact(&self, text: &str) -> String {
        let mut text = text.replace(&*self.folder.path().to_string_lossy(), "$FOLDER");
        if let Some(scene) = &self.scene {
            text = text.replace(&scene.surrogate.address().to_string(), "$SURROGATE");
            text = text.replace(&scene.upstream(), "$REGISTRY");
        }
        text
    }

    /// Returns the first `name` on the search path of whoever runs the tests.
    pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../build/bin");
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(root).chain(std::env::split_paths(&paths));
        folders.map(|folder| folder.join(name)).find(|path| path.is_file())
    }
}

impl Drop for TestEnvironment {
    fn drop(&mut self) {
        let scene = self.scene.take();
        self.runtime.block_on(async { drop(scene) });
    }
}

impl Scene {
    async fn new(folder: &Path) -> Self {
        let registry = MemoryRegistry::start(Options::default()).await.unwrap();
        let config = Config { session_socket: Some(sessions(folder)), ..config(&registry) };
        let surrogate = Surrogate::start(config).await.unwrap();
        Self { registry: Some(registry), surrogate, _image_streams: None }
    }

    async fn openshift(mounted: &Path) -> Self {
        let cluster = Cluster::new(&["test"]);
        cluster.allow("token", Rule::editor("test"));
        let options = Options {
            tls: true,
            auth: Auth::OpenShift(cluster),
            quirks: Quirks::openshift(),
            ..Options::default()
        };
        let registry = MemoryRegistry::start(options).await.unwrap();
        let streams = registry.image_streams().await.unwrap();
        let file = |name: &str, text: &str| {
            fs::write(mounted.join(name), text).unwrap();
            mounted.join(name)
        };
        let mut config = config(&registry);
        config.upstream.scheme = Scheme::Https;
        config.upstream.authority_file = Some(file("service-ca.crt", registry.authority().unwrap()));
        config.upstream.credentials = Some(mounted.into());
        config.upstream.kind = Kind::OpenShift {
            project: "test".into(),
            api_server: ApiServer {
                address: streams.url(),
                authority_file: file("ca.crt", streams.authority()),
                token_file: file("token", "token"),
            },
        };
        let surrogate = Surrogate::start(config).await.unwrap();
        Self { registry: Some(registry), surrogate, _image_streams: Some(streams) }
    }

    fn upstream(&self) -> String {
        self.registry.as_ref().map_or_else(|| "$REGISTRY".into(), MemoryRegistry::host)
    }
}

/// The name of the surrogate's socket for sessions: the namespace of such names is one for all tests.
fn sessions(folder: &Path) -> String {
    folder.display().to_string()
}

fn config(registry: &MemoryRegistry) -> Config {
    let any = ([127, 0, 0, 1], 0).into();
    Config {
        namespace: "test".into(),
        registry: "default".into(),
        listen: any,
        status_listen: any,
        upstream: UpstreamConfig {
            host: registry.host(),
            image_host: None,
            scheme: Scheme::Http,
            authority_file: None,
            credentials: None,
            upload: UploadStrategy::Auto,
            kind: Kind::default(),
            realm: None,
        },
        access: Access::Loopback,
        session_socket: None,
        pod_uid_file: None,
    }
}

impl Output {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }
}

/// Standard output, then the exit code, then standard error, without digests that depend on the machine.
impl fmt::Display for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}[{}]\n{}", self.text(), self.code, self.stderr);
        formatter.write_str(&without_digests(&text))
    }
}

pub(crate) fn without_digests(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let hex = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        out += if hex == 64 { "sha256:…" } else { "sha256:" };
        out += if hex == 64 { &part[hex..] } else { part };
    }
    out
}
