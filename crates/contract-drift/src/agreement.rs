//! Whether two contracts of an operation agree: their side allows every request that ours allows,
//! and ours reads every response that theirs allows.

use serde_json::{Value, json};

use crate::client::Client;
use crate::finding::{Code, Difference, Place};
use crate::normal::{ANNOUNCEMENTS, entries, list};
use crate::role::{InRole, Role};
use crate::schema::Comparison;

/// Finds where our requests could be rejected or their responses could be unreadable.
pub fn breaks(ours: &Value, theirs: &Value, client: &Client) -> Vec<Difference> {
    let sent = Schemas::new((ours, Role::RequestSender), (theirs, Role::RequestReader));
    let read = Schemas::new((theirs, Role::ResponseSender), (ours, Role::ResponseReader));
    let mut found = servers(ours, theirs);
    found.extend(security(ours, theirs, client));
    found.extend(parameters(ours, theirs, client, &sent));
    found.extend(request(ours, theirs, &sent));
    found.extend(errors(ours, theirs, client, &read));
    found.extend(successes(ours, theirs, &read));
    let is_exhausted = sent.comparison.is_exhausted() || read.comparison.is_exhausted();
    if is_exhausted {
        found.retain(|difference| difference.code == Code::TooComplex);
        found.truncate(1);
    }
    found.dedup();
    found
}

/// The schemas of two contracts, whose values one side sends and the other reads.
struct Schemas<'a> {
    sender: InRole<'a>,
    reader: InRole<'a>,
    comparison: Comparison,
}

impl<'a> Schemas<'a> {
    fn new(sender: (&'a Value, Role), reader: (&'a Value, Role)) -> Self {
        let [sender, reader] = [sender, reader].map(|(contract, role)| InRole::new(role, contract));
        let comparison = Comparison::new(sender.definitions(), reader.definitions());
        Self { sender, reader, comparison }
    }

    /// The reasons why values sent by one schema cannot all be read by the other.
    fn subset(&self, sent: &Value, read: &Value, place: &Place) -> Vec<Difference> {
        self.comparison.subset(&self.sender.schema(sent), &self.reader.schema(read), place)
    }
}

fn servers(ours: &Value, theirs: &Value) -> Vec<Difference> {
    let place = Place::new(["servers"]);
    let missing =
        list(&ours["servers"]).filter(|server| !list(&theirs["servers"]).any(|s| s == *server));
    missing
        .map(|server| {
            let text = format!("their document does not list {server}");
            Difference::new(Code::ServerMissing, &place, text)
        })
        .collect()
}

/// Each of our alternatives must meet one of theirs.
fn security(ours: &Value, theirs: &Value, client: &Client) -> Option<Difference> {
    let demanded: Vec<_> = list(&theirs["security"]).collect();
    if demanded.is_empty() {
        return None;
    }
    let none = json!([]);
    let mut sent: Vec<_> = list(&ours["security"]).collect();
    if sent.is_empty() {
        sent.push(&none);
    }
    let unmet = sent.into_iter().find(|sent| {
        let is_sent = |scheme: &Value| {
            list(sent).any(|own| covers(own, scheme)) || is_parameter(scheme, ours, client)
        };
        !demanded.iter().any(|schemes| list(schemes).all(is_sent))
    })?;
    let names: Vec<_> = list(unmet).map(name_of).collect();
    let text = match names.as_slice() {
        [] => "credentials are required, but we send none".into(),
        names => format!("{} alone is not enough", names.join(" and ")),
    };
    Some(Difference::new(Code::SecurityUnmet, &Place::new(["security"]), text))
}

/// Whether the credentials of one scheme are those of another.
fn covers(own: &Value, scheme: &Value) -> bool {
    let keys = ["type", "scheme", "in", "name", "openIdConnectUrl"];
    let is_same = keys.iter().all(|key| own[*key] == scheme[*key]);
    let is_granted = |scope: &Value| list(&own["scopes"]).any(|granted| granted == scope);
    // Each way in which the client gets a token has to work there.
    let has_flow = |(name, urls): (&String, &Value)| {
        let theirs = &scheme["flows"][name];
        theirs.is_object() && entries(urls).all(|(key, url)| theirs[key] == *url)
    };
    is_same && list(&scheme["scopes"]).all(is_granted) && entries(&own["flows"]).all(has_flow)
}

