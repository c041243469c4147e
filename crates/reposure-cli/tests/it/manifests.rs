//! `reposure operator manifests`: what `install` would apply, as YAML.

use reposure_admin::{
    OperatorOptions, Scope, manifests,
    plan::{self, LogFormat},
};

use crate::TestEnvironment;

#[test]
fn each_choice_is_that_of_the_plan() {
    let environment = TestEnvironment::alone();
    let args = "operator manifests --namespace team --watch a,b --image host/image:1 --image-pull-secret secret --role view \
                --replicas 3 --architectures amd64,arm64 --log-format json --network-policies --exec-policy";
    let output = environment.run(&args.split_whitespace().collect::<Vec<_>>());
    assert_eq!(output.code, 0, "{output}");
    let options = OperatorOptions {
        scope: Scope::Namespaces(vec!["a".into(), "b".into()]),
        image: "host/image:1".into(),
        pull_secret: Some("secret".into()),
        role: Some("view".into()),
        replicas: 3,
        architectures: vec!["amd64".into(), "arm64".into()],
        log_format: Some(LogFormat::Json),
        network_policies: true,
        exec_policy: true,
        ..OperatorOptions::new("team")
    };
    assert_eq!(output.text(), manifests::operator(&options).unwrap());
    assert!(output.text().contains("- --log-format\n"), "{output}");
    let defaults = environment.run(&["operator", "manifests", "--namespace", "team"]);
    assert_eq!(defaults.text(), manifests::render(&plan::operator(&OperatorOptions::new("team"))).unwrap());
}
