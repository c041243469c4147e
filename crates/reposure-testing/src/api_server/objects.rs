//! Objects that are read, applied, created and deleted, and lists, which come page by page.

use std::collections::HashMap;

use http::{Method, StatusCode, header, request::Parts};
use serde_json::{Value, json};

/// The content type of server-side apply.
const APPLY: &str = "application/apply-patch+yaml";
/// What the API server says of an object, and nobody else.
const SERVERS_OWN: [&str; 4] = ["creationTimestamp", "generation", "resourceVersion", "uid"];

/// The objects by their paths.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    by_path: HashMap<String, Value>,
    /// The version of the last change.
    version: u64,
}

impl Objects {
    pub(crate) fn get(&self, path: &str) -> Option<&Value> {
        self.by_path.get(path)
    }

    pub(crate) fn put(&mut self, path: &str, object: Value) {
        self.by_path.insert(path.into(), object);
    }

    /// Answers a request for `path`; none if there is nothing that it could be about.
    pub(super) fn answer(&mut self, request: &Parts, path: &str, body: &[u8]) -> Option<(StatusCode, Value)> {
        let is_apply = request.headers.get(header::CONTENT_TYPE).is_some_and(|value| value == APPLY);
        match request.method {
            Method::PATCH if is_apply => Some(self.apply(path, serde_json::from_slice(body).ok()?)),
            Method::POST if !self.by_path.contains_key(path) => {
                self.create(path, serde_json::from_slice(body).ok()?)
            }
            Method::DELETE => {
                self.by_path.remove(path)?;
                Some((StatusCode::OK, json!({"kind": "Status", "apiVersion": "v1", "status": "Success"})))
            }
            _ => {
                Some((StatusCode::OK, page(self.by_path.get(path)?, request.uri.query().unwrap_or_default())))
            }
        }
    }

    /// Makes an object what is applied, as if nobody else had ever set a field of it: all but its status.
    fn apply(&mut self, path: &str, mut wanted: Value) -> (StatusCode, Value) {
        let before = self.by_path.get(path).cloned().unwrap_or(Value::Null);
        let metadata = &before["metadata"];
        for field in SERVERS_OWN {
            wanted["metadata"][field] = metadata[field].clone();
        }
        if metadata["uid"].is_null() {
            let name = wanted["metadata"]["name"].as_str().unwrap_or_default();
            wanted["metadata"]["uid"] = format!("uid-of-{name}").into();
            wanted["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
        }
        if before["spec"] != wanted["spec"] {
            wanted["metadata"]["generation"] =
                (metadata["generation"].as_i64().unwrap_or_default() + 1).into();
        }
        if let Some(status) = before.get("status") {
            wanted["status"] = status.clone();
        }
        if before != wanted {
            self.version += 1;
            wanted["metadata"]["resourceVersion"] = self.version.to_string().into();
        }
        self.by_path.insert(path.into(), wanted.clone());
        let code = if before.is_null() { StatusCode::CREATED } else { StatusCode::OK };
        (code, wanted)
    }

    /// Creates an object in the collection at `path`; none if it has no name, as what is asked of the API server has none.
    fn create(&mut self, path: &str, object: Value) -> Option<(StatusCode, Value)> {
        let name = object["metadata"]["name"].as_str()?;
        let path = format!("{path}/{name}");
        if self.by_path.contains_key(&path) {
            let message = format!("{name} already exists");
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "AlreadyExists", "message": message, "code": 409});
            return Some((StatusCode::CONFLICT, status));
        }
        Some(self.apply(&path, object))
    }
}

/// Returns the part of a list that is asked for; anything else as it is.
fn page(object: &Value, query: &str) -> Value {
    let parameter = |name: &str| {
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse::<usize>().ok())
    };
    let (Some(items), Some(limit)) = (object["items"].as_array(), parameter("limit")) else {
        return object.clone();
    };
    let begin = parameter("continue").unwrap_or_default().min(items.len());
    let end = begin.saturating_add(limit).min(items.len());
    let mut metadata = object["metadata"].clone();
    metadata["continue"] = if end < items.len() { end.to_string().into() } else { Value::Null };
    json!({"kind": object["kind"], "apiVersion": object["apiVersion"], "metadata": metadata, "items": items[begin..end]})
}
