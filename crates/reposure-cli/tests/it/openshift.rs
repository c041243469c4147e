//! OpenShift's registry: the same commands, whatever it does in another way.

use http::Method;

use crate::TestEnvironment;

fn environment() -> TestEnvironment {
    let environment = TestEnvironment::openshift();
    environment.write("hello.txt", "Hello!");
    environment
}

#[test]
fn images_are_pushed_listed_pulled_and_deleted() {
    let environment = environment();
    for name in ["test/hello:v1", "test/hello:v2", "test/other"] {
        environment.ok(&["image", "push", "default", name, "hello.txt"]);
    }
    let listed = environment.ok(&["image", "list", "default"]);
    assert_eq!(listed, "test/hello:v1\ntest/hello:v2\ntest/other:latest\n");
    assert_eq!(environment.ok(&["image", "pull", "default", "test/hello:v1", "--unpack"]), "Hello!");
    environment.ok(&["image", "delete", "default", "test/hello:v1"]);
    assert_eq!(environment.registry().tags("test/hello"), ["v2"]);
    let missing = environment.run(&["image", "delete", "default", "test/hello:v1"]);
    assert_eq!(missing.code, 3, "{missing}");
    environment.ok(&["image", "delete", "default", "--all"]);
    assert_eq!(environment.ok(&["image", "list", "default"]), "");
    // The registry itself refuses both.
    assert_eq!(environment.registry().count(&Method::GET, "/v2/_catalog"), 0);
    assert_eq!(environment.registry().count(&Method::DELETE, "/v2/"), 0);
}

#[test]
fn a_digest_goes_with_its_tags() {
    let environment = environment();
    let digest = environment.ok(&["image", "push", "default", "test/hello:v1", "hello.txt"]);
    environment.ok(&["image", "push", "default", "test/hello:v2", "hello.txt"]);
    environment.ok(&["image", "delete", "default", &format!("test/hello@{}", digest.trim())]);
    assert!(environment.registry().tags("test/hello").is_empty());
}

#[test]
fn a_name_that_is_none_there_is_a_wrong_command_line() {
    let environment = environment();
    environment.registry().clear_requests();
    insta::assert_snapshot!(environment.run(&["image", "push", "default", "hello", "hello.txt"]), @r"
    [2]
    error: hello is no name in this registry: OpenShift wants PROJECT/NAME, exactly two parts
      try: test/hello, for one
    ");
    for command in
        ["pull default a/b/c", "verify default hello", "delete default hello", "referrers default hello"]
    {
        let args: Vec<_> = std::iter::once("image").chain(command.split(' ')).collect();
        let output = environment.run(&args);
        assert_eq!(output.code, 2, "{command}: {output}");
    }
    let asked = environment.registry().requests();
    assert!(asked.iter().all(|entry| entry.path == "/v2/"), "{asked:?}");
}

/// What the surrogate's project does not hold, its token opens not.
#[test]
fn another_project_is_denied() {
    let environment = environment();
    let denied = environment.run(&["image", "push", "default", "other/hello", "hello.txt"]);
    assert_eq!(denied.code, 4, "{denied}");
    assert_eq!(environment.run(&["image", "pull", "default", "other/hello", "--unpack"]).code, 4);
}
