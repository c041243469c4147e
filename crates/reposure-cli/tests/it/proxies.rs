//! A proxy between the program and an API server: whether one is used, and which.

use std::{ffi::OsStr, process::Command};

use reposure_testing::{
    FakeApiServer, ForwardProxy,
    api_server::{Failure, How},
};
use serde_json::json;

use crate::{TestEnvironment, environment::Output};

/// This machine, which is reached at it without a proxy, although it is no address of the loopback interface.
const ADDRESS: &str = "0.0.0.0";
/// The same in a form that is no address but a name to all but the resolver, which asks nobody for it.
const NAME: &str = "0x7f.0.0.1";

/// A surrogate behind an API server, and a proxy before it.
struct Scene {
    environment: TestEnvironment,
    api_server: FakeApiServer,
    proxy: ForwardProxy,
}

impl Scene {
    fn new() -> Self {
        let environment = TestEnvironment::new();
        let api_server = environment.api_server_before_surrogate();
        let proxy = environment.forward_proxy(Some(api_server.address()));
        Self { environment, api_server, proxy }
    }

    fn port(&self) -> u16 {
        self.api_server.address().port()
    }

    /// Runs the program with the API server at `host`, and returns whether it went through the proxy.
    fn goes_through_proxy<K, V>(&self, host: &str, variables: impl IntoIterator<Item = (K, V)>) -> bool
    where
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.write_kubeconfig(&json!({"server": format!("http://{host}:{}", self.port())}));
        let output = self.list(|command| command.envs(variables));
        assert_eq!(output.code, 0, "{output}");
        assert!(!self.api_server.seen().is_empty(), "it was not asked");
        self.api_server.forget();
        !self.proxy.asked().is_empty()
    }

    fn write_kubeconfig(&self, cluster: &serde_json::Value) {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "test"}}],
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
        });
        self.environment.write("config", kubeconfig.to_string());
    }

    fn list(&self, change: impl FnOnce(&mut Command) -> &mut Command) -> Output {
        // Whoever may not read registries works with the names that they have anyway.
        let denied = Failure { path: "/registries/".into(), after: 0, times: 9, how: How::Status(403) };
        self.api_server.heal();
        self.api_server.fail(denied);
        let mut command = self.environment.reposure();
        command.env_remove("REPOSURE_SURROGATE");
        command.args(["image", "list", "default", "--channel", "proxy", "--kubeconfig", "config"]);
        self.environment.finish(change(&mut command), b"")
    }
}

#[test]
fn no_proxy_is_heeded_as_kubectl_does() {
    let scene = Scene::new();
    let (port, proxy) = (scene.port(), scene.proxy.host());
    for (host, no_proxy, through) in [
        (ADDRESS, "", true),
        (ADDRESS, "10.0.0.0/8,example.com", true),
        (ADDRESS, "0.0.0.0/8", false),
        (ADDRESS, "example.com, 0.0.0.0 ,", false),
        (ADDRESS, "0.0.0.0:PORT", false),
        (ADDRESS, "0.0.0.0:1", true),
        (ADDRESS, "*", false),
        // What it says of the proxy itself means nothing.
        (ADDRESS, "127.0.0.1", true),
        (NAME, "127.0.0.0/8", true),
        (NAME, ".0.0.1", false),
        (NAME, "*.0.0.1", false),
        (NAME, "0.0.1:PORT", false),
        (NAME, "0.0.1:1", true),
        (NAME, ".0x7f.0.0.1", true),
        (NAME, "7f.0.0.1", true),
    ] {
        let no_proxy = no_proxy.replace("PORT", &port.to_string());
        let variables = [("HTTP_PROXY", format!("http://{proxy}")), ("no_proxy", no_proxy.clone())];
        assert_eq!(scene.goes_through_proxy(host, variables), through, "{host}: {no_proxy:?}");
    }
}

#[test]
fn a_proxy_is_found_in_each_variable() {
    let scene = Scene::new();
    let proxy = scene.proxy.host();
    for (name, through) in [
        ("HTTP_PROXY", true),
        ("http_proxy", true),
        ("ALL_PROXY", true),
        ("all_proxy", true),
        ("HTTPS_PROXY", false),
    ] {
        // A scheme may be left out.
        assert_eq!(scene.goes_through_proxy(ADDRESS, [(name, &proxy)]), through, "{name}");
        assert!(!scene.goes_through_proxy("127.0.0.1", [(name, &proxy)]), "{name}: what is on this machine");
    }
}

#[test]
fn a_variable_that_holds_no_address_is_named_and_in_the_way_of_nobody_who_needs_no_proxy() {
    let scene = Scene::new();
    let broken = ("HTTPS_PROXY", "http://me:hunter2@ nowhere");
    assert!(!scene.goes_through_proxy("127.0.0.1", [broken]));
    assert!(!scene.goes_through_proxy(ADDRESS, [broken, ("NO_PROXY", "*")]));
    scene.write_kubeconfig(&json!({"server": "https://api.example"}));
    // The others are those of a password that is written as it is.
    for proxy in [broken.1, "me:hunter#2@proxy.example:3128", "http://me:hunter/2@proxy.example:3128"] {
        let output = scene.list(|command| command.env("HTTPS_PROXY", proxy));
        assert_eq!(output.code, 2, "{output}");
        assert!(output.stderr.contains("HTTPS_PROXY holds no address of a proxy"), "{output}");
        assert!(!output.stderr.contains("hunter"), "{output}");
    }
}

