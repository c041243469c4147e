//! `/v2/NAME/referrers/DIGEST`.

use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::registry::{
    answer::{self, Answer},
    digest::sha256,
    route::parameter,
    shared::Shared,
    store::StoredManifest,
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(crate) fn list(shared: &Shared, repository: &str, subject: &str, query: &str) -> Answer {
    let quirks = shared.quirks();
    if !quirks.referrers {
        return answer::bytes(StatusCode::NOT_FOUND, "404 page not found\n");
    }
    let wanted = parameter(query, "artifactType").filter(|_| quirks.filters);
    let mut all: Vec<Value> =
        shared.store().manifests(repository).iter().filter_map(|stored| describe(stored, subject)).collect();
    all.retain(|item| wanted.as_deref().is_none_or(|wanted| item["artifactType"] == wanted));
    let start = parameter(query, "next").and_then(|next| next.parse().ok()).unwrap_or(0);
    let here: Vec<Value> = all.iter().skip(start).take(quirks.page).cloned().collect();
    let next = start + here.len();
    let body = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": here});
    let mut answer = answer::json(StatusCode::OK, &body);
    answer::set(&mut answer, header::CONTENT_TYPE.as_str(), INDEX);
    if wanted.is_some() {
        answer::set(&mut answer, "oci-filters-applied", "artifactType");
    }
    if next < all.len() {
        let kind = wanted.map(|kind| format!("&artifactType={kind}")).unwrap_or_default();
        let link = format!("</v2/{repository}/referrers/{subject}?next={next}{kind}>; rel=\"next\"");
        answer::set(&mut answer, header::LINK.as_str(), &link);
    }
    answer
}

/// Returns the digest of a manifest's subject.
pub(crate) fn subject(bytes: &[u8]) -> Option<String> {
    let manifest: Value = serde_json::from_slice(bytes).ok()?;
    manifest["subject"]["digest"].as_str().map(Into::into)
}

fn describe(stored: &StoredManifest, subject: &str) -> Option<Value> {
    let manifest: Value = serde_json::from_slice(&stored.bytes).ok()?;
    (manifest["subject"]["digest"] == subject).then(|| {
        let kind = manifest.get("artifactType").unwrap_or(&manifest["config"]["mediaType"]);
        json!({
            "mediaType": stored.media_type,
            "digest": sha256(&stored.bytes),
            "size": stored.bytes.len(),
            "artifactType": kind,
        })
    })
}
