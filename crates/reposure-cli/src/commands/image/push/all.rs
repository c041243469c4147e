//! `--all`: every image of a source, under the names that it has there.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use reposure_client::push::Ahead;
use reposure_oci::{
    Artifact, ImageName, Reference, RepositoryName, Tag,
    archive::Entry,
    name::NameError,
    place::{PlaceError, RemoteName},
};

use super::{PushArgs, Pushing};
use crate::{
    commands::image::{check_name, source::Source},
    context::Context,
    exit::{self, Failure, Kind},
    format::Format,
    output,
};

/// Where docker.io has its images of one part.
const LIBRARY: &str = "library/";
const DOCKER_HUB: &str = "docker.io";

/// Why a name of the source is none in the registry.
#[derive(Debug, thiserror::Error)]
enum TargetError {
    #[error("the name {0:?} in the source cannot be read")]
    Name(String, #[source] PlaceError),
    #[error("the name {0:?} in the source gives none in the registry")]
    Target(String, #[source] NameError),
}

pub(super) async fn run(context: &Context, args: PushArgs, source: &Source) -> Result<()> {
    let prefix = prefix(&args.image)?;
    // All that is wrong with the names is said before anything is pushed.
    let entries = source.all()?;
    let targets = targets(prefix, entries)?;
    if targets.is_empty() {
        let message = format!("{} holds no image, but only what refers to others", source.describe());
        return Err(Failure::new(Kind::Usage, message)
            .hint("push one of them by itself: --source-tag @0")
            .into());
    }
    let left_out = entries.iter().filter(|entry| entry.is_referrer()).count();
    if left_out > 0 && !args.referrers {
        exit::warn(&format!(
            "{left_out} that only refer to images are left out: --referrers takes them along"
        ));
    }
    let mut artifacts = Vec::new();
    for (name, entry) in targets {
        let artifact = source.artifact(entry).await?;
        if args.referrers {
            source.check_referrers_of(&artifact)?;
        }
        artifacts.push((name, artifact));
    }
    let ahead = artifacts.first().map(|(name, artifact)| Ahead::of(artifact, name, args.options()));
    let pushing = Pushing::start(context, &args, ahead.as_ref()).await?;
    for (name, _) in &artifacts {
        check_name(&pushing.session, &name.repository)?;
    }
    let mut all = Vec::new();
    for (name, artifact) in artifacts {
        let pushed = pushing.push_with_referrers(source, &artifact, name).await?;
        if is_plain(context.format()) {
            // At once, so that what was pushed before a failure is known.
            output::print(&format!("{}\n", pushed.digest))?;
        }
        all.push(pushed);
    }
    if is_plain(context.format()) { Ok(()) } else { output::structured(context.format(), &all) }
}

const fn is_plain(format: Format) -> bool {
    matches!(format, Format::Bare | Format::Wide | Format::Name)
}

/// Returns the repository of a name without a tag of its own.
fn prefix(name: &ImageName) -> Result<&RepositoryName, Failure> {
    if name.reference == Reference::Tag(Tag::latest()) {
        return Ok(&name.repository);
    }
    let message = format!("with --all each image gets its own tag, and not that of {name}");
    Err(Failure::new(Kind::Usage, message).hint(format!("leave the tag out: {}", name.repository)))
}

/// Returns what is pushed under which name, in the order of names: images, with which go those that refer to them.
fn targets<'a>(
    prefix: &RepositoryName,
    entries: &'a [Entry],
) -> Result<BTreeMap<ImageName, &'a Entry>, Failure> {
    let mut targets: BTreeMap<ImageName, &Entry> = BTreeMap::new();
    for (position, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.is_referrer()) {
        if entry.names.is_empty() {
            let message = format!("image @{position} of the source has no name");
            return Err(Failure::new(Kind::Usage, message)
                .hint(format!("push it by itself: --source-tag @{position}")));
        }
        for name in &entry.names {
            let target =
                target(prefix, name).map_err(|error| Failure::because("--all is not possible", error))?;
            if let Some(other) = targets.insert(target.clone(), entry)
                && !is_same(&other.artifact, &entry.artifact)
            {
                return Err(Failure::new(
                    Kind::Usage,
                    format!("two images of the source would become {target}"),
                )
                .hint("push them one by one: --source-tag NAME"));
            }
        }
    }
    Ok(targets)
}

fn is_same(one: &Artifact, other: &Artifact) -> bool {
    match (one, other) {
        (Artifact::Image(one), Artifact::Image(other)) => Arc::ptr_eq(one, other),
        (Artifact::Index(one), Artifact::Index(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

/// Makes the name in the registry: a tag alone is one of `prefix`; a whole name keeps its path below it, without its host.
fn target(prefix: &RepositoryName, name: &str) -> Result<ImageName, TargetError> {
    let parsed = if name.contains(['/', ':', '@']) {
        let remote: RemoteName = name.parse().map_err(|source| TargetError::Name(name.into(), source))?;
        let image = remote.image().to_string();
        let library = if remote.host() == DOCKER_HUB { LIBRARY } else { "" };
        format!("{prefix}/{}", image.strip_prefix(library).unwrap_or(&image)).parse()
    } else {
        format!("{prefix}:{name}").parse()
    };
    parsed.map_err(|source| TargetError::Target(name.into(), source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_path_below_the_prefix() {
        let prefix: RepositoryName = "team".parse().unwrap();
        for (name, expected) in [
            ("v1", "team:v1"),
            ("app:v1", "team/app:v1"),
            ("docker.io/library/app:v1", "team/app:v1"),
            ("docker.io/me/app:v1", "team/me/app:v1"),
            ("localhost/app:v1", "team/app:v1"),
            ("ghcr.io/library/a/b:v1", "team/library/a/b:v1"),
            ("ghcr.io/a/b", "team/a/b:latest"),
        ] {
            assert_eq!(target(&prefix, name).unwrap().to_string(), expected);
        }
        for name in ["", "a b", "A/b:c d", "/"] {
            assert!(target(&prefix, name).is_err(), "{name:?}");
        }
    }
}
