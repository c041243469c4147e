//! The custom resource of Reposure and what its objects are called.
//!
//! | module | holds |
//! |---|---|
//! | [`registry`] | [`Registry`], [`RegistrySpec`], [`RegistryStatus`] |
//! | [`target`] | [`Target`]: a specification that was checked |
//! | [`conditions`] | [`ConditionType`], [`Reason`] and how conditions are set and read |
//! | [`names`] | [`SurrogateNames`] and the names of what is installed |
//! | [`labels`] | labels, annotations and field managers |
//!
//! Group and version: `reposure.puccini.cloud/v1alpha1`. The library does no IO.

pub mod conditions;
pub mod labels;
pub mod names;
pub mod registry;
pub mod target;

pub use conditions::{ConditionType, NewCondition, Reason, State};
pub use names::SurrogateNames;
pub use registry::{
    DirectHost, IndirectService, Registry, RegistryKind, RegistryScheme, RegistrySpec, RegistryStatus,
    RegistryType, UploadStrategy,
};
pub use target::{SpecError, Target};
