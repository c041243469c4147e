//! What takes more than one plan, since a later one depends on what the cluster made of an earlier one.

mod keys;

use std::net::IpAddr;

use k8s_openapi::{api::core::v1::Secret, jiff::Timestamp};
use kube::{Api, Client, api::ApiResource};
use reposure_api::names::{
    SIMPLE_AUTHENTICATION, SIMPLE_AUTHORITY, SIMPLE_AUTHORIZATION, SIMPLE_HTPASSWD, SIMPLE_PULL,
};
use secrecy::SecretString;

use crate::{
    apply::{self, Applied, ApplyOptions, Change, apply_all},
    cert_manager, certificates,
    error::{AdminError, Verb},
    object::{Object, ObjectName},
    plan::{self, CertificateNames, Certificates, IssuerChoice, Plan, SimpleOptions},
};

/// What was installed.
#[derive(Debug)]
pub struct Installed {
    /// The objects.
    pub applied: Vec<Applied>,
    /// The user who may do everything, where he was made just now.
    pub user: Option<User>,
    /// Who renews the certificate, where there is TLS.
    pub renewal: Option<Renewal>,
    /// When the certificate is replaced by one of another authority, if those who trust it are still to learn of that.
    pub replaced: Option<Timestamp>,
}

/// A user who was made.
#[derive(Debug)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: SecretString,
}

/// How the certificate of the built-in registry is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The operator renews it.
    Operator,
    /// Nothing renews it before it ends but another installation: there is no operator that could be let.
    Nobody {
        /// When that is due.
        due: Timestamp,
        /// When it ends.
        end: Timestamp,
    },
    /// Whoever made it.
    Others,
}

/// Installs the built-in registry. With TLS it makes an authority and a certificate for the Service's addresses, or renews them, unless the
/// Secret `reposure-simple-authentication` is somebody else's; with authorization the user `username` and one who may but pull, unless the
/// Secret `reposure-simple-htpasswd` is there. What opens an object store is read from the Secret that `options` name, and stands in the
/// registry's own. A `NetworkPolicy` that an earlier installation made, and this one is not to have, is deleted, and the `ConfigMap` with the
/// configuration that earlier versions made.
///
/// Dropping the future leaves a part installed; the call can be repeated.
///
/// # Errors
/// [`AdminError`] names the object and the verb.
pub async fn simple(
    client: &Client,
    options: &SimpleOptions,
    username: &str,
    apply_options: &ApplyOptions,
) -> Result<Installed, AdminError> {
    let mut installed = Installed { applied: Vec::new(), user: None, renewal: None, replaced: None };
    if (options.tls || options.authorization) && !apply_options.dry_run {
        let service = Plan::of([plan::simple_service(options).into()]);
        installed.applied.extend(apply_all(client, &service, apply_options).await?);
        let addresses = certificates::addresses(client, &options.namespace).await?;
        if options.tls {
            secure(client, options, &addresses, apply_options, &mut installed).await?;
        }
        if options.authorization && !is_there(client, &options.namespace, SIMPLE_HTPASSWD).await? {
            let made = passwords(&options.namespace, username, &addresses)?;
            let secrets = Plan { steps: made.steps };
            installed.applied.extend(apply_all(client, &secrets, apply_options).await?);
            installed.user = Some(User { name: made.username, password: made.password });
        }
    }
    let keys = keys::find(client, options, apply_options).await?;
    installed.applied.extend(keys.created);
    let rest = apply_all(client, &plan::simple(options, &keys.keys), apply_options).await?;
    let is_new = |step: &Applied| installed.applied.iter().all(|before| before.object != step.object);
    let rest: Vec<_> = rest.into_iter().filter(is_new).collect();
    installed.applied.extend(rest);
    if !apply_options.dry_run {
        if !options.network_policy {
            installed.applied.extend(remove_simple_network_policy(client, &options.namespace).await?);
        }
        installed.applied.extend(remove_simple_config_map(client, &options.namespace).await?);
    }
    Ok(installed)
}

