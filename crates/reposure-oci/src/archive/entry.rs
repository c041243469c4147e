//! What was found in a source, and choosing from it.

use crate::{digest::Digest, image::Artifact};

/// What a source holds.
#[derive(Clone, Debug)]
pub struct Archive {
    /// The images and indexes, in the source's order.
    pub entries: Vec<Entry>,
}

/// An image or index in a source.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The names that it has in the source, as they stand there; none if it is not named.
    pub names: Vec<String>,
    /// The image or index.
    pub artifact: Artifact,
    /// What an index in the source names, but the source does not hold: then `artifact` is the one image that `docker save`
    /// has meant. The index itself cannot be had.
    pub omitted: Vec<Digest>,
}

/// Why an entry cannot be chosen.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SelectError {
    /// The source holds no image.
    #[error("there is no image")]
    Empty,
    /// The source holds several, and none is named.
    #[error("there are {} images, name one of them: {}", .0.len(), .0.join(", "))]
    Several(Vec<String>),
    /// No entry, or more than one, has the name.
    #[error("there is not exactly one image {name:?}, name one of: {}", .known.join(", "))]
    NoSuchName {
        /// The name.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
}

impl Archive {
    /// Chooses an entry: by one of its names, by a tag that no other entry has, or by `@` and its position from 0; without a name,
    /// the only one that does not refer to another.
    ///
    /// Names are compared as docker does, so that `app` is `docker.io/library/app:latest`.
    ///
    /// # Errors
    /// When there is not exactly one such entry.
    pub fn select(&self, name: Option<&str>) -> Result<&Entry, SelectError> {
        let Some(name) = name else {
            // What only refers to an image is not what is meant, as long as there is an image.
            let mut own = self.entries.iter().filter(|entry| !entry.is_referrer());
            return match (self.entries.as_slice(), own.next(), own.next()) {
                ([], ..) => Err(SelectError::Empty),
                ([entry], ..) | (_, Some(entry), None) => Ok(entry),
                _ => Err(SelectError::Several(self.labels())),
            };
        };
        let position = name.strip_prefix('@').and_then(|position| position.parse::<usize>().ok());
        let entry = match position {
            Some(position) => self.entries.get(position),
            None => self.named(name),
        };
        entry.ok_or_else(|| SelectError::NoSuchName { name: name.into(), known: self.labels() })
    }

    fn named(&self, name: &str) -> Option<&Entry> {
        let exact = |entry: &&Entry| entry.names.iter().any(|own| own == name);
        let normal = |entry: &&Entry| entry.names.iter().any(|own| normalize(own) == normalize(name));
        // As other tools name the images of a layout.
        let by_tag = |entry: &&Entry| entry.names.iter().any(|own| tag(own) == Some(name));
        only(self.entries.iter().filter(exact))
            .or_else(|| only(self.entries.iter().filter(normal)))
            .or_else(|| only(self.entries.iter().filter(by_tag)))
    }

    fn labels(&self) -> Vec<String> {
        let label = |(position, entry): (usize, &Entry)| match entry.names.as_slice() {
            [] => format!("@{position}"),
            names => names.join(" = "),
        };
        self.entries.iter().enumerate().map(label).collect()
    }
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let item = items.next()?;
    items.next().is_none().then_some(item)
}

/// Returns what follows the colon in the last part of a name.
pub(crate) fn tag(name: &str) -> Option<&str> {
    name.rsplit('/').next()?.split_once(':').map(|(_, tag)| tag)
}

/// Writes out what docker leaves out of a name: host, `library/` and tag.
pub(crate) fn normalize(name: &str) -> String {
    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    let tag = if has_tag { "" } else { ":latest" };
    match name.split_once('/') {
        None => format!("docker.io/library/{name}{tag}"),
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => format!("{name}{tag}"),
        Some(_) => format!("docker.io/{name}{tag}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::testing::artifact;

    fn archive(names: &[&[&str]]) -> Archive {
        let entry = |names: &&[&str]| Entry {
            names: names.iter().map(ToString::to_string).collect(),
            artifact: artifact(),
            omitted: Vec::new(),
        };
        Archive { entries: names.iter().map(entry).collect() }
    }

    #[test]
    fn the_only_one_needs_no_name() {
        assert_eq!(archive(&[]).select(None).unwrap_err(), SelectError::Empty);
        assert_eq!(archive(&[&["a:1", "a:2"]]).select(None).unwrap().names, ["a:1", "a:2"]);
        let error = archive(&[&["a:1", "a:2"], &[]]).select(None).unwrap_err();
        assert_eq!(error.to_string(), "there are 2 images, name one of them: a:1 = a:2, @1");
    }

    #[test]
    fn chooses_by_name_and_position() {
        let archive = archive(&[&["docker.io/library/a:latest"], &["localhost/b:1"], &["b:1"]]);
        assert_eq!(archive.select(Some("a")).unwrap().names, ["docker.io/library/a:latest"]);
        assert_eq!(archive.select(Some("b:1")).unwrap().names, ["b:1"]);
        assert_eq!(archive.select(Some("docker.io/library/b:1")).unwrap().names, ["b:1"]);
        assert_eq!(archive.select(Some("@1")).unwrap().names, ["localhost/b:1"]);
        assert!(matches!(archive.select(Some("@3")), Err(SelectError::NoSuchName { .. })));
        assert_eq!(archive.select(Some("latest")).unwrap().names, ["docker.io/library/a:latest"]);
        assert!(matches!(archive.select(Some("1")), Err(SelectError::NoSuchName { .. })), "it is of two");
        assert!(matches!(archive.select(Some("c")), Err(SelectError::NoSuchName { .. })));
    }
}
