//! Logs on standard error, as text or as one JSON object a line.

use std::sync::OnceLock;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

static LEVEL: OnceLock<reload::Handle<LevelFilter, Registry>> = OnceLock::new();

/// Redis's names for the levels.
fn level_of(name: &str) -> LevelFilter {
    match name {
        "debug" => LevelFilter::TRACE,
        "verbose" => LevelFilter::DEBUG,
        "warning" => LevelFilter::WARN,
        "nothing" => LevelFilter::OFF,
        _ => LevelFilter::INFO,
    }
}

/// Starts logging at `level` (a value of the setting `loglevel`). A second call changes the level only.
pub fn init_logs(json: bool, level: &str) {
    let (filter, handle) = reload::Layer::new(level_of(level));
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
        let _ = handle.modify(|filter| *filter = level_of(level));
    }
}
