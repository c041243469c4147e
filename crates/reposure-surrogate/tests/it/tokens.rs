//! Who may do what, by the token that comes with a request.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Method, Request};
use reposure_oci::Digest;
use reposure_parcel::{
    config::{Access, ServiceAccounts},
    exists::Exists,
    hello::Hello,
    problem::Code,
    wire::{self, Right},
};
use reposure_surrogate::Surrogate;
use reposure_testing::{Fault, Injection, MemoryRegistry, Options};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{SurrogateClient, config, open, until};

/// Signs tokens, and serves the key for them as the API server does.
struct Cluster {
    key: EcdsaKeyPair,
    /// A server with TLS is all that is needed of an API server here.
    server: MemoryRegistry,
    files: TempDir,
}

impl Cluster {
    async fn start() -> Self {
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new()).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, der.as_ref(), &SystemRandom::new()).unwrap();
        let server = MemoryRegistry::start(Options { tls: true, ..Options::default() }).await.unwrap();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("ca.crt"), server.authority().unwrap()).unwrap();
        std::fs::write(files.path().join("token"), "of-the-surrogate\n").unwrap();
        Self { key, server, files }
    }

    fn serve_keys(&self) {
        let point = self.key.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let body = json!({"keys": [{"kid": "k", "kty": "EC", "crv": "P-256", "x": x, "y": y}]}).to_string();
        let fault = Fault::Answer { status: 200, headers: Vec::new(), body };
        let path = "/openid/v1/jwks".into();
        self.server.inject(Injection { method: Some(Method::GET), path, skip: 0, times: 100, fault });
    }

    fn access(&self) -> Access {
        Access::Tokens {
            api_server: self.server.url(),
            api_server_authority_file: self.files.path().join("ca.crt"),
            api_server_token_file: self.files.path().join("token"),
            audience: wire::audience("ns", "reg"),
            service_account_namespace: "ns".into(),
            service_accounts: ServiceAccounts {
                pull: "reposure-reg-pull".into(),
                push: "reposure-reg-push".into(),
                admin: "reposure-reg-admin".into(),
            },
        }
    }

    fn token(&self, account: &str, audience: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({
            "aud": [audience], "exp": now + 600, "nbf": now, "sub": format!("system:serviceaccount:ns:{account}"),
        });
        let encode = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(json!({"alg": "ES256", "kid": "k"})), encode(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[tokio::test]
async fn rights_follow_the_token() {
    let cluster = Cluster::start().await;
    cluster.serve_keys();
    let registry = MemoryRegistry::start(Options::default()).await.unwrap();
    registry.put_manifest("a", Some("v1"), "application/json", "{}");
    let surrogate = Surrogate::start(config(&registry.host(), cluster.access())).await.unwrap();
    let client = SurrogateClient::new(&surrogate);
    let with = |right: Right| {
        let token = cluster.token(&format!("reposure-reg-{right}"), &wire::audience("ns", "reg"));
        SurrogateClient { token: Some(token), ..client.clone() }
    };
    for right in Right::ALL {
        let client = with(right);
        assert_eq!(client.get(wire::HELLO).await.json::<Hello>().right, right);
        assert_eq!(client.get("/v2/a/manifests/v1").await.status, 200);
        let open = client.post(wire::UPLOADS, &open(right.as_str().as_bytes())).await;
        let exists = Exists {
            repository: "a".parse().unwrap(),
            // Those that an earlier one has left ready count.
            digests: vec![Digest::sha256_of(right.as_str()), Digest::sha256_of(b"another")],
            uploads: if right == Right::Admin { 2 } else { 1 },
        };
        let before = registry.open_uploads();
        assert_eq!(client.post(wire::EXISTS, &exists).await.status, 200);
        // The registry is made ready for those who may push.
        if right >= Right::Push {
            until(|| registry.open_uploads() > before).await;
        } else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(registry.open_uploads(), before);
        }
        let post = client.method(Method::POST, "/v2/a/blobs/uploads/").await;
        if right >= Right::Push {
            assert_eq!((open.status.as_u16(), post.status.as_u16()), (201, 202));
        } else {
            assert_eq!((open.code(), post.code()), (Code::Forbidden, Code::Forbidden));
        }
        let delete = client.method(Method::DELETE, "/v2/a/manifests/v1").await;
        if right == Right::Admin {
            assert_eq!(delete.status, 202);
        } else {
            assert_eq!(delete.code(), Code::Forbidden);
        }
    }
    let asked = cluster.server.requests();
    let asked: Vec<_> = asked.iter().filter(|entry| entry.path == "/openid/v1/jwks").collect();
    assert_eq!(asked.len(), 1, "keys are kept");
    assert!(asked[0].headers.contains(&("authorization".into(), "Bearer".into())));
}

#[tokio::test]
async fn without_a_good_token_nothing_is_said() {
    let cluster = Cluster::start().await;
    cluster.serve_keys();
    let registry = MemoryRegistry::start(Options::default()).await.unwrap();
    let surrogate = Surrogate::start(config(&registry.host(), cluster.access())).await.unwrap();
    let client = SurrogateClient::new(&surrogate);
    let audience = wire::audience("ns", "reg");
    for token in [
        None,
        Some(String::new()),
        Some("x".repeat(9000)),
        Some(cluster.token("default", &audience)),
        Some(cluster.token("reposure-reg-admin", &wire::audience("ns", "other"))),
        Some(Cluster::start().await.token("reposure-reg-admin", &audience)),
    ] {
        let client = SurrogateClient { token, ..client.clone() };
        for path in [wire::HELLO, "/v2/", "/nothing"] {
            let answer = client.get(path).await;
            assert_eq!(
                (answer.code(), answer.problem().message.as_str()),
                (Code::Unauthorized, "unauthorized")
            );
            assert_eq!(answer.headers["connection"], "close", "and no place is taken");
        }
    }
    // A token where the API server would take it off is none.
    let token = cluster.token("reposure-reg-admin", &audience);
    let request = Request::get(wire::HELLO).header("authorization", format!("Bearer {token}"));
    assert_eq!(client.send(request, "").await.code(), Code::Unauthorized);
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_a_reason_of_their_own() {
    let cluster = Cluster::start().await;
    let surrogate = Surrogate::start(config("127.0.0.1:1", cluster.access())).await.unwrap();
    let token = Some(cluster.token("reposure-reg-pull", &wire::audience("ns", "reg")));
    let client = SurrogateClient { token, ..SurrogateClient::new(&surrogate) };
    let answer = client.get(wire::HELLO).await;
    assert!(answer.code() == Code::NoKeys && answer.problem().transient, "{answer:?}");
}
