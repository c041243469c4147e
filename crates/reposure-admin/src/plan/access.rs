//! The ServiceAccounts of a surrogate.

use k8s_openapi::api::core::v1::{LocalObjectReference, ServiceAccount};
use reposure_api::{Registry, SurrogateNames};

use super::surrogate::{Settings, metadata};

/// Returns the surrogate's own ServiceAccount, which no role names, and the three whose tokens let in.
///
/// No token of theirs is mounted unasked.
pub(crate) fn service_accounts(registry: &Registry, settings: &Settings) -> Vec<ServiceAccount> {
    let names = SurrogateNames::new(registry.metadata.name.as_deref().unwrap_or_default());
    let account = |name: &str, image_pull_secrets: Option<Vec<LocalObjectReference>>| ServiceAccount {
        metadata: metadata(registry, name, settings),
        automount_service_account_token: Some(false),
        image_pull_secrets,
        ..ServiceAccount::default()
    };
    vec![
        account(names.service_account(), None),
        account(&names.pull_account(), None),
        account(&names.push_account(), None),
        account(&names.admin_account(), None),
    ]
}
