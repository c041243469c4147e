//! The plan of a surrogate.

use k8s_openapi::api::core::v1::Service;
use reposure_admin::{
    Manager, Observed, Plan, ServiceState, Settings, SurrogatePlan,
    plan::{self, LogFormat},
};
use reposure_api::{Reason, Registry, RegistryKind, SpecError, UploadStrategy};
use serde_json::{Value, json};

pub(crate) fn registry() -> Registry {
    serde_json::from_value(json!({
        "apiVersion": "reposure.puccini.cloud/v1alpha1", "kind": "Registry",
        "metadata": {"name": "default", "namespace": "team", "uid": "u"},
        "spec": {
            "type": "oci", "indirect": {"service": "reposure-simple", "port": 5000},
            "authenticationSecret": "ca", "authorizationSecret": "credentials",
        },
    }))
    .unwrap()
}

fn planned(registry: &Registry, service: ServiceState) -> SurrogatePlan {
    plan::surrogate(registry, &Observed { service }, &Settings::new("image:1", Manager::Operator)).unwrap()
}

fn object(plan: &Plan, kind: &str) -> Value {
    let mut objects = plan.objects().map(|object| serde_json::to_value(object).unwrap());
    objects.find(|object| object["kind"] == kind).unwrap()
}

fn service(spec: &Value) -> ServiceState {
    let service: Service = serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
    ServiceState::of(Some(&service))
}

fn annotation(registry: &Registry) -> Value {
    let set = object(&planned(registry, ServiceState::Unknown).plan, "StatefulSet");
    set["spec"]["template"]["metadata"]["annotations"]["reposure.puccini.cloud/config-hash"].clone()
}

