//! `/apis/image.openshift.io/v1/namespaces/PROJECT/…`.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use super::Cluster;
use crate::registry::{
    answer::{self, Answer},
    route::parameter,
    shared::Shared,
};

const GROUP: &str = "/apis/image.openshift.io/v1";
/// The name that an API server in front has for the sender. See [Kubernetes, authenticating proxy](https://kubernetes.io/docs/reference/access-authn-authz/authentication/#authenticating-proxy).
const SENDER: &str = "x-remote-user";

/// Answers a request of whoever bears a token, or whom the API server in front names.
pub(crate) fn answer<B>(cluster: &Cluster, shared: &Shared, request: &Request<B>) -> Answer {
    let unknown = || status(StatusCode::NOT_FOUND, "the server could not find the requested resource");
    let Some(path) = request.uri().path().strip_prefix(GROUP) else { return unknown() };
    if path.is_empty() {
        return resources();
    }
    let bearer = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let is_passed_on = cluster.is_real() && request.headers().contains_key(SENDER);
    if !is_passed_on && !cluster.knows(token) {
        return status(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    let Some((project, rest)) = path.strip_prefix("/namespaces/").and_then(|rest| rest.split_once('/'))
    else {
        return unknown();
    };
    let (resource, name) = rest.split_once('/').unwrap_or((rest, ""));
    let verb = match (request.method(), name) {
        (&Method::GET, "") => "list",
        (&Method::GET, _) => "get",
        (&Method::DELETE, _) => "delete",
        _ => return unknown(),
    };
    if !is_passed_on && !cluster.may(token, Some(project), resource, verb) {
        let message = format!(
            "{resource}.image.openshift.io is forbidden: cannot {verb} in the namespace \"{project}\""
        );
        return status(StatusCode::FORBIDDEN, &message);
    }
    match (resource, verb) {
        ("imagestreams", "list") => list(shared, project, request),
        ("imagestreams", "get") => get(shared, &format!("{project}/{name}")),
        ("imagestreamtags", "delete") => untag(shared, project, name),
        _ => unknown(),
    }
}

/// What discovery is told.
fn resources() -> Answer {
    let resource = |name: &str, kind: &str, verbs: &[&str]| json!({"name": name, "kind": kind, "namespaced": true, "verbs": verbs});
    let resources = [
        resource("imagestreams", "ImageStream", &["get", "list"]),
        resource("imagestreams/layers", "ImageStreamLayers", &["get"]),
        resource("imagestreamtags", "ImageStreamTag", &["delete"]),
    ];
    let group = "image.openshift.io/v1";
    answer::json(
        StatusCode::OK,
        &json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group, "resources": resources}),
    )
}

fn list<B>(shared: &Shared, project: &str, request: &Request<B>) -> Answer {
    let query = request.uri().query().unwrap_or_default();
    let limit = parameter(query, "limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
    let last = match parameter(query, "continue").filter(|text| !text.is_empty()).map(decode) {
        None => String::new(),
        Some(Some(last)) => last,
        Some(None) => return status(StatusCode::BAD_REQUEST, "continue key is not valid"),
    };
    let prefix = format!("{project}/");
    let streams = shared.store().with_manifests();
    let streams: Vec<&str> = streams.iter().filter_map(|name| name.strip_prefix(&prefix)).collect();
    let rest: Vec<&str> = streams.into_iter().filter(|name| **name > *last).collect();
    let here = &rest[..limit.min(rest.len())];
    let next = here.last().filter(|_| here.len() < rest.len()).map(|last| URL_SAFE_NO_PAD.encode(last));
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let only_metadata = accept.is_some_and(|accept| accept.contains("as=PartialObjectMetadataList"));
    let item = |name: &&str| {
        if only_metadata {
            json!({"metadata": {"name": name, "namespace": project}})
        } else {
            object(shared, &format!("{project}/{name}"))
        }
    };
    let kind = if only_metadata { "PartialObjectMetadataList" } else { "ImageStreamList" };
    let items: Vec<Value> = here.iter().map(item).collect();
    // The real one makes a list of metadata anew, and an empty one of those is null.
    let items = if only_metadata && items.is_empty() { Value::Null } else { items.into() };
    answer::json(
        StatusCode::OK,
        &json!({"kind": kind, "metadata": {"resourceVersion": "1", "continue": next.unwrap_or_default()}, "items": items}),
    )
}

fn decode(text: String) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn get(shared: &Shared, name: &str) -> Answer {
    if shared.store().has_manifests(name) {
        return answer::json(StatusCode::OK, &object(shared, name));
    }
    status(StatusCode::NOT_FOUND, &format!("imagestreams.image.openshift.io \"{name}\" not found"))
}

/// Returns an ImageStream, with the history of each tag.
fn object(shared: &Shared, name: &str) -> Value {
    let (project, stream) = name.split_once('/').unwrap_or_default();
    let histories = shared.store().histories(name);
    let tags: Vec<Value> = histories
        .into_iter()
        .map(|(tag, digests)| {
            let items: Vec<Value> = digests.iter().rev().map(|digest| json!({"image": digest})).collect();
            json!({"tag": tag, "items": items})
        })
        .collect();
    json!({"kind": "ImageStream", "metadata": {"name": stream, "namespace": project}, "status": {"tags": tags}})
}

fn untag(shared: &Shared, project: &str, name: &str) -> Answer {
    let (stream, tag) = name.split_once(':').unwrap_or((name, ""));
    if shared.store().delete_tag(&format!("{project}/{stream}"), tag) {
        return answer::json(StatusCode::OK, &json!({"kind": "Status", "status": "Success"}));
    }
    status(StatusCode::NOT_FOUND, &format!("imagestreamtags.image.openshift.io \"{name}\" not found"))
}

fn status(code: StatusCode, message: &str) -> Answer {
    answer::json(
        code,
        &json!({"kind": "Status", "status": "Failure", "code": code.as_u16(), "message": message}),
    )
}
