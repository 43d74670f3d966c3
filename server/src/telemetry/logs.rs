//! Logs on standard error, as text or as one JSON object a line.

use std::sync::OnceLock;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// What Redis's names for the levels let through. Libraries speak two levels lower: what openraft calls news (every vote,
/// every state of a core) is detail to an operator.
fn filter_of(name: &str) -> Targets {
    let (ours, libraries) = match name {
        "debug" => (LevelFilter::TRACE, LevelFilter::DEBUG),
        "verbose" => (LevelFilter::DEBUG, LevelFilter::INFO),
        "warning" => (LevelFilter::WARN, LevelFilter::ERROR),
        "nothing" => (LevelFilter::OFF, LevelFilter::OFF),
        _ => (LevelFilter::INFO, LevelFilter::ERROR),
    };
    Targets::new().with_default(libraries).with_target("larder", ours)
}

/// Starts logging at `level` (a value of the setting `loglevel`). A second call changes the level only.
pub fn init_logs(json: bool, level: &str) {
    let (filter, handle) = reload::Layer::new(filter_of(level));
    if LEVEL.set(handle).is_err() {
        return set_level(level);
    }
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    let started = if json {
        registry.with(lines.json().flatten_event(true)).try_init()
    } else {
        use std::io::IsTerminal;
        registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init()
    };
    if let Err(error) = started {
        tracing::warn!(%error, "another logger is installed");
    }
}

/// Changes the level of a running node.
pub fn set_level(level: &str) {
    if let Some(handle) = LEVEL.get() {
        // Fails only where the logger is gone.
        let _ = handle.modify(|filter| *filter = filter_of(level));
    }
}
