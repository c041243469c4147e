use std::{borrow::Cow, fmt, str::FromStr};

use super::PlaceError;
use crate::{
    Digest,
    digest::Algorithm,
    endpoint::{Endpoint, Scheme},
    name::{RepositoryName, Tag},
};

/// The name that a daemon on this machine has for an image: `docker.io/library/app:v1`, `app`, `app@sha256:…`, or an ID.
///
/// A host that is left out is the daemon's business; docker and podman differ there. A tag that is left out is `latest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalName(String);

/// The shortest ID, in hexadecimal digits, that docker and podman show.
const SHORT_ID: usize = 12;

impl LocalName {
    /// Returns the name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether this is an image's ID, which cannot be given to an image: `sha256:` and 64 hexadecimal digits, or 12 to
    /// 64 digits alone.
    ///
    /// A repository that is named so can still be meant by its tag.
    pub fn is_id(&self) -> bool {
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        self.0.parse::<Digest>().is_ok_and(|digest| digest.algorithm() == Algorithm::Sha256)
            || (SHORT_ID..=64).contains(&self.0.len()) && is_hex(&self.0)
    }
}

impl LocalName {
    /// Returns the name with its tag, unless it is an ID or has a digest: docker takes a name without a tag for all tags of it.
    pub(crate) fn with_tag(&self) -> Cow<'_, str> {
        let last = self.0.rsplit('/').next().unwrap_or(&self.0);
        if self.is_id() || last.contains([':', '@']) {
            Cow::Borrowed(&self.0)
        } else {
            Cow::Owned(format!("{}:latest", self.0))
        }
    }
}

impl FromStr for LocalName {
    type Err = PlaceError;

    /// Takes `[HOST[:PORT]/]NAME[:TAG][@DIGEST]`, which IDs are also of.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if is_name(text) { Ok(Self(text.into())) } else { Err(PlaceError::Local(text.into())) }
    }
}

fn is_name(text: &str) -> bool {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let (folder, last) = name.rsplit_once('/').map_or((None, name), |(folder, last)| (Some(folder), last));
    let (last, tag) = last.split_once(':').map_or((last, None), |(last, tag)| (last, Some(tag)));
    let name = folder.map_or_else(|| last.into(), |folder| format!("{folder}/{last}"));
    digest.is_none_or(|digest| digest.parse::<Digest>().is_ok())
        && tag.is_none_or(|tag| tag.parse::<Tag>().is_ok())
        && (name.parse::<RepositoryName>().is_ok() || is_name_with_host(&name))
}

fn is_name_with_host(name: &str) -> bool {
    name.split_once('/').is_some_and(|(host, repository)| {
        // `..` were a host too.
        host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
            && Endpoint::new(Scheme::Https, host).is_ok()
            && repository.parse::<RepositoryName>().is_ok()
    })
}

impl fmt::Display for LocalName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_and_ids() {
        let hex = Digest::sha256_of("x").hex().to_owned();
        for name in [
            "app",
            "app:V1",
            "localhost/app",
            "localhost:5000/a/b:v1",
            "MyHost:5000/app",
            "docker.io/library/app:v1",
            &format!("app@sha256:{hex}"),
            &format!("app:v1@sha256:{hex}"),
        ] {
            assert!(!name.parse::<LocalName>().unwrap().is_id(), "{name}");
        }
        for id in [&hex, &hex[..12], &format!("sha256:{hex}")] {
            assert!(id.parse::<LocalName>().unwrap().is_id(), "{id}");
        }
    }

    #[test]
    fn a_tag_that_is_left_out_is_latest() {
        let hex = Digest::sha256_of("x").hex().to_owned();
        let with_tag = |text: &str| text.parse::<LocalName>().unwrap().with_tag().into_owned();
        assert_eq!(with_tag("localhost:5000/app"), "localhost:5000/app:latest");
        for name in
            ["app:v1", "localhost:5000/app:v1", &format!("app@sha256:{hex}"), &hex, &format!("sha256:{hex}")]
        {
            assert_eq!(with_tag(name), name);
        }
    }

    #[test]
    fn refuses_what_would_lead_elsewhere_in_a_url() {
        for text in ["", "a b", "../x", "a/../b", "a?b", "a#b", "a%2f", "/a", "a/", "a:", "a:b:c", "a@b", "@"]
        {
            assert!(text.parse::<LocalName>().is_err(), "{text}");
        }
    }
}
