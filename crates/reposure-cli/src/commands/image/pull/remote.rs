//! Another registry.

use std::{
    env,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use reposure_client::{
    copy::{CopySource, copy},
    pull::{AttachedTree, Tree},
};
use reposure_oci::{
    DirectOptions, DirectTransport, Reference, Scheme, Transport, TrustAnchors,
    auth::UserCredentials,
    place::RemoteName,
    registry,
    sink::{RegistrySink, SavedTree},
};

use super::{Pull, PullArgs, children, shown};
use crate::exit::{Failure, Kind};

/// The largest file of certificates that is read, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// Copies the image into another registry, and then what refers to it, if that was fetched.
pub(super) async fn copy_to(pull: &Pull, tree: &Tree, to: &RemoteName, args: &PullArgs) -> Result<()> {
    let client = registry::Client::new(DirectTransport::new(options(to, args)?)?);
    let name = to.image();
    // The other registry may well have the image's blobs under the name that they have here.
    let sink = RegistrySink::new(client, name.repository.clone()).mounting_from(&pull.name.repository);
    let copied = copy_tree(pull, tree, &sink, &name.reference).await;
    copied.with_context(|| format!("cannot copy it to {to}"))?;
    for AttachedTree { tag, tree } in &tree.referrers {
        let digest = tree.manifest.digest();
        let reference = tag.clone().map_or_else(|| Reference::Digest(digest.clone()), Reference::Tag);
        let copied = copy_tree(pull, tree, &sink, &reference).await;
        copied.with_context(|| format!("cannot copy referrer {digest} to {to}"))?;
    }
    Ok(())
}

async fn copy_tree<T: Transport>(
    pull: &Pull,
    tree: &Tree,
    sink: &RegistrySink<T>,
    reference: &Reference,
) -> Result<()> {
    let image = SavedTree::new(tree.manifest.clone(), &children(tree))?;
    let from = CopySource { session: pull.session.clone(), name: pull.name.clone(), options: pull.options };
    shown(async |progress| copy(&from, &image, sink, reference, progress).await).await?;
    Ok(())
}

fn options(to: &RemoteName, args: &PullArgs) -> Result<DirectOptions> {
    let is_plain = args.target_plain_http || args.target_ca.is_none() && to.is_loopback();
    let endpoint = to.endpoint(if is_plain { Scheme::Http } else { Scheme::Https });
    let trust = match &args.target_ca {
        Some(path) => TrustAnchors::Pem(read(path)?),
        None => TrustAnchors::System,
    };
    let credentials = Arc::new(UserCredentials::new(to.host(), files()));
    Ok(DirectOptions { trust, credentials, ..DirectOptions::new(endpoint) })
}

/// Lists the files of credentials, the one that counts most first. `podman login` writes one, `docker login` the other.
fn files() -> Vec<PathBuf> {
    let of = |name: &str, file: &str| {
        env::var_os(name).filter(|value| !value.is_empty()).map(|value| Path::new(&value).join(file))
    };
    let own = env::var_os("REGISTRY_AUTH_FILE").filter(|path| !path.is_empty()).map(PathBuf::from);
    let docker = of("DOCKER_CONFIG", "config.json").or_else(|| of("HOME", ".docker/config.json"));
    [own, of("XDG_RUNTIME_DIR", "containers/auth.json"), docker].into_iter().flatten().collect()
}

/// Reads a file of certificates.
fn read(path: &Path) -> Result<Vec<u8>> {
    let doing = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(doing)?;
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).with_context(doing)?;
    if bytes.len() as u64 > FILE_LIMIT {
        let message = format!("{} has more than {FILE_LIMIT} bytes", path.display());
        return Err(Failure::new(Kind::Usage, message).into());
    }
    Ok(bytes)
}
