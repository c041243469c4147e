//! The real API server behind proxies for all that goes out: by `CONNECT`, over TCP and TLS, and by SOCKS 5.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use reposure_e2e::{Run, Server, Stage};
use reposure_testing::{ForwardProxy, SocksProxy, SocksTarget};
use serde_json::Value;
use tokio::runtime::Runtime;

/// A proxy of each kind, which lead to the API server and nowhere else.
struct Proxies {
    by_http: ForwardProxy,
    by_tls: ForwardProxy,
    by_socks: SocksProxy,
    _runtime: Runtime,
}

impl Proxies {
    fn start(server: &Server) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let target = Some(server.address());
        let (by_http, by_tls, by_socks) = runtime.block_on(async {
            let by_socks = SocksProxy::start(target, true).await?;
            anyhow::Ok((
                ForwardProxy::start(target).await?,
                ForwardProxy::start_over_tls(target).await?,
                by_socks,
            ))
        })?;
        Ok(Self { by_http, by_tls, by_socks, _runtime: runtime })
    }

    fn addresses(&self) -> [String; 4] {
        [
            format!("http://me:secret@{}", self.by_http.host()),
            format!("https://me:secret@{}", self.by_tls.host()),
            format!("socks5://me:secret@{}", self.by_socks.host()),
            format!("socks5h://me:secret@{}", self.by_socks.host()),
        ]
    }

    /// Tells whether the proxy at an address was used since this was asked last, and for the API server alone.
    fn were_used(&self, address: &str, server: &Server) -> bool {
        let lines = self.by_http.asked().into_iter().chain(self.by_tls.asked()).map(|asked| asked.line);
        let connect = format!("CONNECT {} HTTP/1.1", server.address());
        let by_connect: Vec<_> = lines.map(|line| line == connect).collect();
        let target = SocksTarget::Address(server.address());
        let by_socks: Vec<_> =
            self.by_socks.wanted().into_iter().map(|wanted| wanted.target == target).collect();
        let (used, other) =
            if address.starts_with("socks") { (by_socks, by_connect) } else { (by_connect, by_socks) };
        !used.is_empty() && used.into_iter().all(|is_it| is_it) && other.is_empty()
    }
}

/// Copies the kubeconfig with another authority beside its own: what a proxy shows is trusted as what the API server shows is.
fn trusting(stage: &Stage, authority: &str, proxy: Option<&str>) -> Result<PathBuf> {
    let view = ["config", "view", "--raw", "--minify", "--flatten", "-o", "json"];
    let mut config: Value = serde_json::from_slice(&stage.kubectl(&view).ok()?.stdout)?;
    let cluster = &mut config["clusters"][0]["cluster"];
    let own = cluster["certificate-authority-data"].as_str().context("no authority")?;
    let both = [BASE64_STANDARD.decode(own)?, authority.into()].concat();
    cluster["certificate-authority-data"] = BASE64_STANDARD.encode(both).into();
    if let Some(proxy) = proxy {
        cluster["proxy-url"] = proxy.into();
    }
    let path = stage.path("behind-proxy.kubeconfig");
    fs::write(&path, config.to_string())?;
    Ok(path)
}

#[test]
fn each_kind_of_proxy_leads_to_the_api_server() -> Result<()> {
    Stage::play("proxies", |stage| {
        let server = Server::of(stage, &stage.environment.kubeconfig)?;
        let proxies = Proxies::start(&server)?;
        let authority = proxies.by_tls.authority().context("no authority")?;
        for address in proxies.addresses() {
            fs::write(stage.path("file"), reposure_e2e::random_bytes(5 << 20))?;
            there_and_back(stage, |args| {
                let kubeconfig = trusting(stage, authority, Some(&address))?;
                Ok(stage.reposure(args).env("KUBECONFIG", kubeconfig))
            })?;
            ensure!(proxies.were_used(&address, &server), "{address} by the kubeconfig");
            // What is on this machine is reached without a proxy of the environment.
            if server.address().ip().is_loopback() {
                continue;
            }
            fs::write(stage.path("file"), reposure_e2e::random_bytes(5 << 20))?;
            there_and_back(stage, |args| {
                let kubeconfig = trusting(stage, authority, None)?;
                Ok(stage.reposure(args).env("KUBECONFIG", kubeconfig).env("HTTPS_PROXY", &address))
            })?;
            ensure!(proxies.were_used(&address, &server), "{address} by the environment");
        }
        Ok(())
    })
}

/// Pushes the file over two channels and pulls it.
fn there_and_back(stage: &Stage, reposure: impl Fn(&[&str]) -> Result<Run>) -> Result<()> {
    for channel in ["proxy", "exec"] {
        reposure(&["image", "push", "default", channel, "file", "--channel", channel])?.ok()?;
        let pulled =
            reposure(&["image", "pull", "default", channel, "--unpack", "--channel", channel])?.ok()?;
        ensure!(pulled.stdout == fs::read(stage.path("file"))?, "other bytes over {channel}");
    }
    Ok(())
}
