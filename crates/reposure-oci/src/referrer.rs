//! Manifests that refer to another one, their subject: signatures, SBOMs, attestations.
//!
//! See the distribution specification,
//! [Listing referrers](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers). There are three
//! ways from a subject to its referrers: the registry's own list; where it has none, an index under a tag that is made of the
//! subject's digest; and tags of cosign's, which are older than either.

use serde::{Deserialize, Serialize};

use crate::{
    digest::{Algorithm, Digest},
    manifest::{Descriptor, RawManifest},
    name::Tag,
};

/// What cosign puts behind the digest of what it signs.
pub(crate) const COSIGN: [&str; 3] = [".sig", ".att", ".sbom"];
/// How many of a digest's digits stand in a tag, as the specification has it.
pub(crate) const DIGITS: usize = 64;

/// A referrer, as a list of referrers describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// Media type, digest and size of the manifest, and its annotations.
    #[serde(flatten)]
    pub descriptor: Descriptor,
    /// What it is: `application/vnd.dev.cosign.artifact.sig.v1+json`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

/// What a manifest says of its subject.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    subject: Option<Subject>,
    artifact_type: Option<String>,
    config: Option<Config>,
    #[serde(default)]
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    media_type: Option<String>,
}

impl Referrer {
    /// Describes a manifest as the list of its subject's referrers has it, and returns the subject's digest with it; none if the
    /// manifest has no subject.
    ///
    /// Artifact type is that of the manifest, else its configuration's media type.
    pub fn of(manifest: &RawManifest) -> Option<(Digest, Self)> {
        let facts: Facts = serde_json::from_slice(manifest.bytes()).ok()?;
        let subject = facts.subject?.digest;
        let given = facts.artifact_type.filter(|kind| !kind.is_empty());
        let artifact_type = given.or_else(|| facts.config.and_then(|config| config.media_type));
        let annotations = facts.annotations.unwrap_or_default();
        let descriptor = Descriptor { annotations, ..manifest.descriptor() };
        Some((subject, Self { descriptor, artifact_type }))
    }

    /// Tells whether it is of an artifact type; everything is, where none is asked for.
    pub(crate) fn is_of(&self, artifact_type: Option<&str>) -> bool {
        artifact_type.is_none_or(|wanted| self.artifact_type.as_deref() == Some(wanted))
    }
}

/// Returns the tag under which the referrers of a subject are listed where the registry does not list them.
///
/// See the specification,
/// [Referrers tag schema](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema).
pub fn fallback_tag(subject: &Digest) -> Tag {
    let hex = subject.hex();
    Tag::known(format!("{}-{}", subject.algorithm().as_str(), &hex[..hex.len().min(DIGITS)]))
}

/// Returns the tags under which cosign keeps signatures, attestations and SBOMs of a subject: none for SHA-512, whose digits no tag
/// has room for.
pub fn cosign_tags(subject: &Digest) -> Vec<Tag> {
    if subject.algorithm() != Algorithm::Sha256 {
        return Vec::new();
    }
    let tag = fallback_tag(subject);
    COSIGN.iter().map(|suffix| Tag::known(format!("{tag}{suffix}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media_type::MediaType;

    fn referrer(json: &str) -> Option<(Digest, Referrer)> {
        Referrer::of(&RawManifest::new(MediaType::OCI_MANIFEST, json.to_owned().into()).unwrap())
    }

    #[test]
    fn a_manifest_with_a_subject_is_a_referrer() {
        let digest = Digest::sha256_of("x");
        let rest = r#""config":{"mediaType":"c/d"},"annotations":{"k":"v"}"#;
        let with =
            |kind: &str| referrer(&format!(r#"{{{kind}"subject":{{"digest":"{digest}","size":1}},{rest}}}"#));
        let (subject, found) = with(r#""artifactType":"a/b","#).unwrap();
        assert_eq!((subject, found.artifact_type.as_deref()), (digest.clone(), Some("a/b")));
        assert_eq!(found.descriptor.annotations["k"], "v");
        assert_eq!(with("").unwrap().1.artifact_type.as_deref(), Some("c/d"));
        assert!(referrer("{}").is_none() && referrer("x").is_none());
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!(
            (json["artifactType"].as_str(), json["mediaType"].as_str()),
            (Some("a/b"), Some(MediaType::OCI_MANIFEST.as_str()))
        );
    }

    #[test]
    fn tags_are_made_of_digests() {
        let digest = Digest::sha256_of("x");
        assert_eq!(fallback_tag(&digest).as_str(), format!("sha256-{}", digest.hex()));
        assert_eq!(cosign_tags(&digest)[2].as_str(), format!("sha256-{}.sbom", digest.hex()));
        let long: Digest = format!("sha512:{}", "0".repeat(128)).parse().unwrap();
        assert_eq!(fallback_tag(&long).as_str(), format!("sha512-{}", "0".repeat(64)));
        assert!(cosign_tags(&long).is_empty());
    }
}
