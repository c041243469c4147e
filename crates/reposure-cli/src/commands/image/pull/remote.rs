//! Another registry.

use std::{
    env,
    fs::File,
    io::{self, Read as _},
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use reposure_client::{
    copy::{CopySource, copy},
    pull::Tree,
};
use reposure_oci::{
    DirectOptions, DirectTransport, Scheme, TrustAnchors,
    auth::{Credentials, DockerConfig, FixedCredentials},
    place::RemoteName,
    registry,
    sink::{RegistrySink, SavedTree},
};

use super::{Pull, PullArgs, children, shown};
use crate::exit::{Failure, Kind};

/// The largest file of certificates or credentials that is read, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// Copies the image into another registry.
pub(super) async fn copy_to(pull: &Pull, tree: &Tree, to: &RemoteName, args: &PullArgs) -> Result<()> {
    let image = SavedTree::new(tree.manifest.clone(), &children(tree))?;
    let client = registry::Client::new(DirectTransport::new(options(to, args)?)?);
    let name = to.image();
    // The other registry may well have the image's blobs under the name that they have here.
    let sink = RegistrySink::new(client, name.repository.clone()).mounting_from(&pull.name.repository);
    let from = CopySource { session: pull.session.clone(), name: pull.name.clone(), options: pull.options };
    let copied = shown(async |progress| copy(&from, &image, &sink, &name.reference, progress).await).await;
    copied.map(drop).with_context(|| format!("cannot copy it to {to}"))
}

fn options(to: &RemoteName, args: &PullArgs) -> Result<DirectOptions> {
    let is_plain = args.target_plain_http || args.target_ca.is_none() && is_loopback(to.host());
    let endpoint = to.endpoint(if is_plain { Scheme::Http } else { Scheme::Https });
    let trust = match &args.target_ca {
        Some(path) => {
            let none = || Failure::new(Kind::NotFound, format!("there is no file {}", path.display()));
            TrustAnchors::Pem(read(path)?.ok_or_else(none)?)
        }
        None => TrustAnchors::System,
    };
    let credentials = Arc::new(FixedCredentials::from(credentials(to)?));
    Ok(DirectOptions { trust, credentials, ..DirectOptions::new(endpoint) })
}

/// Tells whether a host is this machine, so that nothing is sent over a network.
fn is_loopback(host: &str) -> bool {
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Finds the credentials for a registry in the files where docker and podman keep them.
fn credentials(to: &RemoteName) -> Result<Credentials> {
    for path in files() {
        let Some(bytes) = read(&path)? else { continue };
        let unusable = || format!("cannot use the credentials in {}", path.display());
        let config = DockerConfig::from_docker_config_json(&bytes).with_context(unusable)?;
        let found = config.find(to.host(), Some(to.image().repository.as_str())).with_context(unusable)?;
        if let Some(found) = found {
            return Ok(found);
        }
    }
    Ok(Credentials::Anonymous)
}

/// Lists the files, the one that counts most first. `podman login` writes one, `docker login` the other.
fn files() -> impl Iterator<Item = PathBuf> {
    let of = |name: &str, file: &str| {
        env::var_os(name).filter(|value| !value.is_empty()).map(|value| Path::new(&value).join(file))
    };
    let own = env::var_os("REGISTRY_AUTH_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let docker = of("DOCKER_CONFIG", "config.json").or_else(|| of("HOME", ".docker/config.json"));
    [own, of("XDG_RUNTIME_DIR", "containers/auth.json"), docker].into_iter().flatten()
}

/// Reads a file, if it is there.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let doing = || format!("cannot read {}", path.display());
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.with_context(doing)?,
    };
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).with_context(doing)?;
    if bytes.len() as u64 > FILE_LIMIT {
        let message = format!("{} has more than {FILE_LIMIT} bytes", path.display());
        return Err(Failure::new(Kind::Usage, message).into());
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_told_by_its_names() {
        for host in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["example.com", "10.0.0.1:5000", "localhost.example:80", "[fe80::1]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
