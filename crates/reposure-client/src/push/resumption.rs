//! What the registry has of a blob whose upload was lost with the surrogate.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reposure_parcel::upload::{Progress, Resume};

use crate::session::SessionError;

/// Where a blob's upload may go on at the registry, as the surrogate said last.
#[derive(Clone, Debug, Default)]
pub(super) struct Resumption(Arc<Mutex<Option<Resume>>>);

impl Resumption {
    /// Returns what to open the upload with.
    pub(super) fn get(&self) -> Option<Resume> {
        self.lock().clone()
    }

    /// Takes what the surrogate said.
    pub(super) fn learn(&self, progress: &Progress) {
        if let Some(resume) = &progress.resume {
            *self.lock() = Some(resume.clone());
        }
    }

    /// Takes note of why an upload was lost. What the registry did not take once is not gone on with.
    pub(super) fn lost(&self, error: &SessionError) {
        if matches!(error, SessionError::Problem { problem, .. } if !problem.transient && problem.upstream_status.is_some())
        {
            self.forget();
        }
    }

    /// Begins the blob from its start the next time.
    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Resume>> {
        // Nothing can panic while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use reposure_parcel::{
        problem::{Code, Problem},
        upload::Window,
    };

    use super::*;

    fn progress(resume: Option<&str>) -> Progress {
        let resume = resume.map(|place| Resume(place.into()));
        let window = Window { from: 0, bytes: 0 };
        Progress { id: "1".into(), received: Vec::new(), window, resume, ticket: None }
    }

    fn error(problem: Problem) -> SessionError {
        SessionError::Problem { path: String::new(), status: StatusCode::NOT_FOUND, problem, embedded: false }
    }

    #[test]
    fn the_newest_place_counts_until_the_registry_refuses() {
        let resumption = Resumption::default();
        let place = || resumption.get().map(|resume| resume.0);
        resumption.learn(&progress(Some("a")));
        resumption.learn(&progress(Some("b")));
        resumption.learn(&progress(None));
        assert_eq!(place().as_deref(), Some("b"), "an answer need not name it");
        resumption.lost(&error(Problem::new(Code::NotFound, "no upload 1 is open")));
        resumption.lost(&error(Problem::new(Code::UpstreamBusy, "").with_upstream_status(503).transient()));
        assert_eq!(place().as_deref(), Some("b"));
        resumption.lost(&error(Problem::new(Code::NotFound, "").with_upstream_status(416)));
        assert_eq!(place(), None);
    }
}
