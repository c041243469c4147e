//! Labels, annotations and field managers.
//!
//! See [recommended labels](https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/).

use std::collections::BTreeMap;

use crate::names::label_value;

/// The key of the application's name.
pub const NAME: &str = "app.kubernetes.io/name";
/// The key of what tells one instance of an application from others: here the registry's name.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The key of what an object is part of.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// The key of what manages an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// What everything here is part of.
pub const REPOSURE: &str = "reposure";

/// The annotation of a surrogate's pod with the hash of its configuration, so that a changed one replaces the pod.
pub const CONFIG_HASH: &str = "reposure.puccini.cloud/config-hash";
/// The annotation of an object with the full name of its registry, which a label may hold but shortened.
pub const REGISTRY: &str = "reposure.puccini.cloud/registry";

/// The annotation of a Secret with the SHA-256 of the certificate in it that was made here, so that one is left alone that somebody has put
/// in its place.
pub const CERTIFICATE: &str = "reposure.puccini.cloud/certificate";
/// The annotation of a Secret with the time at which the newest authority came into its `ca.crt`, RFC 3339.
pub const AUTHORITIES_SINCE: &str = "reposure.puccini.cloud/authorities-since";

/// The field manager of the operator, and the value of [`MANAGED_BY`].
pub const OPERATOR_MANAGER: &str = "reposure-operator";
/// The field manager of the command line tool, and the value of [`MANAGED_BY`].
pub const CLI_MANAGER: &str = "reposure-cli";

/// Which application an object belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Application {
    /// The operator.
    Operator,
    /// The built-in registry.
    Simple,
    /// A surrogate.
    Surrogate,
}

impl Application {
    /// Returns the value of [`NAME`].
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "reposure-operator",
            Self::Simple => "reposure-simple",
            Self::Surrogate => "reposure-surrogate",
        }
    }
}

/// Returns the labels that select the pods of `application`; `registry` for a surrogate's.
pub fn selector(application: Application, registry: Option<&str>) -> BTreeMap<String, String> {
    let instance = registry.unwrap_or(application.as_str());
    BTreeMap::from([(NAME.into(), application.as_str().into()), (INSTANCE.into(), label_value(instance))])
}

/// Returns all labels of an object of `application` that `manager` keeps.
pub fn labels(application: Application, registry: Option<&str>, manager: &str) -> BTreeMap<String, String> {
    let mut labels = selector(application, registry);
    labels.insert(PART_OF.into(), REPOSURE.into());
    labels.insert(MANAGED_BY.into(), manager.into());
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_fits_a_label() {
        let labels = labels(Application::Surrogate, Some(&"a".repeat(253)), OPERATOR_MANAGER);
        assert!(labels.values().all(|value| value.len() <= 63));
        assert_eq!(labels[NAME], "reposure-surrogate");
        assert_eq!(labels[MANAGED_BY], "reposure-operator");
    }
}
