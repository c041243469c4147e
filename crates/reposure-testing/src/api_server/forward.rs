//! One request, forwarded to the pod or failed.

use std::{
    convert::Infallible,
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Body as _, Frame, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::sleep,
};
use tokio_rustls::TlsConnector;

use super::{Seen, Shared, behaviour, behaviour::How};
use crate::any_certificate;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;

pub(super) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, BoxError> {
    let (base, delay, largest) = {
        let state = shared.state();
        (state.behaviour.base_path.clone(), state.behaviour.delay, state.behaviour.largest_body)
    };
    sleep(delay).await;
    let whole = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let Some(path) = whole.strip_prefix(&base) else { return Ok(status(404, "no such base path")) };
    let proxied = path.split_once("/proxy").filter(|(prefix, _)| prefix.contains("/pods/http"));
    let clear = proxied.is_some_and(|(prefix, _)| prefix.contains("/pods/http:"));
    let inner = proxied.map_or(path, |(_, inner)| inner).to_owned();
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let method = request.method().clone();
    shared.state().seen.push(Seen { method, path: inner.clone(), clear, authorization });
    let failure = behaviour::due(&mut shared.state().failures, &inner);
    if clear && shared.state().behaviour.refuses_clear {
        return Ok(status(403, "pods \"http:…\" is forbidden"));
    }
    if let Some(How::CutBefore) = failure {
        return Err(io::Error::from(io::ErrorKind::ConnectionReset).into());
    }
    if let Some(How::Hang) = failure {
        return std::future::pending().await;
    }
    if let Some(answer) = failure.and_then(refusal) {
        return Ok(answer);
    }
    let Some((prefix, inner)) = proxied else { return of_api_server(shared, request, failure, path).await };
    // As middle boxes do: at once, without a look at the body.
    let announced = request.body().size_hint().exact().unwrap_or_default();
    if largest.is_some_and(|largest| announced > largest as u64) {
        return Ok(html(StatusCode::PAYLOAD_TOO_LARGE));
    }
    let (parts, body) = request.into_parts();
    let is_empty = body.is_end_stream();
    // As it comes: when the client is cut off in the middle of it, so is the pod.
    let mut body = body.map_err(BoxError::from).boxed_unsync();
    let mut failure = failure;
    if let Some(How::Flip(offset)) = failure.filter(|_| !is_empty) {
        (body, failure) = (flip(body, offset), None);
    }
    let response = to_pod(&shared, Request::from_parts(parts, body), inner, clear).await?;
    finish(response, failure, &format!("{base}{prefix}/proxy"))
}

/// Answers as an API server does that has no time, or nobody to ask.
pub(crate) fn refusal(how: How) -> Option<Response<Body>> {
    let (code, after) = match how {
        How::Status(code) => return Some(status(code, "no endpoints available")),
        How::RetryAfter(code, seconds) => (code, seconds.to_string()),
        How::RetryAt(code, seconds) => {
            (code, httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds)))
        }
        _ => return None,
    };
    let mut answer = status(code, "too many requests, please try again later");
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::try_from(after).ok()?);
    Some(answer)
}

/// Answers what is not for the proxy.
async fn of_api_server(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    failure: Option<How>,
    path: &str,
) -> Result<Response<Body>, BoxError> {
    let path = path.split('?').next().unwrap_or_default();
    let never = |never: Infallible| match never {};
    Ok(match path.rsplit('/').next() {
        Some("token") => super::token::answer(path).map(|body| body.map_err(never).boxed_unsync()),
        Some("portforward") => super::port_forward::answer(shared, request, failure)
            .map(|body| body.map_err(never).boxed_unsync()),
        Some("exec") => {
            super::exec::answer(shared, request, failure).map(|body| body.map_err(never).boxed_unsync())
        }
        _ => of_object(&shared, request, path).await?,
    })
}

async fn of_object(
    shared: &Shared,
    request: Request<Incoming>,
    path: &str,
) -> Result<Response<Body>, BoxError> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let found = shared.state().objects.answer(&parts, path, &body);
    let Some((code, object)) = found else {
        return Ok(status(404, "the server could not find the requested resource"));
    };
    let mut response = Response::new(full(object.to_string()));
    *response.status_mut() = code;
    Ok(response)
}

