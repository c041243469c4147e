//! The built-in registry's plan.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reposure_admin::{
    Plan, S3, SimpleOptions, Step, Storage,
    plan::{self, S3Keys, SimpleKeys},
};
use serde_json::{Value, json};

/// What nobody but the registry's Secret may tell.
const SIGNING: &str = "signing-key";
const ACCESS: &str = "AKIA";
const SECRET: &str = "se\"cret/+";

fn keys() -> SimpleKeys {
    SimpleKeys { signing: SIGNING.into(), s3: Some(S3Keys { access: ACCESS.into(), secret: SECRET.into() }) }
}

fn planned(options: &SimpleOptions) -> Plan {
    plan::simple(options, &keys())
}

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
    let first = plan::simple_signing_key(&SimpleOptions::new("team"));
    assert_eq!(steps(&first), ["create Secret team/reposure-simple"]);
    insta::assert_debug_snapshot!(steps(&planned(&SimpleOptions::new("team"))), @r#"
    [
        "apply Secret team/reposure-simple",
        "create PersistentVolumeClaim team/reposure-simple",
        "apply Service team/reposure-simple",
        "apply Deployment team/reposure-simple",
    ]
    "#);
}

fn configuration(options: &SimpleOptions) -> String {
    let secret = object(&planned(options), "Secret");
    assert_eq!(secret["data"]["http-secret"], STANDARD.encode(SIGNING), "it is kept for the next time");
    let text = STANDARD.decode(secret["data"]["config.yml"].as_str().unwrap()).unwrap();
    String::from_utf8(text).unwrap()
}

fn pod(options: &SimpleOptions) -> Value {
    object(&planned(options), "Deployment")["spec"]["template"]["spec"].clone()
}

