//! What runs beside each other, and its end.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use futures::{FutureExt as _, StreamExt as _};
use kube::{
    Client,
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
    health,
    memory::Memory,
    reconcile::{on_error, reconcile},
    watch::watch,
};

/// The registries that are seen to at once.
const CONCURRENCY: u16 = 8;
/// Triggers of one registry that come together are one: a rollout touches several objects at once.
const DEBOUNCE: Duration = Duration::from_millis(200);
/// How long what has begun may go on after a signal; the kubelet kills after 30 s.
const DRAIN: Duration = Duration::from_secs(20);

/// Sees to registries until SIGTERM or SIGINT, then ends what has begun.
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
    let namespace = namespace(&args, &client);
    tracing::info!(
        namespace = namespace.as_deref().unwrap_or("(all)"),
        image = args.image,
        "seeing to registries"
    );
    let (stores, triggers) = watch(&client, namespace.as_deref());
    let ready = ready(&stores);
    let context = Arc::new(context(&args, client, stores));
    let work = see_to(context, triggers, end.clone());
    tokio::select! {
        never = health::serve(listener, ready) => match never {},
        () = work => tracing::info!("ended"),
        () = too_long(end) => tracing::warn!("ended with work left, after {} s", DRAIN.as_secs()),
    }
    Ok(())
}

async fn see_to(
    context: Arc<Context>,
    triggers: impl futures::Stream<
        Item = Result<controller::ReconcileRequest<reposure_api::Registry>, kube::runtime::watcher::Error>,
    >,
    end: Receiver<bool>,
) {
    let store = context.stores.registries.clone();
    let config = controller::Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE);
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

fn namespace(args: &Args, client: &Client) -> Option<String> {
    if args.all_namespaces {
        return None;
    }
    Some(args.namespace.clone().unwrap_or_else(|| client.default_namespace().into()))
}

fn context(args: &Args, client: Client, stores: Stores) -> Context {
    let reporter = Reporter { controller: OPERATOR_MANAGER.into(), instance: args.pod_name.clone() };
    Context {
        recorder: Recorder::new(client.clone(), reporter),
        client,
        settings: args.settings(),
        stores,
        memory: Mutex::new(Memory::default()),
    }
}

fn ready(stores: &Stores) -> health::Ready {
    let stores = stores.clone();
    Arc::new(move || matches!(stores.wait_until_ready().now_or_never(), Some(Ok(()))))
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

async fn ended(mut end: Receiver<bool>) {
    let _sender_gone = end.wait_for(|ended| *ended).await;
}

async fn too_long(end: Receiver<bool>) {
    ended(end).await;
    tokio::time::sleep(DRAIN).await;
}
