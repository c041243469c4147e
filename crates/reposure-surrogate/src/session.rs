//! The command `session`: joins the surrogate that runs in this pod, and hands standard input and output over to it.
//!
//! It says its greeting first and nothing else on standard output. Neither end of file nor its exit code means anything to the
//! client: what counts are answers. It ends as soon as its input ends, though nobody may read its output: a container runtime may keep
//! the pipe of a client that is gone.

use std::{
    io::{self, ErrorKind, Write as _},
    os::{fd::AsFd, unix::net::UnixStream as UnixSocket},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use reposure_parcel::session::greeting;
use rustix::process::geteuid;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy_buf},
    net::{UnixStream, unix::pipe},
    runtime::Runtime,
    time::timeout,
};

use crate::{
    handover::{self, Waited},
    hello::BUILD,
    server::socket_address,
};

/// How long the running surrogate may take to let the process in.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// How long the client may take to end the session once the surrogate has: what is on its way to him would be lost with the process.
const FAREWELL: Duration = Duration::from_secs(5);
/// What is read at once, in bytes, and what a pipe holds where the system allows it.
const BUFFER: usize = 256 << 10;

type Input = Box<dyn AsyncRead + Send + Unpin>;
type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// Speaks for the client until either side ends.
pub(crate) fn run(socket: &str) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let done = speak(&runtime, socket);
    // A thread may be reading from a standard input that is no pipe.
    runtime.shutdown_background();
    done
}

fn speak(runtime: &Runtime, socket: &str) -> anyhow::Result<()> {
    let (surrogate, handed) = runtime.block_on(join(socket))?;
    if handed
        && handover::wait(&surrogate, io::stdin(), FAREWELL)
            .context("the running surrogate lets nobody else in")?
            == Waited::Ended
    {
        return Ok(());
    }
    runtime.block_on(copy(surrogate))
}

/// Joins the surrogate, greets, and hands over what it may; returns the surrogate's socket.
async fn join(socket: &str) -> anyhow::Result<(UnixSocket, bool)> {
    let connected = timeout(CONNECT_DEADLINE, UnixStream::connect(socket_address(socket))).await;
    let surrogate = connected.context("the running surrogate does not answer")?;
    let surrogate = surrogate.context("cannot join the running surrogate")?;
    // A sidecar may listen at the name in the surrogate's place.
    let peer = surrogate.peer_cred().context("cannot tell who listens")?;
    ensure!(
        peer.uid() == geteuid().as_raw(),
        "another user's process listens in the running surrogate's place"
    );
    enlarge(io::stdin());
    let mut output = output()?;
    output.write_all(greeting(BUILD).as_bytes()).await.context("cannot greet")?;
    output.flush().await.context("cannot greet")?;
    let handed = handover::hand_over(&surrogate, io::stdin(), io::stdout()).await;
    let handed = handed.context("cannot hand over to the running surrogate")?;
    Ok((surrogate.into_std()?, handed))
}

/// Copies until either side ends.
async fn copy(surrogate: UnixSocket) -> anyhow::Result<()> {
    let (from_surrogate, mut to_surrogate) = UnixStream::from_std(surrogate)?.into_split();
    let mut input = tokio::io::BufReader::with_capacity(BUFFER, input()?);
    let mut output = output()?;
    let mut from_surrogate = tokio::io::BufReader::with_capacity(BUFFER, from_surrogate);
    let up = copy_buf(&mut input, &mut to_surrogate);
    let down = async {
        let copied = copy_buf(&mut from_surrogate, &mut output).await;
        output.flush().await?;
        copied
    };
    let mut up = std::pin::pin!(up);
    tokio::select! {
        done = up.as_mut() => unless_left(done).context("the input broke"),
        done = down => {
            let _ = timeout(FAREWELL, up).await;
            unless_left(done).context("the output broke")
        }
    }
}

/// Takes a peer who left for an end like any other: which of its pipes is seen to be closed first is chance, and who wrote to it
/// in between gets an error.
fn unless_left(copied: io::Result<u64>) -> io::Result<()> {
    match copied {
        Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Returns standard input, without a thread where it is a pipe.
fn input() -> io::Result<Input> {
    let input = io::stdin();
    match pipe::Receiver::from_owned_fd(input.as_fd().try_clone_to_owned()?) {
        Ok(pipe) => Ok(Box::new(pipe)),
        Err(_) => Ok(Box::new(tokio::io::stdin())),
    }
}

/// Returns standard output, without a thread where it is a pipe.
fn output() -> io::Result<Output> {
    let mut output = io::stdout();
    output.flush()?;
    enlarge(&output);
    match pipe::Sender::from_owned_fd(output.as_fd().try_clone_to_owned()?) {
        Ok(pipe) => Ok(Box::new(pipe)),
        Err(_) => Ok(Box::new(tokio::io::stdout())),
    }
}

/// Makes a pipe hold more than its 64 KiB, if it is one and the system lets us: there are limits for each user.
fn enlarge(pipe: impl AsFd) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, BUFFER);
}
