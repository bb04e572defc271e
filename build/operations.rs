//! The operations of the spec: what each takes and answers, and the Rust that says so.

use std::collections::BTreeSet;

use heck::ToShoutySnakeCase;
use openapiv3::{
    ObjectType, OpenAPI, Operation, Parameter, PathItem, ReferenceOr, Schema, SchemaKind,
    StatusCode, Type, VariantOrUnknownOrEmpty,
};
use proc_macro2::TokenStream;
use quote::quote;

use crate::names;
use crate::rules::rules;
use crate::spec::{Result, Schemas, name, rust_name};

const JSON: &str = "application/json";

/// An operation that finds or creates one kind of record.
pub struct GetOrCreate {
    id: String,
    path: String,
    /// The names of the schemas of its body and of its answer.
    pub body: String,
    answer: String,
    /// The property of the answer that holds the record, and the name of its schema.
    property: String,
    record: String,
    /// Within which properties of the body the record is looked up, besides its tags.
    within: Vec<String>,
    properties: Vec<String>,
}

/// Takes the operations from the spec. Leaves each the one answer that progenitor decodes, so that any
/// other reaches the caller with status, headers and body intact, and no parameters: they are the same for
/// every call of a client, which has them ready as headers.
pub fn operations(spec: &mut OpenAPI, schemas: &Schemas) -> Result<Vec<GetOrCreate>> {
    let mut operations: Vec<GetOrCreate> = Vec::new();
    for (path, item) in &mut spec.paths.paths {
        let at = format!("paths.{path}");
        let operation = match item {
            ReferenceOr::Item(PathItem { post: Some(operation), .. }) => operation,
            _ => return Err(format!("{at}: has no `post` of its own")),
        };
        operation.parameters.clear();
        operation.responses.default = None;
        operation.responses.responses.retain(|status, _| *status == StatusCode::Code(200));
        let at = format!("{at}.post");
        let found = get_or_create(path, operation, schemas, &at)?;
        for other in &operations {
            if other.record == found.record || other.property == found.property {
                return Err(format!(
                    "{at}.responses.200: its record `{}`, {}, is that of {} already; an operation needs \
                     its own",
                    found.property, found.record, other.id
                ));
            }
        }
        operations.push(found);
    }
    if operations.is_empty() { Err("paths: there are none".into()) } else { Ok(operations) }
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
    let answer = operation.responses.responses.values().next().and_then(ReferenceOr::as_item);
    let answer = answer.and_then(|answer| answer.content.get(JSON)?.schema.as_ref());
    let answer = named(answer, &format!("{at}.responses.200"))?;
    let (property, record) = record(schemas, answer)?;
    let (body, answer) = (body.to_owned(), answer.to_owned());
    let schema = &schemas[&body];
    let within = within(schema, &format!("components.schemas.{body}"))?;
    let properties = object(schema, &format!("components.schemas.{body}"))?;
    if !properties.properties.contains_key("tags") {
        return Err(format!(
            "components.schemas.{body}: has no property `tags`, by which the record is found"
        ));
    }
    let properties = properties.properties.keys().cloned().collect();
    Ok(GetOrCreate {
        id,
        path: path.to_owned(),
        body,
        answer,
        property,
        record,
        within,
        properties,
    })
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

/// The property of an answer that holds the record, and the record's schema: the one beside `meta`.
fn record(schemas: &Schemas, answer: &str) -> Result<(String, String)> {
    let at = format!("components.schemas.{answer}");
    let object = object(&schemas[answer], &at)?;
    let mut meta = None;
    let mut record = None;
    for (property, schema) in &object.properties {
        let at = format!("{at}.properties.{property}");
        let required = object.required.contains(property);
        let ReferenceOr::Reference { reference } = schema else {
            return Err(format!("{at}: has to refer to one of components.schemas"));
        };
        let schema = name(reference, &at)?;
        if property == "meta" {
            if required {
                return Err(format!(
                    "{at}: has to be optional: older versions of the API have none"
                ));
            }
            meta = Some(schema);
        } else if record.replace((property.clone(), schema.to_owned())).is_some() {
            return Err(format!("{at}: an answer has one record, and `meta`; remove this"));
        } else if !required {
            return Err(format!("{at}: has to be required, since it is the record"));
        }
    }
    let meta = meta.ok_or(format!("{at}: has no property `meta`, which says what was created"))?;
    let (property, record) =
        record.ok_or(format!("{at}: has no record, a required property that is a reference"))?;
    has(schemas, meta, "created", |kind| matches!(kind, Type::Boolean(_)), "a boolean, not null")?;
    let text = |kind: &Type| {
        matches!(kind, Type::String(string) if string.enumeration.is_empty()
        && string.format == VariantOrUnknownOrEmpty::Empty)
    };
    has(schemas, &record, "id", text, "a string, not null")?;
    Ok((property, record))
}

/// Has a schema require a property of a type.
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
        _ => Err(format!("{at}: has to be {what}, written here, since the client reads it")),
    }
}

