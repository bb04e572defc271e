//! Edits of the vendor's document: what each one breaks, or only changes.

mod witness;

use std::mem;
use std::path::Path;
use std::sync::LazyLock;

use contract_drift::{Client, Document, Options, Pins, Spec, Verdict, check, pin};
use serde_json::{Value, json};

static SPEC: LazyLock<Spec> = LazyLock::new(|| {
    let text = std::fs::read_to_string("../../spec/botpress.yaml").unwrap();
    Spec::new(Document::parse(&text).unwrap()).unwrap()
});
static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let text = std::fs::read_to_string("../../spec/botpress.drift.yaml").unwrap();
    Client::parse(&text).unwrap()
});
static PINS: LazyLock<Pins> = LazyLock::new(|| Pins::read(Path::new("../../spec/vendor")).unwrap());

const OPERATION: &str = "/paths/~1v1~1chat~1messages~1get-or-create/post";
const BODY: &str = "/components/requestBodies/getOrCreateMessage/content/application~1json/schema";
const ANSWER: &str = "/components/responses/getOrCreateMessage/content/application~1json/schema";
const LACKS: &str = "getOrCreateMessage: the document lacks post /v1/chat/messages/get-or-create";
const MESSAGE: &str = "/components/schemas/getOrCreateMessage";

const USER_BODY: &str =
    "/components/requestBodies/getOrCreateUser/content/application~1json/schema";
const USER: &str = "/components/schemas/getOrCreateUser";
const CONVERSATION_OPERATION: &str = "/paths/~1v1~1chat~1conversations~1get-or-create/post";
const CONVERSATION_BODY: &str =
    "/components/requestBodies/getOrCreateConversation/content/application~1json/schema";
const CONVERSATION: &str = "/components/schemas/getOrCreateConversation";

/// The newest pinned contracts as a document, laid out as the vendor does.
fn document() -> Value {
    let mut document = json!({
        "openapi": "3.0.0",
        "info": { "title": "A document", "version": "1" },
        "security": [{ "token": [] }],
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    });
    for (name, contract) in &PINS.newest().unwrap().contracts {
        let mut answer = contract["responses"]["200"].clone();
        let properties = &mut answer["content"]["application/json"]["schema"]["properties"];
        let mut records = properties.as_object_mut().unwrap().iter_mut();
        let (_, record) = records.find(|(name, _)| *name != "meta").unwrap();
        let reference = |kind: &str| json!({ "$ref": format!("#/components/{kind}/{name}") });
        document["components"]["schemas"][name] = mem::replace(record, reference("schemas"));
        document["components"]["responses"][name] = answer;
        document["components"]["requestBodies"][name] = contract["requestBody"].clone();
        let parameters = contract["parameters"].as_object().unwrap().iter();
        let parameters = parameters.map(|(key, parameter)| {
            let mut parameter = parameter.clone();
            let (place, name) = key.split_once(' ').unwrap();
            parameter["in"] = json!(place);
            parameter["name"] = json!(name);
            parameter
        });
        let [path, method] = ["path", "method"].map(|key| contract[key].as_str().unwrap());
        document["paths"][path][method] = json!({
            "operationId": name,
            "parameters": parameters.collect::<Vec<_>>(),
            "requestBody": reference("requestBodies"),
            "responses": { "200": reference("responses"), "default": reference("responses") },
        });
        document["servers"] = json!([{ "url": contract["servers"][0] }]);
    }
    document
}

/// Sets the value at a JSON Pointer, or removes it if there is no value.
fn edit(document: &mut Value, pointer: &str, value: Option<Value>) {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/");
    match (document.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")), value) {
        (Value::Object(parent), Some(value)) => drop(parent.insert(key, value)),
        (Value::Object(parent), None) => assert!(parent.remove(&key).is_some(), "no {pointer}"),
        (Value::Array(parent), Some(value)) => parent.push(value),
        (parent, _) => panic!("{parent} is no place for {pointer}"),
    }
}

/// An edit, by the place under `base` that it sets or removes.
type Edit = (&'static str, &'static str, Option<Value>);

fn edited(edits: &[Edit]) -> Value {
    with(edits, document())
}

fn with(edits: &[Edit], mut document: Value) -> Value {
    for (base, place, value) in edits {
        edit(&mut document, &format!("{base}{place}"), value.clone());
    }
    document
}

/// A line for each finding of a check, and the verdict.
type Outcome = (Vec<String>, &'static str);

fn verdict(edits: &[Edit]) -> &'static str {
    of_document(&edited(edits)).1
}

fn of_document(document: &Value) -> Outcome {
    outcome(document, false)
}

fn outcome(document: &Value, types: bool) -> Outcome {
    let document = match Document::new(document.clone()) {
        Ok(document) => document,
        Err(cause) => return (vec![format!("BREAK document: {cause}")], "BREAK"),
    };
    let findings =
        check(&SPEC, &document, &Options { pins: PINS.clone(), client: CLIENT.clone(), types });
    let verdict = findings.iter().map(|finding| finding.verdict).max();
    let verdict = verdict.map_or("none", |verdict| match verdict {
        Verdict::Break => "BREAK",
        Verdict::Notice => "NOTICE",
    });
    (findings.iter().map(ToString::to_string).collect(), verdict)
}

/// An edited document in 3.0, and the same in 3.1.
fn renditions(edits: &[Edit]) -> [Value; 2] {
    let document = edited(edits);
    let mut other = document.clone();
    in_3_1(&mut other);
    if other["openapi"] == "3.0.0" {
        other["openapi"] = json!("3.1.0");
    }
    [document, other]
}

fn in_3_1(value: &mut Value) {
    if let Value::Object(schema) = value {
        if schema.get("nullable") == Some(&json!(true)) && schema.contains_key("type") {
            schema.remove("nullable");
            let kind = schema["type"].take();
            schema["type"] = json!([kind, "null"]);
        }
        for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")]
        {
            if schema.get(exclusive) == Some(&json!(true)) {
                let bound = schema.remove(bound).unwrap();
                schema.insert(exclusive.into(), bound);
            }
        }
        if let Some([only]) = schema.get("enum").and_then(Value::as_array).map(Vec::as_slice) {
            let only = only.clone();
            schema.remove("enum");
            schema.insert("const".into(), only);
        }
    }
    match value {
        Value::Object(object) => object.values_mut().for_each(in_3_1),
        Value::Array(list) => list.iter_mut().for_each(in_3_1),
        _ => {}
    }
}

