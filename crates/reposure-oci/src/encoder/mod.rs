//! The encoders `reposure-gzip/1` and `reposure-zstd/1`: layers compressed in parallel, to the same bytes on every machine.
//!
//! A layer is cut into pieces, each piece is compressed by itself, and the results are concatenated. Every gzip reader takes
//! several members for one stream ([RFC 1952, section 2.2](https://www.rfc-editor.org/rfc/rfc1952#section-2.2)), and every zstd
//! reader several frames ([RFC 8878, section 3](https://www.rfc-editor.org/rfc/rfc8878#section-3)).
//!
//! `reposure-gzip/1` cuts where the content says so. So a stretch of a layer that did not change compresses to the same bytes,
//! wherever it is in the layer.
//!
//! - A file of 64 KiB or more in a tar is a segment of its own, without its header; what lies between such files is another one
//!   (`segments`).
//! - A segment is cut by `FastCDC` v2020 into pieces of 256 KiB on average, 64 KiB to 1 MiB (`cutter`).
//! - A piece becomes a member by libdeflate at level 5, which is 1.2 times as fast as level 6 for 1 % more bytes (measured with
//!   layers of a toolchain); its header tells the member's length and the start of the SHA-256 of the plain bytes, so that a blob
//!   describes itself (`member`).
//!
//! `reposure-zstd/1` cuts pieces of 4 MiB (`blocks`), since zstd's window dies with smaller ones. A piece becomes a frame with its
//! content's size and checksum by libzstd 1.5.7 at level 3; a skippable frame at the end tells of every frame what a gzip member
//! says of itself (`frame`).
//!
//! The number 1 stands for all of that and for the versions of the libraries: whatever changes the bytes changes the number. Other
//! levels use the same forms, but have no name.
//!
//! Beside them there is gzip of a single member, for readers that stop after the first (`single`).

mod blocks;
mod cutter;
mod frame;
mod member;
mod pool;
mod segments;
mod single;
mod stream;

pub(crate) use pool::THREADS;
pub(crate) use stream::Encoder;