fn within(body: &Schema, at: &str) -> Result<Vec<String>> {
    let Some(names) = body.schema_data.extensions.get("x-within") else {
        return Err(format!("{at}: `x-within` is missing; a record that only tags find has `[]`"));
    };
    let names =
        names.as_array().map(|names| names.iter().map(|name| name.as_str().map(str::to_owned)));
    let names = names.and_then(Iterator::collect::<Option<Vec<_>>>);
    names.ok_or(format!("{at}.x-within: has to be a list of strings"))
}

/// The names of the schemas that errors consist of: that of the responses which are errors, and what it is one of.
pub fn errors(spec: &OpenAPI, schemas: &Schemas) -> BTreeSet<String> {
    let of_operations = spec.operations().flat_map(|(_, _, operation)| {
        let responses = operation.responses.responses.iter();
        responses
            .filter(|(status, _)| **status != StatusCode::Code(200))
            .map(|(_, response)| response)
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

/// The names of the headers that say who calls, by those of the parameters in the spec: `BOT_ID`.
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

/// What every request has to be, and where it goes: `OPERATIONS`, an `Operation` each.
pub fn table(operations: &[GetOrCreate], schemas: &Schemas) -> Result<TokenStream> {
    let entries = operations.iter().enumerate().map(|(index, operation)| {
        let GetOrCreate { id, path, body, property, within, .. } = operation;
        let name = names::snake(id);
        let reference = format!("#/components/schemas/{body}");
        let body = ReferenceOr::Reference { reference };
        // A body refers to records of other operations by their ids: `userId` is that of a `user`.
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

/// The bodies, which are records to get or create.
pub fn bodies(operations: &[GetOrCreate]) -> Result<TokenStream> {
    let bodies = operations.iter().map(|GetOrCreate { id, body, record, .. }| {
        let doc = format!("The body of `{id}`.");
        let [body, record] = [body, record].map(|name| rust_name(name, id));
        let (body, record) = (body?, record?);
        Ok(quote! {
            #[doc = #doc]
            pub type #body = crate::record::New<#record>;
        })
    });
    bodies.collect()
}

/// `Record` for each, which makes its call by the generated method.
pub fn records(operations: &[GetOrCreate]) -> Result<TokenStream> {
    let records = operations.iter().enumerate().map(|(index, operation)| {
        let at = &operation.id;
        let method = rust_name(&names::snake(&operation.id), at)?;
        let property = rust_name(&names::snake(&operation.property), at)?;
        let names = [&operation.body, &operation.record, &operation.answer];
        let [body, record, answer] = names.map(|name| rust_name(name, at));
        let (body, record, answer) = (body?, record?, answer?);
        Ok(quote! {
            impl crate::record::Record for crate::api::types::#record {
                const OPERATION: &'static crate::generated::Operation =
                    &crate::generated::OPERATIONS[#index];
                type Answer = crate::api::types::#answer;

                async fn call(
                    client: &crate::api::Client,
                    body: &crate::api::types::#body,
                ) -> ::std::result::Result<
                    crate::api::ResponseValue<Self::Answer>,
                    crate::api::Error<()>,
                > {
                    client.#method(body).await
                }

                fn read(answer: Self::Answer) -> (Self, ::std::option::Option<bool>) {
                    (answer.#property, answer.meta.map(|meta| meta.created))
                }

                fn id(&self) -> &str {
                    &self.id
                }
            }
        })
    });
    Ok(records.collect::<Result<Vec<_>>>()?.into_iter().collect())
}
