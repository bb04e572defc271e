//! Generates the client from `spec/botpress.yaml`: serde_yaml reads the contract, `build/document.rs` and
//! `build/schema.rs` reject what the generator does not understand, openapiv3 models the rest, progenitor generates
//! types and methods, and quote adds what progenitor cannot: open enumerations, constructors, and the rules for
//! requests.
//!
//! `src/api.rs` includes `OUT_DIR/api.rs`, which is progenitor's client as it is, with its types refined.
//! `src/generated.rs` includes `OUT_DIR/rules.rs`, `src/record.rs` includes `OUT_DIR/records.rs`, and
//! `src/lib.rs` includes `OUT_DIR/content.rs`.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::{env, fs};

use openapiv3::{OpenAPI, ReferenceOr, Schema, SchemaKind, Type};
use proc_macro2::TokenStream;
use progenitor::{GenerationSettings, Generator, HooksMode};
use quote::quote;

use operations::{errors, headers, operations, records, table};
use serde_yaml::Value;
use spec::{Result, parse, read, schemas};
use types::{constructors, open_enums, refine};

#[path = "build/blame.rs"]
mod blame;
#[path = "build/document.rs"]
mod document;
#[path = "build/documentation.rs"]
mod documentation;
#[path = "build/example.rs"]
mod example;
#[path = "build/input.rs"]
mod input;
#[path = "build/names.rs"]
mod names;
#[path = "build/operations.rs"]
mod operations;
#[path = "build/rules.rs"]
mod rules;
#[path = "build/schema.rs"]
mod schema;
#[path = "build/spec.rs"]
mod spec;
#[path = "build/strict.rs"]
mod strict;
#[path = "build/types.rs"]
mod types;

const SPEC: &str = "spec/botpress.yaml";

fn main() {
    println!("cargo::rerun-if-changed={SPEC}");
    // The tests run this program on broken specs.
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
    for (name, code) in generate(&yaml)? {
        fs::write(Path::new(&out).join(name), code)
            .map_err(|e| format!("the generated code cannot be written: {e}"))?;
    }
    Ok(())
}

/// From YAML to files of formatted Rust.
fn generate(yaml: &str) -> Result<[(&'static str, String); 4]> {
    let mut document = read(yaml)?;
    document::check(&document)?;
    documentation::prepare(&mut document);
    let schemas = schemas(&parse(&document)?)?;
    let sent = input::sent(&document);
    input::prepare(&mut document, &sent);
    let mut spec = parse(&document)?;
    let base_url = spec.servers.first().map(|server| server.url.clone());
    let base_url = base_url.ok_or("servers: at least one is needed, for the default base URL")?;
    let errors = errors(&spec, &schemas);
    let operations = operations(&mut spec, &schemas)?;

    let headers = headers(&spec)?;
    let table = table(&operations, &schemas)?;
    let open_enums = open_enums(&schemas)?;
    let mut api = file(progenitor(&spec, &document, open_enums.keys())?)?;

    let types = types(&mut api)?;
    let bodies = operations.iter().map(|operation| operation.body.as_str()).collect();
    let constructors = constructors(types, &schemas, &sent, &bodies)?;
    let debugs = refine(types, &schemas, &errors)?;
    let additions = open_enums.values().chain(&constructors).chain([&debugs]);
    types.extend(file(quote!(#(#additions)*))?.items);
    let rules = file(quote! {
        /// The default base URL.
        pub const BASE_URL: &str = #base_url;
        #headers
        #table
    })?;
    let records = file(records(&operations)?)?;
    let content = file(types::content(&document))?;
    let files =
        [("api.rs", api), ("rules.rs", rules), ("records.rs", records), ("content.rs", content)];
    Ok(files.map(|(name, file)| (name, prettyplease::unparse(&file))))
}

fn file(tokens: TokenStream) -> Result<syn::File> {
    syn::parse2(tokens).map_err(|e| format!("the generated code is not valid Rust: {e}"))
}

/// The client as progenitor generates it; `provided` types are left to the rest of this program.
fn progenitor<'a>(
    spec: &OpenAPI,
    document: &Value,
    provided: impl Iterator<Item = &'a String>,
) -> Result<TokenStream> {
    let mut settings = GenerationSettings::default();
    settings
        .with_map_type("::std::collections::BTreeMap") // equal messages are equal bytes
        .with_derive("PartialEq")
        .with_hooks(HooksMode::Expected)
        .with_inner_type(quote!(crate::attempt::Hooks));
    // As f64, a delay of 0 would be sent as 0.0.
    for name in spec.components.iter().flat_map(|c| &c.schemas).filter_map(number) {
        settings.with_replacement(name, "::serde_json::Number", [].into_iter());
    }
    for name in provided {
        settings.with_replacement(name, name, [].into_iter());
    }
    without_panic(spec, &settings).map_err(|whole| {
        let part = blame::find(document, |part| without_panic(part, &settings).err());
        let (at, cause) = part.unwrap_or(("the whole spec".into(), whole));
        format!("{at}: progenitor cannot generate from it: {cause}")
    })
}

/// The name of a schema that is a number.
fn number<'a>((name, schema): (&'a String, &'a ReferenceOr<Schema>)) -> Option<&'a String> {
    let kind = &schema.as_item()?.schema_kind;
    matches!(kind, SchemaKind::Type(Type::Number(_))).then_some(name)
}

/// progenitor and typify panic on shapes that they do not support.
fn without_panic(spec: &OpenAPI, settings: &GenerationSettings) -> Result<TokenStream> {
    let report = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result =
        panic::catch_unwind(AssertUnwindSafe(|| Generator::new(settings).generate_tokens(spec)));
    panic::set_hook(report);
    match result {
        Ok(tokens) => tokens.map_err(|e| e.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied());
            Err(text.unwrap_or("it panicked").to_owned())
        }
    }
}

/// The generated types, which the rest of this program refines.
fn types(api: &mut syn::File) -> Result<&mut Vec<syn::Item>> {
    let modules = api.items.iter_mut().filter_map(|item| match item {
        syn::Item::Mod(module) if module.ident == "types" => module.content.as_mut(),
        _ => None,
    });
    let types = modules.map(|(_, items)| items).next();
    types.ok_or("progenitor generated no module `types`".into())
}