/// `/v1` is in the server's URL, and no longer in the path.
fn moved_version() -> Vec<Edit> {
    let path = "/paths/~1v1~1chat~1messages~1get-or-create";
    let mut item = document().pointer(path).unwrap().clone();
    item["servers"] = json!([{ "url": "https://api.botpress.cloud/v1" }]);
    vec![
        ("/paths", "/~1v1~1chat~1messages~1get-or-create", None),
        ("/paths", "/~1chat~1messages~1get-or-create", Some(item)),
    ]
}

#[test]
fn other_layout_and_wording_are_no_difference() {
    let schema = |pointer: &str| document().pointer(pointer).cloned();
    let reference = |name: &str| {
        Some(json!({ "$ref": format!("#/components/schemas/{name}"), "description": "x" }))
    };
    let cases: Vec<Vec<Edit>> = vec![
        vec![],
        vec![
            (MESSAGE, "/description", Some(json!("x"))),
            (MESSAGE, "/properties/id/example", Some(json!("msg_1"))),
        ],
        vec![
            (OPERATION, "/summary", Some(json!("x"))),
            (OPERATION, "/operationId", Some(json!("other"))),
        ],
        vec![(OPERATION, "/tags", Some(json!(["a"]))), (OPERATION, "/x-internal", Some(json!(1)))],
        vec![(
            BODY,
            "/required",
            Some(json!(["userId", "type", "tags", "conversationId", "type"])),
        )],
        vec![(BODY, "/properties/payload/additionalProperties", Some(json!(true)))],
        vec![(BODY, "/properties/userId/nullable", Some(json!(false)))],
        vec![(BODY, "/properties/userId/maxLength", Some(json!(36.0)))],
        vec![
            (BODY, "/properties/userId/minLength", Some(json!(28))),
            (BODY, "/properties/type/minLength", Some(json!(0))),
        ],
        vec![
            ("/components", "/schemas/Id", schema(&format!("{BODY}/properties/userId"))),
            (BODY, "/properties/userId", reference("Id")),
        ],
        vec![("/components", "/schemas/M", schema(MESSAGE)), (MESSAGE, "", reference("M"))],
        vec![
            ("/components", "/schemas/M", schema(MESSAGE)),
            (ANSWER, "/properties/message", Some(json!({ "allOf": [reference("M")] }))),
        ],
        vec![(
            ANSWER,
            "/properties/message",
            Some(json!({ "type": "object", "oneOf": [reference("getOrCreateMessage")] })),
        )],
        vec![
            (ANSWER, "/properties/message", schema(MESSAGE)),
            ("/components/schemas", "/getOrCreateMessage", None),
        ],
        vec![
            (
                "/paths/~1v1~1chat~1messages~1get-or-create",
                "/parameters",
                schema(&format!("{OPERATION}/parameters")),
            ),
            (OPERATION, "/parameters", None),
        ],
        vec![(OPERATION, "/security", Some(json!([{ "token": [] }])))],
        vec![
            (
                "/components/securitySchemes",
                "/t",
                Some(json!({ "type": "http", "scheme": "Bearer", "bearerFormat": "JWT" })),
            ),
            ("", "/security", Some(json!([{ "t": [] }]))),
        ],
        vec![(OPERATION, "/servers", Some(json!([{ "url": "https://api.botpress.cloud/" }])))],
        vec![(
            "",
            "/servers",
            Some(
                json!([{ "url": "https://{host}", "variables": { "host": { "default": "api.botpress.cloud" } } }]),
            ),
        )],
        vec![
            (OPERATION, "/parameters/0/name", Some(json!("X-Bot-Id"))),
            (OPERATION, "/parameters/1/required", Some(json!(false))),
        ],
        vec![(
            OPERATION,
            "/parameters/-",
            Some(
                json!({ "in": "header", "name": "Authorization", "required": true, "schema": {} }),
            ),
        )],
        vec![
            (
                "/components/requestBodies/getOrCreateMessage/content",
                "/application~1json; charset=utf-8",
                schema("/components/requestBodies/getOrCreateMessage/content/application~1json"),
            ),
            ("/components/requestBodies/getOrCreateMessage/content", "/application~1json", None),
        ],
        vec![(
            "/paths",
            "/~1v1~1other",
            Some(json!({ "get": { "responses": { "200": { "$ref": "#/nowhere" } } } })),
        )],
        vec![(
            BODY,
            "/properties/userId",
            Some(
                json!({ "allOf": [schema(&format!("{BODY}/properties/userId")), { "description": "x" }] }),
            ),
        )],
        vec![(OPERATION, "/responses/x-note", Some(json!({ "any": "thing" })))],
        vec![
            (OPERATION, "/callbacks", Some(json!({}))),
            ("/components/responses/getOrCreateMessage", "/links", Some(json!({}))),
        ],
        vec![(MESSAGE, "/properties/direction/type", None)],
        vec![("", "/servers/-", Some(json!({ "url": "https://api.botpress.cloud" })))],
        vec![("", "/servers", Some(json!([{ "url": "https://API.Botpress.Cloud:443/" }])))],
        vec![(OPERATION, "/parameters/0/explode", Some(json!(true)))],
        vec![
            ("/components", "/schemas/A b", schema(MESSAGE)),
            (ANSWER, "/properties/message", reference("A%20b")),
        ],
        moved_version(),
    ];
    for edits in cases {
        for document in renditions(&edits) {
            let (lines, verdict) = of_document(&document);
            assert_eq!(verdict, "none", "{} {edits:?}: {lines:?}", document["openapi"]);
        }
    }
}

/// Declares a response of objects with these texts, all required.
fn answer(place: &'static str, media_type: &str, texts: &[&str]) -> Vec<Edit> {
    let properties: Value = texts.iter().map(|text| (*text, json!({ "type": "string" }))).collect();
    let schema = json!({ "type": "object", "required": texts, "properties": properties });
    vec![(OPERATION, place, Some(json!({ "content": { media_type: { "schema": schema } } })))]
}