/// Whether a key is a parameter that the client always sends.
fn is_parameter(scheme: &Value, ours: &Value, client: &Client) -> bool {
    let key = parameter_of(scheme);
    let is_required = ours["parameters"][&key]["required"] == json!(true);
    scheme["type"] == "apikey" && (is_required || client.sends(&key))
}

/// The parameter that contains the key of a scheme.
fn parameter_of(scheme: &Value) -> String {
    let [place, name] = ["in", "name"].map(|key| scheme[key].as_str().unwrap_or_default());
    format!("{place} {name}")
}

fn name_of(scheme: &Value) -> &str {
    let name = ["name", "scheme", "type"].iter().find_map(|key| scheme[*key].as_str());
    name.unwrap_or("a scheme without a type")
}

fn parameters(ours: &Value, theirs: &Value, client: &Client, schemas: &Schemas) -> Vec<Difference> {
    let mut found = Vec::new();
    for (name, parameter) in entries(&theirs["parameters"]) {
        let place = Place::new(["parameters", name]);
        let sent = &ours["parameters"][name];
        if sent.is_null() && client.sends(name) {
            continue;
        }
        // Whatever form `required` has there, we always have to send the parameter.
        if !parameter["required"].is_null() && sent["required"] != json!(true) {
            let text = "is required, but we may omit it";
            found.push(Difference::new(Code::ParameterRequired, &place, text));
        }
        if sent.is_null() {
            continue;
        }
        let known = ["required", "schema", "deprecated", "allowReserved", "allowEmptyValue"];
        let keys = entries(parameter).chain(entries(sent)).map(|(key, _)| key.as_str());
        let mut unknown: Vec<_> = keys
            .filter(|key| !known.contains(key) && !ANNOUNCEMENTS.contains(key))
            .filter(|key| parameter[*key] != sent[*key])
            .collect();
        let is_ours_only = |key: &&str| sent[*key] == json!(true) && parameter[*key] != json!(true);
        unknown.extend(["allowReserved", "allowEmptyValue"].into_iter().filter(is_ours_only));
        unknown.dedup();
        found.extend(unknown.iter().map(|key| {
            let text = format!("`{key}` differs, which is not understood");
            Difference::new(Code::NotUnderstood, &place, text)
        }));
        if parameter["content"].is_null() || sent["content"] != parameter["content"] {
            let comparison = &schemas.comparison;
            found.extend(comparison.subset(&sent["schema"], &parameter["schema"], &place));
        }
    }
    // A server ignores unknown headers.
    let is_key = |name: &str| {
        let schemes = list(&theirs["security"]).flat_map(list);
        schemes.into_iter().any(|scheme| name == parameter_of(scheme))
    };
    for (name, _) in entries(&ours["parameters"]).filter(|(name, _)| name.starts_with("query ")) {
        if theirs["parameters"][name].is_null() && !is_key(name) {
            let place = Place::new(["parameters", name]);
            let text = "their document does not have it";
            found.push(Difference::new(Code::ParameterUnknown, &place, text));
        }
    }
    found
}

fn request(ours: &Value, theirs: &Value, schemas: &Schemas) -> Vec<Difference> {
    let place = Place::new(["request"]);
    let one = |code, text: &str| vec![Difference::new(code, &place, text)];
    let (sent, taken) = (&ours["requestBody"], &theirs["requestBody"]);
    let is_demanded = !taken["required"].is_null() && sent["required"] != json!(true);
    match (sent.is_null(), taken.is_null()) {
        (true, _) if is_demanded => {
            return one(Code::Required, "a body is required, but we send none");
        }
        (true, _) => return Vec::new(),
        (_, true) => return one(Code::SchemaMissing, "no body is accepted"),
        _ => {}
    }
    let mut found = Vec::new();
    if is_demanded {
        found.extend(one(Code::Required, "a body is required, but we may omit it"));
    }
    for (media_type, sent) in entries(&sent["content"]) {
        let Some(taken) = of_media_type(&taken["content"], media_type) else {
            found.extend(one(Code::MediaType, &format!("{media_type} is not accepted")));
            continue;
        };
        if sent["encoding"] != taken["encoding"] {
            let text = "`encoding` differs, which is not understood";
            found.extend(one(Code::NotUnderstood, text));
        }
        found.extend(schemas.subset(&sent["schema"], &taken["schema"], &place));
    }
    found
}

