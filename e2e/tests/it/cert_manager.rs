//! cert-manager: its own controller beside the cluster, and the certificates that it makes for the simple registry.

use std::{
    fs,
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reposure_e2e::{Run, Stage};
use serde_json::{Value, json};

use crate::{
    certificates::{AUTHORITY, CERTIFICATE, install, pem, pushes_go_on_until_shown},
    secured::{CREATE, ask, authority, secret, shown, touch},
};

/// What is there of cert-manager's in a namespace.
const KINDS: &str =
    "issuers.cert-manager.io,certificates.cert-manager.io,certificaterequests.cert-manager.io";
const WANTED: [&str; 5] = ["get", "certificates.cert-manager.io", "reposure-simple", "-o", "json"];

/// Plays a test while cert-manager is there: in the cluster what it serves, and on this machine its controller. All who install a registry
/// with TLS turn to it in this time.
fn with_cert_manager(stage: &Stage, args: &[&str], act: impl FnOnce() -> Result<()>) -> Result<()> {
    let definitions = stage.environment.root.join("build/bin/cert-manager.yaml");
    let kubectl =
        |args: &[&str]| stage.environment.kubectl().args(args).args([Path::new("-f"), &definitions]).ok();
    // They are too large for the annotation in which others than the server keep what was applied.
    let done = kubectl(&["apply", "--server-side"])
        .and_then(|_| kubectl(&["wait", "--for=condition=Established", "--timeout=60s"]))
        .and_then(|_| beside_controller(stage, args, act));
    kubectl(&["delete", "--ignore-not-found", "--timeout=60s"])?;
    done
}

fn beside_controller(stage: &Stage, args: &[&str], act: impl FnOnce() -> Result<()>) -> Result<()> {
    let controller = Run::new(stage.environment.tool("cert-manager"))
        .env("KUBECONFIG", &stage.environment.kubeconfig)
        .args(["--cluster-resource-namespace", &stage.namespace])
        .args(args)
        .start()?;
    let done = act();
    let said = controller.kill()?;
    ensure!(said.code.is_none(), "cert-manager has ended by itself: {said}");
    done.with_context(|| said.to_string())
}

pub(crate) fn makes_the_certificate(stage: &Stage) -> Result<()> {
    with_cert_manager(stage, &[], || {
        stage.install_operator()?;
        install(stage, &[])?;
        signed_by_an_authority_of_its_own(stage)?;
        stage.reposure(&CREATE).ok()?;
        push(stage)?;
        renewed(stage)?;
        by_an_issuer_of_the_users(stage)?;
        without_it_from_now_on(stage)?;
        leaves_nothing(stage)?;
        // What was there before is in nobody's way.
        install(stage, &[])?;
        signed_by_an_authority_of_its_own(stage)?;
        leaves_nothing(stage)
    })
}

/// Where a `Certificate` owns its Secret, which then goes with it: what has to stay stays all the same, and nothing else.
pub(crate) fn keeps_secrets_that_a_certificate_owns(stage: &Stage) -> Result<()> {
    with_cert_manager(stage, &["--enable-certificate-owner-ref"], || {
        stage.install_operator()?;
        install(stage, &[])?;
        signed_by_an_authority_of_its_own(stage)?;
        ensure!(owners(stage)? == "Certificate", "the Secret belongs to {:?}", owners(stage)?);
        stage.reposure(&CREATE).ok()?;
        push(stage)?;
        without_it_from_now_on(stage)?;
        stage.until("the Secret belongs to nobody", || Ok(owners(stage)?.is_empty()))?;
        // The garbage collector looks at once at what an owner leaves; what it would take is gone by then.
        sleep(Duration::from_secs(5));
        push(stage)?;
        // A `Certificate` of the same name makes requests of the same names.
        leaves_nothing(stage)?;
        install(stage, &[])?;
        signed_by_an_authority_of_its_own(stage)?;
        leaves_nothing(stage)
    })
}

/// Returns the kinds of what owns the Secret of the certificate.
fn owners(stage: &Stage) -> Result<String> {
    let path = "jsonpath={.metadata.ownerReferences[*].kind}";
    Ok(stage.kubectl(&["get", "secret", CERTIFICATE, "-o", path]).ok()?.text())
}

/// Looks whether what is shown is what cert-manager has signed, by the authority that it was asked for.
fn signed_by_an_authority_of_its_own(stage: &Stage) -> Result<()> {
    let wanted: Value = serde_json::from_str(&stage.kubectl(&WANTED).ok()?.text())?;
    let spec = &wanted["spec"];
    ensure!(spec["issuerRef"]["name"] == AUTHORITY && spec["secretName"] == CERTIFICATE, "{spec}");
    let of = [r"jsonpath={.metadata.annotations.cert-manager\.io/certificate-name}"];
    let maker = stage.kubectl(&["get", "secret", AUTHORITY, "-o"]).args(of).ok()?.text();
    ensure!(maker == AUTHORITY, "the authority is one of ours: {maker}");
    let certificate = pem(stage, "tls.crt")?;
    ensure!(certificate == issued(stage)?, "it is not what cert-manager has signed: {certificate}");
    fs::write(stage.path("ca.pem"), secret(stage, AUTHORITY, r"tls\.crt")?)?;
    verify(stage)?;
    is_shown(stage, &certificate)
}

/// Returns the certificate that cert-manager has signed last for the registry, as it hands it out itself.
fn issued(stage: &Stage) -> Result<String> {
    let get = ["get", "certificaterequests.cert-manager.io", "-o", "json"];
    let mut all: Value = serde_json::from_str(&stage.kubectl(&get).ok()?.text())?;
    let Value::Array(requests) = all["items"].take() else { anyhow::bail!("no list") };
    let annotation = |request: &Value, name: &str| {
        let value = request["metadata"]["annotations"][format!("cert-manager.io/{name}")].as_str();
        value.unwrap_or_default().to_owned()
    };
    let last = requests
        .into_iter()
        .filter(|request| annotation(request, "certificate-name") == "reposure-simple")
        .max_by_key(|request| annotation(request, "certificate-revision").parse::<u32>().unwrap_or_default())
        .context("nothing was asked for")?;
    let encoded = last["status"]["certificate"].as_str().context("nothing was signed")?;
    Ok(String::from_utf8(STANDARD.decode(encoded)?)?)
}

/// Asks openssl whether the authority in `ca.pem` has signed the certificate.
fn verify(stage: &Stage) -> Result<()> {
    fs::write(stage.path("leaf.pem"), pem(stage, "tls.crt")?)?;
    let path = |name: &str| -> PathBuf { stage.path(name) };
    Run::new("openssl")
        .args([Path::new("verify"), Path::new("-CAfile")])
        .args([path("ca.pem"), path("leaf.pem")])
        .ok()
        .map(drop)
}

/// Waits until the gate shows a certificate, and it is trusted by what is beside it in the Secret.
fn is_shown(stage: &Stage, certificate: &str) -> Result<()> {
    stage.until("the certificate at the gate", || {
        touch(stage)?;
        Ok(shown(stage)?.contains(certificate.trim()))
    })?;
    let status = ask(stage, None, "GET", "/v2/")?.0;
    ensure!(status == "200", "what is shown is not trusted: {status}");
    Ok(())
}

fn push(stage: &Stage) -> Result<()> {
    fs::write(stage.path("file"), "content")?;
    stage.reposure(&["image", "push", "default", "app", "file"]).ok().map(drop)
}

/// Renews as `cmctl renew` does.
fn renewed(stage: &Stage) -> Result<()> {
    let (old, pods) = (pem(stage, "tls.crt")?, pods(stage)?);
    let now = jiff::Timestamp::now().strftime("%FT%TZ").to_string();
    let issuing = json!({"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "lastTransitionTime": now});
    let patch = json!([{"op": "add", "path": "/status/conditions/-", "value": issuing}]).to_string();
    let renew = ["patch", "certificates.cert-manager.io", "reposure-simple", "--subresource=status"];
    stage.kubectl(&renew).args(["--type=json", "-p", &patch]).ok()?;
    stage.until("another certificate in the Secret", || Ok(pem(stage, "tls.crt")? != old))?;
    let new = pem(stage, "tls.crt")?;
    ensure!(new == issued(stage)?, "it is not what cert-manager has signed");
    verify(stage)?;
    is_shown(stage, &new)?;
    push(stage)?;
    ensure!(pods == self::pods(stage)?, "something was started again");
    Ok(())
}

/// Returns which pods there are, and how often their containers were started.
fn pods(stage: &Stage) -> Result<String> {
    let path = "jsonpath={range .items[*]}{.metadata.uid} {.status.containerStatuses[*].restartCount};{end}";
    let pods = ["get", "pods", "-l", "app.kubernetes.io/part-of=reposure", "-o", path];
    Ok(stage.kubectl(&pods).ok()?.text())
}

/// Has somebody else's issuer sign, for whom the authority that was made is of no use.
fn by_an_issuer_of_the_users(stage: &Stage) -> Result<()> {
    authority(stage)?;
    let (certificate, key) =
        (stage.path("ca.pem").display().to_string(), stage.path("ca.key").display().to_string());
    let files = [format!("--cert={certificate}"), format!("--key={key}")];
    stage.kubectl(&["create", "secret", "tls", "team"]).args(files).ok()?;
    let issuer = json!({"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": "team"},
        "spec": {"ca": {"secretName": "team"}}});
    stage.kubectl(&["create", "-f", "-"]).stdin(issuer.to_string()).ok()?;
    let kept = ["get", "issuers.cert-manager.io,certificates.cert-manager.io", "-o", "name"];
    ensure!(stage.kubectl(&kept).ok()?.text().lines().count() == 4, "{}", stage.kubectl(&kept).ok()?);
    install(stage, &["--issuer=ClusterIssuer/team"])?;
    let made = pem(stage, "tls.crt")?;
    ensure!(made == issued(stage)?, "it is not what cert-manager has signed");
    verify(stage)?;
    // Nobody was told of the other authority before.
    pushes_go_on_until_shown(stage, "simple", &made)?;
    is_shown(stage, &made)?;
    let left = stage.kubectl(&kept).ok()?.text();
    ensure!(left == "certificate.cert-manager.io/reposure-simple", "{left}");
    Ok(())
}

/// Takes an authority of our own: cert-manager's certificate is shown until all know it.
fn without_it_from_now_on(stage: &Stage) -> Result<()> {
    let made = pem(stage, "tls.crt")?;
    let taken = install(stage, &["--issuer=none"])?;
    ensure!(taken.stderr.contains("The certificate is replaced from"), "{taken}");
    ensure!(pem(stage, "tls.crt")? == made, "replaced at once");
    let authorities = pem(stage, "ca.crt")?;
    ensure!(authorities.matches("BEGIN CERTIFICATE").count() == 2, "one of the authorities is missing");
    let signs = String::from_utf8(secret(stage, AUTHORITY, r"tls\.crt")?)?;
    ensure!(authorities.contains(signs.trim()), "it is none of ours that follows");
    stage.until("cert-manager has nothing to do", || {
        Ok(stage.kubectl(&["get", KINDS, "-o", "name"]).ok()?.text().is_empty())
    })?;
    // Whoever does not say it again has said it.
    install(stage, &[])?;
    ensure!(stage.kubectl(&WANTED).output()?.code != Some(0), "cert-manager makes it again");
    ensure!(pem(stage, "tls.crt")? == made && pem(stage, "ca.crt")? == authorities, "it was changed");
    push(stage)
}

fn leaves_nothing(stage: &Stage) -> Result<()> {
    stage.reposure(&["simple", "uninstall", "--wait"]).ok()?;
    let all = format!("secrets,roles,rolebindings,{KINDS}");
    stage.until("nothing is left", || {
        let left = stage.kubectl(&["get", &all, "-o", "name"]).ok()?.text();
        Ok(!left.contains("reposure-simple"))
    })
}
