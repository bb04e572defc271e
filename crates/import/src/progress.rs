//! The bar on standard error, if that is a terminal: how far the import is, and what it waits for.

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Only the bar's own thread draws. The others leave the figures here, so that a terminal that stands
/// still holds none of them up.
#[derive(Clone)]
pub struct Progress {
    bar: ProgressBar,
    figures: Arc<Figures>,
}

#[derive(Default)]
struct Figures {
    stored: AtomicUsize,
    failed: AtomicUsize,
    /// Why some call waits before its next attempt.
    cause: Mutex<String>,
}

impl Progress {
    /// A bar for an input of this size, if that is known.
    pub fn start(size: Option<u64>) -> Self {
        let figures = Arc::<Figures>::default();
        let progress = Self { bar: ProgressBar::no_length(), figures: Arc::clone(&figures) };
        if progress.bar.is_hidden() {
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
                // On a line of its own.
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

    /// Counts a line that took so much of the input.
    pub fn count(&self, stored: bool, size: u64) {
        let count = if stored { &self.figures.stored } else { &self.figures.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.bar.inc(size);
    }

    /// Does something without the bar, such as writing to the same terminal.
    pub fn suspend<T>(&self, f: impl FnOnce() -> T) -> T {
        self.bar.suspend(f)
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Keeps the newest reason to wait that the client tells, until a call gets through.
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
                *cause = format!("trying again: the answer was {status}");
            }
            Attempt { what, .. } => *cause = format!("trying again: {what}"),
        }
    }
}

/// What the client tells of an attempt.
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
            // Something that is displayed comes here too.
            "error" => self.error = Some(format!("{value:?}")),
            "message" => self.what = format!("{value:?}"),
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}