/// The entry of a body for a media type, by its name or by a range.
fn of_media_type<'a>(content: &'a Value, media_type: &str) -> Option<&'a Value> {
    let range = format!("{}/*", media_type.split('/').next().unwrap_or_default());
    [media_type, &range, "*/*"].iter().find_map(|name| content.get(*name))
}

/// The differences in responses that are not errors.
fn successes(ours: &Value, theirs: &Value, schemas: &Schemas) -> Vec<Difference> {
    let mut found = Vec::new();
    // Only a request with one of these headers gets a 304.
    let conditions = ["header if-none-match", "header if-modified-since"];
    let is_conditional = conditions.iter().any(|name| !ours["parameters"][*name].is_null());
    let [ours, theirs] = [ours, theirs].map(|side| successes_of(&side["responses"]));
    let is_default = |side: &[(&str, &Value)]| side.iter().any(|(status, _)| *status == "default");
    let are_all_one = is_default(&ours) || is_default(&theirs);
    for (status, given) in &theirs {
        if *status == "304" && !is_conditional {
            continue;
        }
        let of_status = |wanted: &str| ours.iter().find(|(read, _)| *read == wanted);
        let read: Vec<_> = if are_all_one {
            ours.iter().collect()
        } else {
            of_status(status).or_else(|| of_status(&range(status))).into_iter().collect()
        };
        for (_, read) in &read {
            found.extend(response(read, given, &place_of(status), schemas));
        }
        if read.is_empty() && *status != "default" {
            let text = "we do not read such a response";
            found.push(Difference::new(Code::ResponseUnknown, &place_of(status), text));
        }
    }
    if let (Some((status, _)), []) = (ours.first(), theirs.as_slice()) {
        let text = "their document has no such response";
        found.push(Difference::new(Code::SchemaMissing, &place_of(status), text));
    }
    found
}

/// The responses that are not errors. `default` is one if there is no other.
fn successes_of(responses: &Value) -> Vec<(&str, &Value)> {
    let all = || entries(responses).map(|(status, response)| (status.as_str(), response));
    let successes: Vec<_> = all().filter(|(status, _)| !is_error(status)).collect();
    match successes.as_slice() {
        [] => all().filter(|(status, _)| *status == "default").collect(),
        _ => successes,
    }
}

fn is_error(status: &str) -> bool {
    status == "default" || status.starts_with(['4', '5'])
}

/// `2XX` for `201`.
fn range(status: &str) -> String {
    format!("{}XX", status.get(..1).unwrap_or_default())
}

fn place_of(status: &str) -> Place {
    match status {
        "200" => Place::new(["response"]),
        _ => Place::new(["responses", status]),
    }
}

/// At least one media type that we read must be offered, and each offered one must fit.
fn response(read: &Value, given: &Value, place: &Place, schemas: &Schemas) -> Vec<Difference> {
    if entries(&read["content"]).next().is_none() {
        return Vec::new();
    }
    let pairs = entries(&read["content"]).filter_map(|(media_type, read)| {
        Some((read, of_media_type(&given["content"], media_type)?))
    });
    let pairs: Vec<_> = pairs.collect();
    if pairs.is_empty() {
        let text = "it has no media type that we read";
        return vec![Difference::new(Code::MediaType, place, text)];
    }
    let of_pair =
        |(read, given): (&Value, &Value)| schemas.subset(&given["schema"], &read["schema"], place);
    pairs.into_iter().flat_map(of_pair).collect()
}

