//! One direction of a connection: a queue of pieces, each with the time when it arrives.
//!
//! A piece that is delayed does not keep others from being taken, so that delay costs no throughput.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::tcp::{ReadHalf, WriteHalf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    connection::{End, open_way},
    link::PIECE,
    shared::{Direction, Shared},
};

/// What a direction needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lane<'a> {
    pub(super) shared: &'a Shared,
    pub(super) direction: Direction,
    /// How many bytes of both directions are left until the cut.
    pub(super) left: &'a AtomicU64,
    /// What is told of each piece.
    pub(super) heard: &'a watch::Sender<()>,
    /// From when on bytes are on their way.
    pub(super) opened: Instant,
}

impl Lane<'_> {
    /// How many of so many bytes come before the cut.
    fn left(&self, bytes: usize) -> usize {
        usize::try_from(self.left.load(Relaxed)).map_or(bytes, |left| left.min(bytes))
    }
}

/// What is on its way.
struct Piece {
    due: Instant,
    what: What,
}

enum What {
    /// Bytes, with the room that they take.
    Bytes(Bytes, OwnedSemaphorePermit),
    End,
    Cut,
}

/// Forwards one direction until it ends.
pub(super) async fn run(lane: Lane<'_>, from: ReadHalf<'_>, to: WriteHalf<'_>) -> Result<(), End> {
    // What bounds it is the room for the bytes of its pieces.
    let (pieces, queue) = mpsc::unbounded_channel();
    tokio::try_join!(take(lane, from, pieces), give(lane, queue, to))?;
    Ok(())
}

/// Takes what comes, as long as there is room on the way, and says when it arrives.
async fn take(
    lane: Lane<'_>,
    mut from: ReadHalf<'_>,
    pieces: mpsc::UnboundedSender<Piece>,
) -> Result<(), End> {
    let link = lane.shared.link();
    let room = usize::try_from(link.borrow().capacity()).unwrap_or(PIECE);
    let room = Arc::new(Semaphore::new(room));
    let (mut buffer, mut free) = (vec![0; PIECE], lane.opened);
    loop {
        let most = lane.left(PIECE);
        let read = if most == 0 { 0 } else { from.read(&mut buffer[..most]).await? };
        // The other direction may have taken some of what was left.
        let length = lane.left(read);
        lane.left.fetch_sub(length as u64, Relaxed);
        lane.shared.took(lane.direction, length);
        lane.heard.send_replace(());
        let permits = u32::try_from(length).unwrap_or(u32::MAX);
        let permit = room.clone().acquire_many_owned(permits).await.map_err(|_| End::Broken)?;
        let link = link.borrow();
        free = free.max(Instant::now()) + link.time(length);
        free = free.max(lane.shared.occupy(lane.direction, link.shared_time(length)).into());
        let piece = |what| Piece { due: free + link.round_trip / 2, what };
        // Whoever gives ends only after the last piece, or with both.
        if length > 0 {
            let bytes = Bytes::copy_from_slice(&buffer[..length]);
            let _ = pieces.send(piece(What::Bytes(bytes, permit)));
        }
        if lane.left.load(Relaxed) == 0 {
            let _ = pieces.send(piece(What::Cut));
            return Ok(());
        }
        if length == 0 {
            let _ = pieces.send(piece(What::End));
            return Ok(());
        }
    }
}

/// Gives what has arrived.
async fn give(
    lane: Lane<'_>,
    mut queue: mpsc::UnboundedReceiver<Piece>,
    mut to: WriteHalf<'_>,
) -> Result<(), End> {
    let mut link = lane.shared.link();
    while let Some(piece) = queue.recv().await {
        if piece.due > Instant::now() {
            sleep_until(piece.due).await;
        }
        open_way(&mut link).await;
        match piece.what {
            What::Bytes(bytes, _room) => to.write_all(&bytes).await?,
            What::End => return Ok(to.shutdown().await?),
            What::Cut => return Err(End::Cut),
        }
    }
    Err(End::Broken)
}
