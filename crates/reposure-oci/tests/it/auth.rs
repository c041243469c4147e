//! Credentials.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::Method;
use reposure_oci::{
    Digest, DirectTransport,
    auth::{AuthError, Credentials, CredentialsFolder, RealmRefusal},
    registry::{Client, Error, Failure},
};
use reposure_testing::{Auth, Fault, Injection, MemoryRegistry, Options, Quirks, Users};

use crate::fixture::{Fixture, basic, content, limits, name, options, streamed};

pub(crate) fn users() -> Users {
    Users { identity_token: Some("identity".into()), ..Users::new("ann", "hush") }
}

pub(crate) async fn fixture(auth: Auth, credentials: Credentials) -> Fixture {
    Fixture::with(Options { auth, ..Options::default() }, credentials).await
}

pub(crate) async fn upload(fixture: &Fixture, size: usize) -> Result<Digest, Error> {
    let (bytes, digest) = content(size);
    fixture.client.upload_monolithic(&name("a"), &digest, size as u64, streamed(&bytes, 1 << 16)).await
}

pub(crate) fn auth_error(error: &Error) -> &AuthError {
    let Failure::Transport(transport) = &*error.failure else { panic!("{error:?}") };
    transport.source.downcast_ref().unwrap()
}

#[tokio::test]
async fn name_and_password() {
    let fixture = fixture(Auth::Basic(users()), basic()).await;
    upload(&fixture, 4 << 20).await.unwrap();
    assert_eq!(fixture.registry.requests().iter().filter(|entry| entry.status.unwrap() == 401).count(), 1);
    let wrong = Credentials::Basic { username: "ann".into(), password: "wrong".into() };
    for credentials in [wrong, Credentials::Anonymous] {
        let fixture = self::fixture(Auth::Basic(users()), credentials).await;
        assert!(upload(&fixture, 10).await.unwrap_err().is_denied());
    }
}

#[tokio::test]
async fn tokens_are_fetched_for_what_is_done() {
    let fixture = fixture(Auth::bearer(users()), basic()).await;
    upload(&fixture, 4 << 20).await.unwrap();
    upload(&fixture, 10).await.unwrap();
    fixture.client.catalog().await.unwrap();
    let scopes: Vec<_> =
        fixture.registry.requests().into_iter().filter(|entry| entry.path == "/token").collect();
    assert_eq!(scopes.len(), 2, "{scopes:?}");
    assert!(scopes[0].query.contains("scope=repository%3Aa%3Apull%2Cpush"), "{scopes:?}");
    assert!(scopes[1].query.contains("scope=registry%3Acatalog%3A*"), "{scopes:?}");
}

