//! The built-in registry's plan.

use reposure_admin::{Plan, SimpleOptions, Step, Storage, plan};
use serde_json::{Value, json};

fn steps(plan: &Plan) -> Vec<String> {
    let describe = |step: &Step| match step {
        Step::Apply(object) => format!("apply {object:?}"),
        Step::CreateIfMissing(object) => format!("create {object:?}"),
    };
    plan.steps.iter().map(describe).collect()
}

fn object(plan: &Plan, kind: &str) -> Value {
    let mut objects = plan.objects().map(|object| serde_json::to_value(object).unwrap());
    objects.find(|object| object["kind"] == kind).unwrap()
}

#[test]
fn keeps_images_and_the_signing_key() {
    insta::assert_debug_snapshot!(steps(&plan::simple(&SimpleOptions::new("work"))), @r#"
    [
        "create Secret work/reposure-simple",
        "apply ConfigMap work/reposure-simple",
        "create PersistentVolumeClaim work/reposure-simple",
        "apply Service work/reposure-simple",
        "apply Deployment work/reposure-simple",
    ]
    "#);
}

#[test]
fn configures_distribution() {
    let options = SimpleOptions { tls: true, authorization: true, ..SimpleOptions::new("work") };
    let text = object(&plan::simple(&options), "ConfigMap")["data"]["config.yml"].clone();
    insta::assert_snapshot!(text.as_str().unwrap(), @r"
    version: 0.1
    log:
      level: info
      accesslog:
        disabled: true
    storage:
      filesystem:
        rootdirectory: /var/lib/registry
      delete:
        enabled: true
    http:
      addr: :5000
      relativeurls: true
      headers:
        X-Content-Type-Options: [nosniff]
      tls:
        certificate: /etc/reposure/tls/tls.crt
        key: /etc/reposure/tls/tls.key
    auth:
      htpasswd:
        realm: reposure-simple
        path: /etc/reposure/htpasswd/htpasswd
    ");
}

#[test]
fn runs_as_a_user_that_the_platform_may_give() {
    let options =
        SimpleOptions { fixed_user: false, storage: Storage::Ephemeral, ..SimpleOptions::new("work") };
    let plan = plan::simple(&options);
    let pod = object(&plan, "Deployment")["spec"]["template"]["spec"].clone();
    assert_eq!(pod["securityContext"].get("runAsUser"), None);
    assert_eq!(pod["volumes"][0], json!({"name": "data", "emptyDir": {}}));
    let fixed = object(&plan::simple(&SimpleOptions::new("work")), "Deployment");
    let security = &fixed["spec"]["template"]["spec"]["securityContext"];
    assert_eq!((&security["runAsUser"], &security["fsGroup"]), (&json!(1000), &json!(1000)));
}

#[test]
fn draws_a_signing_key_that_debug_does_not_show() {
    let [first, second] = [0, 1].map(|_| plan::simple(&SimpleOptions::new("work")));
    let key = |plan: &Plan| object(plan, "Secret")["stringData"]["http-secret"].as_str().unwrap().to_owned();
    assert_ne!(key(&first), key(&second));
    assert!(!format!("{first:?}").contains(&key(&first)));
}

#[test]
fn another_configuration_is_another_pod() {
    let hash = |options: &SimpleOptions| {
        let deployment = object(&plan::simple(options), "Deployment");
        deployment["spec"]["template"]["metadata"]["annotations"]["reposure.puccini.cloud/config-hash"]
            .clone()
    };
    let plain = SimpleOptions::new("work");
    assert!(hash(&plain).is_string());
    assert_ne!(hash(&plain), hash(&SimpleOptions { tls: true, ..plain.clone() }));
}

#[test]
fn a_certificate_is_for_names_and_addresses_and_made_but_once() {
    let now = "2028-02-29T12:00:00Z".parse().unwrap();
    let addresses = ["10.96.1.2".parse().unwrap(), "fd00::2".parse().unwrap()];
    let step = plan::simple_certificate("work", &addresses, now).unwrap();
    assert!(matches!(step, Step::CreateIfMissing(_)));
    let secret = serde_json::to_value(step.object()).unwrap();
    assert_eq!(secret["metadata"]["name"], "reposure-simple-authentication");
    assert_eq!(secret["type"], "kubernetes.io/tls");
    let certificate = secret["stringData"]["tls.crt"].as_str().unwrap();
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(secret["stringData"]["ca.crt"], certificate);
    assert!(plan::simple_certificate("nöt", &[], now).is_err());
}
