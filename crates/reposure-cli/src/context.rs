//! The kubeconfig, namespace and output format of one run.

use anyhow::{Context as _, Result};
use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use reposure_client::channel::ApiServer;

use crate::{
    args::{Format, GlobalArgs},
    exit::{Failure, Kind},
};

/// What a command works with.
pub(crate) struct Context {
    pub(crate) global: GlobalArgs,
}

/// A cluster, seen with the rights of a kubeconfig.
pub(crate) struct Cluster {
    pub(crate) api_server: ApiServer,
    pub(crate) client: kube::Client,
    pub(crate) namespace: String,
}

impl Context {
    pub(crate) const fn new(global: GlobalArgs) -> Self {
        Self { global }
    }

    pub(crate) const fn format(&self) -> Format {
        self.global.output
    }

    /// Reads the kubeconfig and makes connections by it; nothing is sent yet.
    pub(crate) async fn cluster(&self) -> Result<Cluster> {
        let config = self.config().await?;
        let namespace = self.global.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let api_server = ApiServer::new(config)?;
        Ok(Cluster { client: api_server.client(), api_server, namespace })
    }

    /// Returns the namespace, also where there is no cluster to ask.
    pub(crate) async fn namespace(&self) -> String {
        if let Some(namespace) = &self.global.namespace {
            return namespace.clone();
        }
        self.config().await.map_or_else(|_| "default".into(), |config| config.default_namespace)
    }

    async fn config(&self) -> Result<Config> {
        let options = KubeConfigOptions { context: self.global.context.clone(), cluster: None, user: None };
        let mut config = match self.kubeconfig()? {
            Some(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .context("cannot use the kubeconfig")?,
            // A pod in the cluster needs no kubeconfig.
            None => Config::incluster().map_err(|_| {
                Failure::new(Kind::Usage, "there is no kubeconfig")
                    .hint("--kubeconfig FILE, or the environment variable KUBECONFIG")
            })?,
        };
        if let Some(master) = &self.global.master {
            config.cluster_url =
                master.parse().with_context(|| format!("{master:?} is no address of an API server"))?;
        }
        Ok(config)
    }

    fn kubeconfig(&self) -> Result<Option<Kubeconfig>> {
        // The variable KUBECONFIG may hold several files, which are merged; the option names one.
        let explicit = self.global.kubeconfig.as_ref().filter(|path| path.exists());
        if let Some(path) = explicit {
            let read = Kubeconfig::read_from(path);
            return read.map(Some).with_context(|| format!("cannot read the kubeconfig {}", path.display()));
        }
        if let Some(merged) = Kubeconfig::from_env().context("cannot read the kubeconfig")? {
            return Ok(Some(merged));
        }
        if let Some(path) = &self.global.kubeconfig {
            let message = format!("there is no kubeconfig {}", path.display());
            return Err(Failure::new(Kind::NotFound, message).into());
        }
        let home = std::env::home_dir().map(|home| home.join(".kube/config")).filter(|path| path.exists());
        home.map(Kubeconfig::read_from).transpose().context("cannot read the kubeconfig")
    }
}
