//! Command lines that are wrong.

use crate::TestEnvironment;

#[test]
fn wrong_command_lines_end_with_2() {
    let environment = TestEnvironment::new();
    environment.write("hello.txt", "Hello!");
    let commands: &[&str] = &[
        "",
        "push",
        "image",
        "image push",
        "image push default",
        "image push default app",
        "image push default App hello.txt",
        "image push default app:v1:v2 hello.txt",
        "image push default app@sha256:12 hello.txt",
        "image push default 10.96.0.1:5000/app hello.txt",
        "image push default app hello.txt --jobs many",
        "image delete default",
        "image delete default app --all",
        "image list default -o pretty",
        "image list default --surrogate nonsense",
        "image list",
        "registry create default",
        "registry create default --host a --provider simple",
        "registry create default --service a --port 99999",
        "registry create default --host a --timeout soon",
        "registry delete",
        "registry info default colour",
        "completion tcsh",
    ];
    for command in commands {
        let output = environment.run(&command.split_whitespace().collect::<Vec<_>>());
        assert_eq!(output.code, 2, "{command}: {output}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{command}: {output}");
    }
}

#[test]
fn wrong_values_are_explained() {
    let environment = TestEnvironment::new();
    environment.write("hello.txt", "Hello!");
    let push = |name: &str| environment.run(&["image", "push", "default", name, "hello.txt"]);
    insta::assert_snapshot!(push("App"), @r#"
    [2]
    error: invalid value 'App' for '<IMAGE>': "App" is no repository name: lower-case letters and digits, separated by '.', '_', '__' or '-', in parts separated by '/', at most 255 characters

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(push("app:a b"), @r#"
    [2]
    error: invalid value 'app:a b' for '<IMAGE>': "a b" is no tag: letters, digits, '_', '.' and '-', not starting with '.' or '-', at most 128 characters

    For more information, try '--help'.
    "#);
    insta::assert_snapshot!(environment.run(&["image", "list", "default", "-o", "xml"]), @r#"
    [2]
    error: output format xml is not written any more: take json or yaml
    "#);
    insta::assert_snapshot!(environment.run(&["registry", "create", "default", "--host", "a", "--timeout", "soon"]), @r#"
    [2]
    error: invalid value 'soon' for '--timeout <DURATION>': "soon" is no duration such as 30s or 5m: failed to parse input in the "friendly" duration format: expected duration to start with a unit value (a decimal integer) after an optional sign, but no integer was found

    For more information, try '--help'.
    "#);
}

#[test]
fn help_and_version_go_to_standard_output() {
    let environment = TestEnvironment::alone();
    for args in [&["--help"][..], &["help", "image"], &["image", "push", "-h"], &["--version"]] {
        assert!(!environment.ok(args).is_empty());
    }
}

#[test]
fn completion_for_shells() {
    let environment = TestEnvironment::alone();
    for (shell, mark) in
        [("bash", "complete -F _reposure"), ("zsh", "#compdef reposure"), ("fish", "complete -c reposure")]
    {
        let script = environment.ok(&["completion", shell]);
        assert!(script.contains(mark), "{shell}");
        assert!(script.contains("unpack"), "{shell} knows no option of image pull");
        assert!(!script.contains("messagepack"), "{shell} offers a format that is not written");
    }
}
