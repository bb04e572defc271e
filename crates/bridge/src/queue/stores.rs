//! Creates the streams, applies the settings that were chosen, and creates streams again if they disappear.

use std::time::Duration;

use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{Config, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::Failure;

/// How often to look for streams that have disappeared.
const LOOKS_EVERY: Duration = Duration::from_secs(5);

/// The configuration with which a stream is created, and the settings that were chosen explicitly.
pub struct Store {
    pub config: Config,
    pub chosen: Chosen,
}

/// Settings that were chosen explicitly. Those that are `None` leave an existing stream as it is.
#[derive(Clone, Default)]
pub struct Chosen {
    pub max_bytes: Option<i64>,
    pub max_age: Option<Duration>,
    pub duplicate_window: Option<Duration>,
    pub replicas: Option<usize>,
}

impl Chosen {
    /// The existing configuration with the chosen settings, and a text for each difference.
    fn apply(&self, existing: &Config) -> (Config, Vec<String>) {
        let mut config = existing.clone();
        let mut differences = Vec::new();
        change(&mut config.max_bytes, self.max_bytes, "max_bytes", &mut differences);
        change(&mut config.max_age, self.max_age, "max_age", &mut differences);
        let window = self.duplicate_window;
        change(&mut config.duplicate_window, window, "duplicate_window", &mut differences);
        change(&mut config.num_replicas, self.replicas, "replicas", &mut differences);
        (config, differences)
    }
}

fn change<T: PartialEq + std::fmt::Debug>(
    value: &mut T,
    chosen: Option<T>,
    name: &str,
    differences: &mut Vec<String>,
) {
    if let Some(chosen) = chosen.filter(|chosen| chosen != value) {
        differences.push(format!("{name} from {value:?} to {chosen:?}"));
        *value = chosen;
    }
}

/// Opens a stream with the chosen settings, as far as the server allows them.
pub async fn open(context: &Context, store: Store) -> Result<Stream, Failure> {
    let Store { config, chosen } = store;
    let name = config.name.clone();
    let failed = |e: &dyn std::fmt::Display| Failure::new(format!("the stream {name}: {e}"));
    let stream = context.get_or_create_stream(config).await.map_err(|e| failed(&e))?;
    let (config, differences) = chosen.apply(&stream.cached_info().config);
    if differences.is_empty() {
        return Ok(stream);
    }
    let differences = differences.join("; ");
    if let Err(e) = context.update_stream(&config).await {
        tracing::warn!("the stream {name} cannot be changed: {differences}: {e}");
        return Ok(stream);
    }
    tracing::info!("the stream {name} is changed: {differences}");
    context.get_stream(&name).await.map_err(|e| failed(&e))
}

/// Creates streams again if they disappear, until `stop`.
pub async fn keep(context: Context, configs: Vec<Config>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = sleep(LOOKS_EVERY) => {}
            () = stop.cancelled() => return,
        }
        for config in &configs {
            let Err(e) = context.get_stream(&config.name).await else { continue };
            let name = &config.name;
            match e.kind() {
                GetStreamErrorKind::JetStream(e)
                    if e.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    tracing::error!(
                        "the stream {name} has disappeared with its content; it is created again"
                    );
                    if let Err(e) = context.get_or_create_stream(config).await {
                        tracing::error!("the stream {name} cannot be created: {e}");
                    }
                }
                // The server cannot be reached, which is reported elsewhere.
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_chosen_settings_that_differ_are_changed() {
        let existing = Config { max_bytes: 9, num_replicas: 1, ..Config::default() };
        let (config, differences) = Chosen::default().apply(&existing);
        assert_eq!((config, differences.len()), (existing.clone(), 0));
        let same = Chosen { max_bytes: Some(9), replicas: Some(1), ..Chosen::default() };
        assert!(same.apply(&existing).1.is_empty());
        let hour = Duration::from_secs(3_600);
        let chosen =
            Chosen { max_bytes: Some(8), max_age: Some(hour), replicas: Some(3), ..same.clone() };
        let (config, differences) = chosen.apply(&existing);
        let expected = Config { max_bytes: 8, max_age: hour, num_replicas: 3, ..existing };
        assert_eq!(config, expected);
        let texts = ["max_bytes from 9 to 8", "max_age from 0ns to 3600s", "replicas from 1 to 3"];
        assert_eq!(differences, texts);
    }
}
