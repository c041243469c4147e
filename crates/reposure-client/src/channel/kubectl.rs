//! The channel `kubectl`: as `exec`, with a child process `kubectl exec` for the WebSocket.
//!
//! For clusters that only `kubectl` can speak to: by a credential of a kind that is not known here, or through a proxy that lets
//! nothing but SPDY through.

use std::{
    ffi::OsString,
    io,
    pin::Pin,
    process::Stdio,
    task::{Context, Poll, ready},
};

use futures::{FutureExt as _, future::BoxFuture};
use reposure_parcel::session::{COMMAND, CONTAINER, PROGRAM};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    Channel,
    diagnosis::Diagnosis,
    multiplexed::{Multiplexed, Open, OpenError},
};

/// What is read of standard error at once, in bytes.
const ERRORS: usize = 1 << 10;

/// Returns the way to a surrogate in the pod `pod` in `namespace` through `exec` of the program `program`, a kubectl, with the global
/// options `options`.
pub fn kubectl(
    program: OsString,
    options: Vec<OsString>,
    namespace: &str,
    pod: &str,
) -> impl Channel + 'static {
    let mut arguments = options;
    let own = ["--namespace", namespace, "exec", "--stdin", pod, "--container", CONTAINER, "--"];
    arguments.extend(own.into_iter().chain([PROGRAM, COMMAND]).map(OsString::from));
    Multiplexed::new(Opener { program, arguments })
}

#[derive(Debug)]
struct Opener {
    program: OsString,
    arguments: Vec<OsString>,
}

impl Open for Opener {
    const NAME: &str = "kubectl";
    type Stream = Streams;

    fn open(&self) -> BoxFuture<'_, Result<Self::Stream, OpenError>> {
        let failed = |source| OpenError::Start { program: self.program.to_string_lossy().into(), source };
        let streams = self.spawn().map_err(failed);
        std::future::ready(streams).boxed()
    }
}

impl Opener {
    fn spawn(&self) -> io::Result<Streams> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let missing = || io::Error::other("a child process has no standard streams");
        let input = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        let errors = child.stderr.take().ok_or_else(missing)?;
        let errors = AbortOnDropHandle::new(tokio::spawn(listen(errors)));
        Ok(Streams { input, output, errors: Some(errors), _child: child })
    }
}

/// Reads standard error to its end, and keeps the beginning.
async fn listen(mut errors: ChildStderr) -> Diagnosis {
    let (mut diagnosis, mut buffer) = (Diagnosis::default(), vec![0; ERRORS]);
    while let Ok(length @ 1..) = errors.read(&mut buffer).await {
        diagnosis.add(&buffer[..length]);
    }
    diagnosis
}

/// The streams of a child process, which is killed with them.
#[derive(Debug)]
struct Streams {
    input: ChildStdin,
    output: ChildStdout,
    /// What it says, until that was told.
    errors: Option<AbortOnDropHandle<Diagnosis>>,
    _child: Child,
}

impl AsyncRead for Streams {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.output).poll_read(context, buffer))?;
        let Some(errors) = self.errors.as_mut() else { return Poll::Ready(Ok(())) };
        if buffer.filled().len() > before || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // It has ended, and says why.
        let said = ready!(Pin::new(errors).poll(context));
        self.errors = None;
        Poll::Ready(said.map_err(io::Error::other)?.outcome())
    }
}

impl AsyncWrite for Streams {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(context)
    }
}
