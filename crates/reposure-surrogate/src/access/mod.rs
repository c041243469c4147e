//! Who may come in: bearers of a token of one of a registry's ServiceAccounts.

mod fetch;
mod gate;
mod key;
mod keys;
mod token;

pub(crate) use gate::{Gate, GateError};
