//! The smallest pairs of documents that once had a wrong result, with the right one.

use contract_drift::{Code, Document, Options, Spec, check};
use serde_json::{Value, json};

/// Two documents, and the codes of the findings.
struct Pair {
    name: &'static str,
    ours: Value,
    theirs: Value,
    codes: &'static [Code],
}

/// A document with the operation `post /a`; `root` goes to its top.
fn document(openapi: &str, operation: Value, root: Value) -> Value {
    let mut document = json!({ "openapi": openapi, "paths": { "/a": { "post": operation } } });
    extend(&mut document, root);
    extend(&mut document["paths"]["/a"]["post"], json!({ "operationId": "op" }));
    document
}

fn extend(value: &mut Value, more: Value) {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
}

fn json_body(schema: Value) -> Value {
    json!({ "content": { "application/json": { "schema": schema } } })
}

fn request(schema: Value) -> Value {
    document("3.1.0", json!({ "requestBody": json_body(schema), "responses": {} }), json!({}))
}

fn response(schema: Value) -> Value {
    document("3.1.0", json!({ "responses": { "200": json_body(schema) } }), json!({}))
}

fn in_3_0(mut document: Value) -> Value {
    document["openapi"] = json!("3.0.3");
    document
}

fn with_schemas(mut document: Value, schemas: Value) -> Value {
    document["components"] = json!({ "schemas": schemas });
    document
}

fn parameter(parameter: Value) -> Value {
    let operation = json!({ "parameters": [parameter], "responses": {} });
    document("3.0.3", operation, json!({}))
}

fn server(server: Value) -> Value {
    document("3.0.3", json!({ "responses": {} }), json!({ "servers": [server] }))
}

fn host_of(variable: Value) -> Value {
    server(json!({ "url": "https://a.example:{port}", "variables": { "port": variable } }))
}

fn scheme(scheme: Value) -> Value {
    let schemes = json!({ "securitySchemes": { "s": scheme } });
    let root = json!({ "components": schemes, "security": [{ "s": [] }] });
    document("3.0.3", json!({ "responses": {} }), root)
}

fn oauth(flow: &str, url: &str) -> Value {
    scheme(json!({ "type": "oauth2", "flows": { flow: { "tokenUrl": url, "scopes": {} } } }))
}

fn responses(responses: Value) -> Value {
    document("3.0.3", json!({ "responses": responses }), json!({}))
}

