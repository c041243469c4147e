//! The kubeconfig, the API server and its clock.

use std::time::{Duration, Instant};

use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use jiff::Timestamp;
use kube::client::Body;
use tokio::time::timeout;

use super::{
    check::{Check, milliseconds},
    credentials,
    figures::{self, Figures},
};
use crate::{
    context::{Cluster, Context},
    exit::{API_SERVER as API_SERVER_HINT, Failure, Kind},
};

/// How long the API server may take to say its version.
const DEADLINE: Duration = Duration::from_secs(15);
/// The largest answer with a version, in bytes.
const ANSWER: usize = 64 << 10;
/// How far clocks may be apart: half of the leeway that a surrogate grants to tokens.
const SKEW: i64 = 30;
const API_SERVER: &str = "API server";

pub(super) async fn examine(context: &Context, checks: &mut Vec<Check>) -> Option<Cluster> {
    let cluster = match context.cluster().await {
        Ok(cluster) => cluster,
        Err(error) => {
            checks.push(Check::because("kubeconfig", &error));
            return None;
        }
    };
    checks.push(Check::ok("kubeconfig", format!("namespace {}", cluster.namespace)));
    checks.extend(credentials::examine(context).await);
    let begin = Instant::now();
    let answer = match timeout(DEADLINE, version(&cluster)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            checks.push(Check::because(API_SERVER, &error));
            return None;
        }
        Err(_) => {
            let detail = format!("no answer within {} s", DEADLINE.as_secs());
            checks.push(Check::failed(Kind::Unreachable, API_SERVER, detail).hint("kubectl version"));
            return None;
        }
    };
    let url = context.api_server().unwrap_or_default();
    checks.push(answer.check(url, begin.elapsed()));
    checks.extend(clock(&answer.headers, Timestamp::now()));
    Some(cluster)
}

struct Answer {
    /// None where the user may not ask for it.
    version: Option<String>,
    headers: HeaderMap,
}

impl Answer {
    fn check(&self, url: &str, took: Duration) -> Check {
        let version = self.version.as_deref().unwrap_or("of unknown version");
        let detail = format!("{version} at {url}, first answer after {}", milliseconds(took));
        Check::ok(API_SERVER, detail).figures(Figures {
            first_answer_ms: Some(figures::milliseconds(took)),
            version: self.version.clone(),
            ..Figures::default()
        })
    }
}

async fn version(cluster: &Cluster) -> anyhow::Result<Answer> {
    let request = Request::get("/version").body(Body::empty())?;
    let response = cluster.client.send(request).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = Limited::new(response.into_body(), ANSWER).collect().await;
    let bytes = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
    if status == StatusCode::UNAUTHORIZED {
        let message = "it does not take the kubeconfig's credentials";
        return Err(Failure::new(Kind::Denied, message).hint("kubectl auth whoami").into());
    }
    if status.is_server_error() {
        let message = format!("what answered, with {status}, is no API server, or one in trouble");
        return Err(Failure::new(Kind::Unreachable, message).hint(API_SERVER_HINT).into());
    }
    // Where anonymous users and this one may not ask for it, an answer is an answer.
    let version = serde_json::from_slice::<serde_json::Value>(&bytes).ok();
    let version = version.and_then(|version| Some(version["gitVersion"].as_str()?.to_owned()));
    Ok(Answer { version, headers })
}

/// Compares the clocks, as far as a header in whole seconds allows.
fn clock(headers: &HeaderMap, now: Timestamp) -> Option<Check> {
    let date = headers.get(header::DATE)?.to_str().ok()?;
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok()?;
    let apart = now.as_second() - date.as_second();
    let detail = match apart {
        -1..=1 => "as that of the API server".into(),
        2.. => format!("{apart} s ahead of the API server"),
        _ => format!("{} s behind the API server", -apart),
    };
    let check = if apart.abs() > SKEW {
        Check::warning("clock", detail).hint("set the clock: certificates and tokens are good for a time")
    } else {
        Check::ok("clock", detail)
    };
    Some(check.figures(Figures { clock_skew_seconds: Some(apart), ..Figures::default() }))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use jiff::ToSpan as _;

    use super::*;

    #[test]
    fn clocks_may_be_half_a_minute_apart() {
        let headers =
            HeaderMap::from_iter([(header::DATE, HeaderValue::from_static("Wed, 21 Oct 2015 07:28:00 GMT"))]);
        let date: Timestamp = "2015-10-21T07:28:00Z".parse().unwrap();
        let line = |seconds: i64| clock(&headers, date + seconds.seconds()).unwrap().lines().join("\n");
        for seconds in [-1, 0, 1] {
            assert_eq!(line(seconds), "ok       clock                   as that of the API server");
        }
        assert_eq!(line(30), "ok       clock                   30 s ahead of the API server");
        assert_eq!(line(-30), "ok       clock                   30 s behind the API server");
        for (seconds, which) in [(31, "ahead of"), (-31, "behind")] {
            let expected = format!("warning  clock                   31 s {which} the API server\n");
            assert!(line(seconds).starts_with(&expected), "{}", line(seconds));
            assert!(line(seconds).contains("try: set the clock"), "{}", line(seconds));
        }
        assert!(clock(&HeaderMap::new(), date).is_none(), "it does not say");
    }
}
