//! The values in force.

use super::file::{self, ConfigFileError};
use super::table::{Change, POLICIES, SETTINGS, find};
use super::value;
use parking_lot::{Mutex, RwLock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU64, Ordering};
use thiserror::Error;

/// Why a value is not taken.
#[derive(Debug, Error, PartialEq, Eq, Clone)]
pub enum SetError {
    /// No such setting.
    #[error("unknown setting '{0}'")]
    Unknown(String),
    /// The setting and what is wrong with its value, in Redis's words.
    #[error("{name}: {reason}")]
    Invalid {
        /// The setting.
        name: String,
        /// The reason.
        reason: String,
    },
}

/// When a client that reads too slowly is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutputLimit {
    /// At once when so many bytes wait; 0: never.
    pub hard_bytes: u64,
    /// When so many bytes have waited for `soft_seconds`; 0: never.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft_seconds: u64,
}

/// The settings that are read while commands run: plain loads, no locks (but for the password, read by AUTH alone).
#[derive(Debug, Default)]
pub struct Live {
    maxmemory: AtomicU64,
    policy: AtomicU8,
    maxclients: AtomicU64,
    timeout: AtomicU64,
    tcp_keepalive: AtomicU64,
    protected: AtomicBool,
    bulk_bytes_max: AtomicU64,
    output: [AtomicU64; 3],
    shutdown_grace: AtomicU64,
    databases: AtomicU16,
    has_password: AtomicBool,
    password: RwLock<Option<Arc<[u8]>>>,
}

impl Live {
    /// The memory limit in bytes; 0: none.
    pub fn maxmemory(&self) -> u64 {
        self.maxmemory.load(Ordering::Relaxed)
    }

    /// What is evicted at the limit: one of [`POLICIES`].
    pub fn policy(&self) -> &'static str {
        POLICIES[usize::from(self.policy.load(Ordering::Relaxed))]
    }

    /// Most connections.
    pub fn maxclients(&self) -> u64 {
        self.maxclients.load(Ordering::Relaxed)
    }

    /// Seconds after which an idle connection is closed; 0: never.
    pub fn timeout_seconds(&self) -> u64 {
        self.timeout.load(Ordering::Relaxed)
    }

    /// Seconds between TCP keepalive probes; 0: none.
    pub fn tcp_keepalive_seconds(&self) -> u64 {
        self.tcp_keepalive.load(Ordering::Relaxed)
    }

    /// Whether protected mode is on.
    pub fn protected_mode(&self) -> bool {
        self.protected.load(Ordering::Relaxed)
    }

    /// Longest argument that a client may send.
    pub fn bulk_bytes_max(&self) -> u64 {
        self.bulk_bytes_max.load(Ordering::Relaxed)
    }

    /// When a client that reads too slowly is closed.
    pub fn output_limit(&self) -> OutputLimit {
        let [hard_bytes, soft_bytes, soft_seconds] = [0, 1, 2].map(|at: usize| self.output[at].load(Ordering::Relaxed));
        OutputLimit { hard_bytes, soft_bytes, soft_seconds }
    }

    /// Seconds that a stop may wait.
    pub fn shutdown_grace_seconds(&self) -> u64 {
        self.shutdown_grace.load(Ordering::Relaxed)
    }

    /// How many databases there are.
    pub fn databases(&self) -> u16 {
        self.databases.load(Ordering::Relaxed)
    }

    /// Whether clients must give a password.
    pub fn has_password(&self) -> bool {
        self.has_password.load(Ordering::Relaxed)
    }

    /// Whether `given` is the password. Takes the same time wherever the two differ.
    pub fn password_is(&self, given: &[u8]) -> bool {
        let password = self.password.read().clone();
        password.is_some_and(|password| {
            let differences = (0..given.len().max(password.len())).fold(0u8, |all, at| {
                all | (given.get(at).copied().unwrap_or(0) ^ password.get(at).copied().unwrap_or(0))
            });
            differences == 0 && given.len() == password.len()
        })
    }
}

/// All settings of a node.
#[derive(Debug)]
pub struct Settings {
    /// What was set explicitly, by row of the table.
    values: RwLock<Vec<Option<String>>>,
    live: Live,
    file: Option<PathBuf>,
    /// What start-time settings turned out to be; REWRITE leaves it out.
    settled: RwLock<Vec<Option<String>>>,
    rewrite: Mutex<()>,
}

