//! The encoder `reposure-gzip/1`: layers to gzip, in parallel, the same bytes on every machine.
//!
//! A layer is cut where its content says so, each piece is compressed by itself, and the pieces' gzip members are concatenated,
//! which every gzip reader takes for one stream ([RFC 1952, section 2.2](https://www.rfc-editor.org/rfc/rfc1952#section-2.2)).
//! So a stretch of a layer that did not change compresses to the same bytes, wherever it is in the layer.
//!
//! - A file of 64 KiB or more in a tar is a segment of its own, without its header; what lies between such files is another one
//!   (`segments`).
//! - A segment is cut by `FastCDC` v2020 into pieces of 256 KiB on average, 64 KiB to 1 MiB (`cutter`).
//! - A piece becomes a member by libdeflate; its header tells the member's length and the start of the SHA-256 of the plain
//!   bytes, so that a blob describes itself (`member`).
//!
//! The number 1 stands for all of that and for the version of libdeflate: whatever changes the bytes changes the number.

mod cutter;
mod gzip;
mod member;
mod pool;
mod segments;

pub(crate) use gzip::GzipEncoder;
