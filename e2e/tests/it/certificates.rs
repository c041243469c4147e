//! The certificates of the simple registry over time: renewed, by whom, and what that does to pushes.

use std::{
    fs,
    fs::File,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use reposure_admin::plan::{
    AUTHORITY_LIFE, CertificateNames, Certificates, Found, SPREAD, simple_certificates,
};
use reposure_e2e::{Detour, Output, Stage};
use reposure_testing::{RandomImage, relay::Link};
use serde_json::Value;

use crate::{
    middle::{MEBIBYTE, assert_pulled},
    secured::{CREATE, ask, authority, issue, secret, shown, touch, touch_those},
};

pub(crate) const CERTIFICATE: &str = "reposure-simple-authentication";
pub(crate) const AUTHORITY: &str = "reposure-simple-ca";
/// Two thirds of ninety days, and ten more.
const PAST_RENEWAL: SignedDuration = SignedDuration::from_hours(70 * 24);
/// How long it takes from the making of Secrets until a push is on its way.
const UNTIL_PUSHED: SignedDuration = SignedDuration::from_secs(100);

#[test]
fn the_operator_renews_what_it_was_let_renew() -> Result<()> {
    Stage::play_bare("renewal", |stage| {
        stage.install_operator()?;
        let installed = install(stage, &[])?;
        ensure!(!installed.stderr.contains("No operator"), "{installed}");
        let old = age(stage, &[ago(PAST_RENEWAL)])?;
        stage.reposure(&CREATE).ok()?;
        stage.until("another certificate in the Secret", || Ok(pem(stage, "tls.crt")? != old))?;
        let new = pem(stage, "tls.crt")?;
        stage.until("the new certificate", || {
            touch(stage)?;
            Ok(shown(stage)?.contains(new.trim()))
        })?;
        // It keeps its connections for ten minutes, and sees the new certificate with the first one that is new.
        stage.kubectl(&["delete", "pod", "reposure-surrogate-default-0"]).ok()?;
        stage.until("the new certificate in the status", || {
            let status = registry(stage)?["status"].take();
            let end = status["certificateExpires"].as_str().and_then(|end| end.parse::<Timestamp>().ok());
            let left = end.map(|end| end.duration_since(Timestamp::now()));
            let message = condition(&status, "CertificateValid");
            Ok(message.contains("the operator renews it")
                && left.is_some_and(|left| left > SignedDuration::from_hours(89 * 24)))
        })?;
        let described = stage.reposure(&["registry", "describe", "default"]).ok()?.text();
        ensure!(described.contains("Expires:") && described.contains(", in 89 days"), "{described}");
        ensure!(described.contains("CertificateRenewed"), "no event: {described}");
        // Who trusts the authority trusts what is shown, by every name.
        ensure!(ask(stage, None, "GET", "/v2/")?.0 == "200", "the new certificate is not trusted");
        fs::write(stage.path("file"), "content")?;
        stage.reposure(&["image", "push", "default", "app", "file"]).ok()?;
        reads_no_other_secret(stage)?;
        stage.reposure(&["simple", "uninstall", "--wait"]).ok()?;
        let left = stage.kubectl(&["get", "secrets,roles,rolebindings", "-o", "name"]).ok()?.text();
        ensure!(!left.contains("reposure-simple"), "left behind: {left}");
        Ok(())
    })
}

/// Asks the API server what the operator may.
fn reads_no_other_secret(stage: &Stage) -> Result<()> {
    let user = format!("--as=system:serviceaccount:{}:reposure-operator", stage.namespace);
    for (verb, what, expected) in [
        ("get", "secret/reposure-simple-ca", "yes"),
        ("patch", "secret/reposure-simple-authentication", "yes"),
        ("get", "secret/reposure-simple", "no"),
        ("delete", "secret/reposure-simple-ca", "no"),
        ("list", "secrets", "no"),
        ("create", "secrets", "no"),
    ] {
        let answer = stage.kubectl(&["auth", "can-i", verb, what, &user]).output()?.text();
        ensure!(answer == expected, "{verb} {what}: {answer}");
    }
    Ok(())
}

#[test]
fn without_the_right_to_it_the_operator_says_so_and_an_installation_renews() -> Result<()> {
    Stage::play_bare("unrenewed", |stage| {
        // Nobody is there yet to be let.
        let installed = install(stage, &[])?;
        ensure!(installed.stderr.contains("No operator was let renew the certificate"), "{installed}");
        let old = age(stage, &[ago(PAST_RENEWAL)])?;
        let binding = ["get", "rolebinding", "reposure-simple-certificates"];
        ensure!(stage.kubectl(&binding).output()?.code != Some(0), "there is a binding");
        stage.install_operator()?;
        stage.kubectl(&binding).ok().context("an operator that comes later is let")?;
        stage.kubectl(&["delete", "rolebinding", "reposure-simple-certificates"]).ok()?;
        stage.reposure(&CREATE).ok()?;
        stage.until("the condition", || {
            let status = registry(stage)?["status"].take();
            Ok(condition(&status, "CertificateValid").contains("the operator may not renew it"))
        })?;
        ensure!(pem(stage, "tls.crt")? == old, "it was renewed without a right");

        let again = install(stage, &[])?;
        ensure!(again.text().contains(&format!("secret/{CERTIFICATE} configured")), "{again}");
        let new = pem(stage, "tls.crt")?;
        ensure!(new != old, "an installation does not renew");
        stage.kubectl(&binding).ok()?;
        install(stage, &[])?;
        ensure!(pem(stage, "tls.crt")? == new, "renewed though it is new");
        // One that somebody has brought is his.
        authority(stage)?;
        issue(stage)?;
        let brought = pem(stage, "tls.crt")?;
        install(stage, &[])?;
        ensure!(pem(stage, "tls.crt")? == brought, "a certificate of the user's own was replaced");
        Ok(())
    })
}

#[test]
fn an_authority_that_follows_another_breaks_no_push() -> Result<()> {
    Stage::play_bare("authorities", |stage| {
        stage.install_operator()?;
        install(stage, &[])?;
        // The authority that follows was told of so long ago that it is to sign from in a minute on.
        let told = Timestamp::now() + UNTIL_PUSHED - SPREAD;
        let hour = SignedDuration::from_hours(1);
        let two_thirds = SignedDuration::from_secs((AUTHORITY_LIFE + hour).as_secs() / 3 * 2);
        let old = age(stage, &[told + hour - two_thirds, told])?;
        let before = pem(stage, "ca.crt")?;
        ensure!(before.matches("BEGIN CERTIFICATE").count() == 2, "{before}");
        stage.reposure(&CREATE).ok()?;

        let image = RandomImage::new(8, 2, 48 << 20)?;
        image.write_oci_archive("v1", File::create(stage.path("big.tar"))?)?;
        // Of each of some ten connections.
        let slow = Link { bandwidth: Some(48 << 10), ..Link::default() };
        let detour = Detour::start(stage, slow)?;
        let mut push = detour.reposure(stage, &["image", "push", "default", "big:v1", "big.tar"]).start()?;
        let is_sent = detour.relay.wait_for(Duration::from_secs(60), |seen| seen.up > 4 * MEBIBYTE);
        ensure!(is_sent, "nothing is sent");
        ensure!(pem(stage, "tls.crt")? == old, "it was replaced before the push was on its way");

        stage.until("the certificate of the second authority", || Ok(pem(stage, "tls.crt")? != old))?;
        let new = pem(stage, "tls.crt")?;
        ensure!(pem(stage, "ca.crt")?.matches("BEGIN CERTIFICATE").count() == 2, "the first is gone already");
        stage.until("the gate", || {
            touch(stage)?;
            Ok(shown(stage)?.contains(new.trim()))
        })?;
        // Other pushes begin now, on new connections.
        fs::write(stage.path("file"), "content")?;
        stage.reposure(&["image", "push", "default", "small", "file"]).ok()?;
        ensure!(push.is_running()?, "the push ended before the change was there");
        detour.relay.set(Link::default());
        let pushed = push.output()?;
        ensure!((pushed.code, pushed.text()) == (Some(0), image.digest()), "{pushed}");
        stage.reposure(&["image", "pull", "default", "big:v1", "pulled.tar"]).ok()?;
        assert_pulled(stage, "pulled.tar", &image)?;
        // A node that was given the authorities before trusts the new one.
        fs::write(stage.path("before.crt"), before)?;
        let service = ["get", "service", "reposure-simple", "-o", "jsonpath={.spec.clusterIP}"];
        let url = format!("https://{}:5000/v2/", stage.kubectl(&service).ok()?.text());
        let trusts = ["-sS", "--cacert", &stage.path("before.crt").display().to_string(), &url];
        stage.environment.on_node("node2", "curl").args(trusts).ok().map(drop)
    })
}

/// As cert-manager does with another issuer, and whoever brings a certificate of his own: it comes along with its authority, which nobody was told
/// of before.
#[test]
fn an_authority_in_place_of_another_breaks_no_push_whoever_learns_of_it_first() -> Result<()> {
    Stage::play_bare("other-authority", |stage| {
        stage.install_operator()?;
        authority(stage)?;
        // The Service's address is in no certificate before there is a Service.
        stage.reposure(&["simple", "install", "--ephemeral"]).ok()?;
        issue(stage)?;
        install(stage, &[])?;
        stage.reposure(&CREATE).ok()?;
        for first in ["simple", "surrogate"] {
            authority(stage)?;
            issue(stage)?;
            pushes_go_on_until_shown(stage, first, &fs::read_to_string(stage.path("tls.crt"))?)?;
        }
        Ok(())
    })
}

/// How long it takes at most until a certificate of another authority is shown: 90 s until it comes, and 100 s that the gate waits for others.
const SHOWN: Duration = Duration::from_secs(200);
/// How long one pod is made to look for changes, as its kubelet does by itself now and then.
const ALONE: Duration = Duration::from_secs(16);

/// Pushes until the gate shows a certificate, while pods of the application `first` learn of it before all others. None fails.
pub(crate) fn pushes_go_on_until_shown(stage: &Stage, first: &str, certificate: &str) -> Result<()> {
    let (changed, mut pushes) = (Instant::now(), 0);
    while !shown(stage)?.contains(certificate.trim()) {
        ensure!(changed.elapsed() < SHOWN, "the certificate is not shown");
        if changed.elapsed() < ALONE {
            touch_those(stage, &format!("app.kubernetes.io/name=reposure-{first}"))?;
        }
        push_another(stage)
            .with_context(|| format!("{first} first, after {:?} and {pushes} pushes", changed.elapsed()))?;
        pushes += 1;
    }
    push_another(stage)
}

fn push_another(stage: &Stage) -> Result<()> {
    fs::write(stage.path("file"), reposure_e2e::random_bytes(1 << 20))?;
    stage.reposure(&["image", "push", "default", "app", "file"]).ok().map(drop)
}

fn ago(time: SignedDuration) -> Timestamp {
    Timestamp::now() - time
}

pub(crate) fn install(stage: &Stage, args: &[&str]) -> Result<Output> {
    let install = ["simple", "install", "--authentication", "--ephemeral", "--wait", "--timeout=2m"];
    stage.reposure(&install).args(args).args(stage.environment.gate_args()).ok()
}

/// Puts Secrets in place of those that are there, as they would be if they had been made, and renewed, at these times. Returns the
/// certificate, which is shown by then: a gate that begins with it waits for nobody, as it does for those who trusted another authority.
fn age(stage: &Stage, times: &[Timestamp]) -> Result<String> {
    let service = ["get", "service", "reposure-simple", "-o", "jsonpath={.spec.clusterIP}"];
    let address = stage.kubectl(&service).ok()?.text().parse()?;
    let names = CertificateNames::new(&stage.namespace, &[address]);
    let mut found = Found::default();
    for time in times {
        let Certificates::Ours(outlook) = simple_certificates(&found, &names, *time)? else {
            anyhow::bail!("taken for somebody else's")
        };
        for secret in outlook.writes {
            match secret.metadata.name.as_deref() {
                Some(AUTHORITY) => found.authority = Some(secret),
                _ => found.certificate = Some(secret),
            }
        }
    }
    for secret in [found.authority, found.certificate].into_iter().flatten() {
        stage.kubectl(&["replace", "-f", "-"]).stdin(serde_json::to_vec(&secret)?).ok()?;
    }
    stage.kubectl(&["delete", "pod", "-l", "app.kubernetes.io/name=reposure-simple"]).ok()?;
    stage.kubectl(&["rollout", "status", "deployment/reposure-simple", "--timeout=60s"]).ok()?;
    let aged = pem(stage, "tls.crt")?;
    stage.until("the aged certificate", || Ok(shown(stage)?.contains(aged.trim())))?;
    Ok(aged)
}

/// Returns what the Secret of the certificate holds.
pub(crate) fn pem(stage: &Stage, key: &str) -> Result<String> {
    Ok(String::from_utf8(secret(stage, CERTIFICATE, &key.replace('.', r"\."))?)?)
}

fn registry(stage: &Stage) -> Result<Value> {
    let text = stage.kubectl(&["get", "registry", "default", "-o", "json"]).ok()?.text();
    Ok(serde_json::from_str(&text)?)
}

fn condition(status: &Value, type_: &str) -> String {
    let conditions = status["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == type_);
    found.and_then(|condition| condition["message"].as_str()).unwrap_or_default().into()
}
