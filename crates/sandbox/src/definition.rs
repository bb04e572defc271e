//! The names that an integration declares. The API rejects all others.

use std::collections::BTreeMap;
use std::io;

use serde::Deserialize;
use serde_json::Value;

use botpress_messages::contract::{OPERATIONS, Operation};

/// A list that is missing accepts every name.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Definition {
    #[serde(default)]
    pub(super) channels: Option<Vec<String>>,
    /// The names of tags, by record.
    #[serde(default)]
    pub(super) tags: BTreeMap<String, Vec<String>>,
}

impl Definition {
    /// Reads YAML, and so JSON.
    pub(super) fn read(text: &str) -> io::Result<Self> {
        let read = serde_path_to_error::deserialize(serde_yaml::Deserializer::from_str(text));
        read.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    }

    /// Checks that all tags belong to records that exist.
    pub(super) fn check(&self) -> io::Result<()> {
        let records = OPERATIONS.each_ref().map(|operation| operation.record);
        match self.tags.keys().find(|record| !records.contains(&record.as_str())) {
            None => Ok(()),
            Some(other) => {
                let known = records.join(", ");
                let error = format!("tags.{other}: there is no such record, only {known}");
                Err(io::Error::new(io::ErrorKind::InvalidInput, error))
            }
        }
    }

    /// The API's error text for each undeclared name in this body.
    pub(super) fn undeclared(&self, operation: &Operation, body: &Value) -> Vec<String> {
        let mut found = Vec::new();
        if let (Some(declared), Some(channel)) = (&self.channels, body["channel"].as_str())
            && !declared.iter().any(|name| name == channel)
        {
            found.push(format!("request/body/channel: no channel {channel:?} is declared"));
        }
        let record = operation.record;
        if let (Some(declared), Some(tags)) = (self.tags.get(record), body["tags"].as_object()) {
            let others = tags.keys().filter(|name| !declared.contains(name));
            found.extend(others.map(|name| {
                format!("request/body/tags: no tag {name:?} of a {record} is declared")
            }));
        }
        found
    }
}
