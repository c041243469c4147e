//! The check that every request for the API passes.

use std::{net::SocketAddr, time::SystemTime};

use http::HeaderMap;
use reposure_parcel::{
    config::{self, Access, Config, ServiceAccounts},
    problem::{Code, Problem},
    status::{Check, Reason},
    wire::{self, Right},
};

use super::{
    keys::{Found, Keys},
    token::Token,
};
use crate::api_server::{AddressError, ApiServer};

/// Why nobody can be let in as configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GateError {
    /// Access without a token is for loopback addresses alone.
    #[error("access without a token needs loopback addresses, and {0} is none")]
    NotLoopback(SocketAddr),
    /// The API server's address is malformed.
    #[error("no keys can be fetched")]
    ApiServer(#[source] AddressError),
}

/// The check that every request for the API passes.
pub(crate) enum Gate {
    /// Everyone may do everything.
    Open,
    /// A token says who may do what.
    Tokens(Box<Tokens>),
}

/// What tokens are checked by.
pub(crate) struct Tokens {
    keys: Keys,
    audience: String,
    subjects: [(String, Right); 3],
}

impl Gate {
    pub(crate) fn new(config: &Config) -> Result<Self, GateError> {
        match &config.access {
            Access::Loopback => {
                let outside =
                    [config.listen, config.status_listen].into_iter().find(|a| !a.ip().is_loopback());
                outside.map_or(Ok(Self::Open), |address| Err(GateError::NotLoopback(address)))
            }
            Access::Tokens {
                api_server,
                api_server_authority_file,
                api_server_token_file,
                audience,
                service_account_namespace,
                service_accounts,
            } => {
                let source = ApiServer::new(config::ApiServer {
                    address: api_server.clone(),
                    authority_file: api_server_authority_file.clone(),
                    token_file: api_server_token_file.clone(),
                })
                .map_err(GateError::ApiServer)?;
                Ok(Self::Tokens(Box::new(Tokens {
                    keys: Keys::new(source),
                    audience: audience.clone(),
                    subjects: subjects(service_account_namespace, service_accounts),
                })))
            }
        }
    }

    /// Returns what the sender may do.
    pub(crate) async fn admit(&self, headers: &HeaderMap) -> Result<Right, Problem> {
        match self {
            Self::Open => Ok(Right::Admin),
            Self::Tokens(tokens) => tokens.admit(headers, SystemTime::now()).await,
        }
    }

    /// Fetches keys that are not fresh any more; to be called every few seconds.
    pub(crate) async fn refresh(&self) {
        if let Self::Tokens(tokens) = self {
            tokens.keys.refresh().await;
        }
    }

    /// Returns whether there are keys to check tokens by.
    pub(crate) fn check(&self) -> Check {
        match self {
            Self::Open => Check { reason: Reason::Ok, time: None },
            Self::Tokens(tokens) => tokens.keys.check(),
        }
    }
}

fn subjects(namespace: &str, accounts: &ServiceAccounts) -> [(String, Right); 3] {
    let subject = |name: &str| format!("system:serviceaccount:{namespace}:{name}");
    [
        (subject(&accounts.pull), Right::Pull),
        (subject(&accounts.push), Right::Push),
        (subject(&accounts.admin), Right::Admin),
    ]
}

