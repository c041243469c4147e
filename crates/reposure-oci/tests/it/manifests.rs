//! Manifests.

use bytes::Bytes;
use http::Method;
use reposure_oci::{
    Algorithm, Digest, Digester, MediaType, RawManifest, Reference,
    registry::{ErrorCode, Failure, TagDeletion},
};
use reposure_testing::{DigestHeader, Fault, Injection, RandomImage, TagDelete};

use crate::fixture::{Fixture, failure, manifest, name};

fn latest() -> Reference {
    "latest".parse().unwrap()
}

#[tokio::test]
async fn what_is_stored_is_read_back() {
    let fixture = Fixture::new().await;
    let (client, repository) = (&fixture.client, name("a/b"));
    let image = RandomImage::new(1, 2, 1000).unwrap();
    for blob in image.blobs() {
        let size = blob.len() as u64;
        let digest = Digest::sha256_of(&blob);
        client
            .upload_monolithic(&repository, &digest, size, crate::fixture::streamed(&blob, 100))
            .await
            .unwrap();
    }
    let stored = client.put_manifest(&repository, &latest(), &manifest(&image)).await.unwrap();
    assert_eq!(stored.to_string(), image.digest());
    assert_eq!(client.get_manifest(&repository, &latest()).await.unwrap(), manifest(&image));
    let by_digest = Reference::Digest(stored);
    assert_eq!(client.get_manifest(&repository, &by_digest).await.unwrap(), manifest(&image));
    let head = client.head_manifest(&repository, &latest()).await.unwrap().unwrap();
    assert_eq!(head, manifest(&image).descriptor());
}

#[tokio::test]
async fn digests_need_not_be_named() {
    let fixture = Fixture::with_quirks(|quirks| quirks.digest_header = DigestHeader::Absent).await;
    let (client, repository) = (&fixture.client, name("a"));
    let digest = fixture.put_image("a", "latest", 1);
    assert_eq!(client.head_manifest(&repository, &latest()).await.unwrap().unwrap().digest, digest);
    let manifest = client.get_manifest(&repository, &latest()).await.unwrap();
    fixture.registry.clear_requests();
    client.put_manifest(&repository, &"v2".parse().unwrap(), &manifest).await.unwrap();
    assert_eq!(fixture.registry.count(&Method::HEAD, "/manifests/v2"), 1, "it is confirmed");
}

#[tokio::test]
async fn wrong_digests_are_refused() {
    let fixture = Fixture::with_quirks(|quirks| quirks.digest_header = DigestHeader::Wrong).await;
    let (client, repository) = (&fixture.client, name("a"));
    fixture.put_image("a", "latest", 1);
    let read = client.get_manifest(&repository, &latest()).await;
    assert!(matches!(failure(read), Failure::Digest { .. }));
    fixture.registry.change_quirks(|quirks| quirks.digest_header = DigestHeader::Right);
    let manifest = client.get_manifest(&repository, &latest()).await.unwrap();
    fixture.registry.change_quirks(|quirks| quirks.digest_header = DigestHeader::Wrong);
    let stored = client.put_manifest(&repository, &latest(), &manifest).await;
    assert!(matches!(failure(stored), Failure::Digest { .. }));
}

#[tokio::test]
async fn other_content_than_was_asked_for_is_refused() {
    let fixture = Fixture::with_quirks(|quirks| quirks.digest_header = DigestHeader::Absent).await;
    let digest = fixture.put_image("a", "latest", 1);
    let answer = Fault::Answer { status: 200, headers: Vec::new(), body: "{}".into() };
    fixture.registry.inject(Injection::next(Method::GET, "/manifests/", answer));
    let read = fixture.client.get_manifest(&name("a"), &Reference::Digest(digest.clone())).await;
    let Failure::Digest { expected, actual } = failure(read) else { panic!("no digest") };
    assert_eq!((expected, actual), (digest, Digest::sha256_of("{}")));
}

#[tokio::test]
async fn a_manifest_has_a_limit() {
    let fixture = Fixture::new().await;
    fixture.registry.inject(Injection::next(Method::GET, "/manifests/", Fault::Endless));
    let read = fixture.client.get_manifest(&name("a"), &latest()).await;
    assert!(matches!(failure(read), Failure::TooLarge(limit) if limit == 4 << 20));
}