/// Edits that relax or offer something, and the place of the notice.
fn notices() -> Vec<(&'static str, Vec<Edit>)> {
    let string = json!({ "type": "string" });
    vec![
        ("request.later", vec![(BODY, "/properties/later", Some(string.clone()))]),
        ("request.userId.maxLength", vec![(BODY, "/properties/userId/maxLength", Some(json!(64)))]),
        ("request.userId.minLength", vec![(BODY, "/properties/userId/minLength", None)]),
        (
            "request.origin.enum",
            vec![(BODY, "/properties/origin/enum", Some(json!(["imported", "synthetic"])))],
        ),
        ("request.type.nullable", vec![(BODY, "/properties/type/nullable", Some(json!(true)))]),
        (
            "request.tags",
            vec![(BODY, "/required", Some(json!(["userId", "type", "conversationId"])))],
        ),
        ("request.*", vec![(BODY, "/additionalProperties", None)]),
        ("request.type.default", vec![(BODY, "/properties/type/default", Some(json!("text")))]),
        ("request.type.deprecated", vec![(BODY, "/properties/type/deprecated", Some(json!(true)))]),
        (
            "request.schedule.delay.minimum",
            vec![(BODY, "/properties/schedule/properties/delay/minimum", Some(json!(0)))],
        ),
        (
            "request.userId",
            vec![(
                BODY,
                "/properties/userId",
                Some(json!({ "anyOf": [
                    { "type": "string", "minLength": 28, "maxLength": 36 }, { "type": "integer" },
                ]})),
            )],
        ),
        (
            "request.userId",
            vec![(
                BODY,
                "/properties/userId",
                Some(json!({ "oneOf": [
                    { "type": "string", "minLength": 20, "maxLength": 36 }, { "type": "string", "minLength": 40 },
                ]})),
            )],
        ),
        (
            "request.schedule",
            vec![(
                BODY,
                "/properties/schedule",
                Some(json!({ "oneOf": [
                    { "type": "object", "required": ["delay"], "properties": { "delay": { "type": "number" } }, "additionalProperties": false },
                    { "type": "object", "required": ["dateTime"], "properties": { "dateTime": string }, "additionalProperties": false },
                ]})),
            )],
        ),
        (
            "request.type",
            vec![(
                BODY,
                "/properties/type",
                Some(json!({ "allOf": [{ "type": "string" }, { "maxLength": 300 }] })),
            )],
        ),
        (
            "response.message.later",
            vec![(
                MESSAGE,
                "/properties/later",
                Some(json!({ "type": "array", "items": { "$ref": "#/components/schemas/getOrCreateMessage" } })),
            )],
        ),
        (
            "servers: now servers \"https://eu.botpress.cloud\"",
            vec![(
                "",
                "/servers",
                Some(json!([{ "url": "https://{host}.botpress.cloud", "variables": {
                    "host": { "default": "api", "enum": ["api", "eu"] },
                } }])),
            )],
        ),
        (
            "response.message.id.readOnly",
            vec![(MESSAGE, "/properties/id/readOnly", Some(json!(true)))],
        ),
        (
            "request.later",
            vec![
                (BODY, "/properties/later", Some(json!({ "type": "string", "readOnly": true }))),
                (BODY, "/required/-", Some(json!("later"))),
            ],
        ),
        (
            "request.schedule.delay.format",
            vec![(BODY, "/properties/schedule/properties/delay/format", Some(json!("double")))],
        ),
        ("request.type.maximum", vec![(BODY, "/properties/type/maximum", Some(json!(9)))]),
        (
            "security",
            vec![
                (
                    "/components/securitySchemes",
                    "/bot",
                    Some(json!({ "type": "apiKey", "in": "header", "name": "X-Bot-Id" })),
                ),
                ("", "/security", Some(json!([{ "token": [], "bot": [] }]))),
            ],
        ),
        (
            "request.*/*",
            vec![
                (
                    "/components/requestBodies/getOrCreateMessage/content",
                    "/*~1*",
                    document().pointer(
                        "/components/requestBodies/getOrCreateMessage/content/application~1json",
                    ).cloned(),
                ),
                ("/components/requestBodies/getOrCreateMessage/content", "/application~1json", None),
            ],
        ),
        (
            "response.message.later",
            vec![(MESSAGE, "/properties/later", Some(json!({ "type": "integer", "minimum": 3 })))],
        ),
        ("response.message.id.maxLength", vec![(MESSAGE, "/properties/id/maxLength", None)]),
        (
            "response.message.direction.enum",
            vec![(MESSAGE, "/properties/direction/enum", Some(json!(["sideways"])))],
        ),
        (
            "response.message.type.pattern",
            vec![(MESSAGE, "/properties/type/pattern", Some(json!("^a")))],
        ),
        ("response.meta", vec![(ANSWER, "/required", Some(json!(["message"])))]),
        ("response.message.*", vec![(MESSAGE, "/additionalProperties", None)]),
        (
            "response.headers",
            vec![(
                "/components/responses/getOrCreateMessage",
                "/headers",
                Some(json!({ "X-Later": { "schema": string } })),
            )],
        ),
        (
            "response.message",
            vec![(
                ANSWER,
                "/properties/message",
                Some(json!({ "allOf": [
                    { "$ref": "#/components/schemas/getOrCreateMessage" }, { "type": "object", "properties": { "later": {} } },
                ]})),
            )],
        ),
        (
            "response.message",
            vec![(MESSAGE, "", {
                let message = document().pointer(MESSAGE).unwrap().clone();
                let half = |named: fn(&str) -> bool| {
                    let mut half = message.clone();
                    half.as_object_mut().unwrap().remove("additionalProperties");
                    half["required"]
                        .as_array_mut()
                        .unwrap()
                        .retain(|name| named(name.as_str().unwrap()));
                    half["properties"].as_object_mut().unwrap().retain(|name, _| named(name));
                    half
                };
                Some(json!({ "allOf": [half(|name| name < "id"), half(|name| name >= "id")] }))
            })],
        ),
        (
            "response.message",
            vec![(
                ANSWER,
                "/properties/message",
                Some(json!({ "anyOf": [
                    { "$ref": "#/components/schemas/getOrCreateMessage" }, { "allOf": [{ "$ref": "#/components/schemas/getOrCreateMessage" }, { "maxProperties": 20 }] },
                ]})),
            )],
        ),
        (
            "responses.429",
            vec![(
                OPERATION,
                "/responses/429",
                Some(json!({ "description": "x", "headers": { "Retry-After": {} } })),
            )],
        ),
        ("responses.default", vec![(OPERATION, "/responses/default", None)]),
        (
            "parameters.header x-later",
            vec![(
                OPERATION,
                "/parameters/-",
                Some(json!({ "in": "header", "name": "x-later", "schema": string })),
            )],
        ),
        (
            "parameters.query dry",
            vec![(
                OPERATION,
                "/parameters/-",
                Some(json!({ "in": "query", "name": "dry", "schema": string })),
            )],
        ),
        ("parameters.header x-bot-id.required", vec![(OPERATION, "/parameters/0/required", None)]),
        ("parameters", vec![(OPERATION, "/parameters", None)]),
        ("security", vec![("", "/security", None)]),
        (
            "security",
            vec![
                (
                    "/components/securitySchemes",
                    "/key",
                    Some(json!({ "type": "apiKey", "in": "header", "name": "k" })),
                ),
                ("", "/security/-", Some(json!({ "key": [] }))),
            ],
        ),
        ("servers", vec![("", "/servers/-", Some(json!({ "url": "https://eu.botpress.cloud" })))]),
        (
            "request.text/plain",
            vec![(
                "/components/requestBodies/getOrCreateMessage/content",
                "/text~1plain",
                Some(json!({ "schema": string })),
            )],
        ),
        ("deprecated", vec![(OPERATION, "/deprecated", Some(json!(true)))]),
        (
            "request.schedule.oneOf",
            vec![(
                BODY,
                "/properties/schedule/oneOf",
                Some(json!([{ "required": ["delay"] }, { "required": ["dateTime"] }])),
            )],
        ),
        (
            "request.userId",
            vec![(
                BODY,
                "/properties/userId",
                Some(
                    json!({ "oneOf": [{ "type": "string", "maxLength": 36 }, { "enum": [null] }] }),
                ),
            )],
        ),
        (
            "responses.4XX",
            vec![(
                OPERATION,
                "/responses/4XX",
                Some(SPEC.contracts()["getOrCreateMessage"]["responses"]["4XX"].clone()),
            )],
        ),
        (
            "responses.503",
            answer("/responses/503", "application/problem+json", &["type", "description", "title"]),
        ),
        (
            "responses.default",
            answer("/responses/default", "application/json", &["type", "message"]),
        ),
        ("x-sunset", vec![(OPERATION, "/x-sunset", Some(json!("2027-01-01")))]),
        (
            "x-stability-level",
            vec![(
                "/paths/~1v1~1chat~1messages~1get-or-create",
                "/x-stability-level",
                Some(json!("beta")),
            )],
        ),
        (
            "request.origin.x-sunset",
            vec![(BODY, "/properties/origin/x-sunset", Some(json!("2027-01-01")))],
        ),
        (
            "parameters.header x-bot-id.x-sunset",
            vec![(OPERATION, "/parameters/0/x-sunset", Some(json!("2027-01-01")))],
        ),
        (
            "response.message.type.x-extensible-enum",
            vec![(MESSAGE, "/properties/type/x-extensible-enum", Some(json!(["text"])))],
        ),
        (
            "document: version 1.108.0 is pinned",
            vec![
                ("", "/info/version", Some(json!("1.108.0"))),
                (BODY, "/properties/later", Some(string.clone())),
            ],
        ),
        ("document: version 1.82.0 is pinned", vec![("", "/info/version", Some(json!("1.82.0")))]),
        ("getOrCreateUser request.email", vec![(USER_BODY, "/properties/email", Some(string))]),
        (
            // The property has the name of a keyword.
            "getOrCreateUser response.user.properties.maxProperties",
            vec![(USER, "/properties/properties/maxProperties", Some(json!(9)))],
        ),
        (
            "getOrCreateConversation request.channel.maxLength",
            vec![(CONVERSATION_BODY, "/properties/channel/maxLength", Some(json!(300)))],
        ),
        (
            "getOrCreateConversation x-sunset",
            vec![(CONVERSATION_OPERATION, "/x-sunset", Some(json!("2027-01-01")))],
        ),
        (
            "response.message.anyOf",
            vec![(
                MESSAGE,
                "/anyOf",
                Some(
                    json!([{ "required": ["userId"] }, { "properties": { "type": { "enum": ["a"] } } }]),
                ),
            )],
        ),
    ]
}

