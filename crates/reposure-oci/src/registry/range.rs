//! `Content-Range` of answers, and `Range` of uploads.

use std::ops::Range;

/// Reads `bytes FIRST-LAST/TOTAL`, where the total may be `*`.
///
/// See [RFC 9110, section 14.4](https://www.rfc-editor.org/rfc/rfc9110#section-14.4).
pub(crate) fn content_range(text: &str) -> Option<(Range<u64>, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let range = first_last(range)?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    total.is_none_or(|total| range.end <= total).then_some((range, total))
}

/// Reads how many bytes an upload has: `0-LAST`, before which some registries put `bytes=`.
///
/// `0-0` means none or one: Distribution and Gitea say it of both.
pub(crate) fn received(text: &str) -> Option<u64> {
    let text = text.trim();
    let range = first_last(text.strip_prefix("bytes=").unwrap_or(text))?;
    (range.start == 0).then_some(range.end)
}

fn first_last(text: &str) -> Option<Range<u64>> {
    let (first, last) = text.split_once('-')?;
    let range = first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?;
    (range.start < range.end).then_some(range)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_strictly() {
        assert_eq!(content_range("bytes 2-4/9"), Some((2..5, Some(9))));
        assert_eq!(content_range("bytes 2-4/*"), Some((2..5, None)));
        for text in ["", "2-4/9", "bytes 4-2/9", "bytes 2-9/9", "bytes */9", "bytes 2-4", "bytes -1-4/9"] {
            assert_eq!(content_range(text), None, "{text:?}");
        }
        assert_eq!((received("0-4"), received("bytes=0-4"), received("0-0")), (Some(5), Some(5), Some(1)));
        assert_eq!(
            (received("1-4"), received("0-18446744073709551615"), received("0--1")),
            (None, None, None)
        );
    }

    proptest! {
        #[test]
        fn ranges_are_read_as_they_are_written(start in any::<u64>(), length in 1u64..=u64::MAX, more in any::<u64>()) {
            let (Some(end), Some(total)) = (start.checked_add(length), start.checked_add(length).and_then(|end| end.checked_add(more))) else {
                return Ok(());
            };
            let last = end - 1;
            prop_assert_eq!(content_range(&format!("bytes {start}-{last}/{total}")), Some((start..end, Some(total))));
            prop_assert_eq!(content_range(&format!("bytes {start}-{last}/*")), Some((start..end, None)));
            if end < u64::MAX {
                prop_assert_eq!(content_range(&format!("bytes {start}-{end}/{end}")), None);
            }
            prop_assert_eq!(received(&format!("{start}-{last}")), (start == 0).then_some(end));
        }

        #[test]
        fn any_header_is_a_range_or_none(text in "(bytes[ =])?[0-9]{0,22}-[0-9]{0,22}(/([0-9]{0,22}|\\*))?|.{0,30}") {
            if let Some((range, total)) = content_range(&text) {
                prop_assert!(range.start < range.end && total.is_none_or(|total| range.end <= total));
            }
            prop_assert!(received(&text) != Some(0));
        }
    }
}
