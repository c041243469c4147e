//! What registries say that they want, in other forms than one challenge in each refusal.

use std::sync::Arc;

use http::Method;
use reposure_oci::{
    DirectTransport,
    auth::{AuthError, Credentials, FixedCredentials},
    registry::Client,
};
use reposure_testing::{Auth, Fault, Injection, MemoryRegistry, Options};

use crate::{
    auth::{auth_error, fixture, upload, users},
    fixture::{basic, content, limits, name, options},
};

fn both(realm: Option<&str>) -> Auth {
    Auth::Both { users: users(), realm: realm.map(Into::into) }
}

#[tokio::test]
async fn of_two_challenges_tokens_are_taken() {
    let fixture = fixture(both(None), basic()).await;
    for _ in 0..2 {
        upload(&fixture, 10).await.unwrap();
    }
    let requests = fixture.registry.requests();
    let tokens: Vec<_> = requests.iter().filter(|entry| entry.path == "/v2/token").collect();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert_eq!(tokens[0].query, "scope=repository%3Aa%3Apull%2Cpush", "the challenge has no service");
    let bearer = ("authorization".to_owned(), "Bearer".to_owned());
    assert!(
        requests
            .iter()
            .filter(|entry| entry.method == Method::PUT)
            .all(|entry| entry.headers.contains(&bearer))
    );
}

#[tokio::test]
async fn a_password_is_sent_where_the_realm_is_out_of_reach() {
    // An address that credentials are not sent to, and a name that nobody knows.
    for realm in ["http://127.0.0.1:1/v2/token", "http://git.invalid/v2/token"] {
        let fixture = fixture(both(Some(realm)), basic()).await;
        upload(&fixture, 10).await.unwrap();
        let (_, digest) = content(10);
        assert_eq!(fixture.client.head_blob(&name("a"), &digest).await.unwrap(), Some(10));
        let wrong = Credentials::Basic { username: "ann".into(), password: "wrong".into() };
        assert!(upload(&self::fixture(both(Some(realm)), wrong).await, 10).await.unwrap_err().is_denied());
        let nobody = self::fixture(both(Some(realm)), Credentials::Anonymous).await;
        let error = upload(&nobody, 10).await.unwrap_err();
        assert!(
            matches!(auth_error(&error), AuthError::Realm { .. } | AuthError::Unreachable { .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_realm_that_is_out_of_reach_is_not_asked_each_time() {
    for fault in [Fault::DropAfter(0), Fault::html(200), Fault::status(404), Fault::status(502)] {
        let other = MemoryRegistry::start(Options::default()).await.unwrap();
        other.inject(Injection { method: None, path: "/token".into(), skip: 0, times: 100, fault });
        let registry =
            MemoryRegistry::start(Options { auth: both(None), ..Options::default() }).await.unwrap();
        let mut direct = options(&registry);
        direct.credentials = Arc::new(FixedCredentials::from(basic()));
        direct.realm = Some(format!("{}/token", other.url()).parse().unwrap());
        let client = Client::with_limits(DirectTransport::new(direct).unwrap(), limits());
        for repository in ["a", "b", "c"] {
            client.start_upload(&name(repository)).await.unwrap();
        }
        assert_eq!(other.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_refusal_without_a_challenge_means_that_of_the_registry() {
    for auth in [Auth::bearer(users()), Auth::Basic(users())] {
        let fixture = fixture(auth, basic()).await;
        fixture.registry.change_quirks(|quirks| quirks.bare_401 = true);
        upload(&fixture, 10).await.unwrap();
        fixture.registry.revoke_tokens();
        upload(&fixture, 10).await.unwrap();
        fixture.client.catalog().await.unwrap();
    }
    let wrong = Credentials::Basic { username: "ann".into(), password: "wrong".into() };
    let fixture = fixture(Auth::Basic(users()), wrong).await;
    fixture.registry.change_quirks(|quirks| quirks.bare_401 = true);
    assert!(upload(&fixture, 10).await.unwrap_err().is_denied());
}
