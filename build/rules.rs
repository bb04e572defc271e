//! The rules for the body of a request.

use openapiv3::{
    AdditionalProperties, ArrayType, NumberType, ObjectType, ReferenceOr, Schema, SchemaKind,
    StringFormat, StringType, Type, VariantOrUnknownOrEmpty,
};
use proc_macro2::TokenStream;
use quote::quote;

use crate::spec::{Result, Schemas, is_private, name, resolve};

/// The one pattern with a rule: a date of the calendar and a time in ISO 8601, whose fraction and offset may be
/// missing.
pub const ISO_8601: &str = "^(?:\
    [0-9]{4}-(?:\
    (?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|\
    (?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|\
    02-(?:0[1-9]|1[0-9]|2[0-8]))|\
    (?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)\
    [Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:[.,][0-9]+)?\
    (?:[Zz]|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])?$";

/// Turns a schema into code for the `Schema` of `src/generated.rs`. A keyword without a rule is an error, not a gap.
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
            let at = format!("components.schemas.{}", name(reference, at)?);
            return rules(schemas, &schema, &at, &[outer, &[reference]].concat());
        }
    };
    let unsupported = |what| Err(format!("{at}: {what} has no rule in the validation of requests"));
    if schema.schema_data.nullable {
        return unsupported("nullable");
    }
    match &schema.schema_kind {
        SchemaKind::Type(Type::String(StringType {
            format,
            pattern,
            enumeration,
            min_length,
            max_length,
        })) if !enumeration.contains(&None) => {
            let min = option(min_length);
            let max = option(max_length);
            let values = enumeration.iter().flatten();
            let date = match (format, pattern.as_deref()) {
                (VariantOrUnknownOrEmpty::Empty, None) => quote!(None),
                (VariantOrUnknownOrEmpty::Empty, Some(ISO_8601)) => quote!(Some(Date::Iso8601)),
                (VariantOrUnknownOrEmpty::Item(StringFormat::DateTime), None) => {
                    quote!(Some(Date::Rfc3339))
                }
                _ => return unsupported("a keyword of this string"),
            };
            Ok(
                quote!(Schema::String { min: #min, max: #max, values: &[#(#values),*], date: #date }),
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
                    let (at, schema) = (format!("{at}.properties.{name}"), schema.clone().unbox());
                    let rules = rules(schemas, &schema, &at, outer)?;
                    let private = schema.as_item().is_some_and(is_private);
                    Ok(if private { quote!(Schema::Private(&#rules)) } else { rules })
                })
                .collect::<Result<Vec<_>>>()?;
            Ok(quote!(Schema::Object {
                properties: &[#((#names, #properties)),*],
                required: &[#(#required),*],
                others: #others,
            }))
        }
        // The only form of alternatives that requests have: the property that is present decides.
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
        SchemaKind::AllOf { all_of } if all_of.len() == 1 => {
            rules(schemas, &all_of[0], &format!("{at}.allOf.0"), outer)
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

fn option<T: quote::ToTokens>(value: &Option<T>) -> TokenStream {
    value.as_ref().map_or(quote!(None), |value| quote!(Some(#value)))
}
