//! Opening an upload, if the blob is not there and cannot be mounted.

use std::{sync::Arc, time::SystemTime};

use http::StatusCode;
use reposure_oci::{
    Digest, RepositoryName,
    registry::{Mount, Session},
};
use reposure_parcel::{
    limits::MOUNT_SOURCES,
    problem::{Code, Problem},
    upload::{How, Open, Progress, Stored, Ticket},
};

use super::{
    Uploads, delivery, resume,
    upload::{Key, Upload},
};
use crate::{
    access::TicketOffice,
    answer::{self, Answer},
    upstream::refusal,
};

/// The longest key of a client's own, in bytes.
const KEY: usize = 128;

/// Where a blob is.
enum Found {
    /// In the repository.
    Here(How),
    /// Not there; the registry may have opened an upload for it.
    Nowhere(Option<Session>),
}

/// What came of opening.
pub(super) enum Opened {
    Stored(Stored),
    Upload(Arc<Upload>),
}

impl Uploads {
    /// Answers [`Open`], with a ticket where there is who gives some.
    pub(crate) async fn open(&self, wish: Open, office: Option<&TicketOffice>) -> Result<Answer, Problem> {
        Ok(match self.find_or_open(wish).await? {
            Opened::Stored(stored) => answer::json(StatusCode::OK, &stored),
            Opened::Upload(upload) => {
                let ticket = office.map(|office| Ticket(office.upload_ticket(&upload.id, SystemTime::now())));
                answer::json(StatusCode::CREATED, &Progress { ticket, ..upload.progress() })
            }
        })
    }

    /// Opens an upload, or joins the one that is open, if the blob is not there and cannot be mounted.
    pub(super) async fn find_or_open(&self, wish: Open) -> Result<Opened, Problem> {
        let key = key(&wish)?;
        self.forms.check(wish.digest.is_some() && wish.size.is_some())?;
        if let Some(upload) = self.join(&key, wish.size)? {
            return Ok(Opened::Upload(upload));
        }
        let mut session = match &wish.digest {
            None => None,
            Some(digest) => match self.locate(&wish, digest).await? {
                Found::Here(how) => {
                    return Ok(Opened::Stored(Stored { digest: digest.clone(), how }));
                }
                Found::Nowhere(session) => session,
            },
        };
        let inserted = self.insert(&key, wish.size, &mut session).await;
        // What nobody has sent anything to is of no use. The rest may be what the upload that was joined goes on with.
        if let Some(session) = session.filter(|session| session.offset() == 0) {
            delivery::cancel(self.registry.clone(), session);
        }
        inserted.map(Opened::Upload)
    }

    async fn locate(&self, wish: &Open, digest: &Digest) -> Result<Found, Problem> {
        let repository = &wish.repository;
        if !self.lacking.take(digest, repository) {
            let found = self.registry.head_blob(repository, digest).await;
            if found.map_err(|error| refusal::of(&error))?.is_some() {
                self.remembered.note(digest, repository);
                return Ok(Found::Here(How::Existed));
            }
            self.remembered.forget(digest, repository);
        }
        if let Some(session) = resume::resume(&self.registry, wish).await? {
            return Ok(Found::Nowhere(Some(session)));
        }
        let remembered = self.remembered.repositories(digest);
        for source in sources(&wish.from, &remembered, repository) {
            match self.mount(repository, digest, source).await {
                Some(Mount::Mounted) => return Ok(Found::Here(How::Mounted)),
                // A registry that opens an upload instead would do so for each source.
                Some(Mount::Open(session)) => return Ok(Found::Nowhere(Some(session))),
                None => {}
            }
        }
        Ok(Found::Nowhere(None))
    }

    /// Tries to mount a blob. A registry that refuses can still be sent the bytes.
    async fn mount(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: &RepositoryName,
    ) -> Option<Mount> {
        match self.registry.mount(repository, digest, from).await {
            Ok(Mount::Mounted) => {
                self.remembered.note(digest, repository);
                Some(Mount::Mounted)
            }
            Ok(opened) => {
                self.remembered.forget(digest, from);
                Some(opened)
            }
            Err(error) => {
                tracing::debug!(error = answer::chain(&error), "not mounted");
                None
            }
        }
    }
}

fn sources<'a>(
    from: &'a [RepositoryName],
    remembered: &'a [RepositoryName],
    repository: &'a RepositoryName,
) -> impl Iterator<Item = &'a RepositoryName> {
    // What the surrogate has seen is surer than what the client supposes.
    remembered
        .iter()
        .chain(from.iter().filter(|from| !remembered.contains(from)))
        .filter(move |s| *s != repository)
}

fn key(wish: &Open) -> Result<Key, Problem> {
    let bad = |message: &str| Err(Problem::new(Code::BadRequest, message));
    if wish.from.len() > MOUNT_SOURCES {
        return bad("too many repositories to mount from");
    }
    if wish.digest.is_none() && wish.key.is_none() {
        return bad("an upload needs a digest or a key");
    }
    if wish.key.as_ref().is_some_and(|key| key.is_empty() || key.len() > KEY) {
        return bad("the key is empty or too long");
    }
    Ok(Key { repository: wish.repository.clone(), digest: wish.digest.clone(), client: wish.key.clone() })
}
