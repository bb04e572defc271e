//! Reads the spec and looks things up in it.

use std::collections::BTreeMap;

use openapiv3::{OpenAPI, ReferenceOr, Schema, Type, VariantOrUnknownOrEmpty};
use serde_yaml::{Mapping, Value};

use crate::strict::shown;

/// The error is the place in the spec and the cause.
pub type Result<T> = std::result::Result<T, String>;

/// The named schemas of the spec.
pub type Schemas = BTreeMap<String, Schema>;

/// Reads YAML with merge keys applied, and checks its version.
pub fn read(yaml: &str) -> Result<Value> {
    let document = serde_yaml::from_str(yaml).map_err(|error| not_yaml(&error))?;
    let document = merged(document, "")?;
    match document.get("openapi") {
        Some(Value::String(version)) => match version.strip_prefix("3.0.") {
            Some(patch) if patch.parse::<u8>().is_ok() => Ok(document),
            _ => Err(format!("openapi: is {version}, has to be 3.0.x, like 3.0.3")),
        },
        Some(other) => {
            Err(format!("openapi: is {}, has to be a string, 3.0.x, like 3.0.3", shown(other)))
        }
        None if document.get("swagger").is_some() => {
            Err("swagger: not an OpenAPI document, but its predecessor; write openapi: 3.0.3"
                .into())
        }
        None => Err("openapi: missing, so this is not an OpenAPI document".into()),
    }
}

/// The place and the cause of an error of YAML.
fn not_yaml(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    if let Some((at, key)) = text.split_once("duplicate entry with key ") {
        // The line is that of the mapping, which is far from the key.
        let key = key.split(" at line ").next().unwrap_or(key).trim_matches('"');
        return format!("{}{key}: is there twice; remove one", at.replace(": ", "."));
    }
    match error.location() {
        Some(place) => format!("line {} column {}: not YAML: {text}", place.line(), place.column()),
        None => format!("not YAML: {text}"),
    }
}

/// Applies `<<`: a mapping's own keys take precedence, then the first merged ones. Statuses become strings.
fn merged(value: Value, at: &str) -> Result<Value> {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match value {
        Value::Sequence(list) => {
            let list = list.into_iter().enumerate();
            let list = list.map(|(index, value)| merged(value, &below(&index.to_string())));
            Ok(Value::Sequence(list.collect::<Result<_>>()?))
        }
        Value::Mapping(map) => {
            let (mut own, mut others) = (Mapping::new(), Vec::new());
            for (key, value) in map {
                let key = match key {
                    Value::Number(status) if at.ends_with(".responses") => {
                        Value::String(status.to_string())
                    }
                    key => key,
                };
                let place = below(key.as_str().unwrap_or("?"));
                match (key.as_str(), merged(value, &place)?) {
                    (Some("<<"), Value::Sequence(list)) => others.extend(list),
                    (Some("<<"), other) => others.push(other),
                    (_, value) => {
                        if own.insert(key, value).is_some() {
                            return Err(format!("{place}: is there twice; remove one"));
                        }
                    }
                }
            }
            for other in others {
                let Value::Mapping(other) = other else {
                    let shown = shown(&other);
                    let at = below("<<");
                    return Err(format!("{at}: only a mapping can be merged, but this is {shown}"));
                };
                for (key, value) in other {
                    own.entry(key).or_insert(value);
                }
            }
            Ok(Value::Mapping(own))
        }
        value => Ok(value),
    }
}

/// The document as openapiv3 models it.
pub fn parse(document: &Value) -> Result<OpenAPI> {
    serde_yaml::from_value(document.clone()).map_err(|whole| {
        // An error in a single schema gives a better place.
        let schemas = document.get("components").and_then(|components| components.get("schemas"));
        let schemas = schemas.and_then(Value::as_mapping).into_iter().flatten();
        let mut errors = schemas.filter_map(|(name, schema)| {
            let error = serde_yaml::from_value::<ReferenceOr<Schema>>(schema.clone()).err()?;
            Some(format!("components.schemas.{}: not OpenAPI 3.0: {error}", name.as_str()?))
        });
        errors.next().unwrap_or_else(|| format!("not OpenAPI 3.0: {whole}"))
    })
}

pub fn schemas(spec: &OpenAPI) -> Result<Schemas> {
    let components = spec.components.iter().flat_map(|c| &c.schemas);
    components
        .map(|(name, schema)| match schema {
            ReferenceOr::Item(schema) => Ok((name.clone(), schema.clone())),
            ReferenceOr::Reference { .. } => {
                Err(format!("components.schemas.{name}: is only a reference; write it out"))
            }
        })
        .collect()
}

/// The start of a reference to a named schema.
pub const SCHEMAS: &str = "#/components/schemas/";

/// The name of the schema that is referred to.
pub fn name<'a>(reference: &'a str, at: &str) -> Result<&'a str> {
    let name = reference.strip_prefix(SCHEMAS);
    name.ok_or(format!("{at}: {reference} is not one of components.schemas"))
}

pub fn resolve<'a>(schemas: &'a Schemas, reference: &str, at: &str) -> Result<&'a Schema> {
    let schema = schemas.get(name(reference, at)?);
    schema.ok_or(format!("{at}: {reference} does not exist"))
}

/// A schema, even if it is only referred to.
pub fn resolved(schemas: &Schemas, schema: &ReferenceOr<Schema>, at: &str) -> Result<Schema> {
    match schema {
        ReferenceOr::Item(schema) => Ok(schema.clone()),
        ReferenceOr::Reference { reference } => resolve(schemas, reference, at).cloned(),
    }
}

/// Whether any string is of this type.
pub fn is_any_string(kind: &Type) -> bool {
    matches!(kind, Type::String(string)
        if string.enumeration.is_empty() && string.format == VariantOrUnknownOrEmpty::Empty)
}

pub fn rust_name(name: &str, at: &str) -> Result<syn::Ident> {
    syn::parse_str(name).map_err(|_| format!("{at}: {name:?} cannot be a name in Rust"))
}

pub fn description<'a>(schema: &'a Schema, at: &str) -> Result<&'a str> {
    let description = schema.schema_data.description.as_deref();
    description.ok_or(format!("{at}: has no description; write one, which becomes documentation"))
}

/// Whether the values of a property must not be shown.
pub fn is_private(schema: &Schema) -> bool {
    schema.schema_data.extensions.contains_key("x-private")
}
