//! Credentials for a token, at a realm.
//!
//! See the token specification: [GET](https://distribution.github.io/distribution/spec/auth/token/#requesting-a-token),
//! [POST](https://distribution.github.io/distribution/spec/auth/oauth/).

use std::time::Duration;

use http::{HeaderValue, Request, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::{Url, form_urlencoded::Serializer};

use super::{
    credentials::{Credentials, authorization, secret},
    error::AuthError,
    scope::Scope,
};
use crate::transport::{self, Body, CollectError, Transport};

/// The largest answer, in bytes: a token has to fit into a header, of which servers take at most 1 MiB.
const ANSWER_LIMIT: usize = 1 << 20;
/// How long an exchange may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// What a token is good for where its answer does not say, as the specification has it.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// What the realm may know us by, as the specification asks for.
const CLIENT_ID: &str = "reposure";
/// What realms answer a POST with that they do not take: those of the specification, and 401 as Artifactory has it.
const NO_POST: [StatusCode; 4] = [
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
];

/// What to ask a realm for.
#[derive(Clone, Debug)]
pub(crate) struct Exchange<'a> {
    pub(crate) realm: Url,
    pub(crate) service: Option<&'a str>,
    pub(crate) scopes: &'a [Scope],
    pub(crate) credentials: &'a Credentials,
}

/// A token, and how long it is good.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) authorization: HeaderValue,
    pub(crate) life: Duration,
    /// What the realm wants next time in place of the identity token.
    pub(crate) refresh: Option<SecretString>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, deserialize_with = "secret")]
    token: Option<SecretString>,
    #[serde(default, deserialize_with = "secret")]
    access_token: Option<SecretString>,
    #[serde(default, deserialize_with = "secret")]
    refresh_token: Option<SecretString>,
    expires_in: Option<f64>,
}

impl Exchange<'_> {
    /// Asks the realm, over a transport that takes absolute URIs.
    pub(crate) async fn run(&self, http: &dyn Transport) -> Result<Token, AuthError> {
        let timeout = |_| AuthError::Timeout { realm: self.name(), limit: DEADLINE };
        tokio::time::timeout(DEADLINE, self.ask(http)).await.map_err(timeout)?
    }

    async fn ask(&self, http: &dyn Transport) -> Result<Token, AuthError> {
        let mut answer = None;
        if let Credentials::IdentityToken { token, .. } = self.credentials {
            let posted = self.send(http, self.post(token)).await?;
            answer = (!NO_POST.contains(&posted.status())).then_some(posted);
        }
        let answer = match answer {
            Some(answer) => answer,
            None => self.send(http, self.get()).await?,
        };
        self.read(answer).await
    }

    fn post(&self, token: &SecretString) -> Request<Body> {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token").append_pair("client_id", CLIENT_ID);
        if let Some(service) = self.service {
            form.append_pair("service", service);
        }
        let scopes: Vec<_> = self.scopes.iter().map(Scope::as_str).collect();
        form.append_pair("scope", &scopes.join(" ")).append_pair("refresh_token", token.expose_secret());
        let mut request =
            Request::post(self.realm.as_str()).body(transport::full(form.finish())).unwrap_or_default();
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(header::CONTENT_TYPE, form_type);
        request
    }

    fn get(&self) -> Request<Body> {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            query.extend_pairs(self.service.map(|service| ("service", service)));
            query.extend_pairs(self.scopes.iter().map(|scope| ("scope", scope.as_str())));
        }
        let mut request = Request::get(url.as_str()).body(transport::empty()).unwrap_or_default();
        if let Some(basic) = self.credentials.basic() {
            request.headers_mut().insert(header::AUTHORIZATION, basic);
        }
        request
    }

    async fn send(&self, http: &dyn Transport, request: Request<Body>) -> Result<Response<Body>, AuthError> {
        let unreachable = |source| AuthError::Unreachable { realm: self.name(), source };
        http.send(request).await.map_err(unreachable)
    }

    async fn read(&self, answer: Response<Body>) -> Result<Token, AuthError> {
        let (realm, status) = (self.name(), answer.status());
        match status {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(AuthError::Denied { realm, status });
            }
            _ => {
                let retry_after = transport::retry_after(answer.headers());
                return Err(AuthError::Status { realm, status, retry_after });
            }
        }
        let (parts, body) = answer.into_parts();
        let body = match transport::collect(body, ANSWER_LIMIT).await {
            Ok(body) => body,
            Err(error) => return Err(AuthError::Read { realm, status, source: cause(error) }),
        };
        let is_page = transport::is_html(&parts.headers, &body);
        let answer = serde_json::from_slice(&body).ok();
        answer.and_then(Answer::token).ok_or(AuthError::NoToken { realm, status, is_page })
    }

    /// Returns the realm without its query, which may hold anything.
    fn name(&self) -> String {
        let mut url = self.realm.clone();
        url.set_query(None);
        url.into()
    }
}

impl Answer {
    fn token(self) -> Option<Token> {
        let token = self.token.or(self.access_token)?;
        let life = self.expires_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let life = life.filter(|life| !life.is_zero()).unwrap_or(DEFAULT_LIFE);
        let authorization = authorization("Bearer", token.expose_secret())?;
        Some(Token { authorization, life, refresh: self.refresh_token })
    }
}

fn cause(error: CollectError) -> transport::BoxError {
    match error {
        CollectError::TooLarge(limit) => format!("it is over the limit of {limit} bytes").into(),
        CollectError::Broken(source) => source,
    }
}
