//! Additions to the generated types: open enumerations, constructors, and common traits.

use std::collections::{BTreeMap, BTreeSet};

use openapiv3::{AdditionalProperties, ObjectType, Schema, SchemaKind, Type};
use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::punctuated::Punctuated;

use crate::spec::{Result, Schemas, description, is_private, resolved, rust_name};
use crate::{example, input, names};

/// Refines the generated items for users: they can gain fields later, have every suitable trait, document each
/// field, and show nothing private.
pub fn refine(
    items: &mut [syn::Item],
    schemas: &Schemas,
    errors: &BTreeSet<String>,
) -> Result<TokenStream> {
    let floating = floating(items);
    let date: syn::Type = syn::parse_quote!(::chrono::DateTime<::chrono::offset::Utc>);
    let mut debugs = Vec::new();
    for item in items {
        let is_struct = matches!(item, syn::Item::Struct(_));
        let (name, attributes) = match item {
            syn::Item::Struct(item) => (item.ident.to_string(), &mut item.attrs),
            syn::Item::Enum(item) => (item.ident.to_string(), &mut item.attrs),
            _ => continue,
        };
        attributes.push(syn::parse_quote!(#[non_exhaustive]));
        let schema = schemas.get(&name);
        let private = schema.map(private).unwrap_or_default();
        if let Some((property, _)) = private.iter().find(|_| !is_struct) {
            return Err(format!(
                "components.schemas.{name}.properties.{property}.x-private: {name} is not a struct"
            ));
        }
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
            if errors.contains(&name) && serde_says(field, "skip_serializing_if") {
                if !serde_says(field, "default") {
                    field.attrs.push(syn::parse_quote!(#[serde(default)]));
                }
                let or_default =
                    syn::parse_quote!(#[serde(deserialize_with = "crate::decode::or_default")]);
                field.attrs.push(or_default);
            }
            if field.ty == date {
                field
                    .attrs
                    .push(syn::parse_quote!(#[serde(deserialize_with = "crate::decode::date")]));
            }
            if field.ident.as_ref().is_some_and(|name| name == "extra") {
                field
                    .attrs
                    .push(syn::parse_quote!(#[doc = "Keys that the contract does not name."]));
            }
        }
        if !private.is_empty() {
            debugs.push(debug(item, &private, &name)?);
        }
    }
    Ok(debugs.into_iter().collect())
}

/// Whether one of serde's attributes of a field has this word. An optional field has `skip_serializing_if`.
fn serde_says(field: &syn::Field, word: &str) -> bool {
    let mut attributes = field.attrs.iter().filter(|attribute| attribute.path().is_ident("serde"));
    attributes.any(|attribute| attribute.to_token_stream().to_string().contains(word))
}

/// The names of the items that contain a floating-point number: such values are not always equal to themselves.
fn floating(items: &[syn::Item]) -> BTreeSet<String> {
    let mut floating = BTreeSet::from(["f32".to_owned(), "f64".to_owned()]);
    loop {
        let before = floating.len();
        for item in items {
            let (name, tokens) = match item {
                syn::Item::Struct(item) => (&item.ident, item.fields.to_token_stream()),
                syn::Item::Enum(item) => (&item.ident, item.variants.to_token_stream()),
                _ => continue,
            };
            if mentions(tokens, &floating) {
                floating.insert(name.to_string());
            }
        }
        if floating.len() == before {
            return floating;
        }
    }
}

/// Whether one of these names is among the tokens, and not part of a longer path.
fn mentions(tokens: TokenStream, names: &BTreeSet<String>) -> bool {
    let mut colons = 0;
    tokens.into_iter().any(|token| match &token {
        TokenTree::Ident(ident) => {
            std::mem::take(&mut colons) < 2 && names.contains(&ident.to_string())
        }
        TokenTree::Punct(punct) if punct.as_char() == ':' => {
            colons += 1;
            false
        }
        TokenTree::Group(group) => mentions(group.stream(), names),
        _ => {
            colons = 0;
            false
        }
    })
}

/// The properties with `x-private`, each with its field.
fn private(schema: &Schema) -> Vec<(String, String)> {
    let SchemaKind::Type(Type::Object(object)) = &schema.schema_kind else { return Vec::new() };
    let private = object
        .properties
        .iter()
        .filter(|(_, schema)| schema.as_item().is_some_and(|schema| is_private(schema)));
    private.map(|(name, _)| (name.clone(), names::snake(name))).collect()
}

/// A `Debug` that hides private values.
fn debug(
    item: &syn::ItemStruct,
    private: &[(String, String)],
    schema: &str,
) -> Result<TokenStream> {
    let ident = &item.ident;
    let name = ident.to_string();
    let idents: Vec<_> = item.fields.iter().filter_map(|field| field.ident.as_ref()).collect();
    let missing = private.iter().find(|(_, field)| !idents.iter().any(|ident| **ident == **field));
    if let Some((property, _)) = missing {
        return Err(format!(
            "components.schemas.{schema}.properties.{property}.x-private: it has no field"
        ));
    }
    let fields = idents.iter().map(|field| {
        let name = field.to_string();
        if private.iter().any(|(_, private)| *private == name) {
            quote!(.field(#name, &::std::format_args!("_")))
        } else {
            quote!(.field(#name, &self.#field))
        }
    });
    Ok(quote! {
        impl ::std::fmt::Debug for #ident {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(#name)#(#fields)*.finish()
            }
        }
    })
}

/// The properties of an object that may have others too.
pub fn open_object(schema: &Schema) -> Option<&ObjectType> {
    let SchemaKind::Type(Type::Object(object)) = &schema.schema_kind else { return None };
    let open = matches!(object.additional_properties, Some(AdditionalProperties::Schema(_)));
    (open && !object.properties.is_empty()).then_some(object)
}

/// The contents of messages, for the module `content`.
pub fn content(document: &serde_yaml::Value) -> TokenStream {
    let names = input::content(document).into_iter();
    let names = names.filter_map(|name| rust_name(&name, "components.schemas").ok());
    quote! {
        #[doc(inline)]
        pub use crate::api::types::{#(#names),*};
    }
}

/// A Rust enum for every string with `x-extensible-enum`, which can also hold values that are not known yet.
pub fn open_enums(schemas: &Schemas) -> Result<BTreeMap<String, TokenStream>> {
    let mut enums = BTreeMap::new();
    for (name, schema) in schemas {
        let Some(values) = schema.schema_data.extensions.get("x-extensible-enum") else {
            continue;
        };
        let at = format!("components.schemas.{name}");
        let values = values.as_array().into_iter().flatten().map(|value| value.as_str());
        let values = values.collect::<Option<Vec<_>>>().filter(|values| !values.is_empty());
        let values =
            values.ok_or(format!("{at}.x-extensible-enum: has to be a list of strings"))?;
        let doc = description(schema, &at)?;
        let ident = rust_name(name, &at)?;
        let variants = values.iter().map(|value| rust_name(&names::pascal(value), &at));
        let variants = variants.collect::<Result<Vec<_>>>()?;
        let described = schema.schema_data.extensions.get("x-enum-descriptions");
        let docs = values.iter().map(|value| {
            let described = described.and_then(|texts| texts.get(value)?.as_str());
            let described =
                described.ok_or(format!("{at}.x-enum-descriptions: {value} is missing"))?;
            Ok(format!("`{value}`: {described}"))
        });
        let docs = docs.collect::<Result<Vec<_>>>()?;
        let code = quote! {
            #[doc = #doc]
            #[derive(Clone, Debug)]
            #[non_exhaustive]
            pub enum #ident {
                #(#[doc = #docs] #variants,)*
                /// A value that this version of the crate does not know.
                Other(::std::string::String),
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
            impl ::std::convert::From<&str> for #ident {
                fn from(value: &str) -> Self {
                    match value {
                        #(#values => Self::#variants,)*
                        other => Self::Other(other.to_owned()),
                    }
                }
            }
            impl ::std::convert::From<::std::string::String> for #ident {
                fn from(value: ::std::string::String) -> Self {
                    value.as_str().into()
                }
            }
            impl ::std::str::FromStr for #ident {
                type Err = ::std::convert::Infallible;
                fn from_str(value: &str) -> ::std::result::Result<Self, ::std::convert::Infallible> {
                    ::std::result::Result::Ok(value.into())
                }
            }
            /// Compares the values as the API writes them.
            impl ::std::cmp::PartialEq for #ident {
                fn eq(&self, other: &Self) -> bool {
                    self.as_str() == other.as_str()
                }
            }
            impl ::std::cmp::Eq for #ident {}
            impl ::std::hash::Hash for #ident {
                fn hash<H: ::std::hash::Hasher>(&self, state: &mut H) {
                    ::std::hash::Hash::hash(self.as_str(), state);
                }
            }
            impl<'de> ::serde::Deserialize<'de> for #ident {
                fn deserialize<D: ::serde::Deserializer<'de>>(
                    deserializer: D,
                ) -> ::std::result::Result<Self, D::Error> {
                    crate::decode::open_enum(deserializer)
                }
            }
            impl ::serde::Serialize for #ident {
                fn serialize<S: ::serde::Serializer>(
                    &self,
                    serializer: S,
                ) -> ::std::result::Result<S::Ok, S::Error> {
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

/// Constructors for every open object: `new` takes the required properties, a method named after each optional
/// property sets it, and `extra` adds a key that the contract does not name.
///
/// The objects in `sent`, which requests consist of, have the same without `extra`; the records among them have
/// `from_required`, for a `new` that is written by hand.
pub fn constructors(
    items: &[syn::Item],
    schemas: &Schemas,
    sent: &BTreeSet<String>,
    records: &BTreeSet<&str>,
) -> Result<Vec<TokenStream>> {
    let mut constructors = Vec::new();
    for (name, schema) in schemas {
        let open = open_object(schema);
        let object = match &schema.schema_kind {
            SchemaKind::Type(Type::Object(object)) if sent.contains(name) => Some(object),
            _ => open,
        };
        let Some(object) = object.filter(|object| !object.properties.is_empty()) else { continue };
        let at = format!("components.schemas.{name}");
        let item = items.iter().find_map(|item| match item {
            syn::Item::Struct(item) if item.ident == name => Some(item),
            _ => None,
        });
        let item = item.ok_or(format!("{at}: progenitor generated no struct for it"))?;
        let (mut params, mut fields, mut setters) = (Vec::new(), Vec::new(), Vec::new());
        let mut entries = Vec::new();
        // The place of a property, its name in Rust, and its type.
        let look_up = |property: &str| -> Result<_> {
            let at = format!("{at}.properties.{property}");
            let field = rust_name(&names::snake(property), &at)?;
            if field == "new" {
                return Err(format!("{at}: the constructor is called `new`; rename it"));
            }
            let found = item.fields.iter().find(|found| found.ident.as_ref() == Some(&field));
            let found = found.ok_or(format!("{at}: progenitor generated no field for it"))?;
            Ok((at, field, &found.ty))
        };
        for required in &object.required {
            let (_, field, kind) = look_up(required)?;
            let (argument, value) = argument(schemas, kind, &field);
            params.push(quote!(#field: #argument));
            entries.push((required, quote!(map.serialize_entry(#required, &self.#field)?;)));
            fields.push(quote!(#field: #value));
        }
        for property in object.properties.keys().filter(|name| !object.required.contains(name)) {
            let (at, field, kind) = look_up(property)?;
            let schema = resolved(schemas, &object.properties[property].clone().unbox(), &at)?;
            let doc = description(&schema, &at)?;
            // A missing list or map is empty.
            let inner = generic(kind, "Option");
            let (argument, value) = argument(schemas, inner.unwrap_or(kind), &field);
            let (value, entry) = if inner.is_some() {
                (
                    quote!(::std::option::Option::Some(#value)),
                    quote!(if let ::std::option::Option::Some(value) = &self.#field {
                        map.serialize_entry(#property, value)?;
                    }),
                )
            } else {
                (
                    value,
                    quote!(if !self.#field.is_empty() {
                        map.serialize_entry(#property, &self.#field)?;
                    }),
                )
            };
            fields.push(quote!(#field: ::std::default::Default::default()));
            entries.push((property, entry));
            setters.push(quote! {
                #[doc = #doc]
                #[must_use]
                pub fn #field(mut self, #field: #argument) -> Self {
                    self.#field = #value;
                    self
                }
            });
        }
        let mut doc = description(schema, &at)?.to_owned();
        if let Some(example) = &schema.schema_data.example {
            doc +=
                &example::doc(schemas, name, example).map_err(|e| format!("{at}.example: {e}"))?;
        }
        let ident = &item.ident;
        let entries = entries
            .iter()
            .map(|(name, entry)| quote!(if !self.extra.contains_key(#name) { #entry }));
        let new = quote! {
            #[doc = #doc]
            #[must_use]
            pub fn new(#(#params),*) -> Self
        };
        if open.is_none() {
            // The `new` of a record is written by hand, and does not break when an optional property is added.
            let new = if records.contains(name.as_str()) {
                quote! {
                    /// With only the required properties.
                    #[allow(dead_code)]
                    pub(crate) fn from_required(#(#params),*) -> Self
                }
            } else {
                new
            };
            constructors.push(quote!(impl #ident { #new { Self { #(#fields),* } } #(#setters)* }));
            continue;
        }
        constructors.push(quote! {
            impl ::serde::Serialize for #ident {
                fn serialize<S: ::serde::Serializer>(
                    &self,
                    serializer: S,
                ) -> ::std::result::Result<S::Ok, S::Error> {
                    use ::serde::ser::SerializeMap as _;
                    let mut map = serializer.serialize_map(::std::option::Option::None)?;
                    #(#entries)*
                    for (key, value) in &self.extra {
                        map.serialize_entry(key, value)?;
                    }
                    map.end()
                }
            }
            impl #ident {
                #new {
                    Self { #(#fields,)* extra: ::std::default::Default::default() }
                }
                #(#setters)*
                /// Adds a key that the contract does not name. A key that it names replaces the property.
                #[must_use]
                pub fn extra(
                    mut self,
                    key: impl ::std::convert::Into<::std::string::String>,
                    value: impl ::std::convert::Into<::serde_json::Value>,
                ) -> Self {
                    self.extra.insert(key.into(), value.into());
                    self
                }
            }
        });
    }
    Ok(constructors)
}

/// The type of the argument that sets a field of this type, and the conversion to the field's value.
fn argument(schemas: &Schemas, kind: &syn::Type, name: &syn::Ident) -> (TokenStream, TokenStream) {
    let into = |kind: &dyn ToTokens| quote!(impl ::std::convert::Into<#kind>);
    if let Some(kind) = generic(kind, "Box") {
        return (into(kind), quote!(::std::boxed::Box::new(#name.into())));
    }
    if let Some(kind) = generic(kind, "Vec") {
        let items = |item: &dyn ToTokens| quote!(impl ::std::iter::IntoIterator<Item = #item>);
        // The items can be anything that converts into an alternative, or into a string.
        let schema = schemas.get(&kind.to_token_stream().to_string());
        let is_choice =
            schema.is_some_and(|schema| matches!(schema.schema_kind, SchemaKind::OneOf { .. }));
        return if is_choice || is_string(kind) {
            let made = quote!(#name.into_iter().map(::std::convert::Into::into).collect());
            (items(&into(kind)), made)
        } else {
            (items(kind), quote!(#name.into_iter().collect()))
        };
    }
    let named = schemas.contains_key(&kind.to_token_stream().to_string());
    if named || is_string(kind) {
        (into(kind), quote!(#name.into()))
    } else {
        (quote!(#kind), quote!(#name))
    }
}

fn is_string(kind: &syn::Type) -> bool {
    *kind == syn::parse_quote!(::std::string::String)
}

/// The argument of a generic type with this name: `Card`, of `::std::option::Option<Card>`.
fn generic<'a>(kind: &'a syn::Type, name: &str) -> Option<&'a syn::Type> {
    let syn::Type::Path(path) = kind else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == name)?;
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first()? {
        syn::GenericArgument::Type(kind) => Some(kind),
        _ => None,
    }
}
