//! Who may come in: bearers of a token of one of a registry's ServiceAccounts, and for single blobs and uploads those of a ticket.

mod fetch;
mod gate;
mod key;
mod keys;
mod office;
mod token;

pub(crate) use gate::{Gate, GateError};
pub(crate) use office::TicketOffice;