#[test]
fn configures_the_surrogate() {
    let plan = planned(&registry(), ServiceState::Unknown).plan;
    insta::assert_snapshot!(object(&plan, "ConfigMap")["data"]["config.json"].as_str().unwrap(), @r#"
    {
      "namespace": "team",
      "registry": "default",
      "listen": "0.0.0.0:10250",
      "statusListen": "0.0.0.0:10251",
      "upstream": {
        "host": "reposure-simple.team.svc:5000",
        "scheme": "https",
        "authorityFile": "/var/run/reposure/authority/ca.crt",
        "credentials": "/var/run/reposure/credentials"
      },
      "access": {
        "mode": "tokens",
        "apiServer": "https://kubernetes.default.svc",
        "apiServerAuthorityFile": "/var/run/reposure/kubernetes/ca.crt",
        "apiServerTokenFile": "/var/run/reposure/kubernetes/token",
        "audience": "reposure.puccini.cloud/team/default",
        "serviceAccountNamespace": "team",
        "serviceAccounts": {
          "pull": "reposure-surrogate-default-pull",
          "push": "reposure-surrogate-default-push",
          "admin": "reposure-surrogate-default-admin"
        }
      },
      "sessionSocket": "reposure-surrogate",
      "podUidFile": "/var/run/reposure/kubernetes/pod-uid"
    }
    "#);
}

/// The specification of the surrogate's `StatefulSet`.
fn stateful_set() -> Value {
    object(&planned(&registry(), ServiceState::Unknown).plan, "StatefulSet")["spec"].clone()
}

#[test]
fn makes_a_pod_with_files_only() {
    let mut set = stateful_set();
    // They have tests of their own.
    let pod = set["template"]["spec"].as_object_mut().unwrap();
    assert!(pod.shift_remove("containers").is_some() && pod.shift_remove("volumes").is_some());
    insta::assert_snapshot!(serde_saphyr::to_string(&set).unwrap(), @r#"
    podManagementPolicy: Parallel
    replicas: 1
    selector:
      matchLabels:
        app.kubernetes.io/instance: default
        app.kubernetes.io/name: reposure-surrogate
    template:
      metadata:
        annotations:
          reposure.puccini.cloud/config-hash: 120d85c84d9c17b4708d2847857615f9
          reposure.puccini.cloud/registry: default
        labels:
          app.kubernetes.io/instance: default
          app.kubernetes.io/managed-by: reposure-operator
          app.kubernetes.io/name: reposure-surrogate
          app.kubernetes.io/part-of: reposure
      spec:
        affinity:
          nodeAffinity:
            requiredDuringSchedulingIgnoredDuringExecution:
              nodeSelectorTerms:
              - matchExpressions:
                - key: kubernetes.io/os
                  operator: In
                  values:
                  - linux
        automountServiceAccountToken: false
        enableServiceLinks: false
        securityContext:
          runAsNonRoot: true
          seccompProfile:
            type: RuntimeDefault
        serviceAccountName: reposure-surrogate-default
        terminationGracePeriodSeconds: 30
        tolerations:
        - effect: NoExecute
          key: node.kubernetes.io/not-ready
          operator: Exists
          tolerationSeconds: 30
        - effect: NoExecute
          key: node.kubernetes.io/unreachable
          operator: Exists
          tolerationSeconds: 30
    "#);
}

#[test]
fn its_only_container_is_restricted() {
    let containers = &stateful_set()["template"]["spec"]["containers"];
    insta::assert_snapshot!(serde_saphyr::to_string(containers).unwrap(), @r#"
    - args:
      - --config
      - /etc/reposure/config.json
      command:
      - /reposure-surrogate
      - serve
      image: image:1
      imagePullPolicy: IfNotPresent
      livenessProbe:
        failureThreshold: 6
        httpGet:
          path: /alive
          port: status
        periodSeconds: 10
        timeoutSeconds: 5
      name: surrogate
      ports:
      - containerPort: 10250
        name: api
        protocol: TCP
      - containerPort: 10251
        name: status
        protocol: TCP
      readinessProbe:
        httpGet:
          path: /alive
          port: status
        periodSeconds: 5
        timeoutSeconds: 3
      resources:
        limits:
          cpu: "2"
          memory: 160Mi
        requests:
          cpu: 100m
          memory: 64Mi
      securityContext:
        allowPrivilegeEscalation: false
        capabilities:
          drop:
          - ALL
        readOnlyRootFilesystem: true
      volumeMounts:
      - mountPath: /etc/reposure
        name: config
        readOnly: true
      - mountPath: /var/run/reposure/kubernetes
        name: kubernetes
        readOnly: true
      - mountPath: /var/run/reposure/authority
        name: authority
        readOnly: true
      - mountPath: /var/run/reposure/credentials
        name: credentials
        readOnly: true
    "#);
}

#[test]
fn its_volumes_are_files() {
    let volumes = &stateful_set()["template"]["spec"]["volumes"];
    insta::assert_snapshot!(serde_saphyr::to_string(volumes).unwrap(), @r#"
    - configMap:
        items:
        - key: config.json
          path: config.json
        name: reposure-surrogate-default
      name: config
    - name: kubernetes
      projected:
        sources:
        - serviceAccountToken:
            expirationSeconds: 3600
            path: token
        - configMap:
            items:
            - key: ca.crt
              path: ca.crt
            name: kube-root-ca.crt
        - downwardAPI:
            items:
            - fieldRef:
                fieldPath: metadata.uid
              path: pod-uid
    - name: authority
      secret:
        items:
        - key: tls.crt
          path: ca.crt
        optional: true
        secretName: ca
    - name: credentials
      secret:
        optional: true
        secretName: credentials
    "#);
}

#[test]
fn makes_identities_whose_tokens_nobody_mounts_unasked() {
    let plan = planned(&registry(), ServiceState::Unknown).plan;
    let accounts: Vec<_> = plan
        .objects()
        .map(|object| serde_json::to_value(object).unwrap())
        .filter(|object| object["kind"] == "ServiceAccount")
        .collect();
    assert!(accounts.iter().all(|account| account["automountServiceAccountToken"] == false));
    let names: Vec<_> =
        accounts.iter().map(|account| account["metadata"]["name"].as_str().unwrap()).collect();
    let base = "reposure-surrogate-default";
    let expected = [base.into(), format!("{base}-pull"), format!("{base}-push"), format!("{base}-admin")];
    assert_eq!(names, expected);
}

#[test]
fn names_the_address_of_a_service() {
    let ports = json!([{"port": 5000}]);
    let found = planned(&registry(), service(&json!({"clusterIP": "10.96.1.2", "ports": ports})));
    assert_eq!((found.host.as_str(), found.problem), ("10.96.1.2:5000", None));
    for spec in
        [json!({"clusterIP": "None", "ports": []}), json!({"type": "ExternalName", "externalName": "x"})]
    {
        let headless = planned(&registry(), service(&spec));
        assert_eq!((headless.host.as_str(), headless.problem), ("reposure-simple.team.svc:5000", None));
    }
}

#[test]
fn names_what_is_wrong_with_a_service() {
    let missing = planned(&registry(), ServiceState::of(None));
    assert_eq!(missing.problem.unwrap().0, Reason::ServiceNotFound);
    let ports = json!([{"port": 80, "protocol": "TCP"}, {"port": 5000, "protocol": "UDP"}]);
    let other = planned(&registry(), service(&json!({"clusterIP": "10.96.1.2", "ports": ports})));
    let (reason, message) = other.problem.unwrap();
    assert_eq!(reason, Reason::ServicePortNotFound);
    assert_eq!(message, "Service team/reposure-simple:5000 has no such TCP port, but 80");
}

#[test]
fn the_form_of_uploads_is_written_where_it_is_wished() {
    let text = |wished| {
        let mut registry = registry();
        registry.spec.upload = wished;
        let plan = planned(&registry, ServiceState::Unknown).plan;
        object(&plan, "ConfigMap")["data"]["config.json"].as_str().unwrap().to_owned()
    };
    // So that surrogates stay as they are where nothing is said.
    assert!(!text(None).contains("upload"));
    assert_eq!(text(Some(UploadStrategy::Auto)), text(None));
    for (wished, written) in [
        (UploadStrategy::Monolithic, "monolithic"),
        (UploadStrategy::Stream, "stream"),
        (UploadStrategy::Chunked, "chunked"),
    ] {
        assert!(text(Some(wished)).contains(&format!(r#""upload": "{written}""#)));
    }
}

#[test]
fn credentials_may_be_for_the_address_that_images_are_named_with() {
    let text = |registry: &Registry, service| {
        let plan = planned(registry, service).plan;
        object(&plan, "ConfigMap")["data"]["config.json"].as_str().unwrap().to_owned()
    };
    let found = service(&json!({"clusterIP": "10.96.1.2", "ports": [{"port": 5000}]}));
    assert!(text(&registry(), found.clone()).contains(r#""imageHost": "10.96.1.2:5000""#));
    assert!(!text(&registry(), ServiceState::Unknown).contains("imageHost"));
    // So that another address of the Service is no other pod.
    let mut open = registry();
    open.spec.authorization_secret = None;
    assert_eq!(text(&open, found), text(&open, ServiceState::Unknown));
}

#[test]
fn another_specification_is_another_pod() {
    let mut changed = registry();
    changed.spec.surrogate_port = Some(8443);
    assert_ne!(annotation(&registry()), annotation(&changed));
    assert_eq!(annotation(&registry()), annotation(&registry()));
}

#[test]
fn a_registry_may_be_called_by_its_surrogates_own_token() {
    let mut openshift = registry();
    openshift.spec.authorization_secret = None;
    openshift.spec.authorization_service_account = Some(true);
    let set = object(&planned(&openshift, ServiceState::Unknown).plan, "StatefulSet");
    let volumes = set["spec"]["template"]["spec"]["volumes"].as_array().unwrap().clone();
    let credentials = volumes.iter().find(|volume| volume["name"] == "credentials").unwrap();
    assert_eq!(credentials["projected"]["sources"][0]["serviceAccountToken"]["path"], "token");
}

#[test]
fn the_surrogate_of_openshifts_registry_knows_the_project_and_asks_the_api_server() {
    let mut openshift = registry();
    openshift.spec.kind = Some(RegistryKind::OpenShift);
    let config = object(&planned(&openshift, ServiceState::Unknown).plan, "ConfigMap");
    let config: serde_json::Value =
        serde_json::from_str(config["data"]["config.json"].as_str().unwrap()).unwrap();
    let expected = serde_json::json!({"name": "openshift", "project": "team", "apiServer": {
        "address": "https://kubernetes.default.svc",
        "authorityFile": "/var/run/reposure/kubernetes/ca.crt",
        "tokenFile": "/var/run/reposure/kubernetes/token"}});
    assert_eq!(config["upstream"]["kind"], expected);
    let plain = object(&planned(&registry(), ServiceState::Unknown).plan, "ConfigMap");
    assert!(!plain["data"]["config.json"].as_str().unwrap().contains("\"kind\""));
}

#[test]
fn the_rights_of_openshifts_surrogate_open_no_secret() {
    let plan = plan::image_streams_access(&registry());
    let role = object(&plan, "Role");
    let rules: Vec<String> = role["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| format!("{} {} {}\n", rule["apiGroups"], rule["resources"], rule["verbs"]))
        .collect();
    insta::assert_snapshot!(rules.concat(), @r#"
    ["image.openshift.io"] ["imagestreams"] ["get","list","create"]
    ["image.openshift.io"] ["imagestreams/layers"] ["get","update"]
    ["image.openshift.io"] ["imagestreamtags"] ["delete"]
    "#);
    let binding = object(&plan, "RoleBinding");
    assert_eq!(binding["roleRef"]["name"], role["metadata"]["name"]);
    assert_eq!(binding["subjects"][0]["name"], "reposure-surrogate-default");
}

#[test]
fn runs_where_its_image_does_and_logs_as_it_is_told() {
    let settings = Settings {
        architectures: vec!["arm64".into()],
        log_format: Some(LogFormat::Text),
        ..Settings::new("image", Manager::Cli)
    };
    let plan = plan::surrogate(&registry(), &Observed::default(), &settings).unwrap();
    let pod = object(&plan.plan, "StatefulSet")["spec"]["template"]["spec"].clone();
    assert!(pod["affinity"].to_string().contains(r#""values":["arm64"]"#), "{pod}");
    let arguments = json!(["--config", "/etc/reposure/config.json", "--log-format", "text"]);
    assert_eq!(pod["containers"][0]["args"], arguments);
}

#[test]
fn plans_nothing_for_an_invalid_specification() {
    let mut invalid = registry();
    invalid.spec.indirect = None;
    let settings = Settings::new("image", Manager::Operator);
    let error = plan::surrogate(&invalid, &Observed::default(), &settings).unwrap_err();
    assert_eq!(error, SpecError::NoTarget);
}
