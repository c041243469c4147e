//! The flags of the first Reposure.

use crate::TestEnvironment;

#[test]
fn every_flag_still_parses() {
    let environment = TestEnvironment::new();
    let flags: &[&[&str]] = &[
        &["-v"],
        &["-v", "-v"],
        &["-vv"],
        &["--verbose", "--verbose"],
        &["--log", "out.log"],
        &["-l", "out.log"],
        &["--width", "80"],
        &["-j", "80"],
        &["--colorize", "force"],
        &["-z", "false"],
        &["-z", "true"],
        &["--strict"],
        &["-y"],
        &["--strict=false"],
        &["--pretty"],
        &["-r"],
        &["--pretty=false"],
        &["--base64"],
        &["--master", "https://127.0.0.1:1"],
        &["-m", "https://127.0.0.1:1"],
        &["--kubeconfig", "none"],
        &["-k", "none"],
        &["--context", "other"],
        &["-x", "other"],
        &["--namespace", "team"],
        &["-n", "team"],
    ];
    for flags in flags {
        let list = ["image", "list", "default"];
        for args in [[*flags, &list].concat(), [&list, *flags].concat()] {
            let output = environment.run(&args);
            assert_eq!((output.code, output.text().as_str()), (0, ""), "{args:?}: {output}");
        }
    }
}

#[test]
fn the_format_has_both_names() {
    let environment = TestEnvironment::alone();
    let yaml = environment.ok(&["version", "--output", "yaml"]);
    assert!(yaml.starts_with("version: "), "{yaml}");
    for args in [["--format", "yaml"], ["-o", "yaml"], ["--format=yaml", "-r"], ["-oyaml", "-y"]] {
        assert_eq!(environment.ok(&[&["version"][..], &args].concat()), yaml, "{args:?}");
    }
}

#[test]
fn formats_that_are_gone_name_their_successors() {
    let environment = TestEnvironment::new();
    environment.write("hello.txt", "Hello!");
    for format in ["go", "xjson", "xml", "cbor", "messagepack"] {
        let output = environment.run(&["image", "push", "default", "hello", "hello.txt", "-o", format]);
        assert_eq!(output.code, 2);
        assert!(
            output.stderr.contains(&format!("{format} is not written any more: take json or yaml")),
            "{output}"
        );
    }
    assert_eq!(environment.ok(&["image", "list", "default"]), "", "an image was pushed nevertheless");
}

#[test]
fn commands_that_need_a_cluster_take_the_old_flags() {
    // Without a kubeconfig each ends with the same error, after its command line was understood.
    let environment = TestEnvironment::alone();
    let commands: &[&str] = &[
        "operator install --cluster --role view --registry docker.io --wait",
        "operator install -c -e view -g internal -w",
        "operator uninstall --wait",
        "operator logs --tail 5 --follow",
        "operator shell",
        "simple install --cluster --registry docker.io --authentication --authorization --wait",
        "simple install -c -g docker.io -a -w",
        "simple uninstall -w",
        "simple host",
        "simple logs -t 5 -f",
        "simple shell",
        "registry create default --host localhost:5000",
        "registry create default --service registry --service-namespace kube-system --port 80",
        "registry create default --provider simple --authentication-secret a --authentication-secret-data-key k",
        "registry create default --provider=minikube --authorization-secret s --wait",
        "registry create default --provider openshift -w",
        "registry delete default",
        "registry delete --all",
        "registry delete -a",
        "registry list",
        "registry describe default",
        "registry info default host",
        "registry info default username",
        "registry info default password",
        "registry info default token",
        "registry info default cert",
        "registry logs default -t 5 -f",
        "registry shell default",
        "image push default catalog/hello hello.txt",
        "image pull default catalog/hello --unpack",
        "image list default",
        "image delete default catalog/hello",
        "image delete default --all",
        "image delete default -a",
    ];
    environment.write("hello.txt", "Hello!");
    for command in commands {
        let output = environment.run(&command.split(' ').collect::<Vec<_>>());
        assert_eq!(
            output.stderr.lines().next(),
            Some("error: there is no kubeconfig"),
            "{command}: {output}"
        );
        assert_eq!(output.code, 2);
    }
}