fn closed(properties: Value) -> Value {
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A tree whose nodes have this property.
fn tree(name: &str, property: Value) -> Value {
    json!({ name: {
        "type": "object",
        "required": ["a"],
        "properties": { "a": property, "nodes": { "type": "array", "items": reference(name) } },
        "additionalProperties": false,
    } })
}

fn assert_judged(pairs: Vec<Pair>) {
    let mut wrong = Vec::new();
    for Pair { name, ours, theirs, codes } in pairs {
        let spec = Spec::new(Document::new(ours).unwrap()).unwrap();
        let findings = check(&spec, &Document::new(theirs).unwrap(), &Options::default());
        let mut found: Vec<_> = findings.iter().map(|finding| finding.code).collect();
        found.dedup();
        if found != codes {
            let lines: Vec<_> = findings.iter().take(3).map(ToString::to_string).collect();
            wrong.push(format!("{name}: expected {codes:?}, found {lines:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn breaks_are_found() {
    let list = |more: Value| {
        let mut list = json!({ "in": "query", "name": "a", "schema": { "type": "array" } });
        extend(&mut list, more);
        parameter(list)
    };
    let key = json!({ "type": "apiKey", "in": "header", "name": "a" });
    let mut query_and_key = scheme(key.clone());
    let query = json!({ "in": "query", "name": "a", "schema": {} });
    query_and_key["paths"]["/a"]["post"]["parameters"] = json!([query]);
    let ports: Vec<_> = (0..101).map(|port| port.to_string()).collect();
    let marked = json!({ "type": "object", "required": ["a"] });
    let with = |property: Value| {
        let mut schema = marked.clone();
        schema["properties"] = json!({ "a": property });
        schema
    };
    let number = |keyword: &str, number: u64| json!({ "type": "integer", keyword: number });
    assert_judged(vec![
        Pair {
            name: "only `form` explodes by default: pipes",
            ours: list(json!({ "style": "pipeDelimited", "explode": true })),
            theirs: list(json!({ "style": "pipeDelimited" })),
            codes: &[Code::NotUnderstood],
        },
        Pair {
            name: "only `form` explodes by default: spaces",
            ours: list(json!({ "style": "spaceDelimited" })),
            theirs: list(json!({ "style": "spaceDelimited", "explode": true })),
            codes: &[Code::NotUnderstood],
        },
        Pair {
            name: "query parameter with the name of a header that is a key",
            ours: query_and_key,
            theirs: scheme(key),
            codes: &[Code::ParameterUnknown],
        },
        Pair {
            name: "server variable whose default is a number",
            ours: host_of(json!({ "default": 8443 })),
            theirs: host_of(json!({ "default": 8080 })),
            codes: &[Code::ServerMissing],
        },
        Pair {
            name: "server variable without default",
            ours: host_of(json!({ "enum": ["8443"] })),
            theirs: host_of(json!({ "enum": ["8080"] })),
            codes: &[Code::ServerMissing],
        },
        Pair {
            name: "server variable with many values",
            ours: host_of(json!({ "default": "0", "enum": ports })),
            theirs: host_of(json!({ "default": "0" })),
            codes: &[Code::ServerMissing],
        },
        Pair {
            name: "another OpenID provider",
            ours: scheme(json!({ "type": "openIdConnect", "openIdConnectUrl": "https://a" })),
            theirs: scheme(json!({ "type": "openIdConnect", "openIdConnectUrl": "https://b" })),
            codes: &[Code::SecurityUnmet],
        },
        Pair {
            name: "another token URL",
            ours: oauth("clientCredentials", "https://a"),
            theirs: oauth("clientCredentials", "https://b"),
            codes: &[Code::SecurityUnmet],
        },
        Pair {
            name: "another flow",
            ours: oauth("clientCredentials", "https://a"),
            theirs: oauth("password", "https://a"),
            codes: &[Code::SecurityUnmet],
        },
        Pair {
            name: "empty value that they do not allow",
            ours: list(json!({ "allowEmptyValue": true })),
            theirs: list(json!({})),
            codes: &[Code::NotUnderstood],
        },
        Pair {
            name: "write-only behind `allOf`",
            ours: response(marked.clone()),
            theirs: response(with(json!({ "allOf": [{ "writeOnly": true }, {}] }))),
            codes: &[Code::Required],
        },
        Pair {
            name: "write-only beside a reference",
            ours: response(marked.clone()),
            theirs: with_schemas(
                response(with(json!({ "$ref": "#/components/schemas/A", "writeOnly": true }))),
                json!({ "A": { "type": "string" } }),
            ),
            codes: &[Code::Required],
        },
        Pair {
            name: "write-only, required by another member of `allOf`",
            ours: response(marked.clone()),
            theirs: response(json!({ "allOf": [
                marked,
                { "properties": { "a": { "writeOnly": true } } },
            ] })),
            codes: &[Code::Required],
        },
        Pair {
            name: "bounds beyond 2^53",
            ours: request(number("maximum", 9007199254740993)),
            theirs: request(number("maximum", 9007199254740992)),
            codes: &[Code::Bound],
        },
        Pair {
            name: "`multipleOf` beyond 2^53",
            ours: request(number("multipleOf", 9007199254740993)),
            theirs: request(number("multipleOf", 2)),
            codes: &[Code::Constraint],
        },
        Pair {
            name: "another type deep in a recursive schema",
            ours: with_schemas(request(reference("T")), tree("T", json!({ "type": "string" }))),
            theirs: with_schemas(request(reference("T")), tree("T", json!({ "type": "number" }))),
            codes: &[Code::Type],
        },
        Pair {
            name: "property that `unevaluatedProperties` forbids",
            ours: request(closed(json!({ "c": {} }))),
            theirs: request(json!({
                "allOf": [{ "properties": { "a": {} } }, { "properties": { "b": {} } }],
                "unevaluatedProperties": false,
            })),
            codes: &[Code::PropertyForbidden],
        },
        Pair {
            name: "`unevaluatedProperties` together with a recursive schema",
            ours: request(closed(json!({ "c": {} }))),
            theirs: with_schemas(
                request(json!({ "allOf": [reference("T")], "unevaluatedProperties": false })),
                json!({ "T": { "properties": { "a": reference("T") } } }),
            ),
            codes: &[Code::PropertyForbidden],
        },
        Pair {
            name: "`unevaluatedProperties` together with a recursive schema that has alternatives",
            ours: request(closed(json!({ "c": {} }))),
            theirs: with_schemas(
                request(json!({ "allOf": [reference("T")], "unevaluatedProperties": false })),
                json!({ "T": { "anyOf": [{ "properties": { "a": reference("T") } }, {}] } }),
            ),
            codes: &[Code::NotUnderstood],
        },
        Pair {
            name: "recursive schema whose name has a percent sign",
            ours: request(closed(json!({ "a": { "type": "string" } }))),
            theirs: with_schemas(
                request(json!({ "$ref": "#/components/schemas/%2541" })),
                json!({ "%41": {
                    "type": "object",
                    "properties": {
                        "a": { "type": "number" },
                        "b": { "$ref": "#/components/schemas/%2541" },
                    },
                } }),
            ),
            codes: &[Code::Type],
        },
        // A body that is open can contain their new property, with any value.
        Pair {
            name: "new optional property, and our body is open",
            ours: request(json!({ "type": "object", "properties": { "a": {} } })),
            theirs: request(json!({
                "type": "object",
                "properties": { "a": {}, "b": { "type": "string" } },
            })),
            codes: &[Code::Type],
        },
    ]);
}

#[test]
fn false_alarms_are_gone() {
    let string = json!({ "type": "string" });
    let read_only = |id: Value| json!({ "type": "object", "required": ["id"], "properties": { "id": id, "a": string } });
    let ours_closed = || request(closed(json!({ "a": string })));
    let no_schema = |body: &str| {
        let content = json!({ "content": { "text/csv": {} } });
        let mut operation = json!({ "responses": {} });
        match body {
            "requestBody" => operation["requestBody"] = content,
            _ => operation["responses"]["200"] = content,
        }
        document("3.1.0", operation, json!({}))
    };
    let two = json!([{ "properties": { "a": string } }, { "properties": { "b": string } }]);
    let unevaluated = json!({ "type": "object", "allOf": two, "unevaluatedProperties": false });
    let multiple = |step: Value| json!({ "type": "number", "multipleOf": step });
    let trees = |document: fn(Value) -> Value, name: &str, property: Value| {
        with_schemas(document(reference(name)), tree(name, property))
    };
    let default = responses(json!({ "default": json_body(string.clone()) }));
    let success = responses(json!({ "200": json_body(string.clone()) }));
    let mut pairs = vec![
        Pair {
            name: "read-only behind `allOf`",
            ours: ours_closed(),
            theirs: request(read_only(json!({ "allOf": [string, { "readOnly": true }] }))),
            codes: &[],
        },
        Pair {
            name: "read-only beside a reference",
            ours: ours_closed(),
            theirs: with_schemas(
                request(read_only(json!({ "$ref": "#/components/schemas/I", "readOnly": true }))),
                json!({ "I": string }),
            ),
            codes: &[],
        },
        Pair {
            name: "read-only, required by another member of `allOf`",
            ours: ours_closed(),
            theirs: request(json!({ "type": "object", "allOf": [
                { "required": ["id"] },
                { "properties": { "id": { "readOnly": true } } },
            ] })),
            codes: &[],
        },
        Pair {
            name: "request without a schema on both sides",
            ours: no_schema("requestBody"),
            theirs: no_schema("requestBody"),
            codes: &[],
        },
        Pair {
            name: "response without a schema on both sides",
            ours: no_schema("response"),
            theirs: no_schema("response"),
            codes: &[],
        },
        Pair {
            name: "recursive schema with another name",
            ours: trees(request, "Ours", string.clone()),
            theirs: trees(request, "Theirs", string.clone()),
            codes: &[],
        },
        Pair {
            name: "recursive schema that reads more",
            ours: trees(response, "T", json!({ "type": ["string", "null"] })),
            theirs: trees(response, "T", string.clone()),
            codes: &[],
        },
        Pair {
            name: "recursive schema, ours not",
            ours: response(json!({
                "type": "object",
                "required": ["a"],
                "properties": {
                    "a": string,
                    "nodes": { "items": { "type": "object", "properties": { "a": string } } },
                },
            })),
            theirs: trees(response, "T", string.clone()),
            codes: &[],
        },
        Pair {
            name: "`default` is all that ours lists",
            ours: default.clone(),
            theirs: success.clone(),
            codes: &[],
        },
        Pair {
            name: "`default` is all that theirs lists",
            ours: success,
            theirs: default,
            codes: &[],
        },
        Pair {
            name: "server variable whose default is a number",
            ours: server(json!({ "url": "https://a.example:8443" })),
            theirs: host_of(json!({ "default": 8443 })),
            codes: &[],
        },
        Pair {
            name: "`explode` means nothing to `deepObject`",
            ours: parameter(json!({
                "in": "query", "name": "a", "style": "deepObject", "explode": true,
                "schema": { "type": "object" },
            })),
            theirs: parameter(json!({
                "in": "query", "name": "a", "style": "deepObject", "schema": { "type": "object" },
            })),
            codes: &[],
        },
    ];
    struct Schemas {
        name: &'static str,
        /// Allows no more values than `b`.
        a: Value,
        b: Value,
    }
    let schemas = [
        Schemas {
            name: "`const`, no type",
            a: json!({ "const": 1 }),
            b: json!({ "type": "integer" }),
        },
        Schemas {
            name: "`enum` of booleans, no type",
            a: json!({ "enum": [true, false] }),
            b: json!({ "type": "boolean" }),
        },
        Schemas {
            name: "`const: null`, no type",
            a: json!({ "const": null }),
            b: json!({ "type": ["string", "null"] }),
        },
        Schemas {
            name: "`enum` of two types",
            a: json!({ "enum": [1, "a"] }),
            b: json!({ "anyOf": [{ "type": "integer" }, string] }),
        },
        Schemas {
            name: "`enum` as constants",
            a: json!({ "type": "string", "enum": ["a", "b"] }),
            b: json!({ "oneOf": [{ "const": "a" }, { "const": "b" }] }),
        },
        Schemas {
            name: "nullable as an alternative",
            a: json!({ "type": ["string", "null"], "maxLength": 1 }),
            b: json!({ "anyOf": [string, { "const": null }, { "type": "integer" }] }),
        },
        Schemas {
            name: "`enum` within bounds",
            a: json!({ "enum": [2, 4] }),
            b: json!({ "type": "integer", "minimum": 2, "maximum": 4, "multipleOf": 2 }),
        },
        Schemas {
            name: "`enum` within a pattern",
            a: json!({ "enum": ["aa"] }),
            b: json!({ "type": "string", "pattern": "^(a+)+$" }),
        },
        Schemas {
            name: "`unevaluatedProperties` together with `allOf`, a body of one schema",
            a: closed(json!({ "a": string, "b": string })),
            b: unevaluated.clone(),
        },
        Schemas {
            name: "`unevaluatedProperties` together with `allOf` on both sides",
            a: unevaluated.clone(),
            b: unevaluated.clone(),
        },
        Schemas {
            name: "`unevaluatedProperties` together with `allOf`, read as one schema",
            a: unevaluated,
            b: closed(json!({ "a": string, "b": string })),
        },
        Schemas {
            name: "`unevaluatedProperties` where another member evaluates all",
            a: json!({ "type": "object" }),
            b: json!({
                "allOf": [{ "additionalProperties": true }, { "type": "object" }],
                "unevaluatedProperties": false,
            }),
        },
        Schemas { name: "decimal `multipleOf`", a: multiple(json!(0.3)), b: multiple(json!(0.1)) },
        Schemas {
            name: "`default` on one side",
            a: json!({ "type": "string", "default": "a" }),
            b: string,
        },
    ];
    for Schemas { name, a, b } in schemas {
        for (ours, theirs) in [(request(a.clone()), request(b.clone())), (response(b), response(a))]
        {
            pairs.push(Pair { name, ours, theirs, codes: &[] });
        }
    }
    assert_judged(pairs);
}

/// Cases that the first users of this crate found in real documents.
#[test]
fn real_documents_raise_no_false_alarm() {
    let string = json!({ "type": "string" });
    let bearer = json!({ "type": "http", "scheme": "bearer" });
    let key = json!({ "type": "apiKey", "in": "header", "name": "X-Key" });
    let secured = |schemes: Value, security: Value| {
        let header = json!({
            "in": "header", "name": "x-key", "required": true, "schema": { "type": "string" },
        });
        document(
            "3.0.3",
            json!({ "parameters": [header], "responses": {} }),
            json!({ "components": { "securitySchemes": schemes }, "security": [security] }),
        )
    };
    let plain = |url: &str| server(json!({ "url": url }));
    let moved = |path: &str, url: &str| {
        json!({
            "openapi": "3.0.3",
            "servers": [{ "url": url }],
            "paths": { path: { "post": { "operationId": "op", "responses": {} } } },
        })
    };
    let header = |more: Value| {
        let mut header = json!({ "in": "header", "name": "a", "schema": { "type": "array" } });
        extend(&mut header, more);
        parameter(header)
    };
    let body = |media_type: &str| {
        let content = json!({ media_type: { "schema": { "type": "string" } } });
        let operation = json!({ "requestBody": { "content": content }, "responses": {} });
        document("3.0.3", operation, json!({}))
    };
    let number = json!({ "type": "number" });
    let sends = |property: Value| in_3_0(request(closed(json!({ "a": property }))));
    let object = |more: Value| {
        let mut object = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
        extend(&mut object, more);
        object
    };
    let ours = || request(closed(json!({ "a": string })));
    assert_judged(vec![
        Pair {
            name: "operation without a body",
            ours: document("3.0.3", json!({ "responses": { "204": {} } }), json!({})),
            theirs: document("3.0.3", json!({ "responses": { "204": {} } }), json!({})),
            codes: &[],
        },
        Pair {
            name: "bearer plus an apiKey header that we always send",
            ours: secured(json!({ "b": bearer }), json!({ "b": [] })),
            theirs: secured(json!({ "b": bearer, "k": key }), json!({ "b": [], "k": [] })),
            codes: &[],
        },
        Pair {
            name: "upper-case host and `:443`",
            ours: plain("https://api.example/v1"),
            theirs: plain("https://API.Example:443/v1/"),
            codes: &[],
        },
        Pair {
            name: "server variable with a known default and new other values",
            ours: plain("https://a.example"),
            theirs: server(json!({
                "url": "https://{name}.example",
                "variables": { "name": { "default": "a", "enum": ["a", "b"] } },
            })),
            codes: &[],
        },
        Pair {
            name: "`/v1` moved into the server URL",
            ours: moved("/v1/a", "https://api.example"),
            theirs: moved("/a", "https://api.example/v1"),
            codes: &[],
        },
        Pair {
            name: "`explode` on a header",
            ours: header(json!({})),
            theirs: header(json!({ "explode": true })),
            codes: &[],
        },
        Pair {
            name: "request type `*/*`",
            ours: body("text/plain"),
            theirs: body("*/*"),
            codes: &[],
        },
        Pair {
            name: "`format: double`",
            ours: sends(number),
            theirs: sends(json!({ "type": "number", "format": "double" })),
            codes: &[],
        },
        Pair {
            name: "required plus readOnly",
            ours: ours(),
            theirs: request(object(json!({
                "required": ["id"],
                "properties": { "id": { "type": "string", "readOnly": true }, "a": string },
            }))),
            codes: &[],
        },
        Pair {
            name: "`maximum` on a string",
            ours: sends(string.clone()),
            theirs: sends(json!({ "type": "string", "maximum": 3 })),
            codes: &[],
        },
        Pair {
            name: "percent-encoded `$ref`",
            ours: in_3_0(request(string.clone())),
            theirs: with_schemas(in_3_0(request(reference("A%20b"))), json!({ "A b": string })),
            codes: &[],
        },
        Pair {
            name: "circular schema in a new response property",
            ours: response(object(json!({}))),
            theirs: with_schemas(
                response(object(json!({ "properties": { "a": string, "later": reference("T") } }))),
                tree("T", json!({})),
            ),
            codes: &[],
        },
        Pair {
            name: "`$comment` and `$defs`",
            ours: ours(),
            theirs: request(object(json!({ "$comment": "x", "$defs": { "x": string } }))),
            codes: &[],
        },
        Pair {
            name: "list in `type`",
            ours: ours(),
            theirs: request(json!({
                "type": ["object", "array"], "properties": { "a": string },
            })),
            codes: &[],
        },
        Pair {
            name: "`unevaluatedProperties: false`",
            ours: ours(),
            theirs: request(object(json!({ "unevaluatedProperties": false }))),
            codes: &[],
        },
        Pair {
            name: "`patternProperties` in a closed body",
            ours: ours(),
            theirs: request(object(json!({
                "patternProperties": { "^x-": { "type": "integer" } },
                "additionalProperties": false,
            }))),
            codes: &[],
        },
        Pair {
            name: "default dialect",
            ours: ours(),
            theirs: {
                let mut theirs = ours();
                theirs["jsonSchemaDialect"] =
                    json!("https://spec.openapis.org/oas/3.1/dialect/base");
                theirs
            },
            codes: &[],
        },
        Pair {
            name: "boolean schema",
            ours: ours(),
            theirs: request(object(json!({ "properties": { "a": true } }))),
            codes: &[],
        },
        Pair {
            name: "`propertyNames` in a response",
            ours: response(object(json!({}))),
            theirs: response(object(json!({ "propertyNames": { "maxLength": 9 } }))),
            codes: &[],
        },
    ]);
    // Recursive types: as a witness generates them, with definitions.
    let spec = Spec::new(Document::new(response(object(json!({})))).unwrap()).unwrap();
    let types = with_schemas(
        response(object(json!({ "properties": { "a": string, "later": reference("T") } }))),
        tree("T", json!({})),
    );
    let options = Options { types: true, ..Options::default() };
    assert_eq!(check(&spec, &Document::new(types).unwrap(), &options), []);
}

/// Runs a test on a stack of the size of a main thread's on Windows.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(test).unwrap();
    thread.join().unwrap();
}

fn codes(ours: &Value, theirs: &Value) -> Vec<Code> {
    let spec = Spec::new(Document::new(ours.clone()).unwrap()).unwrap();
    let findings = check(&spec, &Document::new(theirs.clone()).unwrap(), &Options::default());
    findings.iter().map(|finding| finding.code).collect()
}

/// A request with schemas that are nested through references, and the innermost one.
fn nested(depth: usize, link: fn(Value) -> Value, last: Value) -> Value {
    let link = |n: usize| (n.to_string(), link(reference(&(n + 1).to_string())));
    let schemas = (0..depth).map(link).chain([(depth.to_string(), last)]);
    with_schemas(request(reference("0")), schemas.collect())
}

#[test]
fn deep_schemas_do_not_overflow_the_stack() {
    let links: [fn(Value) -> Value; 4] = [
        |next| json!({ "items": next, "type": "array" }),
        |next| json!({ "type": "object", "allOf": [{ "properties": { "a": next } }, {}] }),
        |next| json!({ "anyOf": [next, { "type": "boolean" }], "minLength": 1 }),
        |next| json!({ "oneOf": [{ "additionalProperties": next }, { "type": "boolean" }] }),
    ];
    on_a_small_stack(move || {
        for link in links {
            let of_depth = |depth| {
                let [ours, theirs] =
                    ["string", "number"].map(|kind| nested(depth, link, json!({ "type": kind })));
                codes(&ours, &theirs)
            };
            assert!(!of_depth(3).contains(&Code::TooComplex));
            for depth in [8, 32] {
                assert!(!of_depth(depth).is_empty());
            }
            // Our document can be read, theirs is nested too deeply.
            let ours = request(closed(json!({ "a": {} })));
            assert_eq!(codes(&ours, &nested(1000, link, json!({}))), [Code::TooComplex]);
        }
    });
}

#[test]
fn recursion_at_different_paces_ends() {
    on_a_small_stack(|| {
        let circle = |length: usize, kind: &str| {
            let link = |n: usize| {
                let next = reference(&((n + 1) % length).to_string());
                let value = json!({ "type": kind });
                (
                    n.to_string(),
                    json!({ "type": "object", "properties": { "a": next, "b": value } }),
                )
            };
            let mut document = request(reference("0"));
            document["components"]["schemas"] = (0..length).map(link).collect();
            document
        };
        assert_eq!(codes(&circle(3, "string"), &circle(4, "string")), []);
        assert!(codes(&circle(3, "string"), &circle(4, "number")).contains(&Code::Type));
        assert_eq!(codes(&circle(97, "string"), &circle(98, "string")), [Code::TooComplex]);
    });
}

#[test]
fn alternatives_within_alternatives_take_bounded_time() {
    let nest = |wrapper: &str, depth: usize| {
        let leaf = json!({ "type": "string" });
        (0..depth).fold(leaf, |schema, n| {
            let more = json!({ "type": "object", "maxProperties": n });
            json!({ wrapper: [schema, more], "minLength": 1 })
        })
    };
    for wrapper in ["anyOf", "oneOf", "allOf"] {
        let ours = request(nest(wrapper, 30));
        let other = request(json!({ "type": "integer" }));
        assert!(!codes(&ours, &other).is_empty(), "{wrapper}");
        assert!(!codes(&other, &ours).is_empty(), "{wrapper}");
        if wrapper == "anyOf" {
            assert_eq!(codes(&ours, &request(nest(wrapper, 29))), [Code::TooComplex]);
        }
    }
    let members: Vec<_> = (0..30)
        .map(|n| json!({ "anyOf": [{ "required": ["a"] }, { "maxProperties": n }] }))
        .collect();
    let ours = request(json!({ "allOf": members }));
    let wanted = request(json!({ "type": "object", "minProperties": 1 }));
    assert!(!codes(&ours, &wanted).is_empty());
}

/// A walk that followed each reference on each path would take too long.
#[test]
fn each_schema_is_searched_for_marks_once() {
    let both = json!({ "allOf": vec![reference("A"); 9], "unevaluatedProperties": false });
    let body = json!({ "type": "object", "properties": { "a": reference("A") } });
    let theirs = with_schemas(response(body), json!({ "A": both }));
    assert_eq!(codes(&response(json!({ "type": "object" })), &theirs), []);
    assert!(!codes(&theirs, &theirs).is_empty());
}

#[test]
fn schema_that_is_its_own_alternative_is_not_understood() {
    let schema = json!({ "A": { "anyOf": [reference("A"), { "type": "string" }] } });
    let document = with_schemas(request(reference("A")), schema);
    let string = request(json!({ "type": "string" }));
    assert!(codes(&document, &string).contains(&Code::NotUnderstood));
}
