//! The rules that the body of a request has to keep.

use openapiv3::{
    AdditionalProperties, ArrayType, NumberType, ObjectType, ReferenceOr, Schema, SchemaKind,
    StringType, Type, VariantOrUnknownOrEmpty,
};
use proc_macro2::TokenStream;
use quote::quote;

use crate::spec::{Result, Schemas, resolve};

/// A schema as the `Schema` of `src/generated.rs`. A keyword without a rule is an error, not a gap.
pub fn rules(
    schemas: &Schemas,
    schema: &ReferenceOr<Schema>,
    at: &str,
    outer: &[&str],
) -> Result<TokenStream> {
    let schema = match schema {
        ReferenceOr::Item(schema) => schema,
        ReferenceOr::Reference { reference } => {
            if outer.contains(&reference.as_str()) {
                return Err(format!("{at}: {reference} refers to itself"));
            }
            let schema = ReferenceOr::Item(resolve(schemas, reference, at)?.clone());
            return rules(schemas, &schema, reference, &[outer, &[reference]].concat());
        }
    };
    let unsupported = |what| Err(format!("{at}: {what} has no rule in the validation of requests"));
    if schema.schema_data.nullable {
        return unsupported("nullable");
    }
    match &schema.schema_kind {
        SchemaKind::Type(Type::String(StringType {
            format: VariantOrUnknownOrEmpty::Empty,
            pattern: None,
            enumeration,
            min_length,
            max_length,
        })) if !enumeration.contains(&None) => {
            let min = option(min_length);
            let max = option(max_length);
            let values = enumeration.iter().flatten();
            let date_time = is_marked(schema, "x-date-time");
            Ok(
                quote!(Schema::String { min: #min, max: #max, values: &[#(#values),*], date_time: #date_time }),
            )
        }
        SchemaKind::Type(Type::Number(NumberType {
            format: VariantOrUnknownOrEmpty::Empty,
            multiple_of: None,
            exclusive_minimum: false,
            exclusive_maximum: false,
            minimum,
            maximum: None,
            enumeration,
        })) if enumeration.is_empty() => {
            let min = option(minimum);
            Ok(quote!(Schema::Number { min: #min }))
        }
        SchemaKind::Type(Type::Array(ArrayType {
            items: Some(items),
            min_items: None,
            max_items: None,
            unique_items: false,
        })) => {
            let items = rules(schemas, &items.clone().unbox(), &format!("{at}.items"), outer)?;
            Ok(quote!(Schema::Array(&#items)))
        }
        SchemaKind::Type(Type::Object(ObjectType {
            properties,
            required,
            additional_properties,
            min_properties: None,
            max_properties: None,
        })) => {
            let others = match additional_properties {
                None | Some(AdditionalProperties::Any(true)) => {
                    quote!(Some(&Schema::Any))
                }
                Some(AdditionalProperties::Any(false)) => quote!(None),
                Some(AdditionalProperties::Schema(schema)) => {
                    let schema =
                        rules(schemas, schema, &format!("{at}.additionalProperties"), outer)?;
                    quote!(Some(&#schema))
                }
            };
            let names = properties.keys();
            let properties = properties
                .iter()
                .map(|(name, schema)| {
                    rules(
                        schemas,
                        &schema.clone().unbox(),
                        &format!("{at}.properties.{name}"),
                        outer,
                    )
                })
                .collect::<Result<Vec<_>>>()?;
            Ok(quote!(Schema::Object {
                properties: &[#((#names, #properties)),*],
                required: &[#(#required),*],
                others: #others,
            }))
        }
        // The one form of alternative that requests have: which property is there decides.
        SchemaKind::OneOf { one_of } => {
            let mut names = Vec::new();
            let mut alternatives = Vec::new();
            for (index, alternative) in one_of.iter().enumerate() {
                let at = format!("{at}.oneOf.{index}");
                let object = alternative.as_item().and_then(|schema| match &schema.schema_kind {
                    SchemaKind::Type(Type::Object(object)) => Some(object),
                    _ => None,
                });
                match object.map(|object| (object, object.properties.first())) {
                    Some((object, Some((name, schema))))
                        if object.properties.len() == 1
                            && object.required == [name.as_str()]
                            && object.additional_properties
                                == Some(AdditionalProperties::Any(false)) =>
                    {
                        names.push(name);
                        alternatives.push(rules(schemas, &schema.clone().unbox(), &at, outer)?);
                    }
                    _ => {
                        return Err(format!(
                            "{at}: has to be a closed object with one required property"
                        ));
                    }
                }
            }
            Ok(quote!(Schema::OneOf(&[#((#names, #alternatives)),*])))
        }
        SchemaKind::Any(any) if *any == Default::default() => Ok(quote!(Schema::Any)),
        SchemaKind::Type(Type::String(_)) => unsupported("a keyword of this string"),
        SchemaKind::Type(Type::Number(_)) => unsupported("a keyword of this number"),
        SchemaKind::Type(Type::Array(_)) => unsupported("a keyword of this array"),
        SchemaKind::Type(Type::Object(_)) => unsupported("a keyword of this object"),
        SchemaKind::Type(_) => unsupported("this type"),
        _ => unsupported("this combination of schemas"),
    }
}

fn is_marked(schema: &Schema, extension: &str) -> bool {
    schema.schema_data.extensions.get(extension) == Some(&true.into())
}

fn option<T: quote::ToTokens>(value: &Option<T>) -> TokenStream {
    value.as_ref().map_or(quote!(None), |value| quote!(Some(#value)))
}
