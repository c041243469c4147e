//! Tokens of a surrogate's own ServiceAccount, for a registry that takes them.

use anyhow::{Context as _, Result};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::api::PostParams;
use reposure_admin::{AdminError, ObjectName, Verb};
use secrecy::SecretString;

use crate::{
    context::Cluster,
    exit::{Failure, Kind},
};

/// How long a token is asked for, in seconds: long enough for a large push.
const SECONDS: i64 = 3600;

/// Asks the API server, by the caller's own right, for a token of a ServiceAccount that is for the API server itself: a registry shows
/// it there.
pub(crate) async fn token(cluster: &Cluster, account: &str) -> Result<SecretString> {
    let spec = TokenRequestSpec { expiration_seconds: Some(SECONDS), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let api = cluster.api::<ServiceAccount>();
    let asked = api.create_token_request(account, &PostParams::default(), &request).await;
    let asked = asked.map_err(|error| {
        let mut token = ObjectName::of::<ServiceAccount>(Some(&cluster.namespace), account);
        // What a Role has to name.
        token.resource.push_str("/token");
        AdminError::new(Verb::Create, &token, error)
    });
    let asked = asked.context("cannot ask for a token of the surrogate's ServiceAccount")?;
    let missing =
        || Failure::new(Kind::Other, format!("the API server gave no token of ServiceAccount {account}"));
    Ok(asked.status.map(|status| status.token.into()).ok_or_else(missing)?)
}
