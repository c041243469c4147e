//! What all requests share.

use std::sync::{Arc, atomic::AtomicU64};

use reposure_oci::transport::Transport;

use crate::{
    access::{Gate, TicketOffice},
    results::Results,
    uploads::Uploads,
    upstream::{Client, Health},
};

/// What all requests share.
pub(crate) struct App {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) pod_uid: String,
    pub(crate) gate: Gate,
    /// Who gives tickets, where blobs may go in the clear.
    pub(crate) tickets: Option<TicketOffice>,
    pub(crate) registry: Arc<dyn Transport>,
    pub(crate) client: Client,
    pub(crate) health: Health,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) results: Results,
    /// The connections to the API's port that were accepted.
    pub(crate) accepted: Arc<AtomicU64>,
}
