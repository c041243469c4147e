//! When a certificate is good.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

/// The tags of what is between a certificate and its end. See [RFC 5280, section 4.1](https://www.rfc-editor.org/rfc/rfc5280#section-4.1).
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When a certificate is good. See [RFC 5280, section 4.1.2.5](https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub not_before: Timestamp,
    /// The last second.
    pub not_after: Timestamp,
}

impl Validity {
    /// Returns that of the first certificate in a text; none where there is no certificate.
    pub fn of_pem(pem: &[u8]) -> Option<Self> {
        Self::of_der(&CertificateDer::from_pem_slice(pem).ok()?)
    }

    /// Returns that of a certificate; none where it is malformed. Nothing else of it is looked at.
    pub fn of_der(mut certificate: &[u8]) -> Option<Self> {
        let mut certificate = expect(&mut certificate, SEQUENCE)?;
        let mut signed = expect(&mut certificate, SEQUENCE)?;
        let mut rest = signed;
        if element(&mut rest)?.0 == VERSION {
            signed = rest;
        }
        // The serial number, the signature's algorithm, the issuer.
        for _ in 0..3 {
            element(&mut signed)?;
        }
        let mut validity = expect(&mut signed, SEQUENCE)?;
        let mut time =
            || element(&mut validity).and_then(|(tag, time)| date(tag, std::str::from_utf8(time).ok()?));
        Some(Self { not_before: time()?, not_after: time()? })
    }
}

/// Takes an element of DER and returns its tag and content.
fn element<'a>(der: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&[tag, first], rest) = der.split_first_chunk()?;
    // Up to 127 the length itself, above it the number of bytes that it takes.
    let (length, rest) = match usize::from(first) {
        short @ 0..=0x7f => (short, rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(long & 0x7f).filter(|(bytes, _)| bytes.len() <= 4)?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *der = rest;
    Some((tag, content))
}

fn expect<'a>(der: &mut &'a [u8], wanted: u8) -> Option<&'a [u8]> {
    element(der).filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
}

/// Reads a time, which certificates give in whole seconds and UTC.
fn date(tag: u8, text: &str) -> Option<Timestamp> {
    let text = match tag {
        // RFC 5280, section 4.1.2.5.1: from 50 on, years are those of the century before.
        UTC_TIME if text.get(..2)? < "50" => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let date = DateTime::strptime("%Y%m%d%H%M%SZ", text).ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of version 3, with lengths of three bytes.
    const USUAL: &str = "-----BEGIN CERTIFICATE-----
MIIByTCCAXugAwIBAgIUWdqI0Qpze8VxoXg1aRHDBvjgcg0wBQYDK2VwMFoxFzAV
BgNVBAoMDnN5c3RlbTptYXN0ZXJzMT8wPQYDVQQDDDZhIHVzZXIgd2l0aCBhIG5h
bWUgdGhhdCBtYWtlcyBpdCBsb25nZXIgdGhhbiAxMjggYnl0ZXMwHhcNMjYxMTI2
MTkxODM0WhcNMzYxMTIzMTkxODM0WjBaMRcwFQYDVQQKDA5zeXN0ZW06bWFzdGVy
czE/MD0GA1UEAww2YSB1c2VyIHdpdGggYSBuYW1lIHRoYXQgbWFrZXMgaXQgbG9u
Z2VyIHRoYW4gMTI4IGJ5dGVzMCowBQYDK2VwAyEAOZRhkq2pb0DcvT+QW1Z1+QxE
Q5UnmhpjJp/pDNRISJGjUzBRMB0GA1UdDgQWBBSxmgi6d/OOOkTfkHQP0GEzE9n7
ODAfBgNVHSMEGDAWgBSxmgi6d/OOOkTfkHQP0GEzE9n7ODAPBgNVHRMBAf8EBTAD
AQH/MAUGAytlcANBAJiT+6NT3w+RuTP90ccgsfxqtbtKo8zZteoVNVKOZAVY8s/U
pgJYmftQXb2O8le/s6X3pLTkJw5313eezxawVQQ=
-----END CERTIFICATE-----
";
    /// Of version 1, which is not said, and beyond the years that have two digits.
    const OLD: &str = "-----BEGIN CERTIFICATE-----
MIHAMHQCAQIwBQYDK2VwMAwxCjAIBgNVBAMMAXQwIBcNMjAwMTAxMDAwMDAwWhgP
MjA2MDAxMDExMjAwMDBaMAwxCjAIBgNVBAMMAXQwKjAFBgMrZXADIQA5lGGSralv
QNy9P5BbVnX5DERDlSeaGmMmn+kM1EhIkTAFBgMrZXADQQBtlnmjW5watNORYhuE
Aq4n8G6bJnMdnpHfHCkCBcc7YJq47d9LdSuMicyxtm/TwjzqpZy9OrJL29JH7zjh
wzUO
-----END CERTIFICATE-----
";

    fn end(pem: &[u8]) -> Option<Timestamp> {
        Validity::of_pem(pem).map(|validity| validity.not_after)
    }

    #[test]
    fn certificates_say_when_they_end() {
        assert_eq!(end(USUAL.as_bytes()).unwrap().as_second(), 2_111_080_714);
        assert_eq!(end(OLD.as_bytes()).unwrap().to_string(), "2060-01-01T12:00:00Z");
        let two = format!("{OLD}{USUAL}");
        assert_eq!(end(two.as_bytes()), end(OLD.as_bytes()), "the first is the user's");
        let begin = Validity::of_pem(OLD.as_bytes()).unwrap().not_before;
        assert_eq!(begin.to_string(), "2020-01-01T00:00:00Z");
        assert_eq!(date(UTC_TIME, "491231235959Z").unwrap().to_string(), "2049-12-31T23:59:59Z");
        assert_eq!(date(UTC_TIME, "500101000000Z").unwrap().to_string(), "1950-01-01T00:00:00Z");
    }

    #[test]
    fn what_is_damaged_says_nothing_or_something() {
        for pem in ["", "x", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"] {
            assert_eq!(end(pem.as_bytes()), None, "{pem}");
        }
        let whole = CertificateDer::from_pem_slice(USUAL.as_bytes()).unwrap();
        for position in 0..whole.len() {
            assert_eq!(Validity::of_der(&whole[..position]), None);
            for value in [0, 0x30, 0x7f, 0x80, 0x84, 0xff] {
                let mut damaged = whole.to_vec();
                damaged[position] = value;
                // It ends, and well.
                let _ = Validity::of_der(&damaged);
            }
        }
    }
}
