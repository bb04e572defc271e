//! The operations of the spec: their requests and responses, and the Rust code for them.

use std::collections::BTreeSet;

use heck::ToShoutySnakeCase;
use openapiv3::{
    AdditionalProperties, ObjectType, OpenAPI, Operation, Parameter, PathItem, ReferenceOr, Schema,
    SchemaKind, StatusCode, Type,
};
use proc_macro2::TokenStream;
use quote::quote;

use crate::names;
use crate::rules::rules;
use crate::spec::{Result, SCHEMAS, Schemas, is_any_string, name, resolved, rust_name};

const JSON: &str = "application/json";

/// An operation that finds or creates one kind of record.
pub struct GetOrCreate {
    id: String,
    path: String,
    /// The names of the schemas of its body and of its response.
    pub body: String,
    response: String,
    /// The property of the response that holds the record, and the name of its schema.
    property: String,
    record: String,
    /// Whether the response can state that the call created the record.
    says_created: bool,
    /// The properties of the body that the record is looked up by, besides its tags.
    within: Vec<String>,
    properties: Vec<String>,
    required: Vec<String>,
}

/// Methods that every body of such an operation has.
const METHODS: [&str; 9] = [
    "content",
    "custom",
    "from_json",
    "is_identified",
    "new",
    "optional_tag",
    "tag",
    "validate",
    "with_tags",
];

/// The property of a body that lists the tags that the record is looked up by.
const DISCRIMINATORS: &str = "discriminateByTags";

/// Marks an operation that gets or creates a record.
const EXTENSION: &str = "x-get-or-create";

/// Reads the operations that get or create a record from the spec. Removes all responses of each operation except the
/// one that progenitor decodes, so that any other reaches the caller with status, headers and body intact. Also removes
/// references to parameters: these are headers that are the same for every call of a client.
pub fn operations(spec: &mut OpenAPI, schemas: &Schemas) -> Result<Vec<GetOrCreate>> {
    let mut operations: Vec<GetOrCreate> = Vec::new();
    for (path, item) in &mut spec.paths.paths {
        let ReferenceOr::Item(item) = item else {
            return Err(format!("paths.{path}: has to be written out"));
        };
        for (method, operation) in of_item(item) {
            operation.parameters.retain(|parameter| parameter.as_item().is_some());
            operation.responses.default = None;
            operation.responses.responses.retain(|status, _| is_success(status));
            if !operation.extensions.contains_key(EXTENSION) {
                continue;
            }
            let at = format!("paths.{path}.{method}");
            let found = get_or_create(path, operation, schemas, &at)?;
            for other in &operations {
                if other.body == found.body {
                    return Err(format!(
                        "{at}.requestBody: {} is the body of {} already; an operation needs its own",
                        found.body, other.id
                    ));
                }
                if other.record == found.record || other.property == found.property {
                    return Err(format!(
                        "{at}.responses.200: its record `{}`, {}, is that of {} already; an operation \
                         needs its own",
                        found.property, found.record, other.id
                    ));
                }
            }
            operations.push(found);
        }
    }
    Ok(operations)
}

