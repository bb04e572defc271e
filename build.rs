//! Generates the client from `spec/messages.yaml` into `OUT_DIR/client.rs`: serde_yaml reads the
//! contract, openapiv3 models it, progenitor generates types and method, and quote adds what
//! progenitor cannot: open enumerations, constructors, and the rules that a request must keep.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::{env, fs};

use heck::{ToPascalCase, ToSnakeCase};
use openapiv3::{
    AdditionalProperties, ArrayType, NumberType, ObjectType, OpenAPI, ReferenceOr, Schema,
    SchemaKind, StatusCode, StringType, Type, VariantOrUnknownOrEmpty,
};
use proc_macro2::TokenStream;
use progenitor::{GenerationSettings, Generator, HooksMode};
use quote::quote;

const SPEC: &str = "spec/messages.yaml";
const OPERATION: &str = "getOrCreateMessage";
const JSON: &str = "application/json";

/// The error is the place in the spec and the cause.
type Result<T> = std::result::Result<T, String>;

/// The named schemas of the spec.
type Schemas = BTreeMap<String, Schema>;

fn main() {
    println!("cargo::rerun-if-changed={SPEC}");
    // The tests run this very program on broken specs.
    if let Ok(program) = env::current_exe() {
        println!("cargo::rustc-env=BUILD_SCRIPT={}", program.display());
    }
    if let Err(cause) = run() {
        let line = cause.split_whitespace().collect::<Vec<_>>().join(" ");
        println!("cargo::error={SPEC}: {line}");
    }
}

fn run() -> Result<()> {
    let yaml = fs::read_to_string(SPEC).map_err(|e| format!("cannot be read: {e}"))?;
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set: cargo runs this program")?;
    fs::write(Path::new(&out).join("client.rs"), generate(&yaml)?)
        .map_err(|e| format!("what it generates cannot be written: {e}"))
}

/// From YAML to formatted Rust.
fn generate(yaml: &str) -> Result<String> {
    let mut spec = parse(yaml)?;
    let schemas = schemas(&spec)?;
    let base_url = spec.servers.first().map(|server| server.url.clone());
    let base_url = base_url.ok_or("servers: at least one is needed, the default base URL")?;
    let (path, body) = operation(&mut spec)?;

    let rules = rules(&schemas, &body, "request body", &[])?;
    let open_enums = open_enums(&schemas)?;
    let constructors = constructors(&schemas)?;
    let client = progenitor(&spec, open_enums.keys())?;

    let mut file: syn::File = syn::parse2(quote! {
        /// Where the API is.
        pub const BASE_URL: &str = #base_url;
        /// The path of the operation.
        pub const PATH: &str = #path;
        /// What the body of a request has to be.
        pub static BODY: crate::validate::Schema = #rules;
        #client
    })
    .map_err(|e| format!("the generated client is not Rust: {e}"))?;
    let additions = open_enums.values().chain(&constructors);
    let additions: syn::File = syn::parse2(quote!(#(#additions)*))
        .map_err(|e| format!("the generated additions are not Rust: {e}"))?;
    let types = types(&mut file)?;
    types.iter_mut().for_each(document_extra);
    types.extend(additions.items);
    Ok(prettyplease::unparse(&file))
}

fn parse(yaml: &str) -> Result<OpenAPI> {
    let value: serde_yaml::Value =
        serde_yaml::from_str(yaml).map_err(|e| format!("not YAML: {e}"))?;
    match value.get("openapi").and_then(|version| version.as_str()) {
        Some(version) if version.strip_prefix("3.0.").is_some_and(|v| v.parse::<u8>().is_ok()) => {}
        Some(version) => return Err(format!("openapi: is {version}, has to be 3.0.x")),
        None => return Err("openapi: missing, so this is not an OpenAPI document".into()),
    }
    serde_yaml::from_str(yaml).map_err(|e| format!("not OpenAPI 3.0: {e}"))
}

fn schemas(spec: &OpenAPI) -> Result<Schemas> {
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

/// Finds the operation and returns its path and the schema of its body. Leaves it the one answer
/// that progenitor decodes: any other then reaches the caller with status, headers and body intact.
fn operation(spec: &mut OpenAPI) -> Result<(String, ReferenceOr<Schema>)> {
    let (path, operation) = spec
        .paths
        .paths
        .iter_mut()
        .filter_map(|(path, item)| match item {
            ReferenceOr::Item(item) => Some((path, item.post.as_mut()?)),
            ReferenceOr::Reference { .. } => None,
        })
        .find(|(_, operation)| operation.operation_id.as_deref() == Some(OPERATION))
        .ok_or(format!("paths: no `post` has the operationId {OPERATION}"))?;

    let responses = &mut operation.responses;
    responses.default = None;
    responses.responses.retain(|status, _| *status == StatusCode::Code(200));
    let success = responses.responses.values().next().and_then(ReferenceOr::as_item);
    if success.and_then(|response| response.content.get(JSON)).is_none() {
        return Err(format!("paths.{path}.post.responses: no inline 200 with {JSON}"));
    }

    let body = operation.request_body.as_ref().and_then(ReferenceOr::as_item);
    let body = body.and_then(|body| body.content.get(JSON)?.schema.clone());
    let body = body.ok_or(format!("paths.{path}.post.requestBody: no inline schema for {JSON}"))?;
    Ok((path.clone(), body))
}

/// The client as progenitor generates it, with `provided` types left to the rest of this program.
fn progenitor<'a>(
    spec: &OpenAPI,
    provided: impl Iterator<Item = &'a String>,
) -> Result<TokenStream> {
    let mut settings = GenerationSettings::default();
    settings
        .with_map_type("::std::collections::BTreeMap") // equal messages are equal bytes
        .with_derive("PartialEq")
        .with_hooks(HooksMode::Expected)
        .with_inner_type(quote!(crate::attempt::Attempt))
        // As f64, a delay of 0 would be sent as 0.0.
        .with_replacement("ScheduleDelay", "::serde_json::Number", [].into_iter());
    for name in provided {
        settings.with_replacement(name, name, [].into_iter());
    }

    // progenitor and typify panic on shapes that they do not support.
    let report = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result =
        panic::catch_unwind(AssertUnwindSafe(|| Generator::new(&settings).generate_tokens(spec)));
    panic::set_hook(report);
    match result {
        Ok(tokens) => tokens.map_err(|e| format!("progenitor cannot generate from it: {e}")),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied());
            Err(format!("progenitor cannot generate from it: {}", text.unwrap_or("it panicked")))
        }
    }
}

