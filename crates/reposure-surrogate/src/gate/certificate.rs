//! The certificate, made anew when its files change.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use reposure_parcel::gate::{CERTIFICATE_FILE, KEY_FILE};
use rustls::ServerConfig;
use secrecy::{ExposeSecret as _, SecretSlice};
use tokio::sync::watch;

use super::file::{self, Mark};
use crate::tls::{self, TlsError};

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
    current: watch::Sender<Arc<ServerConfig>>,
}

impl Certificate {
    /// Reads the certificate.
    ///
    /// # Errors
    /// When there is none that can be used.
    pub(super) async fn new(folder: PathBuf) -> Result<Self, CertificateError> {
        let (certificate, key) = read(&folder).await?;
        let current = watch::Sender::new(config(&folder, &certificate, &key)?);
        Ok(Self { mark: file::mark(&certificate, &key), folder, current })
    }

    /// Returns what is shown to those who connect.
    pub(super) fn current(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.current.subscribe()
    }

    /// Reads the certificate again; to be called every few seconds. Connections go on as they began, and what cannot be used
    /// takes nothing away.
    pub(super) async fn refresh(&mut self) {
        match self.renewed().await {
            Ok(None) => {}
            Ok(Some(config)) => {
                tracing::info!("there is another certificate");
                self.current.send_replace(config);
            }
            Err(error) => {
                tracing::warn!(error = crate::answer::chain(&error), "the certificate stays as it was");
            }
        }
    }

    async fn renewed(&mut self) -> Result<Option<Arc<ServerConfig>>, CertificateError> {
        let (certificate, key) = read(&self.folder).await?;
        let mark = file::mark(&certificate, &key);
        if mark == self.mark {
            return Ok(None);
        }
        // What is wrong is said once.
        self.mark = mark;
        config(&self.folder, &certificate, &key).map(Some)
    }
}

fn config(
    folder: &Path,
    certificate: &SecretSlice<u8>,
    key: &SecretSlice<u8>,
) -> Result<Arc<ServerConfig>, CertificateError> {
    tls::server_of(certificate.expose_secret(), key.expose_secret())
        .map_err(|source| CertificateError::Tls { folder: folder.into(), source })
}

async fn read(folder: &Path) -> Result<(SecretSlice<u8>, SecretSlice<u8>), CertificateError> {
    let failed = |source| CertificateError::Read { folder: folder.into(), source };
    let certificate = file::read(&folder.join(CERTIFICATE_FILE)).await.map_err(failed)?;
    Ok((certificate, file::read(&folder.join(KEY_FILE)).await.map_err(failed)?))
}
