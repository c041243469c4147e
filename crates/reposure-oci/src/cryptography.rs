//! The cryptography of TLS, for all who speak it here.

use rustls::{
    CipherSuite,
    crypto::{CryptoProvider, ring},
};

/// Returns *ring*'s cryptography, with AES-128-GCM before what rustls itself wishes first, AES-256-GCM.
///
/// A server of rustls takes the first suite of its client's, and one with 128 bits costs less for each byte; servers written in Go take
/// it from whoever offers it. Both are among what [RFC 8446, 9.1](https://www.rfc-editor.org/rfc/rfc8446#section-9.1) says that one
/// must or should have.
pub fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    // The order of the others stays.
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_suite_is_offered_first() {
        let suites = provider().cipher_suites;
        assert_eq!(suites[0].suite(), CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(suites[1].suite(), CipherSuite::TLS13_AES_256_GCM_SHA384);
        assert_eq!(suites.len(), ring::default_provider().cipher_suites.len());
    }
}
