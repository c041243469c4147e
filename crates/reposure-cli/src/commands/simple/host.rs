//! `reposure simple host`

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Service;
use reposure_admin::Verb;
use reposure_api::names;
use serde::Serialize;

use crate::{
    context::Context,
    exit::{Failure, Kind},
    output,
};

#[derive(Serialize)]
struct Host {
    host: String,
}

pub(super) async fn run(context: &Context) -> Result<()> {
    let cluster = context.cluster().await?;
    let service = cluster.api::<Service>().get_opt(names::SIMPLE).await;
    let service = service.map_err(|error| cluster.failed::<Service>(Verb::Get, names::SIMPLE, error));
    let service = service.context("cannot look for the simple registry")?;
    let address = service.and_then(|service| service.spec?.cluster_ip).ok_or_else(|| {
        let message = format!("there is no simple registry in namespace {}", cluster.namespace);
        Failure::new(Kind::NotFound, message).hint("reposure simple install")
    })?;
    // An IPv6 address needs brackets before a port.
    let address = if address.contains(':') { format!("[{address}]") } else { address };
    let host = Host { host: format!("{address}:{}", names::SIMPLE_PORT) };
    output::fact(context.format(), &host, &host.host)
}
