//! `Retry-After`: seconds, or a date.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, header};

/// The longest time that is taken for what was meant: nobody here waits longer than some minutes.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Returns how long an answer wants the next request to wait, a day at most; nothing at all where it gives a date that is over.
///
/// A date is held against `Date` of the same answer where there is one: our own clock may be wrong. It may be in any of the
/// three forms of HTTP. See [RFC 9110, section 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3).
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = text(headers, &header::RETRY_AFTER)?;
    let wait = seconds(text).or_else(|| until(text, self::text(headers, &header::DATE)))?;
    Some(wait.min(LONGEST))
}

/// Says in an error when to ask again, if that was said.
pub(crate) fn asked_again(wait: Option<Duration>) -> String {
    wait.map(|wait| format!(", to be asked again in {} s", wait.as_secs())).unwrap_or_default()
}

/// Returns how long it takes from `now` until a date, from our own clock's time on where that is none.
fn until(date: &str, now: Option<&str>) -> Option<Duration> {
    let now = now.and_then(|now| httpdate::parse_http_date(now).ok()).unwrap_or_else(SystemTime::now);
    let date = httpdate::parse_http_date(date).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Reads a number of any size.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().map_or(Duration::MAX, Duration::from_secs))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:30 GMT";

    fn wait(value: &'static str, date: Option<&'static str>) -> Option<u64> {
        let headers = [(header::RETRY_AFTER, Some(value)), (header::DATE, date)];
        let headers = headers.into_iter().filter_map(|(name, value)| Some((name, value?.parse().ok()?)));
        retry_after(&headers.collect()).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_are_read() {
        assert_eq!(wait("7", None), Some(7));
        assert_eq!(wait(" 0 ", None), Some(0));
        assert_eq!(wait("99999999999999999999999", None), Some(24 * 3600));
        for nothing in ["soon", "", "-1", "+1", "1.5"] {
            assert_eq!(wait(nothing, None), None, "{nothing:?}");
        }
    }

    #[test]
    fn each_form_of_a_date_is_held_against_the_answers_own() {
        let forms =
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"];
        for form in forms {
            assert_eq!(wait(form, Some(DATE)), Some(7), "{form}");
            assert_eq!(wait(form, None), Some(0), "{form} is over");
            assert_eq!(wait(form, Some("a while ago")), Some(0), "{form} is over");
        }
        assert_eq!(wait("Fri, 31 Dec 2100 23:59:59 GMT", None), Some(24 * 3600));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:29 GMT", Some(DATE)), Some(0));
    }
}
