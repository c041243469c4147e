//! The certificate, made anew when its files change.
//!
//! One of an authority that the Secret did not name before is shown only when all who trust what it names have had time to learn of
//! it, and the one before until then: the kubelets of the gate and of a surrogate bring a change each in its own time. Those of an authority that was
//! named before are shown at once. A gate that begins knows of no certificate before.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use reposure_parcel::gate::{AUTHORITIES_FILE, CERTIFICATE_FILE, KEY_FILE};
use rustls::ServerConfig;
use secrecy::{ExposeSecret as _, SecretSlice};
use tokio::sync::watch;

use super::file::{self, Mark};
use crate::tls::{self, TlsError};

/// How long the certificate before is shown after one of another authority has come. A Secret reaches the pods that mount it within
/// some 90 s, each in its own time, and a surrogate looks at its files every few seconds.
const SPREAD: Duration = Duration::from_secs(100);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read the certificate or its key in {folder}")]
    Read {
        /// The folder.
        folder: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// They cannot be used, or do not belong to each other.
    #[error("the certificate and the key in {folder} cannot be used")]
    Tls {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        #[source]
        source: TlsError,
    },
}

/// The certificate in a folder.
pub(super) struct Certificate {
    folder: PathBuf,
    mark: Mark,
    /// The authorities, as PEM, that all know who trust what the Secret names.
    known: SecretSlice<u8>,
    next: Option<Next>,
    current: watch::Sender<Arc<ServerConfig>>,
}

/// What was read last, while not all may know of it.
struct Next {
    config: Arc<ServerConfig>,
    authorities: SecretSlice<u8>,
    due: Instant,
}

impl Certificate {
    /// Reads the certificate.
    ///
    /// # Errors
    /// When there is none that can be used.
    pub(super) async fn new(folder: PathBuf) -> Result<Self, CertificateError> {
        let files = Files::read(&folder).await?;
        let current = watch::Sender::new(files.config(&folder)?);
        Ok(Self { mark: files.mark(), folder, known: files.authorities, next: None, current })
    }

    /// Returns what is shown to those who connect.
    pub(super) fn current(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.current.subscribe()
    }

    /// Reads the certificate again; to be called every few seconds. Connections go on as they began, and what cannot be used
    /// takes nothing away.
    pub(super) async fn refresh(&mut self, now: Instant) {
        if let Err(error) = self.read_again(now).await {
            tracing::warn!(error = crate::answer::chain(&error), "the certificate stays as it was");
        }
        if let Some(next) = self.next.take_if(|next| next.due <= now) {
            self.known = next.authorities;
            self.show(next.config);
        }
    }

    async fn read_again(&mut self, now: Instant) -> Result<(), CertificateError> {
        let files = Files::read(&self.folder).await?;
        let mark = files.mark();
        if mark == self.mark {
            return Ok(());
        }
        // What is wrong is said once.
        self.mark = mark;
        let config = files.config(&self.folder)?;
        let is_known = tls::may_be_trusted(self.known.expose_secret(), files.certificate.expose_secret());
        if is_known {
            self.show(config.clone());
        } else {
            let seconds = SPREAD.as_secs();
            tracing::info!("there is a certificate of another authority, to be shown in {seconds} s");
        }
        self.next = Some(Next { config, authorities: files.authorities, due: now + SPREAD });
        Ok(())
    }

    fn show(&self, config: Arc<ServerConfig>) {
        if !Arc::ptr_eq(&self.current.borrow(), &config) {
            tracing::info!("there is another certificate");
            self.current.send_replace(config);
        }
    }
}

/// What is in the folder.
struct Files {
    certificate: SecretSlice<u8>,
    key: SecretSlice<u8>,
    authorities: SecretSlice<u8>,
}

impl Files {
    async fn read(folder: &Path) -> Result<Self, CertificateError> {
        let failed = |source| CertificateError::Read { folder: folder.into(), source };
        let certificate = file::read(&folder.join(CERTIFICATE_FILE)).await.map_err(failed)?;
        let key = file::read(&folder.join(KEY_FILE)).await.map_err(failed)?;
        let mut authorities = file::read_if_there(&folder.join(AUTHORITIES_FILE)).await.map_err(failed)?;
        if authorities.expose_secret().is_empty() {
            // Then it is the certificate itself that is trusted.
            authorities = certificate.clone();
        }
        Ok(Self { certificate, key, authorities })
    }

    fn mark(&self) -> Mark {
        file::mark(&[&self.certificate, &self.key, &self.authorities])
    }

    fn config(&self, folder: &Path) -> Result<Arc<ServerConfig>, CertificateError> {
        tls::server_of(self.certificate.expose_secret(), self.key.expose_secret())
            .map_err(|source| CertificateError::Tls { folder: folder.into(), source })
    }
}

#[cfg(test)]
mod tests;