/// Edits after which a request could be rejected or a response could be unreadable, and the place of the break.
fn broken() -> Vec<(&'static str, Vec<Edit>)> {
    let string = json!({ "type": "string" });
    let set = |base, place, value| -> Vec<Edit> { vec![(base, place, Some(value))] };
    let gone = |base, place| -> Vec<Edit> { vec![(base, place, None)] };
    vec![
        ("getOrCreateUser request.name", set(USER_BODY, "/properties/name/maxLength", json!(100))),
        (
            "getOrCreateUser request.pictureUrl",
            set(USER_BODY, "/properties/pictureUrl/format", json!("uri")),
        ),
        (
            "getOrCreateUser response.user.tags.*",
            gone(USER, "/properties/tags/additionalProperties"),
        ),
        (
            "getOrCreateUser response.user.properties",
            set(USER, "/properties/properties/nullable", json!(true)),
        ),
        (
            "getOrCreateUser: the document lacks post",
            gone("/paths", "/~1v1~1chat~1users~1get-or-create"),
        ),
        (
            "getOrCreateConversation request.channel",
            set(CONVERSATION_BODY, "/properties/channel/minLength", json!(1)),
        ),
        (
            "getOrCreateConversation request.properties",
            set(CONVERSATION_BODY, "/required/-", json!("properties")),
        ),
        (
            "getOrCreateConversation response.conversation.messageCount",
            set(CONVERSATION, "/properties/messageCount/type", json!("string")),
        ),
        (
            "getOrCreateConversation response.conversation.integration",
            set(
                CONVERSATION,
                "/required",
                json!(["id", "createdAt", "updatedAt", "channel", "tags", "messageCount"]),
            ),
        ),
        (
            "getOrCreateConversation servers",
            set(
                CONVERSATION_OPERATION,
                "/servers",
                json!([{ "url": "https://eu.botpress.cloud" }]),
            ),
        ),
        (LACKS, gone("/paths", "/~1v1~1chat~1messages~1get-or-create")),
        (
            LACKS,
            vec![
                ("/paths/~1v1~1chat~1messages~1get-or-create", "/put", Some(json!({}))),
                (OPERATION, "", None),
            ],
        ),
        (
            "getOrCreateMessage: circular reference #/paths/",
            set(
                "/paths",
                "/~1v1~1chat~1messages~1get-or-create",
                json!({ "$ref": "#/paths/~1v1~1chat~1messages~1get-or-create" }),
            ),
        ),
        ("document", set("", "/openapi", json!("3.2.0"))),
        ("document", set("", "/openapi", json!("2.0"))),
        (
            "getOrCreateMessage: dangling reference",
            gone("/components/schemas", "/getOrCreateMessage"),
        ),
        ("getOrCreateMessage: dangling security", gone("/components/securitySchemes", "/token")),
        (
            "getOrCreateMessage: circular",
            set(MESSAGE, "", json!({ "$ref": "#/components/schemas/getOrCreateMessage" })),
        ),
        (
            "response.message.id",
            set(
                MESSAGE,
                "/properties/id",
                json!({ "type": "array", "items": { "$ref": "#/components/schemas/getOrCreateMessage" } }),
            ),
        ),
        ("request", gone(OPERATION, "/requestBody")),
        (
            "request",
            gone("/components/requestBodies/getOrCreateMessage/content", "/application~1json"),
        ),
        (
            "request",
            gone(
                "/components/requestBodies/getOrCreateMessage/content/application~1json",
                "/schema",
            ),
        ),
        ("request.origin", gone(BODY, "/properties/origin")),
        (
            "request.tags",
            vec![
                (
                    BODY,
                    "/properties/labels",
                    document().pointer(&format!("{BODY}/properties/tags")).cloned(),
                ),
                (BODY, "/properties/tags", None),
            ],
        ),
        (
            "request.later",
            vec![
                (BODY, "/properties/later", Some(string.clone())),
                (BODY, "/required/-", Some(json!("later"))),
            ],
        ),
        ("request.schedule", set(BODY, "/required/-", json!("schedule"))),
        ("request.userId", set(BODY, "/properties/userId/maxLength", json!(35))),
        ("request.userId", set(BODY, "/properties/userId/minLength", json!(29))),
        ("request.userId", set(BODY, "/properties/userId/format", json!("uuid"))),
        ("request.userId", set(BODY, "/properties/userId/pattern", json!("^user_"))),
        ("request.type", set(BODY, "/properties/type/enum", json!(["text"]))),
        ("request.type", set(BODY, "/properties/type/type", json!("integer"))),
        ("request.type", set(BODY, "/properties/type/minLength", json!(1))),
        ("request.origin", set(BODY, "/properties/origin/enum", json!(["human"]))),
        ("request.tags", set(BODY, "/properties/tags/maxProperties", json!(10))),
        ("request.tags", set(BODY, "/properties/tags/minProperties", json!(1))),
        (
            "request.tags.*",
            set(
                BODY,
                "/properties/tags/additionalProperties",
                json!({ "type": "string", "maxLength": 100 }),
            ),
        ),
        ("request.tags.*", set(BODY, "/properties/tags/additionalProperties", json!(false))),
        ("request.payload.*", set(BODY, "/properties/payload/additionalProperties", json!(string))),
        (
            "request.payload.text",
            set(BODY, "/properties/payload", json!({ "type": "object", "required": ["text"] })),
        ),
        (
            "request.payload",
            set(BODY, "/properties/payload", json!({ "type": "array", "items": {} })),
        ),
        (
            "request.payload",
            set(
                BODY,
                "/properties/payload",
                json!({ "oneOf": [{ "type": "object" }, { "type": "object", "maxProperties": 9 }] }),
            ),
        ),
        (
            "request.discriminateByTags",
            set(BODY, "/properties/discriminateByTags/minItems", json!(1)),
        ),
        (
            "request.discriminateByTags",
            set(BODY, "/properties/discriminateByTags/maxItems", json!(5)),
        ),
        (
            "request.discriminateByTags",
            set(BODY, "/properties/discriminateByTags/uniqueItems", json!(true)),
        ),
        (
            "request.discriminateByTags.items",
            set(
                BODY,
                "/properties/discriminateByTags/items",
                json!({ "type": "string", "maxLength": 50 }),
            ),
        ),
        (
            "request.schedule.delay",
            set(BODY, "/properties/schedule/properties/delay/type", json!("integer")),
        ),
        (
            "request.schedule.delay",
            set(BODY, "/properties/schedule/properties/delay/maximum", json!(86400000)),
        ),
        (
            "request.schedule.delay",
            vec![
                (BODY, "/properties/schedule/properties/delay/minimum", Some(json!(0))),
                (BODY, "/properties/schedule/properties/delay/exclusiveMinimum", Some(json!(true))),
            ],
        ),
        (
            "request.schedule.delay",
            set(BODY, "/properties/schedule/properties/delay/multipleOf", json!(10)),
        ),
        (
            "request.schedule.dateTime",
            set(BODY, "/properties/schedule/properties/dateTime/format", json!("date-time")),
        ),
        ("request.origin", set(BODY, "/properties/origin/readOnly", json!(true))),
        ("request.type", set(BODY, "/properties/type/not", json!({ "enum": ["own"] }))),
        ("request.type", set(BODY, "/properties/type/if", json!({}))),
        (
            "request.type",
            set(BODY, "/allOf", json!([{ "properties": { "type": { "maxLength": 20 } } }])),
        ),
        (
            "request",
            set(BODY, "/anyOf", json!([{ "required": ["schedule"] }, { "required": ["origin"] }])),
        ),
        ("response", gone("/components/responses/getOrCreateMessage", "/content")),
        (
            "response",
            vec![
                (
                    "/components/responses/getOrCreateMessage/content",
                    "/text~1plain",
                    Some(json!({ "schema": string })),
                ),
                ("/components/responses/getOrCreateMessage/content", "/application~1json", None),
            ],
        ),
        ("response", gone(OPERATION, "/responses/200")),
        (
            "responses.201",
            vec![
                (
                    OPERATION,
                    "/responses/201",
                    Some(json!({ "$ref": "#/components/responses/getOrCreateMessage" })),
                ),
                (OPERATION, "/responses/200", None),
            ],
        ),
        (
            "responses.2XX",
            set(
                OPERATION,
                "/responses/2XX",
                json!({ "$ref": "#/components/responses/getOrCreateMessage" }),
            ),
        ),
        ("responses.202", set(OPERATION, "/responses/202", json!({ "description": "later" }))),
        (
            "responses.404",
            answer("/responses/404", "application/json", &["message", "description"]),
        ),
        (
            "responses.403",
            vec![
                answer("/responses/403", "application/json", &["type", "message"]).remove(0),
                (
                    OPERATION,
                    "/responses/403/content/application~1json/schema/required",
                    Some(json!(["message"])),
                ),
            ],
        ),
        ("responses.default", answer("/responses/default", "application/json", &["error"])),
        ("responses.429", answer("/responses/429", "application/json", &["type", "error"])),
        ("responses.5XX", answer("/responses/5XX", "text/html", &["type", "message"])),
        (
            "responses.500",
            set(OPERATION, "/responses/500", json!({ "content": { "application/json": {} } })),
        ),
        (
            "responses.400",
            set(
                OPERATION,
                "/responses/400",
                json!({ "$ref": "#/components/responses/getOrCreateMessage" }),
            ),
        ),
        (
            "responses.400",
            vec![
                answer("/responses/400", "application/json", &["type", "message"]).remove(0),
                (
                    OPERATION,
                    "/responses/400/content/application~1json/schema/properties/type",
                    Some(json!({ "type": "integer" })),
                ),
            ],
        ),
        ("response.message", gone(ANSWER, "/properties/message")),
        ("response.message", set(ANSWER, "/required", json!(["meta"]))),
        (
            "response.message",
            set(
                ANSWER,
                "/properties/message",
                json!({ "nullable": true, "allOf": [{ "$ref": "#/components/schemas/getOrCreateMessage" }] }),
            ),
        ),
        (
            "response.message",
            set(
                ANSWER,
                "/properties/message",
                json!({ "oneOf": [{ "$ref": "#/components/schemas/getOrCreateMessage" }, { "type": "string" }] }),
            ),
        ),
        (
            "response.message.updatedAt",
            set(
                MESSAGE,
                "/required",
                json!([
                    "id",
                    "createdAt",
                    "type",
                    "payload",
                    "direction",
                    "userId",
                    "conversationId",
                    "tags"
                ]),
            ),
        ),
        ("response.message.id", set(MESSAGE, "/properties/id/type", json!("integer"))),
        ("response.message.id", gone(MESSAGE, "/properties/id/type")),
        ("response.message.id", set(MESSAGE, "/properties/id/nullable", json!(true))),
        ("response.message.origin", set(MESSAGE, "/properties/origin/nullable", json!(true))),
        ("response.message.createdAt", gone(MESSAGE, "/properties/createdAt/format")),
        ("response.message.createdAt", set(MESSAGE, "/properties/createdAt/format", json!("date"))),
        (
            "response.message.tags.*",
            set(
                MESSAGE,
                "/properties/tags/additionalProperties",
                json!({ "type": "string", "nullable": true }),
            ),
        ),
        ("response.message.tags.*", gone(MESSAGE, "/properties/tags/additionalProperties")),
        ("response.message.payload", set(MESSAGE, "/properties/payload", json!({}))),
        ("response.message.userId", set(MESSAGE, "/properties/userId/writeOnly", json!(true))),
        (
            "response.message.id",
            set(MESSAGE, "/properties/id", json!({ "allOf": [string, { "writeOnly": true }] })),
        ),
        ("response.message", set(MESSAGE, "/if", json!({}))),
        (
            "response.meta.created",
            set(ANSWER, "/properties/meta/properties/created/type", json!("string")),
        ),
        ("response.meta.created", set(ANSWER, "/properties/meta/required", json!([]))),
        (
            "parameters.header x-integration-id",
            set(OPERATION, "/parameters/2/required", json!(true)),
        ),
        ("parameters.header x-bot", set(OPERATION, "/parameters/0/name", json!("x-bot"))),
        (
            "parameters.query bot",
            set(
                OPERATION,
                "/parameters/-",
                json!({ "in": "query", "name": "bot", "required": true, "schema": string }),
            ),
        ),
        (
            "parameters.header x-bot-id",
            set(OPERATION, "/parameters/0/schema", json!({ "type": "string", "format": "uuid" })),
        ),
        (
            "parameters.header x-bot-id",
            set(OPERATION, "/parameters/0/schema", json!({ "type": "integer" })),
        ),
        (
            "parameters.header x-bot-id",
            vec![
                (OPERATION, "/parameters/0/content", Some(json!({ "application/json": {} }))),
                (OPERATION, "/parameters/0/schema", None),
            ],
        ),
        (
            "security",
            set(
                "/components/securitySchemes",
                "/token",
                json!({ "type": "apiKey", "in": "header", "name": "x-key" }),
            ),
        ),
        (
            "security",
            set(
                "/components/securitySchemes",
                "/token",
                json!({ "type": "http", "scheme": "basic" }),
            ),
        ),
        (
            "security",
            vec![
                (
                    "/components/securitySchemes",
                    "/key",
                    Some(json!({ "type": "apiKey", "in": "header", "name": "k" })),
                ),
                (OPERATION, "/security", Some(json!([{ "token": [], "key": [] }]))),
            ],
        ),
        ("servers", set("", "/servers", json!([{ "url": "https://api.botpress.com" }]))),
        ("servers", gone("", "/servers")),
        ("servers", set(OPERATION, "/servers", json!([{ "url": "https://eu.botpress.cloud" }]))),
        ("request.userId", set(BODY, "/properties/userId", json!({ "oneOf": [string, string] }))),
        (
            "request.schedule.delay",
            set(BODY, "/properties/schedule/properties/delay/exclusiveMinimum", json!(0)),
        ),
        ("request.schedule", set(BODY, "/properties/schedule/required", json!(true))),
        ("request.userId", set(BODY, "/properties/userId/maxLength", json!("36"))),
        ("request.userId", set(BODY, "/properties/userId/const", json!(null))),
        (
            "request.payload",
            set(BODY, "/properties/payload", json!({ "type": "object", "anyOf": [] })),
        ),
        (
            "request.payload.*",
            set(
                BODY,
                "/properties/payload",
                json!({ "type": "object", "properties": { "": {} }, "additionalProperties": false }),
            ),
        ),
        (
            "request.tags.*",
            set(
                BODY,
                "/properties/tags/additionalProperties",
                json!({ "type": "string", "readOnly": true }),
            ),
        ),
        (
            "getOrCreateMessage: declares application/json twice",
            set(
                "/components/requestBodies/getOrCreateMessage/content",
                "/application~1json; charset=utf-8",
                json!({ "schema": string }),
            ),
        ),
        (
            "getOrCreateMessage: declares header x-bot-id twice",
            set(
                OPERATION,
                "/parameters/-",
                json!({ "in": "header", "name": "X-Bot-Id", "schema": { "type": "integer" } }),
            ),
        ),
        ("getOrCreateMessage: parameters", set(OPERATION, "/parameters", json!({}))),
        (
            "parameters.header x-integration-id",
            set(OPERATION, "/parameters/2/required", json!("true")),
        ),
    ]
}

