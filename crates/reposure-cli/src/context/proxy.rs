//! Whether a proxy is on the way to the API server.

use http::Uri;
use kube::config::Kubeconfig;

use super::environment::Environment;
use crate::exit::{Failure, Kind};

/// What an address looks like.
pub(super) const ADDRESS: &str =
    "http://HOST:PORT, and in a password %23 for #, %2F for /, %3F for ?, %40 for @";
/// What kube is told of a proxy, and nothing uses.
const UNUSED: &str = "http://unused.invalid";

/// Returns the proxy to an API server: that of the kubeconfig, or else that of the environment.
///
/// As kubectl does: `NO_PROXY` speaks of the API server, and of what the environment says alone; and what is on this machine is
/// reached without a proxy.
///
/// # Errors
/// When the environment names a proxy that has no address.
pub(super) fn proxy(
    api_server: &Uri,
    of_kubeconfig: Option<Uri>,
    environment: &Environment,
) -> Result<Option<Uri>, Failure> {
    if of_kubeconfig.is_some() || is_loopback(api_server) {
        return Ok(of_kubeconfig);
    }
    environment.proxy_to(api_server)
}

fn is_loopback(api_server: &Uri) -> bool {
    let host = api_server.host().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Takes the proxy that a kubeconfig names for the cluster of a context, or of the current one.
///
/// # Errors
/// When it names one that has no address.
pub(super) fn take(kubeconfig: &mut Kubeconfig, context: Option<&str>) -> Result<Option<Uri>, Failure> {
    let proxy = named(kubeconfig, context).map(|url| address(url).ok_or_else(no_proxy)).transpose();
    // Where none is named, kube reads a variable of the environment, and fails on one that is malformed, also where no proxy is wanted.
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        cluster.proxy_url = Some(UNUSED.into());
    }
    proxy
}

fn named<'a>(kubeconfig: &'a Kubeconfig, context: Option<&str>) -> Option<&'a str> {
    let context = context.or(kubeconfig.current_context.as_deref())?;
    let context = kubeconfig.contexts.iter().find(|named| named.name == context)?.context.as_ref()?;
    let cluster = kubeconfig.clusters.iter().find(|named| named.name == context.cluster)?.cluster.as_ref()?;
    cluster.proxy_url.as_deref().filter(|url| !url.is_empty())
}

/// Reads a proxy's address. None is one that looks as if a password were cut in it: what is taken for its host then would be shown.
pub(super) fn address(text: &str) -> Option<Uri> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (own, more) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = own.rsplit_once('@').map_or(own, |(_, host)| host);
    let port = host.rsplit_once(']').map_or(host, |(_, port)| port).rsplit_once(':');
    let has_number = port.is_none_or(|(_, port)| port.parse::<u16>().is_ok());
    if more.contains('@') || !has_number { None } else { text.parse().ok() }
}

fn no_proxy() -> Failure {
    // What cannot be read may hold a password.
    Failure::new(Kind::Usage, "proxy-url of the kubeconfig is no address of a proxy").hint(ADDRESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(api_server: &str, of_kubeconfig: Option<&str>) -> Option<String> {
        let environment = Environment::of(|name| {
            let text = match name {
                "https_proxy" => "me:secret@proxy.example:3128",
                "HTTPS_PROXY" => "",
                "HTTP_PROXY" => "http://plain.example:8080/",
                "NO_PROXY" => ".corp.example,10.0.0.0/8,proxy.example,",
                _ => return None,
            };
            Some(text.to_owned())
        });
        let of_kubeconfig = of_kubeconfig.map(|proxy| proxy.parse().unwrap());
        let found = proxy(&api_server.parse().unwrap(), of_kubeconfig, &environment).unwrap();
        found.map(|proxy| proxy.to_string())
    }

    #[test]
    fn the_environment_is_asked_about_the_api_server() {
        assert_eq!(found("https://api.example:6443", None).unwrap(), "http://me:secret@proxy.example:3128/");
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
    fn what_is_no_address_is_not_passed_over() {
        let environment =
            Environment::of(|name| (name == "ALL_PROXY").then(|| "http://me:hunter2@ x".into()));
        let error =
            proxy(&"https://api.example".parse().unwrap(), None, &environment).unwrap_err().to_string();
        assert!(error.contains("ALL_PROXY") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn the_kubeconfig_comes_first() {
        for api_server in ["https://api.corp.example:6443", "https://127.0.0.1:6443"] {
            let proxy = found(api_server, Some("socks5://other.example:1080"));
            assert_eq!(proxy.unwrap(), "socks5://other.example:1080/", "{api_server}");
        }
    }

    #[test]
    fn an_address_with_half_a_password_is_none() {
        for good in [
            "http://a",
            "a:3128",
            "http://me:p%23w@[fd00::1]:3128/",
            "socks5://me@a:1080",
            "http://[fd00::1]",
        ] {
            assert!(address(good).is_some(), "{good}");
        }
        for bad in [
            "http://me:1/2@a:3128",
            "http://me:1?2@a",
            "http://me:1#2@a",
            "http://me:hush",
            "http://a:b@c:d",
            "",
        ] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_proxy_is_that_of_the_contexts_cluster() {
        let text = "
            current-context: one
            contexts:
            - {name: one, context: {cluster: first}}
            - {name: two, context: {cluster: second}}
            - {name: four, context: {cluster: third}}
            clusters:
            - {name: first, cluster: {server: 'https://a', proxy-url: 'http://proxy.example'}}
            - {name: second, cluster: {server: 'https://b'}}
            - {name: third, cluster: {server: 'https://c', proxy-url: 'http://me:hunter2@ x'}}
            ";
        let of = |context| take(&mut Kubeconfig::from_yaml(text).unwrap(), context);
        assert_eq!(of(None).unwrap().unwrap().host(), Some("proxy.example"));
        assert_eq!(of(Some("two")).unwrap(), None);
        assert_eq!(of(Some("three")).unwrap(), None);
        let error = of(Some("four")).unwrap_err().to_string();
        assert!(error.contains("proxy-url") && !error.contains("hunter2"), "{error}");
    }
}
