//! The referrers in a layout: signatures, SBOMs and the like that come with its images.
//!
//! Three forms are met in layouts, as they are in registries: a manifest with a subject in `index.json` (oras), an index under
//! the fallback tag (regctl), and tags of cosign's.

use std::collections::BTreeSet;

use super::entry::{Archive, Entry};
use crate::{
    digest::Digest,
    image::Artifact,
    name::{ImageName, RepositoryName, Tag},
    referrer::{Referrer, cosign_tags, fallback_tag},
    registry::is_referrer_tag,
};

/// What refers to an image in the same source.
#[derive(Clone, Debug)]
pub struct Attached {
    /// The tag that leads to it, where it has no subject, as with cosign.
    pub tag: Option<Tag>,
    /// The referrer.
    pub artifact: Artifact,
}

impl Attached {
    /// Returns what it is called in a repository: its tag, else its digest. There is none for what has to be compressed first, which
    /// nothing refers with.
    pub fn name_in(&self, repository: &RepositoryName) -> Option<ImageName> {
        let digest = self.artifact.ready_manifest()?.digest().clone();
        Some(ImageName::of_referrer(repository, self.tag.clone(), digest))
    }
}

impl Archive {
    /// Returns what refers to an image or index of this source, to one of its children, or to another referrer; what is referred to
    /// comes first.
    ///
    /// Only a layout holds such.
    pub fn referrers(&self, of: &Artifact) -> Vec<Attached> {
        let mut search = Search::default();
        search.add_subject(of);
        loop {
            let before = search.found.len();
            self.entries.iter().for_each(|entry| search.visit(entry));
            if search.found.len() == before {
                return search.found;
            }
        }
    }
}

impl Entry {
    /// Tells whether it only refers to others: it has no name but a subject, or names that say it alone. It goes along with what it
    /// refers to, see [`Archive::referrers`], and is no image by itself.
    pub fn is_referrer(&self) -> bool {
        let by_tag = |name: &String| tag_of(name).is_some_and(|tag| is_referrer_tag(&tag));
        if self.names.is_empty() { subject(&self.artifact).is_some() } else { self.names.iter().all(by_tag) }
    }
}

#[derive(Default)]
struct Search {
    subjects: BTreeSet<Digest>,
    found: Vec<Attached>,
}

impl Search {
    /// The depth of indexes is bounded where they are read.
    fn add_subject(&mut self, artifact: &Artifact) {
        self.subjects.extend(digest(artifact));
        if let Artifact::Index(index) = artifact {
            index.children().iter().for_each(|child| self.add_subject(child));
        }
    }

    fn visit(&mut self, entry: &Entry) {
        let tags: Vec<Tag> = entry.names.iter().filter_map(|name| tag_of(name)).collect();
        let is_fallback = self.subjects.iter().any(|subject| tags.contains(&fallback_tag(subject)));
        match &entry.artifact {
            // The index is made again at the registry, where it has to be.
            Artifact::Index(index) if is_fallback => {
                index.children().iter().for_each(|child| self.take(None, child));
            }
            artifact => {
                let cosign = self.subjects.iter().flat_map(cosign_tags).find(|tag| tags.contains(tag));
                self.take(cosign, artifact);
            }
        }
    }

    /// Takes what has one of the subjects, or a tag that says so.
    fn take(&mut self, tag: Option<Tag>, artifact: &Artifact) {
        let refers =
            tag.is_some() || subject(artifact).is_some_and(|subject| self.subjects.contains(&subject));
        if refers && digest(artifact).is_some_and(|digest| self.subjects.insert(digest)) {
            self.found.push(Attached { tag, artifact: artifact.clone() });
        }
    }
}

fn digest(artifact: &Artifact) -> Option<Digest> {
    artifact.ready_manifest().map(|manifest| manifest.digest().clone())
}

fn subject(artifact: &Artifact) -> Option<Digest> {
    artifact.ready_manifest().and_then(Referrer::of).map(|(subject, _)| subject)
}

/// Returns the tag in a name, which may be no more than that.
pub(crate) fn tag_of(name: &str) -> Option<Tag> {
    name.rsplit(':').next().and_then(|tag| tag.parse().ok())
}
