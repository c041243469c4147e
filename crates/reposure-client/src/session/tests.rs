//! What a session makes of hellos and answers.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use reposure_oci::Digest;
use reposure_parcel::{
    hello::{Limits, Upstream},
    problem::Problem,
};
use reposure_testing::RandomImage;
use secrecy::SecretString;
use serde_json::Value;

use super::*;
use crate::{
    channel::ChannelError,
    token::{NoTokens, TokenError},
};

/// A surrogate that gives these answers, whatever is asked.
#[derive(Debug)]
struct Script {
    answers: Mutex<VecDeque<Response<Body>>>,
    /// The tokens that came.
    tokens: Mutex<Vec<String>>,
}

fn script(answers: impl Into<VecDeque<Response<Body>>>) -> Arc<Script> {
    Arc::new(Script { answers: Mutex::new(answers.into()), tokens: Mutex::default() })
}

/// Gives another token each time that one was forgotten.
#[derive(Debug, Default)]
struct Tokens(AtomicUsize);

impl TokenSource for Tokens {
    fn token(&self, _: Right) -> BoxFuture<'_, Result<Option<SecretString>, TokenError>> {
        let token = format!("token-{}", self.0.load(Ordering::Relaxed));
        std::future::ready(Ok(Some(token.into()))).boxed()
    }

    fn forget(&self) -> BoxFuture<'_, ()> {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::ready(()).boxed()
    }
}

impl Channel for Script {
    fn name(&self) -> &'static str {
        "script"
    }

    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<Body>, ChannelError>> {
        let token = request.headers().get(wire::TOKEN_HEADER).map(|token| token.to_str().unwrap().into());
        self.tokens.lock().unwrap().extend(token);
        let answer = self.answers.lock().unwrap().pop_front().expect("no more is asked");
        std::future::ready(Ok(answer)).boxed()
    }
}

fn answer(status: u16, header: &str, body: impl Serialize) -> Response<Body> {
    let body = transport::full(serde_json::to_vec(&body).unwrap());
    let answer = Response::builder().status(status).header(wire::VERSION_HEADER, "1");
    answer.header(header, "a1").body(body).unwrap()
}

fn hello() -> Hello {
    Hello {
        versions: (1, 1),
        build: String::new(),
        namespace: String::new(),
        registry: String::new(),
        pod_uid: String::new(),
        right: Right::Pull,
        upstream: Upstream {
            host: String::new(),
            reachable: true,
            problem: None,
            kind: None,
            certificate: None,
        },
        limits: Limits::default(),
        capabilities: Vec::new(),
    }
}

#[tokio::test]
async fn an_answer_that_a_new_surrogate_does_not_know_may_be_asked_for_again() {
    let unknown = || answer(404, wire::PROBLEM_HEADER, Problem::new(Code::NotFound, "there is no result"));
    let answers =
        [answer(200, "x", hello()), answer(202, wire::RESULT_HEADER, Value::Null), unknown(), unknown()];
    let session = Session::open(script(answers), Arc::new(NoTokens), Right::Pull).await.unwrap();
    let ask = || request(Method::GET, "/v2/", "", Bytes::new()).unwrap();
    let late = session.send(ask()).await.unwrap_err();
    assert!(late.is_transient(), "{late:?}");
    let at_once = session.send(ask()).await.unwrap_err();
    assert!(!at_once.is_transient() && at_once.code() == Some(Code::NotFound), "{at_once:?}");
}

#[tokio::test]
async fn a_question_that_goes_along_with_the_hello_is_not_asked_again() {
    let image = RandomImage::new(1, 1, 10).unwrap();
    let question = Exists {
        repository: "app".parse().unwrap(),
        digests: image.blobs().iter().map(Digest::sha256_of).collect(),
        uploads: 1,
    };
    let ahead = Ahead::of_question(question.clone());
    let missing = |number: usize| Missing { missing: question.digests[..number].to_vec() };
    let answers = [answer(200, "x", hello()), answer(200, "x", missing(1)), answer(200, "x", missing(2))];
    let session =
        Session::open_for(script(answers), Arc::new(NoTokens), Right::Push, Some(&ahead)).await.unwrap();
    let other = Exists { digests: Vec::new(), ..question.clone() };
    assert!(session.early.missing(&other).is_none(), "it is for that question alone");
    assert_eq!(session.exists(&question).await.unwrap(), missing(1));
    assert_eq!(session.exists(&question).await.unwrap(), missing(2), "it may have changed");
}

#[tokio::test]
async fn a_question_without_an_answer_is_asked_by_the_push() {
    let question =
        Exists { repository: "app".parse().unwrap(), digests: vec![Digest::sha256_of("a")], uploads: 1 };
    let ahead = Ahead::of_question(question.clone());
    let busy = answer(503, wire::PROBLEM_HEADER, Problem::new(Code::UpstreamBusy, "not now"));
    let good = answer(200, "x", Missing { missing: Vec::new() });
    let answers = [answer(200, "x", hello()), busy, good];
    let session =
        Session::open_for(script(answers), Arc::new(NoTokens), Right::Push, Some(&ahead)).await.unwrap();
    assert_eq!(session.exists(&question).await.unwrap().missing, []);
}

/// A surrogate of another version, older or newer, is taken if there is one version that both speak.
#[tokio::test]
async fn versions_may_be_others_as_long_as_one_is_common() {
    for (versions, fits) in [((0, 1), true), ((1, 9), true), ((2, 3), false), ((0, 0), false)] {
        let hello = Hello { versions, build: "another".into(), ..hello() };
        let opened = Session::open(script([answer(200, "x", hello)]), Arc::new(NoTokens), Right::Pull).await;
        match opened {
            Ok(session) => assert!(fits, "{:?}", session.hello()),
            Err(error @ SessionError::Version { .. }) => {
                assert!(!fits && !error.is_transient(), "{error}");
                let (oldest, newest) = versions;
                let said = format!(
                    "the surrogate (another) speaks versions {oldest} to {newest}, this client 1 to 1"
                );
                assert_eq!(error.to_string(), said);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// A token that was good when it was given may not be any more: the cluster has new keys, or a clock is wrong.
#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let refused = || answer(401, wire::PROBLEM_HEADER, Problem::new(Code::Unauthorized, "no"));
    let good = || answer(200, "x", Value::Null);
    let channel = script([answer(200, "x", hello()), refused(), good(), good(), refused(), refused()]);
    let session = Session::open(channel.clone(), Arc::new(Tokens::default()), Right::Pull).await.unwrap();
    let ask = || request(Method::GET, "/v2/", "", Bytes::new()).unwrap();
    session.send(ask()).await.unwrap();
    session.send(ask()).await.unwrap();
    let error = session.send(ask()).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Unauthorized));
    let tokens = channel.tokens.lock().unwrap().clone();
    assert_eq!(tokens, ["token-0", "token-0", "token-1", "token-1", "token-1", "token-2"]);
}
