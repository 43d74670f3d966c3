//! The configuration file: TOML, with the names of the settings as keys.

use super::store::SetError;
use super::table::{Change, Kind, SETTINGS, Setting};
use std::io::Write;
use std::path::{Path, PathBuf};
use thiserror::Error;
use toml_edit::{Array, DocumentMut, Item, Value};

/// What is wrong with the settings that a node starts with, or with its file.
#[derive(Debug, Error)]
pub enum ConfigFileError {
    /// CONFIG REWRITE without a file.
    #[error("The server is running without a config file")]
    None,
    /// It cannot be read or written.
    #[error("{0}: {1}")]
    Io(PathBuf, std::io::Error),
    /// It is no TOML.
    #[error("{0}: {1}")]
    Syntax(PathBuf, String),
    /// A setting in the file, or among the flags.
    #[error("{file}{error}", file = .file.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default())]
    Value {
        /// The file, if it came from one.
        file: Option<PathBuf>,
        /// The setting and its fault.
        error: SetError,
    },
}

/// Names and values of a file, as CONFIG SET would be given them.
pub(super) fn read(path: &Path) -> Result<Vec<(String, String)>, ConfigFileError> {
    pairs(path, &load(path)?)
}

/// Names and values of the file at `path`, which holds `text`.
pub(super) fn pairs(path: &Path, text: &str) -> Result<Vec<(String, String)>, ConfigFileError> {
    let document = parse(path, text)?;
    let mut pairs = Vec::new();
    for (name, item) in document.iter() {
        let text = item.as_value().and_then(text_of).ok_or_else(|| {
            let reason = "must be a string, an integer, true, false, or an array of strings".to_string();
            ConfigFileError::Value { file: Some(path.into()), error: SetError::Invalid { name: name.into(), reason } }
        })?;
        pairs.push((name.to_string(), text));
    }
    Ok(pairs)
}

fn load(path: &Path) -> Result<String, ConfigFileError> {
    std::fs::read_to_string(path).map_err(|error| ConfigFileError::Io(path.into(), error))
}

fn parse(path: &Path, text: &str) -> Result<DocumentMut, ConfigFileError> {
    text.parse().map_err(|error: toml_edit::TomlError| ConfigFileError::Syntax(path.into(), error.to_string()))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.value().clone()),
        Value::Integer(number) => Some(number.value().to_string()),
        Value::Boolean(yes) => Some(if *yes.value() { "yes" } else { "no" }.to_string()),
        Value::Array(words) => {
            let words: Option<Vec<String>> = words.iter().map(text_of).collect();
            words.map(|words| words.join(" "))
        }
        _ => None,
    }
}

/// Brings the file up to date with `values` (by row of the table) and replaces it in one step.
pub(super) fn write(path: &Path, values: &[Option<String>]) -> Result<(), ConfigFileError> {
    let text = updated(path, &load(path)?, values)?;
    replace(path, text.as_bytes()).map_err(|error| ConfigFileError::Io(path.into(), error))
}

/// The `text` of the file at `path`, brought up to date.
pub(super) fn updated(path: &Path, text: &str, values: &[Option<String>]) -> Result<String, ConfigFileError> {
    let mut document = parse(path, text)?;
    for (setting, value) in SETTINGS.iter().zip(values) {
        let Some(value) = value else { continue };
        // A file that has it under its other name keeps that.
        let listed = setting.names().find(|name| document.contains_key(name));
        let name = listed.unwrap_or(setting.name);
        let listed = listed.is_some();
        if setting.change == Change::Fact || (!listed && value == setting.default) {
            continue;
        }
        let unchanged = document.get(name).and_then(Item::as_value).and_then(text_of);
        let unchanged = unchanged.and_then(|old| super::value::parse(setting, &old).ok());
        if unchanged.as_ref() == Some(value) {
            continue;
        }
        let mut new = to_toml(setting, value);
        // The spaces and the comment after a value belong to it.
        if let Some(old) = document.get(name).and_then(Item::as_value) {
            *new.decor_mut() = old.decor().clone();
        }
        document[name] = Item::Value(new);
    }
    Ok(document.to_string())
}

fn to_toml(setting: &Setting, value: &str) -> Value {
    match setting.kind {
        Kind::Integer(..) | Kind::Port | Kind::Bytes(..) => {
            value.parse::<i64>().map_or_else(|_| value.into(), Value::from)
        }
        Kind::Words => Value::Array(value.split_whitespace().collect::<Array>()),
        _ => value.into(),
    }
}

/// Writes beside the file, syncs, renames over it: a crash leaves the old or the new one, never half of either.
fn replace(path: &Path, contents: &[u8]) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let write = || {
        let mut file = std::fs::File::create(&beside)?;
        if let Ok(metadata) = std::fs::metadata(path) {
            // A file with a password in it keeps its mode.
            file.set_permissions(metadata.permissions())?;
        }
        file.write_all(contents)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().inspect_err(|_| drop(std::fs::remove_file(&beside)))
}
