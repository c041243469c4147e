//! Observes, plans, applies, reports: the shell around the plan of `reposure-admin` and the conditions of `report`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::core::v1::{Pod, Service},
    jiff::Timestamp,
};
use kube::{
    Api,
    runtime::{controller::Action, reflector::ObjectRef},
};
use reposure_admin::{AdminError, ApplyOptions, Manager, Observed, ServiceState, SurrogatePlan, apply, plan};
use reposure_api::{NewCondition, Reason, Registry, State, Target};
use reposure_parcel::status::Status;
use tracing::Instrument as _;

use crate::{
    context::Context,
    events, lost_node,
    metrics::Outcome,
    probe::{ProbeError, probe},
    refusal, renewal,
    report::{self, Facts},
    status::{self, Places},
};

/// How long to wait for the first look at the cluster: a watch that is denied never has one.
const FIRST_LOOK: Duration = Duration::from_secs(20);

/// Why a registry could not be seen to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReconcileError {
    /// The watches have not shown the cluster.
    #[error("the watches have not shown the cluster within {} s", FIRST_LOOK.as_secs())]
    Blind,
    /// The plan could not be carried out.
    #[error("the surrogate cannot be made as it should be")]
    Apply(#[source] AdminError),
    /// The status could not be written.
    #[error("the status cannot be written")]
    Status(#[source] kube::Error),
}

/// Sees to `registry` once, which is counted and measured. Dropping the future leaves a part of the objects written; the next call writes the rest.
pub(crate) async fn reconcile(
    registry: Arc<Registry>,
    context: Arc<Context>,
) -> Result<Action, ReconcileError> {
    let metadata = &registry.metadata;
    let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref());
    let span = tracing::info_span!("reconcile", namespace, name, generation = metadata.generation);
    let start = Instant::now();
    let result = see_to(&registry, &context).instrument(span).await;
    let outcome = if result.is_ok() { Outcome::Success } else { Outcome::Error };
    context.metrics.reconciled(outcome, start.elapsed());
    result
}

async fn see_to(registry: &Registry, context: &Context) -> Result<Action, ReconcileError> {
    let first_look = tokio::time::timeout(FIRST_LOOK, context.stores.wait_until_ready()).await;
    if !matches!(first_look, Ok(Ok(()))) {
        return Err(ReconcileError::Blind);
    }
    if registry.metadata.deletion_timestamp.is_some() {
        // Owner references do the rest.
        return Ok(Action::await_change());
    }
    let observed = Observed { service: service(context, registry).await };
    match plan::surrogate(registry, &observed, &context.settings) {
        Ok(plan) => keep(registry, context, &plan).await,
        Err(error) => {
            report_on(registry, context, None, &report::invalid(&error)).await?;
            Ok(Action::await_change())
        }
    }
}

/// Says how long to wait after an error.
#[expect(clippy::needless_pass_by_value, reason = "the signature is the applier's")]
pub(crate) fn on_error(registry: Arc<Registry>, error: &ReconcileError, context: Arc<Context>) -> Action {
    let name = registry.metadata.name.as_deref();
    let namespace = registry.metadata.namespace.as_deref();
    let generation = registry.metadata.generation;
    tracing::warn!(namespace, name, generation, "{}", report::chain(error));
    let pause = memory(&context).failed(uid(&registry));
    Action::requeue(pause)
}

async fn keep(
    registry: &Registry,
    context: &Context,
    plan: &SurrogatePlan,
) -> Result<Action, ReconcileError> {
    let failure = carry_out(registry, context, plan).await.err();
    let namespace = registry.metadata.namespace.as_deref().unwrap_or_default();
    let pod = context.stores.pods.get(&ObjectRef::<Pod>::new(&plan.pod).within(namespace));
    let pod = pod.as_deref();
    let answer = ask(plan, pod).await;
    let now = Timestamp::now();
    // Nothing that is reached without TLS has a certificate.
    let renewal = if plan.tls { renewal::see_to(context, registry, now).await } else { None };
    let cause = cause(context, plan, namespace, pod, now).await;
    let facts = Facts { plan, failure: failure.as_ref(), pod, cause, answer: answer.as_ref(), renewal, now };
    let conditions = report::conditions(&facts);
    let places = Places {
        pod: plan.pod.clone(),
        host: plan.host.clone(),
        certificate_expires: certificate_expires(registry, answer.as_ref()),
    };
    report_on(registry, context, Some(places), &conditions).await?;
    if let Some(error) = failure {
        return Err(ReconcileError::Apply(error));
    }
    let ready = conditions[0].state == State::True;
    let generation = registry.metadata.generation;
    Ok(Action::requeue(memory(context).pause(uid(registry), generation, ready)))
}