impl Default for Settings {
    fn default() -> Self {
        let settings = Self {
            values: RwLock::new(vec![None; SETTINGS.len()]),
            live: Live::default(),
            file: None,
            settled: RwLock::new(vec![None; SETTINGS.len()]),
            rewrite: Mutex::new(()),
        };
        settings.refresh();
        settings
    }
}

impl Settings {
    /// Settings from `file`, if given, overridden by `flags`.
    ///
    /// # Errors
    /// Where the file cannot be read, or a value is wrong.
    pub fn load(file: Option<&Path>, flags: &[(String, String)]) -> Result<Self, ConfigFileError> {
        let mut settings = Self { file: file.map(Path::to_path_buf), ..Self::default() };
        let pairs = file.map(file::read).transpose()?.unwrap_or_default();
        settings.put(&pairs).map_err(|error| ConfigFileError::Value { file: file.map(Path::to_path_buf), error })?;
        settings.put(flags).map_err(|error| ConfigFileError::Value { file: None, error })?;
        settings.refresh();
        Ok(settings)
    }

    /// Settings of a file that holds `text`.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn from_text(text: &str) -> Result<Self, ConfigFileError> {
        let mut settings = Self::default();
        let pairs = file::pairs(Path::new("text"), text)?;
        settings.put(&pairs).map_err(|error| ConfigFileError::Value { file: None, error })?;
        settings.refresh();
        Ok(settings)
    }

    /// What REWRITE makes of such a file.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn to_text(&self, text: &str) -> Result<String, ConfigFileError> {
        file::updated(Path::new("text"), text, &self.values.read())
    }

    fn put(&mut self, pairs: &[(String, String)]) -> Result<(), SetError> {
        for (name, text) in pairs {
            let (index, canonical) = check(name, text, &[Change::Runtime, Change::Start])?;
            self.values.get_mut()[index] = Some(canonical);
        }
        Ok(())
    }

    /// The settings that commands read as they run.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The value in force, as CONFIG GET shows it; empty for names that do not exist.
    pub fn get(&self, name: &str) -> String {
        find(name).map_or_else(String::new, |(index, _)| self.at(index))
    }

    /// Whether somebody set it: by a flag, in the file or at run time.
    pub fn is_given(&self, name: &str) -> bool {
        find(name).is_some_and(|(index, _)| self.values.read()[index].is_some())
    }

    /// The value of row `index` of the table.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn at(&self, index: usize) -> String {
        if let Some(value) = &self.settled.read()[index] {
            return value.clone();
        }
        let values = self.values.read();
        if let Some(value) = &values[index] {
            return value.clone();
        }
        match SETTINGS[index].name {
            "maxmemory-policy" => {
                let limited = find("maxmemory").and_then(|(at, _)| values[at].as_deref()).is_some_and(|v| v != "0");
                if limited { "allkeys-lru" } else { "noeviction" }.to_string()
            }
            _ => SETTINGS[index].default.to_string(),
        }
    }

    /// The words of a list.
    pub fn words(&self, name: &str) -> Vec<String> {
        self.get(name).split_whitespace().map(str::to_string).collect()
    }

    /// A number; 0 where the setting is empty or none.
    pub fn number(&self, name: &str) -> u64 {
        self.get(name).parse().unwrap_or(0)
    }

    /// The text of a setting that has one.
    pub fn text(&self, name: &str) -> Option<String> {
        Some(self.get(name)).filter(|text| !text.is_empty())
    }

    /// Sets several at once, all or none, as CONFIG SET does.
    ///
    /// # Errors
    /// The first that is wrong; then nothing has changed.
    pub fn set(&self, pairs: &[(String, String)]) -> Result<(), SetError> {
        let mut checked: Vec<(usize, &String, String)> = Vec::with_capacity(pairs.len());
        for (name, _) in pairs {
            find(name).ok_or_else(|| SetError::Unknown(name.clone()))?;
        }
        for (name, text) in pairs {
            // What Redis could change and Larder cannot may be "set" to what it is: clients and tools do so blindly.
            if find(name).is_some_and(|(_, setting)| setting.change == Change::Fact && text == setting.default) {
                continue;
            }
            let (index, canonical) = check(name, text, &[Change::Runtime])?;
            // Under both of its names it may be given, as in Redis: the last one holds.
            if checked.iter().any(|(other, given, _)| *other == index && given.eq_ignore_ascii_case(name)) {
                return Err(SetError::Invalid { name: name.clone(), reason: "duplicate parameter".into() });
            }
            checked.push((index, name, canonical));
        }
        let mut values = self.values.write();
        for (index, _, mut canonical) in checked {
            if SETTINGS[index].name == "client-output-buffer-limit" {
                // A class that is not named keeps its limits.
                let old = values[index].as_deref().unwrap_or(SETTINGS[index].default);
                canonical = merge_limits(old, &canonical);
            }
            values[index] = Some(canonical);
        }
        drop(values);
        self.refresh();
        Ok(())
    }

    /// Records what a start-time setting turned out to be (a port that was picked, the default data directory).
    pub fn settle(&self, name: &str, value: &str) {
        if let Some((index, _)) = find(name) {
            self.settled.write()[index] = Some(value.to_string());
        }
    }

    /// Whether a port was left to the system.
    pub fn was_picked(&self, name: &str) -> bool {
        find(name).is_some_and(|(index, _)| self.values.read()[index].as_deref() == Some("0"))
    }

    /// The configuration file.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Writes what is in force to the file: settings that it has, and those that differ from their defaults. The file
    /// is replaced in one step, its comments kept. Does disk I/O: call it off the event loop.
    ///
    /// # Errors
    /// Where there is no file or it cannot be written.
    pub fn rewrite(&self) -> Result<(), ConfigFileError> {
        let _one_at_a_time = self.rewrite.lock();
        let path = self.file.as_deref().ok_or(ConfigFileError::None)?;
        let values: Vec<Option<String>> = self.values.read().clone();
        file::write(path, &values)
    }

    fn refresh(&self) {
        let live = &self.live;
        live.maxmemory.store(self.number("maxmemory"), Ordering::Relaxed);
        let policy = self.get("maxmemory-policy");
        live.policy.store(
            POLICIES.iter().position(|word| *word == policy).unwrap_or(POLICIES.len() - 1) as u8,
            Ordering::Relaxed,
        );
        live.maxclients.store(self.number("maxclients"), Ordering::Relaxed);
        live.timeout.store(self.number("timeout"), Ordering::Relaxed);
        live.tcp_keepalive.store(self.number("tcp-keepalive"), Ordering::Relaxed);
        live.protected.store(self.get("protected-mode") == "yes", Ordering::Relaxed);
        live.bulk_bytes_max.store(self.number("proto-max-bulk-len"), Ordering::Relaxed);
        live.databases.store(self.number("databases") as u16, Ordering::Relaxed);
        live.shutdown_grace.store(self.number("shutdown-grace"), Ordering::Relaxed);
        let limits = value::output_limits(&self.get("client-output-buffer-limit")).unwrap_or_default();
        for (cell, number) in live.output.iter().zip(limits[0].unwrap_or_default()) {
            cell.store(number, Ordering::Relaxed);
        }
        let password = self.get("requirepass");
        let password = (!password.is_empty()).then(|| Arc::from(password.into_bytes()));
        live.has_password.store(password.is_some(), Ordering::Relaxed);
        *live.password.write() = password;
    }
}

