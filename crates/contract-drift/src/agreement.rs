//! Whether two contracts of an operation agree: their side allows every request that ours allows,
//! and ours reads every response that theirs allows.

use serde_json::{Value, json};

use crate::finding::{Code, Difference, Place};
use crate::normal::{ANNOUNCEMENTS, entries, list};
use crate::schema::subset;

const JSON: &str = "application/json";

/// Where our requests may be rejected or their responses not be read.
pub fn breaks(ours: &Value, theirs: &Value) -> Vec<Difference> {
    let mut found = servers(ours, theirs);
    found.extend(security(theirs));
    found.extend(parameters(ours, theirs));
    let [sent, taken] = [ours, theirs].map(|side| &side["requestBody"]["content"][JSON]["schema"]);
    found.extend(subset(sent, taken, &Place::new(["request"])));
    found.extend(errors(theirs));
    let [read, given] =
        [ours, theirs].map(|side| &side["responses"]["200"]["content"][JSON]["schema"]);
    found.extend(subset(given, read, &Place::new(["response"])));
    found.dedup();
    found
}

fn servers(ours: &Value, theirs: &Value) -> Vec<Difference> {
    let place = Place::new(["servers"]);
    let missing =
        list(&ours["servers"]).filter(|server| !list(&theirs["servers"]).any(|s| s == *server));
    missing
        .map(|server| {
            Difference::new(Code::ServerMissing, &place, format!("{server} is not among them"))
        })
        .collect()
}

fn security(theirs: &Value) -> Option<Difference> {
    let bearer = |scheme: &Value| scheme["type"] == "http" && scheme["scheme"] == "bearer";
    let is_met = |alternative: &Value| list(alternative).all(bearer);
    let mut alternatives = list(&theirs["security"]).peekable();
    let demands_more = alternatives.peek().is_some() && !alternatives.any(is_met);
    let text = "a bearer token alone is not enough";
    demands_more.then(|| Difference::new(Code::SecurityUnmet, &Place::new(["security"]), text))
}

fn parameters(ours: &Value, theirs: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    for (name, parameter) in entries(&theirs["parameters"]) {
        let place = Place::new(["parameters", name]);
        let sent = &ours["parameters"][name];
        // Whatever form `required` has there, we always have to send the parameter.
        if !parameter["required"].is_null() && sent["required"] != json!(true) {
            let text = "is required, and we need not send it";
            found.push(Difference::new(Code::ParameterRequired, &place, text));
        }
        if sent.is_null() {
            continue;
        }
        let known = ["required", "schema", "deprecated"];
        let unknown = entries(parameter).map(|(key, _)| key.as_str()).filter(|key| {
            let is_known = known.contains(key) || ANNOUNCEMENTS.contains(key);
            !is_known
        });
        found.extend(unknown.map(|key| {
            Difference::new(Code::NotUnderstood, &place, format!("`{key}` is not understood"))
        }));
        found.extend(subset(&sent["schema"], &parameter["schema"], &place));
    }
    found
}

/// What is wrong with the responses that are no success.
fn errors(theirs: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    let success = &theirs["responses"]["200"];
    for (status, response) in entries(&theirs["responses"]).filter(|(status, _)| *status != "200") {
        // A `default` that repeats the success describes no error.
        if status == "default" && response == success {
            continue;
        }
        let place = Place::new(["responses", status]);
        if status != "default" && !status.starts_with(['4', '5']) {
            let text = "we do not read such a response";
            found.push(Difference::new(Code::ResponseUnknown, &place, text));
            continue;
        }
        for (media_type, content) in entries(&response["content"]) {
            let is_json = media_type == JSON || media_type.ends_with("+json");
            if !is_json || !subset(&content["schema"], &readable_error(), &place).is_empty() {
                let text = format!(
                    "{media_type} is no JSON object with texts for `type`, and `message` or \
                     `description`"
                );
                found.push(Difference::new(Code::ErrorUnreadable, &place, text));
            }
        }
    }
    found
}

