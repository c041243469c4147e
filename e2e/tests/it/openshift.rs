//! OpenShift's registry: a fake of it beside the cluster, whose ImageStreams the real API server passes on, and where the real RBAC
//! says who may do what.

use std::{
    collections::HashSet,
    fs,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::{Environment, Stage};
use reposure_testing::{Auth, Cluster, ImageStreamApi, Judge, MemoryRegistry, Options, Quirks};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// The namespace of OpenShift's registry.
const NAMESPACE: &str = "openshift-image-registry";
/// The name by which pods know it, and its certificate is for.
const HOST: &str = "image-registry.openshift-image-registry.svc";
/// The ConfigMap that OpenShift puts into each namespace.
const AUTHORITY: &str = "openshift-service-ca.crt";
/// The host's address in the local cluster's network, which both pods and the API server reach.
const BESIDE: &str = "10.89.0.1:0";

/// Asks the API server of the local cluster, as the registry of OpenShift does.
#[derive(Debug)]
struct Reviews {
    environment: Environment,
    /// What was allowed: asked again is only what was not.
    allowed: Mutex<HashSet<String>>,
}

impl Reviews {
    fn holds(&self, question: &str, ask: impl FnOnce() -> Result<bool>) -> bool {
        let allowed = || self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        if allowed().contains(question) {
            return true;
        }
        let holds = ask().unwrap_or_default();
        if holds {
            allowed().insert(question.into());
        }
        holds
    }

    fn review(&self, group: &str, kind: &str, spec: &Value) -> Result<Value> {
        let review = json!({"apiVersion": format!("{group}.k8s.io/v1"), "kind": kind, "spec": spec});
        let create = ["create", "-f", "-", "-o", "json"];
        let answer = self.environment.kubectl().args(create).stdin(review.to_string()).ok()?;
        Ok(serde_json::from_slice::<Value>(&answer.stdout)?["status"].take())
    }

    fn user(&self, token: &str) -> Result<Value> {
        let mut status = self.review("authentication", "TokenReview", &json!({"token": token}))?;
        ensure!(status["authenticated"] == true, "unknown");
        Ok(status["user"].take())
    }

    fn access(&self, token: &str, project: Option<&str>, resource: &str, verb: &str) -> Result<bool> {
        let user = self.user(token)?;
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let attributes = json!({"group": "image.openshift.io", "resource": resource, "subresource": subresource,
            "verb": verb, "namespace": project.unwrap_or_default()});
        let spec =
            json!({"user": user["username"], "groups": user["groups"], "resourceAttributes": attributes});
        Ok(self.review("authorization", "SubjectAccessReview", &spec)?["allowed"] == true)
    }
}

impl Judge for Reviews {
    fn knows(&self, token: &str) -> bool {
        self.holds(token, || self.user(token).map(|_| true))
    }

    fn has_project(&self, project: &str) -> bool {
        let get = ["get", "namespace", project];
        self.holds(project, || self.environment.kubectl().args(get).output().map(|got| got.code == Some(0)))
    }

    fn may(&self, token: &str, project: Option<&str>, resource: &str, verb: &str) -> bool {
        let question = format!("{token} {project:?} {resource} {verb}");
        self.holds(&question, || self.access(token, project, resource, verb))
    }
}

/// The registry and its API, beside the cluster.
struct OpenShift {
    runtime: Runtime,
    registry: MemoryRegistry,
    api: ImageStreamApi,
}

impl OpenShift {
    fn start(environment: &Environment, listen: SocketAddr) -> Result<Self> {
        let runtime = Runtime::new()?;
        let reviews = Reviews { environment: environment.clone(), allowed: Mutex::default() };
        let options = Options {
            listen,
            tls: true,
            names: vec![HOST.into()],
            auth: Auth::OpenShift(Cluster::real(reviews)),
            quirks: Quirks::openshift(),
            ..Options::default()
        };
        let registry = runtime.block_on(MemoryRegistry::start(options)).context("the registry")?;
        let api = runtime.block_on(registry.image_streams()).context("the API of ImageStreams")?;
        Ok(Self { runtime, registry, api })
    }

    fn authority(&self) -> Result<&str> {
        self.registry.authority().context("it speaks no TLS")
    }

    /// What tells the cluster of both.
    fn objects(&self) -> Value {
        let (registry, api) = (self.registry.address(), self.api.address());
        let metadata = |name: &str| json!({"name": name, "namespace": NAMESPACE});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata("image-registry"),
            "spec": {"ports": [{"name": "registry", "port": 5000, "targetPort": registry.port()}]}});
        let mut slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata("image-registry"),
            "addressType": "IPv4", "endpoints": [{"addresses": [registry.ip()]}],
            "ports": [{"name": "registry", "port": registry.port()}]});
        slice["metadata"]["labels"] = json!({"kubernetes.io/service-name": "image-registry"});
        // The API server reaches what is outside by name alone, and an address is a name, too.
        let outside = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata("api"),
            "spec": {"type": "ExternalName", "externalName": api.ip(), "ports": [{"port": api.port()}]}});
        let group = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"name": "v1.image.openshift.io"},
            "spec": {"group": "image.openshift.io", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 15,
                "insecureSkipTLSVerify": true,
                "service": {"name": "api", "namespace": NAMESPACE, "port": api.port()}}});
        json!({"apiVersion": "v1", "kind": "List", "items": [service, slice, outside, group]})
    }
}