fn of_item(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let PathItem { get, put, post, delete, .. } = item;
    let operations = [("get", get), ("put", put), ("post", post), ("delete", delete)];
    operations.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn is_success(status: &StatusCode) -> bool {
    matches!(status, StatusCode::Code(200..300))
}

fn get_or_create(
    path: &str,
    operation: &Operation,
    schemas: &Schemas,
    at: &str,
) -> Result<GetOrCreate> {
    let id = operation.operation_id.clone().ok_or(format!("{at}: has no operationId"))?;
    let body = operation.request_body.as_ref().and_then(ReferenceOr::as_item);
    let body = body.and_then(|body| body.content.get(JSON)?.schema.as_ref());
    let body = named(body, &format!("{at}.requestBody"))?;
    let response = operation.responses.responses.values().next().and_then(ReferenceOr::as_item);
    let response = response.and_then(|response| response.content.get(JSON)?.schema.as_ref());
    let response = named(response, &format!("{at}.responses.200"))?;
    let extension = &operation.extensions[EXTENSION];
    let property = extension["record"].as_str().unwrap_or_default();
    let (record, says_created) = record(schemas, response, property)?;
    let within = extension["within"].as_array().into_iter().flatten();
    let within: Vec<String> = within.filter_map(|name| name.as_str().map(str::to_owned)).collect();
    let at = format!("components.schemas.{body}");
    let object = object(&schemas[body], &at)?;
    check_body(object, schemas, &within, &at)?;
    Ok(GetOrCreate {
        id,
        path: path.to_owned(),
        body: body.to_owned(),
        response: response.to_owned(),
        property: property.to_owned(),
        record,
        says_created,
        within,
        properties: object.properties.keys().cloned().collect(),
        required: object.required.clone(),
    })
}

/// Checks that a body consists of what `src/record.rs` can look up, compare and check.
fn check_body(object: &ObjectType, schemas: &Schemas, within: &[String], at: &str) -> Result<()> {
    let tags = object.properties.get("tags");
    let tags = tags.ok_or(format!("{at}: has no property `tags`, by which the record is found"))?;
    let place = format!("{at}.properties.tags");
    let values = match resolved(schemas, &tags.clone().unbox(), &place)?.schema_kind {
        SchemaKind::Type(Type::Object(object)) if object.properties.is_empty() => {
            object.additional_properties
        }
        _ => None,
    };
    match values {
        Some(AdditionalProperties::Schema(values)) if is_text(schemas, &values, &place)? => {}
        _ => return Err(format!("{place}: has to be an object whose values are strings")),
    }
    if let Some(discriminators) = object.properties.get(DISCRIMINATORS) {
        let place = format!("{at}.properties.{DISCRIMINATORS}");
        let items = match resolved(schemas, &discriminators.clone().unbox(), &place)?.schema_kind {
            SchemaKind::Type(Type::Array(array)) => array.items.map(ReferenceOr::unbox),
            _ => None,
        };
        match items {
            Some(items) if is_text(schemas, &items, &place)? => {}
            _ => return Err(format!("{place}: has to be an array of strings")),
        }
    }
    if object.additional_properties != Some(AdditionalProperties::Any(false)) {
        return Err(format!(
            "{at}.additionalProperties: has to be false: a record to get or create has no other properties"
        ));
    }
    let is_plain = |name: &str| match object.properties.get(name) {
        Some(schema) => is_text(schemas, &schema.clone().unbox(), at),
        None => Ok(true),
    };
    for name in within.iter().map(String::as_str).chain(["conversationId"]) {
        if !is_plain(name)? {
            return Err(format!("{at}.properties.{name}: has to be a plain string here"));
        }
    }
    if object.properties.contains_key("payload") && object.properties.contains_key("type") {
        let place = format!("{at}.properties.payload");
        let payload = resolved(schemas, &object.properties["payload"].clone().unbox(), &place)?;
        let is_free = matches!(&payload.schema_kind, SchemaKind::Type(Type::Object(object))
            if object.properties.is_empty()
                && object.additional_properties == Some(AdditionalProperties::Any(true)));
        if !is_free || !is_plain("type")? {
            return Err(format!(
                "{place}: has to be an object with additionalProperties: true, next to a `type` that is a plain string"
            ));
        }
    }
    for (name, property) in &object.properties {
        let number = property.as_item().map(|schema| &schema.schema_kind);
        if matches!(number, Some(SchemaKind::Type(Type::Number(_)))) {
            return Err(format!(
                "{at}.properties.{name}: refer to a number in components.schemas, which is sent as it is given; \
                 here, 5 would become 5.0"
            ));
        }
    }
    for name in object.properties.keys().filter(|name| !object.required.contains(name)) {
        let method = names::snake(name);
        if METHODS.contains(&method.as_str()) {
            return Err(format!(
                "{at}.properties.{name}: every record to get or create has a method `{method}`; \
                 rename it, or require it"
            ));
        }
    }
    Ok(())
}

/// Whether a schema is that of any string.
fn is_text(schemas: &Schemas, schema: &ReferenceOr<Schema>, at: &str) -> Result<bool> {
    let schema = resolved(schemas, schema, at)?;
    let is_open = !schema.schema_data.extensions.contains_key("x-extensible-enum");
    Ok(is_open && matches!(&schema.schema_kind, SchemaKind::Type(kind) if is_any_string(kind)))
}

/// The name of a schema for JSON.
fn named<'a>(schema: Option<&'a ReferenceOr<Schema>>, at: &str) -> Result<&'a str> {
    match schema {
        Some(ReferenceOr::Reference { reference }) => name(reference, at),
        _ => Err(format!("{at}: has to refer to a schema for {JSON}")),
    }
}

