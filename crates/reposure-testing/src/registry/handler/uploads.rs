//! `/v2/NAME/blobs/uploads/` and the uploads themselves.

use http::{Method, StatusCode, header, request::Parts};

use super::not_allowed;
use crate::registry::{
    answer::{self, Answer, Halt},
    digest::sha256,
    intake::Intake,
    options::{AnonymousMount, Quirks},
    route::parameter,
    shared::Shared,
};

/// Opens an upload, mounts a blob, or takes one that is sent along.
pub(crate) async fn open(
    shared: &Shared,
    parts: &Parts,
    repository: &str,
    query: &str,
    intake: &mut Intake,
) -> Result<Answer, Halt> {
    if parts.method != Method::POST {
        return Ok(not_allowed());
    }
    if let Some(mounted) = mount(shared, repository, query) {
        return Ok(mounted);
    }
    intake.all().await?;
    let id = shared.store().open_upload(repository);
    let mut opened = progress(shared, repository, &id, StatusCode::ACCEPTED);
    if let Some(length) = shared.quirks().smallest_chunk {
        answer::set(&mut opened, "oci-chunk-min-length", &length.to_string());
    }
    Ok(opened)
}

fn mount(shared: &Shared, repository: &str, query: &str) -> Option<Answer> {
    let digest = parameter(query, "mount")?;
    let quirks = shared.quirks();
    let blob = match (parameter(query, "from"), quirks.anonymous_mount) {
        (Some(from), _) => shared.store().blob(&from, &digest).filter(|_| quirks.mount)?,
        (None, AnonymousMount::Mounts) => shared.store().blob_anywhere(&digest)?,
        (None, AnonymousMount::Opens) => return None,
        (None, AnonymousMount::Refused) => {
            return Some(answer::error(StatusCode::BAD_REQUEST, "UNSUPPORTED", "from is missing"));
        }
    };
    Some(store(shared, repository, blob.to_vec()))
}

pub(crate) async fn handle(
    shared: &Shared,
    parts: &Parts,
    repository: &str,
    id: &str,
    intake: &mut Intake,
) -> Result<Answer, Halt> {
    let state = parts.uri.query().and_then(|query| parameter(query, "_state"));
    let received = length(shared, repository, id);
    let quirks = shared.quirks();
    let state = match (state, received) {
        (None, Some(received)) if parts.method == Method::GET && !quirks.status_needs_state => {
            Some(received.to_string())
        }
        (state, _) => state,
    };
    let (Some(state), Some(received)) = (state, received) else { return Ok(unknown("BLOB_UPLOAD_UNKNOWN")) };
    match parts.method {
        Method::GET if quirks.status_refused => Ok(not_allowed()),
        Method::GET if quirks.stale_status_refused && state != received.to_string() => {
            Ok(unknown("BLOB_UPLOAD_INVALID"))
        }
        Method::GET => Ok(progress(shared, repository, id, StatusCode::NO_CONTENT)),
        Method::DELETE => {
            shared.store().uploads.remove(id);
            Ok(answer::status(StatusCode::NO_CONTENT))
        }
        Method::PATCH => patch(shared, parts, repository, id, received, intake).await,
        Method::PUT => finish(shared, parts, repository, id, intake).await,
        _ => Ok(not_allowed()),
    }
}

fn length(shared: &Shared, repository: &str, id: &str) -> Option<usize> {
    shared
        .store()
        .uploads
        .get(id)
        .filter(|upload| upload.repository == repository)
        .map(|upload| upload.bytes.len() + upload.claimed)
}

