//! What Reposure keeps in a cluster: as pure plans, and as the thin shell that applies them.
//!
//! | module | holds |
//! |---|---|
//! | [`plan`] | the objects of a surrogate, of the operator and of the built-in registry; no IO |
//! | [`manifests`] | plans as YAML |
//! | [`chart`] | the operator's plan as the templates of a Helm chart |
//! | [`install`] | what takes more than one plan |
//! | [`standalone`] | a surrogate that no operator keeps: made by the user's own rights, and handed to an operator |
//! | [`apply`] | applying and deleting objects by server-side apply |
//! | [`cert_manager`] | the built-in registry's certificate where cert-manager makes it |
//! | [`certificates`] | the built-in registry's certificates, made and renewed as planned |
//! | [`grant`] | giving and taking the rights to pull, push and delete |
//! | [`operator_rights`] | what binds an operator, found and taken from it |
//! | [`wait`] | waiting for what was applied, with a deadline |
//! | [`error`] | what went wrong, with the object, the verb and what to try |
//!
//! Operator and command line tool use the same plans. The library prints nothing and reads no environment.

mod again;
pub mod apply;
pub mod cert_manager;
pub mod certificates;
pub mod chart;
pub mod error;
pub mod grant;
pub mod install;
pub mod manifests;
pub mod object;
pub mod operator_rights;
pub mod plan;
pub mod standalone;
pub mod wait;

pub use apply::{Applied, ApplyOptions, Change};
pub use error::{AdminError, Verb};
pub use object::{Manager, Object, ObjectName};
pub use plan::{
    Observed, OperatorOptions, PasswordError, Plan, Provider, RegistryOptions, S3, Scope, ServiceState,
    Settings, SimpleOptions, Step, Storage, SurrogatePlan,
};