#[test]
fn a_user_of_the_proxy_is_shown_to_it_alone() {
    let scene = Scene::new();
    let server = format!("http://{ADDRESS}:{}", scene.port());
    scene.write_kubeconfig(&json!({"server": server}));
    let proxy = format!("http://me:p%40ss@{}", scene.proxy.host());
    let output = scene.list(|command| command.env("HTTP_PROXY", proxy).arg("-v"));
    assert_eq!(output.code, 0, "{output}");
    assert!(!output.stderr.contains("p%40ss") && !output.stderr.contains("p@ss"), "{output}");
    let asked = scene.proxy.asked();
    let shown = Some("Basic bWU6cEBzcw==".to_owned());
    assert!(!asked.is_empty() && asked.iter().all(|asked| asked.authorization == shown), "{asked:?}");
    assert!(
        scene.api_server.seen().iter().all(|seen| seen.authorization.as_deref() == Some("Bearer secret"))
    );
}

/// The kubeconfig says more than the environment, also of what is on this machine.
#[test]
fn the_proxy_of_the_kubeconfig_is_used_whatever_the_environment_says() {
    let scene = Scene::new();
    let server = format!("http://127.0.0.1:{}", scene.port());
    let other = scene.environment.forward_proxy(None);
    let proxy = format!("http://{}", scene.proxy.host());
    scene.write_kubeconfig(&json!({"server": server, "proxy-url": proxy}));
    let variables = [("HTTP_PROXY", other.host()), ("HTTPS_PROXY", other.host()), ("NO_PROXY", "*".into())];
    let output = scene.list(|command| command.envs(variables));
    assert_eq!(output.code, 0, "{output}");
    assert!(!scene.proxy.asked().is_empty() && other.asked().is_empty());
}

#[test]
fn a_proxy_that_refuses_is_named_without_its_user() {
    let scene = Scene::new();
    let refusing = scene.environment.forward_proxy(None);
    scene.write_kubeconfig(&json!({"server": format!("http://{ADDRESS}:{}", scene.port())}));
    let proxy = format!("http://me:hunter2@{}", refusing.host());
    let output = scene.list(|command| command.env("HTTP_PROXY", proxy));
    assert_eq!(output.code, 5, "{output}");
    assert!(output.stderr.contains(&format!("the proxy http://{}", refusing.host())), "{output}");
    assert!(!output.stderr.contains("hunter2"), "{output}");
    let output = scene.list(|command| command.env("HTTP_PROXY", "http://me:hunter2@ nowhere"));
    assert_eq!(output.code, 2, "{output}");
    assert!(output.stderr.contains("HTTP_PROXY") && !output.stderr.contains("hunter2"), "{output}");
}

/// What it shows is trusted as what the API server shows is, as with kubectl.
#[test]
fn a_proxy_may_speak_tls_or_socks() {
    let scene = Scene::new();
    let target = Some(scene.api_server.address());
    let (tls, socks) =
        (scene.environment.forward_proxy_over_tls(target), scene.environment.socks_proxy(target));
    scene.environment.write("proxy.crt", tls.authority().unwrap());
    let server = format!("http://{ADDRESS}:{}", scene.port());
    for (proxy, is_tls) in [
        (format!("https://{}", tls.host()), true),
        (format!("socks5://{}", socks.host()), false),
        (format!("socks5h://{}", socks.host()), false),
    ] {
        for by_kubeconfig in [true, false] {
            let mut cluster =
                json!({"server": server, "certificate-authority": scene.environment.path("proxy.crt")});
            if by_kubeconfig {
                cluster["proxy-url"] = proxy.clone().into();
            }
            scene.write_kubeconfig(&cluster);
            let variable = (!by_kubeconfig).then_some(("HTTP_PROXY", &proxy));
            let output = scene.list(|command| command.envs(variable));
            assert_eq!(output.code, 0, "{proxy}: {output}");
            let used = (!tls.asked().is_empty(), !socks.wanted().is_empty());
            assert_eq!(used, (is_tls, !is_tls), "{proxy}");
        }
    }
    // Of an authority that nobody knows.
    let proxy = format!("https://me:hunter2@{}", tls.host());
    scene.write_kubeconfig(&json!({"server": server, "proxy-url": proxy}));
    let output = scene.list(|command| command);
    assert_eq!(output.code, 5, "{output}");
    assert!(output.stderr.contains(&format!("the proxy https://{}", tls.host())), "{output}");
    assert!(!output.stderr.contains("hunter2"), "{output}");
    assert!(tls.asked().is_empty(), "it was shown a password");
}
