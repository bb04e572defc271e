//! The contract of the control API as JSON, in one file with the parts of the endpoints' spec that it refers to.

use std::sync::LazyLock;

use botpress_messages::contract::SPEC;
use serde_json::{Map, Value, json};

const CONTROL: &str = include_str!("../openapi.yaml");
/// How the control's contract refers to the other file, and how a contract refers to itself.
const OTHER_FILE: &str = "../../spec/botpress.yaml#/components/schemas/";
const SAME_FILE: &str = "#/components/schemas/";

static DOCUMENT: LazyLock<Value> = LazyLock::new(bundle);

pub(super) fn document() -> &'static Value {
    &DOCUMENT
}

/// The list of operations, for people and programs that explore the control API.
pub(super) fn index() -> Value {
    let object = |value: &'static Value| value.as_object().into_iter().flatten();
    let operations = object(&DOCUMENT["paths"]).flat_map(|(path, methods)| {
        object(methods).map(move |(method, operation)| {
            json!({
                "method": method.to_uppercase(),
                "path": format!("/_sandbox{path}"),
                "summary": operation["summary"],
            })
        })
    });
    let operations: Vec<_> = operations.collect();
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    json!({ "name": name, "version": version, "operations": operations })
}

/// Cannot fail in practice: both files are compiled in, and tests read the result.
fn bundle() -> Value {
    let [mut control, endpoints] =
        [CONTROL, SPEC].map(|text| serde_yaml::from_str::<Value>(text).unwrap_or_default());
    let mut wanted = Vec::new();
    localize(&mut control, OTHER_FILE, &mut wanted);
    let mut schemas = Map::new();
    while let Some(name) = wanted.pop() {
        if !schemas.contains_key(&name) {
            let mut schema = endpoints["components"]["schemas"][&name].clone();
            localize(&mut schema, SAME_FILE, &mut wanted);
            schemas.insert(name, schema);
        }
    }
    if let Some(own) = control["components"]["schemas"].as_object_mut() {
        own.extend(schemas);
    }
    control
}

/// Points references with this prefix to the same file, and collects the names of their schemas.
fn localize(value: &mut Value, prefix: &str, names: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| localize(item, prefix, names)),
        Value::Object(object) => {
            for (key, value) in object {
                let name = value.as_str().filter(|_| key == "$ref");
                match name.and_then(|reference| reference.strip_prefix(prefix)) {
                    Some(name) => {
                        names.push(name.to_owned());
                        *value = format!("{SAME_FILE}{name}").into();
                    }
                    None => localize(value, prefix, names),
                }
            }
        }
        _ => {}
    }
}