fn object<'a>(schema: &'a Schema, at: &str) -> Result<&'a ObjectType> {
    match &schema.schema_kind {
        SchemaKind::Type(Type::Object(object)) => Ok(object),
        _ => Err(format!("{at}: has to be an object")),
    }
}

/// The schema of a response's record, and whether `meta` states that it was created.
fn record(schemas: &Schemas, response: &str, record: &str) -> Result<(String, bool)> {
    let at = format!("components.schemas.{response}");
    let object = object(&schemas[response], &at)?;
    let mut meta = None;
    let mut found = None;
    for (property, schema) in &object.properties {
        let at = format!("{at}.properties.{property}");
        let required = object.required.contains(property);
        let ReferenceOr::Reference { reference } = schema else {
            return Err(format!("{at}: has to refer to one of components.schemas"));
        };
        let schema = name(reference, &at)?;
        if property == record {
            if !required {
                return Err(format!("{at}: has to be required, since it is the record"));
            }
            found = Some(schema.to_owned());
        } else if property == "meta" {
            if required {
                return Err(format!(
                    "{at}: has to be optional: older versions of the API have none"
                ));
            }
            meta = Some(schema);
        } else {
            return Err(format!("{at}: a response has one record, and `meta`; remove this"));
        }
    }
    let record =
        found.ok_or(format!("{at}: has no record, a required property that is a reference"))?;
    if let Some(meta) = meta {
        has(
            schemas,
            meta,
            "created",
            |kind| matches!(kind, Type::Boolean(_)),
            "a boolean, not null",
        )?;
    }
    has(schemas, &record, "id", is_any_string, "a string, not null")?;
    Ok((record, meta.is_some()))
}

/// Checks that a schema requires a property of a type.
fn has(
    schemas: &Schemas,
    name: &str,
    property: &str,
    is: fn(&Type) -> bool,
    what: &str,
) -> Result<()> {
    let at = format!("components.schemas.{name}");
    let object = object(&schemas[name], &at)?;
    let Some(schema) = object.properties.get(property) else {
        return Err(format!("{at}: has no property `{property}`, {what}, which the client reads"));
    };
    let at = format!("{at}.properties.{property}");
    if !object.required.iter().any(|required| required == property) {
        return Err(format!("{at}: has to be required, since the client reads it"));
    }
    match schema.as_item().map(|schema| (&schema.schema_data, &schema.schema_kind)) {
        Some((data, SchemaKind::Type(kind))) if is(kind) && !data.nullable => Ok(()),
        _ => Err(format!("{at}: has to be {what}, written out here, since the client reads it")),
    }
}

/// The names of the schemas of errors: the one of error responses, and its alternatives.
pub fn errors(spec: &OpenAPI, schemas: &Schemas) -> BTreeSet<String> {
    let of_operations = spec.operations().flat_map(|(_, _, operation)| {
        let responses = operation.responses.responses.iter();
        responses.filter(|(status, _)| !is_success(status)).map(|(_, response)| response)
    });
    let mut errors = BTreeSet::new();
    for response in of_operations.filter_map(ReferenceOr::as_item) {
        let schema = response.content.get(JSON).and_then(|content| content.schema.as_ref());
        let Ok(name) = named(schema, "") else { continue };
        errors.insert(name.to_owned());
        if let SchemaKind::OneOf { one_of } = &schemas[name].schema_kind {
            errors.extend(
                one_of.iter().filter_map(|one| named(Some(one), "").ok()).map(str::to_owned),
            );
        }
    }
    errors
}

/// The names of the headers that identify the caller, by those of the parameters in the spec: `BOT_ID`.
pub fn headers(spec: &OpenAPI) -> Result<TokenStream> {
    let parameters = spec.components.iter().flat_map(|components| &components.parameters);
    let headers = parameters.map(|(name, parameter)| {
        let at = format!("components.parameters.{name}");
        let Some(Parameter::Header { parameter_data: header, .. }) = parameter.as_item() else {
            return Err(format!("{at}: has to be a header"));
        };
        let doc = header.description.as_deref().ok_or(format!("{at}: has no description"))?;
        let constant = rust_name(&name.to_shouty_snake_case(), &at)?;
        let name = header.name.to_lowercase();
        Ok(quote! {
            #[doc = #doc]
            pub const #constant: ::http::HeaderName = ::http::HeaderName::from_static(#name);
        })
    });
    headers.collect()
}