/// The errors that the client reads.
fn readable_error() -> Value {
    let with = |text: &str| {
        json!({
            "type": "object",
            "required": ["type", text],
            "properties": { "type": { "type": "string" }, text: { "type": "string" } },
        })
    };
    json!({ "anyOf": [with("message"), with("description")] })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest contracts that a rule finds a difference in.
    struct Case {
        code: Code,
        ours: Value,
        theirs: Value,
    }

    /// A contract with an empty body and an empty response, and this besides.
    fn contract(more: Value) -> Value {
        let empty = json!({ "content": { JSON: { "schema": {} } } });
        let mut contract = json!({ "requestBody": empty, "responses": { "200": empty } });
        for (name, part) in entries(&more) {
            match (&mut contract[name], part) {
                (Value::Object(kept), Value::Object(part)) => kept.extend(part.clone()),
                (kept, part) => *kept = part.clone(),
            }
        }
        contract
    }

    fn codes(ours: &Value, theirs: &Value) -> Vec<Code> {
        breaks(&contract(ours.clone()), &contract(theirs.clone())).iter().map(|d| d.code).collect()
    }

    #[test]
    fn each_rule_finds_its_smallest_case() {
        let bearer = json!({ "type": "http", "scheme": "bearer" });
        let key = json!({ "type": "apikey", "in": "header", "name": "key" });
        let header = |parameter: Value| json!({ "parameters": { "header a": parameter } });
        let response = |status: &str, media_type: &str, schema: Value| json!({ "responses": { status: { "content": { media_type: { "schema": schema } } } } });
        let cases = [
            Case {
                code: Code::ServerMissing,
                ours: json!({ "servers": ["https://a.example"] }),
                theirs: json!({ "servers": ["https://b.example"] }),
            },
            Case {
                code: Code::SecurityUnmet,
                ours: json!({ "security": [[bearer]] }),
                theirs: json!({ "security": [[bearer, key]] }),
            },
            Case {
                code: Code::ParameterRequired,
                ours: json!({}),
                theirs: header(json!({ "required": true, "schema": {} })),
            },
            Case {
                code: Code::ParameterRequired,
                ours: header(json!({ "schema": {} })),
                theirs: header(json!({ "required": true, "schema": {} })),
            },
            Case {
                code: Code::NotUnderstood,
                ours: header(json!({ "schema": {} })),
                theirs: header(json!({ "style": "matrix", "schema": {} })),
            },
            Case {
                code: Code::Type,
                ours: header(json!({ "schema": { "type": "string" } })),
                theirs: header(json!({ "schema": { "type": "integer" } })),
            },
            Case {
                code: Code::SchemaMissing,
                ours: json!({}),
                theirs: json!({ "requestBody": { "content": {} } }),
            },
            Case {
                code: Code::SchemaMissing,
                ours: json!({}),
                theirs: json!({ "responses": { "200": {} } }),
            },
            Case {
                code: Code::ResponseUnknown,
                ours: json!({}),
                theirs: json!({ "responses": { "202": {} } }),
            },
            Case {
                code: Code::ErrorUnreadable,
                ours: json!({}),
                theirs: response("404", JSON, json!({ "type": "object" })),
            },
            Case {
                code: Code::ErrorUnreadable,
                ours: json!({}),
                theirs: response("404", "text/html", readable_error()),
            },
        ];
        for Case { code, ours, theirs } in cases {
            assert_eq!(codes(&ours, &theirs), [code], "{ours} {theirs}");
        }
    }

    #[test]
    fn contracts_that_agree_have_no_break() {
        let bearer = json!({ "type": "http", "scheme": "bearer" });
        let key = json!({ "type": "apikey", "in": "header", "name": "key" });
        let header = |parameter: Value| json!({ "parameters": { "header a": parameter } });
        let cases = [
            (json!({}), json!({})),
            (json!({ "servers": ["a"] }), json!({ "servers": ["a", "b"] })),
            (json!({}), json!({ "security": [[bearer], [key]] })),
            (json!({}), json!({ "security": [[], [key]] })),
            (json!({}), header(json!({ "schema": {} }))),
            (
                header(json!({ "required": true, "schema": { "type": "string" } })),
                header(json!({ "required": true, "schema": {}, "deprecated": true })),
            ),
            (json!({}), json!({ "responses": { "404": {} } })),
            (
                json!({}),
                json!({ "responses": { "404": { "content": { "application/problem+json": {
                    "schema": readable_error()
                } } } } }),
            ),
            (
                json!({}),
                json!({ "responses": { "default": { "content": { JSON: { "schema": {} } } } } }),
            ),
        ];
        for (ours, theirs) in cases {
            assert_eq!(codes(&ours, &theirs), [], "{ours} {theirs}");
        }
    }
}
