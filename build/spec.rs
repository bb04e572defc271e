//! Reads the spec and looks things up in it.

use std::collections::BTreeMap;

use openapiv3::{OpenAPI, ReferenceOr, Schema};

/// The error is the place in the spec and the cause.
pub type Result<T> = std::result::Result<T, String>;

/// The named schemas of the spec.
pub type Schemas = BTreeMap<String, Schema>;

pub fn parse(yaml: &str) -> Result<OpenAPI> {
    let value: serde_yaml::Value =
        serde_yaml::from_str(yaml).map_err(|e| format!("not YAML: {e}"))?;
    match value.get("openapi").and_then(|version| version.as_str()) {
        Some(version) if version.strip_prefix("3.0.").is_some_and(|v| v.parse::<u8>().is_ok()) => {}
        Some(version) => return Err(format!("openapi: is {version}, has to be 3.0.x")),
        None => return Err("openapi: missing, so this is not an OpenAPI document".into()),
    }
    serde_yaml::from_str(yaml).map_err(|e| format!("not OpenAPI 3.0: {e}"))
}

pub fn schemas(spec: &OpenAPI) -> Result<Schemas> {
    let components = spec.components.iter().flat_map(|c| &c.schemas);
    components
        .map(|(name, schema)| match schema {
            ReferenceOr::Item(schema) => Ok((name.clone(), schema.clone())),
            ReferenceOr::Reference { .. } => {
                Err(format!("components.schemas.{name}: is only a reference"))
            }
        })
        .collect()
}

/// The name of the schema that is referred to.
pub fn name<'a>(reference: &'a str, at: &str) -> Result<&'a str> {
    let name = reference.strip_prefix("#/components/schemas/");
    name.ok_or(format!("{at}: {reference} is not one of components.schemas"))
}

pub fn resolve<'a>(schemas: &'a Schemas, reference: &str, at: &str) -> Result<&'a Schema> {
    let schema = schemas.get(name(reference, at)?);
    schema.ok_or(format!("{at}: {reference} does not exist"))
}

pub fn rust_name(name: &str, at: &str) -> Result<syn::Ident> {
    syn::parse_str(name).map_err(|_| format!("{at}: {name:?} cannot be a name in Rust"))
}

pub fn description<'a>(schema: &'a Schema, at: &str) -> Result<&'a str> {
    let description = schema.schema_data.description.as_deref();
    description.ok_or(format!("{at}: has no description"))
}