/// Returns when the certificate ends that was shown last.
fn certificate_expires(registry: &Registry, answer: Option<&Result<Status, ProbeError>>) -> Option<String> {
    match answer {
        Some(Ok(status)) => status.certificate.as_ref().map(|certificate| certificate.not_after.clone()),
        _ => registry.status.as_ref().and_then(|status| status.certificate_expires.clone()),
    }
}

/// Looks further for what a pod that is missing or does not end waits for.
async fn cause(
    context: &Context,
    plan: &SurrogatePlan,
    namespace: &str,
    pod: Option<&Pod>,
    now: Timestamp,
) -> Option<(Reason, String)> {
    match pod {
        None => refusal::refusal(&context.client, namespace, &plan.stateful_set, now).await,
        Some(pod) => lost_node::take_off(&context.client, pod, now).await,
    }
}

/// Carries out what of `plan` is not as it was left.
async fn carry_out(registry: &Registry, context: &Context, plan: &SurrogatePlan) -> Result<(), AdminError> {
    let uid = uid(registry);
    let version = |object: &_| context.stores.version(object);
    let left = memory(context).left_to_do(uid, &plan.plan, version);
    if left.steps.is_empty() {
        return Ok(());
    }
    let options = ApplyOptions { manager: Manager::Operator, owner: apply::owner(registry), dry_run: false };
    let applied = apply::apply_all(&context.client, &left, &options).await?;
    remember(context, uid, plan, &applied);
    events::applied(context, registry, &applied).await;
    Ok(())
}

fn remember(context: &Context, uid: &str, plan: &SurrogatePlan, applied: &[reposure_admin::Applied]) {
    let registries = &context.stores.registries;
    let mut memory = memory(context);
    memory.applied(uid, &plan.plan, applied);
    if memory.len() > registries.len() {
        memory.retain(|uid| {
            registries.find(|registry| registry.metadata.uid.as_deref() == Some(uid)).is_some()
        });
    }
}

/// Asks the surrogate, if its pod is the one of `plan` and ready.
async fn ask(plan: &SurrogatePlan, pod: Option<&Pod>) -> Option<Result<Status, ProbeError>> {
    let pod = pod.filter(|pod| plan::pod::is_ready(pod) && plan.is_current(pod))?;
    Some(probe(pod).await)
}

async fn report_on(
    registry: &Registry,
    context: &Context,
    places: Option<Places>,
    conditions: &[NewCondition],
) -> Result<(), ReconcileError> {
    let new = status::status(registry, places, conditions, Timestamp::now());
    status::write(&context.client, registry, &new).await.map_err(ReconcileError::Status)?;
    events::readiness(context, registry, &new).await;
    Ok(())
}

/// Looks for the Service that `registry` names. What cannot be looked for is unknown: an operator for one namespace may
/// not see those of others.
async fn service(context: &Context, registry: &Registry) -> ServiceState {
    let own = registry.metadata.namespace.as_deref().unwrap_or_default();
    let Ok(Target::Service { namespace, name, .. }) = registry.spec.target(own) else {
        return ServiceState::Unknown;
    };
    let api = Api::<Service>::namespaced(context.client.clone(), &namespace);
    match api.get_opt(&name).await {
        Ok(service) => ServiceState::of(service.as_ref()),
        Err(error) => {
            tracing::debug!(namespace, name, "the Service cannot be read: {error}");
            ServiceState::Unknown
        }
    }
}

fn uid(registry: &Registry) -> &str {
    registry.metadata.uid.as_deref().unwrap_or_default()
}

fn memory(context: &Context) -> std::sync::MutexGuard<'_, crate::memory::Memory> {
    // A poisoned lock is one of a reconciliation that panicked; what it remembered is still sound.
    context.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
