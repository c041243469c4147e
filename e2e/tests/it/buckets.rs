//! The simple registry with its images in an object store, served by several pods.

use std::fs::{self, File};

use anyhow::{Context as _, Result, ensure};
use reposure_e2e::{Output, Stage};
use reposure_testing::RandomImage;
use serde_json::{Value, json};

use crate::middle::assert_pulled;

/// Of the version that the local cluster was made with.
const STORE: &str = include_str!("../../cluster/versions.sh");
const CREATE: [&str; 6] = ["registry", "create", "default", "--provider=simple", "--wait", "--timeout=2m"];
/// The keys have what YAML and shells take for their own.
const KEYS: [(&str, &str); 2] = [("AKIAFIRST", r#"fi"rst/k+y:{'x'}"#), ("AKIASECOND", "second #key%s")];

#[test]
fn a_bucket_is_served_by_several_pods() -> Result<()> {
    Stage::play_bare("bucket", |stage| {
        stage.install_operator()?;
        what_is_missing_is_said(stage)?;
        open_store(stage, KEYS[0])?;
        stage.kubectl(&["create", "configmap", "reposure-simple"]).ok()?;
        let ours = ["label", "configmap", "reposure-simple", "app.kubernetes.io/managed-by=reposure-cli"];
        stage.kubectl(&ours).ok()?;
        install(stage, &["--wait", "--timeout=2m"]).ok()?;
        stage.reposure(&CREATE).ok()?;
        let left = stage.kubectl(&["get", "configmaps", "-o", "name"]).ok()?.text();
        ensure!(!left.contains("reposure-simple"), "what an earlier version made stays: {left}");

        let image = RandomImage::new(11, 3, 2 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("image.tar"))?)?;
        stage.reposure(&["image", "push", "default", "team/app:v1", "image.tar"]).ok()?;
        let both = pods(stage)?;
        ensure!(both.len() == 2, "{both:?}");
        is_on_several_nodes(stage)?;
        each_serves(stage, &both)?;
        an_upload_goes_on_at_another_pod(stage, &both)?;
        tells_no_key(stage, KEYS[0])?;

        stage.kubectl(&["delete", "pod", &both[0], "--wait=false"]).ok()?;
        stage.reposure(&["image", "pull", "default", "team/app:v1", "pulled.tar"]).ok()?;
        assert_pulled(stage, "pulled.tar", &image)?;
        stage.reposure(&["image", "push", "default", "team/app:v2", "image.tar"]).ok()?;
        let listed = stage.reposure(&["image", "list", "default"]).ok()?.text();
        ensure!(listed == "team/app:v1\nteam/app:v2", "{listed}");
        stage.until("two pods are ready again", || Ok(pods(stage)?.len() == 2))?;

        other_keys_are_taken(stage)?;
        stage.reposure(&["image", "delete", "default", "team/app:v2"]).ok()?;
        stage.reposure(&["simple", "uninstall", "--wait"]).ok().map(drop)
    })
}

/// Installs the registry with its images in the bucket.
fn install(stage: &Stage, more: &[&str]) -> reposure_e2e::Run {
    let endpoint = format!("--storage-endpoint=http://store.{}.svc:7070", stage.namespace);
    let bucket = "--storage=s3://images/of/team";
    let install = ["simple", "install", bucket, &endpoint, "--storage-secret=keys", "--replicas=2"];
    stage.reposure(&install).args(more)
}

/// Nothing is installed that would not start.
fn what_is_missing_is_said(stage: &Stage) -> Result<()> {
    let none = install(stage, &[]).output()?;
    ensure!(none.code == Some(3) && none.stderr.contains("/keys"), "{none}");
    stage.kubectl(&["create", "secret", "generic", "keys", "--from-literal=access-key=a"]).ok()?;
    let half = install(stage, &[]).output()?;
    ensure!(half.code != Some(0) && half.stderr.contains("its key secret-key is missing"), "{half}");
    stage.kubectl(&["delete", "secret", "keys"]).ok()?;
    let made = stage.kubectl(&["get", "deployments,secrets,services", "-o", "name"]).ok()?.text();
    ensure!(!made.contains("reposure-simple"), "{made}");
    Ok(())
}

/// Runs an object store that asks for the keys, and puts them where the registry's are read. Without a volume, since nothing ends it but
/// the test.
fn open_store(stage: &Stage, keys: (&str, &str)) -> Result<()> {
    let version = STORE.lines().find_map(|line| line.strip_prefix("VERSITYGW_VERSION=${VERSITYGW_VERSION:-"));
    let version = version.context("no version")?.trim_end_matches('}');
    let image = format!("docker.io/versity/versitygw:v{version}");
    put_keys(stage, keys)?;
    let labels = json!({"e2e": "store"});
    let of_secret = |name: &str, key: &str| json!({"name": name, "valueFrom": {"secretKeyRef": {"name": "store", "key": key}}});
    let script = "mkdir -p /data/objects/images /data/attributes && exec versitygw --port :7070 --health /health --quiet \
                  posix --sidecar /data/attributes /data/objects";
    let container = json!({"name": "store", "image": image, "command": ["/bin/sh", "-c", script],
        "env": [of_secret("ROOT_ACCESS_KEY_ID", "access-key"), of_secret("ROOT_SECRET_ACCESS_KEY", "secret-key")],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 7070}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    let pod = json!({"containers": [container], "volumes": [{"name": "data", "emptyDir": {}}],
        "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}}});
    let metadata = json!({"name": "store"});
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": 7070}]}},
    ]});
    stage.kubectl(&["create", "-f", "-"]).stdin(objects.to_string()).ok()?;
    stage.kubectl(&["rollout", "status", "deployment/store", "--timeout=120s"]).ok().map(drop)
}

/// Writes the keys where the store has them, and where the registry's are read.
fn put_keys(stage: &Stage, (access, secret): (&str, &str)) -> Result<()> {
    for name in ["store", "keys"] {
        let data = json!({"access-key": access, "secret-key": secret});
        let object =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
        stage.kubectl(&["apply", "-f", "-"]).stdin(object.to_string()).ok()?;
    }
    Ok(())
}

/// The pods of the registry that are ready and are to stay.
fn pods(stage: &Stage) -> Result<Vec<String>> {
    let get = ["get", "pods", "-l", "app.kubernetes.io/name=reposure-simple", "-o", "json"];
    let list: Value = serde_json::from_slice(&stage.kubectl(&get).ok()?.stdout)?;
    let is_ready = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        pod["metadata"]["deletionTimestamp"].is_null()
            && conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True")
    };
    let items = list["items"].as_array().context("no list")?.iter().filter(is_ready);
    Ok(items.filter_map(|pod| pod["metadata"]["name"].as_str().map(Into::into)).collect())
}

