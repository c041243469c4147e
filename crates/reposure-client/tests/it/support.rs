//! What the tests share: a registry, a surrogate beside it, an API server before it, and an image on disk.

use std::{fs::File, net::SocketAddr, path::PathBuf, sync::Arc};

use kube::Config;
use reposure_client::{
    channel::{ApiServer, Channel, PortForward, Proxy, exec},
    progress::Progress,
    push::{Ahead, PushError, PushOptions, push},
    session::{Session, SessionError},
    token::{NoTokens, ServiceAccountTokens},
};
use reposure_oci::{Artifact, Digest, ImageName, Spool, archive};
use reposure_parcel::{
    config::{Access, Config as SurrogateConfig, Kind, Scheme, UploadStrategy, UpstreamConfig},
    session::{COPIED, greeting},
    wire::Right,
};
use reposure_surrogate::Surrogate;
use reposure_testing::{
    FakeApiServer, MemoryRegistry, Options, RandomImage,
    api_server::{Behaviour, Failure, How},
    relay::Relay,
};
use tempfile::TempDir;

pub(crate) const POD: &str = "reposure-surrogate-default-0";
/// Large enough for the images of these tests.
const SPOOL_LIMIT: u64 = 1 << 30;

pub(crate) struct Scene {
    pub(crate) registry: MemoryRegistry,
    pub(crate) surrogate: Option<Surrogate>,
    pub(crate) api_server: FakeApiServer,
    pub(crate) folder: TempDir,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(Behaviour::default()).await
    }

    pub(crate) async fn with(behaviour: Behaviour) -> Self {
        let registry = MemoryRegistry::start(Options::default()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        // The namespace of such names is one for all tests.
        let sessions = folder.path().display().to_string();
        let surrogate = start_surrogate(&registry, ([127, 0, 0, 1], 0).into(), &sessions).await;
        let api_server = FakeApiServer::start(surrogate.address(), behaviour).await.unwrap();
        api_server.lead_sessions(&sessions, &greeting("test"), &[COPIED]);
        Self { registry, surrogate: Some(surrogate), api_server, folder }
    }

    /// Ends the surrogate and starts another one at its address, which knows nothing of the first.
    pub(crate) async fn replace_surrogate(&mut self) {
        let address = self.surrogate.take().unwrap().address();
        // The listener is closed once the first one's tasks have ended.
        for _ in 0..100 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            if std::net::TcpListener::bind(address).is_ok() {
                break;
            }
        }
        let sessions = self.folder.path().display().to_string();
        self.surrogate = Some(start_surrogate(&self.registry, address, &sessions).await);
    }

    pub(crate) async fn session(&self, right: Right) -> Result<Arc<Session>, SessionError> {
        let channel = Proxy::new(self.api_server(), "ns", POD, 10250);
        self.session_over(channel, right).await
    }

    pub(crate) async fn session_by_port_forward(&self, right: Right) -> Result<Arc<Session>, SessionError> {
        let channel = PortForward::new(self.api_server(), "ns", POD, 10250).unwrap();
        self.session_over(channel, right).await
    }

    pub(crate) async fn session_by_exec(&self, right: Right) -> Result<Arc<Session>, SessionError> {
        // It takes no token: whoever may exec may do everything.
        let channel = Arc::new(exec(self.api_server(), "ns", POD));
        Session::open(channel, Arc::new(NoTokens), right).await.map(Arc::new)
    }

    /// Opens a session over the proxy that may go on over `exec`.
    pub(crate) async fn session_with_alternatives(&self, right: Right) -> Arc<Session> {
        let session = Arc::into_inner(self.session(right).await.unwrap()).unwrap();
        Arc::new(session.with_alternatives(vec![Arc::new(exec(self.api_server(), "ns", POD))]))
    }

    /// Opens a session over the proxy, by way of a relay.
    pub(crate) async fn session_through(&self, relay: &Relay, right: Right) -> Arc<Session> {
        self.try_session_through(relay, right).await.unwrap()
    }

    /// Opens a session over each channel, by way of a relay.
    pub(crate) async fn sessions_through(&self, relay: &Relay, right: Right) -> [Arc<Session>; 3] {
        [
            self.session_through(relay, right).await,
            self.try_session_by_port_forward_through(relay, right).await.unwrap(),
            self.session_by_exec_through(relay, right).await,
        ]
    }

    /// Opens a session by `exec`, by way of a relay.
    pub(crate) async fn session_by_exec_through(&self, relay: &Relay, right: Right) -> Arc<Session> {
        self.try_session_by_exec_through(relay, right).await.unwrap()
    }

    /// As [`Self::session_through`], where the relay may be in the way.
    pub(crate) async fn try_session_through(
        &self,
        relay: &Relay,
        right: Right,
    ) -> Result<Arc<Session>, SessionError> {
        self.session_over(Proxy::new(through(relay), "ns", POD, 10250), right).await
    }

    /// The same by port-forward.
    pub(crate) async fn try_session_by_port_forward_through(
        &self,
        relay: &Relay,
        right: Right,
    ) -> Result<Arc<Session>, SessionError> {
        self.session_over(PortForward::new(through(relay), "ns", POD, 10250).unwrap(), right).await
    }

    /// The same by `exec`.
    pub(crate) async fn try_session_by_exec_through(
        &self,
        relay: &Relay,
        right: Right,
    ) -> Result<Arc<Session>, SessionError> {
        let channel = Arc::new(exec(through(relay), "ns", POD));
        Session::open(channel, Arc::new(NoTokens), right).await.map(Arc::new)
    }

    /// Opens a session over the proxy of pods, by way of a proxy for all that goes out.
    pub(crate) async fn session_behind(
        &self,
        proxy: &str,
        right: Right,
    ) -> Result<Arc<Session>, SessionError> {
        self.session_to(&self.api_server.url(), proxy, right).await
    }

    /// Does the same to an address that the proxy may have its own view of. The token comes another way.
    pub(crate) async fn session_to(
        &self,
        url: &str,
        proxy: &str,
        right: Right,
    ) -> Result<Arc<Session>, SessionError> {
        let mut config = config(url);
        config.proxy_url = Some(proxy.parse().unwrap());
        let api_server = ApiServer::new(config).unwrap();
        self.session_over(Proxy::new(api_server, "ns", POD, 10250), right).await
    }

    pub(crate) fn api_server(&self) -> ApiServer {
        api_server(&self.api_server.url())
    }

    pub(crate) async fn session_over(
        &self,
        channel: impl Channel + 'static,
        right: Right,
    ) -> Result<Arc<Session>, SessionError> {
        Session::open(Arc::new(channel), Arc::new(self.tokens()), right).await.map(Arc::new)
    }

    pub(crate) fn tokens(&self) -> ServiceAccountTokens {
        let client = self.api_server().client();
        ServiceAccountTokens::new(client, "ns", "audience".into(), |right| format!("access-{right}"))
    }

    /// Pushes as the command line tool does, which asks what it can before it has a session; over a long way that is more.
    pub(crate) async fn push_ahead(
        &self,
        artifact: &Artifact,
        name: &str,
        is_far: bool,
    ) -> Result<Digest, PushError> {
        let (name, options) = (image(name), PushOptions::default());
        let ahead = Ahead::of(artifact, &name, options);
        let ahead = if is_far { ahead.over_a_long_way() } else { ahead };
        let api_server = self.api_server();
        api_server.expect(ahead.requests());
        let channel = Arc::new(Proxy::new(api_server, "ns", POD, 10250));
        let session = Session::open_for(channel, Arc::new(self.tokens()), Right::Push, Some(&ahead)).await;
        push(Arc::new(session.expect("a session")), artifact, &name, options, Progress::none()).await
    }

    /// Makes the next request whose path holds `path` fail.
    pub(crate) fn fail(&self, path: &str, how: How) {
        self.api_server.fail(Failure::next(path, how));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write_oci_archive(&self, image: &RandomImage) -> PathBuf {
        let path = self.path("oci.tar");
        image.write_oci_archive("v1", File::create(&path).unwrap()).unwrap();
        path
    }

    pub(crate) async fn open(&self, path: PathBuf) -> Artifact {
        let spool = Spool::new(self.folder.path(), SPOOL_LIMIT);
        let archive = archive::open(path, archive::Options::new(spool)).await.unwrap();
        archive.select(None).unwrap().artifact.clone()
    }

    pub(crate) async fn push(&self, artifact: &Artifact, name: &str) -> Result<Digest, PushError> {
        let session = self.session(Right::Push).await.expect("a session");
        push(session, artifact, &image(name), PushOptions::default(), Progress::none()).await
    }

    /// Pushes an image of this machine to `app:v1`.
    pub(crate) async fn push_image(&self, image: &RandomImage) {
        let artifact = self.open(self.write_oci_archive(image)).await;
        self.push(&artifact, "app:v1").await.unwrap();
    }

    /// Sees to it that the registry holds the image under the name, whole.
    pub(crate) fn assert_holds(&self, image: &RandomImage, repository: &str, tag: &str) {
        assert_eq!(self.registry.manifest(repository, tag).as_ref(), Some(image.manifest()));
        for blob in image.blobs() {
            let digest = Digest::sha256_of(&blob).to_string();
            assert_eq!(self.registry.blob(repository, &digest), Some(blob));
        }
    }
}

/// The API server behind a relay.
pub(crate) fn through(relay: &Relay) -> ApiServer {
    api_server(&format!("http://{}", relay.address()))
}

fn api_server(url: &str) -> ApiServer {
    ApiServer::new(config(url)).unwrap()
}

fn config(url: &str) -> Config {
    let mut config = Config::new(url.parse().unwrap());
    config.accept_invalid_certs = true;
    config
}

async fn start_surrogate(registry: &MemoryRegistry, listen: SocketAddr, sessions: &str) -> Surrogate {
    let config = SurrogateConfig {
        namespace: "ns".into(),
        registry: "default".into(),
        listen,
        status_listen: ([127, 0, 0, 1], 0).into(),
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
        session_socket: Some(sessions.into()),
        pod_uid_file: None,
    };
    Surrogate::start(config).await.unwrap()
}

pub(crate) fn image(name: &str) -> ImageName {
    name.parse().unwrap()
}
