//! What all requests share.

use std::{sync::Arc, time::Duration};

use reposure_oci::{direct::PeerCertificate, transport::Transport};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{
    access::{Gate, TicketOffice},
    kind::Kind,
    results::Results,
    server::Metrics,
    uploads::Uploads,
    upstream::{Client, Health},
};

/// How often a surrogate is looked after.
const TICK: Duration = Duration::from_secs(5);

/// What all requests share.
pub(crate) struct App {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) pod_uid: String,
    pub(crate) gate: Gate,
    /// Who gives tickets, where blobs may go in the clear.
    pub(crate) tickets: Option<TicketOffice>,
    pub(crate) registry: Arc<dyn Transport>,
    /// What knows the certificate that the registry showed last, where this process dials it.
    pub(crate) certificate: Option<Arc<PeerCertificate>>,
    pub(crate) client: Client,
    /// What it does in another way than the distribution API has it.
    pub(crate) kind: Kind,
    pub(crate) health: Health,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) results: Results,
    pub(crate) metrics: Metrics,
}

impl App {
    /// Ends uploads and forgets results whose time is over.
    pub(crate) fn sweep(&self) {
        self.uploads.sweep();
        self.results.sweep();
    }
}

/// Returns what says when a surrogate is to be looked after: files, keys, uploads and results.
pub(crate) fn ticks() -> Interval {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
