//! Deleting.

use http::Method;
use reposure_oci::{
    MediaType, Reference,
    registry::{Failure, TagDeletion},
};
use reposure_testing::{Fault, Immutable, Injection, TagDelete};

use crate::fixture::{Fixture, name};

const WITHOUT: [TagDelete; 3] =
    [TagDelete::DigestInvalid, TagDelete::Unsupported, TagDelete::MethodNotAllowed];

/// Two tags of one image, and one of another.
async fn fixture(tag_delete: TagDelete) -> Fixture {
    let fixture = Fixture::with_quirks(|quirks| quirks.tag_delete = tag_delete).await;
    fixture.put_image("a", "one", 1);
    fixture.put_image("a", "same", 1);
    fixture.put_image("a", "other", 2);
    fixture
}

async fn delete(fixture: &Fixture, tag: &str) -> Result<TagDeletion, reposure_oci::registry::Error> {
    fixture.client.delete_tag_safely(&name("a"), &tag.parse().unwrap()).await
}

#[tokio::test]
async fn a_tag_is_deleted_as_such_where_that_is_possible() {
    let fixture = fixture(TagDelete::Accepted).await;
    assert_eq!(delete(&fixture, "one").await.unwrap(), TagDeletion::Tag);
    assert_eq!(fixture.registry.tags("a"), ["other", "same"]);
    assert_eq!(fixture.registry.requests().len(), 1);
}

#[tokio::test]
async fn other_tags_of_the_image_stay() {
    for tag_delete in WITHOUT {
        let fixture = fixture(tag_delete).await;
        let before = fixture.registry.manifest("a", "same");
        assert_eq!(delete(&fixture, "one").await.unwrap(), TagDeletion::TagByDummy);
        assert_eq!(fixture.registry.tags("a"), ["other", "same"]);
        assert_eq!(fixture.registry.manifest("a", "same"), before);
    }
}

#[tokio::test]
async fn an_image_with_one_tag_is_deleted() {
    for tag_delete in WITHOUT {
        let fixture = fixture(tag_delete).await;
        assert_eq!(delete(&fixture, "other").await.unwrap(), TagDeletion::Manifest);
        assert_eq!(fixture.registry.tags("a"), ["one", "same"]);
    }
}

#[tokio::test]
async fn an_image_that_an_index_needs_stays() {
    for tag_delete in WITHOUT {
        let fixture = fixture(tag_delete).await;
        let child = fixture.put_image("a", "other", 2);
        let size = fixture.registry.manifest("a", "other").unwrap().len();
        let manifest = MediaType::OCI_MANIFEST;
        let index = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OCI_INDEX,
            "manifests": [{"mediaType": manifest, "digest": child, "size": size}],
        });
        let media_type = MediaType::OCI_INDEX;
        fixture.registry.put_manifest("a", Some("all"), media_type.as_str(), index.to_string());
        assert_eq!(delete(&fixture, "other").await.unwrap(), TagDeletion::TagByDummy);
        assert_eq!(fixture.registry.tags("a"), ["all", "one", "same"]);
        assert!(fixture.registry.manifest("a", &child.to_string()).is_some());
    }
}

#[tokio::test]
async fn a_tag_stays_as_it_is_where_nothing_can_be_deleted() {
    let fixture = fixture(TagDelete::Accepted).await;
    fixture.registry.change_quirks(|quirks| quirks.delete_enabled = false);
    let before = fixture.registry.manifest("a", "one");
    for tag in ["one", "other"] {
        assert_eq!(delete(&fixture, tag).await.unwrap_err().status().unwrap(), 405);
    }
    assert_eq!(fixture.registry.manifest("a", "one"), before);
}

#[tokio::test]
async fn an_immutable_tag_is_an_error_and_stays() {
    let forms = [
        Immutable::TagInvalid,
        Immutable::MethodNotAllowed,
        Immutable::PreconditionFailed,
        Immutable::Conflict,
        Immutable::Forbidden,
    ];
    for form in forms {
        let fixture = fixture(TagDelete::DigestInvalid).await;
        fixture.registry.change_quirks(|quirks| quirks.immutable = Some(form));
        let before = fixture.registry.manifest("a", "one");
        let error = delete(&fixture, "one").await.unwrap_err();
        assert!(matches!(&*error.failure, Failure::ImmutableTag(_)), "{form:?}: {error}: {}", error.failure);
        assert!(error.is_immutable() && !error.is_denied() && !error.is_transient());
        assert_eq!(fixture.registry.manifest("a", "one"), before, "{form:?}");
    }
}

