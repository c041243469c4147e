//! Shells beside containers: what came of what ran there.

use serde_json::json;

use crate::TestEnvironment;

const PODS: &str = "/api/v1/namespaces/team/pods";

#[test]
fn a_command_that_fails_is_a_failure() {
    let environment = TestEnvironment::alone();
    let api_server = environment.api_server();
    let pod = |code: i32| {
        let status = json!({"name": "reposure-shell-1", "ready": false, "restartCount": 0, "image": "", "imageID": "",
            "state": {"terminated": {"exitCode": code}}});
        json!({"metadata": {"name": "a", "namespace": "team"}, "spec": {"containers": [{"name": "surrogate"}]},
            "status": {"ephemeralContainerStatuses": [status]}})
    };
    for (code, expected) in [(0, 0), (3, 1)] {
        let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod(code)]});
        api_server.put_object(PODS, list);
        api_server.put_object(&format!("{PODS}/a"), pod(code));
        api_server.put_object(&format!("{PODS}/a/ephemeralcontainers"), pod(code));
        api_server.put_object(&format!("{PODS}/a/log"), json!("said"));
        let output = environment.run(&["registry", "shell", "default", "-k", "config", "--", "false"]);
        assert_eq!((output.code, output.text().as_str()), (expected, "\"said\""), "{output}");
        assert_eq!(output.stderr.contains("ended with exit code 3"), code == 3, "{output}");
    }
}
