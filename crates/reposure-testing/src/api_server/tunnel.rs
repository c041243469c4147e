//! A tunnel of `portforward`: SPDY/3.1 in a WebSocket, as the kubelet and the container runtime speak it.
//!
//! When its streams have ended the connection stays, for the client to end it.

use std::{collections::HashMap, io};

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, stream::SplitSink};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_tungstenite::tungstenite::Message;

use super::{
    Shared,
    behaviour::How,
    spdy::{self, FIN, Frame, Headers, PING, RST_STREAM, SYN_REPLY, SYN_STREAM},
    websocket::{PIECE, Socket},
};

/// The status of a stream that is reset.
const CANCEL: u32 = 5;
/// The number of a ping: even, as all of a server's.
const PINGED: u32 = 2;

/// Serves one port by one pair of streams, or fails as it is told.
pub(super) async fn serve(
    shared: &Shared,
    socket: Socket,
    port: u16,
    failure: Option<How>,
) -> io::Result<()> {
    let (messages, mut from_client) = socket.split();
    let (mut bytes, input) = duplex(PIECE);
    let largest_message = shared.state().behaviour.largest_message.unwrap_or(PIECE);
    let output = Output { messages, largest_message };
    let arrive = async {
        while let Some(Ok(Message::Binary(message))) = from_client.next().await {
            bytes.write_all(&message).await?;
        }
        io::Result::Ok(())
    };
    tokio::select! {
        ended = arrive => ended,
        ended = forward(shared, input, output, port, failure) => ended,
    }
}

async fn forward(
    shared: &Shared,
    mut input: DuplexStream,
    mut output: Output,
    port: u16,
    failure: Option<How>,
) -> io::Result<()> {
    if failure == Some(How::Mute) {
        return std::future::pending().await;
    }
    let streams = accept(&mut input, &mut output, port).await?;
    if failure == Some(How::CutAfter) {
        output.fail(&streams).await?;
        return std::future::pending().await;
    }
    let (from_pod, to_pod) = TcpStream::connect(shared.pod).await?.into_split();
    let left = if let Some(How::CutWithin(bytes)) = failure { bytes } else { usize::MAX };
    tokio::select! {
        ended = up(&mut input, to_pod, &streams) => ended?,
        cut = output.down(from_pod, &streams, left) => if cut? { return Ok(()) },
    }
    std::future::pending().await
}

/// What the client has opened.
struct Streams {
    error: u32,
    data: u32,
}

/// Takes a stream for errors and one for data, which belong together and lead to this port, from a client that answers a ping.
async fn accept(input: &mut DuplexStream, output: &mut Output, port: u16) -> io::Result<Streams> {
    let (mut streams, mut headers) = (HashMap::new(), Headers::new()?);
    let wanted = HashMap::from([("port".into(), port.to_string()), ("requestid".into(), "0".into())]);
    while streams.len() < 2 {
        let frame = spdy::read(input).await?;
        let (stream, mut said) = headers.stream(&frame)?;
        let kind = said.remove("streamtype").unwrap_or_default();
        if frame.first != SYN_STREAM || said != wanted || streams.insert(kind, stream).is_some() {
            return Err(io::Error::other("it is no stream of this port"));
        }
    }
    output.frame(PING, 0, &PINGED.to_be_bytes()).await?;
    let pong = spdy::read(input).await?;
    if pong.first != PING || pong.payload != PINGED.to_be_bytes() {
        return Err(io::Error::other("it is no answer to a ping"));
    }
    for stream in streams.values() {
        output.frame(SYN_REPLY, 0, &headers.reply(*stream)?).await?;
    }
    let number = |kind| streams.get(kind).copied().ok_or_else(|| io::Error::other("a stream is missing"));
    Ok(Streams { error: number("error")?, data: number("data")? })
}

/// Copies to the pod until the client ends the data.
async fn up(input: &mut DuplexStream, mut to_pod: OwnedWriteHalf, streams: &Streams) -> io::Result<()> {
    loop {
        let Frame { first, flags, payload } = spdy::read(input).await?;
        if first == streams.data {
            to_pod.write_all(&payload).await?;
            if flags & FIN != 0 {
                return Ok(());
            }
        }
    }
}

/// What goes to the client.
struct Output {
    messages: SplitSink<Socket, Message>,
    largest_message: usize,
}

impl Output {
    /// Sends a frame as the real one does: a message for each word of its head, and one for the payload.
    async fn frame(&mut self, first: u32, flags: u32, payload: &[u8]) -> io::Result<()> {
        let [first, second] = spdy::head(first, flags, payload.len());
        for message in
            [&first[..], &second, payload].iter().flat_map(|part| part.chunks(self.largest_message))
        {
            let message = Message::Binary(Bytes::copy_from_slice(message));
            self.messages.send(message).await.map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Fails as container runtimes do that reach no port: the data ends before the error's text comes.
    async fn fail(&mut self, streams: &Streams) -> io::Result<()> {
        self.frame(streams.data, FIN, b"").await?;
        self.frame(streams.error, 0, super::port_forward::NOT_REACHED).await?;
        self.frame(RST_STREAM, 0, &[streams.error.to_be_bytes(), CANCEL.to_be_bytes()].concat()).await
    }

    /// Copies to the client until the pod ends, or so much has come; tells which.
    async fn down(&mut self, mut pod: OwnedReadHalf, streams: &Streams, mut left: usize) -> io::Result<bool> {
        let mut buffer = vec![0; PIECE];
        loop {
            let length = pod.read(&mut buffer).await?;
            if left == 0 {
                return Ok(true);
            }
            if length == 0 {
                self.frame(streams.data, FIN, b"").await?;
                self.frame(streams.error, FIN, b"").await?;
                return Ok(false);
            }
            let length = length.min(left);
            left -= length;
            self.frame(streams.data, 0, &buffer[..length]).await?;
        }
    }
}
