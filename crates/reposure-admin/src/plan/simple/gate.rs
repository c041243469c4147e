//! The container that stands before the registry: TLS, passwords, and the kubelet's probes.

use k8s_openapi::api::core::v1::{Container, VolumeMount};
use reposure_api::names::SIMPLE_PORT;
use reposure_parcel::{
    gate::{ALIVE, COMMAND, CONTAINER, HEALTH_PORT, READY},
    session::PROGRAM,
};

use super::{
    options::SimpleOptions,
    volumes::{TLS_FOLDER, USERS_FOLDER},
};
use crate::plan::{
    hardening::{Bounds, container_security, http_probe, patient_probe},
    surrogate_pod::port,
};

/// It passes on what comes. 512 connections with two buffers of 128 KiB each are 128 MiB; the rest is the program and the kernel's own.
const BOUNDS: Bounds =
    Bounds { cpu_request: "50m", cpu_limit: "2", memory_request: "32Mi", memory_limit: "256Mi" };

pub(super) fn container(options: &SimpleOptions, mounts: Vec<VolumeMount>) -> Container {
    let mut arguments = Vec::new();
    if options.tls {
        arguments.extend(["--tls".into(), TLS_FOLDER.into()]);
    }
    if options.authorization {
        arguments.extend(["--users".into(), USERS_FOLDER.into()]);
    }
    Container {
        name: CONTAINER.into(),
        image: Some(options.gate_image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec![PROGRAM.into(), COMMAND.into()]),
        args: Some(arguments),
        ports: Some(vec![port("registry", SIMPLE_PORT), port("health", HEALTH_PORT)]),
        readiness_probe: Some(http_probe(READY, "health", false)),
        liveness_probe: Some(patient_probe(ALIVE, "health", false)),
        resources: Some(BOUNDS.resources()),
        security_context: Some(container_security()),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}
