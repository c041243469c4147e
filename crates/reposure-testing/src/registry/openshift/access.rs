//! Who may come into the registry.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, Method, StatusCode, header};

use super::Cluster;
use crate::registry::{
    answer::{self, Answer},
    route::Route,
    shared::Shared,
};

/// What the registry gives those who name nobody, and takes for nobody.
const ANONYMOUS: &str = "anonymous";

/// How a request names its sender.
enum Sender {
    Unsaid,
    Malformed,
    Token(String),
}

/// Returns the refusal of a request that may not come in.
pub(crate) fn check(
    shared: &Shared,
    cluster: &Cluster,
    route: &Route,
    method: &Method,
    headers: &HeaderMap,
) -> Option<Answer> {
    let token = match sender(headers) {
        Sender::Unsaid => return Some(asks_for_token(shared, headers)),
        Sender::Malformed => return Some(denied("failed to decode credentials")),
        Sender::Token(token) => token,
    };
    if !token.is_empty() && !cluster.knows(&token) {
        return Some(denied("access denied"));
    }
    let Some(name) = route.repository() else {
        let is_catalog = *route == Route::Catalog;
        return (is_catalog && !cluster.may(&token, None, "imagestreams", "list"))
            .then(|| denied("access denied"));
    };
    // What is no name is no matter of rights: the registry says no without a word.
    let [project, stream] = name.split('/').collect::<Vec<_>>()[..] else {
        return Some(answer::status(StatusCode::BAD_REQUEST));
    };
    let allowed = match *method {
        Method::GET | Method::HEAD => cluster.may(&token, Some(project), "imagestreams/layers", "get"),
        Method::DELETE => cluster.may(&token, None, "images", "delete"),
        _ => cluster.may(&token, Some(project), "imagestreams/layers", "update"),
    };
    if !allowed || !cluster.has_project(project) {
        return Some(denied("access denied"));
    }
    let makes_stream = *method == Method::PUT && matches!(route, Route::Manifest { .. });
    let is_there = shared.store().has_manifests(&format!("{project}/{stream}"));
    (makes_stream && !is_there && !cluster.may(&token, Some(project), "imagestreams", "create"))
        .then(|| answer::error(StatusCode::FORBIDDEN, "DENIED", "requested access to the resource is denied"))
}

/// Answers `GET /openshift/token`: with the token that the request came with.
pub(crate) fn token(cluster: &Cluster, headers: &HeaderMap) -> Answer {
    let token = match sender(headers) {
        Sender::Unsaid => ANONYMOUS.to_owned(),
        Sender::Token(token) if cluster.knows(&token) => token,
        _ => return denied("access denied"),
    };
    answer::json(StatusCode::OK, &serde_json::json!({"token": token, "access_token": token}))
}

/// Reads the token; nobody's is empty.
fn sender(headers: &HeaderMap) -> Sender {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, rest)) = value.and_then(|value| value.split_once(' ')) else { return Sender::Unsaid };
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" if rest == ANONYMOUS => Sender::Token(String::new()),
        "bearer" => Sender::Token(rest.into()),
        "basic" => password(rest).map_or(Sender::Malformed, Sender::Token),
        _ => Sender::Unsaid,
    }
}

fn password(pair: &str) -> Option<String> {
    let pair = String::from_utf8(STANDARD.decode(pair).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned()).filter(|password| !password.is_empty())
}

/// The realm is where the client has come, by the name that it used.
fn asks_for_token(shared: &Shared, headers: &HeaderMap) -> Answer {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.map_or_else(|| shared.address.to_string(), Into::into);
    let realm = format!("{}://{host}/openshift/token", shared.scheme());
    unauthorized(&format!("Bearer realm=\"{realm}\""))
}

fn denied(why: &str) -> Answer {
    unauthorized(&format!("Basic realm=openshift,error=\"{why}\""))
}

fn unauthorized(challenge: &str) -> Answer {
    let mut refusal = answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
    answer::set(&mut refusal, header::WWW_AUTHENTICATE.as_str(), challenge);
    refusal
}