/// The rules and the path of every request: `OPERATIONS`, with one `Operation` each.
pub fn table(operations: &[GetOrCreate], schemas: &Schemas) -> Result<TokenStream> {
    let entries = operations.iter().enumerate().map(|(index, operation)| {
        let GetOrCreate { id, path, body, property, within, .. } = operation;
        let name = names::snake(id);
        let reference = format!("{SCHEMAS}{body}");
        let body = ReferenceOr::Reference { reference };
        // A body refers to records of other operations by their ids: `userId` is the id of a `user`.
        let refers = operations.iter().enumerate().filter_map(|(index, other)| {
            let id = format!("{}Id", other.property);
            operation.properties.contains(&id).then(|| quote!((#index, #id)))
        });
        let rules = rules(schemas, &body, &format!("paths.{path}.post.requestBody"), &[])?;
        Ok(quote!(Operation {
            index: #index,
            name: #name,
            path: #path,
            record: #property,
            within: &[#(#within),*],
            refers: &[#(#refers),*],
            body: #rules,
        }))
    });
    let entries = entries.collect::<Result<Vec<_>>>()?;
    let count = entries.len();
    Ok(quote! {
        /// The operations, in the order of the spec.
        pub static OPERATIONS: [Operation; #count] = [#(#entries),*];
    })
}

/// `GetOrCreate` for each body, which makes its call by the generated method.
pub fn records(operations: &[GetOrCreate]) -> Result<TokenStream> {
    let records = operations.iter().enumerate().map(|(index, operation)| {
        let at = &operation.id;
        let method = rust_name(&names::snake(&operation.id), at)?;
        let property = rust_name(&names::snake(&operation.property), at)?;
        let names = [&operation.body, &operation.record, &operation.response];
        let [body, record, response] = names.map(|name| rust_name(name, at));
        let (body, record, response) = (body?, record?, response?);
        let record_name = &operation.property;
        let within = operation.within.iter().map(|name| rust_name(&names::snake(name), at));
        let within = within.collect::<Result<Vec<_>>>()?;
        let discriminators = if operation.properties.iter().any(|name| name == DISCRIMINATORS) {
            quote!(&self.discriminate_by_tags)
        } else {
            quote!(&[])
        };
        let has = |name: &str| operation.required.iter().any(|property| property == name);
        let conversation = has("conversationId").then(|| {
            quote! {
                fn conversation(&self) -> ::std::option::Option<&str> {
                    ::std::option::Option::Some(&self.conversation_id)
                }
            }
        });
        let check_content = (has("type") && has("payload")).then(|| {
            quote! {
                fn check_content(
                    &self,
                    path: &crate::violation::Path<'_>,
                    found: &mut ::std::vec::Vec<crate::violation::Violation>,
                ) {
                    crate::message::check_content(&self.type_, &self.payload, path, found);
                }
            }
        });
        let created = if operation.says_created {
            quote!(response.meta.map(|meta| meta.created))
        } else {
            quote!(::std::option::Option::None)
        };
        Ok(quote! {
            impl crate::record::GetOrCreate for crate::api::types::#body {
                const OPERATION: &'static crate::generated::Operation =
                    &crate::generated::OPERATIONS[#index];
                type Record = crate::api::types::#record;
                type Response = crate::api::types::#response;

                fn tags(&self) -> &::std::collections::BTreeMap<
                    ::std::string::String,
                    ::std::string::String,
                > {
                    &self.tags
                }

                fn discriminators(&self) -> &[::std::string::String] {
                    #discriminators
                }

                fn within(&self) -> impl ::std::hash::Hash {
                    (#record_name, #(&self.#within,)*)
                }

                async fn request(
                    &self,
                    client: &crate::api::Client,
                ) -> ::std::result::Result<
                    crate::api::ResponseValue<Self::Response>,
                    crate::api::Error<()>,
                > {
                    client.#method(self).await
                }

                fn read(response: Self::Response) -> (Self::Record, ::std::option::Option<bool>) {
                    (response.#property, #created)
                }

                fn id(record: &Self::Record) -> &str {
                    &record.id
                }

                #conversation

                #check_content
            }
            record_methods!(crate::api::types::#body);
        })
    });
    Ok(records.collect::<Result<Vec<_>>>()?.into_iter().collect())
}
