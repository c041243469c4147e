//! An operator that is killed at every step: the next one ends in the same state.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    hash::Hash,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::{
    Client, Resource,
    client::Body,
    runtime::{
        events::{Recorder, Reporter},
        reflector::{self, Store},
        watcher::Event,
    },
};
use reposure_admin::Settings;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::*;
use crate::{context::Stores, memory::Memory, metrics::Metrics, renewal::Renewals};

const REGISTRY: &str = "/apis/reposure.puccini.cloud/v1alpha1/namespaces/team/registries/default";

/// Where an operator is killed: at which request, and whether the API server has done by then what it asks for.
#[derive(Clone, Copy, Debug)]
struct Kill {
    at: usize,
    done: bool,
}

/// Keeps objects by their paths, as server-side apply leaves them.
#[derive(Default)]
struct Server {
    objects: Mutex<BTreeMap<String, Value>>,
    requests: Mutex<usize>,
    kill: Option<Kill>,
    killed: Notify,
}

impl Server {
    fn with_registry(kill: Option<Kill>) -> Self {
        let registry = json!({"apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry",
            "metadata": {"name": "default", "namespace": "team", "uid": "u", "generation": 1},
            "spec": {"type": "oci", "indirect": {"service": "simple", "port": 5000}}});
        Self { objects: Mutex::new([(REGISTRY.into(), registry)].into()), kill, ..Self::default() }
    }

    /// Carries on where another one was, which nobody is killed at.
    fn after(other: &Self) -> Self {
        Self { objects: Mutex::new(other.objects.lock().unwrap().clone()), ..Self::default() }
    }

    fn registry(&self) -> Registry {
        serde_json::from_value(self.objects.lock().unwrap()[REGISTRY].clone()).unwrap()
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let number = {
            let mut requests = self.requests.lock().unwrap();
            *requests += 1;
            *requests - 1
        };
        let kill = self.kill.filter(|kill| kill.at == number);
        if kill.is_some_and(|kill| !kill.done) {
            return self.die().await;
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let answer = self.carry_out(&method, &path, &body);
        if kill.is_some() { self.die().await } else { answer }
    }

    /// Whoever asks hears nothing any more.
    async fn die(&self) -> Response<Body> {
        self.killed.notify_one();
        std::future::pending().await
    }

    fn carry_out(&self, method: &Method, path: &str, body: &[u8]) -> Response<Body> {
        let mut objects = self.objects.lock().unwrap();
        if path.ends_with("/events") {
            let list = json!({"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": []});
            return if method == Method::GET { found(&list) } else { Response::new(body.to_vec().into()) };
        }
        if method == Method::GET {
            return objects.get(path).map_or_else(missing, found);
        }
        assert_eq!(method, Method::PATCH, "{path}");
        let applied: Value = serde_json::from_slice(body).unwrap();
        if let Some(path) = path.strip_suffix("/status") {
            let object = objects.get_mut(path).unwrap();
            object["status"] = applied["status"].clone();
            return found(object);
        }
        objects.insert(path.into(), applied);
        found(&objects[path])
    }

    /// Returns all objects, without the times that differ from one run to the next.
    fn state(&self) -> BTreeMap<String, Value> {
        let mut objects = self.objects.lock().unwrap().clone();
        for condition in objects.get_mut(REGISTRY).unwrap()["status"]["conditions"].as_array_mut().unwrap() {
            condition["lastTransitionTime"] = Value::Null;
        }
        objects
    }
}

fn found(value: &Value) -> Response<Body> {
    Response::new(Body::from(serde_json::to_vec(value).unwrap()))
}

fn missing() -> Response<Body> {
    let status =
        json!({"kind": "Status", "status": "Failure", "code": 404, "message": "", "reason": "NotFound"});
    let mut response = found(&status);
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// Returns what a watch has seen.
fn seen<K>(objects: Vec<K>) -> Store<K>
where
    K: Resource<DynamicType: Clone + Default + Eq + Hash> + Clone + 'static,
{
    let (store, mut writer) = reflector::store();
    writer.apply_watcher_event(&Event::Init);
    for object in objects {
        writer.apply_watcher_event(&Event::InitApply(object));
    }
    writer.apply_watcher_event(&Event::InitDone);
    store
}

/// Returns what an operator knows that has just been started.
fn context(server: &Arc<Server>) -> Arc<Context> {
    let kept = Arc::clone(server);
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = Arc::clone(&kept);
        async move { Ok::<_, Infallible>(server.answer(request).await) }
    });
    let client = Client::new(service, "team");
    let stores = Stores {
        registries: seen(vec![server.registry()]),
        pods: seen(vec![]),
        stateful_sets: seen(vec![]),
        config_maps: seen(vec![]),
        service_accounts: seen(vec![]),
        network_policies: None,
    };
    Arc::new(Context {
        recorder: Recorder::new(client.clone(), Reporter { controller: "test".into(), instance: None }),
        client,
        settings: Settings::new("image", Manager::Operator),
        stores,
        memory: Mutex::new(Memory::default()),
        metrics: Arc::new(Metrics::new()),
        renewals: Renewals::default(),
    })
}

/// Runs one operator until it has seen to the registry, or is killed. Says whether it was killed.
async fn run(server: &Arc<Server>) -> bool {
    tokio::select! {
        biased;
        () = server.killed.notified() => true,
        result = reconcile(Arc::new(server.registry()), context(server)) => {
            result.unwrap();
            false
        }
    }
}

#[tokio::test]
async fn an_operator_that_is_killed_at_any_step_is_followed_by_one_that_ends_in_the_same_state() {
    let whole = Arc::new(Server::with_registry(None));
    assert!(!run(&whole).await);
    let (steps, expected) = (*whole.requests.lock().unwrap(), whole.state());
    assert!(steps > 10 && expected.len() >= 6, "{steps} requests, {} objects", expected.len());
    for at in 0..steps {
        for done in [false, true] {
            let kill = Kill { at, done };
            let server = Arc::new(Server::with_registry(Some(kill)));
            assert!(run(&server).await, "{kill:?}");
            let next = Arc::new(Server::after(&server));
            assert!(!run(&next).await);
            assert_eq!(next.state(), expected, "{kill:?}");
        }
    }
}

#[tokio::test]
async fn what_is_as_it_should_be_is_not_written_again() {
    let server = Arc::new(Server::with_registry(None));
    assert!(!run(&server).await);
    let before = server.objects.lock().unwrap().clone();
    assert!(!run(&server).await);
    assert_eq!(*server.objects.lock().unwrap(), before, "not even a time");
}