impl Tokens {
    async fn admit(&self, headers: &HeaderMap, now: SystemTime) -> Result<Right, Problem> {
        let unauthorized = || Problem::new(Code::Unauthorized, "unauthorized");
        let text =
            headers.get(wire::TOKEN_HEADER).and_then(|value| value.to_str().ok()).ok_or_else(unauthorized)?;
        let token = Token::parse(text).ok_or_else(unauthorized)?;
        let key = match self.keys.find(&token.key_id).await {
            Found::Key(key) => key,
            Found::Unknown => return Err(unauthorized()),
            Found::Unavailable => {
                let message = "the keys to check tokens by cannot be had";
                return Err(Problem::new(Code::NoKeys, message).transient());
            }
        };
        let claims = token.verify(&key).ok_or_else(unauthorized)?;
        let subject = claims.subject(&self.audience, now).ok_or_else(unauthorized)?;
        let right = self.subjects.iter().find(|(known, _)| known == subject).map(|(_, right)| *right);
        right.ok_or_else(unauthorized)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use futures::future::BoxFuture;
    use http::HeaderValue;
    use reposure_parcel::limits::TOKEN_LEEWAY;
    use ring::{
        hmac,
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::access::keys::{FetchError, Source};

    const AUDIENCE: &str = "reposure.puccini.cloud/ns/reg";
    const NOW: u64 = 1_000_000;

    struct Issuer(EcdsaKeyPair);

    impl Issuer {
        fn new() -> Self {
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let der = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
            Self(EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &SystemRandom::new()).unwrap())
        }

        fn public(&self) -> Vec<u8> {
            self.0.public_key().as_ref().to_vec()
        }

        fn set(&self) -> Vec<u8> {
            let point = self.public();
            let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
            let key = json!({"kid": "k", "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "x": x, "y": y});
            json!({"keys": [key]}).to_string().into_bytes()
        }

        fn token(&self, header: &Value, claims: &Value) -> String {
            let signed = signed(header, claims);
            let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    }

    fn signed(header: &Value, claims: &Value) -> String {
        format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        )
    }

    fn header() -> Value {
        json!({"alg": "ES256", "kid": "k"})
    }

    fn claims(account: &str) -> Value {
        json!({
            "aud": [AUDIENCE], "exp": NOW + 600, "nbf": NOW, "iat": NOW, "iss": "https://kubernetes.default.svc",
            "sub": format!("system:serviceaccount:ns:{account}"),
        })
    }

    fn changed(mut value: Value, key: &str, to: Value) -> Value {
        value[key] = to;
        value
    }

    struct Set(Option<Vec<u8>>);

    impl Source for Set {
        fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, FetchError>> {
            let away = || FetchError { reason: Reason::Timeout, source: "away".into() };
            Box::pin(std::future::ready(self.0.clone().ok_or_else(away)))
        }
    }

    fn tokens(set: Option<Vec<u8>>) -> Tokens {
        let accounts = ServiceAccounts { pull: "pull".into(), push: "push".into(), admin: "admin".into() };
        Tokens { keys: Keys::new(Set(set)), audience: AUDIENCE.into(), subjects: subjects("ns", &accounts) }
    }

    async fn admit(tokens: &Tokens, token: &str, at: u64) -> Result<Right, Code> {
        let mut headers = HeaderMap::new();
        headers.insert(wire::TOKEN_HEADER, HeaderValue::from_str(token).unwrap());
        tokens.admit(&headers, UNIX_EPOCH + Duration::from_secs(at)).await.map_err(|problem| {
            assert!(problem.code != Code::Unauthorized || problem.message == "unauthorized");
            problem.code
        })
    }

    #[tokio::test]
    async fn each_account_has_its_right() {
        let issuer = Issuer::new();
        let tokens = tokens(Some(issuer.set()));
        for (account, right) in [("pull", Right::Pull), ("push", Right::Push), ("admin", Right::Admin)] {
            assert_eq!(admit(&tokens, &issuer.token(&header(), &claims(account)), NOW).await, Ok(right));
        }
        let one = changed(claims("pull"), "aud", json!(AUDIENCE));
        assert_eq!(admit(&tokens, &issuer.token(&header(), &one), NOW).await, Ok(Right::Pull));
    }

    #[tokio::test]
    async fn times_count_with_leeway() {
        let (issuer, leeway) = (Issuer::new(), TOKEN_LEEWAY.as_secs());
        let (tokens, token) = (tokens(Some(issuer.set())), issuer.token(&header(), &claims("pull")));
        for (at, good) in [
            (NOW - leeway - 1, false),
            (NOW - leeway, true),
            (NOW + 600 + leeway - 1, true),
            (NOW + 600 + leeway, false),
        ] {
            let expected = if good { Ok(Right::Pull) } else { Err(Code::Unauthorized) };
            assert_eq!(admit(&tokens, &token, at).await, expected, "{at}");
        }
    }

    #[tokio::test]
    async fn refuses_what_says_something_else() {
        let issuer = Issuer::new();
        let tokens = tokens(Some(issuer.set()));
        let good = claims("admin");
        for (header, claims) in [
            (header(), changed(good.clone(), "aud", json!(["reposure.puccini.cloud/ns/other"]))),
            (header(), changed(good.clone(), "aud", json!([]))),
            (header(), changed(good.clone(), "sub", json!("system:serviceaccount:other:admin"))),
            (header(), changed(good.clone(), "sub", json!("system:serviceaccount:ns:default"))),
            (header(), changed(good.clone(), "exp", Value::Null)),
            (changed(header(), "kid", json!("other")), good.clone()),
            (changed(header(), "kid", Value::Null), good.clone()),
            (changed(header(), "alg", json!("RS256")), good.clone()),
            (changed(header(), "alg", json!("ES384")), good.clone()),
            (changed(header(), "alg", json!("none")), good.clone()),
            (changed(header(), "crit", json!(["b64"])), good.clone()),
        ] {
            let token = issuer.token(&header, &claims);
            assert_eq!(admit(&tokens, &token, NOW).await, Err(Code::Unauthorized), "{header} {claims}");
        }
    }

    #[tokio::test]
    async fn refuses_forgeries() {
        let issuer = Issuer::new();
        let tokens = tokens(Some(issuer.set()));
        let token = issuer.token(&header(), &claims("pull"));
        let (head, signature) = token.rsplit_once('.').unwrap();
        let other_claims = signed(&header(), &claims("admin"));
        let unsigned = signed(&json!({"alg": "none", "kid": "k"}), &claims("admin"));
        // The public key as a shared secret: what confuses libraries that let the token choose.
        let symmetric = signed(&json!({"alg": "HS256", "kid": "k"}), &claims("admin"));
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &issuer.public()), symmetric.as_bytes());
        for forged in [
            Issuer::new().token(&header(), &claims("admin")),
            format!("{other_claims}.{signature}"),
            format!("{head}."),
            head.to_owned(),
            format!("{unsigned}."),
            format!("{symmetric}.{}", URL_SAFE_NO_PAD.encode(mac)),
            format!("{token}.{signature}"),
            String::new(),
            "..".into(),
        ] {
            assert_eq!(admit(&tokens, &forged, NOW).await, Err(Code::Unauthorized), "{forged}");
        }
        let padded = changed(claims("admin"), "x", json!("x".repeat(8 << 10)));
        assert_eq!(admit(&tokens, &issuer.token(&header(), &padded), NOW).await, Err(Code::Unauthorized));
        let none = tokens.admit(&HeaderMap::new(), UNIX_EPOCH).await;
        assert_eq!(none.unwrap_err().code, Code::Unauthorized);
    }

    #[tokio::test]
    async fn says_when_keys_cannot_be_had() {
        let token = Issuer::new().token(&header(), &claims("pull"));
        assert_eq!(admit(&tokens(None), &token, NOW).await, Err(Code::NoKeys));
        assert_eq!(admit(&tokens(Some(b"<html>".to_vec())), &token, NOW).await, Err(Code::NoKeys));
    }
}
