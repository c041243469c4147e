//! Uploads: chunks come in any order on many connections and go to the registry in order in one request, or in pieces where
//! something on the way to it limits bodies.

mod assembly;
mod body_limit;
mod budget;
mod chunk;
mod delivery;
mod feed;
mod form;
mod lacking;
mod open;
mod pool;
mod prepared;
mod ranges;
mod receiving;
mod remembered;
mod requests;
mod resume;
mod sending;
mod table;
mod upload;
mod whole;

pub(crate) use budget::Budget;
pub(crate) use form::Forms;
pub(crate) use table::Uploads;
