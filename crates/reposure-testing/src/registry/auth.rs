//! Who may come in: Basic, and Bearer with tokens of the registry's own.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, Method, StatusCode, header};

use super::{
    answer::{self, Answer},
    openshift,
    options::{Auth, FirstPush, Users},
    route::{Route, parameter, parameters},
    shared::Shared,
};

/// What a token is good for where its answer does not say, as the token specification has it.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);

/// The tokens that were given out.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    granted: Mutex<HashMap<String, Token>>,
    /// What has taken the identity token's place.
    identity: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Token {
    scopes: Vec<String>,
    expires: Instant,
}

impl Tokens {
    pub(crate) fn revoke(&self) {
        self.granted.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn issue(&self, scopes: Vec<String>, lifetime: Duration) -> String {
        let mut tokens = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("token-{:016x}", rand::random::<u64>());
        tokens.insert(name.clone(), Token { scopes, expires: Instant::now() + lifetime });
        name
    }

    /// Tells whether this is the identity token, or what has taken its place.
    fn is_identity(&self, token: &str, first: Option<&str>) -> bool {
        let identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        identity.as_deref().or(first) == Some(token)
    }

    /// Makes another identity token, and takes no other one any more.
    fn renew_identity(&self) -> String {
        let name = format!("identity-{:016x}", rand::random::<u64>());
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.clone());
        name
    }

    pub(crate) fn forget_identity(&self) {
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn grants(&self, name: &str, wanted: Option<&Access>) -> bool {
        let tokens = self.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(token) = tokens.get(name).filter(|token| token.expires > Instant::now()) else {
            return false;
        };
        wanted.is_none_or(|wanted| token.scopes.iter().any(|scope| wanted.is_in(scope)))
    }
}

/// What a request needs.
struct Access {
    resource: String,
    action: &'static str,
}

impl Access {
    fn of(route: &Route, method: &Method) -> Option<Self> {
        if *route == Route::Catalog {
            return Some(Self { resource: "registry:catalog".into(), action: "*" });
        }
        let action = match *method {
            Method::GET | Method::HEAD => "pull",
            Method::DELETE => "delete",
            _ => "push",
        };
        let resource = format!("repository:{}", route.repository()?);
        Some(Self { resource, action })
    }

    fn is_in(&self, scope: &str) -> bool {
        scope.rsplit_once(':').is_some_and(|(resource, actions)| {
            resource == self.resource
                && actions.split(',').any(|action| action == "*" || action == self.action)
        })
    }
}

/// Returns the refusal of a request that may not come in.
pub(crate) fn check(shared: &Shared, route: &Route, method: &Method, headers: &HeaderMap) -> Option<Answer> {
    let refusal = refusal(shared, route, method, headers);
    let mut refusal = refusal.or_else(|| hidden_project(shared, route, method))?;
    if shared.quirks().bare_401 && *route != Route::Base {
        refusal.headers_mut().remove(header::WWW_AUTHENTICATE);
    }
    Some(refusal)
}

fn refusal(shared: &Shared, route: &Route, method: &Method, headers: &HeaderMap) -> Option<Answer> {
    let wanted = Access::of(route, method);
    let is_known = |users: &Users| basic(headers).is_some_and(|pair| is_user(users, &pair));
    let is_granted = || {
        let token = credentials(headers, "bearer");
        token.is_some_and(|token| shared.tokens.grants(token, wanted.as_ref()))
    };
    match &shared.auth {
        Auth::Open => None,
        Auth::OpenShift(cluster) => openshift::check(shared, cluster, route, method, headers),
        Auth::Basic(users) => (!is_known(users)).then(|| challenge(&["Basic realm=\"Memory, Registry\""])),
        Auth::Bearer { users, .. } if *route == Route::Catalog && shared.quirks().basic_catalog => {
            (!is_known(users)).then(|| challenge(&["Basic realm=\"catalog\""]))
        }
        Auth::Bearer { realm, .. } => (!is_granted())
            .then(|| challenge(&[&bearer_challenge(shared, realm.as_deref(), wanted.as_ref())])),
        Auth::Both { users, realm } => (!is_known(users) && !is_granted()).then(|| {
            let own = format!("{}://{}/v2/token", shared.scheme(), shared.address);
            let bearer = format!("Bearer realm=\"{}\"", realm.as_ref().unwrap_or(&own));
            challenge(&[&bearer, "Basic realm=\"Memory\""])
        }),
    }
}

/// Refuses to push to a project that is not there, as one that is not to be known of.
fn hidden_project(shared: &Shared, route: &Route, method: &Method) -> Option<Answer> {
    let name = route.written(method).filter(|_| shared.quirks().first_push == FirstPush::MakesRepository)?;
    let is_there = name.split_once('/').is_some_and(|(project, _)| shared.store().has_project(project));
    let message = format!("unauthorized to access repository: {name}, action: push");
    let mut refusal = answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", &message);
    if let Auth::Bearer { realm, .. } = &shared.auth {
        let challenge = bearer_challenge(shared, realm.as_deref(), Access::of(route, method).as_ref());
        answer::add(&mut refusal, header::WWW_AUTHENTICATE.as_str(), &challenge);
    }
    (!is_there).then_some(refusal)
}

fn bearer_challenge(shared: &Shared, realm: Option<&str>, wanted: Option<&Access>) -> String {
    let own = format!("{}://{}/token", shared.scheme(), shared.address);
    // Reading is asked for with writing, as Distribution does.
    let scope = wanted.map(|Access { resource, action }| {
        format!(",scope=\"{resource}:{}\"", if *action == "push" { "pull,push" } else { action })
    });
    let realm = realm.unwrap_or(&own);
    format!("Bearer realm=\"{realm}\",service=\"memory\"{}", scope.unwrap_or_default())
}

/// Refuses with a header for each challenge.
fn challenge(challenges: &[&str]) -> Answer {
    let mut refusal = answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
    for text in challenges {
        answer::add(&mut refusal, header::WWW_AUTHENTICATE.as_str(), text);
    }
    refusal
}

/// Answers `GET /token?service=…&scope=…`.
pub(crate) fn get_token(shared: &Shared, headers: &HeaderMap, query: &str) -> Answer {
    let (users, anonymous_pull) = match &shared.auth {
        Auth::Bearer { users, anonymous_pull, .. } => (users, *anonymous_pull),
        Auth::Both { users, .. } => (users, false),
        Auth::OpenShift(cluster) => return openshift::token(cluster, headers),
        Auth::Open | Auth::Basic(_) => return answer::status(StatusCode::NOT_FOUND),
    };
    let scopes = parameters(query, "scope");
    match basic(headers) {
        Some(pair) if is_user(users, &pair) => grant(shared, scopes),
        Some(_) => answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "wrong name or password"),
        None if anonymous_pull => grant(shared, scopes.iter().map(|scope| only_pull(scope)).collect()),
        None => grant(shared, Vec::new()),
    }
}

