//! Answers that come later than middle boxes bear: the client gets 202 and asks again for the result.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Method, Response, header, response::Parts};
use http_body::Body as _;
use reposure_oci::transport;
use reposure_parcel::{
    limits::{RESULT_AGE, SILENCE},
    problem::{Code, Problem},
    wire,
};
use tokio::{
    sync::Mutex as AsyncMutex,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    answer::{self, Answer},
    body,
    identifier::Identifier,
};

/// The most results that are kept or worked on at once; beyond it, requests just wait.
const RESULTS: usize = 64;
/// The largest body that is kept in memory, in bytes: all of them take 4 MiB. A larger one is passed on once, as it comes.
const KEPT_BODY: u64 = 64 << 10;

/// Work whose answer comes later.
type Work = AbortOnDropHandle<Answer>;

#[derive(Debug)]
enum State {
    Working(Work),
    Kept(Parts, Bytes),
    Gone,
}

#[derive(Clone, Debug)]
struct Entry {
    state: Arc<AsyncMutex<State>>,
    at: Instant,
}

/// Answers that come later.
#[derive(Debug)]
pub(crate) struct Results {
    silence: Duration,
    age: Duration,
    table: Mutex<HashMap<Identifier, Entry>>,
}

impl Default for Results {
    fn default() -> Self {
        Self { silence: SILENCE, age: RESULT_AGE, table: Mutex::default() }
    }
}

impl Results {
    fn lock(&self) -> MutexGuard<'_, HashMap<Identifier, Entry>> {
        // Nothing can panic while it is held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on an answer and returns it, or 202 once middle boxes would take it for silent. The time counts from when
    /// `client_sent` is done: while a client sends, nothing is silent.
    ///
    /// # Cancel safety
    /// Dropping the future ends the work, unless 202 was returned.
    pub(crate) async fn answer(
        &self,
        work: impl Future<Output = Answer> + Send + 'static,
        client_sent: impl Future<Output = ()>,
    ) -> Answer {
        let mut work = AbortOnDropHandle::new(tokio::spawn(work));
        let silence = async {
            client_sent.await;
            sleep(self.silence).await;
        };
        tokio::select! {
            biased;
            answer = &mut work => return finished(answer),
            () = silence => {}
        }
        match self.keep(work) {
            Ok(id) => answer::later(&id),
            Err(work) => finished(work.await),
        }
    }

    fn keep(&self, work: Work) -> Result<Identifier, Work> {
        let mut table = self.lock();
        if table.len() >= RESULTS {
            return Err(work);
        }
        let id = Identifier::random();
        let state = Arc::new(AsyncMutex::new(State::Working(work)));
        table.insert(id.clone(), Entry { state, at: Instant::now() });
        Ok(id)
    }

    /// Answers a question for a result: with it, or with 202 again after a while.
    pub(crate) async fn get(&self, id: &Identifier, method: &Method) -> Result<Answer, Problem> {
        let unknown = || Problem::new(Code::NotFound, format!("there is no result {id}"));
        let entry = self.lock().get(id).cloned().ok_or_else(unknown)?;
        // Only to wait can take long; to take the answer when it is there must not be cut off.
        let ready = timeout(self.silence, async {
            let mut state = entry.state.lock().await;
            if let State::Working(work) = &mut *state {
                let answer = finished(work.await);
                *state = State::Gone;
                return Some((answer, state));
            }
            drop(state);
            None
        });
        match ready.await {
            Err(_) => Ok(answer::later(id)),
            Ok(Some((answer, mut state))) => {
                let answer = keep_small(answer, &mut state).await;
                Ok(for_method(answer, method))
            }
            Ok(None) => match &*entry.state.lock().await {
                State::Kept(parts, bytes) => {
                    let answer = Response::from_parts(parts.clone(), transport::full(bytes.clone()));
                    Ok(for_method(answer, method))
                }
                _ => Err(unknown()),
            },
        }
    }

    /// Forgets what is old; to be called every few seconds.
    pub(crate) fn sweep(&self) {
        self.lock().retain(|_, entry| entry.at.elapsed() < self.age);
    }
}

fn finished(answer: Result<Answer, tokio::task::JoinError>) -> Answer {
    answer.unwrap_or_else(|_| {
        answer::problem(&Problem::new(Code::Ending, "the work on the answer was given up").transient())
    })
}

