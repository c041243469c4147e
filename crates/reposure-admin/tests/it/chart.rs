//! The chart, as Helm renders it, is the plan.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use reposure_admin::{
    OperatorOptions, Plan, Scope,
    plan::{self, LogFormat},
};
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn helm(arguments: &[&str], values: &[&str]) -> Output {
    let program = root().join("build/bin/helm");
    assert!(program.is_file(), "helm is missing: make build/bin/helm");
    let mut command = Command::new(program);
    // Nothing of the user's own configuration or plugins.
    command.env_clear().env("HOME", env!("CARGO_TARGET_TMPDIR"));
    command.args(arguments).arg(root().join("deploy/chart"));
    command.args(values.iter().flat_map(|value| ["--set-json", value])).output().unwrap()
}

/// The objects by their names, with what a template is told of its release as the plan has it.
fn by_name(objects: impl Iterator<Item = Value>) -> BTreeMap<String, Value> {
    objects
        .map(|object| {
            let metadata = &object["metadata"];
            let key = format!("{} {} {}", object["kind"], metadata["namespace"], metadata["name"]);
            (key, object)
        })
        .collect()
}

fn rendered(namespace: &str, values: &[&str]) -> BTreeMap<String, Value> {
    let output = helm(&["template", "release", "--namespace", namespace], values);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let documents = text.split("\n---\n").filter(|document| document.contains("kind:"));
    by_name(documents.map(|document| {
        let document = document.replace("managed-by: Helm", "managed-by: reposure-cli");
        serde_saphyr::from_str(&document).unwrap()
    }))
}

fn planned(plan: &Plan) -> BTreeMap<String, Value> {
    by_name(plan.objects().map(|object| serde_json::to_value(object).unwrap()))
}

fn check(values: &[&str], options: &OperatorOptions) {
    let (rendered, planned) = (rendered(&options.namespace, values), planned(&plan::operator(options)));
    let names = |objects: &BTreeMap<String, Value>| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&rendered), names(&planned), "{values:?}");
    for (name, object) in &planned {
        assert_eq!(&rendered[name], object, "{name} with {values:?}");
    }
}

/// What a value stands for in the plan.
type Choose = fn(&mut OperatorOptions);

/// Digits alone are a namespace's name too.
fn options() -> OperatorOptions {
    OperatorOptions { crd: false, ..OperatorOptions::new("0815") }
}

#[test]
fn each_choice_is_that_of_the_plan() {
    let choices: [(&str, Choose); 10] = [
        ("cluster=true", |options| options.scope = Scope::Cluster),
        (r#"watch=["a","007"]"#, |options| options.scope = Scope::Namespaces(vec!["a".into(), "007".into()])),
        (r#"image="host:5000/a/b@sha256:c""#, |options| options.image = "host:5000/a/b@sha256:c".into()),
        (r#"imagePullSecret="123""#, |options| options.pull_secret = Some("123".into())),
        (r#"role="system:view""#, |options| options.role = Some("system:view".into())),
        ("replicas=3", |options| options.replicas = 3),
        (r#"architectures=["amd64","arm64"]"#, |options| {
            options.architectures = vec!["amd64".into(), "arm64".into()];
        }),
        (r#"logFormat="json""#, |options| options.log_format = Some(LogFormat::Json)),
        (r#"logFormat="text""#, |options| options.log_format = Some(LogFormat::Text)),
        ("networkPolicies=true", |options| options.network_policies = true),
    ];
    check(&["crd=false"], &options());
    let policy = OperatorOptions { exec_policy: true, ..options() };
    check(&["crd=false", "execPolicy=true"], &policy);
    for (value, choose) in choices {
        let (mut alone, mut with_policy) = (options(), policy.clone());
        choose(&mut alone);
        check(&["crd=false", value], &alone);
        choose(&mut with_policy);
        check(&["crd=false", "execPolicy=true", value], &with_policy);
    }
}

#[test]
fn all_choices_together_are_those_of_the_plan() {
    for (value, scope) in
        [("cluster=true", Scope::Cluster), (r#"watch=["a"]"#, Scope::Namespaces(vec!["a".into()]))]
    {
        let everything = OperatorOptions {
            scope,
            image: "image:1".into(),
            pull_secret: Some("secret".into()),
            role: Some("view".into()),
            replicas: 9,
            architectures: vec!["amd64".into()],
            log_format: Some(LogFormat::Text),
            network_policies: true,
            exec_policy: true,
            ..options()
        };
        let values = [
            "crd=false",
            value,
            r#"image="image:1""#,
            r#"imagePullSecret="secret""#,
            r#"role="view""#,
            "replicas=9",
            r#"architectures=["amd64"]"#,
            r#"logFormat="text""#,
            "networkPolicies=true",
            "execPolicy=true",
        ];
        check(&values, &everything);
    }
}

#[test]
fn the_definition_outlives_the_release() {
    let with = rendered("team", &[]);
    let mut plan = plan::definition();
    for object in plan.steps.iter_mut().map(|step| match step {
        reposure_admin::Step::Apply(object) | reposure_admin::Step::CreateIfMissing(object) => object,
    }) {
        let annotations = object.metadata_mut().annotations.get_or_insert_default();
        annotations.insert("helm.sh/resource-policy".into(), "keep".into());
    }
    let definition = planned(&plan);
    assert_eq!(definition.len(), 4);
    for (name, object) in &definition {
        assert_eq!(&with[name], object, "{name}");
    }
    let without = rendered("team", &["crd=false"]);
    assert_eq!(with.len(), without.len() + definition.len());
}

#[test]
fn values_that_mean_nothing_are_refused() {
    for values in [
        &["cluster=true", r#"watch=["a"]"#][..],
        &["replicas=0"],
        &["replicas=10"],
        &[r#"watch="a""#],
        &[r#"imagePullSecrets="a""#],
        &[r#"watch=["A"]"#],
        &[r#"role="a/b""#],
        &[r#"logFormat="xml""#],
    ] {
        let output = helm(&["template", "release"], values);
        assert!(!output.status.success(), "{values:?} is taken");
    }
}

#[test]
fn helm_finds_nothing_wrong() {
    let output = helm(&["lint", "--strict"], &[]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
}

#[test]
fn every_value_is_described() {
    let text = std::fs::read_to_string(root().join("deploy/chart/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    let values = std::fs::read_to_string(root().join("deploy/chart/values.yaml")).unwrap();
    let values: BTreeMap<String, Value> = serde_saphyr::from_str(&values).unwrap();
    let mut described = schema["properties"].as_object().unwrap().clone();
    // Helm's own.
    described.shift_remove("global");
    let described: Vec<String> = BTreeMap::from_iter(described).into_keys().collect();
    assert_eq!(described, values.into_keys().collect::<Vec<_>>());
    assert_eq!(schema["additionalProperties"], json!(false));
}