/// Makes or renews the certificate, or has cert-manager do so, and lets the operator renew one of ours from then on.
async fn secure(
    client: &Client,
    options: &SimpleOptions,
    addresses: &[IpAddr],
    apply_options: &ApplyOptions,
    installed: &mut Installed,
) -> Result<(), AdminError> {
    let namespace = options.namespace.as_str();
    let is_own = match &options.issuer {
        IssuerChoice::Own => true,
        IssuerChoice::Named(_) => false,
        IssuerChoice::Auto => {
            !(cert_manager::is_there(client).await && cert_manager::may_make(client, namespace).await?)
        }
    };
    if !is_own {
        let issuer = match &options.issuer {
            IssuerChoice::Named(issuer) => Some(issuer),
            _ => None,
        };
        let names = CertificateNames::new(namespace, addresses);
        installed.applied.extend(cert_manager::make(client, &names, issuer, apply_options).await?);
        installed.renewal = Some(Renewal::Others);
        return Ok(());
    }
    let takes_over = options.issuer == IssuerChoice::Own;
    if takes_over {
        installed.applied.extend(cert_manager::remove(client, namespace, true).await?);
    }
    let kept = certificates::make(client, namespace, addresses, takes_over).await?;
    installed.applied.extend(kept.applied);
    let Certificates::Ours(outlook) = kept.certificates else {
        installed.renewal = Some(Renewal::Others);
        return Ok(());
    };
    installed.replaced = outlook.replaced;
    let granted = match certificates::grant(client, namespace).await {
        // Whoever may not let the operator still has a certificate.
        Err(AdminError::Denied { .. }) => Vec::new(),
        granted => granted?,
    };
    installed.renewal = Some(match granted[..] {
        [] => Renewal::Nobody { due: outlook.next, end: outlook.end },
        _ => Renewal::Operator,
    });
    installed.applied.extend(granted);
    Ok(())
}

/// Deletes the Secrets of the built-in registry that were made with it, what lets the operator renew them, and what was asked of
/// cert-manager; Secrets of a user's own stay.
///
/// # Errors
/// [`AdminError`] names the object and the verb.
pub async fn remove_simple_secrets(client: &Client, namespace: &str) -> Result<Vec<Applied>, AdminError> {
    let mut deleted = Vec::new();
    // Whoever may not see Roles has made none.
    for object in plan::simple_certificates_role(namespace, &[]).iter().rev() {
        match apply::delete(client, object).await {
            Ok(removed) if removed.change == Change::Deleted => deleted.push(removed),
            Ok(_) | Err(AdminError::Denied { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    deleted.extend(cert_manager::remove(client, namespace, false).await?);
    for name in [SIMPLE_HTPASSWD, SIMPLE_PULL, SIMPLE_AUTHORIZATION, SIMPLE_AUTHENTICATION, SIMPLE_AUTHORITY]
    {
        let (kind, name) = (ApiResource::erase::<Secret>(&()), secret_name(namespace, name));
        deleted.extend(apply::delete_ours(client, &kind, &name, None).await?);
    }
    Ok(deleted)
}

/// Deletes the `NetworkPolicy` of the built-in registry, if it was made with it: one of a user's own stays. Who has no rights on them has made
/// none, and is told of none.
///
/// # Errors
/// [`AdminError`] names the object and the verb.
pub async fn remove_simple_network_policy(
    client: &Client,
    namespace: &str,
) -> Result<Option<Applied>, AdminError> {
    let policy: Object = plan::simple_network_policy(&SimpleOptions::new(namespace)).into();
    match apply::delete_ours(client, &policy.resource(), &policy.name(), None).await {
        Err(AdminError::Denied { .. }) => Ok(None),
        done => done,
    }
}

/// Deletes the `ConfigMap` with the configuration that earlier versions made of the built-in registry. Who has no rights on it is told of none.
///
/// # Errors
/// [`AdminError`] names the object and the verb.
pub async fn remove_simple_config_map(
    client: &Client,
    namespace: &str,
) -> Result<Option<Applied>, AdminError> {
    let before: Object = plan::simple_config_map(&SimpleOptions::new(namespace)).into();
    match apply::delete_ours(client, &before.resource(), &before.name(), None).await {
        Err(AdminError::Denied { .. }) => Ok(None),
        done => done,
    }
}

fn passwords(
    namespace: &str,
    username: &str,
    addresses: &[IpAddr],
) -> Result<plan::SimplePasswords, AdminError> {
    plan::simple_passwords(namespace, username, addresses).map_err(|source| {
        let object = Box::new(secret_name(namespace, SIMPLE_HTPASSWD));
        AdminError::Passwords { object, source }
    })
}

async fn is_there(client: &Client, namespace: &str, secret: &str) -> Result<bool, AdminError> {
    let found = Api::<Secret>::namespaced(client.clone(), namespace).get_metadata_opt(secret).await;
    let failed = |error| AdminError::new(Verb::Get, &secret_name(namespace, secret), error);
    found.map(|found| found.is_some()).map_err(failed)
}

fn secret_name(namespace: &str, name: &str) -> ObjectName {
    ObjectName::of::<Secret>(Some(namespace), name)
}