/// Where there are several: one that is lost takes one pod with it.
fn is_on_several_nodes(stage: &Stage) -> Result<()> {
    let pods = ["get", "pods", "-l", "app.kubernetes.io/name=reposure-simple", "-o"];
    let on = stage.kubectl(&pods).args(["jsonpath={.items[*].spec.nodeName}"]).ok()?.text();
    let all = stage.kubectl(&["get", "nodes", "-o", "name"]).ok()?.text();
    let on: Vec<&str> = on.split(' ').collect();
    ensure!(on[0] != on[1] || all.lines().count() < 2, "{on:?} of {all}");
    Ok(())
}

/// Asks a pod itself, and takes an answer of another status for a failure.
fn ask(stage: &Stage, pod: &str, args: &[&str]) -> Result<Output> {
    stage.curl(pod, 5000, &[&["-sS", "--fail-with-body", "--path-as-is"], args].concat())
}

/// Each pod has the manifest and all of its layers.
fn each_serves(stage: &Stage, pods: &[String]) -> Result<()> {
    let accept =
        "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";
    for pod in pods {
        let asked = ask(stage, pod, &["-H", accept, "http://@/v2/team/app/manifests/v1"])?;
        let manifest: Value = serde_json::from_slice(&asked.stdout)?;
        let layers = manifest["layers"].as_array().context("no layers")?;
        ensure!(layers.len() == 3, "{manifest}");
        for layer in layers {
            let digest = layer["digest"].as_str().context("no digest")?;
            let url = format!("http://@/v2/team/app/blobs/{digest}");
            let path = stage.path("blob").display().to_string();
            ask(stage, pod, &["-o", &path, &url])?;
            let sum = reposure_e2e::Run::new("sha256sum").args([&path]).ok()?.text();
            ensure!(digest.ends_with(sum.split(' ').next().unwrap_or("none")), "{pod}: {digest} is {sum}");
        }
    }
    Ok(())
}