#[tokio::test]
async fn what_is_missing_is_not_found() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.client.head_manifest(&name("a"), &latest()).await.unwrap(), None);
    let error = fixture.client.get_manifest(&name("a"), &latest()).await.unwrap_err();
    assert!(error.is_not_found() && !error.is_denied() && !error.is_transient());
    let url = format!("{}/v2/a/manifests/latest", fixture.registry.url());
    assert_eq!(error.to_string(), format!("cannot read manifest latest of a (GET {url})"));
    assert_eq!(
        error.failure.to_string(),
        "the registry answered 404 Not Found: MANIFEST_UNKNOWN (manifest unknown)"
    );
    let manifest = manifest(&RandomImage::new(1, 1, 10).unwrap());
    let error = fixture.client.put_manifest(&name("a"), &latest(), &manifest).await.unwrap_err();
    assert!(error.has_code(&reposure_oci::registry::ErrorCode::ManifestBlobUnknown));
}

#[tokio::test]
async fn a_manifest_under_another_digest_is_not_sent() {
    let fixture = Fixture::new().await;
    let manifest = RawManifest::new(MediaType::OCI_MANIFEST, Bytes::from("{}")).unwrap();
    let other = Reference::Digest(Digest::sha256_of("other"));
    let stored = fixture.client.put_manifest(&name("a"), &other, &manifest).await;
    assert!(matches!(failure(stored), Failure::Digest { .. }));
    assert!(fixture.registry.requests().is_empty());
}

/// SHA-512 is as good as SHA-256, for whoever has it.
#[tokio::test]
async fn a_manifest_has_the_digest_that_it_was_asked_for_by() {
    let fixture = Fixture::new().await;
    let (client, repository) = (&fixture.client, name("a"));
    let body = r#"{"schemaVersion": 2}"#;
    let mut digester = Digester::new(Algorithm::Sha512);
    digester.update(body.as_bytes());
    let digest = digester.finish();
    let headers = vec![("content-type".to_owned(), MediaType::OCI_MANIFEST.to_string())];
    let inject = |body: &str| {
        let fault = Fault::Answer { status: 200, headers: headers.clone(), body: body.into() };
        fixture.registry.inject(Injection::next(Method::GET, format!("/manifests/{digest}"), fault));
    };
    let reference = Reference::Digest(digest.clone());
    inject(body);
    let manifest = client.get_manifest(&repository, &reference).await.unwrap();
    assert_eq!((manifest.digest(), manifest.bytes().as_ref()), (&digest, body.as_bytes()));
    // A registry that knows it by the other algorithm has stored it all the same.
    let stored = client.put_manifest(&repository, &latest(), &manifest).await.unwrap();
    assert_eq!(stored, digest);
    inject(r#"{"schemaVersion": 3}"#);
    let error = client.get_manifest(&repository, &reference).await.unwrap_err();
    assert!(matches!(*error.failure, Failure::Digest { .. }), "{error}");
}

/// As ECR wants it.
#[tokio::test]
async fn every_manifest_that_is_made_here_says_what_it_is() {
    let fixture = Fixture::with_quirks(|quirks| {
        (quirks.media_type_wanted, quirks.tag_delete) = (true, TagDelete::DigestInvalid);
    })
    .await;
    let (client, repository) = (&fixture.client, name("a"));
    let subject = fixture.put_image("a", "one", 1);
    fixture.put_image("a", "same", 1);
    // The index of referrers.
    let mut bytes: serde_json::Value =
        serde_json::from_slice(manifest(&RandomImage::new(2, 0, 0).unwrap()).bytes()).unwrap();
    fixture.registry.put_blob("a", RandomImage::new(2, 0, 0).unwrap().blobs().remove(0));
    bytes["subject"] =
        serde_json::json!({"mediaType": MediaType::OCI_MANIFEST, "digest": subject, "size": 1});
    let referrer = RawManifest::new(MediaType::OCI_MANIFEST, bytes.to_string().into()).unwrap();
    client.put_manifest(&repository, &Reference::Digest(referrer.digest().clone()), &referrer).await.unwrap();
    let fallback = subject.to_string().replace(':', "-");
    assert_eq!(fixture.registry.tags("a"), ["one", "same", &fallback]);
    // The dummy by which a tag is deleted.
    let deleted = client.delete_tag_safely(&repository, &"one".parse().unwrap()).await.unwrap();
    assert_eq!(deleted, TagDeletion::TagByDummy);
    assert_eq!(fixture.registry.tags("a"), ["same", &fallback]);
    // What others have made goes as it is, and it is told why that does not go.
    bytes.as_object_mut().unwrap().remove("mediaType");
    let bare = RawManifest::new(MediaType::OCI_MANIFEST, bytes.to_string().into()).unwrap();
    let error = client.put_manifest(&repository, &latest(), &bare).await.unwrap_err();
    assert!(error.has_code(&ErrorCode::ManifestInvalid) && !error.is_immutable(), "{error:?}");
    assert!(error.failure.to_string().contains("Invalid JSON syntax"), "{}", error.failure);
}