/// The differences in errors. The client reads them by its own rule, or as ours describes.
fn errors(ours: &Value, theirs: &Value, client: &Client, schemas: &Schemas) -> Vec<Difference> {
    let mut found = Vec::new();
    let all = &theirs["responses"];
    for (status, given) in entries(all).filter(|(status, _)| is_error(status)) {
        // A `default` that repeats a success describes no error.
        let repeats = entries(all).any(|(other, success)| !is_error(other) && success == given);
        if status == "default" && repeats {
            continue;
        }
        let place = Place::new(["responses", status]);
        let mut report = |text: String| {
            found.push(Difference::new(Code::ErrorUnreadable, &place, text));
        };
        if let Some(readable) = client.errors() {
            for (media_type, content) in entries(&given["content"]) {
                let is_json = media_type == "application/json" || media_type.ends_with("+json");
                if !is_json || !schemas.subset(&content["schema"], readable, &place).is_empty() {
                    report(format!("the client cannot read the {media_type} error"));
                }
            }
            continue;
        }
        let own = &ours["responses"];
        let read = own.get(status).or(own.get(range(status))).or(own.get("default"));
        let has_content = entries(&given["content"]).next().is_some();
        if let (Some(read), true) = (read, has_content) {
            let differences = response(read, given, &place, schemas);
            found.extend(
                differences
                    .into_iter()
                    .map(|difference| Difference { code: Code::ErrorUnreadable, ..difference }),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/json";

    /// The smallest contracts in which a rule finds a difference.
    struct Case {
        code: Code,
        ours: Value,
        theirs: Value,
    }

    /// Contracts without a difference.
    struct Pair {
        ours: Value,
        theirs: Value,
    }

    fn codes(ours: &Value, theirs: &Value, client: &str) -> Vec<Code> {
        let client = Client::parse(client).unwrap();
        breaks(ours, theirs, &client).iter().map(|difference| difference.code).collect()
    }

    fn header(parameter: Value) -> Value {
        json!({ "parameters": { "header a": parameter } })
    }

    fn query(parameter: Value) -> Value {
        json!({ "parameters": { "query a": parameter } })
    }

    fn body(media_type: &str, schema: Value) -> Value {
        json!({ "requestBody": { "content": { media_type: { "schema": schema } } } })
    }

    fn response(status: &str, media_type: &str, schema: Value) -> Value {
        json!({ "responses": { status: { "content": { media_type: { "schema": schema } } } } })
    }

    fn bearer() -> Value {
        json!({ "type": "http", "scheme": "bearer" })
    }

    fn key(place: &str) -> Value {
        json!({ "type": "apikey", "in": place, "name": "a" })
    }

    fn oauth(scopes: &[&str]) -> Value {
        json!({ "type": "oauth2", "scopes": scopes })
    }

    const READS_MESSAGES: &str = "errors: { type: object, required: [message] }";

    #[test]
    fn each_rule_finds_its_smallest_case() {
        let required = json!({ "required": true, "schema": {} });
        let optional = json!({ "schema": {} });
        let string = json!({ "type": "string" });
        let number = json!({ "type": "number" });
        let cases = [
            Case {
                code: Code::ServerMissing,
                ours: json!({ "servers": ["https://a.example"] }),
                theirs: json!({ "servers": ["https://b.example"] }),
            },
            Case {
                code: Code::SecurityUnmet,
                ours: json!({ "security": [[bearer()]] }),
                theirs: json!({ "security": [[bearer(), key("header")]] }),
            },
            Case {
                code: Code::SecurityUnmet,
                ours: json!({ "security": [[bearer()], [key("header")]] }),
                theirs: json!({ "security": [[bearer()]] }),
            },
            Case {
                code: Code::SecurityUnmet,
                ours: json!({}),
                theirs: json!({ "security": [[bearer()]] }),
            },
            Case {
                code: Code::SecurityUnmet,
                ours: json!({ "security": [[oauth(&["read"])]] }),
                theirs: json!({ "security": [[oauth(&["read", "write"])]] }),
            },
            Case {
                code: Code::ParameterRequired,
                ours: json!({}),
                theirs: header(required.clone()),
            },
            Case {
                code: Code::ParameterRequired,
                ours: header(optional.clone()),
                theirs: header(required.clone()),
            },
            Case { code: Code::ParameterUnknown, ours: query(optional.clone()), theirs: json!({}) },
            Case {
                code: Code::NotUnderstood,
                ours: header(optional.clone()),
                theirs: header(json!({ "style": "matrix", "schema": {} })),
            },
            Case {
                code: Code::NotUnderstood,
                ours: query(json!({ "allowReserved": true, "schema": {} })),
                theirs: query(optional.clone()),
            },
            Case {
                code: Code::Type,
                ours: header(json!({ "schema": string })),
                theirs: header(json!({ "schema": number })),
            },
            Case {
                code: Code::Required,
                ours: json!({}),
                theirs: json!({ "requestBody": { "required": true } }),
            },
            Case {
                code: Code::Required,
                ours: json!({ "requestBody": {} }),
                theirs: json!({ "requestBody": { "required": true } }),
            },
            Case { code: Code::SchemaMissing, ours: body(JSON, json!({})), theirs: json!({}) },
            Case {
                code: Code::MediaType,
                ours: body(JSON, json!({})),
                theirs: body("text/plain", json!({})),
            },
            Case {
                code: Code::NotUnderstood,
                ours: body("multipart/form-data", json!({})),
                theirs: json!({ "requestBody": { "content": {
                    "multipart/form-data": { "schema": {}, "encoding": { "a": {} } },
                } } }),
            },
            Case {
                code: Code::Type,
                ours: body(JSON, string.clone()),
                theirs: body(JSON, number.clone()),
            },
            Case {
                code: Code::Type,
                ours: response("201", JSON, string.clone()),
                theirs: response("201", JSON, number.clone()),
            },
            Case {
                code: Code::MediaType,
                ours: response("200", JSON, json!({})),
                theirs: json!({ "responses": { "200": {} } }),
            },
            Case {
                code: Code::SchemaMissing,
                ours: response("200", JSON, json!({})),
                theirs: json!({ "responses": { "404": {} } }),
            },
            Case {
                code: Code::ResponseUnknown,
                ours: json!({ "responses": { "200": {} } }),
                theirs: json!({ "responses": { "200": {}, "202": {} } }),
            },
            Case {
                code: Code::ResponseUnknown,
                ours: json!({
                    "parameters": { "header if-none-match": optional },
                    "responses": { "200": {} },
                }),
                theirs: json!({ "responses": { "200": {}, "304": {} } }),
            },
            Case {
                code: Code::ErrorUnreadable,
                ours: response("4XX", JSON, string.clone()),
                theirs: response("404", JSON, number.clone()),
            },
        ];
        for Case { code, ours, theirs } in cases {
            assert_eq!(codes(&ours, &theirs, "{}"), [code], "{ours} {theirs}");
        }
        // A client that reads errors by its own rule.
        for theirs in [
            response("404", JSON, json!({ "type": "object" })),
            response("default", "text/html", json!({ "type": "object", "required": ["message"] })),
        ] {
            let codes = codes(&json!({}), &theirs, READS_MESSAGES);
            assert_eq!(codes, [Code::ErrorUnreadable], "{theirs}");
        }
    }

    #[test]
    fn contracts_that_agree_have_no_break() {
        let required = json!({ "required": true, "schema": {} });
        let string = json!({ "type": "string" });
        let marked = |mark: &str| json!({ "type": "object", "required": ["a"], "properties": { "a": { mark: true } } });
        let pairs = [
            Pair { ours: json!({}), theirs: json!({}) },
            Pair { ours: json!({ "servers": ["a"] }), theirs: json!({ "servers": ["a", "b"] }) },
            Pair {
                ours: json!({ "security": [[bearer()]] }),
                theirs: json!({ "security": [[bearer()], [key("header")]] }),
            },
            Pair { ours: json!({}), theirs: json!({ "security": [[], [key("header")]] }) },
            Pair {
                ours: json!({ "security": [[oauth(&["read", "write"])]] }),
                theirs: json!({ "security": [[oauth(&["read"])]] }),
            },
            Pair {
                ours: header(required.clone()),
                theirs: json!({ "security": [[key("header")]] }),
            },
            Pair { ours: query(required.clone()), theirs: json!({ "security": [[key("query")]] }) },
            Pair { ours: header(required.clone()), theirs: json!({}) },
            Pair { ours: json!({}), theirs: header(json!({ "schema": {} })) },
            Pair {
                ours: header(json!({ "required": true, "schema": string })),
                theirs: header(json!({ "required": true, "schema": {}, "deprecated": true })),
            },
            Pair {
                ours: query(json!({ "style": "deepObject", "schema": {} })),
                theirs: query(json!({ "style": "deepObject", "schema": {} })),
            },
            Pair { ours: json!({}), theirs: body(JSON, json!({})) },
            Pair { ours: body(JSON, json!({})), theirs: body("*/*", json!({})) },
            Pair { ours: body(JSON, json!({})), theirs: body("application/*", json!({})) },
            Pair { ours: body(JSON, marked("readOnly")), theirs: body(JSON, marked("readOnly")) },
            Pair {
                ours: body(JSON, json!({ "type": "object", "additionalProperties": false })),
                theirs: body(JSON, marked("readOnly")),
            },
            Pair {
                ours: response("200", JSON, marked("readOnly")),
                theirs: response("200", JSON, marked("readOnly")),
            },
            Pair {
                ours: response("200", JSON, marked("writeOnly")),
                theirs: response("200", JSON, marked("writeOnly")),
            },
            Pair {
                ours: json!({ "responses": { "204": {} } }),
                theirs: response("204", JSON, string.clone()),
            },
            Pair {
                ours: response("2XX", JSON, string.clone()),
                theirs: response("201", JSON, string.clone()),
            },
            Pair { ours: json!({}), theirs: response("404", JSON, string.clone()) },
            Pair {
                ours: json!({ "responses": { "200": {} } }),
                theirs: json!({ "responses": { "200": {}, "304": {} } }),
            },
            Pair {
                ours: response("200", JSON, json!({})),
                theirs: json!({ "responses": {
                    "200": response("200", JSON, json!({}))["responses"]["200"],
                    "default": response("200", JSON, json!({}))["responses"]["200"],
                } }),
            },
        ];
        for Pair { ours, theirs } in pairs {
            assert_eq!(codes(&ours, &theirs, "{}"), [], "{ours} {theirs}");
        }
        let message = json!({ "type": "object", "required": ["message"] });
        for theirs in [
            json!({ "responses": { "404": {} } }),
            response("404", "application/problem+json", message.clone()),
            json!({ "responses": { "404": { "content": {} } } }),
        ] {
            assert_eq!(codes(&json!({}), &theirs, READS_MESSAGES), [], "{theirs}");
        }
        let sends = "sends: [{ in: header, name: A }]";
        let theirs =
            json!({ "security": [[key("header")]], "parameters": { "header a": required } });
        assert_eq!(codes(&json!({}), &theirs, sends), []);
    }

    #[test]
    fn unsent_properties_are_absent() {
        let open = json!({ "type": "object", "properties": { "a": {} } });
        let read_only = json!({ "properties": { "a": { "readOnly": true } } });
        assert_eq!(
            codes(&body(JSON, open.clone()), &body(JSON, read_only), "{}"),
            [Code::ReadOnly]
        );
        let ours = response("200", JSON, json!({ "required": ["a"] }));
        for property in [json!({ "writeOnly": true }), json!({ "allOf": [{ "writeOnly": true }] })]
        {
            let theirs = json!({ "required": ["a"], "properties": { "a": property } });
            let theirs = response("200", JSON, theirs);
            assert_eq!(codes(&ours, &theirs, "{}"), [Code::Required], "{theirs}");
        }
    }
}