#[tokio::test]
async fn everything_else_needs_tokens_too() {
    let fixture = fixture(Auth::bearer(users()), basic()).await;
    let (bytes, digest) = content(10);
    fixture.registry.put_blob("b", bytes);
    fixture.client.ping().await.unwrap();
    fixture.client.mount(&name("a"), &digest, &name("b")).await.unwrap();
    fixture.client.tags(&name("a")).await.unwrap();
    let session = fixture.client.start_upload(&name("a")).await.unwrap();
    fixture.client.cancel_upload(session).await.unwrap();
    fixture.put_image("a", "v1", 1);
    fixture.client.delete_tag_safely(&name("a"), &"v1".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced() {
    let fixture = fixture(Auth::bearer(users()), basic()).await;
    upload(&fixture, 10).await.unwrap();
    fixture.registry.revoke_tokens();
    upload(&fixture, 10).await.unwrap();
    assert_eq!(fixture.registry.count(&Method::GET, "/token"), 2);
}

#[tokio::test]
async fn a_stream_has_a_token_before_it_begins() {
    let short = Auth::Bearer {
        users: users(),
        anonymous_pull: false,
        expires_in: Some(Duration::from_secs(2)),
        post: true,
        realm: None,
    };
    let fixture = fixture(short, basic()).await;
    let mut session = fixture.client.start_upload(&name("a")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    fixture.client.patch_stream(&mut session, streamed(&content(4 << 20).0, 1 << 16)).await.unwrap();
}

#[tokio::test]
async fn anyone_may_pull_where_that_is_allowed() {
    let open =
        Auth::Bearer { users: users(), anonymous_pull: true, expires_in: None, post: true, realm: None };
    let fixture = fixture(open, Credentials::Anonymous).await;
    let (bytes, digest) = content(10);
    fixture.registry.put_blob("a", bytes.clone());
    assert_eq!(fixture.client.get_blob(&name("a"), &digest, 10).await.unwrap(), bytes);
    assert!(upload(&fixture, 10).await.unwrap_err().is_denied());
}

#[tokio::test]
async fn wrong_passwords_are_told() {
    let wrong = Credentials::Basic { username: "ann".into(), password: "wrong".into() };
    let fixture = fixture(Auth::bearer(users()), wrong).await;
    let error = upload(&fixture, 10).await.unwrap_err();
    assert!(error.is_denied() && !error.is_transient());
    assert!(matches!(auth_error(&error), AuthError::Denied { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("wrong"));
}

#[tokio::test]
async fn identity_tokens_are_exchanged() {
    let token = Credentials::IdentityToken { username: "ann".into(), token: "identity".into() };
    let fixture = fixture(Auth::bearer(users()), token).await;
    upload(&fixture, 10).await.unwrap();
    assert_eq!(fixture.registry.count(&Method::POST, "/token"), 1);
    assert_eq!(fixture.registry.count(&Method::GET, "/token"), 0);
}

/// And where the newest one is refused, the first one is tried: the realm may have been set up anew.
#[tokio::test]
async fn an_identity_token_that_a_realm_replaces_is_replaced() {
    let token = Credentials::IdentityToken { username: "ann".into(), token: "identity".into() };
    let quirks = Quirks { identity_once: true, ..Quirks::default() };
    let auth = Auth::bearer(users());
    let fixture = Fixture::with(Options { auth, quirks, ..Options::default() }, token).await;
    for repository in ["a", "b", "c"] {
        let (bytes, digest) = content(10);
        let body = streamed(&bytes, 1 << 16);
        fixture.client.upload_monolithic(&name(repository), &digest, 10, body).await.unwrap();
    }
    assert_eq!(fixture.registry.count(&Method::POST, "/token"), 3);
    assert_eq!(fixture.registry.count(&Method::GET, "/token"), 0);
    fixture.registry.forget_identity();
    assert!(!fixture.client.tags(&name("d")).await.unwrap_err().is_denied(), "there is none");
    assert_eq!(fixture.registry.count(&Method::POST, "/token"), 5);
}

#[tokio::test]
async fn identity_tokens_are_sent_as_passwords_where_they_are_not_exchanged() {
    let only_get = Auth::Bearer {
        users: Users::new("ann", "identity"),
        anonymous_pull: false,
        expires_in: None,
        post: false,
        realm: None,
    };
    let token = Credentials::IdentityToken { username: "ann".into(), token: "identity".into() };
    let fixture = fixture(only_get, token).await;
    upload(&fixture, 10).await.unwrap();
}

#[tokio::test]
async fn a_realm_that_refuses_a_post_is_asked_by_get() {
    for status in [400, 401, 404, 405] {
        let users = Users::new("ann", "identity");
        let token = Credentials::IdentityToken { username: "ann".into(), token: "identity".into() };
        let fixture = fixture(Auth::bearer(users), token).await;
        fixture.registry.inject(Injection::next(Method::POST, "/token", Fault::status(status)));
        upload(&fixture, 10).await.unwrap();
        assert_eq!(fixture.registry.count(&Method::GET, "/token"), 1, "{status}");
    }
}

#[tokio::test]
async fn a_mount_asks_for_both_repositories_the_target_first() {
    let fixture = fixture(Auth::bearer(users()), basic()).await;
    let (bytes, digest) = content(10);
    fixture.registry.put_blob("b", bytes);
    fixture.client.mount(&name("a"), &digest, &name("b")).await.unwrap();
    let asked = fixture.registry.requests().into_iter().find(|entry| entry.path == "/token").unwrap();
    let expected = "scope=repository%3Aa%3Apull%2Cpush&scope=repository%3Ab%3Apull";
    assert!(asked.query.ends_with(expected), "{}", asked.query);
}

#[tokio::test]
async fn credentials_go_to_no_other_realm() {
    let other = MemoryRegistry::start(Options::default()).await.unwrap();
    let realm = Some(format!("{}/token", other.url()));
    let auth = Auth::Bearer { users: users(), anonymous_pull: false, expires_in: None, post: true, realm };
    let fixture = fixture(auth.clone(), basic()).await;
    let error = upload(&fixture, 10).await.unwrap_err();
    assert!(
        matches!(auth_error(&error), AuthError::Realm { source: RealmRefusal::Private, .. }),
        "{error:?}"
    );
    assert!(other.requests().is_empty());

    let mut direct = options(&fixture.registry);
    direct.credentials = Arc::new(reposure_oci::auth::FixedCredentials::from(basic()));
    direct.realm = Some(format!("{}/token", fixture.registry.url()).parse().unwrap());
    let client = Client::with_limits(DirectTransport::new(direct).unwrap(), limits());
    client.ping().await.unwrap();
}

#[tokio::test]
async fn a_realm_that_fails_is_told() {
    let fixture = fixture(Auth::bearer(users()), basic()).await;
    for (fault, transient) in [(Fault::status(503), true), (Fault::html(200), false), (Fault::Endless, true)]
    {
        let times = if transient { limits().attempts as usize } else { 1 };
        fixture.registry.inject(Injection { method: None, path: "/token".into(), skip: 0, times, fault });
        let error = fixture.client.ping().await.unwrap_err();
        assert_eq!(error.is_transient(), transient, "{error:?}");
        assert!(!error.is_denied());
    }
}

#[tokio::test]
async fn a_realm_is_asked_again_when_it_says_so() {
    let identity = Credentials::IdentityToken { username: "ann".into(), token: "identity".into() };
    for (method, credentials) in [(Method::GET, basic()), (Method::POST, identity)] {
        let fixture = fixture(Auth::bearer(users()), credentials).await;
        let is_asked = || fixture.registry.count(&method, "/token");
        let busy = |seconds| Injection::next(method.clone(), "/token", Fault::retry_after(429, seconds));
        fixture.registry.inject(busy(1));
        let begun = Instant::now();
        fixture.client.ping().await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(1));
        assert_eq!(is_asked(), 2);

        fixture.registry.revoke_tokens();
        fixture.registry.inject(busy(3600));
        let error = fixture.client.ping().await.unwrap_err();
        assert!(error.is_transient() && error.operation.tries == 1);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
        let told = auth_error(&error).to_string();
        assert!(told.ends_with("429 Too Many Requests, to be asked again in 3600 s"), "{told}");
        assert_eq!(is_asked(), 3);
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_told() {
    let registry = MemoryRegistry::start(Options::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut direct = options(&registry);
    direct.credentials = Arc::new(CredentialsFolder::new(folder.path(), [registry.host()]));
    let client = Client::new(DirectTransport::new(direct).unwrap());
    let error = client.ping().await.unwrap_err();
    assert!(matches!(auth_error(&error), AuthError::Credentials(_)));
    assert!(registry.requests().is_empty());
    std::fs::write(folder.path().join("token"), "t").unwrap();
    client.ping().await.unwrap();
    let sent = registry.requests().pop().unwrap();
    assert!(sent.headers.contains(&("authorization".into(), "Bearer".into())));
}
