//! Whether a proxy is on the way to the API server.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::Kubeconfig;

/// Returns the proxy to an API server: that of the kubeconfig, or else that of the environment, which kube may have `found` with its
/// credentials.
///
/// As kubectl does: `NO_PROXY` speaks of the API server, and of what the environment says alone; and what is on this machine is
/// reached without a proxy. kube holds `NO_PROXY` against the proxy's own name.
pub(super) fn proxy(
    api_server: &Uri,
    of_kubeconfig: Option<Uri>,
    found: Option<Uri>,
    environment: &Matcher,
) -> Option<Uri> {
    if of_kubeconfig.is_some() || is_loopback(api_server) {
        return of_kubeconfig;
    }
    let wanted = environment.intercept(api_server)?;
    found.or_else(|| Some(wanted.uri().clone()))
}

fn is_loopback(api_server: &Uri) -> bool {
    let host = api_server.host().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Returns the proxy that a kubeconfig names for the cluster of a context, or of the current one.
pub(super) fn of_kubeconfig(kubeconfig: &Kubeconfig, context: Option<&str>) -> Option<Uri> {
    let context = context.or(kubeconfig.current_context.as_deref())?;
    let context = kubeconfig.contexts.iter().find(|named| named.name == context)?.context.as_ref()?;
    let cluster = kubeconfig.clusters.iter().find(|named| named.name == context.cluster)?.cluster.as_ref()?;
    cluster.proxy_url.as_deref().filter(|url| !url.is_empty())?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(api_server: &str, of_kubeconfig: Option<&str>) -> Option<String> {
        let environment = Matcher::builder()
            .https("http://proxy.example:3128")
            .http("http://plain.example:8080")
            .no("*.corp.example,.corp.example,10.0.0.0/8,proxy.example")
            .build();
        let of_kubeconfig = of_kubeconfig.map(|proxy| proxy.parse().unwrap());
        let api_server = api_server.parse().unwrap();
        proxy(&api_server, of_kubeconfig, None, &environment).map(|proxy| proxy.to_string())
    }

    #[test]
    fn the_environment_is_asked_about_the_api_server() {
        assert_eq!(found("https://api.example:6443", None).unwrap(), "http://proxy.example:3128/");
        assert_eq!(found("http://api.example:8001", None).unwrap(), "http://plain.example:8080/");
        for direct in [
            "https://api.corp.example:6443",
            "https://10.1.2.3:6443",
            "https://127.0.0.1:6443",
            "https://localhost:6443",
            "https://[::1]:6443",
        ] {
            assert_eq!(found(direct, None), None, "{direct}");
        }
    }

    #[test]
    fn the_kubeconfig_comes_first() {
        for api_server in ["https://api.corp.example:6443", "https://127.0.0.1:6443"] {
            let proxy = found(api_server, Some("socks5://other.example:1080"));
            assert_eq!(proxy.unwrap(), "socks5://other.example:1080/", "{api_server}");
        }
    }

    #[test]
    fn the_proxy_is_that_of_the_contexts_cluster() {
        let kubeconfig = Kubeconfig::from_yaml(
            "
            current-context: one
            contexts:
            - {name: one, context: {cluster: first}}
            - {name: two, context: {cluster: second}}
            clusters:
            - {name: first, cluster: {server: 'https://a', proxy-url: 'http://proxy.example'}}
            - {name: second, cluster: {server: 'https://b'}}
            ",
        )
        .unwrap();
        assert_eq!(of_kubeconfig(&kubeconfig, None).unwrap().host(), Some("proxy.example"));
        assert_eq!(of_kubeconfig(&kubeconfig, Some("two")), None);
        assert_eq!(of_kubeconfig(&kubeconfig, Some("three")), None);
    }
}
