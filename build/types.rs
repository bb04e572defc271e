//! What is added to the generated types: open enumerations, constructors, and what users expect of types.

use std::collections::{BTreeMap, BTreeSet};

use heck::{ToPascalCase, ToSnakeCase};
use openapiv3::{AdditionalProperties, ObjectType, ReferenceOr, Schema, SchemaKind, Type};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::punctuated::Punctuated;

use crate::spec::{Result, Schemas, description, resolve, rust_name};

/// Puts the generated items right for those who use them: they may grow, have every trait that is true of
/// them, document each field, and show nothing private.
pub fn refine(items: &mut [syn::Item], schemas: &Schemas) -> Result<TokenStream> {
    let floating = floating(items);
    let date: syn::Type = syn::parse_quote!(::chrono::DateTime<::chrono::offset::Utc>);
    let mut debugs = Vec::new();
    for item in items {
        let (name, attributes) = match item {
            syn::Item::Struct(item) => (item.ident.to_string(), &mut item.attrs),
            syn::Item::Enum(item) => (item.ident.to_string(), &mut item.attrs),
            _ => continue,
        };
        attributes.push(syn::parse_quote!(#[non_exhaustive]));
        let schema = schemas.get(&name);
        let private = schema.map(private).unwrap_or_default();
        for attribute in
            attributes.iter_mut().filter(|attribute| attribute.path().is_ident("derive"))
        {
            let mut traits = attribute
                .parse_args_with(Punctuated::<syn::Path, syn::Token![,]>::parse_terminated)
                .map_err(|e| format!("{name}: its traits cannot be read: {e}"))?;
            let is = |path: &syn::Path, name: &str| {
                path.segments.last().is_some_and(|last| last.ident == name)
            };
            if !floating.contains(&name) && !traits.iter().any(|path| is(path, "Eq")) {
                traits.push(syn::parse_quote!(Eq));
                traits.push(syn::parse_quote!(Hash));
            }
            let written = traits.into_iter().filter(|path| {
                let by_hand = is(path, "Debug") && !private.is_empty()
                    || is(path, "Serialize") && schema.and_then(open_object).is_some();
                !by_hand
            });
            let written: Vec<_> = written.collect();
            *attribute = syn::parse_quote!(#[derive(#(#written),*)]);
        }
        let syn::Item::Struct(item) = item else { continue };
        for field in &mut item.fields {
            if field.ty == date {
                field
                    .attrs
                    .push(syn::parse_quote!(#[serde(deserialize_with = "crate::date::date")]));
            }
            if field.ident.as_ref().is_some_and(|name| name == "extra") {
                field
                    .attrs
                    .push(syn::parse_quote!(#[doc = "Keys that the contract does not name."]));
            }
        }
        if !private.is_empty() {
            debugs.push(debug(item, &private));
        }
    }
    Ok(debugs.into_iter().collect())
}

/// The names of the items that hold a floating-point number: two of these may not be equal to themselves.
fn floating(items: &[syn::Item]) -> BTreeSet<String> {
    let mut floating = BTreeSet::from(["f64".to_owned()]);
    loop {
        let before = floating.len();
        for item in items {
            let (name, tokens) = match item {
                syn::Item::Struct(item) => (&item.ident, item.fields.to_token_stream()),
                syn::Item::Enum(item) => (&item.ident, item.variants.to_token_stream()),
                _ => continue,
            };
            if tokens
                .to_string()
                .split(|c: char| !c.is_alphanumeric())
                .any(|word| floating.contains(word))
            {
                floating.insert(name.to_string());
            }
        }
        if floating.len() == before {
            return floating;
        }
    }
}

/// The properties with `x-private`.
fn private(schema: &Schema) -> Vec<String> {
    let SchemaKind::Type(Type::Object(object)) = &schema.schema_kind else { return Vec::new() };
    let private = object.properties.iter().filter(|(_, schema)| {
        let schema = schema.as_item();
        schema.is_some_and(|schema| {
            schema.schema_data.extensions.get("x-private") == Some(&true.into())
        })
    });
    private.map(|(name, _)| name.to_snake_case()).collect()
}

/// `Debug` that shows nothing of what is private.
fn debug(item: &syn::ItemStruct, private: &[String]) -> TokenStream {
    let ident = &item.ident;
    let name = ident.to_string();
    let fields = item.fields.iter().filter_map(|field| field.ident.as_ref()).map(|field| {
        let name = field.to_string();
        match private.contains(&name) {
            true => quote!(.field(#name, &format_args!("_"))),
            false => quote!(.field(#name, &self.#field)),
        }
    });
    quote! {
        impl ::std::fmt::Debug for #ident {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(#name)#(#fields)*.finish()
            }
        }
    }
}

/// The properties of an object that may have others too.
fn open_object(schema: &Schema) -> Option<&ObjectType> {
    let SchemaKind::Type(Type::Object(object)) = &schema.schema_kind else { return None };
    let open = matches!(object.additional_properties, Some(AdditionalProperties::Schema(_)));
    (open && !object.properties.is_empty()).then_some(object)
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
        let described = schema.schema_data.extensions.get("x-enum-descriptions");
        let docs = values.iter().map(|value| {
            let described = described.and_then(|texts| texts.get(value)?.as_str());
            let described =
                described.ok_or(format!("{name}.x-enum-descriptions: {value} is missing"))?;
            Ok(format!("`{value}`: {described}"))
        });
        let docs = docs.collect::<Result<Vec<_>>>()?;
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
        let Some(object) = open_object(schema) else { continue };
        let (mut params, mut fields, mut setters) = (Vec::new(), Vec::new(), Vec::new());
        let mut entries = Vec::new();
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
            let (argument, value) = argument(schemas, &schema, &field, &at)?;
            params.push(quote!(#field: #argument));
            entries.push((required, quote!(map.serialize_entry(#required, &self.#field)?;)));
            fields.push(quote!(#field: #value));
        }
        for property in object.properties.keys().filter(|name| !object.required.contains(name)) {
            let (at, schema, field) = look_up(property)?;
            let doc = match &schema {
                ReferenceOr::Item(schema) => description(schema, &at)?,
                ReferenceOr::Reference { .. } => return Err(format!("{at}: has no description")),
            };
            let (argument, value) = argument(schemas, &schema, &field, &at)?;
            fields.push(quote!(#field: None));
            entries.push((
                property,
                quote! {
                    if let Some(value) = &self.#field {
                        map.serialize_entry(#property, value)?;
                    }
                },
            ));
            setters.push(quote! {
                #[doc = #doc]
                #[must_use]
                pub fn #field(mut self, #field: #argument) -> Self {
                    self.#field = Some(#value);
                    self
                }
            });
        }
        let doc = description(schema, name)?;
        let ident = rust_name(name, "components.schemas")?;
        let entries = entries
            .iter()
            .map(|(name, entry)| quote!(if !self.extra.contains_key(#name) { #entry }));
        constructors.push(quote! {
            impl ::serde::Serialize for #ident {
                fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    use ::serde::ser::SerializeMap;
                    let mut map = serializer.serialize_map(None)?;
                    #(#entries)*
                    for (key, value) in &self.extra {
                        map.serialize_entry(key, value)?;
                    }
                    map.end()
                }
            }
            impl #ident {
                #[doc = #doc]
                #[must_use]
                pub fn new(#(#params),*) -> Self {
                    Self { #(#fields,)* extra: Default::default() }
                }
                #(#setters)*
                /// Adds a key that the contract does not name. One that it names is replaced.
                #[must_use]
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
    schemas: &Schemas,
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
                    // Alternatives are made of what they are alternatives of.
                    return Ok(match resolve(schemas, reference, at)?.schema_kind {
                        SchemaKind::OneOf { .. } => (
                            quote!(impl IntoIterator<Item = impl Into<#ident>>),
                            quote!(#name.into_iter().map(Into::into).collect()),
                        ),
                        _ => (
                            quote!(impl IntoIterator<Item = #ident>),
                            quote!(#name.into_iter().collect()),
                        ),
                    });
                }
            }
            SchemaKind::AllOf { all_of } if all_of.len() == 1 => {
                return argument(schemas, &all_of[0], name, at);
            }
            _ => {}
        },
    }
    Err(format!("{at}: no constructor can be generated for this schema"))
}
