//! Standard input and output of the process of a session, handed over to the surrogate that runs.
//!
//! A process that copied would cost each byte two more copies and two more changes of process on its way. So it passes its pipes on
//! ([`SCM_RIGHTS`][1]), where they are pipes, and only waits: for its client to go, or for the surrogate to close the socket. What is no
//! pipe, a terminal say, it copies.
//!
//! [1]: https://man7.org/linux/man-pages/man7/unix.7.html

use std::{
    io::{self, ErrorKind, IoSlice, IoSliceMut, Read as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream as UnixSocket,
    },
    time::Duration,
};

use reposure_parcel::session::{COPIED, HANDED};
use rustix::{
    cmsg_space,
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, fstat},
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};
use tokio::{
    io::Interest,
    net::{UnixStream, unix::pipe},
};

/// What a process is there for.
#[derive(Debug)]
pub(crate) enum Session {
    /// Its client speaks by these pipes.
    Handed {
        /// Its standard input.
        input: pipe::Receiver,
        /// Its standard output.
        output: pipe::Sender,
    },
    /// It copies what its client says and hears.
    Copied,
}

/// Hands pipes over, if they are pipes and the system lets us; tells whether it did.
///
/// # Errors
/// When the surrogate is gone.
///
/// # Cancel safety
/// The pipes may have been handed over.
pub(crate) async fn hand_over(
    surrogate: &UnixStream,
    input: impl AsFd,
    output: impl AsFd,
) -> io::Result<bool> {
    let pipes = [input.as_fd(), output.as_fd()];
    if pipes.iter().all(is_pipe) {
        let sent = surrogate.async_io(Interest::WRITABLE, || send(surrogate, HANDED, &pipes)).await;
        if sent.is_ok() {
            return Ok(true);
        }
    }
    surrogate.async_io(Interest::WRITABLE, || send(surrogate, COPIED, &[])).await.map(|()| false)
}

/// Sends one byte, with files.
fn send(socket: &UnixStream, word: u8, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(2))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() {
        rights.push(SendAncillaryMessage::ScmRights(files));
    }
    sendmsg(socket, &[IoSlice::new(&[word])], &mut rights, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn is_pipe(file: &impl AsFd) -> bool {
    fstat(file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

/// Takes what a process hands over. One whose pipes do not arrive, as a security module may have it, is told to copy.
///
/// # Errors
/// When the process is gone, or says something else.
///
/// # Cancel safety
/// What was taken is closed.
pub(crate) async fn take(process: &UnixStream) -> io::Result<Session> {
    let (word, pipes) = process.async_io(Interest::READABLE, || receive(process)).await?;
    if word != HANDED {
        return if word == COPIED { Ok(Session::Copied) } else { Err(malformed()) };
    }
    if let Some((input, output)) = both(pipes) {
        return Ok(Session::Handed { input, output });
    }
    process.async_io(Interest::WRITABLE, || send(process, COPIED, &[])).await?;
    Ok(Session::Copied)
}

fn both(pipes: Vec<OwnedFd>) -> Option<(pipe::Receiver, pipe::Sender)> {
    let [input, output] = <[OwnedFd; 2]>::try_from(pipes).ok()?;
    Some((pipe::Receiver::from_owned_fd(input).ok()?, pipe::Sender::from_owned_fd(output).ok()?))
}

fn malformed() -> io::Error {
    ErrorKind::InvalidData.into()
}

/// Receives one byte, and what came with it.
fn receive(process: &UnixStream) -> io::Result<(u8, Vec<OwnedFd>)> {
    let mut word = [0];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(2))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(process, &mut [IoSliceMut::new(&mut word)], &mut rights, RecvFlags::CMSG_CLOEXEC)?;
    let files = rights.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let files = files.flatten().collect();
    if received.bytes == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok((word[0], files)) }
}

/// Waits until a process that has handed its pipes over is gone, or says something, which it must not.
///
/// # Cancel safety
/// May be dropped.
pub(crate) async fn gone(process: &UnixStream) {
    let _ = process.async_io(Interest::READABLE, || process.try_read(&mut [0])).await;
}

/// What a process that has handed its pipes over has waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Its session has ended.
    Ended,
    /// It is to copy all the same.
    Copied,
}

/// Waits until those who write the input are gone, or the surrogate says that it is to copy; or, once the surrogate is gone, for
/// `farewell` at most.
///
/// # Errors
/// When the surrogate has closed the socket without taking anything.
pub(crate) fn wait(surrogate: &UnixSocket, input: impl AsFd, farewell: Duration) -> io::Result<Waited> {
    // That nobody writes any more is told unasked.
    let input = PollFd::new(&input, PollFlags::empty());
    let mut both = [input.clone(), PollFd::new(surrogate, PollFlags::IN)];
    wait_for(&mut both, None)?;
    if !both[1].revents().is_empty() {
        // An error here means that what was handed over was not taken: the surrogate closed the socket instead.
        match (&*surrogate).read(&mut [0]) {
            Ok(0) => {}
            Ok(_) => return Ok(Waited::Copied),
            Err(error) => return Err(error),
        }
    }
    if both[0].revents().is_empty() {
        let farewell = Timespec::try_from(farewell).map_err(io::Error::other)?;
        wait_for(&mut [input], Some(&farewell))?;
    }
    Ok(Waited::Ended)
}

fn wait_for(files: &mut [PollFd<'_>], limit: Option<&Timespec>) -> io::Result<()> {
    loop {
        match poll(files, limit) {
            Err(Errno::INTR) => {}
            done => return Ok(done.map(drop)?),
        }
    }
}
