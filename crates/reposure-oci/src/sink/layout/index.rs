//! The layout's list of images, `index.json`, as it was written, with entries added.

use serde_json::{Map, Value, json};

use crate::{archive::layout::REF_NAME, manifest::Descriptor, media_type::MediaType};

/// The annotation by which an entry tells the repository that it was pulled from: names of entries are often tags alone, and two
/// repositories may well have the same ones.
pub(super) const REPOSITORY: &str = "cloud.puccini.reposure.repository";

/// A list of images. What is in it stays as it is, unknown fields too.
#[derive(Debug)]
pub(super) struct ImageList(Map<String, Value>);

impl ImageList {
    /// Makes an empty list.
    pub(super) fn new() -> Self {
        let list = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": []});
        let Value::Object(list) = list else { return Self(Map::new()) };
        Self(list)
    }

    /// Takes a list that is there, unless it has not the form of one.
    pub(super) fn parse(list: Value) -> Option<Self> {
        match list {
            Value::Object(mut list) => {
                let entries = list.entry("manifests").or_insert(Value::Array(Vec::new()));
                // Go writes an empty list so.
                if entries.is_null() {
                    *entries = Value::Array(Vec::new());
                }
                entries.is_array().then_some(Self(list))
            }
            _ => None,
        }
    }

    /// Tells whether the name of an entry is that of another repository's image. One that names no repository takes its name from
    /// whoever has it.
    pub(super) fn is_taken(&self, entry: &Descriptor) -> bool {
        let (Some(name), Some(repository)) =
            (entry.annotations.get(REF_NAME), entry.annotations.get(REPOSITORY))
        else {
            return false;
        };
        let digest = entry.digest.to_string();
        let is_other = |other: &Value| {
            name_of(other) == Some(name)
                && other["digest"] != digest
                && other["annotations"][REPOSITORY].as_str() != Some(repository)
        };
        self.0.get("manifests").and_then(Value::as_array).is_some_and(|entries| entries.iter().any(is_other))
    }

    /// Adds an entry, in the place of the one that has its name. One without a name is added only where no entry has its digest.
    pub(super) fn add(&mut self, entry: &Descriptor) -> serde_json::Result<()> {
        let value = serde_json::to_value(entry)?;
        let Some(Value::Array(entries)) = self.0.get_mut("manifests") else { return Ok(()) };
        if let Some(name) = entry.annotations.get(REF_NAME) {
            entries.retain(|other| name_of(other) != Some(name));
            // The same image, listed without a name until now.
            entries.retain(|other| other["digest"] != value["digest"] || name_of(other).is_some());
        } else if entries.iter().any(|other| other["digest"] == value["digest"]) {
            return Ok(());
        }
        entries.push(value);
        Ok(())
    }

    /// Writes the list.
    pub(super) fn bytes(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&self.0)
    }
}

fn name_of(entry: &Value) -> Option<&str> {
    entry["annotations"][REF_NAME].as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn entry(content: &str, name: Option<&str>) -> Descriptor {
        let mut entry = Descriptor::new(MediaType::OCI_MANIFEST, Digest::sha256_of(content), 1);
        entry.annotations.extend(name.map(|name| (REF_NAME.into(), name.into())));
        entry
    }

    fn added(list: Value, entry: &Descriptor) -> Value {
        let mut list = ImageList::parse(list).unwrap();
        list.add(entry).unwrap();
        serde_json::from_slice(&list.bytes().unwrap()).unwrap()
    }

    #[test]
    fn what_is_there_stays_and_an_entry_of_the_same_name_is_replaced() {
        let list = json!({"schemaVersion": 2, "x-unknown": 1, "manifests": [
            {"digest": "md5:1", "annotations": {REF_NAME: "v1"}},
            {"digest": "md5:2", "x-unknown": 2, "annotations": {REF_NAME: "v2"}},
        ]});
        let list = added(list, &entry("a", Some("v1")));
        assert_eq!(list["x-unknown"], 1);
        assert_eq!(list["manifests"][0]["x-unknown"], 2);
        assert_eq!(list["manifests"][1]["digest"], Digest::sha256_of("a").to_string());
        assert_eq!(list["manifests"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_tag_of_another_repository_is_taken() {
        let of = |content: &str, repository: &str| {
            let mut entry = entry(content, Some("v1"));
            entry.annotations.insert(REPOSITORY.into(), repository.into());
            entry
        };
        let list = added(json!({"manifests": null}), &of("a", "one"));
        let list = ImageList::parse(list).unwrap();
        assert!(!list.is_taken(&of("b", "one")));
        assert!(list.is_taken(&of("b", "two")));
        assert!(!list.is_taken(&of("a", "two")));
        assert!(!list.is_taken(&entry("b", Some("v1"))));
        let foreign = added(json!({"manifests": null}), &entry("a", Some("v1")));
        assert!(ImageList::parse(foreign).unwrap().is_taken(&of("b", "one")));
    }

    #[test]
    fn an_image_without_a_name_is_listed_once() {
        let list = added(json!({"manifests": null}), &entry("a", None));
        let again = added(list.clone(), &entry("a", None));
        assert_eq!((&list, again["manifests"].as_array().unwrap().len()), (&again, 1));
        let named = added(list, &entry("a", Some("v1")));
        assert_eq!(named["manifests"].as_array().unwrap().len(), 1);
        assert_eq!(added(named.clone(), &entry("a", None)), named);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for list in [json!([]), json!({"manifests": {}}), json!("x")] {
            assert!(ImageList::parse(list).is_none());
        }
    }
}
