//! Deleting by ImageStreamTags.

use http::StatusCode;
use reposure_oci::Digest;
use reposure_parcel::problem::{Code, Problem};
use serde_json::json;

use super::{
    Target, What,
    streams::{ImageStream, Streams},
};
use crate::answer::{self, Answer};

/// Deletes a tag, or every tag that is of a digest now.
pub(super) async fn delete(streams: &Streams, target: &Target) -> Result<Answer, Problem> {
    let found = match &target.what {
        What::Tag(tag) => streams.untag(&target.project, &target.stream, tag.as_str()).await?,
        What::Digest(digest) => of_digest(streams, target, digest).await?,
    };
    if found {
        return Ok(answer::empty(StatusCode::ACCEPTED));
    }
    let message = format!("ImageStream {} has no such tag, and no tag of such an image", target.name());
    let errors = json!({"errors": [{"code": "MANIFEST_UNKNOWN", "message": message}]});
    Ok(answer::json(StatusCode::NOT_FOUND, &errors))
}

/// Deletes the tags that are of a digest, and tells whether there were any.
///
/// The image itself goes when images are pruned. One that only the history of a tag has stays until then, since without the tag the
/// history would go as a whole.
async fn of_digest(streams: &Streams, target: &Target, digest: &Digest) -> Result<bool, Problem> {
    let Some(stream) = streams.get(&target.project, &target.stream).await? else { return Ok(false) };
    let (now, before) = tags(&stream, &digest.to_string());
    if let (true, Some(tag)) = (now.is_empty(), before.first()) {
        let message = format!(
            "tag {tag} of ImageStream {} is of another image now, and keeps this one in its history until images are pruned \
             (oc adm prune images): delete the tag to delete both",
            target.name()
        );
        return Err(Problem::new(Code::UpstreamRefused, message));
    }
    let mut found = false;
    for tag in now {
        found |= streams.untag(&target.project, &target.stream, &tag).await?;
    }
    Ok(found)
}

/// Returns the tags that are of a digest, and those that were.
fn tags(stream: &ImageStream, digest: &str) -> (Vec<String>, Vec<String>) {
    let (mut now, mut before) = (Vec::new(), Vec::new());
    for tag in stream.status.tags.iter().flatten() {
        let mut images = tag.items.iter().flatten().map(|item| item.image.as_str());
        if images.next() == Some(digest) {
            now.push(tag.tag.clone());
        } else if images.any(|image| image == digest) {
            before.push(tag.tag.clone());
        }
    }
    (now, before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_of_its_newest_image() {
        let stream = serde_json::from_value(json!({"status": {"tags": [
            {"tag": "v1", "items": [{"image": "b"}, {"image": "a"}]},
            {"tag": "v2", "items": [{"image": "a"}]},
            {"tag": "v3", "items": null},
        ]}}));
        let stream: ImageStream = stream.unwrap();
        assert_eq!(tags(&stream, "a"), (vec!["v2".to_owned()], vec!["v1".to_owned()]));
        assert_eq!(tags(&stream, "c"), (Vec::new(), Vec::new()));
        let empty: ImageStream = serde_json::from_value(json!({"metadata": {"name": "app"}})).unwrap();
        assert_eq!(tags(&empty, "a"), (Vec::new(), Vec::new()));
    }
}