/// Keeps a small answer, so that it can be asked for again when it is lost on the way.
async fn keep_small(answer: Answer, state: &mut State) -> Answer {
    if answer.body().size_hint().upper().is_none_or(|upper| upper > KEPT_BODY) {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let limit = usize::try_from(KEPT_BODY).unwrap_or(usize::MAX);
    match body::collect(body, limit).await {
        Ok(bytes) => {
            *state = State::Kept(parts.clone(), bytes.clone());
            Response::from_parts(parts, transport::full(bytes))
        }
        Err(error) => {
            let message = format!("the registry's answer broke off: {error}");
            answer::problem(&Problem::new(Code::UpstreamUnreachable, message).transient())
        }
    }
}

/// Gives the answer to a `HEAD` another header for its length, where it is fetched by `GET` and so must have a body.
fn for_method(mut answer: Answer, method: &Method) -> Answer {
    let headers = answer.headers_mut();
    if *method == Method::GET
        && let Some(length) = headers.remove(header::CONTENT_LENGTH)
        && answer.body().size_hint().exact() == Some(0)
    {
        answer.headers_mut().insert(HeaderName::from_static(wire::LENGTH_HEADER), length);
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use http::StatusCode;
    use http_body_util::BodyExt;

    use super::*;

    /// What is quick, and what is silence, in milliseconds.
    const QUICK: u64 = 10;
    const SLOW: u64 = 150;

    fn results() -> Results {
        let (silence, age) = (Duration::from_millis(100), Duration::from_millis(400));
        Results { silence, age, table: Mutex::default() }
    }

    async fn text(answer: Answer) -> (u16, String) {
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn after(milliseconds: u64, length: usize) -> Answer {
        sleep(Duration::from_millis(milliseconds)).await;
        Response::new(transport::full("x".repeat(length)))
    }

    fn id(answer: &Answer) -> Identifier {
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        answer.headers()[wire::RESULT_HEADER].to_str().unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn a_quick_answer_is_the_answer() {
        let results = results();
        let answer = results.answer(after(QUICK, 3), ready(())).await;
        assert_eq!(text(answer).await, (200, "xxx".into()));
        let answer = results.answer(after(SLOW, 3), sleep(Duration::from_millis(SLOW))).await;
        assert_eq!(text(answer).await, (200, "xxx".into()), "the client was sending");
        assert!(results.lock().is_empty());
    }

    #[tokio::test]
    async fn a_slow_answer_comes_later_and_may_be_asked_for_twice() {
        let results = results();
        let id = self::id(&results.answer(after(250, 3), ready(())).await);
        assert_eq!(self::id(&results.get(&id, &Method::GET).await.unwrap()), id);
        for _ in 0..2 {
            assert_eq!(text(results.get(&id, &Method::GET).await.unwrap()).await, (200, "xxx".into()));
        }
        sleep(results.age).await;
        results.sweep();
        assert_eq!(results.get(&id, &Method::GET).await.unwrap_err().code, Code::NotFound);
    }

    #[tokio::test]
    async fn a_large_answer_is_passed_on_once() {
        let results = results();
        let id = self::id(&results.answer(after(SLOW, 100_000), ready(())).await);
        assert_eq!(text(results.get(&id, &Method::GET).await.unwrap()).await.1.len(), 100_000);
        assert_eq!(results.get(&id, &Method::GET).await.unwrap_err().code, Code::NotFound);
    }

    #[tokio::test]
    async fn the_answer_to_head_keeps_its_length() {
        let results = results();
        let work = async {
            sleep(Duration::from_millis(SLOW)).await;
            Response::builder().header(header::CONTENT_LENGTH, 77).body(transport::empty()).unwrap()
        };
        let id = self::id(&results.answer(work, ready(())).await);
        let answer = results.get(&id, &Method::HEAD).await.unwrap();
        assert_eq!(answer.headers()[header::CONTENT_LENGTH], "77");
        let answer = results.get(&id, &Method::GET).await.unwrap();
        assert_eq!(answer.headers()[wire::LENGTH_HEADER], "77");
        assert!(!answer.headers().contains_key(header::CONTENT_LENGTH));
    }

    #[tokio::test]
    async fn beyond_their_number_requests_wait() {
        let results = Arc::new(results());
        let mut many = tokio::task::JoinSet::new();
        for _ in 0..RESULTS {
            let results = results.clone();
            many.spawn(async move { id(&results.answer(after(10_000, 1), ready(())).await) });
        }
        many.join_all().await;
        assert_eq!(text(results.answer(after(SLOW, 3), ready(())).await).await, (200, "xxx".into()));
    }
}
