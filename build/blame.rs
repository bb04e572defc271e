//! Finds the part of the spec that progenitor fails on, by trying the parts one by one.

use std::collections::BTreeSet;

use openapiv3::OpenAPI;
use serde_yaml::{Mapping, Value};

use crate::document::references;
use crate::spec::parse;

/// The place of the smallest part that fails alone, and its error.
pub fn find(
    document: &Value,
    fails: impl Fn(&OpenAPI) -> Option<String>,
) -> Option<(String, String)> {
    let section = |name| document.get("components")?.get(name)?.as_mapping();
    let schemas = section("schemas")?;
    let mut parts: Vec<_> = schemas
        .iter()
        .map(|(name, schema)| {
            let name = name.as_str().unwrap_or_default();
            let mut needed = BTreeSet::from([name]);
            add_needed(schemas, schema, &mut needed);
            (format!("components.schemas.{name}"), needed, Mapping::new())
        })
        .collect();
    parts.sort_by_key(|(_, needed, _)| needed.len());
    for (path, item) in document.get("paths")?.as_mapping()? {
        let all = schemas.keys().filter_map(Value::as_str).collect();
        let at = format!("paths.{}", path.as_str().unwrap_or_default());
        parts.push((at, all, Mapping::from_iter([(path.clone(), item.clone())])));
    }
    parts.into_iter().find_map(|(at, needed, paths)| {
        let mut part = document.clone();
        *part.get_mut("paths")? = Value::Mapping(paths);
        let schemas = part.get_mut("components")?.get_mut("schemas")?.as_mapping_mut()?;
        schemas.retain(|name, _| name.as_str().is_some_and(|name| needed.contains(name)));
        Some((at, fails(&parse(&part).ok()?)?))
    })
}

/// The names of the schemas that one needs.
fn add_needed<'a>(schemas: &'a Mapping, schema: &'a Value, needed: &mut BTreeSet<&'a str>) {
    let mut found = Vec::new();
    references(schema, &mut found);
    for name in found.into_iter().filter_map(|reference| reference.rsplit('/').next()) {
        if needed.insert(name)
            && let Some(schema) = schemas.get(name)
        {
            add_needed(schemas, schema, needed);
        }
    }
}
