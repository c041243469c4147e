//! Whether a request shows a password that is good.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header};
use reposure_parcel::{
    gate::{PULL_USERS_FILE, USERS_FILE},
    wire::Right,
};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    file::{self, Mark},
    htpasswd::{self, Entry},
    memory::Memory,
    users::{Users, Verdict},
};

/// How many passwords are checked at once: each takes a thread for some 50 ms to a second, which transfers need too.
const AT_ONCE: usize = 2;
/// How many more wait for that. All others are told to come again.
const WAITING: usize = 64;
/// How long they wait.
const WAITING_DEADLINE: Duration = Duration::from_secs(10);

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It shows no password, or a wrong one.
    Unknown,
    /// Too many passwords are being checked.
    Busy,
}

/// The users' files cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the users in {folder}")]
pub(super) struct UsersError {
    folder: PathBuf,
    #[source]
    source: std::io::Error,
}

/// The users of a folder, and what is known of their passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    folder: PathBuf,
    state: Mutex<Arc<State>>,
    checks: Arc<Semaphore>,
    places: Semaphore,
}

/// What is of one state of the files: with another one, all that was known is forgotten.
#[derive(Debug)]
struct State {
    users: Users,
    memory: Memory,
    mark: Mark,
}

/// A name and a password.
struct Shown {
    name: String,
    password: SecretString,
}

impl Passwords {
    /// Reads the users in a folder.
    ///
    /// # Errors
    /// When the file of those who may do everything cannot be read. Lines that are malformed let nobody in, and are logged.
    pub(super) async fn new(folder: PathBuf) -> Result<Self, UsersError> {
        let (all, pull) = read(&folder).await?;
        let state = State::new(&all, &pull, &Users::default());
        Ok(Self {
            folder,
            state: Mutex::new(Arc::new(state)),
            checks: Arc::new(Semaphore::new(AT_ONCE)),
            places: Semaphore::new(AT_ONCE + WAITING),
        })
    }

    /// Reads the files again; to be called every few seconds. What cannot be read just now takes nothing away.
    pub(super) async fn refresh(&self) {
        let (all, pull) = match read(&self.folder).await {
            Ok(files) => files,
            Err(error) => {
                return tracing::warn!(error = crate::answer::chain(&error), "users stay as they were");
            }
        };
        let before = self.state();
        if before.mark != file::mark(&[&all, &pull]) {
            let state = State::new(&all, &pull, &before.users);
            *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(state);
        }
    }

    /// Returns what the one who sends a request may do.
    ///
    /// # Cancel safety
    /// Dropping the future leaves at most the check that has begun.
    pub(super) async fn admit(&self, headers: &HeaderMap) -> Result<Right, Refused> {
        let shown = Shown::of(headers).ok_or(Refused::Unknown)?;
        let state = self.state();
        let verdict = match state.recall(&shown) {
            Some(verdict) => verdict,
            None => self.check(state, shown).await?,
        };
        verdict.right.ok_or(Refused::Unknown)
    }

    async fn check(&self, state: Arc<State>, shown: Shown) -> Result<Verdict, Refused> {
        let _place = self.places.try_acquire().map_err(|_| Refused::Busy)?;
        let turn = timeout(WAITING_DEADLINE, self.checks.clone().acquire_owned()).await;
        let turn = turn.ok().and_then(Result::ok).ok_or(Refused::Busy)?;
        // A client opens several connections at once: the others' password may be known by now.
        if let Some(verdict) = state.recall(&shown) {
            return Ok(verdict);
        }
        let checked = tokio::task::spawn_blocking(move || {
            let verdict = state.verify(&shown);
            // Held by the one who works, whether somebody waits for it or not.
            drop(turn);
            verdict
        });
        checked.await.map_err(|_| Refused::Busy)
    }

    fn state(&self) -> Arc<State> {
        // Nothing can panic while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl State {
    fn new(all: &SecretSlice<u8>, pull: &SecretSlice<u8>, before: &Users) -> Self {
        let users = Users::new(parse(all, USERS_FILE), parse(pull, PULL_USERS_FILE), before, Instant::now());
        tracing::info!(users = users.len(), "users read");
        Self { users, memory: Memory::new(), mark: file::mark(&[all, pull]) }
    }

    fn recall(&self, shown: &Shown) -> Option<Verdict> {
        self.memory.recall(&shown.name, shown.password.expose_secret(), Instant::now())
    }

    fn verify(&self, shown: &Shown) -> Verdict {
        let password = shown.password.expose_secret();
        let verdict = self.users.verify(&shown.name, password, Instant::now());
        self.memory.note(&shown.name, password, verdict);
        verdict
    }
}

impl Shown {
    /// See [RFC 7617](https://www.rfc-editor.org/rfc/rfc7617#section-2).
    fn of(headers: &HeaderMap) -> Option<Self> {
        let (scheme, encoded) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = SecretString::from(String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?);
        let (name, password) = decoded.expose_secret().split_once(':')?;
        Some(Self { name: name.into(), password: password.into() })
    }
}

fn parse(bytes: &SecretSlice<u8>, file: &str) -> Vec<Entry> {
    let (entries, faults) = htpasswd::parse(bytes.expose_secret());
    for (line, error) in faults {
        tracing::error!(file, line, %error, "a line lets nobody in");
    }
    entries
}

async fn read(folder: &Path) -> Result<(SecretSlice<u8>, SecretSlice<u8>), UsersError> {
    let failed = |source| UsersError { folder: folder.into(), source };
    let all = file::read(&folder.join(USERS_FILE)).await.map_err(failed)?;
    Ok((all, file::read_if_there(&folder.join(PULL_USERS_FILE)).await.map_err(failed)?))
}