/// Plays a test in a cluster that has OpenShift's registry.
pub(crate) fn with_registry(stage: &Stage) -> Result<()> {
    let openshift = OpenShift::start(&stage.environment, BESIDE.parse()?)?;
    let kubectl = |args: &[&str]| stage.environment.kubectl().args(args);
    kubectl(&["create", "namespace", NAMESPACE]).ok()?;
    let done = kubectl(&["apply", "-f", "-"])
        .stdin(openshift.objects().to_string())
        .ok()
        .and_then(|_| {
            let available = ["wait", "--for=condition=Available", "--timeout=60s"];
            kubectl(&available).args(["apiservice/v1.image.openshift.io"]).ok()
        })
        .and_then(|_| as_a_user_would(stage, openshift));
    // While its API does not answer, no namespace ends.
    kubectl(&["delete", "apiservice", "v1.image.openshift.io"]).ok()?;
    kubectl(&["delete", "namespace", NAMESPACE, "--timeout=60s"]).ok()?;
    done
}

fn as_a_user_would(stage: &Stage, openshift: OpenShift) -> Result<()> {
    trust(stage, openshift.authority()?)?;
    stage.install_operator()?;
    let create = ["registry", "create", "default", "--provider=auto", "--wait", "--timeout=2m"];
    let created = stage.reposure(&create).ok()?;
    ensure!(created.stderr.contains("found provider openshift"), "{created}");
    images(stage)?;
    names_and_projects(stage)?;
    let _next = another_authority(stage, openshift)?;
    withdrawn(stage)
}

/// Plays OpenShift's service-ca operator.
fn trust(stage: &Stage, authority: &str) -> Result<()> {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": AUTHORITY},
        "data": {"service-ca.crt": authority}});
    stage.kubectl(&["apply", "-f", "-"]).stdin(map.to_string()).ok().map(drop)
}

fn images(stage: &Stage) -> Result<()> {
    fs::write(stage.path("file"), "content")?;
    let name = |rest: &str| format!("{}/{rest}", stage.namespace);
    for tag in ["app:v1", "app:v2", "other:v1"] {
        stage.reposure(&["image", "push", "default", &name(tag), "file"]).ok()?;
    }
    let list = ["image", "list", "default"];
    let expected = ["app:v1", "app:v2", "other:v1"].map(name).join("\n");
    ensure!(stage.reposure(&list).ok()?.text() == expected, "the list");
    let pulled = stage.reposure(&["image", "pull", "default", &name("app:v1"), "--unpack"]).ok()?;
    ensure!(pulled.text() == "content", "{pulled}");
    stage.reposure(&["image", "delete", "default", &name("app:v1")]).ok()?;
    let gone = stage.reposure(&["image", "delete", "default", &name("app:v1")]).output()?;
    ensure!(gone.code == Some(3), "{gone}");
    ensure!(stage.reposure(&list).ok()?.text() == ["app:v2", "other:v1"].map(name).join("\n"), "the rest");
    Ok(())
}

fn names_and_projects(stage: &Stage) -> Result<()> {
    let push = |name: &str| stage.reposure(&["image", "push", "default", name, "file"]).output();
    let other = push("default/app:v1")?;
    ensure!(other.code == Some(4), "in another project: {other}");
    let short = push("app:v1")?;
    ensure!(short.code == Some(2) && short.stderr.contains("PROJECT/NAME"), "{short}");
    Ok(())
}

/// The authority is another one from now on, as after OpenShift's rotation: the surrogate sees it, and is the same pod.
fn another_authority(stage: &Stage, openshift: OpenShift) -> Result<OpenShift> {
    let pod = ["get", "pod", "reposure-surrogate-default-0", "-o", "jsonpath={.metadata.uid}"];
    let before = stage.kubectl(&pod).ok()?.text();
    let listen = openshift.registry.address();
    let OpenShift { runtime, registry, api } = openshift;
    drop((registry, api));
    drop(runtime);
    let next = OpenShift::start(&stage.environment, listen)?;
    stage.environment.kubectl().args(["apply", "-f", "-"]).stdin(next.objects().to_string()).ok()?;
    let name = format!("{}/app:v3", stage.namespace);
    let push = ["image", "push", "default", &name, "file"];
    let refused = stage.reposure(&push).output()?;
    ensure!(refused.code != Some(0), "a certificate of an unknown authority was taken: {refused}");
    trust(stage, next.authority()?)?;
    stage.until("a push", || Ok(stage.reposure(&push).output()?.code == Some(0)))?;
    ensure!(stage.kubectl(&pod).ok()?.text() == before, "it is another pod");
    Ok(next)
}

/// What the command line tool gave to the surrogate is what lets it in.
fn withdrawn(stage: &Stage) -> Result<()> {
    let binding = "reposure-surrogate-default:imagestreams";
    stage.kubectl(&["delete", "rolebinding", binding]).ok()?;
    let listed = stage.reposure(&["image", "list", "default"]).output()?;
    ensure!(listed.code == Some(4), "without a right: {listed}");
    Ok(())
}
