//! Receiving a chunk.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use reposure_oci::Body;
use reposure_parcel::{
    limits::LARGEST_CHUNK,
    problem::{Code, Problem},
    upload::Range,
};
use tokio::time::timeout;

use super::{Uploads, receiving::Admission, requests::complete, upload::Upload};
use crate::{
    answer::{self, Answer},
    body::{self, STALL_DEADLINE},
    identifier::Identifier,
};

impl Uploads {
    /// Answers a chunk.
    ///
    /// # Cancel safety
    /// What was read of a chunk that is cut stays received.
    pub(crate) async fn chunk(
        self: &Arc<Self>,
        id: &Identifier,
        offset: u64,
        headers: &HeaderMap,
        mut body: Body,
    ) -> Result<Answer, Problem> {
        let chunk = range(offset, headers)?;
        let upload = match self.find(id) {
            Ok(upload) => upload,
            Err(problem) => {
                body::drain(headers, body);
                return self.stored(id).map(|received| complete(id, received)).ok_or(problem);
            }
        };
        let _busy = upload.begin();
        match upload.admit(chunk) {
            Ok(Admission::Receive) => {
                self.start(&upload);
                if let Err(problem) = receive(&upload, chunk, &mut body).await {
                    // The upload may have ended meanwhile; unread bytes would cost the connection, and with it the answer.
                    body::drain(headers, body);
                    return Err(problem);
                }
            }
            Ok(Admission::Duplicate) => body::drain(headers, body),
            Err(problem) => {
                body::drain(headers, body);
                return Err(problem);
            }
        }
        Ok(answer::json(StatusCode::OK, &upload.progress()))
    }
}

fn range(offset: u64, headers: &HeaderMap) -> Result<Range, Problem> {
    let length = body::length(headers)
        .ok_or_else(|| Problem::new(Code::BadRequest, "a chunk needs a Content-Length"))?;
    if length > LARGEST_CHUNK {
        let message = format!("a chunk of {length} bytes is over the limit of {LARGEST_CHUNK}");
        return Err(Problem::new(Code::TooLarge, message));
    }
    let end =
        offset.checked_add(length).ok_or_else(|| Problem::new(Code::BadRequest, "no blob is that large"))?;
    Ok(Range { start: offset, end })
}

async fn receive(upload: &Upload, chunk: Range, body: &mut Body) -> Result<(), Problem> {
    let mut offset = chunk.start;
    loop {
        let frame = timeout(STALL_DEADLINE, body.frame())
            .await
            .map_err(|_| Problem::new(Code::BadRequest, "the chunk stalled").transient())?;
        let Some(frame) = frame else { break };
        let frame =
            frame.map_err(|error| Problem::new(Code::BadRequest, answer::chain(&*error)).transient())?;
        // The length was announced, and the protocol holds the body to it.
        if let Ok(bytes) = frame.into_data() {
            upload.write(offset, &bytes)?;
            offset += bytes.len() as u64;
        }
    }
    if offset == chunk.end {
        Ok(())
    } else {
        Err(Problem::new(Code::BadRequest, "the chunk ended early").transient())
    }
}