#[test]
fn configures_distribution() {
    insta::assert_snapshot!(configuration(&SimpleOptions::new("team")), @r#"
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
      secret: "signing-key"
      relativeurls: true
      headers:
        X-Content-Type-Options: [nosniff]
    "#);
}

#[test]
fn an_open_registry_needs_no_gate() {
    let pod = pod(&SimpleOptions::new("team"));
    assert_eq!(pod["containers"].as_array().unwrap().len(), 1);
    assert_eq!(pod["containers"][0]["ports"][0]["containerPort"], 5000);
}

#[test]
fn a_gate_stands_before_a_secured_registry() {
    let options = SimpleOptions {
        tls: true,
        authorization: true,
        gate_image: "gate:1".into(),
        ..SimpleOptions::new("team")
    };
    let text = configuration(&options);
    assert!(text.contains("  addr: 127.0.0.1:5001\n  draintimeout: 25s\n"), "{text}");
    assert!(!text.contains("tls:") && !text.contains("auth:"), "{text}");
    let pod = pod(&options);
    let [registry, gate] = [0, 1].map(|index| &pod["containers"][index]);
    assert_eq!((&registry["ports"], &registry["readinessProbe"]), (&Value::Null, &Value::Null));
    assert_eq!(gate["image"], "gate:1");
    let command = json!([
        ["/reposure-surrogate", "gate"],
        ["--tls", "/etc/reposure/tls", "--users", "/etc/reposure/htpasswd"]
    ]);
    assert_eq!(json!([gate["command"], gate["args"]]), command);
    // What the Service leads to, and what the surrogate's `registry create` goes by.
    assert_eq!(gate["ports"][0], json!({"name": "registry", "containerPort": 5000, "protocol": "TCP"}));
    assert_eq!(
        (&gate["readinessProbe"]["httpGet"]["path"], &gate["readinessProbe"]["httpGet"]["port"]),
        (&json!("/ready"), &json!("health"))
    );
    let mounts = |container: &Value| -> Vec<String> {
        let mounts = container["volumeMounts"].as_array().unwrap();
        mounts.iter().map(|mount| mount["name"].as_str().unwrap().to_owned()).collect()
    };
    // The registry sees neither key nor passwords.
    assert_eq!(
        (mounts(registry), mounts(gate)),
        (vec!["data".into(), "config".into()], vec!["tls".into(), "htpasswd".into()])
    );
}

#[test]
fn several_pods_serve_a_bucket() {
    let s3 = S3 {
        bucket: "images".into(),
        prefix: "of/team: \"x\"".into(),
        region: "eu-1".into(),
        endpoint: Some("https://store:9000".into()),
        secret: Some("keys".into()),
    };
    let options = SimpleOptions { storage: Storage::S3(s3), replicas: 3, ..SimpleOptions::new("team") };
    let text = configuration(&options);
    let storage = text.split_once("storage:").unwrap().1.split_once("http:").unwrap().0;
    insta::assert_snapshot!(storage, @r#"
      redirect:
        disable: true
      s3:
        bucket: "images"
        region: "eu-1"
        rootdirectory: "/of/team: \"x\""
        regionendpoint: "https://store:9000"
        forcepathstyle: true
        accesskey: "AKIA"
        secretkey: "se\"cret/+"
      delete:
        enabled: true
    "#);
    let plan = planned(&options);
    assert!(!steps(&plan).iter().any(|step| step.contains("PersistentVolumeClaim")));
    let deployment = object(&plan, "Deployment");
    assert_eq!(deployment["spec"]["replicas"], 3);
    assert_eq!(deployment["spec"]["strategy"], json!({"type": "RollingUpdate"}));
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"].as_array().unwrap().len(), 1);
    let apart = &pod["topologySpreadConstraints"][0];
    assert_eq!(apart["topologyKey"], "kubernetes.io/hostname");
    assert_eq!(apart["labelSelector"], deployment["spec"]["selector"]);
    let config = &pod["volumes"][0]["secret"];
    let items = json!([{"key": "config.yml", "path": "config.yml"}]);
    assert_eq!((&config["secretName"], &config["items"]), (&json!("reposure-simple"), &items));
}

#[test]
fn nothing_but_the_secret_tells_what_is_secret() {
    let s3 = S3 {
        bucket: "images".into(),
        prefix: String::new(),
        region: "eu-1".into(),
        endpoint: None,
        secret: Some("keys".into()),
    };
    let options = SimpleOptions {
        storage: Storage::S3(s3),
        tls: true,
        authorization: true,
        ..SimpleOptions::new("team")
    };
    let plan = planned(&options);
    for object in plan.objects().filter(|object| object.name().kind != "Secret") {
        let text = serde_json::to_string(object).unwrap();
        for secret in [SIGNING, ACCESS, "cret/+"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    for container in pod(&options)["containers"].as_array().unwrap() {
        for variable in container["env"].as_array().into_iter().flatten() {
            assert_eq!(*variable, json!({"name": "OTEL_TRACES_EXPORTER", "value": "none"}));
        }
    }
    let said = format!("{plan:?} {:?}", keys());
    assert!([SIGNING, ACCESS, "cret/+"].iter().all(|secret| !said.contains(secret)), "{said}");
}

#[test]
fn runs_where_its_images_do() {
    let of = |architectures: &[&str]| {
        let architectures = architectures.iter().map(ToString::to_string).collect();
        let pod = pod(&SimpleOptions { architectures, ..SimpleOptions::new("team") });
        pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
            [0]["matchExpressions"]
            .clone()
    };
    let linux = json!({"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]});
    assert_eq!(of(&[]), json!([linux]));
    let both = json!({"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64", "arm64"]});
    assert_eq!(of(&["amd64", "arm64"]), json!([linux, both]));
}

#[test]
fn a_volume_has_one_pod() {
    let deployment =
        object(&planned(&SimpleOptions { replicas: 3, ..SimpleOptions::new("team") }), "Deployment");
    assert_eq!(
        (&deployment["spec"]["replicas"], &deployment["spec"]["strategy"]["type"]),
        (&json!(1), &json!("Recreate"))
    );
    assert_eq!(deployment["spec"]["template"]["spec"]["topologySpreadConstraints"], Value::Null);
}

#[test]
fn users_are_made_with_what_lets_them_in() {
    let addresses = ["10.96.1.2".parse().unwrap(), "fd00::2".parse().unwrap()];
    let made = plan::simple_passwords("team", "ann", &addresses).unwrap();
    let secrets: Vec<Value> =
        made.steps.iter().map(|step| serde_json::to_value(step.object()).unwrap()).collect();
    let names: Vec<_> = secrets.iter().map(|secret| secret["metadata"]["name"].as_str().unwrap()).collect();
    // The last one says that the others are there.
    assert_eq!(names, ["reposure-simple-authorization", "reposure-simple-pull", "reposure-simple-htpasswd"]);
    let auths = |secret: &Value| -> Value {
        assert_eq!(secret["type"], "kubernetes.io/dockerconfigjson");
        let text = secret["stringData"][".dockerconfigjson"].as_str().unwrap();
        serde_json::from_str::<Value>(text).unwrap()["auths"].clone()
    };
    let [all, pull] = [0, 1].map(|index| auths(&secrets[index]));
    for host in ["10.96.1.2:5000", "[fd00::2]:5000", "reposure-simple.team.svc:5000", "reposure-simple:5000"]
    {
        assert_eq!(
            (&all[host]["username"], &pull[host]["username"]),
            (&json!("ann"), &json!("ann-pull")),
            "{host}"
        );
    }
    for (file, entry) in [("htpasswd", &all["10.96.1.2:5000"]), ("htpasswd-pull", &pull["10.96.1.2:5000"])] {
        let (user, hash) = secrets[2]["stringData"][file].as_str().unwrap().trim().split_once(':').unwrap();
        assert_eq!(user, entry["username"]);
        assert!(bcrypt::verify(entry["password"].as_str().unwrap(), hash).unwrap(), "{file}");
    }
    let password = all["10.96.1.2:5000"]["password"].as_str().unwrap();
    assert!(!format!("{made:?}").contains(password));
    for name in ["", "a:b", "a b", "ä", &"a".repeat(65)] {
        assert!(plan::simple_passwords("team", name, &[]).is_err(), "{name}");
    }
}

#[test]
fn runs_as_a_user_that_the_platform_may_give() {
    let options =
        SimpleOptions { fixed_user: false, storage: Storage::Ephemeral, ..SimpleOptions::new("team") };
    let plan = planned(&options);
    let pod = object(&plan, "Deployment")["spec"]["template"]["spec"].clone();
    assert_eq!(pod["securityContext"].get("runAsUser"), None);
    assert_eq!(pod["volumes"][0], json!({"name": "data", "emptyDir": {}}));
    let fixed = object(&planned(&SimpleOptions::new("team")), "Deployment");
    let security = &fixed["spec"]["template"]["spec"]["securityContext"];
    assert_eq!((&security["runAsUser"], &security["fsGroup"]), (&json!(1000), &json!(1000)));
}

#[test]
fn draws_a_signing_key_that_debug_does_not_show() {
    let [first, second] = [0, 1].map(|_| plan::simple_signing_key(&SimpleOptions::new("team")));
    let key = |plan: &Plan| object(plan, "Secret")["data"]["http-secret"].as_str().unwrap().to_owned();
    assert_ne!(key(&first), key(&second));
    assert!(!format!("{first:?}").contains(&key(&first)));
}

#[test]
fn another_configuration_is_another_pod() {
    let hash = |options: &SimpleOptions| {
        let deployment = object(&planned(options), "Deployment");
        deployment["spec"]["template"]["metadata"]["annotations"]["reposure.puccini.cloud/config-hash"]
            .clone()
    };
    let plain = SimpleOptions::new("team");
    assert!(hash(&plain).is_string());
    assert_ne!(hash(&plain), hash(&SimpleOptions { tls: true, ..plain.clone() }));
    let other = plan::simple(&plain, &SimpleKeys { signing: "other".into(), s3: None });
    let deployment = object(&other, "Deployment");
    let of_other =
        &deployment["spec"]["template"]["metadata"]["annotations"]["reposure.puccini.cloud/config-hash"];
    assert_ne!(hash(&plain), *of_other, "another key is another pod, since a registry reads it but once");
}