async fn patch(
    shared: &Shared,
    parts: &Parts,
    repository: &str,
    id: &str,
    received: usize,
    intake: &mut Intake,
) -> Result<Answer, Halt> {
    let range = parts.headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let first = range.and_then(|range| range.split_once('-')?.0.parse().ok());
    let quirks = shared.quirks();
    let patches = shared.store().uploads.get(id).map_or(0, |upload| upload.patches);
    if quirks.length_wanted && !parts.headers.contains_key(header::CONTENT_LENGTH) {
        return Err(answer::error(StatusCode::LENGTH_REQUIRED, "UNSUPPORTED", "say the length").into());
    }
    if let Some(refusal) = patch_refusal(&quirks, range, patches) {
        return Err(refusal.into());
    }
    if range.is_some() && first != Some(received) && !quirks.range_ignored {
        return Err(answer::error(StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID", "out of order").into());
    }
    let dropped = quirks.drop_later_patches && patches > 0;
    let length = append(shared, id, intake, dropped).await?;
    if let Some(upload) = shared.store().uploads.get_mut(id) {
        upload.patches += 1;
        upload.claimed += if dropped && quirks.dropped_counted { length } else { 0 };
    }
    let status = if quirks.drop_later_patches { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    Ok(progress(shared, repository, id, status))
}

fn patch_refusal(quirks: &Quirks, range: Option<&str>, patches: usize) -> Option<Answer> {
    let length = || {
        let (first, last) = range?.split_once('-')?;
        Some(last.parse::<u64>().ok()?.saturating_sub(first.parse().ok()?) + 1)
    };
    let (status, code) = if quirks.no_chunks && (range.is_some() || patches > 0) {
        (StatusCode::BAD_REQUEST, "UNSUPPORTED")
    } else if quirks.largest_chunk.is_some_and(|largest| length().is_some_and(|length| length > largest)) {
        (StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID")
    } else if quirks.range_wanted && patches > 0 && range.is_none() {
        (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID")
    } else {
        return None;
    };
    Some(answer::error(status, code, "the chunk is refused"))
}

/// Adds a body as it comes, so that what came before a cut stays, and returns its length.
async fn append(shared: &Shared, id: &str, intake: &mut Intake, dropped: bool) -> Result<usize, Halt> {
    let mut length = 0;
    while let Some(piece) = intake.next().await? {
        length += piece.len();
        if let Some(upload) = shared.store().uploads.get_mut(id).filter(|_| !dropped) {
            upload.bytes.extend_from_slice(&piece);
        }
    }
    Ok(length)
}

async fn finish(
    shared: &Shared,
    parts: &Parts,
    repository: &str,
    id: &str,
    intake: &mut Intake,
) -> Result<Answer, Halt> {
    let digest = parts.uri.query().and_then(|query| parameter(query, "digest")).unwrap_or_default();
    append(shared, id, intake, false).await?;
    let bytes = shared.store().uploads.remove(id).map(|upload| upload.bytes).unwrap_or_default();
    if shared.quirks().digests_unchecked {
        shared.store().put_blob_as(repository, &digest, bytes.into());
        return Ok(created(shared, repository, &digest));
    }
    if sha256(&bytes) != digest {
        let message = "provided digest did not match uploaded content";
        return Ok(answer::error(StatusCode::BAD_REQUEST, "DIGEST_INVALID", message));
    }
    Ok(store(shared, repository, bytes))
}

fn store(shared: &Shared, repository: &str, bytes: Vec<u8>) -> Answer {
    let digest = shared.store().put_blob(repository, bytes.into());
    created(shared, repository, &digest)
}

fn created(shared: &Shared, repository: &str, digest: &str) -> Answer {
    let mut created = answer::status(StatusCode::CREATED);
    answer::set_location(&mut created, shared, &format!("/v2/{repository}/blobs/{digest}"));
    answer::set_digest(&mut created, shared, digest);
    created
}

fn progress(shared: &Shared, repository: &str, id: &str, status: StatusCode) -> Answer {
    let received = length(shared, repository, id).unwrap_or_default();
    let mut answer = answer::status(status);
    answer::set_location(
        &mut answer,
        shared,
        &format!("/v2/{repository}/blobs/uploads/{id}?_state={received}"),
    );
    // Distribution says 0-0 for no byte and for one.
    answer::set(&mut answer, header::RANGE.as_str(), &format!("0-{}", received.saturating_sub(1)));
    answer::set(&mut answer, "docker-upload-uuid", id);
    answer
}

fn unknown(code: &str) -> Answer {
    answer::error(StatusCode::NOT_FOUND, code, "blob upload unknown to registry")
}
