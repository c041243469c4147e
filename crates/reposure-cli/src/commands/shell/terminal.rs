//! The streams between this program's terminal and a container.

use std::{
    io::{self, Read as _},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures::SinkExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{AttachParams, TerminalSize},
};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::sleep,
};
use tokio_util::task::AbortOnDropHandle;

use super::container::{State, state};

/// What is read of standard input at once, in bytes.
const INPUT: usize = 4 << 10;

/// How often it is asked whether a container has ended: a small request, beside somebody who types.
const LOOK: Duration = Duration::from_secs(2);

/// Passes standard input to a container until either ends.
pub(super) async fn feed(api: &Api<Pod>, pod: &str, container: &str) -> Result<()> {
    let params = AttachParams::default().container(container).stdin(true).stdout(false).stderr(false);
    let attached = api.attach(pod, &params).await;
    let mut attached = attached.with_context(|| format!("cannot attach to container {container}"))?;
    let Some(stdin) = attached.stdin() else { return Ok(()) };
    let _input = AbortOnDropHandle::new(tokio::spawn(pass_input(stdin)));
    // What was passed on last is on its way yet when the input ends.
    if let Some(ended) = attached.take_status() {
        ended.await;
    }
    Ok(())
}

/// Gives the terminal to what runs in a container until it ends.
pub(super) async fn speak(api: &Api<Pod>, pod: &str, container: &str) -> Result<()> {
    let params = AttachParams::default().container(container).stdin(true).stdout(true);
    let attached = api.attach(pod, &params.stderr(false).tty(true)).await;
    let mut attached = attached.with_context(|| format!("cannot attach to container {container}"))?;
    let output = attached.stdout();
    let _input = attached.stdin().map(|stdin| AbortOnDropHandle::new(tokio::spawn(pass_input(stdin))));
    let size = attached.terminal_size();
    let _size = size.map(|sizes| AbortOnDropHandle::new(tokio::spawn(tell_size(sizes))));
    let raw = Raw::new().context("the terminal cannot be had for the shell")?;
    // What it asked before somebody listened is lost.
    eprint!("press return for a prompt\r\n");
    let printed = tokio::select! {
        printed = pass(output, tokio::io::stdout()) => printed,
        () = over(api, pod, container) => Ok(()),
    };
    drop(raw);
    printed.context("the connection to the container broke off")
}

/// Waits until a container has ended, and what it said last has come. A stream to one that ended just when it was attached to may never
/// end itself.
async fn over(api: &Api<Pod>, pod: &str, container: &str) {
    loop {
        sleep(LOOK).await;
        let is_over = match api.get_opt(pod).await {
            Ok(Some(seen)) => state(&seen, container) != State::Running,
            // It went with its pod.
            Ok(None) => true,
            Err(_) => false,
        };
        if is_over {
            return sleep(LOOK).await;
        }
    }
}

async fn pass(from: Option<impl AsyncRead + Unpin>, mut to: impl AsyncWrite + Unpin) -> io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut bytes = [0; INPUT];
    loop {
        let length = tokio::io::AsyncReadExt::read(&mut from, &mut bytes).await?;
        if length == 0 {
            return Ok(());
        }
        to.write_all(&bytes[..length]).await?;
        // A prompt ends without a line.
        to.flush().await?;
    }
}

/// Passes standard input on. It is read by a thread of its own, which may wait for a line when all else has ended.
async fn pass_input(mut to: impl AsyncWrite + Unpin) {
    let (sender, mut receiver) = mpsc::channel(1);
    thread::spawn(move || {
        let (mut input, mut bytes) = (io::stdin(), [0; INPUT]);
        while let Ok(length @ 1..) = input.read(&mut bytes) {
            if sender.blocking_send(bytes[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    while let Some(bytes) = receiver.recv().await {
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
    // The end of input is the end of a shell.
    let _ = to.shutdown().await;
}

/// Tells the size of the terminal, and whenever it changes.
async fn tell_size(mut sizes: impl futures::Sink<TerminalSize> + Unpin) {
    let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
    loop {
        if let Ok(size) = tcgetwinsize(io::stdout()) {
            let size = TerminalSize { width: size.ws_col, height: size.ws_row };
            if sizes.send(size).await.is_err() {
                return;
            }
        }
        if changes.recv().await.is_none() {
            return;
        }
    }
}

/// The terminal as a shell elsewhere needs it: every key goes there. It is as it was when this is dropped.
struct Raw {
    before: Termios,
}

impl Raw {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use kube::Config;
    use reposure_client::channel::ApiServer;
    use reposure_testing::{FakeApiServer, api_server::Behaviour};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_container_is_over_when_its_pod_is_gone() {
        let server = FakeApiServer::start(([127, 0, 0, 1], 1).into(), Behaviour::default()).await.unwrap();
        let client = ApiServer::new(Config::new(server.url().parse().unwrap())).unwrap().client();
        let api = Api::namespaced(client, "team");
        timeout(LOOK * 10, over(&api, "gone", "shell")).await.expect("it waits for what is not there");
    }
}
