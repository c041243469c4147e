//! Tokens of the registry's own, which live for a short time.

use std::time::Duration;

use http::Method;
use reposure_testing::{Auth, Options, Quirks, Users};

use crate::{
    body_limit::assert_arrives,
    harness::{CHUNK, Stage, bytes, open},
};

/// A push of many layers takes longer than a registry's token lives, and so does one of a large layer in pieces.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_outlives_the_registrys_token() {
    let (folder, lifetime) = (tempfile::tempdir().unwrap(), Duration::from_secs(2));
    std::fs::write(folder.path().join("username"), "ann").unwrap();
    std::fs::write(folder.path().join("password"), "hush").unwrap();
    let users = Users::new("ann", "hush");
    let auth =
        Auth::Bearer { users, anonymous_pull: false, expires_in: Some(lifetime), post: true, realm: None };
    let quirks = Quirks { body_limit: Some(5 << 20), ..Quirks::default() };
    let stage = Stage::with(Options { auth, quirks, ..Options::default() }, |config| {
        config.upstream.credentials = Some(folder.path().into());
    })
    .await;
    let first = bytes(1, 9 * CHUNK);
    // It goes in pieces from now on.
    assert_eq!(assert_arrives(&stage, &open(&first), &first).await, 1);
    stage.registry.change_quirks(|quirks| quirks.drain_rate = Some(3 << 20));
    stage.registry.clear_requests();
    let blob = bytes(2, 13 * CHUNK);
    assert_eq!(assert_arrives(&stage, &open(&blob), &blob).await, 0);
    let requests = stage.registry.requests();
    let asked = requests.iter().filter(|entry| entry.path == "/token").count();
    assert!(asked >= 2, "{asked} tokens for an upload of two lifetimes");
    let of_blobs = requests.iter().filter(|entry| entry.path.contains("/blobs/"));
    assert!(of_blobs.clone().any(|entry| entry.method == Method::PATCH));
    assert!(
        of_blobs.filter(|entry| entry.received > 0).all(|entry| entry.status.is_some_and(|s| s.is_success()))
    );
}
