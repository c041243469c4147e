//! `reposure operator`: what it prints.

use crate::TestEnvironment;

#[test]
fn manifests_are_printed_without_a_wait() {
    let environment = TestEnvironment::alone();
    let printed = environment.run(&["operator", "manifests", "--cluster", "-n", "team"]);
    assert!(printed.code == 0 && printed.text().contains("kind: ClusterRoleBinding"), "{printed}");
    assert_eq!(environment.run(&["operator", "manifests", "--wait"]).code, 2);
    let help = environment.ok(&["operator", "--help"]);
    assert!(help.contains("manifests  Print what"), "{help}");
}
