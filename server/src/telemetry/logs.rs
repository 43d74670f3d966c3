//! Logs on standard error, as text or as one JSON object a line.

use std::sync::OnceLock;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Where openraft says that a group has stopped to whoever asks it something. The caller gets the same as its result, and
/// what stopped the group was told before, by its core: here it is news of every clean stop, and of every try after a
/// full disk.
const ECHOES: [&str; 3] = ["openraft::raft", "openraft::core::heartbeat", "openraft::core::sm::handle"];

/// What Redis's names for the levels let through. Libraries speak two levels lower: what openraft calls news (every vote,
/// every state of a core) is detail to an operator.
fn filter_of(name: &str) -> Targets {
    let (ours, libraries) = match name {
        "debug" => (LevelFilter::TRACE, LevelFilter::INFO),
        "verbose" => (LevelFilter::DEBUG, LevelFilter::WARN),
        "warning" => (LevelFilter::WARN, LevelFilter::ERROR),
        "nothing" => (LevelFilter::OFF, LevelFilter::OFF),
        _ => (LevelFilter::INFO, LevelFilter::ERROR),
    };
    let targets = Targets::new().with_default(libraries).with_target("larder", ours);
    match name {
        "debug" => targets,
        _ => targets.with_targets(ECHOES.map(|target| (target, LevelFilter::OFF))),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn openraft_is_heard_where_it_has_news() {
        let shows = |level, target, of| filter_of(level).would_enable(target, &of);
        let core = "openraft::core::raft_core";
        assert!(shows("notice", "larder::app::serve", Level::INFO) && !shows("notice", core, Level::WARN));
        for level in ["notice", "verbose", "warning", "debug"] {
            assert!(shows(level, core, Level::ERROR), "{level}: a fault of a group");
            assert_eq!(shows(level, "openraft::raft::raft_inner", Level::ERROR), level == "debug", "{level}: an echo");
            assert!(!shows(level, core, Level::DEBUG), "{level}: every step of every group");
        }
        assert!(shows("debug", core, Level::INFO) && !shows("verbose", core, Level::INFO));
        assert!(!shows("nothing", core, Level::ERROR) && !shows("nothing", "larder", Level::ERROR));
    }
}
