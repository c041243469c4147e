//! Referrers: the registry's own list, and the index under a tag that stands in for it.

use http::Method;
use reposure_oci::{
    Digest, MediaType, RawManifest, Reference, Referrer,
    referrer::{cosign_tags, fallback_tag},
    transfer::{Progress, PushOptions, copy, copy_with_referrers},
};
use reposure_testing::{Fault, Injection};

use crate::fixture::{Fixture, failure, name};

const EMPTY: &str = "{}";

/// A manifest that refers to another one.
fn referrer(subject: &Digest, kind: &str, number: usize) -> RawManifest {
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "artifactType": kind,
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": Digest::sha256_of(EMPTY),
            "size": EMPTY.len(),
        },
        "layers": [],
        "subject": {"mediaType": MediaType::OCI_MANIFEST, "digest": subject, "size": 1},
        "annotations": {"number": number.to_string()},
    });
    RawManifest::new(MediaType::OCI_MANIFEST, manifest.to_string().into()).unwrap()
}

async fn push(fixture: &Fixture, manifest: &RawManifest) {
    fixture.registry.put_blob("a", EMPTY);
    let reference = Reference::Digest(manifest.digest().clone());
    fixture.client.put_manifest(&name("a"), &reference, manifest).await.unwrap();
}

async fn list(fixture: &Fixture, subject: &Digest, kind: Option<&str>) -> Vec<Referrer> {
    fixture.client.referrers(&name("a"), subject, kind).await.unwrap()
}

fn digests(referrers: &[Referrer]) -> Vec<Digest> {
    let mut digests: Vec<_> = referrers.iter().map(|referrer| referrer.descriptor.digest.clone()).collect();
    digests.sort();
    digests
}

fn of(manifests: &[RawManifest]) -> Vec<Digest> {
    let mut digests: Vec<_> = manifests.iter().map(|manifest| manifest.digest().clone()).collect();
    digests.sort();
    digests
}

#[tokio::test]
async fn the_registrys_own_list_is_read_to_its_end() {
    for filters in [true, false] {
        let fixture = Fixture::with_quirks(|quirks| {
            (quirks.referrers, quirks.filters, quirks.page) = (true, filters, 2);
        })
        .await;
        let subject = fixture.put_image("a", "v1", 1);
        let manifests: Vec<_> =
            (0..5).map(|number| referrer(&subject, if number < 3 { "a/b" } else { "c/d" }, number)).collect();
        for manifest in &manifests {
            push(&fixture, manifest).await;
        }
        assert_eq!(fixture.registry.tags("a"), ["v1"], "the registry keeps the list itself");
        assert_eq!(digests(&list(&fixture, &subject, None).await), of(&manifests));
        let found = list(&fixture, &subject, Some("a/b")).await;
        assert_eq!(digests(&found), of(&manifests[..3]), "filtered by the registry: {filters}");
        assert_eq!(found[0].artifact_type.as_deref(), Some("a/b"));
        assert!(list(&fixture, &Digest::sha256_of("missing"), None).await.is_empty());
    }
}

#[tokio::test]
async fn a_tag_stands_in_for_the_list() {
    for etags in [true, false] {
        let fixture = Fixture::with_quirks(|quirks| quirks.etags = etags).await;
        let subject = fixture.put_image("a", "v1", 1);
        assert!(list(&fixture, &subject, None).await.is_empty());
        let manifests = [referrer(&subject, "a/b", 1), referrer(&subject, "c/d", 2)];
        for manifest in manifests.iter().chain(&manifests) {
            push(&fixture, manifest).await;
        }
        assert_eq!(fixture.registry.tags("a"), [fallback_tag(&subject).to_string(), "v1".into()]);
        let found = list(&fixture, &subject, None).await;
        assert_eq!((found.len(), digests(&found)), (2, of(&manifests)), "none is there twice");
        let found = list(&fixture, &subject, Some("c/d")).await;
        assert_eq!(found, [Referrer::of(&manifests[1]).unwrap().1], "annotations are copied");
    }
}

