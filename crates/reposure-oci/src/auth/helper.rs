//! Programs that keep a user's credentials: `docker-credential-NAME`.
//!
//! See the [protocol](https://github.com/docker/docker-credential-helpers#development).

use std::{io, process::Stdio, time::Duration};

use secrecy::{ExposeSecret, SecretSlice, SecretString};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    time::timeout,
};

use super::credentials::{Credentials, TOKEN_USERNAME, secret};

/// How a program's name starts.
const PREFIX: &str = "docker-credential-";
/// How long a program may take: some ask their user to unlock a keyring. Shorter than a call to the registry, which waits for it: where
/// that ends first, all that is said is that the registry is silent, and the program is asked again and again.
const LIMIT: Duration = Duration::from_secs(45);
/// The most that a program may say, in bytes; tokens of clouds have some thousands.
const OUTPUT_LIMIT: u64 = 1 << 20;
/// How much of what a program says of a failure is shown, in characters.
const SHOWN: usize = 200;
/// What all programs say where they have nothing.
const NOT_FOUND: &str = "credentials not found";

/// Why a program gives no credentials.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// The name could be that of another file.
    #[error("{0:?} is no name of a credential helper: letters, digits, '.', '_' and '-'")]
    Name(String),
    /// The program cannot be run.
    #[error("cannot run the credential helper {program}")]
    Run {
        /// The program.
        program: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The program does not end.
    #[error("the credential helper {program} has not ended after {} s", LIMIT.as_secs())]
    Timeout {
        /// The program.
        program: String,
    },
    /// The program fails.
    #[error("the credential helper {program} fails for {server}: {message}")]
    Failed {
        /// The program.
        program: String,
        /// The registry.
        server: String,
        /// What it says.
        message: String,
    },
    /// The program says what cannot be used. It is not shown, since it may hold a secret.
    #[error("what the credential helper {program} says for {server} is no JSON of Username and Secret")]
    Malformed {
        /// The program.
        program: String,
        /// The registry.
        server: String,
    },
}

impl HelperError {
    /// Tells whether the program is not there at all, and not that it fails.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Run { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// A program that keeps credentials.
#[derive(Debug)]
pub(crate) struct Helper {
    program: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    #[serde(deserialize_with = "secret")]
    secret: Option<SecretString>,
}

impl Helper {
    /// Names a program by what follows `docker-credential-`.
    pub(crate) fn new(name: &str) -> Result<Self, HelperError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(HelperError::Name(name.into()));
        }
        Ok(Self { program: format!("{PREFIX}{name}") })
    }

    /// Returns the program's whole name.
    pub(crate) fn program(&self) -> &str {
        &self.program
    }

    /// Asks the program for the credentials of a registry; none if it has none.
    pub(crate) async fn get(&self, server: &str) -> Result<Option<Credentials>, HelperError> {
        let asked = timeout(LIMIT, self.ask(server)).await;
        let (is_success, output) =
            asked.map_err(|_| HelperError::Timeout { program: self.program.clone() })??;
        if !is_success {
            return self.failure(server, &output);
        }
        let malformed = |_| HelperError::Malformed { program: self.program.clone(), server: server.into() };
        let answer: Answer = serde_json::from_slice(output.expose_secret()).map_err(malformed)?;
        Ok(Some(credentials(answer)))
    }

    /// Runs the program; it ends when this is dropped.
    async fn ask(&self, server: &str) -> Result<(bool, SecretSlice<u8>), HelperError> {
        let failed = |source| HelperError::Run { program: self.program.clone(), source };
        let mut command = Command::new(&self.program);
        command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.kill_on_drop(true).spawn().map_err(failed)?;
        talk(child, server).await.map_err(failed)
    }

    fn failure(&self, server: &str, output: &SecretSlice<u8>) -> Result<Option<Credentials>, HelperError> {
        let text = String::from_utf8_lossy(output.expose_secret());
        if text.contains(NOT_FOUND) {
            return Ok(None);
        }
        let message = text.trim().chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        Err(HelperError::Failed { program: self.program.clone(), server: server.into(), message })
    }
}

async fn talk(mut child: Child, server: &str) -> io::Result<(bool, SecretSlice<u8>)> {
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(format!("{server}\n").as_bytes()).await {
            // A program that does not read says by its output what is wrong.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            done => done?,
        }
    }
    let output = match child.stdout.take() {
        Some(stdout) => read(stdout).await?,
        None => Vec::new().into(),
    };
    Ok((child.wait().await?.success(), output))
}

async fn read(stdout: impl AsyncRead + Unpin) -> io::Result<SecretSlice<u8>> {
    let mut output = Vec::new();
    stdout.take(OUTPUT_LIMIT + 1).read_to_end(&mut output).await?;
    let is_over = output.len() as u64 > OUTPUT_LIMIT;
    let output = output.into();
    if is_over {
        Err(io::Error::other(format!("it says more than {OUTPUT_LIMIT} bytes")))
    } else {
        Ok(output)
    }
}

fn credentials(answer: Answer) -> Credentials {
    match (answer.username, answer.secret) {
        (_, None) => Credentials::Anonymous,
        (username, Some(token)) if username == TOKEN_USERNAME => {
            Credentials::IdentityToken { username, token }
        }
        (username, Some(password)) => Credentials::Basic { username, password },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_no_paths() {
        for name in ["", "../x", "a/b", "a b", "a;b", "ä"] {
            assert!(matches!(Helper::new(name), Err(HelperError::Name(_))), "{name:?}");
        }
        assert_eq!(Helper::new("ecr-login").unwrap().program, "docker-credential-ecr-login");
    }

    #[test]
    fn a_program_that_does_not_end_is_told_before_the_call_for_it_ends() {
        assert!(LIMIT + Duration::from_secs(10) < crate::registry::Limits::default().call);
    }

    #[test]
    fn a_token_is_told_by_its_user() {
        let parse = |json: &str| credentials(serde_json::from_str(json).unwrap());
        let token = parse(r#"{"ServerURL": "r", "Username": "<token>", "Secret": "t"}"#);
        assert!(matches!(token, Credentials::IdentityToken { .. }));
        assert!(matches!(parse(r#"{"Username": "ann", "Secret": "s"}"#), Credentials::Basic { .. }));
        assert!(matches!(parse(r#"{"Username": "", "Secret": ""}"#), Credentials::Anonymous));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let error = Helper::new("of-nobody-at-all").unwrap().get("r").await.unwrap_err();
        assert_eq!(error.to_string(), "cannot run the credential helper docker-credential-of-nobody-at-all");
        assert!(error.is_missing());
        let locked = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(!HelperError::Run { program: "docker-credential-x".into(), source: locked }.is_missing());
    }
}
