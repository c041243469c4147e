//! Pushes, in each form in which blobs are sent.

use http::Method;
use reposure_oci::{
    Artifact, Digest, ImageName, Spool, archive,
    registry::UploadStrategy,
    transfer::{Progress, PushOptions, push},
};
use reposure_testing::{Auth, Entry, Fault, Injection, Options, RandomImage, Users};

use super::{faults_of_times, names_status, short, text};
use crate::fixture::{Fixture, basic};

/// A few of them in each layer.
const CHUNK: u64 = 4096;

fn sample() -> RandomImage {
    RandomImage::new(1, 2, 10_000).unwrap()
}

/// The sample in an archive, which is open for as long as the image.
async fn artifact() -> Artifact {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.tar");
    sample().write_oci_archive("v1", std::fs::File::create(&path).unwrap()).unwrap();
    let options = archive::Options::new(Spool::new(folder.path(), 1 << 20));
    archive::open(path, options).await.unwrap().entries.remove(0).artifact
}

/// Pushes once for each fault at such requests, and sees to it that a tag has all that belongs to it, and an error says where.
async fn suffer(fixture: &Fixture, options: &PushOptions, suffering: &Injection, before: Option<&Injection>) {
    let artifact = artifact().await;
    for (number, (fault, times)) in faults_of_times().enumerate() {
        let is_answered = times > 1 && matches!(fault, Fault::Answer { .. });
        let injection = Injection { times, fault, ..suffering.clone() };
        let case = format!("{:?} {injection:?}", options.strategy);
        before
            .into_iter()
            .chain([&injection])
            .for_each(|injection| fixture.registry.inject(injection.clone()));
        let Injection { method, path, skip, .. } = suffering;
        let folder = path.trim_matches('/').replace('/', "-");
        let method = method.as_ref().map_or("any", Method::as_str).to_ascii_lowercase();
        let repository = format!("{method}-{folder}-{skip}-{number}");
        let name: ImageName = format!("{repository}:v1").parse().unwrap();
        fixture.registry.clear_requests();
        let pushed = push(&fixture.client, &artifact, &name, options, Progress::none()).await;
        fixture.registry.heal();
        let is_met = |entry: &Entry| {
            entry.path.contains(path)
                && suffering.method.as_ref().is_none_or(|method| *method == entry.method)
        };
        assert!(fixture.registry.requests().iter().any(is_met), "{case} was not met");
        if pushed.is_ok() || fixture.registry.tags(&repository) == ["v1"] {
            check_whole(fixture, &repository);
        } else {
            assert!(fixture.registry.tags(&repository).is_empty(), "{case}");
        }
        if let Err(error) = pushed {
            let (error, host) = (text(&error), fixture.registry.host());
            let has_path = error.contains("/v2/") || error.contains("/token");
            assert!(error.contains(&host) && has_path, "{case}: {error}");
            assert!(!is_answered || names_status(&error), "{case}: {error}");
        }
    }
}

/// The tag has all that belongs to it.
fn check_whole(fixture: &Fixture, repository: &str) {
    let image = sample();
    assert_eq!(fixture.registry.manifest(repository, "v1").as_ref(), Some(image.manifest()));
    for blob in image.blobs() {
        let digest = Digest::sha256_of(&blob).to_string();
        assert_eq!(fixture.registry.blob(repository, &digest), Some(blob));
    }
}

fn at(method: Method, path: &str, skip: usize) -> Injection {
    Injection { skip, ..Injection::next(method, path, Fault::DropAfter(0)) }
}

async fn push_as(strategy: UploadStrategy, own: impl IntoIterator<Item = Injection>) {
    let fixture = Fixture::new().await.with_limits(short(2));
    let options = PushOptions { strategy: Some(strategy), ..PushOptions::default() };
    let all = [
        at(Method::HEAD, "/blobs/", 0),
        at(Method::POST, "/blobs/uploads/", 0),
        at(Method::PUT, "/blobs/uploads/", 0),
        at(Method::PUT, "/manifests/", 0),
    ];
    for injection in all.into_iter().chain(own) {
        suffer(&fixture, &options, &injection, None).await;
    }
}

#[tokio::test]
async fn a_push_puts_the_right_image_or_none() {
    push_as(UploadStrategy::Monolithic, []).await;
}

#[tokio::test]
async fn a_push_by_streams_puts_the_right_image_or_none() {
    push_as(UploadStrategy::StreamPatch, [at(Method::PATCH, "/blobs/uploads/", 0)]).await;
}

#[tokio::test]
async fn a_push_by_chunks_puts_the_right_image_or_none() {
    let chunks = [0, 1].map(|skip| at(Method::PATCH, "/blobs/uploads/", skip));
    push_as(UploadStrategy::Resumable { chunk: CHUNK }, chunks).await;
}

#[tokio::test]
async fn a_push_whose_chunk_fails_puts_the_right_image_or_none() {
    let fixture = Fixture::new().await.with_limits(short(2));
    let options =
        PushOptions { strategy: Some(UploadStrategy::Resumable { chunk: CHUNK }), ..PushOptions::default() };
    let second = |fault| Injection { fault, ..at(Method::PATCH, "/blobs/uploads/", 1) };
    // How far the upload is, and giving it up.
    for (fault, next) in [(Fault::DropAfter(100), Method::GET), (Fault::status(400), Method::DELETE)] {
        suffer(&fixture, &options, &at(next, "/blobs/uploads/", 0), Some(&second(fault))).await;
    }
}

#[tokio::test]
async fn a_push_whose_realm_fails_puts_the_right_image_or_none() {
    let auth = Auth::bearer(Users::new("ann", "hush"));
    let fixture = Fixture::with(Options { auth, ..Options::default() }, basic()).await.with_limits(short(2));
    let token = Injection { method: None, ..at(Method::GET, "/token", 0) };
    suffer(&fixture, &PushOptions::default(), &token, None).await;
}
