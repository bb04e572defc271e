//! What is added to the generated types: open enumerations, constructors, and missing documentation.

use std::collections::BTreeMap;

use heck::{ToPascalCase, ToSnakeCase};
use openapiv3::{AdditionalProperties, ReferenceOr, Schema, SchemaKind, Type};
use proc_macro2::TokenStream;
use quote::quote;

use crate::spec::{Result, Schemas, description, rust_name};

/// The generator gives every open object a field `extra`, and no documentation to it.
pub fn document_extra(item: &mut syn::Item) {
    let syn::Item::Struct(item) = item else { return };
    let extra = |field: &&mut syn::Field| field.ident.as_ref().is_some_and(|name| name == "extra");
    for field in item.fields.iter_mut().filter(extra) {
        field.attrs.push(syn::parse_quote!(#[doc = "Keys that the contract does not name."]));
    }
}

/// A Rust enum for every string with `x-extensible-enum`, which reads values yet unknown.
pub fn open_enums(schemas: &Schemas) -> Result<BTreeMap<String, TokenStream>> {
    let mut enums = BTreeMap::new();
    for (name, schema) in schemas {
        let Some(values) = schema.schema_data.extensions.get("x-extensible-enum") else {
            continue;
        };
        let at = format!("components.schemas.{name}.x-extensible-enum");
        let values = values.as_array().into_iter().flatten().map(|value| value.as_str());
        let values = values.collect::<Option<Vec<_>>>().filter(|values| !values.is_empty());
        let values = values.ok_or(format!("{at}: has to be a list of strings"))?;
        let doc = description(schema, name)?;
        let ident = rust_name(name, &at)?;
        let variants = values.iter().map(|value| rust_name(&value.to_pascal_case(), &at));
        let variants = variants.collect::<Result<Vec<_>>>()?;
        let docs = values.iter().map(|value| format!("`{value}`"));
        let code = quote! {
            #[doc = #doc]
            #[derive(Clone, Debug, Eq, Hash, PartialEq)]
            #[non_exhaustive]
            pub enum #ident {
                #(#[doc = #docs] #variants,)*
                /// A value that this version of the crate does not know.
                Other(String),
            }
            impl #ident {
                /// The value as the API writes it.
                pub fn as_str(&self) -> &str {
                    match self {
                        #(Self::#variants => #values,)*
                        Self::Other(value) => value,
                    }
                }
            }
            impl From<&str> for #ident {
                fn from(value: &str) -> Self {
                    match value {
                        #(#values => Self::#variants,)*
                        other => Self::Other(other.to_owned()),
                    }
                }
            }
            impl<'de> ::serde::Deserialize<'de> for #ident {
                fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    struct Visitor;
                    impl ::serde::de::Visitor<'_> for Visitor {
                        type Value = #ident;
                        fn expecting(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                            f.write_str("a string")
                        }
                        fn visit_str<E>(self, value: &str) -> Result<#ident, E> {
                            Ok(value.into())
                        }
                    }
                    deserializer.deserialize_str(Visitor)
                }
            }
            impl ::serde::Serialize for #ident {
                fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.as_str())
                }
            }
            impl ::std::fmt::Display for #ident {
                fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                    f.write_str(self.as_str())
                }
            }
        };
        enums.insert(name.clone(), code);
    }
    Ok(enums)
}

/// Constructors for every open object: `new` takes what is required, a method of its name sets
/// what is optional, and `extra` adds a key that the contract does not name.
pub fn constructors(schemas: &Schemas) -> Result<Vec<TokenStream>> {
    let mut constructors = Vec::new();
    for (name, schema) in schemas {
        let SchemaKind::Type(Type::Object(object)) = &schema.schema_kind else {
            continue;
        };
        let open = matches!(object.additional_properties, Some(AdditionalProperties::Schema(_)));
        if !open || object.properties.is_empty() {
            continue;
        }
        let (mut params, mut fields, mut setters) = (Vec::new(), Vec::new(), Vec::new());
        // Where a property stands, its schema, and its name in Rust.
        let look_up = |property: &str| -> Result<_> {
            let at = format!("components.schemas.{name}.properties.{property}");
            let schema = object.properties.get(property);
            let schema = schema.ok_or(format!("{at}: is required, but missing"))?.clone().unbox();
            let field = rust_name(&property.to_snake_case(), &at)?;
            Ok((at, schema, field))
        };
        for required in &object.required {
            let (at, schema, field) = look_up(required)?;
            let (argument, value) = argument(&schema, &field, &at)?;
            params.push(quote!(#field: #argument));
            fields.push(quote!(#field: #value));
        }
        for property in object.properties.keys().filter(|name| !object.required.contains(name)) {
            let (at, schema, field) = look_up(property)?;
            let doc = match &schema {
                ReferenceOr::Item(schema) => description(schema, &at)?,
                ReferenceOr::Reference { .. } => return Err(format!("{at}: has no description")),
            };
            let (argument, value) = argument(&schema, &field, &at)?;
            fields.push(quote!(#field: None));
            setters.push(quote! {
                #[doc = #doc]
                pub fn #field(mut self, #field: #argument) -> Self {
                    self.#field = Some(#value);
                    self
                }
            });
        }
        let doc = description(schema, name)?;
        let ident = rust_name(name, "components.schemas")?;
        constructors.push(quote! {
            impl #ident {
                #[doc = #doc]
                pub fn new(#(#params),*) -> Self {
                    Self { #(#fields,)* extra: Default::default() }
                }
                #(#setters)*
                /// Adds a key that the contract does not name. One that it names is replaced.
                pub fn extra(mut self, key: impl Into<String>, value: impl Into<::serde_json::Value>) -> Self {
                    self.extra.insert(key.into(), value.into());
                    self
                }
            }
        });
    }
    Ok(constructors)
}

/// The type of a constructor's argument, and what makes a field's value of it.
fn argument(
    schema: &ReferenceOr<Schema>,
    name: &syn::Ident,
    at: &str,
) -> Result<(TokenStream, TokenStream)> {
    let by_name = |reference: &str| rust_name(reference.rsplit('/').next().unwrap_or_default(), at);
    match schema {
        ReferenceOr::Reference { reference } => {
            let ident = by_name(reference)?;
            return Ok((quote!(impl Into<#ident>), quote!(#name.into())));
        }
        ReferenceOr::Item(schema) => match &schema.schema_kind {
            SchemaKind::Type(Type::String(_)) => {
                return Ok((quote!(impl Into<String>), quote!(#name.into())));
            }
            SchemaKind::Type(Type::Number(_)) => return Ok((quote!(f64), quote!(#name))),
            SchemaKind::Type(Type::Array(array)) => {
                if let Some(ReferenceOr::Reference { reference }) = &array.items {
                    let ident = by_name(reference)?;
                    return Ok((
                        quote!(impl IntoIterator<Item = #ident>),
                        quote!(#name.into_iter().collect()),
                    ));
                }
            }
            SchemaKind::AllOf { all_of } if all_of.len() == 1 => {
                return argument(&all_of[0], name, at);
            }
            _ => {}
        },
    }
    Err(format!("{at}: no constructor can be generated for this schema"))
}
