//! A token server: gives `ann` whatever she asks for, and nobody else anything.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::AbortHandle};

pub(crate) const ISSUER: &str = "test-issuer";
pub(crate) const SERVICE: &str = "test-registry";
/// What is exchanged by POST.
pub(crate) const IDENTITY: &str = "identity";
/// Longer than any test takes.
const LIFE: u64 = 300;

pub(crate) struct TokenServer {
    address: SocketAddr,
    certificate: String,
    posts: Arc<AtomicUsize>,
    task: AbortHandle,
}

struct Signer {
    key: EcdsaKeyPair,
    chain: String,
    posts: Arc<AtomicUsize>,
}

impl TokenServer {
    pub(crate) async fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new([]).unwrap().self_signed(&key).unwrap();
        let posts = Arc::new(AtomicUsize::new(0));
        let pkcs8 = key.serialize_der();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &SystemRandom::new());
        let chain = STANDARD.encode(certificate.der());
        let signer = Arc::new(Signer { key: key.unwrap(), chain, posts: posts.clone() });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(serve(listener, signer)).abort_handle();
        Self { address, certificate: certificate.pem(), posts, task }
    }

    pub(crate) fn realm(&self) -> url::Url {
        format!("http://{}/token", self.address).parse().unwrap()
    }

    /// Returns PEM of the certificate that registries know it by.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Returns how many tokens were asked for by POST since the last time.
    pub(crate) fn take_posts(&self) -> usize {
        self.posts.swap(0, Ordering::Relaxed)
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, signer: Arc<Signer>) {
    while let Ok((stream, _)) = listener.accept().await {
        let signer = signer.clone();
        let service = service_fn(move |request| {
            let signer = signer.clone();
            async move { Ok::<_, Infallible>(signer.answer(request).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

impl Signer {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let post = request.method() == Method::POST;
        let basic = format!("Basic {}", STANDARD.encode("ann:hush"));
        let authorized = request.headers().get(header::AUTHORIZATION).is_some_and(|value| *value == *basic);
        let query = request.uri().query().unwrap_or_default().to_owned();
        let form = request.into_body().collect().await.unwrap().to_bytes();
        let asked = if post { form } else { query.into() };
        let asked: Vec<(String, String)> = url::form_urlencoded::parse(&asked).into_owned().collect();
        let of =
            |name: &'static str| asked.iter().filter(move |(key, _)| key == name).map(|(_, value)| value);
        let known = if post { of("refresh_token").any(|token| token == IDENTITY) } else { authorized };
        if !known {
            return answer(StatusCode::UNAUTHORIZED, &json!({"details": "who?"}));
        }
        self.posts.fetch_add(usize::from(post), Ordering::Relaxed);
        let scopes = of("scope").flat_map(|scopes| scopes.split(' '));
        let token = self.token(&scopes.filter_map(access).collect());
        // The names that the two forms of the specification have.
        let name = if post { "access_token" } else { "token" };
        answer(StatusCode::OK, &json!({name: token, "expires_in": LIFE}))
    }

    fn token(&self, access: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let head = json!({"typ": "JWT", "alg": "ES256", "x5c": [self.chain]});
        let claims = json!({
            "iss": ISSUER, "aud": SERVICE, "sub": "ann", "jti": rand::random::<u64>().to_string(),
            "iat": now, "nbf": now - 60, "exp": now + LIFE, "access": access,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&head), part(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// Reads `TYPE:NAME:ACTIONS`.
fn access(scope: &str) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    Some(json!({"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()}))
}

fn answer(status: StatusCode, value: &Value) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(value.to_string()));
    *answer.status_mut() = status;
    answer
}
