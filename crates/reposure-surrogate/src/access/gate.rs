//! The check that every request for the API passes.

use std::{net::SocketAddr, time::SystemTime};

use http::HeaderMap;
use reposure_parcel::{
    config::{Access, Config, ServiceAccounts},
    problem::{Code, Problem},
    status::{Check, Reason},
    wire::{self, Right},
};

use super::{
    fetch::{AddressError, ApiServer},
    keys::{Found, Keys},
    token::Token,
};

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
                let outside = [config.listen, config.status_listen].into_iter().find(|a| !a.ip().is_loopback());
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
                let source =
                    ApiServer::new(api_server, api_server_authority_file.clone(), api_server_token_file.clone())
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
        let text = headers.get(wire::TOKEN_HEADER).and_then(|value| value.to_str().ok()).ok_or_else(unauthorized)?;
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