#[tokio::test]
async fn what_others_wrote_into_the_index_stays() {
    let fixture = Fixture::new().await;
    let subject = fixture.put_image("a", "v1", 1);
    let other = referrer(&subject, "a/b", 1);
    let index = serde_json::json!({
        "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "annotations": {"by": "another"},
        "manifests": [{
            "mediaType": MediaType::OCI_MANIFEST, "digest": other.digest(), "size": other.bytes().len(), "data": "eA==",
        }],
    });
    let tag = fallback_tag(&subject).to_string();
    fixture.registry.put_manifest("a", Some(&tag), MediaType::OCI_INDEX.as_str(), index.to_string());
    fixture.registry.put_manifest("a", None, MediaType::OCI_MANIFEST.as_str(), other.bytes().clone());
    push(&fixture, &referrer(&subject, "c/d", 2)).await;
    let now: serde_json::Value =
        serde_json::from_slice(&fixture.registry.manifest("a", &tag).unwrap()).unwrap();
    assert_eq!(now["annotations"], index["annotations"]);
    assert_eq!((&now["manifests"][0], now["manifests"][1].is_object()), (&index["manifests"][0], true));
}

#[tokio::test]
async fn two_clients_that_note_referrers_at_once_lose_none() {
    for etags in [true, false] {
        let fixture = Fixture::with_quirks(|quirks| quirks.etags = etags).await;
        let subject = fixture.put_image("a", "v1", 1);
        fixture.registry.put_blob("a", EMPTY);
        let tag = fallback_tag(&subject).to_string();
        let (mine, theirs) = (referrer(&subject, "a/b", 1), referrer(&subject, "a/b", 2));
        // Their index is stored after ours was confirmed, from what was there before.
        let lost = Fault::status(if etags { 412 } else { 201 });
        fixture.registry.inject(Injection::next(Method::PUT, format!("/manifests/{tag}"), lost));
        push(&fixture, &mine).await;
        push(&fixture, &theirs).await;
        assert_eq!(digests(&list(&fixture, &subject, None).await), of(&[mine, theirs]));
        let lost = Injection {
            method: Some(Method::PUT),
            path: format!("/manifests/{tag}"),
            skip: 0,
            times: 100,
            fault: Fault::status(if etags { 412 } else { 201 }),
        };
        fixture.registry.inject(lost);
        let third = referrer(&subject, "a/b", 3);
        let reference = Reference::Digest(third.digest().clone());
        let contended = fixture.client.put_manifest(&name("a"), &reference, &third).await;
        assert!(failure(contended).to_string().contains("others change the index"), "{etags}");
    }
}

#[tokio::test]
async fn a_deleted_referrer_leaves_the_index() {
    let fixture = Fixture::new().await;
    let subject = fixture.put_image("a", "v1", 1);
    let manifests = [referrer(&subject, "a/b", 1), referrer(&subject, "c/d", 2)];
    for manifest in &manifests {
        push(&fixture, manifest).await;
    }
    let delete = async |manifest: &RawManifest| {
        let reference = Reference::Digest(manifest.digest().clone());
        fixture.client.delete_manifest(&name("a"), &reference).await.unwrap();
    };
    delete(&manifests[0]).await;
    assert_eq!(digests(&list(&fixture, &subject, None).await), of(&manifests[1..]));
    delete(&manifests[1]).await;
    assert_eq!(fixture.registry.tags("a"), ["v1"], "an empty index is deleted");
}

