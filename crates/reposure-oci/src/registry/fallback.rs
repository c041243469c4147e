//! Tags that are no versions.

use crate::{
    name::Tag,
    referrer::{COSIGN, DIGITS},
};

/// Tells whether a tag holds referrers of a manifest, on registries that cannot list them, or a signature of cosign's.
///
/// Such tags, `sha256-HEX` and `sha256-HEX.sig`, are of no interest in a list of images. See the distribution specification,
/// [Referrers tag schema](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema).
pub fn is_referrer_tag(tag: &Tag) -> bool {
    let text = tag.as_str();
    let text = COSIGN.iter().find_map(|suffix| text.strip_suffix(suffix)).unwrap_or(text);
    // The schema cuts a digest's digits at 64, so that one of SHA-512 makes a tag too.
    let hex = text.strip_prefix("sha256-").or_else(|| text.strip_prefix("sha512-"));
    hex.is_some_and(|hex| {
        hex.len() == DIGITS && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_are_hidden() {
        let is = |text: String| is_referrer_tag(&text.parse().unwrap());
        let hex = "0a".repeat(32);
        assert!(
            is(format!("sha256-{hex}")) && is(format!("sha512-{hex}")) && is(format!("sha256-{hex}.sig"))
        );
        assert!(!is(format!("sha256-{hex}0")) && !is(format!("sha256-{}", "0A".repeat(32))) && !is(hex));
        assert!(!is("sha256-v1".into()) && !is("v1.sig".into()));
    }
}
