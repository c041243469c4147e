//! What the objects of a registry, and those that are installed, are called.

use sha2::{Digest as _, Sha256};

/// The operator's Deployment, ServiceAccount, roles and bindings.
pub const OPERATOR: &str = "reposure-operator";
/// The built-in registry's Deployment, Service and volume claim.
pub const SIMPLE: &str = "reposure-simple";
/// The Secret with the TLS pair of the built-in registry, keys `tls.crt`, `tls.key` and `ca.crt`.
pub const SIMPLE_AUTHENTICATION: &str = "reposure-simple-authentication";
/// The Secret with the authority that signs the certificate of the built-in registry, which no pod mounts.
pub const SIMPLE_AUTHORITY: &str = "reposure-simple-ca";
/// The Role that lets the operator renew both, and its binding.
pub const SIMPLE_CERTIFICATES: &str = "reposure-simple-certificates";
/// The Secret with the users of the built-in registry, hashed with bcrypt: key `htpasswd` for those who may do everything,
/// `htpasswd-pull` for those who may but pull.
pub const SIMPLE_HTPASSWD: &str = "reposure-simple-htpasswd";
/// The Secret with name and password of the one who may do everything in the built-in registry, where they were made with it.
pub const SIMPLE_AUTHORIZATION: &str = "reposure-simple-authorization";
/// The Secret with name and password of the one who may but pull, for `imagePullSecrets`.
pub const SIMPLE_PULL: &str = "reposure-simple-pull";
/// The port of the built-in registry.
pub const SIMPLE_PORT: u16 = 5000;
/// The name of the custom resource definition.
pub const CRD: &str = "registries.reposure.puccini.cloud";

/// What stands before the registry's name in the names of a surrogate's objects.
pub const SURROGATE_PREFIX: &str = "reposure-surrogate-";
/// The longest name of a StatefulSet: its pods carry a label of the name, a dash and a hash of ten characters, and a
/// label's value has at most 63 (<https://github.com/kubernetes/kubernetes/issues/64023>).
const LONGEST: usize = 52;
/// The hexadecimal digits of the hash that stands for the registry's name where it cannot be used as it is.
const HASH_DIGITS: usize = 8;
/// What stands behind the names of the access ServiceAccounts. A registry's name that ends so is hashed, lest its
/// surrogate's ServiceAccount be the access ServiceAccount of another registry.
const SUFFIXES: [&str; 3] = ["-pull", "-push", "-admin"];

/// The names of the objects that make the surrogate of a registry, all in the registry's namespace.
///
/// # Guarantees
/// They are the same for the same registry in every version. A registry's name stands in them as it is, unless it is
/// longer than 33 characters, holds a dot, or ends in `-pull`, `-push` or `-admin`: then it is cut to 24 characters, its
/// dots become dashes, and a dash and the first 8 hexadecimal digits of its SHA-256 follow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SurrogateNames {
    base: String,
}

impl SurrogateNames {
    /// Returns the names for the registry `registry`.
    pub fn new(registry: &str) -> Self {
        Self { base: format!("{SURROGATE_PREFIX}{}", short(registry)) }
    }

    /// Returns the name of the StatefulSet.
    pub fn stateful_set(&self) -> &str {
        &self.base
    }

    /// Returns the name of the one pod.
    pub fn pod(&self) -> String {
        format!("{}-0", self.base)
    }

    /// Returns the name of the ConfigMap.
    pub fn config_map(&self) -> &str {
        &self.base
    }

    /// Returns the name of the surrogate's own ServiceAccount.
    pub fn service_account(&self) -> &str {
        &self.base
    }

    /// Returns the name of the ServiceAccount whose tokens let pull.
    pub fn pull_account(&self) -> String {
        format!("{}-pull", self.base)
    }

    /// Returns the name of the ServiceAccount whose tokens let push.
    pub fn push_account(&self) -> String {
        format!("{}-push", self.base)
    }

    /// Returns the name of the ServiceAccount whose tokens let delete.
    pub fn admin_account(&self) -> String {
        format!("{}-admin", self.base)
    }
}

/// Returns `name`, made fit for the value of a label: at most 63 characters.
pub fn label_value(name: &str) -> String {
    if name.len() <= 63 { name.into() } else { shortened(name) }
}

fn short(registry: &str) -> String {
    let fits = SURROGATE_PREFIX.len() + registry.len() <= LONGEST;
    let plain = !registry.contains('.') && !SUFFIXES.iter().any(|suffix| registry.ends_with(suffix));
    if fits && plain { registry.into() } else { shortened(registry) }
}

fn shortened(name: &str) -> String {
    let room = LONGEST - SURROGATE_PREFIX.len() - 1 - HASH_DIGITS;
    let cut: String = name.replace('.', "-").chars().take(room).collect();
    let hash = Sha256::digest(name);
    let prefix = hash.iter().take(HASH_DIGITS / 2).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    format!("{}-{prefix:08x}", cut.trim_end_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_stands_as_it_is() {
        let names = SurrogateNames::new("default");
        assert_eq!(names.stateful_set(), "reposure-surrogate-default");
        assert_eq!(names.pod(), "reposure-surrogate-default-0");
        assert_eq!(names.pull_account(), "reposure-surrogate-default-pull");
        assert_eq!(names.push_account(), "reposure-surrogate-default-push");
        assert_eq!(names.admin_account(), "reposure-surrogate-default-admin");
    }

    #[test]
    fn names_that_do_not_fit_are_hashed_and_stay_as_they_were() {
        // Stable: objects of these names are in clusters.
        let cases = [
            ("team.registry", "reposure-surrogate-team-registry-56b1bbdc"),
            ("default-pull", "reposure-surrogate-default-pull-1e25b761"),
        ];
        for (registry, expected) in cases {
            assert_eq!(SurrogateNames::new(registry).stateful_set(), expected);
        }
    }

    #[test]
    fn thirty_three_characters_fit_and_no_more() {
        let longest = "a".repeat(33);
        assert_eq!(SurrogateNames::new(&longest).stateful_set(), format!("reposure-surrogate-{longest}"));
        for length in [34, 63, 253] {
            let names = SurrogateNames::new(&"a".repeat(length));
            assert_eq!(names.stateful_set().len(), LONGEST);
            assert!(names.pod().len() <= 63);
        }
    }

    #[test]
    fn different_registries_have_different_names() {
        let registries =
            ["a.b", "a-b", "a", "a-pull", &"x".repeat(62), &"x".repeat(63), &format!("{}y", "x".repeat(62))];
        let mut names: Vec<_> = registries
            .iter()
            .map(|registry| SurrogateNames::new(registry))
            .flat_map(|names| [names.service_account().to_owned(), names.pull_account()])
            .collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 2 * registries.len());
    }

    #[test]
    fn a_cut_does_not_end_in_two_dashes() {
        let name = format!("{}-{}", "a".repeat(23), "b".repeat(40));
        assert!(!SurrogateNames::new(&name).stateful_set().contains("--"));
    }
}