#[tokio::test]
async fn a_tag_that_holds_no_index_is_not_overwritten() {
    let fixture = Fixture::new().await;
    let subject = fixture.put_image("a", "v1", 1);
    let tag = fallback_tag(&subject).to_string();
    fixture.put_image("a", &tag, 2);
    fixture.registry.put_blob("a", EMPTY);
    let before = fixture.registry.manifest("a", &tag);
    let manifest = referrer(&subject, "a/b", 1);
    let reference = Reference::Digest(manifest.digest().clone());
    let refused = fixture.client.put_manifest(&name("a"), &reference, &manifest).await;
    assert!(failure(refused).to_string().contains("is no index"));
    assert_eq!(fixture.registry.manifest("a", &tag), before);
}

#[tokio::test]
async fn what_answers_without_a_list_has_none() {
    for fault in [Fault::html(200), Fault::status(400), Fault::status(405), Fault::status(501)] {
        let fixture = Fixture::new().await;
        let subject = fixture.put_image("a", "v1", 1);
        let manifest = referrer(&subject, "a/b", 1);
        push(&fixture, &manifest).await;
        fixture.registry.inject(Injection::next(Method::GET, "/referrers/", fault));
        assert_eq!(digests(&list(&fixture, &subject, None).await), of(&[manifest]));
    }
}

#[tokio::test]
async fn cosigns_tags_are_found() {
    let fixture = Fixture::new().await;
    let subject = fixture.put_image("a", "v1", 1);
    let tags = cosign_tags(&subject);
    let signature = fixture.put_image("a", tags[0].as_str(), 2);
    let found = fixture.client.cosign_referrers(&name("a"), &subject).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].0, &found[0].1.digest), (&tags[0], &signature));
}

#[tokio::test]
async fn referrers_are_copied_where_that_is_asked_for() {
    for (here, there) in [(true, true), (true, false), (false, true), (false, false)] {
        let source = Fixture::with_quirks(|quirks| quirks.referrers = here).await;
        let subject = source.put_image("a", "v1", 1);
        let first = referrer(&subject, "a/b", 1);
        let second = referrer(first.digest(), "c/d", 2);
        for manifest in [&first, &second] {
            push(&source, manifest).await;
        }
        let signature = source.put_image("a", cosign_tags(&subject)[0].as_str(), 2);

        let target = Fixture::with_quirks(|quirks| quirks.referrers = there).await;
        let (from, options) = ("a:v1".parse().unwrap(), PushOptions::default());
        let to = "a:v2".parse().unwrap();
        copy(&source.client, &from, &target.client, &to, &options, Progress::none()).await.unwrap();
        assert!(list(&target, &subject, None).await.is_empty());
        assert_eq!(target.registry.tags("a"), ["v2"]);
        let copied =
            copy_with_referrers(&source.client, &from, &target.client, &to, &options, Progress::none());
        assert_eq!(copied.await.unwrap(), subject);
        assert_eq!(digests(&list(&target, &subject, None).await), of(std::slice::from_ref(&first)));
        assert_eq!(digests(&list(&target, first.digest(), None).await), of(&[second]), "of a referrer");
        let found = target.client.cosign_referrers(&name("a"), &subject).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1.digest, signature);
    }
}

#[tokio::test]
async fn a_referrer_that_fails_is_told_and_its_subject_is_there() {
    let source = Fixture::with_quirks(|quirks| quirks.referrers = true).await;
    let subject = source.put_image("a", "v1", 1);
    let attached = referrer(&subject, "a/b", 1);
    push(&source, &attached).await;
    let target = Fixture::with_quirks(|quirks| quirks.referrers = true).await;
    let denied = Fault::code(403, "DENIED");
    target.registry.inject(Injection::next(Method::PUT, attached.digest().to_string(), denied));
    let (name, options) = ("a:v1".parse().unwrap(), PushOptions::default());
    let failed =
        copy_with_referrers(&source.client, &name, &target.client, &name, &options, Progress::none());
    let failed = failed.await.unwrap_err();
    assert!(failed.to_string().contains(&attached.digest().to_string()), "{failed}");
    assert_eq!(target.registry.tags("a"), ["v1"]);
}
