//! The contract of one operation, in a form that does not depend on layout or wording.
//!
//! It keeps OpenAPI's own names and shape. References are inlined, and gone is what no message
//! depends on: texts, examples, extensions, names of components, order, and defaults spelled out.

use serde_json::{Map, Value, json};

type Result<T> = std::result::Result<T, String>;

/// The contract of `method path` in an OpenAPI 3.0 document; the error says why there is none.
pub fn contract(document: &Value, method: &str, path: &str) -> Result<Value> {
    match document["openapi"].as_str() {
        Some(version) if version.starts_with("3.0.") => {}
        other => return Err(format!("not an OpenAPI 3.0 document (openapi: {other:?})")),
    }
    let doc = Document(document);
    let missing = || format!("lacks the operation {method} {path}");
    let item = doc.follow(document["paths"].get(path).ok_or_else(missing)?)?;
    let operation = item.get(method).ok_or_else(missing)?;
    let servers = operation.get("servers").or(item.get("servers")).or(document.get("servers"));

    let mut contract = json!({
        "method": method,
        "path": path,
        "servers": doc.servers(servers)?,
        "parameters": doc.parameters(&[item.get("parameters"), operation.get("parameters")])?,
        "responses": doc.responses(&operation["responses"])?,
    });
    if let Some(security) = operation.get("security").or(document.get("security")) {
        contract["security"] = doc.security(security)?;
    }
    if let Some(body) = operation.get("requestBody") {
        contract["requestBody"] = doc.part(body)?;
    }
    for (name, value) in object(operation)? {
        if contract.get(name).is_none() {
            keep(&mut contract, name, value.clone());
        }
    }
    Ok(contract)
}

struct Document<'a>(&'a Value);

impl<'a> Document<'a> {
    /// What a chain of references leads to.
    fn follow(&self, value: &'a Value) -> Result<&'a Value> {
        self.follow_from(value, &mut Vec::new())
    }

    /// The same, after the references of the trail.
    fn follow_from(&self, value: &'a Value, trail: &mut Vec<&'a str>) -> Result<&'a Value> {
        let Some(reference) = value.get("$ref") else { return Ok(value) };
        let reference = reference.as_str().ok_or("a $ref is not a string")?;
        if trail.contains(&reference) {
            return Err(format!("circular reference {reference}"));
        }
        trail.push(reference);
        let target = reference.strip_prefix('#').and_then(|pointer| self.0.pointer(pointer));
        self.follow_from(target.ok_or_else(|| format!("dangling reference {reference}"))?, trail)
    }

    fn responses(&self, responses: &'a Value) -> Result<Value> {
        let responses = object(responses)?.iter().filter(|(status, _)| !status.starts_with("x-"));
        responses.map(|(status, response)| Ok((status.clone(), self.part(response)?))).collect()
    }

    fn servers(&self, servers: Option<&Value>) -> Result<Vec<String>> {
        let mut urls = Vec::new();
        for server in servers.and_then(Value::as_array).into_iter().flatten() {
            let mut url = server["url"].as_str().ok_or("a server without url")?.to_owned();
            for (name, variable) in server["variables"].as_object().into_iter().flatten() {
                url = url.replace(
                    &format!("{{{name}}}"),
                    variable["default"].as_str().unwrap_or_default(),
                );
            }
            urls.push(url.trim_end_matches('/').to_owned());
        }
        urls.sort();
        urls.dedup();
        Ok(urls)
    }

    /// The alternatives, each a list of schemes; what a scheme is called does not matter.
    fn security(&self, security: &'a Value) -> Result<Value> {
        let mut alternatives = Vec::new();
        for alternative in security.as_array().ok_or("security is not a list")? {
            let mut schemes = Vec::new();
            for (name, scopes) in object(alternative)? {
                let scheme = self.0["components"]["securitySchemes"].get(name);
                let scheme =
                    self.follow(scheme.ok_or(format!("dangling security scheme {name}"))?)?;
                let mut kept = json!({ "scopes": sorted(scopes) });
                for key in ["type", "scheme", "in", "name"] {
                    if let Some(text) = scheme[key].as_str() {
                        kept[key] = json!(text.to_lowercase());
                    }
                }
                schemes.push(kept);
            }
            alternatives.push(sorted(&Value::Array(schemes)));
        }
        Ok(sorted(&Value::Array(alternatives)))
    }

