//! Takes the file out of any bytes as a layer.

#![no_main]

use std::io::{self, Write};

use libfuzzer_sys::fuzz_target;
use reposure_oci::{MediaType, sink::unpack_layer};

const TYPES: [MediaType; 5] = [
    MediaType::OCI_LAYER,
    MediaType::OCI_LAYER_GZIP,
    MediaType::OCI_LAYER_ZSTD,
    MediaType::DOCKER_LAYER_GZIP,
    MediaType::OCTET_STREAM,
];

/// Counts, up to what a test may take.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        if self.0 > 16 << 20 { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&switch, layer)) = data.split_first() else { return };
    let mut out = Count(0);
    if let Ok(size) = unpack_layer(&TYPES[usize::from(switch) % TYPES.len()], layer, &mut out) {
        assert_eq!(size, out.0);
    }
});
