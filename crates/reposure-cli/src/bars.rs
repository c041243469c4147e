//! Progress on standard error: a bar for each part on a terminal; elsewhere a line when something is tried again.

use std::{collections::HashMap, io::IsTerminal as _, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use reposure_client::progress::{Event, Progress};
use reposure_parcel::upload::How;
use tokio::{sync::mpsc::UnboundedReceiver, task::JoinHandle};

use crate::printable;

/// A bar with bytes, rate and time left.
const STYLE: &str = "{prefix:12} {bar:30} {bytes:>11}/{total_bytes:11} {bytes_per_sec:>13} {msg}";
/// A part whose size is not known yet.
const SPINNER: &str = "{prefix:12} {spinner} {msg}";

/// Draws what a push or pull tells, until it ends.
pub(crate) struct Bars {
    task: JoinHandle<()>,
}

impl Bars {
    /// Starts to draw or, where standard error is no terminal, to write lines.
    pub(crate) fn start() -> (Self, Progress) {
        let (progress, events) = Progress::channel();
        let is_terminal = std::io::stderr().is_terminal();
        let task = if is_terminal { tokio::spawn(draw(events)) } else { tokio::spawn(tell(events)) };
        (Self { task }, progress)
    }

    /// Waits until all that was told is drawn; the other end must be gone.
    pub(crate) async fn finish(self) {
        // Bars are no reason to hold a command back.
        let _ = tokio::time::timeout(Duration::from_secs(1), self.task).await;
    }
}

async fn draw(mut events: UnboundedReceiver<Event>) {
    let screen = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    let mut bars = HashMap::new();
    while let Some(event) = events.recv().await {
        show(&screen, &mut bars, event);
    }
}

/// Says why it takes longer, once for each reason in a row.
async fn tell(mut events: UnboundedReceiver<Event>) {
    let mut last = String::new();
    while let Some(event) = events.recv().await {
        if let Event::Retrying { problem } = event
            && problem != last
        {
            eprintln!("trying again: {}", printable::line(&problem));
            last = problem;
        }
    }
}

fn show(screen: &MultiProgress, bars: &mut HashMap<usize, ProgressBar>, event: Event) {
    match event {
        Event::Began { part, label, size } => {
            let bar = screen.add(size.map_or_else(ProgressBar::new_spinner, ProgressBar::new));
            bar.set_style(style(if size.is_some() { STYLE } else { SPINNER }));
            bar.set_prefix(printable::line(&label).into_owned());
            if size.is_none() {
                bar.set_message("compressing");
                bar.enable_steady_tick(Duration::from_millis(120));
            }
            bars.insert(part, bar);
        }
        Event::Sized { part, size } => with(bars, part, |bar| {
            bar.disable_steady_tick();
            bar.set_style(style(STYLE));
            bar.set_message("");
            bar.set_length(size);
        }),
        Event::Advanced { part, bytes } => with(bars, part, |bar| bar.inc(bytes)),
        Event::Restarted { part } => with(bars, part, |bar| bar.set_position(0)),
        Event::Finished { part, how } => with(bars, part, |bar| {
            bar.set_style(style(STYLE));
            bar.set_position(bar.length().unwrap_or_default());
            bar.finish_with_message(match how {
                How::Existed => "already there",
                How::Mounted => "mounted",
                How::Uploaded => "done",
            });
        }),
        Event::Retrying { problem } => {
            // A screen that cannot be drawn on is no reason to end.
            let _ = screen.println(format!("trying again: {}", printable::line(&problem)));
        }
    }
}

fn with(bars: &HashMap<usize, ProgressBar>, part: usize, act: impl FnOnce(&ProgressBar)) {
    if let Some(bar) = bars.get(&part) {
        act(bar);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
