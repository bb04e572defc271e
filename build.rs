//! Generates the client from `spec/botpress.yaml`: serde_yaml reads the contract, `build/document.rs` and
//! `build/schema.rs` reject what nothing here understands, openapiv3 models the rest, progenitor generates types
//! and methods, and quote adds what progenitor cannot: open enumerations, constructors, and the rules that
//! a request must keep.
//!
//! `OUT_DIR/types.rs` is what `src/generated.rs` includes, `OUT_DIR/client.rs` what `src/attempt.rs` does.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::{env, fs};

use openapiv3::{OpenAPI, ReferenceOr, Schema, SchemaKind, Type};
use proc_macro2::TokenStream;
use progenitor::{GenerationSettings, Generator, HooksMode};
use quote::quote;

use operations::{headers, operations, prepare, records, table};
use serde_yaml::Value;
use spec::{Result, parse, read, schemas};
use types::{constructors, open_enums, reader, refine};

#[path = "build/blame.rs"]
mod blame;
#[path = "build/document.rs"]
mod document;
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
    let Generated { types, client } = generate(&yaml)?;
    for (name, code) in [("types.rs", types), ("client.rs", client)] {
        fs::write(Path::new(&out).join(name), code)
            .map_err(|e| format!("what it generates cannot be written: {e}"))?;
    }
    Ok(())
}

struct Generated {
    types: String,
    client: String,
}

/// From YAML to formatted Rust.
fn generate(yaml: &str) -> Result<Generated> {
    let mut document = read(yaml)?;
    document::check(&document)?;
    let schemas = schemas(&parse(&document)?)?;
    input::prepare(&mut document);
    let mut spec = parse(&document)?;
    let base_url = spec.servers.first().map(|server| server.url.clone());
    let base_url = base_url.ok_or("servers: at least one is needed, the default base URL")?;
    let operations = operations(&mut spec, &schemas)?;

    let headers = headers(&spec)?;
    let table = table(&operations, &schemas)?;
    let open_enums = open_enums(&schemas)?;
    let records = records(&operations)?;
    let mut client = file(progenitor(&spec, &document, open_enums.keys())?)?;
    prepare(&mut client);

    let mut types = take_types(&mut client)?;
    if let Some((_, items)) = &mut types.content {
        let constructors = constructors(items, &schemas)?;
        let debugs = refine(items, &schemas)?;
        let additions = open_enums.values().chain(&constructors).chain([&debugs]);
        items.extend(file(quote!(#(#additions)*))?.items);
    }
    let reader = reader();
    let types = file(quote! {
        /// Where the API is.
        pub const BASE_URL: &str = #base_url;
        #headers
        #table
        #reader
        #types
    })?;
    client.items.extend(file(records)?.items);
    Ok(Generated { types: prettyplease::unparse(&types), client: prettyplease::unparse(&client) })
}

fn file(tokens: TokenStream) -> Result<syn::File> {
    syn::parse2(tokens).map_err(|e| format!("what it generates is not Rust: {e}"))
}

/// The client as progenitor generates it, with `provided` types left to the rest of this program.
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
        .with_inner_type(quote!(super::Attempt));
    // As f64, a delay of 0 would be sent as 0.0.
    for name in spec.components.iter().flat_map(|c| &c.schemas).filter_map(number) {
        settings.with_replacement(name, "::serde_json::Number", [].into_iter());
    }
    for name in provided {
        settings.with_replacement(name, name, [].into_iter());
    }
    without_panic(spec, &settings).map_err(|whole| {
        let part = blame::find(document, |part| without_panic(part, &settings).err());
        let (at, cause) = part.unwrap_or(("the whole".into(), whole));
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

/// Moves the module of the generated types out of the client, which only needs their names.
fn take_types(client: &mut syn::File) -> Result<syn::ItemMod> {
    for item in &mut client.items {
        if matches!(item, syn::Item::Mod(module) if module.ident == "types") {
            let import = syn::parse_quote!(
                use crate::generated::types;
            );
            if let syn::Item::Mod(types) = std::mem::replace(item, import) {
                return Ok(types);
            }
        }
    }
    Err("progenitor generated no module `types`".into())
}
