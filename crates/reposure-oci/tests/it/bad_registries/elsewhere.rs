//! Other hosts that a registry sends a client to: realms, and storage of blobs.

use std::sync::Arc;

use reposure_oci::{
    DirectTransport, Scheme, auth::FixedCredentials, registry::Client, remote::fetch, sink::write_artifact,
};
use reposure_testing::{Auth, Options, RawServer, Users};

use super::{Bad, DEADLINE, answers, bad, cuts, short, text};
use crate::fixture::{Fixture, basic, content, name, options};

/// All that another host may do instead of answering over HTTP.
fn all() -> impl Iterator<Item = Bad> {
    let cut = cuts().into_iter().filter(|(_, scheme, _)| *scheme == Scheme::Http);
    answers().into_iter().chain(cut.map(|(what, _, answer)| bad(what, answer)))
}

#[tokio::test]
async fn a_realm_that_breaks_off_or_never_ends_is_told_with_its_url() {
    let auth = Auth::bearer(Users::new("ann", "hush"));
    let fixture = Fixture::with(Options { auth, ..Options::default() }, basic()).await;
    for Bad { what, answer, status, .. } in all() {
        let realm = RawServer::start(answer).await.unwrap();
        let mut direct = options(&fixture.registry);
        direct.credentials = Arc::new(FixedCredentials::from(basic()));
        direct.realm = Some(format!("http://{}/token", realm.host()).parse().unwrap());
        let client = Client::with_limits(DirectTransport::new(direct).unwrap(), short(1));
        let asked = tokio::time::timeout(DEADLINE, client.head_blob(&name("a"), &content(10).1)).await;
        let error = text(&asked.unwrap_or_else(|_| panic!("{what} does not end")).unwrap_err());
        assert!(error.contains("/v2/a/blobs/"), "{what}: {error}");
        // What never ends may only be known to be late.
        if error.contains("there was no answer within") {
            assert!(error.contains(&fixture.registry.host()), "{what}: {error}");
            continue;
        }
        assert!(error.contains(&format!("{}/token", realm.host())), "{what}: {error}");
        assert!(status.is_none_or(|status| error.contains(status)), "{what}: {error}");
        assert_eq!(error.contains("a web page"), what == "a web page", "{what}: {error}");
    }
}

#[tokio::test]
async fn storage_that_breaks_off_or_never_ends_is_told_with_the_blobs_url() {
    let fixture = Fixture::new().await.with_limits(short(2));
    fixture.put_image("a", "v1", 1);
    for Bad { what, answer, .. } in all() {
        let storage = RawServer::start(answer).await.unwrap();
        fixture
            .registry
            .change_quirks(|quirks| quirks.redirect_blobs = Some(format!("http://{}", storage.host())));
        let artifact = fetch(&fixture.client, &"a:v1".parse().unwrap(), None).await.unwrap();
        let read = write_artifact(&artifact, Vec::new(), tokio::io::sink());
        let read = tokio::time::timeout(DEADLINE, read).await;
        let error = text(&read.unwrap_or_else(|_| panic!("{what} does not end")).unwrap_err());
        let is_told = [fixture.registry.host(), storage.host()].iter().any(|host| error.contains(host));
        assert!(is_told && error.contains("/v2/a/blobs/"), "{what}: {error}");
    }
}
