//! The configuration file: whatever it holds is taken or refused, and what is taken is written back as it is.

use crate::config::{SETTINGS, Settings};

pub(super) fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Ok(settings) = Settings::from_text(&text) else { return };
    let rewritten = settings.to_text(&text).expect("what was read is TOML");
    let again = Settings::from_text(&rewritten).expect("what is written is read");
    for setting in SETTINGS {
        assert_eq!(settings.get(setting.name), again.get(setting.name), "{}", setting.name);
    }
}
