//! OpenShift's form of authentication: tokens of the API server, as passwords or as they are.

use http::Method;
use reposure_oci::{
    auth::{AuthError, Credentials},
    registry::Error,
};
use reposure_testing::{Auth, Cluster, Entry, Rule};

use crate::{
    auth::{auth_error, fixture},
    fixture::{Fixture, content, name, streamed},
};

/// A registry of OpenShift's, where the bearer of `editor` may push to `project`, and anyone may pull from it.
async fn start(credentials: Credentials) -> Fixture {
    let cluster = Cluster::new(&["project", "closed"]);
    cluster.allow("editor", Rule::editor("project"));
    cluster.allow("", Rule::all("project", &["imagestreams/layers"], &["get"]));
    let fixture = fixture(Auth::OpenShift(cluster), credentials).await;
    let (bytes, _) = content(10);
    fixture.registry.put_blob("project/app", bytes);
    fixture
}

/// Stores a blob and reads it back.
async fn store(fixture: &Fixture, repository: &str) -> Result<(), Error> {
    let ((bytes, digest), repository) = (content(100_000), name(repository));
    fixture.client.upload_monolithic(&repository, &digest, 100_000, streamed(&bytes, 1 << 16)).await?;
    assert_eq!(fixture.client.get_blob(&repository, &digest, 100_000).await?, bytes);
    Ok(())
}

#[tokio::test]
async fn a_password_comes_back_as_a_token() {
    let token = Credentials::Basic { username: "anybody".into(), password: "editor".into() };
    let fixture = start(token).await;
    store(&fixture, "project/app").await.unwrap();
    fixture.put_image("project/app", "v1", 1);
    fixture.client.tags(&name("project/app")).await.unwrap();
    let requests = fixture.registry.requests();
    let (tokens, others): (Vec<_>, Vec<_>) =
        requests.into_iter().partition(|entry| entry.path == "/openshift/token");
    let asked: Vec<_> = tokens.iter().map(|entry| entry.query.as_str()).collect();
    let scope = |actions: &str| format!("scope=repository%3Aproject%2Fapp%3A{actions}");
    assert_eq!(asked, [scope("pull%2Cpush"), scope("pull")], "the realm has no service");
    let scheme = |entry: &Entry| {
        entry.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value.clone())
    };
    assert!(tokens.iter().all(|entry| scheme(entry).unwrap() == "Basic"));
    assert!(others[1..].iter().all(|entry| scheme(entry).unwrap() == "Bearer"), "{others:?}");
}

#[tokio::test]
async fn a_token_is_taken_as_it_is() {
    let fixture = start(Credentials::Bearer("editor".into())).await;
    store(&fixture, "project/app").await.unwrap();
    assert_eq!(fixture.registry.count(&Method::GET, "/openshift/token"), 0);
    assert!(fixture.registry.requests().iter().all(|entry| entry.status.unwrap() != 401));
}

#[tokio::test]
async fn there_is_a_token_for_nobody() {
    let fixture = start(Credentials::Anonymous).await;
    let (bytes, digest) = content(10);
    assert_eq!(fixture.client.get_blob(&name("project/app"), &digest, 10).await.unwrap(), bytes);
    assert_eq!(fixture.registry.count(&Method::GET, "/openshift/token"), 1);
    assert!(store(&fixture, "project/app").await.unwrap_err().is_denied());
}

#[tokio::test]
async fn other_projects_and_other_tokens_are_refused() {
    let editor = || Credentials::Basic { username: "anybody".into(), password: "editor".into() };
    let wrong = Credentials::Basic { username: "anybody".into(), password: "wrong".into() };
    for credentials in [Credentials::Bearer("editor".into()), editor()] {
        let fixture = start(credentials).await;
        for repository in ["closed/app", "missing/app"] {
            let error = store(&fixture, repository).await.unwrap_err();
            assert!(error.is_denied() && !error.is_transient(), "{error:?}");
        }
        // Its refusal names `Basic`, which it takes too.
        store(&fixture, "project/app").await.unwrap();
    }
    let error = store(&start(wrong).await, "project/app").await.unwrap_err();
    assert!(matches!(auth_error(&error), AuthError::Denied { .. }), "{error:?}");
}
