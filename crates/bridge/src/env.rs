//! Settings from the environment. A variable that is empty counts as missing.

use std::env::VarError;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use crate::Failure;

pub fn text(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Failure::settings(format!("{name} is not Unicode"))),
    }
}

pub fn parsed<T: FromStr<Err: Display>>(name: &str, default: T) -> Result<T, Failure> {
    Ok(optional(name)?.unwrap_or(default))
}

pub fn optional<T: FromStr<Err: Display>>(name: &str) -> Result<Option<T>, Failure> {
    let parse = |value: String| {
        value.parse().map_err(|e| Failure::settings(format!("{name}={value:?} cannot be: {e}")))
    };
    text(name)?.map(parse).transpose()
}

/// A number within bounds.
pub fn number<T>(name: &str, default: T, least: T, most: T) -> Result<T, Failure>
where
    T: FromStr<Err: Display> + PartialOrd + Display,
{
    let value = parsed(name, default)?;
    if value < least || value > most {
        let rule = format!("it has to be from {least} to {most}");
        return Err(Failure::settings(format!("{name}={value} cannot be: {rule}")));
    }
    Ok(value)
}

pub fn seconds(name: &str, default: u64, least: u64, most: u64) -> Result<Duration, Failure> {
    number(name, default, least, most).map(Duration::from_secs)
}