/// The module of the generated types.
fn types(file: &mut syn::File) -> Result<&mut Vec<syn::Item>> {
    file.items
        .iter_mut()
        .find_map(|item| match item {
            syn::Item::Mod(module) if module.ident == "types" => module.content.as_mut(),
            _ => None,
        })
        .map(|(_, items)| items)
        .ok_or_else(|| "progenitor generated no module `types`".into())
}

/// The generator gives every open object a field `extra`, and no documentation to it.
fn document_extra(item: &mut syn::Item) {
    let syn::Item::Struct(item) = item else { return };
    let extra = |field: &&mut syn::Field| field.ident.as_ref().is_some_and(|name| name == "extra");
    for field in item.fields.iter_mut().filter(extra) {
        field.attrs.push(syn::parse_quote!(#[doc = "Keys that the contract does not name."]));
    }
}

/// A schema as a `crate::validate::Schema`. A keyword without a rule is an error, not a gap.
fn rules(
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
            Ok(
                quote!(crate::validate::Schema::String { min: #min, max: #max, values: &[#(#values),*] }),
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
            Ok(quote!(crate::validate::Schema::Number { min: #min }))
        }
        SchemaKind::Type(Type::Array(ArrayType {
            items: Some(items),
            min_items: None,
            max_items: None,
            unique_items: false,
        })) => {
            let items = rules(schemas, &items.clone().unbox(), &format!("{at}.items"), outer)?;
            Ok(quote!(crate::validate::Schema::Array(&#items)))
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
                    quote!(Some(&crate::validate::Schema::Any))
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
            Ok(quote!(crate::validate::Schema::Object {
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
            Ok(quote!(crate::validate::Schema::OneOf(&[#((#names, #alternatives)),*])))
        }
        SchemaKind::Any(any) if *any == Default::default() => {
            Ok(quote!(crate::validate::Schema::Any))
        }
        SchemaKind::Type(Type::String(_)) => unsupported("a keyword of this string"),
        SchemaKind::Type(Type::Number(_)) => unsupported("a keyword of this number"),
        SchemaKind::Type(Type::Array(_)) => unsupported("a keyword of this array"),
        SchemaKind::Type(Type::Object(_)) => unsupported("a keyword of this object"),
        SchemaKind::Type(_) => unsupported("this type"),
        _ => unsupported("this combination of schemas"),
    }
}

fn resolve<'a>(schemas: &'a Schemas, reference: &str, at: &str) -> Result<&'a Schema> {
    reference
        .strip_prefix("#/components/schemas/")
        .and_then(|name| schemas.get(name))
        .ok_or(format!("{at}: {reference} does not exist"))
}

fn option<T: quote::ToTokens>(value: &Option<T>) -> TokenStream {
    value.as_ref().map_or(quote!(None), |value| quote!(Some(#value)))
}

/// A Rust enum for every string with `x-extensible-enum`, which reads values yet unknown.
fn open_enums(schemas: &Schemas) -> Result<BTreeMap<String, TokenStream>> {
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
            #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, Eq, Hash, PartialEq)]
            #[serde(from = "String", into = "String")]
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
            impl From<String> for #ident {
                fn from(value: String) -> Self {
                    value.as_str().into()
                }
            }
            impl From<#ident> for String {
                fn from(value: #ident) -> Self {
                    value.as_str().to_owned()
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
fn constructors(schemas: &Schemas) -> Result<Vec<TokenStream>> {
    let mut constructors = Vec::new();
    for (name, schema) in schemas {
        let SchemaKind::Type(Type::Object(object)) = &schema.schema_kind else {
            continue;
        };
        if !matches!(object.additional_properties, Some(AdditionalProperties::Schema(_))) {
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

fn rust_name(name: &str, at: &str) -> Result<syn::Ident> {
    syn::parse_str(name).map_err(|_| format!("{at}: {name:?} cannot be a name in Rust"))
}

fn description<'a>(schema: &'a Schema, at: &str) -> Result<&'a str> {
    let description = schema.schema_data.description.as_deref();
    description.ok_or(format!("{at}: has no description"))
}
