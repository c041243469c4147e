//! The quirks of registries that people run: the client copes with each.

use std::sync::Arc;

use http::Method;
use reposure_oci::{
    Blob, Descriptor, Digest, MediaType, MemoryBlob, Reference,
    auth::Credentials,
    registry::{ErrorCode, Stored, UploadStrategy},
};
use reposure_testing::{Auth, Options, Quirks, RandomImage, Users};

use crate::{
    fixture::{Fixture, basic, manifest, name},
    stores,
};

/// What a repository is called that every registry takes.
const REPOSITORY: &str = "project/app";
const STRATEGIES: [UploadStrategy; 3] =
    [UploadStrategy::Monolithic, UploadStrategy::StreamPatch, UploadStrategy::Resumable { chunk: 5 << 20 }];

struct Kind {
    fixture: Fixture,
    image: RandomImage,
}

impl Kind {
    /// Pushes an image under two tags, with a large blob in each form, and reads it back.
    async fn new(quirks: Quirks) -> Self {
        let options = Options { quirks: Quirks { page: 2, ..quirks }, ..Options::default() };
        Self::with(options, Credentials::Anonymous).await
    }

    async fn with(options: Options, credentials: Credentials) -> Self {
        let fixture = Fixture::with(options, credentials).await;
        fixture.registry.make_repository(REPOSITORY);
        let kind = Self { fixture, image: RandomImage::new(1, 1, 1000).unwrap() };
        // All of the client's forms at once are too much for a thread's stack.
        Box::pin(kind.push()).await;
        Box::pin(kind.read()).await;
        kind
    }

    async fn push(&self) {
        let (client, repository) = (&self.fixture.client, name(REPOSITORY));
        for (number, strategy) in STRATEGIES.into_iter().enumerate() {
            let large = stores::blob((6 << 20) + number);
            let stored = client.store_blob(&repository, &large, &[], strategy).await.unwrap();
            assert!(matches!(stored, Stored::Sent(_)));
            let digest = large.descriptor().digest.to_string();
            let there = self.fixture.registry.blob(REPOSITORY, &digest).unwrap();
            assert_eq!(there.len() as u64, large.descriptor().size, "{strategy:?}");
        }
        for bytes in self.image.blobs() {
            let descriptor =
                Descriptor::new(MediaType::OCTET_STREAM, Digest::sha256_of(&bytes), bytes.len() as u64);
            let blob: Arc<dyn Blob> = Arc::new(MemoryBlob::new(descriptor, bytes));
            client.store_blob(&repository, &blob, &[], UploadStrategy::Monolithic).await.unwrap();
        }
        for tag in ["v1", "v2", "v3"] {
            client.put_manifest(&repository, &tag.parse().unwrap(), &manifest(&self.image)).await.unwrap();
        }
    }

    async fn read(&self) {
        let (client, repository) = (&self.fixture.client, name(REPOSITORY));
        assert_eq!(self.tags().await, ["v1", "v2", "v3"]);
        let read = client.get_manifest(&repository, &"v1".parse().unwrap()).await.unwrap();
        assert_eq!(read, manifest(&self.image));
        assert!(client.referrers(&repository, read.digest(), None).await.unwrap().is_empty());
        assert_eq!(self.fixture.registry.open_uploads(), 0);
    }

    async fn tags(&self) -> Vec<String> {
        let tags = self.fixture.client.tags(&name(REPOSITORY)).await.unwrap();
        tags.iter().map(ToString::to_string).collect()
    }

    /// Deletes one of three tags of an image; tells whether that went.
    async fn delete(&self) -> bool {
        let done = self.fixture.client.delete_tag_safely(&name(REPOSITORY), &"v2".parse().unwrap()).await;
        let left: &[&str] = if done.is_ok() { &["v1", "v3"] } else { &["v1", "v2", "v3"] };
        assert_eq!(self.tags().await, left, "{done:?}");
        let read =
            self.fixture.client.get_manifest(&name(REPOSITORY), &Reference::Tag("v3".parse().unwrap())).await;
        assert_eq!(read.unwrap(), manifest(&self.image));
        done.is_ok()
    }
}

#[tokio::test]
async fn distribution_2_deletes_no_tags_and_resumes_nothing() {
    let kind = Kind::new(Quirks::distribution_2()).await;
    let found = kind.fixture.client.detect_strategy(&name(REPOSITORY)).await.unwrap();
    assert_eq!(found, UploadStrategy::Monolithic);
    assert!(kind.delete().await);
}

#[tokio::test]
async fn ecr_drops_chunks() {
    let token = Credentials::Basic { username: "AWS".into(), password: "token".into() };
    // It may say what it has, or what it should have.
    for dropped_counted in [false, true] {
        let quirks = Quirks { page: 2, dropped_counted, ..Quirks::ecr() };
        let auth = Auth::Basic(Users::new("AWS", "token"));
        let kind = Kind::with(Options { quirks, auth, ..Options::default() }, token.clone()).await;
        assert!(!kind.delete().await, "that goes by an API of its own");
        assert!(kind.fixture.client.catalog().await.unwrap_err().is_denied());
    }
}

