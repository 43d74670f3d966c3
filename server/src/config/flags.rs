//! The flags of `larder serve`, made from the table.

use super::table::{Change, Kind, SETTINGS};
use clap::{Arg, ArgAction, ArgMatches};

/// One flag a setting.
pub fn serve_flags() -> impl Iterator<Item = Arg> {
    SETTINGS.iter().filter(|setting| setting.change != Change::Fact).filter_map(|setting| {
        let placeholder = setting.placeholder?;
        let many = setting.kind == Kind::Words;
        let hyphens = many || matches!(setting.kind, Kind::Integer(..0, _));
        let arg = Arg::new(setting.name).long(setting.name).value_name(placeholder).allow_hyphen_values(hyphens);
        let arg = arg.action(if many { ArgAction::Append } else { ArgAction::Set });
        // Defaults are not clap's: a flag that is not given must not win over the file.
        let default = match setting.default {
            "" => String::new(),
            text => format!(" [default: {text}]"),
        };
        Some(arg.help(format!("{}{default}", setting.doc)))
    })
}

/// The settings that were given as flags.
pub fn explicit(matches: &ArgMatches) -> Vec<(String, String)> {
    let given = SETTINGS.iter().filter(|setting| setting.change != Change::Fact && setting.placeholder.is_some());
    given
        .filter_map(|setting| {
            let words: Vec<&str> = matches.get_many::<String>(setting.name)?.map(String::as_str).collect();
            Some((setting.name.to_string(), words.join(" ")))
        })
        .collect()
}
