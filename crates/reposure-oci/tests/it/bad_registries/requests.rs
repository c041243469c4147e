//! Each kind of request.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::BoxFuture;
use http::{Request, Response, header};
use reposure_oci::{
    Body, DirectTransport, Scheme, Transport, TransportError,
    registry::{self, Client, Failure, Session},
    transport::full,
};
use reposure_testing::{RandomImage, RawAnswer, RawServer, When};

use super::{ANNOUNCEMENTS, DEADLINE, answers, client, cuts, once, text};
use crate::fixture::{content, manifest, name, streamed};

/// What a client may take of an answer without end, in bytes: the longest page of a list, 16 MiB, and the sockets' buffers.
const MOST: u64 = 32 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ping,
    HeadManifest,
    GetManifest,
    PutManifest,
    DeleteManifest,
    DeleteTag,
    HeadBlob,
    GetBlob,
    ReadBlob,
    Mount,
    StartUpload,
    Upload,
    PatchStream,
    PatchChunk,
    UploadStatus,
    FinishUpload,
    CancelUpload,
    DetectStrategy,
    Tags,
    Catalog,
    Referrers,
    CosignReferrers,
}

const KINDS: [Kind; 22] = [
    Kind::Ping,
    Kind::HeadManifest,
    Kind::GetManifest,
    Kind::PutManifest,
    Kind::DeleteManifest,
    Kind::DeleteTag,
    Kind::HeadBlob,
    Kind::GetBlob,
    Kind::ReadBlob,
    Kind::Mount,
    Kind::StartUpload,
    Kind::Upload,
    Kind::PatchStream,
    Kind::PatchChunk,
    Kind::UploadStatus,
    Kind::FinishUpload,
    Kind::CancelUpload,
    Kind::DetectStrategy,
    Kind::Tags,
    Kind::Catalog,
    Kind::Referrers,
    Kind::CosignReferrers,
];

async fn ask(client: &Client<DirectTransport>, kind: Kind) -> Result<(), registry::Error> {
    let (repository, tag) = (name("a"), "v1".parse().unwrap());
    let (bytes, digest) = content(200_000);
    let size = bytes.len() as u64;
    match kind {
        Kind::Ping => client.ping().await.map(drop),
        Kind::HeadManifest => client.head_manifest(&repository, &tag).await.map(drop),
        Kind::GetManifest => client.get_manifest(&repository, &tag).await.map(drop),
        Kind::PutManifest => {
            let manifest = manifest(&RandomImage::new(1, 1, 10).unwrap());
            client.put_manifest(&repository, &tag, &manifest).await.map(drop)
        }
        Kind::DeleteManifest => client.delete_manifest(&repository, &tag).await,
        Kind::DeleteTag => client.delete_tag_safely(&repository, &"v1".parse().unwrap()).await.map(drop),
        Kind::HeadBlob => client.head_blob(&repository, &digest).await.map(drop),
        Kind::GetBlob => client.get_blob(&repository, &digest, bytes.len()).await.map(drop),
        Kind::ReadBlob => client.read_blob_range(&repository, &digest, 0..size).await.map(drop),
        Kind::Mount => client.mount(&repository, &digest, &name("b")).await.map(drop),
        Kind::Tags => client.tags(&repository).await.map(drop),
        Kind::Catalog => client.catalog().await.map(drop),
        Kind::Referrers => client.referrers(&repository, &digest, None).await.map(drop),
        Kind::CosignReferrers => client.cosign_referrers(&repository, &digest).await.map(drop),
        _ => upload(client, kind).await,
    }
}