#[tokio::test]
async fn an_immutable_tag_is_not_moved() {
    for form in [
        Immutable::TagInvalid,
        Immutable::MethodNotAllowed,
        Immutable::PreconditionFailed,
        Immutable::Conflict,
    ] {
        let fixture = fixture(TagDelete::Accepted).await;
        let other = fixture.registry.manifest("a", "other").unwrap();
        let other = reposure_oci::RawManifest::new(MediaType::OCI_MANIFEST, other).unwrap();
        fixture.registry.change_quirks(|quirks| quirks.immutable = Some(form));
        let moved = fixture.client.put_manifest(&name("a"), &"one".parse().unwrap(), &other).await;
        assert!(moved.unwrap_err().is_immutable(), "{form:?}");
        fixture.client.put_manifest(&name("a"), &"new".parse().unwrap(), &other).await.unwrap();
    }
}

#[tokio::test]
async fn a_tag_gets_its_image_back_where_the_dummy_stays() {
    let fixture = fixture(TagDelete::DigestInvalid).await;
    let before = fixture.registry.manifest("a", "one");
    let refused = Injection {
        method: Some(Method::DELETE),
        path: "/manifests/".into(),
        // By tag, and that of the probe.
        skip: 2,
        times: 1,
        fault: Fault::status(405),
    };
    fixture.registry.inject(refused);
    assert_eq!(delete(&fixture, "one").await.unwrap_err().status().unwrap(), 405);
    assert_eq!(fixture.registry.manifest("a", "one"), before);
}

#[tokio::test]
async fn a_dummy_that_an_interrupt_left_is_known() {
    for tag_delete in WITHOUT {
        let fixture = fixture(tag_delete).await;
        let moved = Injection {
            method: Some(Method::DELETE),
            path: "/manifests/".into(),
            skip: 2,
            times: 1,
            fault: Fault::Stall,
        };
        fixture.registry.inject(moved);
        let before = fixture.registry.manifest("a", "one");
        let interrupted = delete(&fixture, "one");
        tokio::select! {
            _ = interrupted => panic!("it was not interrupted"),
            () = until_deletes(&fixture, 3) => {}
        }
        assert_ne!(fixture.registry.manifest("a", "one"), before);
        fixture.registry.clear_requests();
        assert_eq!(delete(&fixture, "one").await.unwrap(), TagDeletion::TagByDummy);
        assert_eq!(fixture.registry.tags("a"), ["other", "same"]);
        assert_eq!(fixture.registry.count(&Method::GET, "/tags/list"), 0, "nobody else can have the dummy");
        assert_eq!(fixture.registry.count(&Method::PUT, ""), 0);
    }
}

/// Waits until a deletion is at its last request.
async fn until_deletes(fixture: &Fixture, count: usize) {
    while fixture.registry.count(&Method::DELETE, "/manifests/") < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_tag_that_is_not_there_is_not_found() {
    for tag_delete in WITHOUT.into_iter().chain([TagDelete::Accepted]) {
        let fixture = fixture(tag_delete).await;
        assert!(delete(&fixture, "missing").await.unwrap_err().is_not_found(), "{tag_delete:?}");
    }
}

#[tokio::test]
async fn what_a_lost_answer_deleted_is_deleted() {
    let fixture = fixture(TagDelete::Accepted).await;
    let digest = Reference::Digest(fixture.put_image("a", "one", 1));
    fixture.registry.inject(Injection::next(Method::DELETE, "/manifests/", Fault::DropAnswer));
    fixture.client.delete_manifest(&name("a"), &digest).await.unwrap();
    assert_eq!(fixture.registry.tags("a"), ["other"]);
    assert!(fixture.client.delete_manifest(&name("a"), &digest).await.unwrap_err().is_not_found());
}