#[test]
fn each_edit_is_a_break_or_a_notice_at_its_place() {
    for (kind, cases) in [("NOTICE", notices()), ("BREAK", broken())] {
        for (place, edits) in cases {
            for document in renditions(&edits) {
                assert_reported(kind, place, &edits, of_document(&document));
            }
        }
    }
}

/// A place without an operation is in `getOrCreateMessage`.
fn assert_reported(kind: &str, place: &str, edits: &[Edit], (lines, verdict): Outcome) {
    assert_eq!(verdict, kind, "{edits:?}: {lines:?}");
    let is_whole = ["document", "getOrCreate"].iter().any(|start| place.starts_with(start));
    let line = format!("{kind} {}{place}", if is_whole { "" } else { "getOrCreateMessage " });
    assert!(lines.iter().any(|found| found.starts_with(&line)), "{line}: {edits:?}: {lines:?}");
    // No other operation is reported.
    let operation = line.split([' ', ':']).nth(1).unwrap();
    let shared = ["", "/components/securitySchemes"];
    if !edits.iter().any(|(base, ..)| shared.contains(base)) {
        let others = lines.iter().find(|line| line.split([' ', ':']).nth(1) != Some(operation));
        assert_eq!(others, None, "{line}: {edits:?}");
    }
}

/// Features that only OpenAPI 3.1 has.
#[test]
fn a_document_of_3_1_is_compared() {
    let id = json!({ "type": "string", "minLength": 28, "maxLength": 36 });
    let beside = |sibling: Value| -> Vec<Edit> {
        let mut reference = json!({ "$ref": "#/components/schemas/Id" });
        reference.as_object_mut().unwrap().extend(sibling.as_object().unwrap().clone());
        vec![
            ("/components", "/schemas/Id", Some(id.clone())),
            (BODY, "/properties/userId", Some(reference)),
        ]
    };
    let request = |place: &'static str, value: Value| vec![(BODY, place, Some(value))];
    let delay = |value| request("/properties/schedule/properties/delay", value);
    let message = |value| vec![(ANSWER, "/properties/message", Some(value))];
    let reference = json!({ "$ref": "#/components/schemas/getOrCreateMessage" });
    let nothing = json!({ "type": "null" });

    let same = vec![
        beside(json!({ "description": "x" })),
        beside(json!({ "examples": ["x"], "title": "x" })),
        request("/properties/userId/type", json!(["string"])),
        request("/properties/userId/examples", json!(["x"])),
        request("/properties/origin", json!({ "const": "synthetic" })),
        request(
            "/properties/tags/additionalProperties",
            json!({ "anyOf": [{ "type": "string", "maxLength": 500 }, nothing] }),
        ),
        request("/unevaluatedProperties", json!(false)),
        request("/$comment", json!("x")),
        request("/$defs", json!({ "a": { "$ref": "#/nowhere" } })),
        request("/properties/tags/patternProperties", json!({})),
        vec![(
            "",
            "/jsonSchemaDialect",
            Some(json!("https://spec.openapis.org/oas/3.1/dialect/base")),
        )],
        vec![("", "/webhooks", Some(json!({ "later": { "$ref": "#/nowhere" } })))],
    ];
    let notices = vec![
        ("request.userId", beside(json!({ "deprecated": true }))),
        ("request.type", request("/properties/type/type", json!(["string", "integer"]))),
        ("request.payload.type", request("/properties/payload", json!(true))),
        (
            "request.patternProperties",
            request("/patternProperties", json!({ "^x-": { "type": "string" } })),
        ),
        (
            "response.message.propertyNames",
            vec![(MESSAGE, "/propertyNames", Some(json!({ "maxLength": 9 })))],
        ),
        ("request.userId.nullable", request("/properties/userId/type", json!(["null", "string"]))),
        (
            "request.origin.enum: now enum null",
            request("/properties/origin", json!({ "anyOf": [{ "const": "synthetic" }, nothing] })),
        ),
        (
            "request.schedule.delay.minimum: new, 0",
            delay(json!({ "type": "number", "minimum": 0, "exclusiveMinimum": -1 })),
        ),
        (
            "request.schedule.delay.exclusiveMinimum: new, true",
            delay(json!({ "type": "number", "minimum": -1, "exclusiveMinimum": -1 })),
        ),
        ("response.message.type.enum", vec![(MESSAGE, "/properties/type/const", Some(json!("a")))]),
    ];
    let broken = vec![
        ("request.userId", beside(json!({ "maxLength": 35 }))),
        ("request.userId", beside(json!({ "if": {} }))),
        ("request.type", request("/properties/type/type", json!([]))),
        ("request.type", request("/properties/type/type", json!("null"))),
        ("request.type: `nullable`", request("/properties/type/nullable", json!(true))),
        ("request.origin: `const`", request("/properties/origin/enum", json!(["synthetic"]))),
        (
            "request.schedule.delay: `minimum` 0 is tighter",
            delay(json!({ "type": "number", "exclusiveMinimum": 0, "minimum": -1 })),
        ),
        (
            "request.schedule.delay: `maximum` 1 is tighter",
            delay(json!({ "type": "number", "exclusiveMaximum": 2, "maximum": 1 })),
        ),
        (
            "request.schedule.delay: `exclusiveMinimum`",
            delay(json!({ "type": "number", "minimum": 0, "exclusiveMinimum": true })),
        ),
        (
            "request.schedule.delay: `maximum`",
            delay(json!({ "type": "number", "maximum": "1", "exclusiveMaximum": 2 })),
        ),
        (
            "request.discriminateByTags",
            request("/properties/discriminateByTags/prefixItems", json!([{}])),
        ),
        (
            "request.type",
            request("/patternProperties", json!({ "^ty": { "type": "string", "maxLength": 9 } })),
        ),
        ("request.payload", request("/properties/payload", json!(false))),
        ("request.tags", request("/properties/tags/propertyNames", json!({}))),
        ("request.type", request("/properties/type/contentEncoding", json!("base64"))),
        ("request", request("/dependentRequired", json!({ "origin": ["schedule"] }))),
        ("response", vec![(ANSWER, "/$dynamicRef", Some(json!("#a")))]),
        (
            "response.message.id",
            vec![(MESSAGE, "/properties/id/type", Some(json!(["string", "null"])))],
        ),
        ("response.message: may be null", message(json!({ "anyOf": [reference, nothing] }))),
        ("response.message: may be null", message(json!({ "oneOf": [reference, nothing] }))),
        ("document", vec![("", "/jsonSchemaDialect", Some(json!("a dialect")))]),
        (
            "getOrCreateMessage: dangling reference",
            beside(json!({ "$ref": "#/components/schemas/None" })),
        ),
    ];
    let [_, document] = renditions(&[]);
    let of_3_1 = |edits: &[Edit]| of_document(&with(edits, document.clone()));
    for edits in same {
        let (lines, verdict) = of_3_1(&edits);
        assert_eq!(verdict, "none", "{edits:?}: {lines:?}");
    }
    for (kind, cases) in [("NOTICE", notices), ("BREAK", broken)] {
        for (place, edits) in cases {
            assert_reported(kind, place, &edits, of_3_1(&edits));
        }
    }
    // In 3.0, keywords next to a reference are ignored.
    assert_eq!(verdict(&beside(json!({ "maxLength": 35 }))), "none");
}

