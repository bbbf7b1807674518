// SPDX-License-Identifier: MPL-2.0

//! The command line, the environment and the file put together.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};

use super::Options;

impl Options {
    /// Puts the command line, the environment and the file together.
    ///
    /// # Errors
    ///
    /// For whoever started the program; `--help` is one of them.
    pub fn read(args: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, clap::Error> {
        let mut args: Vec<OsString> = args.into_iter().map(Into::into).collect();
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(&args)?;
        if let Some(path) = matches.get_one::<PathBuf>("config") {
            let wrong = |message: String| {
                let message = format!("{}: {message}", path.display());
                Self::command().error(clap::error::ErrorKind::InvalidValue, message)
            };
            let given = |name: &str| {
                let id = name.replace('-', "_");
                let argument = command.get_arguments().find(|argument| argument.get_id() == id.as_str());
                let argument = argument
                    .filter(|argument| !["config", "help", "version"].contains(&argument.get_id().as_str()));
                argument.map(|_| {
                    let source = matches.value_source(&id);
                    matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
                })
            };
            for (name, value) in read_file(path).map_err(wrong)? {
                match given(&name) {
                    None => return Err(wrong(format!("no such setting: {name}"))),
                    Some(true) => {}
                    Some(false) => args.extend(flags(&name, &value).map_err(wrong)?),
                }
            }
        }
        Self::from_arg_matches(&command.try_get_matches_from_mut(args)?)
    }
}

fn read_file(path: &Path) -> Result<toml::Table, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    text.parse().map_err(|error: toml::de::Error| error.to_string())
}

/// A setting as it would stand on the command line.
fn flags(name: &str, value: &toml::Value) -> Result<Vec<OsString>, String> {
    let flag = |value: String| OsString::from(format!("--{name}={value}"));
    match value {
        toml::Value::String(text) => Ok(vec![flag(text.clone())]),
        toml::Value::Integer(number) => Ok(vec![flag(number.to_string())]),
        toml::Value::Float(number) => Ok(vec![flag(number.to_string())]),
        toml::Value::Boolean(yes) => Ok(vec![flag(yes.to_string())]),
        toml::Value::Array(values) => {
            let flags: Result<Vec<_>, _> = values.iter().map(|value| flags(name, value)).collect();
            Ok(flags?.concat())
        }
        toml::Value::Table(_) | toml::Value::Datetime(_) => Err(format!("{name} is not a value")),
    }
}
