//! Names in paths of the Kubernetes API.

/// Encodes what no name of an object holds. The pod's name may come from a status, and must not lead to other paths.
pub(super) fn segment(name: &str) -> String {
    name.bytes().fold(String::new(), |text, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' => text + &char::from(byte).to_string(),
        _ => text + &format!("%{byte:02X}"),
    })
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        assert_eq!(segment("reposure-surrogate-a.b-0"), "reposure-surrogate-a.b-0");
        assert_eq!(segment("x:1/proxy/../../y?z#%"), "x%3A1%2Fproxy%2F..%2F..%2Fy%3Fz%23%25");
    }
}
