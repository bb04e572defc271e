//! The Rust names that typify and progenitor give to what the spec names.

use heck::{ToPascalCase, ToSnakeCase};

/// The name of a type or of a variant.
pub fn pascal(name: &str) -> String {
    sanitized(name, |name| name.to_pascal_case())
}

/// The name of a field, an argument or a method.
pub fn snake(name: &str) -> String {
    sanitized(name, |name| name.to_snake_case())
}

fn sanitized(name: &str, case: fn(&str) -> String) -> String {
    let name = match name {
        "+1" => "plus1".to_owned(),
        "-1" => "minus1".to_owned(),
        _ => case(&name.replace('\'', "").replace(|c| !is_in_identifiers(c), "-")),
    };
    let name = match name.chars().next() {
        Some(first) if !is_identifier(&first.to_string()) => format!("{}{name}", case("x")),
        Some(_) => name,
        None => case("x"),
    };
    if is_identifier(&name) { name } else { format!("{name}_") }
}

fn is_in_identifiers(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii() && is_identifier(&format!("x{c}"))
}

/// Whether a name is valid in Rust and not a keyword.
pub fn is_identifier(name: &str) -> bool {
    // syn knows the keywords, except one that is new in edition 2024.
    name != "gen" && syn::parse_str::<syn::Ident>(name).is_ok()
}
