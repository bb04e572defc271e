//! The progress, and the cause of a wait: a bar on standard error, or lines if that is not a terminal.

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// How often a line reports the progress where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// Only the bar's own thread draws. Other threads only store the figures here, so that a stalled terminal does not
/// block them.
#[derive(Clone)]
pub struct Progress {
    bar: ProgressBar,
    figures: Arc<Figures>,
}

#[derive(Default)]
struct Figures {
    stored: AtomicUsize,
    failed: AtomicUsize,
    /// The processed bytes of the input.
    size: AtomicU64,
    /// Why a call waits before its next attempt.
    cause: Mutex<String>,
}

impl Progress {
    /// A bar for an input of this size, if that is known.
    pub fn start(size: Option<u64>) -> Self {
        let figures = Arc::<Figures>::default();
        let progress = Self { bar: ProgressBar::no_length(), figures: Arc::clone(&figures) };
        if progress.bar.is_hidden() {
            tokio::spawn(report(figures, size, |line| eprintln!("{line}")));
            return progress;
        }
        let template = match size {
            Some(_) => {
                "{spinner} [{bar:30}] {percent}% of {total_bytes}, {counts}, {eta} left{cause}"
            }
            None => "{spinner} {counts}, {elapsed}{cause}",
        };
        let causes = Arc::clone(&figures);
        let counts = move |_: &ProgressState, text: &mut dyn Write| {
            let [stored, failed] =
                [&figures.stored, &figures.failed].map(|count| count.load(Ordering::Relaxed));
            let _ = write!(text, "{stored} stored, {failed} failed");
        };
        let cause = move |_: &ProgressState, text: &mut dyn Write| {
            let cause = causes.cause.lock().unwrap_or_else(PoisonError::into_inner);
            if !cause.is_empty() {
                // On its own line.
                let _ = write!(text, "\n  {}", cause.chars().take(160).collect::<String>());
            }
        };
        let style = ProgressStyle::with_template(template).expect("the template is well formed");
        progress.bar.set_style(style.with_key("counts", counts).with_key("cause", cause));
        if let Some(size) = size {
            progress.bar.set_length(size);
        }
        progress.bar.enable_steady_tick(Duration::from_millis(100));
        let attempts = Targets::new().with_target("botpress_messages", LevelFilter::DEBUG);
        let causes = Causes(Arc::clone(&progress.figures));
        let subscriber = tracing_subscriber::registry().with(attempts).with(causes);
        tracing::subscriber::set_global_default(subscriber).expect("it is the only one");
        progress
    }

    /// Counts a line that has this number of bytes in the input.
    pub fn count(&self, stored: bool, size: u64) {
        let count = if stored { &self.figures.stored } else { &self.figures.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.figures.size.fetch_add(size, Ordering::Relaxed);
        self.bar.inc(size);
    }

    /// Hides the bar while `f` runs, for example to write to the same terminal.
    pub fn suspend<T>(&self, f: impl FnOnce() -> T) -> T {
        self.bar.suspend(f)
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Writes a line every ten seconds, until the program exits.
async fn report(figures: Arc<Figures>, size: Option<u64>, write: impl Fn(String)) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let [stored, failed] =
            [&figures.stored, &figures.failed].map(|count| count.load(Ordering::Relaxed));
        let done = figures.size.load(Ordering::Relaxed);
        let part = match size {
            Some(size) if size > 0 => format!("{}% done, ", done.saturating_mul(100) / size),
            _ => String::new(),
        };
        write(format!("progress: {part}{stored} stored, {failed} failed"));
    }
}

/// Keeps the newest reason to wait that the client reports, until a call succeeds.
struct Causes(Arc<Figures>);

impl<S: Subscriber> Layer<S> for Causes {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut attempt = Attempt::default();
        event.record(&mut attempt);
        let mut cause = self.0.cause.lock().unwrap_or_else(PoisonError::into_inner);
        match attempt {
            Attempt { waits: false, .. } => cause.clear(),
            Attempt { error: Some(error), .. } => *cause = format!("trying again: {error}"),
            Attempt { status: Some(status), .. } => {
                *cause = format!("trying again: the response was {status}");
            }
            Attempt { what, .. } => *cause = format!("trying again: {what}"),
        }
    }
}

/// What the client reports about an attempt.
#[derive(Default)]
struct Attempt {
    waits: bool,
    error: Option<String>,
    status: Option<u64>,
    what: String,
}

impl Visit for Attempt {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "wait_ms" => self.waits = true,
            "status" => self.status = Some(value),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            // Values recorded with `Display` arrive here too.
            "error" => self.error = Some(format!("{value:?}")),
            "message" => self.what = format!("{value:?}"),
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn progress_is_reported_every_ten_seconds() {
        let figures = Arc::<Figures>::default();
        let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
        let write = move |line| sender.send(line).unwrap();
        tokio::spawn(report(Arc::clone(&figures), Some(200), write));
        let start = tokio::time::Instant::now();
        figures.stored.store(3, Ordering::Relaxed);
        figures.size.store(50, Ordering::Relaxed);
        assert_eq!(lines.recv().await.unwrap(), "progress: 25% done, 3 stored, 0 failed");
        figures.failed.store(1, Ordering::Relaxed);
        assert_eq!(lines.recv().await.unwrap(), "progress: 25% done, 3 stored, 1 failed");
        // The clock is paused: this is exact.
        assert_eq!(start.elapsed(), 2 * INTERVAL);
    }
}
