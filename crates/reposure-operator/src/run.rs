//! What runs beside each other, and its end.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use futures::{FutureExt as _, StreamExt as _, future::join_all};
use kube::{
    Api, Client,
    runtime::{
        applier, controller,
        events::{Recorder, Reporter},
    },
};
use reposure_api::labels::OPERATOR_MANAGER;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch::Receiver,
};

use crate::{
    args::Args,
    context::{Context, Stores},
    election::Election,
    health::{self, Health},
    memory::Memory,
    metrics::Metrics,
    reconcile::{on_error, reconcile},
    renewal::Renewals,
    standing::Standing,
    watch::watch,
};

/// The registries that are seen to at once, in all namespaces together.
const CONCURRENCY: usize = 8;
/// Triggers of one registry that come together are one: a rollout touches several objects at once.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// How long what has begun may go on after a signal; the kubelet kills after 30 s.
const DRAIN: Duration = Duration::from_secs(20);

/// What all terms of an operator have in common.
struct Operator {
    args: Args,
    client: Client,
    /// The namespaces that are seen to; none for all.
    namespaces: Vec<Option<String>>,
    standing: Arc<Standing>,
    metrics: Arc<Metrics>,
}

/// Stands for election, and sees to registries while it is won, until SIGTERM or SIGINT; then ends what has begun.
///
/// # Errors
/// If the cluster cannot be named, or the port of the health checks is taken.
pub async fn run(args: Args) -> anyhow::Result<()> {
    // Another provider can only be there if the process has chosen one already, and then it is as good.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let client = Client::try_default().await.context("no cluster is configured")?;
    let listener = health::bind(args.health_port)
        .await
        .with_context(|| format!("port {} of the health checks cannot be had", args.health_port))?;
    let end = on_signal()?;
    let (standing, metrics) = (Arc::new(Standing::default()), Arc::new(Metrics::new()));
    let health = Health { standing: Arc::clone(&standing), metrics: Arc::clone(&metrics) };
    let mut election = Election::new(Api::default_namespaced(client.clone()), identity(&args));
    let operator = Operator { namespaces: namespaces(&args, &client), args, client, standing, metrics };
    tokio::select! {
        never = health::serve(listener, health) => match never {},
        () = operator.take_turns(&mut election, &end) => tracing::info!("ended"),
        () = too_long(&end) => tracing::warn!("ended with work left, after {} s", DRAIN.as_secs()),
    }
    // Whatever was seen to has ended or was dropped.
    election.release().await;
    Ok(())
}

impl Operator {
    /// Leads whenever the election is won, until `end`.
    async fn take_turns(&self, election: &mut Election, end: &Receiver<bool>) {
        loop {
            tracing::info!("standing by");
            tokio::select! {
                () = election.win(|| self.standing.answered()) => {}
                () = ended(end) => return,
            }
            tokio::select! {
                () = self.lead(end) => return,
                () = election.keep() => tracing::warn!("the Lease is lost"),
            }
            self.standing.stand_by();
        }
    }

    /// Sees to registries until `end`, and ends what has begun. Dropped, it ends at once.
    async fn lead(&self, end: &Receiver<bool>) {
        let named: Vec<_> =
            self.namespaces.iter().map(|namespace| namespace.as_deref().unwrap_or("(all)")).collect();
        tracing::info!(namespaces = named.join(","), image = self.args.image, "seeing to registries");
        let policies = self.args.network_policies;
        let watch = |namespace: &Option<String>| watch(&self.client, namespace.as_deref(), policies);
        let watched: Vec<_> = self.namespaces.iter().map(watch).collect();
        self.standing.lead(watched.iter().map(|(stores, _)| stores.clone()).collect());
        join_all(watched.into_iter().map(|(stores, triggers)| {
            let context = Arc::new(self.context(stores));
            see_to(context, triggers, end, self.concurrency())
        }))
        .await;
    }

    fn concurrency(&self) -> u16 {
        u16::try_from((CONCURRENCY / self.namespaces.len().max(1)).max(1)).unwrap_or(1)
    }

    fn context(&self, stores: Stores) -> Context {
        let instance = self.args.pod_name.clone();
        let reporter = Reporter { controller: OPERATOR_MANAGER.into(), instance };
        Context {
            recorder: Recorder::new(self.client.clone(), reporter),
            client: self.client.clone(),
            settings: self.args.settings(),
            stores,
            memory: Mutex::new(Memory::default()),
            metrics: Arc::clone(&self.metrics),
            renewals: Renewals::default(),
        }
    }
}

async fn see_to(
    context: Arc<Context>,
    triggers: impl futures::Stream<
        Item = Result<controller::ReconcileRequest<reposure_api::Registry>, kube::runtime::watcher::Error>,
    >,
    end: &Receiver<bool>,
    concurrency: u16,
) {
    let store = context.stores.registries.clone();
    let config = controller::Config::default().concurrency(concurrency).debounce(DEBOUNCE);
    let queue = triggers.take_until(Box::pin(ended(end)));
    applier(
        |registry, context| reconcile(registry, context).boxed(),
        on_error,
        context,
        store,
        queue,
        config,
    )
    .for_each(|result| async {
        match result {
            Ok((registry, _action)) => tracing::debug!(%registry, "seen to"),
            // Logged with its pause.
            Err(controller::Error::ReconcilerFailed(..)) => {}
            // The registry was deleted meanwhile.
            Err(controller::Error::ObjectNotFound(registry)) => tracing::debug!(%registry, "gone"),
            Err(error) => tracing::warn!("{}", crate::report::chain(&error)),
        }
    })
    .await;
}

fn namespaces(args: &Args, client: &Client) -> Vec<Option<String>> {
    if args.all_namespaces {
        return vec![None];
    }
    if args.namespace.is_empty() {
        return vec![Some(client.default_namespace().into())];
    }
    let mut named = args.namespace.clone();
    named.sort();
    named.dedup();
    named.into_iter().map(Some).collect()
}

/// Returns the pod's name, which a container that was started again keeps; elsewhere one of this process.
fn identity(args: &Args) -> String {
    let process = || {
        let start = k8s_openapi::jiff::Timestamp::now().as_nanosecond();
        format!("{OPERATOR_MANAGER}-{}-{start}", std::process::id())
    };
    args.pod_name.clone().unwrap_or_else(process)
}

/// Returns a value that becomes true at the first SIGTERM or SIGINT.
fn on_signal() -> anyhow::Result<Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be handled")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be handled")?;
    let (sender, receiver) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = sender.closed() => return,
        }
        tracing::info!("ending what has begun");
        sender.send_replace(true);
        // Kept, so that receivers do not take the end of this task for a signal.
        sender.closed().await;
    });
    Ok(receiver)
}

async fn ended(end: &Receiver<bool>) {
    let mut end = end.clone();
    let _sender_gone = end.wait_for(|ended| *ended).await;
}

async fn too_long(end: &Receiver<bool>) {
    ended(end).await;
    tokio::time::sleep(DRAIN).await;
}
