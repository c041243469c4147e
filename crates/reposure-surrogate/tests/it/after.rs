//! Manifests that wait for their blobs.

use std::time::Duration;

use http::{Method, Request};
use reposure_oci::Digest;
use reposure_parcel::{
    after,
    exists::{Exists, Missing},
    hello::Hello,
    problem::Code,
    whole, wire,
};
use tokio::time::{sleep, timeout};

use crate::harness::{Answer, REPOSITORY, Stage, SurrogateClient, bytes};

const MANIFEST: &str = r#"{"schemaVersion":2}"#;

/// Puts a manifest behind some blobs.
async fn put(client: &SurrogateClient, path: &str, value: &str) -> Answer {
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let request = Request::put(path).header("content-type", media_type).header(after::HEADER, value);
    client.send(request.header(wire::ASYNC_HEADER, "1"), MANIFEST).await
}

fn path(reference: &str) -> String {
    format!("/v2/{REPOSITORY}/manifests/{reference}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_is_stored_when_the_last_of_its_blobs_is() {
    let stage = Stage::start().await;
    let hello: Hello = stage.client.get(wire::HELLO).await.json();
    assert!(hello.can(after::CAPABILITY));
    let blobs = [1, 2].map(|seed| bytes(seed, 100));
    let digests: Vec<_> = blobs.iter().map(Digest::sha256_of).collect();
    let (client, value) = (stage.client.clone(), after::value(&digests));
    let manifest = tokio::spawn(async move { put(&client, &path("v1"), &value).await });
    for (blob, digest) in blobs.into_iter().zip(&digests) {
        // Long enough for what does not wait.
        sleep(Duration::from_millis(200)).await;
        assert!(!manifest.is_finished() && stage.registry.manifest(REPOSITORY, "v1").is_none());
        let path = whole::path(&REPOSITORY.parse().unwrap(), digest);
        assert_eq!(stage.client.send(Request::put(path), blob).await.status, 201);
    }
    let answer = timeout(Duration::from_secs(5), manifest).await.unwrap().unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(stage.registry.manifest(REPOSITORY, "v1").unwrap(), MANIFEST);
    // What is there is not waited for.
    let again = put(&stage.client, &path("v2"), &after::value(&digests)).await;
    assert_eq!(again.status, 201, "{again:?}");
}

/// A registry that has lost one says so when it is asked, whatever was there before.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_whose_blobs_do_not_come_is_not_stored() {
    let stage = Stage::start().await;
    let (blob, repository) = (bytes(1, 100), REPOSITORY.parse().unwrap());
    let digest = Digest::sha256_of(&blob);
    assert_eq!(stage.client.send(Request::put(whole::path(&repository, &digest)), blob).await.status, 201);
    let gone = stage.client.method(Method::DELETE, &format!("/v2/{REPOSITORY}/blobs/{digest}")).await;
    assert_eq!(gone.status, 202, "{gone:?}");
    let wish = Exists { repository, digests: vec![digest.clone()], uploads: 0 };
    let missing: Missing = stage.client.post(wire::EXISTS, &wish).await.json();
    assert_eq!(missing.missing, wish.digests);
    let value = after::value(&[digest]);
    let problem = put(&stage.client, &path("v1"), &value).await.problem();
    assert_eq!((problem.code, problem.transient), (Code::UpstreamBusy, true));
    assert!(stage.registry.manifest(REPOSITORY, "v1").is_none());
}

/// Who has given up may have pushed something else under the same name meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_goes_with_its_client() {
    let stage = Stage::start().await;
    let (blob, repository) = (bytes(1, 100), REPOSITORY.parse().unwrap());
    let digest = Digest::sha256_of(&blob);
    let (client, value) =
        (SurrogateClient::new(&stage.surrogate), after::value(std::slice::from_ref(&digest)));
    let manifest = tokio::spawn(async move { put(&client, &path("v1"), &value).await });
    sleep(Duration::from_millis(300)).await;
    manifest.abort();
    assert!(manifest.await.unwrap_err().is_cancelled());
    sleep(Duration::from_millis(300)).await;
    assert_eq!(stage.client.send(Request::put(whole::path(&repository, &digest)), blob).await.status, 201);
    sleep(Duration::from_millis(300)).await;
    assert!(stage.registry.manifest(REPOSITORY, "v1").is_none());
}

#[tokio::test]
async fn what_waits_is_a_manifest_and_what_is_waited_for_are_digests() {
    let stage = Stage::start().await;
    let digest = Digest::sha256_of(b"blob").to_string();
    for (path, value) in [
        (path("v1"), ""),
        (path("v1"), "latest"),
        (path("v1"), vec![digest.as_str(); after::MOST + 1].join(",").as_str()),
        (format!("/v2/{REPOSITORY}/blobs/{digest}"), digest.as_str()),
    ] {
        assert_eq!(put(&stage.client, &path, value).await.code(), Code::BadRequest, "{path} {value}");
    }
}
