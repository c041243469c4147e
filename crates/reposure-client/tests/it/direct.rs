//! The channel `direct`: a registry in memory, and nothing between.

use std::{error::Error as _, fs::File, sync::Arc};

use bytes::Bytes;
use http::Request;
use reposure_client::{
    channel::Direct,
    progress::Progress,
    pull::PullOptions,
    push::{PushOptions, push},
    session::Session,
    token::NoTokens,
};
use reposure_oci::{
    Artifact, DirectOptions, DirectTransport, Endpoint, Reference, Scheme, Spool, TrustAnchors, archive,
    auth::{Credentials, FixedCredentials},
    direct::{Cause, DirectError},
    registry::{Client, Error},
};
use reposure_parcel::{config::UploadStrategy, problem::Code, wire::Right};
use reposure_testing::{Auth, MemoryRegistry, Options, RandomImage, Users};
use tempfile::TempDir;

use crate::{pull, support::image};

/// Returns how the registry is reached: trusting its own authority if it speaks TLS, as nobody.
fn options(registry: &MemoryRegistry) -> DirectOptions {
    let scheme = if registry.authority().is_some() { Scheme::Https } else { Scheme::Http };
    let mut options = DirectOptions::new(Endpoint::new(scheme, &registry.host()).unwrap());
    if let Some(authority) = registry.authority() {
        options.trust = TrustAnchors::Pem(authority.into());
    }
    options
}

fn ann() -> Arc<FixedCredentials> {
    let credentials = Credentials::Basic { username: "ann".into(), password: "hush".into() };
    Arc::new(FixedCredentials::from(credentials))
}

async fn open(options: DirectOptions) -> Result<Arc<Session>, Error> {
    let transport = DirectTransport::new(options).unwrap();
    let channel = Direct::open("ns", "default", transport, UploadStrategy::Auto, None).await?;
    Ok(Arc::new(Session::open(Arc::new(channel), Arc::new(NoTokens), Right::Admin).await.unwrap()))
}

async fn artifact(folder: &TempDir, layers: &RandomImage) -> Artifact {
    let path = folder.path().join("oci.tar");
    layers.write_oci_archive("v1", File::create(&path).unwrap()).unwrap();
    let archive = archive::open(path, archive::Options::new(Spool::new(folder.path(), 1 << 30))).await;
    archive.unwrap().select(None).unwrap().artifact.clone()
}

/// Pushes an image, lists it, pulls it and deletes it.
async fn use_it(registry: &MemoryRegistry, session: &Arc<Session>) {
    let folder = tempfile::tempdir().unwrap();
    // More than a chunk, exactly one, little, nothing.
    let layers = RandomImage::of_sizes(51, &[(9 << 20) + 1, 4 << 20, 100, 0]).unwrap();
    let (artifact, name) = (artifact(&folder, &layers).await, image("team/app:v1"));
    let pushed = push(session.clone(), &artifact, &name, PushOptions::default(), Progress::none()).await;
    assert_eq!(pushed.unwrap().to_string(), layers.digest());
    for blob in layers.blobs() {
        let digest = reposure_oci::Digest::sha256_of(&blob).to_string();
        assert_eq!(registry.blob("team/app", &digest), Some(blob));
    }
    let pulled = pull::pull_into_file_over(session, "team/app:v1", PullOptions::default()).await.unwrap();
    assert!(pulled.iter().eq(layers.blobs().iter()));

    let client = Client::new(session.clone());
    let listed = client.all_tags(2).await.unwrap();
    assert_eq!((listed.len(), listed[0].0.as_str(), listed[0].1.len()), (1, "team/app", 1));
    // A tag beside it is not lost with the one that is deleted.
    let tag = |name: &str| Reference::Tag(name.parse().unwrap());
    let manifest = client.get_manifest(&name.repository, &tag("v1")).await.unwrap();
    client.put_manifest(&name.repository, &tag("v2"), &manifest).await.unwrap();
    client.delete_tag_safely(&name.repository, &"v1".parse().unwrap()).await.unwrap();
    assert_eq!(registry.tags("team/app"), ["v2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_goes_there_and_back() {
    let registry = MemoryRegistry::start(Options::default()).await.unwrap();
    let session = open(options(&registry)).await.unwrap();
    let hello = session.hello();
    assert_eq!((session.channel_name(), hello.registry.as_str()), ("direct", "default"));
    assert_eq!((hello.upstream.host.clone(), hello.upstream.reachable), (registry.host(), true));
    use_it(&registry, &session).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_and_a_password() {
    for auth in [Auth::Basic(Users::new("ann", "hush")), Auth::bearer(Users::new("ann", "hush"))] {
        let registry =
            MemoryRegistry::start(Options { tls: true, auth, ..Options::default() }).await.unwrap();
        let session = open(DirectOptions { credentials: ann(), ..options(&registry) }).await.unwrap();
        use_it(&registry, &session).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_takes_nobodys_credentials_may_let_anyone_pull() {
    let auth = Auth::Basic(Users::new("ann", "hush"));
    let registry = MemoryRegistry::start(Options { auth, ..Options::default() }).await.unwrap();
    let session = open(options(&registry)).await.unwrap();
    assert!(!session.hello().upstream.reachable);
    let request = Request::get("/v2/_catalog").body(Bytes::new()).unwrap();
    let error = session.send(request).await.unwrap_err();
    assert_eq!((error.code(), error.hop()), (Some(Code::UpstreamDenied), "registry"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_there_or_not_trusted_is_said_at_once() {
    let registry = MemoryRegistry::start(Options { tls: true, ..Options::default() }).await.unwrap();
    let other = MemoryRegistry::start(Options { tls: true, ..Options::default() }).await.unwrap();
    let cause = |error: &Error| {
        let mut causes = std::iter::successors(error.source(), |error| (*error).source());
        let direct = causes.find_map(|error| error.downcast_ref::<DirectError>());
        direct.map(|error| (error.host.clone(), error.cause))
    };
    let wrong = DirectOptions { trust: options(&other).trust, ..options(&registry) };
    let error = open(wrong).await.unwrap_err();
    assert_eq!(cause(&error), Some((registry.host(), Cause::CertificateUntrusted)));
    let (host, options) = (registry.host(), options(&registry));
    drop(registry);
    let error = open(options).await.unwrap_err();
    assert_eq!(cause(&error), Some((host, Cause::ConnectionRefused)));
}
