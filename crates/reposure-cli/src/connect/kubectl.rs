//! A session over `kubectl exec`, for clusters that kubectl alone can log in to.
//!
//! Nothing else is asked of the API server, so that the names are those that the operator gives.

use std::{env, ffi::OsString, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use reposure_api::SurrogateNames;
use reposure_client::{channel, session::Session, token::NoTokens};
use reposure_parcel::wire::Right;

use crate::{
    args::GlobalArgs,
    context::Context,
    exit::{Failure, Kind},
};

const PROGRAM: &str = "kubectl";

/// Opens a session with the surrogate of the registry `name`.
pub(crate) async fn session(context: &Context, name: &str, right: Right) -> Result<Session> {
    let program = program().ok_or_else(|| {
        Failure::new(Kind::Usage, "there is no kubectl in the search path").hint("--channel auto")
    })?;
    let namespace = context.namespace().await;
    let pod = SurrogateNames::new(name).pod();
    let channel = channel::kubectl(program.into(), options(&context.global), &namespace, &pod);
    let session = Session::open(Arc::new(channel), Arc::new(NoTokens), right).await;
    let session = session
        .with_context(|| format!("cannot reach the surrogate of registry {name} in namespace {namespace}"))?;
    tracing::info!("channel kubectl");
    match super::other(session.hello(), &namespace, name, None) {
        None => Ok(session),
        Some(what) => {
            Err(Failure::new(Kind::Unreachable, format!("another surrogate answered: {what}")).into())
        }
    }
}

/// Finds kubectl in the search path.
pub(crate) fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(PROGRAM)).find(|program| program.is_file())
}

/// Passes on which cluster is meant.
fn options(global: &GlobalArgs) -> Vec<OsString> {
    let text =
        |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("--{name}={value}").into());
    let kubeconfig = global.kubeconfig.as_ref().map(|path| {
        let mut option = OsString::from("--kubeconfig=");
        option.push(path);
        option
    });
    [kubeconfig, text("context", &global.context), text("server", &global.master)]
        .into_iter()
        .flatten()
        .collect()
}