/// The `jsonschema` crate is independent of the rules. If it rejects a value that the other side's schema
/// allows, the check must report a break.
#[test]
fn each_break_that_a_witness_finds_is_reported() {
    let schema = |side: &Value, part: &str| {
        side.pointer(&format!("{part}/content/application~1json/schema")).cloned()
    };
    let unedited = pin(&Document::new(document()).unwrap(), &SPEC).unwrap();
    let mut seen = 0;
    for (place, edits) in [notices(), broken()].concat() {
        let Ok(document) = Document::new(edited(&edits)) else { continue };
        let Ok(contracts) = pin(&document, &SPEC) else { continue };
        for (name, theirs) in &contracts {
            let (ours, unedited) = (&SPEC.contracts()[name], &unedited[name]);
            for (part, from, to) in
                [("/requestBody", ours, theirs), ("/responses/200", theirs, ours)]
            {
                if theirs.pointer(part) == unedited.pointer(part) {
                    continue;
                }
                let (Some(from), Some(to)) = (schema(from, part), schema(to, part)) else {
                    continue;
                };
                // The witness also requires read-only properties.
                if to.to_string().contains("\"readOnly\"") {
                    continue;
                }
                if let Some(witness) = witness::counterexample(&from, to) {
                    assert_eq!(verdict(&edits), "BREAK", "{place}: {witness}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen >= 35, "the witness finds {seen} breaks");
}

#[test]
fn document_without_the_operations_is_a_break_for_each() {
    let (lines, verdict) = of_document(&json!({ "openapi": "3.0.0", "paths": {} }));
    assert_eq!(verdict, "BREAK");
    let lacking = SPEC.operations().map(|name| format!("BREAK {name}: the document lacks "));
    for (line, start) in lines.iter().zip(lacking) {
        assert!(line.starts_with(&start), "{lines:?}");
    }
    assert_eq!(lines.len(), SPEC.operations().count(), "{lines:?}");
}

#[test]
fn types_are_compared_by_what_they_can_express() {
    let string = json!({ "type": "string" });
    let set = |base, place, value| -> Vec<Edit> { vec![(base, place, Some(value))] };
    let gone = |base, place| -> Vec<Edit> { vec![(base, place, None)] };
    let header = |required| {
        let header =
            json!({ "in": "header", "name": "x-later", "required": required, "schema": string });
        set(OPERATION, "/parameters/-", header)
    };
    let same = vec![
        vec![],
        gone(BODY, "/properties/userId/maxLength"),
        set(BODY, "/properties/userId/minLength", json!(30)),
        set(BODY, "/properties/userId/pattern", json!("^user_")),
        set(BODY, "/properties/tags/maxProperties", json!(1)),
        set(BODY, "/properties/tags/additionalProperties/maxLength", json!(1)),
        set(BODY, "/properties/discriminateByTags/items/maxLength", json!(1)),
        set(BODY, "/properties/type/deprecated", json!(true)),
        gone(MESSAGE, "/properties/createdAt/format"),
        set(MESSAGE, "/properties/type/x-extensible-enum", json!(["text"])),
        set(BODY, "/properties/schedule/properties/delay/type", json!("integer")),
        gone("", "/servers"),
        gone("", "/security"),
        gone(OPERATION, "/parameters"),
        gone(OPERATION, "/responses/default"),
        set(OPERATION, "/responses/500", json!({ "content": { "text/html": {} } })),
    ];
    let notices = vec![
        ("request.later", set(BODY, "/properties/later", string.clone())),
        ("request.tags", set(BODY, "/required", json!(["userId", "type", "conversationId"]))),
        ("request.type.nullable", set(BODY, "/properties/type/nullable", json!(true))),
        (
            "request.origin.enum",
            set(BODY, "/properties/origin/enum", json!(["human", "synthetic"])),
        ),
        ("request.*", gone(BODY, "/additionalProperties")),
        ("response.message.later", set(MESSAGE, "/properties/later", string.clone())),
        (
            "response.message.later",
            set(
                MESSAGE,
                "/properties/later",
                json!({ "items": { "$ref": "#/components/schemas/getOrCreateMessage" } }),
            ),
        ),
        ("getOrCreateUser response.user.later", set(USER, "/properties/later", string.clone())),
        (
            "response.message.direction.enum",
            set(MESSAGE, "/properties/direction/enum/-", json!("up")),
        ),
        ("response.meta", set(ANSWER, "/required", json!(["message"]))),
        ("parameters.header x-later", header(false)),
        ("document: version 1.82.0 is pinned", set("", "/info/version", json!("1.82.0"))),
    ];
    let broken = vec![
        ("request.schedule", set(BODY, "/required/-", json!("schedule"))),
        ("request.origin", gone(BODY, "/properties/origin")),
        ("request.userId", set(BODY, "/properties/userId/type", json!("number"))),
        ("request.userId", set(BODY, "/properties/userId/not", json!({}))),
        (
            "request.discriminateByTags",
            set(BODY, "/properties/discriminateByTags/minItems", json!(1)),
        ),
        (
            "request.discriminateByTags.items",
            set(BODY, "/properties/discriminateByTags/items/enum", json!(["id"])),
        ),
        (
            "request.tags.*",
            set(BODY, "/properties/tags/additionalProperties/type", json!("boolean")),
        ),
        ("response.message.id", set(MESSAGE, "/properties/id/nullable", json!(true))),
        (
            "response.message.id",
            set(MESSAGE, "/properties/id", json!({ "oneOf": [string, { "type": "number" }] })),
        ),
        ("response.meta.created", set(ANSWER, "/properties/meta/required", json!([]))),
        ("response.message", gone(ANSWER, "/properties/message")),
        (
            "getOrCreateConversation request.channel",
            set(CONVERSATION_BODY, "/properties/channel/type", json!("number")),
        ),
        ("parameters.header x-later", header(true)),
        (LACKS, gone("/paths", "/~1v1~1chat~1messages~1get-or-create")),
    ];
    let of_types = |document: &Value| outcome(document, true);
    for edits in same {
        for document in renditions(&edits) {
            let (lines, verdict) = of_types(&document);
            assert_eq!(verdict, "none", "{edits:?}: {lines:?}");
        }
    }
    for (kind, cases) in [("NOTICE", notices), ("BREAK", broken)] {
        for (place, edits) in cases {
            for document in renditions(&edits) {
                assert_reported(kind, place, &edits, of_types(&document));
            }
        }
    }
}
