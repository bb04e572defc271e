//! The example of a content: a call of its constructor, as documentation that is compiled and run.

use openapiv3::{ObjectType, ReferenceOr, Schema, SchemaKind, Type};
use serde_json::Value;

use crate::names;
use crate::spec::{Result, Schemas, is_any_string, name, resolved};
use crate::types::open_object;

/// The documentation of an example of a schema.
pub fn doc(schemas: &Schemas, schema: &str, example: &Value) -> Result<String> {
    let call = call(schemas, schema, example)?;
    Ok(format!(
        "\n\n```\nuse botpress_messages::content::*;\nuse botpress_messages::serde_json::{{json, to_value}};\n\n\
         let content = {call};\n\
         assert_eq!(to_value(content).unwrap(), json!({example}));\n```"
    ))
}

/// The call of a constructor that makes this value.
fn call(schemas: &Schemas, schema: &str, example: &Value) -> Result<String> {
    let object = schemas.get(schema).and_then(open_object);
    let object = object.ok_or(format!("{schema} has no constructor"))?;
    let values = example.as_object().ok_or(format!("{example} is not an object"))?;
    let mut code = format!("{schema}::new(");
    for (index, required) in object.required.iter().enumerate() {
        let value = values.get(required).ok_or(format!("`{required}` is missing"))?;
        code += if index == 0 { "" } else { ", " };
        code += &argument(schemas, object, required, value)?;
    }
    code += ")";
    for (key, value) in values.iter().filter(|(key, _)| !object.required.contains(key)) {
        let value = argument(schemas, object, key, value)?;
        code += &format!(".{}({value})", names::snake(key));
    }
    Ok(code)
}

fn argument(schemas: &Schemas, object: &ObjectType, key: &str, value: &Value) -> Result<String> {
    let property = object.properties.get(key).ok_or(format!("no property is `{key}`"))?;
    let property = property.clone().unbox();
    match value {
        Value::String(text) => match kind(schemas, &property) {
            Some(kind) if is_any_string(&kind) => Ok(format!("{text:?}")),
            _ => Err(format!("`{key}` is not a plain string, but {value} is one")),
        },
        Value::Number(number) => match kind(schemas, &property) {
            Some(Type::Number(_)) => Ok(format!("{:?}", number.as_f64().unwrap_or_default())),
            _ => Err(format!("`{key}` is not a number with a fraction, but {value} is a number")),
        },
        Value::Array(values) => {
            let items = match property {
                ReferenceOr::Item(Schema {
                    schema_kind: SchemaKind::Type(Type::Array(array)),
                    ..
                }) => array.items.map(ReferenceOr::unbox),
                _ => None,
            };
            let Some(ReferenceOr::Reference { reference }) = items else {
                return Err(format!("`{key}` is not an array of named schemas"));
            };
            let items = values.iter().map(|value| item(schemas, name(&reference, key)?, value));
            Ok(format!("[{}]", items.collect::<Result<Vec<_>>>()?.join(", ")))
        }
        other => Err(format!("{other} is not supported, only strings, numbers and arrays")),
    }
}

/// The type of a property, even if it is a reference with a description.
fn kind(schemas: &Schemas, property: &ReferenceOr<Schema>) -> Option<Type> {
    match resolved(schemas, property, "").ok()?.schema_kind {
        SchemaKind::Type(kind) => Some(kind),
        SchemaKind::AllOf { all_of } => kind(schemas, all_of.first()?),
        _ => None,
    }
}

/// An item of an array: an object, or an alternative by `type` and `payload`.
fn item(schemas: &Schemas, schema: &str, value: &Value) -> Result<String> {
    let is_choice = schemas
        .get(schema)
        .is_some_and(|schema| matches!(schema.schema_kind, SchemaKind::OneOf { .. }));
    match (value.get("type").and_then(Value::as_str), value.get("payload")) {
        (Some(kind), Some(payload)) if is_choice => {
            Ok(format!("{schema}::from({})", call(schemas, &names::pascal(kind), payload)?))
        }
        _ => call(schemas, schema, value),
    }
}
