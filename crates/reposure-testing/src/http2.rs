//! What goes over a connection of HTTP/2, frame by frame. See [RFC 9113](https://www.rfc-editor.org/rfc/rfc9113).

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a client begins with, before its settings.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Settings of no value.
pub const NO_SETTINGS: &[u8] = &[0, 0, 0, Frame::SETTINGS, 0, 0, 0, 0, 0];
/// The windows of who says nothing of them, in bytes. See [RFC 9113, 6.9.2](https://www.rfc-editor.org/rfc/rfc9113#section-6.9.2).
const USUAL: u32 = 65_535;
/// The setting that is the window of each stream. See [RFC 9113, 6.5.2](https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2).
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: u8,
    /// The number of its stream; 0 is the connection.
    pub stream: u32,
    /// What is in it.
    pub content: Vec<u8>,
}

/// How many bytes may be on their way to who said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// On each stream.
    pub stream: u32,
    /// On all of them together.
    pub connection: u32,
}

impl Frame {
    /// Settings.
    pub const SETTINGS: u8 = 4;
    /// The goodbye.
    pub const GOAWAY: u8 = 7;
    /// More room in a window.
    pub const WINDOW_UPDATE: u8 = 8;

    /// Reads a frame, and not a byte more.
    ///
    /// # Errors
    /// When the connection ends or breaks before.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut head = [0; 9];
        from.read_exact(&mut head).await?;
        let [a, b, c, kind, _, stream @ ..] = head;
        let mut content = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        from.read_exact(&mut content).await?;
        Ok(Self { kind, stream: u32::from_be_bytes(stream), content })
    }

    fn number(&self) -> u32 {
        self.content.first_chunk().copied().map_or(0, u32::from_be_bytes)
    }

    /// Returns the window of each stream, if these are settings that name it.
    fn initial_window(&self) -> Option<u32> {
        let (settings, _) = self.content.as_chunks::<6>();
        let setting = settings.iter().find(|setting| setting.starts_with(&INITIAL_WINDOW_SIZE))?;
        setting.last_chunk().copied().map(u32::from_be_bytes)
    }
}

impl Windows {
    /// Reads frames until the window of the connection is another than the usual one, and returns what holds by then.
    ///
    /// # Errors
    /// When the connection ends or breaks before.
    pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut windows = Self { stream: USUAL, connection: USUAL };
        while windows.connection == USUAL {
            let frame = Frame::read(from).await?;
            match (frame.kind, frame.stream) {
                (Frame::SETTINGS, 0) => windows.stream = frame.initial_window().unwrap_or(windows.stream),
                (Frame::WINDOW_UPDATE, 0) => windows.connection += frame.number(),
                _ => {}
            }
        }
        Ok(windows)
    }
}
