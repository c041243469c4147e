//! SPDY/3.1 as moby/spdystream speaks it: headers by zlib with a dictionary, and a head of two words before each payload.

use std::{collections::HashMap, io};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use tokio::io::{AsyncRead, AsyncReadExt as _};

pub(super) const SYN_STREAM: u32 = 0x8003_0001;
pub(super) const SYN_REPLY: u32 = 0x8003_0002;
pub(super) const RST_STREAM: u32 = 0x8003_0003;
pub(super) const PING: u32 = 0x8003_0006;
pub(super) const FIN: u32 = 1 << 24;
const LENGTH: u32 = FIN - 1;
/// What is before the headers of a new stream, in bytes.
const STREAM: usize = 10;
/// The largest block of headers that a client of these tests sends, in bytes.
const HEADERS: usize = 4 << 10;

/// What the dictionary has first, each behind its length.
const NAMES: &str = "options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age \
    allow authorization cache-control connection content-base content-encoding content-language content-length \
    content-location content-md5 content-range content-type date etag expect expires from host if-match \
    if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma \
    proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
    user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie \
    keep-alive origin";
/// What it has then.
const TEXT: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 \
    Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 \
    Not Found500 Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept \
    Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,\
    application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch\
    charset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

/// Returns [SPDY/3's dictionary](https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/).
fn dictionary() -> Vec<u8> {
    let mut dictionary = Vec::new();
    for name in NAMES.split(' ').map(|name| name.replace('_', " ")) {
        dictionary.extend(word(name.len()));
        dictionary.extend(name.as_bytes());
    }
    dictionary.extend(TEXT.as_bytes());
    dictionary
}

fn word(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or_default().to_be_bytes()
}

/// A frame that came.
pub(super) struct Frame {
    /// What it is, or the stream whose data it has.
    pub(super) first: u32,
    pub(super) flags: u32,
    pub(super) payload: Vec<u8>,
}

/// Returns what goes before a payload: each word is written for itself.
pub(super) fn head(first: u32, flags: u32, length: usize) -> [[u8; 4]; 2] {
    [first.to_be_bytes(), (flags | u32::from_be_bytes(word(length))).to_be_bytes()]
}

pub(super) async fn read(bytes: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let (first, second) = (bytes.read_u32().await?, bytes.read_u32().await?);
    let mut payload = vec![0; (second & LENGTH) as usize];
    bytes.read_exact(&mut payload).await?;
    Ok(Frame { first, flags: second & !LENGTH, payload })
}

/// The headers of a connection, both ways.
pub(super) struct Headers {
    came: Decompress,
    gone: Compress,
}

impl Headers {
    pub(super) fn new() -> io::Result<Self> {
        let mut gone = Compress::new(Compression::best(), true);
        gone.set_dictionary(&dictionary())?;
        Ok(Self { came: Decompress::new(true), gone })
    }

    /// Reads the number and the headers of a new stream.
    pub(super) fn stream(&mut self, frame: &Frame) -> io::Result<(u32, HashMap<String, String>)> {
        let (begun, mut compressed) = (self.came.total_in(), frame.payload.get(STREAM..).unwrap_or_default());
        let mut block = Vec::with_capacity(HEADERS);
        if let Err(error) = self.came.decompress_vec(compressed, &mut block, FlushDecompress::Sync) {
            error.needs_dictionary().ok_or(error)?;
            self.came.set_dictionary(&dictionary())?;
            let read = usize::try_from(self.came.total_in() - begun).unwrap_or_default();
            compressed = compressed.get(read..).unwrap_or_default();
            self.came.decompress_vec(compressed, &mut block, FlushDecompress::Sync)?;
        }
        let number = frame.payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)).unwrap_or_default();
        Ok((number, headers(&block).ok_or_else(|| io::Error::other("these are no headers"))?))
    }

    /// Returns the answer to a new stream, which has no headers of its own.
    pub(super) fn reply(&mut self, stream: u32) -> io::Result<Vec<u8>> {
        let mut block = Vec::with_capacity(HEADERS);
        self.gone.compress_vec(&word(0), &mut block, FlushCompress::Sync)?;
        Ok([&stream.to_be_bytes()[..], &block].concat())
    }
}

fn headers(block: &[u8]) -> Option<HashMap<String, String>> {
    let (count, mut rest) = number(block)?;
    let mut text = || {
        let (length, behind) = number(rest)?;
        let (text, behind) = behind.split_at_checked(length)?;
        rest = behind;
        String::from_utf8(text.to_vec()).ok()
    };
    (0..count).map(|_| Some((text()?, text()?))).collect()
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number) as usize, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_the_one_that_others_know() {
        let mut compress = Compress::new(Compression::best(), true);
        assert_eq!(compress.set_dictionary(&dictionary()).unwrap(), 0xe3c6_a7c2);
    }
}