/// What signs the state of an upload is the same for all.
fn an_upload_goes_on_at_another_pod(stage: &Stage, pods: &[String]) -> Result<()> {
    let post = ["-X", "POST", "-D-", "-o", "/dev/null", "http://@/v2/team/app/blobs/uploads/"];
    let begun = ask(stage, &pods[0], &post)?.text();
    let location = begun.lines().find_map(|line| line.strip_prefix("Location: ")).context(begun.clone())?;
    // SHA-256 of the three bytes "abc", as FIPS 180-2 has it.
    let digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let url = format!("http://@{}&digest={digest}", location.trim());
    // What `curl` would call a form is read as one.
    let put = ["-X", "PUT", "-H", "Content-Type: application/octet-stream", "--data-binary", "abc", &url];
    ask(stage, &pods[1], &put)?;
    let blob = ask(stage, &pods[0], &[&format!("http://@/v2/team/app/blobs/{digest}")])?;
    ensure!(blob.text() == "abc", "{blob}");
    Ok(())
}

/// Sees to it that the keys are in the Secrets alone, and in no process's environment.
fn tells_no_key(stage: &Stage, (access, secret): (&str, &str)) -> Result<()> {
    let script =
        "tr '\\0' '\\n' </proc/1/environ; tr '\\0' ' ' </proc/1/cmdline; cat /etc/reposure/config/config.yml";
    let seen = stage.kubectl(&["exec", "deployment/reposure-simple", "--", "sh", "-c", script]).ok()?.text();
    let (process, file) = seen.split_once("version: 0.1").context("no configuration is read")?;
    let quoted = Value::from(secret).to_string();
    ensure!(file.contains(access) && file.contains(&quoted), "the keys are not in the file");
    let all = "pods,deployments,configmaps,services,events";
    let mut told = stage.kubectl(&["get", all, "-o", "yaml"]).ok()?.text();
    told.push_str(&stage.kubectl(&["logs", "deployment/reposure-simple", "--tail=-1"]).ok()?.text());
    told.push_str(process);
    for part in [access, secret, "HTTP_SECRET", "SECRETKEY"] {
        ensure!(!told.contains(part), "{part} is told");
    }
    Ok(())
}

/// The same call again reads them, and the pods follow one after the other.
fn other_keys_are_taken(stage: &Stage) -> Result<()> {
    let before = signing_key(stage)?;
    put_keys(stage, KEYS[1])?;
    // In place, with its objects: another pod would have none.
    let restart = "kill 1";
    let _ = stage.kubectl(&["exec", "deployment/store", "--", "sh", "-c", restart]).output()?;
    install(stage, &["--wait", "--timeout=2m"]).ok()?;
    stage.until("the store is asked by its other keys", || {
        fs::write(stage.path("file"), "content")?;
        Ok(stage.reposure(&["image", "push", "default", "team/app:v3", "file"]).output()?.code == Some(0))
    })?;
    ensure!(before == signing_key(stage)?, "uploads that were begun before cannot be ended");
    tells_no_key(stage, KEYS[1])
}

fn signing_key(stage: &Stage) -> Result<String> {
    let get = ["get", "secret", "reposure-simple", "-o", r"jsonpath={.data.http-secret}"];
    let key = stage.kubectl(&get).ok()?.text();
    ensure!(key.len() > 40, "there is none");
    Ok(key)
}
