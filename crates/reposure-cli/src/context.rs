//! The kubeconfig, namespace and output format of one run.

mod environment;
mod no_proxy;
mod proxy;

use std::{path::Path, sync::OnceLock};

use anyhow::{Context as _, Result};
use kube::{
    Api, Config, Resource,
    config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError},
    core::NamespaceResourceScope,
};
use reposure_admin::{AdminError, ObjectName, Verb};
use reposure_client::channel::ApiServer;

use self::environment::Environment;
use crate::{
    args::GlobalArgs,
    exit::{Failure, Kind},
    format::Format,
};

/// What a command works with.
pub(crate) struct Context {
    pub(crate) global: GlobalArgs,
    api_server: OnceLock<String>,
    perspective: OnceLock<String>,
}

/// A cluster, seen with the rights of a kubeconfig.
pub(crate) struct Cluster {
    pub(crate) api_server: ApiServer,
    pub(crate) client: kube::Client,
    pub(crate) namespace: String,
}

impl Context {
    pub(crate) const fn new(global: GlobalArgs) -> Self {
        Self { global, api_server: OnceLock::new(), perspective: OnceLock::new() }
    }

    pub(crate) const fn format(&self) -> Format {
        self.global.output
    }

    /// Returns the address of the API server, once a command had to do with it.
    pub(crate) fn api_server(&self) -> Option<&str> {
        self.api_server.get().map(String::as_str)
    }

    /// Returns which cluster is seen, and by whom: other users have other rights. It names the API server, and the kubeconfig's context
    /// with its user, and holds no secret; none before a command had to do with a cluster.
    pub(crate) fn perspective(&self) -> Option<String> {
        let who = self.perspective.get().map(String::as_str).unwrap_or_default();
        // No name in a kubeconfig holds such a character.
        Some(format!("{}\0{who}", self.api_server()?))
    }

    /// Reads the kubeconfig and makes connections by it; nothing is sent yet.
    pub(crate) async fn cluster(&self) -> Result<Cluster> {
        let config = self.config().await?;
        self.api_server.get_or_init(|| config.cluster_url.to_string());
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

    /// Returns what the kubeconfig shows the API server.
    pub(crate) async fn user(&self) -> Result<AuthInfo> {
        self.config().await.map(|config| config.auth_info)
    }

    async fn config(&self) -> Result<Config> {
        let mut own_proxy = None;
        let mut config = match self.kubeconfig()? {
            Some(mut kubeconfig) => {
                self.perspective.get_or_init(|| perspective(&kubeconfig, self.global.context.as_deref()));
                own_proxy = proxy::take(&mut kubeconfig, self.global.context.as_deref())?;
                self.of_kubeconfig(kubeconfig).await?
            }
            // A pod in the cluster needs no kubeconfig.
            None => Config::incluster().map_err(|_| {
                Failure::new(Kind::Usage, "there is no kubeconfig")
                    .hint("--kubeconfig FILE, or the environment variable KUBECONFIG")
            })?,
        };
        if let Some(master) = &self.global.master {
            config.cluster_url = master.parse().map_err(|_| no_address(master))?;
        }
        // What kube would only find out when it sends something.
        if config.cluster_url.scheme().is_none() || config.cluster_url.host().is_none() {
            return Err(no_address(&config.cluster_url.to_string()).into());
        }
        config.proxy_url = proxy::proxy(&config.cluster_url, own_proxy, &Environment::read())?;
        Ok(config)
    }

    async fn of_kubeconfig(&self, kubeconfig: Kubeconfig) -> Result<Config> {
        let options = KubeConfigOptions { context: self.global.context.clone(), cluster: None, user: None };
        let known: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
        match Config::from_custom_kubeconfig(kubeconfig, &options).await {
            Err(KubeconfigError::LoadContext(name)) => {
                Err(Failure::new(Kind::NotFound, format!("the kubeconfig has no context {name}"))
                    .hint(format!("--context with one of {}", known.join(", ")))
                    .into())
            }
            done => done.context("cannot use the kubeconfig"),
        }
    }

    fn kubeconfig(&self) -> Result<Option<Kubeconfig>> {
        if let Some(path) = &self.global.kubeconfig {
            return read(path).map(Some);
        }
        // The variable may hold several files, which are merged.
        if let Some(merged) = Kubeconfig::from_env().context("cannot read the files of KUBECONFIG")? {
            return Ok(Some(merged));
        }
        let home = std::env::home_dir().map(|home| home.join(".kube/config"));
        home.filter(|path| path.exists()).map(|path| read(&path)).transpose()
    }
}

/// Returns the context's name and its user's, of a kubeconfig whose context may be chosen.
fn perspective(kubeconfig: &Kubeconfig, chosen: Option<&str>) -> String {
    let name = chosen.or(kubeconfig.current_context.as_deref()).unwrap_or_default();
    let named = kubeconfig.contexts.iter().find(|context| context.name == name);
    let user = named.and_then(|named| named.context.as_ref()?.user.as_deref()).unwrap_or_default();
    format!("{name}\0{user}")
}

fn no_address(text: &str) -> Failure {
    Failure::new(Kind::Usage, format!("{text:?} is no address of an API server")).hint("https://HOST:PORT")
}

fn read(path: &Path) -> Result<Kubeconfig> {
    Kubeconfig::read_from(path).with_context(|| format!("cannot read the kubeconfig {}", path.display()))
}

impl Cluster {
    /// Returns the same cluster, seen from another namespace.
    pub(crate) fn in_namespace(&self, namespace: String) -> Self {
        Self { api_server: self.api_server.clone(), client: self.client.clone(), namespace }
    }

    /// Returns the objects of a kind in the namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Says what was being done to which object, and which right is missing if one is.
    pub(crate) fn failed<K>(&self, verb: Verb, name: &str, source: kube::Error) -> AdminError
    where
        K: Resource<DynamicType = ()>,
    {
        AdminError::new(verb, &ObjectName::of::<K>(Some(&self.namespace), name), source)
    }
}