#[tokio::test]
async fn ecr_makes_no_repository() {
    let fixture = Fixture::with_quirks(|quirks| *quirks = Quirks::ecr()).await;
    let (client, repository) = (&fixture.client, name("project/missing"));
    for strategy in STRATEGIES {
        let error = client.store_blob(&repository, &stores::blob(10), &[], strategy).await.unwrap_err();
        assert!(error.has_code(&ErrorCode::NameUnknown) && !error.is_transient(), "{error:?}");
        let text = error.failure.to_string();
        assert!(text.contains("repository with name 'project/missing' does not exist"), "{text}");
    }
    let image = manifest(&RandomImage::new(1, 1, 100).unwrap());
    let error = client.put_manifest(&repository, &"v1".parse().unwrap(), &image).await.unwrap_err();
    assert!(error.has_code(&ErrorCode::NameUnknown), "{error:?}");
    assert!(client.tags(&repository).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn artifact_registry_takes_no_chunks_and_deletes_tags_first() {
    let kind = Kind::new(Quirks::artifact_registry()).await;
    assert!(kind.delete().await);
    let (client, repository) = (&kind.fixture.client, name(REPOSITORY));
    let digest = Reference::Digest(manifest(&kind.image).digest().clone());
    let error = client.delete_manifest(&repository, &digest).await.unwrap_err();
    assert!(error.failure.to_string().contains("GOOGLE_MANIFEST_DANGLING_TAG"), "{}", error.failure);
    assert_eq!(kind.tags().await, ["v1", "v3"]);
    for tag in ["v1", "v3"] {
        client.delete_tag_safely(&repository, &tag.parse().unwrap()).await.unwrap();
    }
    client.delete_manifest(&repository, &digest).await.unwrap();
}

#[tokio::test]
async fn ghcr_takes_small_chunks_only() {
    assert!(!Kind::new(Quirks::ghcr()).await.delete().await);
}

#[tokio::test]
async fn quay_tells_the_next_page_by_link_only_and_gives_no_token_to_delete() {
    let quirks = Quirks { page: 2, ..Quirks::quay() };
    let auth = Auth::bearer(Users::new("ann", "hush"));
    let options = Options { quirks, auth, ..Options::default() };
    assert!(Kind::with(options, basic()).await.delete().await);
}

#[tokio::test]
async fn nexus_lists_null() {
    assert!(Kind::new(Quirks::nexus()).await.delete().await);
}

#[tokio::test]
async fn artifactory_lists_digests_and_gives_no_tokens_by_post() {
    let quirks = Quirks { page: 2, ..Quirks::artifactory() };
    let auth = Auth::bearer(Users::new("ann", "identity"));
    let token = Credentials::IdentityToken { username: "ann".into(), token: "identity".into() };
    let kind = Kind::with(Options { quirks, auth, ..Options::default() }, token).await;
    assert!(kind.delete().await);
    assert!(kind.fixture.registry.count(&Method::POST, "/token") > 0);
}

#[tokio::test]
async fn openshift_deletes_by_its_own_api_only() {
    let kind = Kind::new(Quirks::openshift()).await;
    assert!(!kind.delete().await);
    assert!(kind.fixture.client.catalog().await.unwrap_err().is_denied());
    assert_eq!(kind.fixture.client.tags(&name("app")).await.unwrap_err().status().unwrap(), 400);
}

#[tokio::test]
async fn harbor_wants_name_and_password_for_the_catalog() {
    let auth = Auth::bearer(Users::new("ann", "hush"));
    let options = Options { quirks: Quirks::harbor(), auth, ..Options::default() };
    let kind = Kind::with(options, basic()).await;
    assert_eq!(kind.fixture.client.catalog().await.unwrap(), [name(REPOSITORY)]);
    assert!(kind.delete().await);
    assert_eq!(kind.fixture.client.catalog().await.unwrap(), [name(REPOSITORY)]);
    kind.fixture.registry.make_project("empty");
    kind.fixture.client.start_upload(&name("empty/new")).await.unwrap();
    kind.fixture.registry.clear_requests();
    let error = kind.fixture.client.start_upload(&name("missing/new")).await.unwrap_err();
    assert!(error.is_denied() && !error.is_transient(), "{error:?}");
    let text = error.failure.to_string();
    assert!(text.contains("unauthorized to access repository: missing/new, action: push"), "{text}");
    assert!(kind.fixture.registry.count(&Method::POST, "/uploads/") <= 2, "tokens are of no use");
}

#[tokio::test]
async fn gitea_wants_ranges_and_sends_no_links() {
    let quirks = Quirks { page: 2, ..Quirks::gitea() };
    // The realm goes by the name that Gitea has outside.
    for realm in [None, Some("http://git.invalid/v2/token".into())] {
        let auth = Auth::Both { users: Users::new("ann", "hush"), realm };
        let options = Options { quirks: quirks.clone(), auth, ..Options::default() };
        assert!(Kind::with(options, basic()).await.delete().await);
    }
}
