//! Checks the spec outside of schemas, and which operations the generator supports.

use std::collections::BTreeMap;

use serde_yaml::Value;

use crate::names;
use crate::schema::{Schemas, dangling, property};
use crate::spec::Result;
use crate::strict::Kind::{Bool, List, Mapping, String as Str, Strings, Text, True};
use crate::strict::{Keyword, Node, nearest};

const JSON: &str = "application/json";

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// The headers that identify the caller, by the names of their parameters, and whether the client sends each with
/// every request.
const CALLER: [(&str, bool); 3] =
    [("BotId", true), ("IntegrationId", false), ("IntegrationAlias", false)];

/// The headers that the client reads from a response.
const READ: [&str; 3] = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"];

/// Methods that every generated client has, so that no operation can have these names.
const TAKEN: [&str; 10] = [
    "api_version",
    "baseurl",
    "client",
    "clone",
    "exec",
    "inner",
    "new",
    "new_with_client",
    "post",
    "pre",
];

struct Document<'a> {
    components: Node<'a>,
    schemas: Schemas<'a>,
    /// The schema of errors, taken from the first error response.
    error: Option<&'a str>,
}

/// Checks that the spec contains nothing that the generator does not use.
pub fn check(value: &Value) -> Result<()> {
    let document = Node::new(value, "")?;
    document.check(&[
        Keyword("openapi", Str),
        Keyword("info", Mapping),
        Keyword("servers", List),
        Keyword("security", List),
        Keyword("paths", Mapping),
        Keyword("components", Mapping),
    ])?;
    info(&document.node("info")?)?;
    servers(&document)?;
    let components = document.node("components")?;
    security(&document, &components)?;
    components.check(&[
        Keyword("securitySchemes", Mapping),
        Keyword("parameters", Mapping),
        Keyword("responses", Mapping),
        Keyword("headers", Mapping),
        Keyword("schemas", Mapping),
    ])?;
    let schemas = Schemas::new(&document)?;
    let section = components.node("schemas")?;
    let mut checked = Document { components, schemas, error: None };
    checked.parameters()?;
    checked.paths(&document.node("paths")?)?;
    checked.unused(value)?;
    checked.schemas.check(&section)
}

fn info(info: &Node<'_>) -> Result<()> {
    info.check(&[
        Keyword("title", Text),
        Keyword("description", Text),
        Keyword("version", Text),
        Keyword("license", Mapping),
    ])?;
    if info.get("license").is_some() {
        let license = info.node("license")?;
        license.check(&[Keyword("name", Text), Keyword("url", Text)])?;
        license.need("name")?;
    }
    info.need("title")?;
    let version = info.need("version")?.as_str().unwrap_or_default();
    if version.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(());
    }
    Err(format!(
        "{}: becomes a header in the generated code, so it has to be ASCII without spaces",
        info.place("version")
    ))
}