fn merge_limits(old: &str, new: &str) -> String {
    let (Ok(mut limits), Ok(given)) = (value::output_limits(old), value::output_limits(new)) else {
        return new.to_string();
    };
    limits.iter_mut().zip(given).for_each(|(limit, given)| *limit = given.or(*limit));
    value::format_output_limits(&limits)
}

fn check(name: &str, text: &str, allowed: &[Change]) -> Result<(usize, String), SetError> {
    let (index, setting) = find(name).ok_or_else(|| SetError::Unknown(name.to_string()))?;
    let invalid = |reason: String| SetError::Invalid { name: name.to_string(), reason };
    if !allowed.contains(&setting.change) {
        return Err(invalid("can't set immutable config".into()));
    }
    value::parse(setting, text).map(|canonical| (index, canonical)).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn the_policy_follows_from_the_limit_until_it_is_set() {
        let settings = Settings::default();
        assert_eq!(settings.live().policy(), "noeviction");
        settings.set(&pairs(&[("maxmemory", "1mb")])).unwrap();
        assert_eq!(settings.live().policy(), "allkeys-lru");
        assert_eq!(settings.live().maxmemory(), 1 << 20);
        settings.set(&pairs(&[("maxmemory-policy", "volatile-ttl")])).unwrap();
        assert_eq!(settings.live().policy(), "volatile-ttl");
        assert_eq!(settings.get("maxmemory-policy"), "volatile-ttl");
    }

    #[test]
    fn several_are_set_all_or_none() {
        let settings = Settings::default();
        settings.set(&pairs(&[("save", ""), ("appendonly", "no")])).unwrap();
        let error = settings.set(&pairs(&[("appendonly", "yes")])).unwrap_err();
        assert_eq!(error.to_string(), "appendonly: can't set immutable config");
        let error = settings.set(&pairs(&[("maxmemory", "5"), ("port", "1")])).unwrap_err();
        assert_eq!(error.to_string(), "port: can't set immutable config");
        assert_eq!(settings.live().maxmemory(), 0);
        let error = settings.set(&pairs(&[("timeout", "5"), ("TIMEOUT", "6")])).unwrap_err();
        assert_eq!(error.to_string(), "TIMEOUT: duplicate parameter");
        assert_eq!(settings.set(&pairs(&[("what", "5")])), Err(SetError::Unknown("what".into())));
        let error = settings.set(&pairs(&[("maxmemory-policy", "allkeys-fifo")])).unwrap_err();
        assert!(error.to_string().contains("argument(s) must be one of the following"), "{error}");
    }

    #[test]
    fn a_setting_has_its_earlier_name_too() {
        let settings = Settings::default();
        settings.set(&pairs(&[("hash-max-ziplist-entries", "5"), ("hash-max-listpack-entries", "6")])).unwrap();
        assert_eq!(settings.get("hash-max-ziplist-entries"), "6");
        let twice = pairs(&[("hash-max-ziplist-entries", "5"), ("HASH-max-ziplist-entries", "6")]);
        assert_eq!(settings.set(&twice).unwrap_err().to_string(), "HASH-max-ziplist-entries: duplicate parameter");
        settings.set(&pairs(&[("list-max-ziplist-size", "-1")])).unwrap();
        let text = "hash-max-ziplist-entries = 7 # theirs\n";
        let file = Settings::from_text(text).unwrap();
        assert_eq!(file.get("hash-max-listpack-entries"), "7");
        let rewritten = settings.to_text(text).unwrap();
        assert_eq!(rewritten, "hash-max-ziplist-entries = 6 # theirs\nlist-max-listpack-size = -1\n");
    }

    #[test]
    fn a_password_is_compared_whole() {
        let settings = Settings::default();
        assert!(!settings.live().has_password() && !settings.live().password_is(b""));
        settings.set(&pairs(&[("requirepass", "secret")])).unwrap();
        assert!(settings.live().has_password() && settings.live().password_is(b"secret"));
        for wrong in [&b""[..], b"secre", b"secret\0", b"Secret"] {
            assert!(!settings.live().password_is(wrong));
        }
    }

    #[test]
    fn flags_win_over_the_file_and_rewrite_keeps_comments() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("larder.toml");
        std::fs::write(
            &path,
            "# ours\nport = 7000\nmaxmemory = \"10mb\"\nbind = [\"127.0.0.1\", \"::1\"]\nprotected-mode = false\n",
        )
        .unwrap();
        let settings = Settings::load(Some(&path), &pairs(&[("port", "7001")])).unwrap();
        assert_eq!((settings.get("port").as_str(), settings.get("maxmemory").as_str()), ("7001", "10485760"));
        assert_eq!(settings.words("bind"), ["127.0.0.1", "::1"]);
        assert!(!settings.live().protected_mode());
        settings.set(&pairs(&[("timeout", "9")])).unwrap();
        settings.settle("cluster-port", "8001");
        assert_eq!(settings.get("cluster-port"), "8001");
        settings.rewrite().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("# ours") && text.contains("port = 7001") && text.contains("timeout = 9"), "{text}");
        assert!(!text.contains("maxclients") && !text.contains("cluster-port"), "{text}");
        assert_eq!(Settings::load(Some(&path), &[]).unwrap().words("bind"), ["127.0.0.1", "::1"]);
    }

    #[test]
    fn a_wrong_file_says_what_is_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("larder.toml");
        for (text, part) in [
            ("port = ", "larder.toml"),
            ("prot = 1", "unknown setting 'prot'"),
            ("maxmemory = \"x\"", "argument must be a memory value"),
            ("port = 1.5", "port"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Settings::load(Some(&path), &[]).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(matches!(Settings::default().rewrite(), Err(ConfigFileError::None)));
    }
}
