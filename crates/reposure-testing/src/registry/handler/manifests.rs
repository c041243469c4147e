//! `/v2/NAME/manifests/REFERENCE`.

use http::{Method, StatusCode, header, request::Parts};
use serde_json::Value;

use super::{not_allowed, referrers};
use crate::registry::{
    answer::{self, Answer, Halt},
    digest::sha256,
    intake::Intake,
    options::{Immutable, TagDelete},
    shared::Shared,
    store::StoredManifest,
};

/// The largest manifest, as in Distribution.
const LIMIT: usize = 4 << 20;
/// What a manifest may be.
const MEDIA_TYPES: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

pub(crate) async fn handle(
    shared: &Shared,
    parts: &Parts,
    repository: &str,
    reference: &str,
    intake: &mut Intake,
) -> Result<Answer, Halt> {
    match parts.method {
        Method::GET | Method::HEAD => Ok(get(shared, repository, reference)),
        Method::PUT => put(shared, parts, repository, reference, intake).await,
        Method::DELETE => Ok(delete(shared, repository, reference)),
        _ => Ok(not_allowed()),
    }
}

fn get(shared: &Shared, repository: &str, reference: &str) -> Answer {
    let Some(manifest) = shared.store().manifest(repository, reference) else { return unknown() };
    let digest = sha256(&manifest.bytes);
    let mut found = answer::bytes(StatusCode::OK, manifest.bytes);
    answer::set(&mut found, header::CONTENT_TYPE.as_str(), &manifest.media_type);
    answer::set_digest(&mut found, shared, &digest);
    if shared.quirks().etags {
        answer::set(&mut found, header::ETAG.as_str(), &etag(&digest));
    }
    found
}

fn etag(digest: &str) -> String {
    format!("\"{digest}\"")
}

/// Tells whether `If-Match` forbids to store a manifest here.
fn is_outdated(shared: &Shared, parts: &Parts, repository: &str, reference: &str) -> bool {
    let wanted = parts.headers.get(header::IF_MATCH).filter(|_| shared.quirks().etags);
    let there = || shared.store().manifest(repository, reference).map(|stored| etag(&sha256(&stored.bytes)));
    wanted.is_some_and(|wanted| there().is_none_or(|there| *wanted != *there))
}

async fn put(
    shared: &Shared,
    parts: &Parts,
    repository: &str,
    reference: &str,
    intake: &mut Intake,
) -> Result<Answer, Halt> {
    let bytes = intake.all().await?;
    let media_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let digest = sha256(&bytes);
    if let Some(refusal) = refusal(shared, repository, media_type.unwrap_or_default(), &bytes) {
        return Ok(refusal);
    }
    if reference.contains(':') && reference != digest {
        let message = "provided digest did not match uploaded content";
        return Ok(answer::error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message));
    }
    if is_outdated(shared, parts, repository, reference) {
        return Ok(answer::status(StatusCode::PRECONDITION_FAILED));
    }
    let subject = referrers::subject(&bytes).filter(|_| shared.quirks().referrers);
    let tag = (!reference.contains(':')).then_some(reference);
    if let Some(refusal) = tag.and_then(|tag| fixed(shared, repository, tag, Change::Move)) {
        return Ok(refusal);
    }
    let manifest = StoredManifest { media_type: media_type.unwrap_or_default().into(), bytes: bytes.into() };
    shared.store().put_manifest(repository, tag, manifest);
    let mut created = answer::status(StatusCode::CREATED);
    if !shared.quirks().no_manifest_location {
        answer::set_location(&mut created, shared, &format!("/v2/{repository}/manifests/{digest}"));
    }
    answer::set_digest(&mut created, shared, &digest);
    if let Some(subject) = subject {
        answer::set(&mut created, "oci-subject", &subject);
    }
    Ok(created)
}