/// Checks the base URL: there is one, it is absolute, and a path can follow it.
fn servers(document: &Node<'_>) -> Result<()> {
    let servers: Vec<_> = document.items("servers").collect();
    let [(server, at), others @ ..] = &servers[..] else {
        return Err("servers: one is needed, for the default base URL".into());
    };
    if let Some((_, at)) = others.first() {
        return Err(format!("{at}: only one server is used; remove this"));
    }
    let server = Node::new(server, at)?;
    server.check(&[Keyword("url", Str), Keyword("description", Text)])?;
    let url = server.need("url")?.as_str().unwrap_or_default();
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.unwrap_or_default().split('/').next().unwrap_or_default();
    let at = server.place("url");
    if host.is_empty() {
        return Err(format!("{at}: has to be absolute, like `https://api.example.com`"));
    }
    if url.contains(['{', '}']) {
        return Err(format!("{at}: variables are not supported; write the whole URL"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]".contains(c);
    match url.chars().find(|c| !plain(*c)) {
        Some(c) => Err(format!("{at}: {c:?} cannot be in a base URL; remove it")),
        None if url.ends_with('/') => {
            Err(format!("{at}: paths begin with `/`, so remove it at the end"))
        }
        None => Ok(()),
    }
}

/// Checks that there is one scheme, a bearer token, for every operation.
fn security(document: &Node<'_>, components: &Node<'_>) -> Result<()> {
    let schemes = components.node("securitySchemes")?;
    let mut entries = schemes.entries();
    let (Some((name, scheme, at)), other) = (entries.next(), entries.next()) else {
        return Err(format!("{}: is empty; the client sends a bearer token", schemes.at));
    };
    if let Some((.., at)) = other {
        return Err(format!("{at}: the client sends only a bearer token; remove this"));
    }
    let scheme = Node::new(scheme, at)?;
    scheme.check(&[Keyword("type", Str), Keyword("scheme", Str), Keyword("description", Text)])?;
    for (key, only) in [("type", "http"), ("scheme", "bearer")] {
        if scheme.need(key)?.as_str() != Some(only) {
            return Err(format!(
                "{}: has to be `{only}`: the client sends a bearer token",
                scheme.place(key)
            ));
        }
    }
    let required: Vec<_> = document.items("security").collect();
    let [(requirement, at)] = &required[..] else {
        return Err(format!("security: has to be one requirement, `- {name}: []`"));
    };
    let requirement = Node::new(requirement, at)?;
    for (key, scopes, at) in requirement.entries() {
        if key != name {
            return Err(format!("{at}: is not one of components.securitySchemes; write `{name}`"));
        }
        if scopes.as_sequence().is_none_or(|scopes| !scopes.is_empty()) {
            return Err(format!("{at}: a bearer token has no scopes; write `{name}: []`"));
        }
    }
    if requirement.get(name).is_none() {
        return Err(format!("{at}: the client always sends a token; write `{name}: []`"));
    }
    Ok(())
}

/// A parameter of an operation.
struct Parameter<'a> {
    name: &'a str,
    /// Where it is sent: `path`, `query` or `header`.
    kind: &'a str,
    required: bool,
    /// Its name in `components.parameters`, if it is there.
    shared: Option<&'a str>,
    at: String,
}

impl<'a> Document<'a> {
    /// Checks the named parameters: the headers that identify the caller.
    fn parameters(&self) -> Result<()> {
        let parameters = self.components.node("parameters")?;
        for (name, _, at) in parameters.entries() {
            let parameter = self.parameter(parameters.need(name)?, &at)?;
            let Some((_, always)) = CALLER.iter().find(|(caller, _)| *caller == name) else {
                let known = CALLER.map(|(caller, _)| caller);
                return Err(match nearest(name, known.into_iter()) {
                    Some(meant) => {
                        format!("{at}: the client does not send this; did you mean `{meant}`?")
                    }
                    None => {
                        format!(
                            "{at}: the client does not send this, only {}; remove it",
                            known.join(", ")
                        )
                    }
                });
            };
            if parameter.kind != "header" {
                return Err(format!("{at}.in: has to be `header`, which the client sends"));
            }
            if parameter.required != *always {
                let so = if *always { "with every request" } else { "only if it is configured" };
                return Err(format!("{at}.required: has to be {always}: the client sends it {so}"));
            }
            if Node::new(parameters.need(name)?, &at)?.get("description").is_none() {
                return Err(format!("{at}: has no description"));
            }
        }
        match CALLER.iter().find(|(name, _)| parameters.get(name).is_none()) {
            Some((name, _)) => {
                Err(format!("{}: {name} is missing, a header that the client sends", parameters.at))
            }
            None => Ok(()),
        }
    }

    fn parameter(&self, value: &'a Value, at: &str) -> Result<Parameter<'a>> {
        let node = Node::new(value, at)?;
        if node.get("$ref").is_some() {
            let (name, value) = self.reference(&node, "parameters")?;
            let shared = self.parameter(value, &format!("components.parameters.{name}"))?;
            return Ok(Parameter { shared: Some(name), at: at.to_owned(), ..shared });
        }
        node.check(&[
            Keyword("name", Str),
            Keyword("in", Str),
            Keyword("description", Text),
            Keyword("required", Bool),
            Keyword("schema", Mapping),
        ])?;
        let name = node.need("name")?.as_str().unwrap_or_default();
        let kind = node.need("in")?.as_str().unwrap_or_default();
        let required = node.get("required").and_then(Value::as_bool).unwrap_or_default();
        let of_headers = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        match kind {
            "header" if name.is_empty() || !name.chars().all(of_headers) => {
                return Err(format!(
                    "{}: {name:?} cannot be the name of a header",
                    node.place("name")
                ));
            }
            "header"
                if ["accept", "authorization", "content-type"]
                    .contains(&name.to_lowercase().as_str()) =>
            {
                return Err(format!(
                    "{}: OpenAPI ignores a parameter called {name}; remove it",
                    node.place("name")
                ));
            }
            "path" if !required => {
                return Err(format!(
                    "{at}.required: a parameter of the path has to be required: true"
                ));
            }
            "header" | "path" | "query" if name.is_empty() => {
                return Err(format!("{}: is empty", node.place("name")));
            }
            "header" | "path" | "query" => {}
            other => {
                return Err(format!(
                    "{at}.in: has to be `path`, `query` or `header`, but is `{other}`"
                ));
            }
        }
        node.need("schema")?;
        let types: &[_] =
            if kind == "header" { &["string"] } else { &["string", "integer", "boolean"] };
        self.schemas.plain(node.need("schema")?, &node.place("schema"), types)?;
        Ok(Parameter { name, kind, required, shared: None, at: at.to_owned() })
    }

    fn paths(&mut self, paths: &Node<'a>) -> Result<()> {
        let (mut seen, mut methods) = (BTreeMap::new(), BTreeMap::new());
        if paths.entries().next().is_none() {
            return Err("paths: is empty; add an operation".into());
        }
        for (path, item, at) in paths.entries() {
            let names = template(path, &at)?;
            let mut shape = path.trim_end_matches('/').to_lowercase();
            for name in &names {
                shape = shape.replacen(&format!("{{{}}}", name.to_lowercase()), "{}", 1);
            }
            if let Some(other) = seen.insert(shape, path) {
                return Err(format!("{at}: is the same path as {other}; remove one"));
            }
            let item = Node::new(item, &at)?;
            item.check(&METHODS.map(|method| Keyword(method, Mapping)))?;
            if item.entries().next().is_none() {
                return Err(format!("{at}: has no operation"));
            }
            for (method, operation, at) in item.entries() {
                let operation = Node::new(operation, at)?;
                let id = self.operation(method, &operation, &names)?;
                let rust = names::snake(id);
                let at = operation.place("operationId");
                if let Some(other) = methods.insert(rust.clone(), id) {
                    return Err(format!(
                        "{at}: `{id}` and `{other}` are both `{rust}` in Rust; rename one"
                    ));
                }
            }
        }
        Ok(())
    }

    fn operation(
        &mut self,
        method: &str,
        operation: &Node<'a>,
        in_path: &[&str],
    ) -> Result<&'a str> {
        let at = &operation.at;
        for (key, problem) in [
            ("security", "every operation takes the token of `security`; remove it"),
            ("servers", "every operation uses the URL of `servers`; remove it"),
        ] {
            if operation.get(key).is_some() {
                return Err(format!("{}: {problem}", operation.place(key)));
            }
        }
        operation.check(&[
            Keyword("operationId", Str),
            Keyword("summary", Text),
            Keyword("description", Text),
            Keyword("deprecated", True),
            Keyword("x-get-or-create", Mapping),
            Keyword("parameters", List),
            Keyword("requestBody", Mapping),
            Keyword("responses", Mapping),
        ])?;
        let Some(id) = operation.text("operationId") else {
            return Err(format!("{at}: has no operationId"));
        };
        let rust = names::snake(id);
        if TAKEN.contains(&rust.as_str()) || !id.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(format!(
                "{}: no method of a client can be called `{id}`; choose another name",
                operation.place("operationId")
            ));
        }
        let parameters = operation.items("parameters");
        let parameters = parameters.map(|(value, at)| self.parameter(value, &at));
        let parameters = parameters.collect::<Result<Vec<_>>>()?;
        self.check_parameters(operation, &parameters, in_path)?;
        if !["get", "put", "post", "delete"].contains(&method) {
            return Err(format!("{}: only get, put, post and delete are supported", operation.at));
        }
        let success = self.responses(&operation.node("responses")?)?;
        let body = match operation.get("requestBody") {
            Some(_) => Some(self.body(&operation.node("requestBody")?)?),
            None => None,
        };
        if operation.get("x-get-or-create").is_some() {
            self.get_or_create(method, operation, &parameters, body, success)?;
        }
        Ok(id)
    }

    fn check_parameters(
        &self,
        operation: &Node<'_>,
        parameters: &[Parameter<'_>],
        in_path: &[&str],
    ) -> Result<()> {
        let mut seen = BTreeMap::new();
        for Parameter { name, kind, at, .. } in parameters {
            if *kind == "path" && !in_path.contains(name) {
                return Err(format!("{at}: the path has no `{{{name}}}`; remove it"));
            }
            let rust = names::snake(name);
            if rust == "header_map" {
                return Err(format!("{at}: the generated method needs this name; rename it"));
            }
            if rust == "body" && operation.get("requestBody").is_some() {
                return Err(format!("{at}: a method has an argument `body` already; rename it"));
            }
            if let Some(other) = seen.insert(rust.clone(), name) {
                return Err(format!("{at}: `{name}` and `{other}` are both `{rust}` in Rust"));
            }
        }
        let of_path = |name: &str| {
            parameters.iter().any(|parameter| parameter.kind == "path" && parameter.name == name)
        };
        match in_path.iter().find(|name| !of_path(name)) {
            Some(name) => Err(format!(
                "{}: no parameter of the path is `{name}`; add it",
                operation.place("parameters")
            )),
            None => Ok(()),
        }
    }

    /// An operation that gets or creates a record: `post`, with the headers that identify the caller and no other
    /// parameter, a body, and 200.
    fn get_or_create(
        &self,
        method: &str,
        operation: &Node<'_>,
        parameters: &[Parameter<'_>],
        body: Option<&str>,
        (status, response): (&str, Option<&str>),
    ) -> Result<()> {
        let node = operation.node("x-get-or-create")?;
        node.check(&[Keyword("record", Str), Keyword("within", Strings)])?;
        let at = &node.at;
        if method != "post" {
            return Err(format!("{at}: such an operation is a `post`; remove this"));
        }
        for (caller, _) in CALLER {
            if parameters.iter().all(|parameter| parameter.shared != Some(caller)) {
                return Err(format!(
                    "{}: the client sends {caller}; refer to it",
                    operation.place("parameters")
                ));
            }
        }
        if let Some(parameter) = parameters.iter().find(|parameter| parameter.shared.is_none()) {
            let Parameter { at, kind, .. } = parameter;
            return Err(format!(
                "{at}: a record is found by its body, not by a parameter of the {kind}; remove it"
            ));
        }
        let Some(body) = body else { return Err(no_body(operation)) };
        let (Some(response), "200") = (response, status) else {
            return Err(format!(
                "{}.{status}: a record is returned with 200",
                operation.place("responses")
            ));
        };
        let properties = |schema| {
            self.schemas.get(schema).and_then(|schema| schema.get("properties")?.as_mapping())
        };
        let record = node.need("record")?.as_str().unwrap_or_default();
        property(properties(response), record, &node.place("record"))?;
        node.need("within")?;
        for (index, name) in node.strings("within").into_iter().enumerate() {
            property(properties(body), name, &format!("{}.{index}", node.place("within")))?;
        }
        Ok(())
    }

    /// The name of the body's schema.
    fn body(&self, body: &Node<'_>) -> Result<&'a str> {
        if body.get("$ref").is_some() {
            return Err(format!("{}: has to be written out, not referred to", body.at));
        }
        body.check(&[Keyword("required", Bool), Keyword("content", Mapping)])?;
        if body.get("required") != Some(&Value::Bool(true)) {
            return Err(format!(
                "{}: has to be `required: true`: the client always sends it",
                body.at
            ));
        }
        self.content(&body.node("content")?)
    }

    /// The schema of JSON, the only supported type of content.
    fn content(&self, content: &Node<'_>) -> Result<&'a str> {
        if let Some((other, _, at)) = content.entries().find(|(key, ..)| *key != JSON) {
            return Err(format!("{at}: `{other}` is not supported, only {JSON}"));
        }
        let json = content.node(JSON)?;
        json.check(&[Keyword("schema", Mapping)])?;
        self.schemas.named(json.need("schema")?, &json.place("schema"))
    }

    /// The status of success, and the name of its schema, if it has content.
    fn responses(&mut self, responses: &Node<'a>) -> Result<(&'a str, Option<&'a str>)> {
        const SUCCESS: [&str; 3] = ["200", "201", "204"];
        let mut success = None;
        for (status, response, at) in responses.entries() {
            if SUCCESS.contains(&status) {
                if let Some((other, _)) = success {
                    return Err(format!("{at}: {other} is a response of success, too; remove one"));
                }
                success = Some((status, self.response(response, &at, status == "204")?));
                continue;
            }
            if !["4XX", "5XX"].contains(&status) {
                let use_instead = match status.chars().next() {
                    Some('4') => "write `4XX`, which the client treats the same",
                    Some('5') => "write `5XX`, which the client treats the same",
                    _ => "remove it",
                };
                return Err(format!(
                    "{at}: only {}, 4XX, 5XX are supported; {use_instead}",
                    SUCCESS.join(", ")
                ));
            }
            let Some(schema) = self.response(response, &at, false)? else { continue };
            match (*self.error.get_or_insert(schema), schema) {
                (error, schema) if error == schema => {}
                (error, schema) => {
                    return Err(format!(
                        "{at}: has {schema}, but the errors before have {error}; use one schema for all"
                    ));
                }
            }
        }
        for status in ["4XX", "5XX"] {
            if responses.get(status).is_none() {
                return Err(format!("{}: {status} is missing", responses.at));
            }
        }
        success.ok_or(format!("{}: 200, 201 or 204 is missing", responses.at))
    }

    /// The name of a response's schema. An empty response has none.
    fn response(&self, response: &'a Value, at: &str, empty: bool) -> Result<Option<&'a str>> {
        let node = Node::new(response, at)?;
        if node.get("$ref").is_some() {
            let (name, response) = self.reference(&node, "responses")?;
            return self.response(response, &format!("components.responses.{name}"), empty);
        }
        node.check(&[
            Keyword("description", Text),
            Keyword("headers", Mapping),
            Keyword("content", Mapping),
        ])?;
        node.need("description")?;
        if node.get("headers").is_some() {
            for (name, header, at) in node.node("headers")?.entries() {
                if !READ.contains(&name) {
                    return Err(format!(
                        "{at}: the client does not read it, only {}",
                        READ.join(", ")
                    ));
                }
                self.header(header, &at)?;
            }
        }
        if empty {
            return match node.get("content") {
                None => Ok(None),
                Some(_) => Err(format!("{}: 204 has no content; remove it", node.place("content"))),
            };
        }
        self.content(&node.node("content")?).map(Some)
    }

    fn header(&self, header: &'a Value, at: &str) -> Result<()> {
        let node = Node::new(header, at)?;
        if node.get("$ref").is_some() {
            let (name, header) = self.reference(&node, "headers")?;
            return self.header(header, &format!("components.headers.{name}"));
        }
        node.check(&[Keyword("description", Text), Keyword("schema", Mapping)])?;
        self.schemas.plain(node.need("schema")?, &node.place("schema"), &["integer"])
    }

    /// The component that is referred to, in a section of the components.
    fn reference(&self, node: &Node<'_>, section: &str) -> Result<(&'a str, &'a Value)> {
        node.check(&[Keyword("$ref", Str)])?;
        let at = node.place("$ref");
        let reference = node.text("$ref").unwrap_or_default();
        let prefix = format!("#/components/{section}/");
        let Some(name) = reference.strip_prefix(&prefix) else {
            return Err(format!("{at}: {reference} is not in this document; begin with {prefix}"));
        };
        let all = self.components.node(section)?;
        let found = all.entries().find(|(key, ..)| *key == name);
        match found {
            Some((name, value, place)) => match value.get("$ref") {
                Some(_) => Err(format!("{place}: is only a reference; write it out")),
                None => Ok((name, value)),
            },
            None => Err(dangling(&at, reference, name, all.entries().map(|(key, ..)| key))),
        }
    }

    /// Checks that each component is used, except the schemas, which are types.
    fn unused(&self, document: &Value) -> Result<()> {
        let mut found = Vec::new();
        references(document, &mut found);
        for section in ["responses", "headers"] {
            if self.components.get(section).is_none() {
                continue;
            }
            for (name, _, at) in self.components.node(section)?.entries() {
                if !found.contains(&format!("#/components/{section}/{name}").as_str()) {
                    return Err(format!("{at}: nothing refers to it; remove it"));
                }
            }
        }
        Ok(())
    }
}

fn no_body(operation: &Node<'_>) -> String {
    format!("{}.requestBody: is missing; it has to refer to a schema for {JSON}", operation.at)
}

/// Every reference in a part of the document.
pub fn references<'a>(part: &'a Value, found: &mut Vec<&'a str>) {
    match part {
        Value::Mapping(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str));
            map.values().for_each(|value| references(value, found));
        }
        Value::Sequence(list) => list.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// The names of the parameters in a path.
fn template<'a>(path: &'a str, at: &str) -> Result<Vec<&'a str>> {
    let wrong = |problem: &str| Err(format!("{at}: {problem}"));
    if !path.starts_with('/') {
        return wrong("has to begin with `/`");
    }
    if path.contains(['?', '#']) {
        return wrong("a path ends before `?` and `#`; describe a query by parameters");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~!$&'()*+,;=:@{}".contains(c);
    if let Some(c) = path.chars().find(|c| !plain(*c)) {
        return wrong(&format!("{c:?} cannot be in a path; remove it"));
    }
    let segments: Vec<_> = path[1..].split('/').collect();
    let (last, first) = segments.split_last().unwrap_or((&"", &[]));
    if first.contains(&"") || segments.contains(&".") || segments.contains(&"..") {
        return wrong("has an empty segment, `.` or `..`; remove it");
    }
    let mut names = Vec::new();
    for segment in first.iter().chain([last]) {
        if !segment.contains(['{', '}']) {
            continue;
        }
        let name = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        match name.filter(|name| !name.is_empty() && !name.contains(['{', '}'])) {
            Some(name) if names.contains(&name) => {
                return wrong(&format!("`{{{name}}}` is there twice; rename one"));
            }
            Some(name) => names.push(name),
            None => {
                return wrong(&format!(
                    "a parameter is a whole segment, `{{name}}`, not {segment:?}"
                ));
            }
        }
    }
    Ok(names)
}
