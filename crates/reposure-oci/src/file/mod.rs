//! A file as an image of one layer that holds it, which any runtime can mount and any tool can pull.
//!
//! The layer is a tar in gzip with one member, the file, that has neither time nor owner, so that the same file gives the same
//! image. See the [configuration specification](https://github.com/opencontainers/image-spec/blob/main/config.md).

mod config;
mod image;
mod layer;

pub use image::FILE_ANNOTATION;
pub(crate) use image::image;
pub use layer::FileError;
