//! What an operator leaves in the cluster, without what differs from one run to the next.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::Stage;
use serde_json::{Value, json};

const KINDS: &str = "configmaps,serviceaccounts,statefulsets,roles,rolebindings,secrets";
/// What the API server or another controller writes into metadata, other for each object.
const OWN: [&str; 5] = ["uid", "resourceVersion", "creationTimestamp", "managedFields", "selfLink"];

/// The objects of a registry, by kind and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State(BTreeMap<String, Value>);

impl State {
    /// Reads a registry and all that it owns.
    pub(crate) fn of(stage: &Stage, name: &str) -> Result<Self> {
        let all = |args: &[&str]| -> Result<Value> {
            let text = stage.kubectl(args).args(["-o", "json"]).ok()?.text();
            // Names are of one length and unlike anything else.
            Ok(serde_json::from_str(&text.replace(name, "NAME"))?)
        };
        let registry = all(&["get", "registry", name])?;
        let uid = registry["metadata"]["uid"].clone();
        let mut objects = BTreeMap::from([("Registry".to_owned(), normal(registry))]);
        let mut found = all(&["get", KINDS])?;
        let items = found["items"].as_array_mut().context("no list")?;
        for object in items.drain(..).filter(|object| object["metadata"]["ownerReferences"][0]["uid"] == uid)
        {
            let key = format!("{} {}", object["kind"], object["metadata"]["name"]);
            objects.insert(key, normal(object));
        }
        Ok(Self(objects))
    }

    /// Compares with what another run has left.
    pub(crate) fn assert(&self, other: &Self) -> Result<()> {
        let keys = |state: &Self| state.0.keys().cloned().collect::<Vec<_>>();
        ensure!(keys(self) == keys(other), "{:?} became {:?}", keys(self), keys(other));
        ensure!(self.0.len() >= 6, "there is too little: {:?}", keys(self));
        for (key, object) in &self.0 {
            let found = &other.0[key];
            ensure!(object == found, "{key}:\n{object:#}\nbecame\n{found:#}");
        }
        Ok(())
    }
}

fn normal(mut object: Value) -> Value {
    let managers = managers(&object);
    let metadata = &mut object["metadata"];
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.retain(|key, _| !OWN.contains(&key.as_str()));
    }
    for owner in metadata["ownerReferences"].as_array_mut().into_iter().flatten() {
        owner["uid"] = Value::Null;
    }
    metadata["managers"] = managers;
    if object["kind"] == "StatefulSet" {
        // Its controller's, with the hash of a revision of this name; and ours, of a configuration with it.
        object["status"] = Value::Null;
        object["spec"]["template"]["metadata"]["annotations"] = Value::Null;
    }
    for condition in object["status"]["conditions"].as_array_mut().into_iter().flatten() {
        condition["lastTransitionTime"] = Value::Null;
    }
    object
}

/// Returns who has written which part of an object, and how.
fn managers(object: &Value) -> Value {
    let entries = object["metadata"]["managedFields"].as_array();
    let mut managers: Vec<_> = entries
        .into_iter()
        .flatten()
        .map(|entry| json!([entry["manager"], entry["operation"], entry["subresource"]]).to_string())
        .collect();
    managers.sort();
    json!(managers)
}