    /// By place and name; the operation's own replace those of its path.
    fn parameters(&self, lists: &[Option<&'a Value>]) -> Result<Map<String, Value>> {
        let mut parameters = Map::new();
        for list in lists.iter().flatten() {
            let mut own = json!({});
            for parameter in list.as_array().ok_or("parameters is not a list")? {
                let text = |key: &str| {
                    let text = self.follow(parameter)?[key].as_str();
                    text.ok_or(format!("a parameter without `{key}`"))
                };
                let (place, name) = (text("in")?, text("name")?);
                let name = if place == "header" { name.to_lowercase() } else { name.to_owned() };
                // OpenAPI ignores these as parameters: they are declared elsewhere.
                if place != "header"
                    || !["accept", "authorization", "content-type"].contains(&&*name)
                {
                    insert(&mut own, format!("{place} {name}"), self.part(parameter)?)?;
                }
            }
            parameters.extend(object(&own)?.clone());
        }
        Ok(parameters)
    }

    /// A parameter, a request body, a response, or what these consist of.
    fn part(&self, part: &'a Value) -> Result<Value> {
        let mut kept = json!({});
        for (key, value) in object(self.follow(part)?)? {
            match key.as_str() {
                "in" | "name" => {}
                "schema" => kept["schema"] = self.schema(value, &[])?,
                "content" | "headers" => {
                    for (name, value) in object(value)? {
                        // A media type is the same one with any parameters (`charset`).
                        let name = name.split(';').next().unwrap_or_default().trim().to_lowercase();
                        insert(&mut kept[key], name, self.part(value)?)?;
                    }
                }
                _ => keep(&mut kept, key, value.clone()),
            }
        }
        Ok(kept)
    }

    /// A schema with everything that it refers to; `outer` are the references that led to it.
    fn schema(&self, schema: &'a Value, outer: &[&'a str]) -> Result<Value> {
        let mut trail = outer.to_vec();
        let schema = object(self.follow_from(schema, &mut trail)?)?;
        let list = |value: &'a Value| -> Result<Vec<Value>> {
            let members = value.as_array().ok_or("a list of schemas is not a list")?;
            let members = members.iter().map(|member| self.schema(member, &trail));
            let mut members = members.collect::<Result<Vec<_>>>()?;
            members.sort_by_key(Value::to_string);
            Ok(members)
        };
        let mut kept = json!({});
        for (name, value) in schema {
            let value = match name.as_str() {
                "properties" => {
                    let properties = object(value)?.iter();
                    properties
                        .map(|(name, property)| Ok((name.clone(), self.schema(property, &trail)?)))
                        .collect::<Result<Value>>()?
                }
                "items" => self.schema(value, &trail)?,
                "additionalProperties" if value.is_object() => self.schema(value, &trail)?,
                // A member that says nothing is one too many only here.
                "allOf" => without_repetition(list(value)?.into_iter().filter(|m| *m != json!({}))),
                "anyOf" => without_repetition(list(value)?),
                "oneOf" => Value::Array(list(value)?),
                "required" | "enum" => sorted(value),
                _ => value.clone(),
            };
            keep(&mut kept, name, value);
        }
        let texts =
            kept["enum"].as_array().is_some_and(|values| values.iter().all(Value::is_string));
        if texts && kept.get("type").is_none() {
            kept["type"] = json!("string");
        }
        // A wrapper around a single schema adds nothing to it.
        for wrapper in ["allOf", "anyOf", "oneOf"] {
            if let Some([only]) = kept[wrapper].as_array().map(Vec::as_slice)
                && object(&kept)?
                    .iter()
                    .all(|(name, value)| name == wrapper || only.get(name) == Some(value))
            {
                return Ok(only.clone());
            }
        }
        Ok(kept)
    }
}

/// Keeps a keyword, unless it is wording or says what holds without it.
fn keep(kept: &mut Value, name: &str, value: Value) {
    let says_nothing = match name {
        "title" | "summary" | "description" | "example" | "examples" | "externalDocs" | "xml"
        | "operationId" | "tags" => true,
        "additionalProperties" => value == json!(true) || value == json!({}),
        "nullable" | "deprecated" | "readOnly" | "writeOnly" | "uniqueItems"
        | "exclusiveMinimum" | "exclusiveMaximum" | "explode" | "allowReserved"
        | "allowEmptyValue" => value == json!(false),
        "required" => value == json!(false) || value == json!([]),
        "minLength" | "minItems" | "minProperties" => value.as_f64() == Some(0.0),
        "properties" | "headers" | "links" | "callbacks" | "encoding" => value == json!({}),
        "allOf" => value == json!([]),
        "style" => value == "simple",
        _ => name.starts_with("x-"),
    };
    if !says_nothing {
        kept[name] = match value.as_f64() {
            Some(number) if number.fract() == 0.0 && number.abs() < 1e15 => json!(number as i64),
            _ => value,
        };
    }
}

/// Of two things with the same name, only one could be kept.
fn insert(map: &mut Value, name: String, value: Value) -> Result<()> {
    match map.get(&name) {
        Some(other) if *other != value => Err(format!("declares {name} twice, differently")),
        _ => {
            map[name] = value;
            Ok(())
        }
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>> {
    value.as_object().ok_or_else(|| format!("{value} is not an object"))
}

/// A list without order and repetition; anything else as it is.
fn sorted(list: &Value) -> Value {
    let Value::Array(items) = list else { return list.clone() };
    let mut items = items.clone();
    items.sort_by_key(Value::to_string);
    without_repetition(items)
}

fn without_repetition(sorted: impl IntoIterator<Item = Value>) -> Value {
    let mut items: Vec<_> = sorted.into_iter().collect();
    items.dedup();
    Value::Array(items)
}