async fn to_pod(
    shared: &Shared,
    mut request: Request<Body>,
    path: &str,
    clear: bool,
) -> Result<Response<Incoming>, BoxError> {
    *request.uri_mut() = path.parse()?;
    request.headers_mut().remove(header::AUTHORIZATION);
    let gzip = HeaderValue::from_static("gzip");
    request.headers_mut().entry(header::ACCEPT_ENCODING).or_insert(gzip);
    let stream = TcpStream::connect(shared.pod).await?;
    if clear {
        return exchange(stream, request).await;
    }
    let connector = TlsConnector::from(Arc::new(any_certificate::client_config()?));
    exchange(connector.connect(shared.pod.ip().into(), stream).await?, request).await
}

async fn exchange<S>(stream: S, request: Request<Body>) -> Result<Response<Incoming>, BoxError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender and the answer's body.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

pub(crate) fn finish(
    response: Response<Incoming>,
    failure: Option<How>,
    prefix: &str,
) -> Result<Response<Body>, BoxError> {
    let (mut parts, body) = response.into_parts();
    // The real one parses such a body, rewrites its links, and writes it anew.
    if parts.headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
    {
        return Ok(html(parts.status));
    }
    let location = parts.headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    if let Some(location) = location.filter(|location| location.starts_with('/')) {
        let prefixed = HeaderValue::try_from(format!("{prefix}{location}"))?;
        parts.headers.insert(header::LOCATION, prefixed);
    }
    let body = body.map_err(BoxError::from);
    if let Some(How::CutUnannounced(_)) = failure {
        parts.headers.remove(header::CONTENT_LENGTH);
    }
    match failure {
        Some(How::CutAfter) => Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
        // A cut behind the last byte is none.
        Some(How::CutWithin(bytes) | How::CutUnannounced(bytes)) => match body.size_hint().exact() {
            Some(0) => Err(io::Error::from(io::ErrorKind::ConnectionReset).into()),
            Some(size) => {
                let bytes = bytes.min(usize::try_from(size - 1).unwrap_or(usize::MAX));
                Ok(Response::from_parts(parts, cut(body.boxed_unsync(), bytes)))
            }
            None => Ok(Response::from_parts(parts, cut(body.boxed_unsync(), bytes))),
        },
        Some(How::Flip(offset)) => Ok(Response::from_parts(parts, flip(body.boxed_unsync(), offset))),
        _ => Ok(Response::from_parts(parts, body.boxed_unsync())),
    }
}

/// Passes on a body with another bit at this offset.
pub(crate) fn flip(body: Body, offset: usize) -> Body {
    let mut left = Some(offset);
    let flip = move |frame: Frame<Bytes>| frame.map_data(|data| flip_bit(&data, &mut left));
    body.map_frame(flip).boxed_unsync()
}

/// Flips a bit, if it is in this piece, and notes how far it is behind it otherwise.
fn flip_bit(data: &Bytes, left: &mut Option<usize>) -> Bytes {
    let Some(offset) = left.take() else { return data.clone() };
    let mut bytes = data.to_vec();
    match bytes.get_mut(offset) {
        Some(byte) => *byte ^= 1,
        None => *left = Some(offset - bytes.len()),
    }
    bytes.into()
}

/// Passes on some bytes of a body and then fails.
fn cut(body: Body, bytes: usize) -> Body {
    let frames = futures::stream::unfold((body, Some(bytes)), |(mut body, left)| async move {
        let left = left?;
        let reset = || BoxError::from(io::Error::from(io::ErrorKind::ConnectionReset));
        if left == 0 {
            return Some((Err(reset()), (body, None)));
        }
        match body.frame().await?.map(Frame::into_data) {
            Ok(Ok(data)) => {
                let data = data.slice(..data.len().min(left));
                let left = left - data.len();
                Some((Ok(Frame::data(data)), (body, Some(left))))
            }
            _ => Some((Err(reset()), (body, None))),
        }
    });
    StreamBody::new(frames).boxed_unsync()
}

fn status(code: u16, message: &str) -> Response<Body> {
    let mut body =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code});
    if code == 404 {
        body["reason"] = "NotFound".into();
    }
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

pub(crate) fn html(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(format!("<html><body>{status}</body></html>")));
    *response.status_mut() = status;
    response
}

fn full(text: String) -> Body {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync()
}
