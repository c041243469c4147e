//! What was read or measured at a hop, for programs: what a check says in words.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

/// The figures of a hop; those that it does not have are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Figures {
    /// How long the first answer took, with all that it takes to connect, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_answer_ms: Option<f64>,
    /// The shortest round trip, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) round_trip_ms: Option<f64>,
    /// How fast bytes are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) up_mib_per_second: Option<f64>,
    /// How fast bytes come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) down_mib_per_second: Option<f64>,
    /// How far the clock here is ahead of the API server's; less than 0 where it is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) clock_skew_seconds: Option<i64>,
    /// Until when something is good; RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<Timestamp>,
    /// The version of what answered, or of this program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
}

/// Returns a time in milliseconds.
pub(super) fn milliseconds(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1000.0)
}

/// Rounds to thousandths: what is behind them was not measured.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_are_there_are_written() {
        let json = |figures: &Figures| serde_json::to_string(figures).unwrap();
        assert_eq!(json(&Figures::default()), "{}");
        let figures = Figures {
            first_answer_ms: Some(milliseconds(Duration::from_micros(12_345))),
            round_trip_ms: Some(milliseconds(Duration::from_nanos(1_234_567))),
            up_mib_per_second: Some(rounded(2.0 / 3.0)),
            down_mib_per_second: Some(100.0),
            clock_skew_seconds: Some(-31),
            expires: Some(Timestamp::UNIX_EPOCH),
            version: Some("v1.34.0".into()),
        };
        let expected = concat!(
            r#"{"firstAnswerMs":12.345,"roundTripMs":1.235,"upMibPerSecond":0.667,"downMibPerSecond":100.0,"#,
            r#""clockSkewSeconds":-31,"expires":"1970-01-01T00:00:00Z","version":"v1.34.0"}"#
        );
        assert_eq!(json(&figures), expected);
    }
}