async fn upload(client: &Client<DirectTransport>, kind: Kind) -> Result<(), registry::Error> {
    let repository = name("a");
    let (bytes, digest) = content(200_000);
    let (size, body) = (bytes.len() as u64, streamed(&bytes, 1 << 16));
    let mut open = Session::reopen(&repository, "/v2/a/blobs/uploads/1").unwrap();
    match kind {
        Kind::StartUpload => client.start_upload(&repository).await.map(drop),
        Kind::Upload => client.upload_monolithic(&repository, &digest, size, body).await.map(drop),
        Kind::PatchStream => client.patch_stream(&mut open, body).await.map(drop),
        Kind::PatchChunk => client.patch_chunk(&mut open, bytes).await,
        Kind::UploadStatus => client.upload_status(&mut open).await.map(drop),
        Kind::FinishUpload => client.finish_upload(open, &digest, size).await.map(drop),
        Kind::CancelUpload => client.cancel_upload(open).await,
        Kind::DetectStrategy => client.detect_strategy(&repository).await.map(drop),
        other => panic!("{other:?} is no upload"),
    }
}

/// Asks, and returns what is said of it, which names the registry and the path.
async fn refused(client: &Client<DirectTransport>, kind: Kind, what: &str) -> String {
    let asked = tokio::time::timeout(DEADLINE, ask(client, kind)).await;
    let asked = asked.unwrap_or_else(|_| panic!("{kind:?} with {what} does not end"));
    let Err(error) = asked else { panic!("{kind:?} with {what} is taken for an answer") };
    let error = text(&error);
    let host = client.transport().endpoint().host();
    assert!(error.contains(host) && error.contains("/v2/"), "{kind:?}, {what}: {error}");
    error
}

#[tokio::test]
async fn each_request_fails_with_its_url_and_status() {
    for bad in answers() {
        let server = RawServer::start(bad.answer).await.unwrap();
        let client = client(&server, Scheme::Http, 1);
        for kind in KINDS {
            if bad.whole_head && kind == Kind::HeadBlob {
                continue;
            }
            let before = server.sent();
            let error = refused(&client, kind, bad.what).await;
            assert!(
                bad.status.is_none_or(|status| error.contains(status)),
                "{kind:?}, {}: {error}",
                bad.what
            );
            let taken = server.sent() - before;
            // What is passed over as it comes takes time alone.
            let is_kept = bad.what != ANNOUNCEMENTS;
            assert!(!is_kept || taken < MOST, "{kind:?} takes {taken} bytes of {}", bad.what);
        }
    }
}

#[tokio::test]
async fn each_connection_that_is_cut_is_told_with_its_url() {
    for (what, scheme, answer) in cuts() {
        let server = RawServer::start(answer).await.unwrap();
        let client = client(&server, scheme, 1);
        for kind in KINDS {
            refused(&client, kind, what).await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_at_the_second_request_is_told_or_made_again() {
    let answer = RawAnswer { when: When::AskedAgain, ..RawAnswer::default() };
    let server = RawServer::start(answer).await.unwrap();
    for kind in KINDS {
        let once = client(&server, Scheme::Http, 1);
        once.ping().await.unwrap();
        refused(&once, kind, "a connection that was in use").await;
    }
    let twice = client(&server, Scheme::Http, 2);
    for _ in 0..20 {
        twice.ping().await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_while_it_is_idle_is_made_again() {
    let server = RawServer::start(once("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")).await.unwrap();
    let client = client(&server, Scheme::Http, 2);
    for _ in 0..20 {
        client.ping().await.unwrap();
    }
}

/// Lists new names forever.
struct Pages(AtomicUsize);

impl Transport for Pages {
    fn send(&self, _: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        let page = self.0.fetch_add(1, Ordering::Relaxed);
        let answer = Response::builder()
            .header(header::LINK, format!("</v2/_catalog?last=r{page}>; rel=\"next\""))
            .body(full(format!("{{\"repositories\": [\"r{page}\"]}}")));
        Box::pin(std::future::ready(Ok(answer.unwrap())))
    }
}

#[tokio::test]
async fn a_list_without_end_is_given_up() {
    let client = Client::new(Pages(AtomicUsize::new(0)));
    let error = client.catalog().await.unwrap_err();
    assert!(matches!(*error.failure, Failure::Endless(1000)), "{error:?}");
    assert_eq!(client.transport().0.load(Ordering::Relaxed), 1000);
}
