//! The operations of the spec: what each takes and answers, and the Rust that says so.

use heck::{ToShoutySnakeCase, ToSnakeCase};
use openapiv3::{
    OpenAPI, Operation, Parameter, PathItem, ReferenceOr, Schema, SchemaKind, StatusCode, Type,
};
use proc_macro2::TokenStream;
use quote::quote;

use crate::rules::rules;
use crate::spec::{Result, Schemas, name, resolve, rust_name};

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
    let items = spec.paths.paths.iter_mut().map(|(path, item)| {
        let at = format!("paths.{path}");
        let operation = match item {
            ReferenceOr::Item(PathItem { post: Some(operation), .. }) => operation,
            _ => return Err(format!("{at}: has no `post` of its own")),
        };
        operation.parameters.clear();
        operation.responses.default = None;
        operation.responses.responses.retain(|status, _| *status == StatusCode::Code(200));
        get_or_create(path, operation, schemas, &format!("{at}.post"))
    });
    let operations = items.collect::<Result<Vec<_>>>()?;
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
    let within = within(resolve(schemas, body, at)?, body)?;
    let properties = match &resolve(schemas, body, at)?.schema_kind {
        SchemaKind::Type(Type::Object(object)) => object.properties.keys().cloned().collect(),
        _ => return Err(format!("{body}: has to be an object")),
    };
    let [body, answer] = [body, answer].map(|reference| name(reference, at).map(str::to_owned));
    let (body, answer, path) = (body?, answer?, path.to_owned());
    Ok(GetOrCreate { id, path, body, answer, property, record, within, properties })
}

/// The reference to a schema for JSON, which generated code needs a name of.
fn named<'a>(schema: Option<&'a ReferenceOr<Schema>>, at: &str) -> Result<&'a str> {
    match schema {
        Some(ReferenceOr::Reference { reference }) => Ok(reference),
        _ => Err(format!("{at}: has to refer to a schema for {JSON}")),
    }
}

/// The property of an answer that holds the record: the one beside `meta`.
fn record(schemas: &Schemas, answer: &str) -> Result<(String, String)> {
    let SchemaKind::Type(Type::Object(object)) = &resolve(schemas, answer, answer)?.schema_kind
    else {
        return Err(format!("{answer}: has to be an object"));
    };
    let others = object.properties.iter().filter(|(name, _)| *name != "meta");
    match others.collect::<Vec<_>>()[..] {
        [(property, ReferenceOr::Reference { reference })]
            if object.properties.len() == 2 && object.required == [property.as_str()] =>
        {
            Ok((property.clone(), name(reference, answer)?.to_owned()))
        }
        _ => Err(format!("{answer}: has to have `meta`, and one required property, a reference")),
    }
}

fn within(body: &Schema, at: &str) -> Result<Vec<String>> {
    let names = body.schema_data.extensions.get("x-within").and_then(|names| names.as_array());
    let names = names.map(|names| names.iter().map(|name| name.as_str().map(str::to_owned)));
    let names = names.and_then(Iterator::collect::<Option<Vec<_>>>);
    names.ok_or(format!("{at}.x-within: has to be a list of strings"))
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
        let name = id.to_snake_case();
        let reference = format!("#/components/schemas/{body}");
        let body = ReferenceOr::Reference { reference };
        // A body refers to records of other operations by their ids: `userId` is that of a `user`.
        let refers = operations.iter().enumerate().filter_map(|(index, other)| {
            let id = format!("{}Id", other.property);
            operation.properties.contains(&id).then(|| quote!((#index, #id)))
        });
        let rules = rules(schemas, &body, &format!("the body of {id}"), &[])?;
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
        let method = rust_name(&operation.id.to_snake_case(), at)?;
        let property = rust_name(&operation.property.to_snake_case(), at)?;
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