fn refusal(shared: &Shared, repository: &str, media_type: &str, bytes: &[u8]) -> Option<Answer> {
    let invalid = |message| Some(answer::error(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", message));
    if bytes.len() > LIMIT {
        return Some(answer::error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "SIZE_INVALID",
            "the manifest is too large",
        ));
    }
    if !MEDIA_TYPES.contains(&media_type) {
        return invalid("unknown media type");
    }
    let Ok(manifest) = serde_json::from_slice::<Value>(bytes) else { return invalid("malformed") };
    if shared.quirks().media_type_wanted && manifest["mediaType"].is_null() {
        return invalid("Invalid JSON syntax");
    }
    let complete =
        shared.quirks().sparse || parts(&manifest).iter().all(|part| has(shared, repository, part));
    (!complete)
        .then(|| answer::error(StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"))
}

/// Returns the digests that a manifest names.
fn parts(manifest: &Value) -> Vec<String> {
    let lists = ["layers", "manifests"].into_iter().filter_map(|name| manifest[name].as_array()).flatten();
    let parts = lists.chain(manifest.get("config"));
    parts.filter_map(|part| part["digest"].as_str()).map(Into::into).collect()
}

fn has(shared: &Shared, repository: &str, digest: &str) -> bool {
    let store = shared.store();
    store.blob(repository, digest).is_some() || store.manifest(repository, digest).is_some()
}

fn delete(shared: &Shared, repository: &str, reference: &str) -> Answer {
    let quirks = shared.quirks();
    if !quirks.delete_enabled {
        return not_allowed();
    }
    if let Some(refusal) = fixed(shared, repository, reference, Change::Delete) {
        return refusal;
    }
    if quirks.tagged_stay && shared.store().is_tagged(repository, reference) {
        return answer::error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "an image stream has it");
    }
    if quirks.tags_first && shared.store().is_tagged(repository, reference) {
        let message = "Manifest is still referenced by a tag";
        return answer::error(StatusCode::BAD_REQUEST, "GOOGLE_MANIFEST_DANGLING_TAG", message);
    }
    let deleted = if reference.contains(':') {
        shared.store().delete_manifest(repository, reference)
    } else {
        match quirks.tag_delete {
            TagDelete::Accepted => shared.store().delete_tag(repository, reference),
            TagDelete::DigestInvalid => {
                return answer::error(
                    StatusCode::BAD_REQUEST,
                    "DIGEST_INVALID",
                    "provided digest did not match",
                );
            }
            TagDelete::Unsupported => {
                return answer::error(StatusCode::BAD_REQUEST, "UNSUPPORTED", "by digest only");
            }
            TagDelete::MethodNotAllowed => return answer::status(StatusCode::METHOD_NOT_ALLOWED),
        }
    };
    if deleted { answer::status(StatusCode::ACCEPTED) } else { unknown() }
}

enum Change {
    Move,
    Delete,
}

/// Returns the refusal of what would change a tag that must stay.
fn fixed(shared: &Shared, repository: &str, tag: &str, change: Change) -> Option<Answer> {
    let immutable = shared.quirks().immutable.filter(|_| !tag.contains(':'))?;
    shared.store().manifest(repository, tag)?;
    let (status, code, message) = match (immutable, change) {
        (Immutable::TagInvalid, Change::Move) => {
            (400, "TAG_INVALID", "the tag already exists and cannot be overwritten because it is immutable")
        }
        (Immutable::TagInvalid, Change::Delete) => (405, "UNSUPPORTED", "unsupported"),
        (Immutable::MethodNotAllowed, _) => {
            (405, "UNSUPPORTED", "The operation is disallowed on this registry, repository or image.")
        }
        (Immutable::PreconditionFailed, _) => (412, "PRECONDITION", "configured as immutable"),
        (Immutable::Conflict, _) => (409, "CONFLICT", ""),
        (Immutable::Forbidden, Change::Move) => (403, "DENIED", ""),
        (Immutable::Forbidden, Change::Delete) => (400, "UNSUPPORTED", ""),
    };
    Some(answer::error(StatusCode::from_u16(status).unwrap_or_default(), code, message))
}

fn unknown() -> Answer {
    answer::error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown")
}