fn only_pull(scope: &str) -> String {
    scope.rsplit_once(':').map_or_else(String::new, |(resource, _)| format!("{resource}:pull"))
}

/// Answers `POST /token` with a form.
pub(crate) fn post_token(shared: &Shared, form: &str) -> Answer {
    let Auth::Bearer { users, post: true, .. } = &shared.auth else {
        return answer::status(StatusCode::NOT_FOUND);
    };
    if let Some(status) = shared.quirks().token_post {
        return answer::status(StatusCode::from_u16(status).unwrap_or_default());
    }
    let token = parameter(form, "refresh_token");
    let is_known = |token: &str| shared.tokens.is_identity(token, users.identity_token.as_deref());
    if parameter(form, "grant_type").as_deref() != Some("refresh_token")
        || !token.is_some_and(|token| is_known(&token))
    {
        return answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "wrong token");
    }
    let scopes = parameter(form, "scope").unwrap_or_default();
    let mut value = granted(shared, scopes.split(' ').map(Into::into).collect());
    if shared.quirks().identity_once {
        value["refresh_token"] = shared.tokens.renew_identity().into();
    }
    answer::json(StatusCode::OK, &value)
}

fn grant(shared: &Shared, scopes: Vec<String>) -> Answer {
    answer::json(StatusCode::OK, &granted(shared, scopes))
}

fn granted(shared: &Shared, scopes: Vec<String>) -> serde_json::Value {
    let expires_in = match &shared.auth {
        Auth::Bearer { expires_in, .. } => *expires_in,
        _ => None,
    };
    let is_broken = shared.quirks().delete_scope_refused && scopes.iter().any(|scope| names_delete(scope));
    let scopes = if is_broken { Vec::new() } else { scopes };
    let token = shared.tokens.issue(scopes, expires_in.unwrap_or(DEFAULT_LIFETIME));
    let mut value = serde_json::json!({"token": token});
    if let Some(lifetime) = expires_in {
        value["expires_in"] = lifetime.as_secs().into();
    }
    value
}

fn names_delete(scope: &str) -> bool {
    scope.rsplit_once(':').is_some_and(|(_, actions)| actions.split(',').any(|action| action == "delete"))
}

fn is_user(users: &Users, pair: &str) -> bool {
    pair.split_once(':') == Some((&users.username, &users.password))
}

fn basic(headers: &HeaderMap) -> Option<String> {
    String::from_utf8(STANDARD.decode(credentials(headers, "basic")?).ok()?).ok()
}

fn credentials<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (name, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    name.eq_ignore_ascii_case(scheme).then_some(value)
}
