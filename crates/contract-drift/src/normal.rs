//! The contract of one operation, in a form that does not depend on layout or wording.
//!
//! It keeps the names and the shape of OpenAPI 3.0, into which it brings those of 3.1. References are
//! inlined, and gone is what no call depends on: texts, examples, most extensions, names of
//! components, order, and defaults spelled out.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::parse::parse;

/// Extensions that announce something, and are kept.
pub const ANNOUNCEMENTS: [&str; 3] = ["x-sunset", "x-stability-level", "x-extensible-enum"];

/// An OpenAPI 3.0 or 3.1 document.
pub struct Document {
    root: Value,
    is_3_1: bool,
}

/// An operation of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its `operationId`, or `METHOD PATH` if it has none.
    pub name: String,
    pub method: String,
    pub path: String,
}

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

impl Document {
    /// Reads a JSON or YAML text.
    pub fn parse(text: &str) -> Result<Self> {
        Self::new(parse(text)?)
    }

    pub fn new(root: Value) -> Result<Self> {
        let is_3_1 = match &root["openapi"] {
            Value::String(version) if version.starts_with("3.0.") => false,
            Value::String(version) if version.starts_with("3.1.") => true,
            Value::Null => return Err("not an OpenAPI document (it has no `openapi`)".into()),
            other => return Err(format!("not OpenAPI 3.0 or 3.1 (`openapi` is {other})").into()),
        };
        if is_3_1 && root.get("jsonSchemaDialect").is_some() {
            return Err("`jsonSchemaDialect` may change what its schemas mean".into());
        }
        Ok(Self { root, is_3_1 })
    }

    /// `info.title`, if there is one.
    pub fn title(&self) -> Option<&str> {
        self.root["info"]["title"].as_str()
    }

    /// `info.version`, if there is one.
    pub fn version(&self) -> Option<&str> {
        self.root["info"]["version"].as_str()
    }

    /// Its operations, in the order of their paths.
    pub fn operations(&self) -> Result<Vec<Operation>> {
        let mut operations = Vec::new();
        for (path, item) in self.root["paths"].as_object().into_iter().flatten() {
            let item = self.follow(item).map_err(|e| e.in_(path))?;
            for method in METHODS {
                let Some(operation) = item.get(method) else { continue };
                let name = operation["operationId"].as_str().map(str::to_owned);
                let name = name.unwrap_or_else(|| format!("{method} {path}"));
                operations.push(Operation { name, method: method.into(), path: path.clone() });
            }
        }
        Ok(operations)
    }

    /// The contract of one operation in normal form, or `None` if there is no such operation.
    pub fn contract(&self, method: &str, path: &str) -> Result<Option<Value>> {
        let Some(item) = self.root["paths"].get(path) else { return Ok(None) };
        let item = self.follow(item)?;
        let Some(operation) = item.get(method) else { return Ok(None) };
        let root = &self.root;
        let servers = operation.get("servers").or(item.get("servers")).or(root.get("servers"));

        let mut contract = json!({
            "method": method,
            "path": path,
            "servers": self.servers(servers)?,
            "parameters": self.parameters(&[item.get("parameters"), operation.get("parameters")])?,
            "responses": self.responses(&operation["responses"])?,
        });
        if let Some(security) = operation.get("security").or(root.get("security")) {
            contract["security"] = self.security(security)?;
        }
        if let Some(body) = operation.get("requestBody") {
            contract["requestBody"] = self.part(body)?;
        }
        let announced = object(item)?.iter().filter(|(name, _)| name.starts_with("x-"));
        for (name, value) in object(operation)?.iter().chain(announced) {
            if contract.get(name).is_none() {
                keep(&mut contract, name, value.clone());
            }
        }
        Ok(Some(contract))
    }

    /// What a chain of references leads to.
    fn follow<'a>(&'a self, mut value: &'a Value) -> Result<&'a Value> {
        let mut trail = Vec::new();
        while let Some(reference) = value.get("$ref") {
            value = self.target(reference, &mut trail)?;
        }
        Ok(value)
    }

    /// What a reference leads to, after those of the trail.
    fn target<'a>(&'a self, reference: &'a Value, trail: &mut Vec<&'a str>) -> Result<&'a Value> {
        let reference = reference.as_str().ok_or("a $ref is not a string")?;
        if trail.contains(&reference) {
            return Err(format!("circular reference {reference}").into());
        }
        trail.push(reference);
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        Ok(target.ok_or_else(|| format!("dangling reference {reference}"))?)
    }

    fn responses(&self, responses: &Value) -> Result<Value> {
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
    fn security(&self, security: &Value) -> Result<Value> {
        let mut alternatives = Vec::new();
        for alternative in security.as_array().ok_or("security is not a list")? {
            let mut schemes = Vec::new();
            for (name, scopes) in object(alternative)? {
                let scheme = self.root["components"]["securitySchemes"].get(name);
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
    fn parameters(&self, lists: &[Option<&Value>]) -> Result<Map<String, Value>> {
        let mut parameters = Map::new();
        for list in lists.iter().flatten() {
            let mut own = json!({});
            for parameter in list.as_array().ok_or("parameters is not a list")? {
                let text = |key: &str| {
                    let text = self.follow(parameter)?[key].as_str();
                    text.ok_or_else(|| Error::from(format!("a parameter without `{key}`")))
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
    fn part(&self, part: &Value) -> Result<Value> {
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
    fn schema<'a>(&'a self, schema: &'a Value, outer: &[&'a str]) -> Result<Value> {
        let Some(reference) = schema.get("$ref") else {
            return self.rules(object(schema)?.iter(), outer);
        };
        let mut trail = outer.to_vec();
        let target = self.schema(self.target(reference, &mut trail)?, &trail)?;
        if !self.is_3_1 {
            return Ok(target); // whatever stands beside a reference is ignored
        }
        let beside = object(schema)?.iter().filter(|(name, _)| *name != "$ref");
        let beside = self.rules(beside, outer)?;
        if beside == json!({}) {
            return Ok(target);
        }
        Ok(json!({ "allOf": sorted(&json!([target, beside])) }))
    }

    /// The same for a schema's keywords, without a reference.
    fn rules<'a>(
        &'a self,
        keywords: impl Iterator<Item = (&'a String, &'a Value)>,
        trail: &[&'a str],
    ) -> Result<Value> {
        let list = |value: &'a Value| -> Result<Vec<Value>> {
            let members = value.as_array().ok_or("a list of schemas is not a list")?;
            let members = members.iter().map(|member| self.schema(member, trail));
            let mut members = members.collect::<Result<Vec<_>>>()?;
            members.sort_by_key(Value::to_string);
            Ok(members)
        };
        let mut kept = json!({});
        for (name, value) in keywords {
            let value = match name.as_str() {
                "properties" => {
                    let properties = object(value)?.iter();
                    properties
                        .map(|(name, property)| Ok((name.clone(), self.schema(property, trail)?)))
                        .collect::<Result<Value>>()?
                }
                "items" => self.schema(value, trail)?,
                "additionalProperties" if value.is_object() => self.schema(value, trail)?,
                // A member that says nothing is one too many only here.
                "allOf" => without_repetition(list(value)?.into_iter().filter(|m| *m != json!({}))),
                "anyOf" => without_repetition(list(value)?),
                "oneOf" => Value::Array(list(value)?),
                "required" | "enum" | "x-extensible-enum" => sorted(value),
                _ => value.clone(),
            };
            keep(&mut kept, name, value);
        }
        if let (true, Value::Object(kept)) = (self.is_3_1, &mut kept) {
            in_3_0(kept);
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

/// Brings the keywords of an OpenAPI 3.1 schema to the form that 3.0 has for them. What has none
/// stays, and the rules do not understand it.
fn in_3_0(schema: &mut Map<String, Value>) {
    // These forms mean something in 3.0 alone.
    for keyword in ["nullable", "exclusiveMinimum", "exclusiveMaximum"] {
        if schema.get(keyword) == Some(&json!(true)) {
            schema.insert(keyword.into(), json!("not of OpenAPI 3.1"));
        }
    }
    if !schema.contains_key("enum")
        && let Some(value) = schema.remove("const")
    {
        schema.insert("enum".into(), json!([value]));
    }
    if let Some(Value::Array(types)) = schema.get("type") {
        let (null, others): (Vec<_>, Vec<_>) = types.iter().partition(|kind| **kind == "null");
        if let ([only], is_nullable) = (others.as_slice(), !null.is_empty()) {
            let only = (*only).clone();
            schema.insert("type".into(), only);
            if is_nullable {
                schema.insert("nullable".into(), json!(true));
            }
        }
    }
    if schema.get("type") == Some(&json!("null")) && !schema.contains_key("enum") {
        schema.remove("type");
        schema.insert("enum".into(), json!([null]));
    }
    for (keyword, exclusive, sign) in
        [("minimum", "exclusiveMinimum", 1.0), ("maximum", "exclusiveMaximum", -1.0)]
    {
        let Some(strict) = schema.get(exclusive).and_then(Value::as_f64) else { continue };
        let tighter = |loose: &Value| loose.as_f64().is_some_and(|n| sign * strict >= sign * n);
        if schema.get(keyword).is_none_or(tighter) {
            let bound = schema.insert(exclusive.into(), json!(true)).unwrap_or_default();
            schema.insert(keyword.into(), bound);
        } else {
            schema.remove(exclusive);
        }
    }
    // What is of one schema or null is that schema, nullable.
    for wrapper in ["anyOf", "oneOf"] {
        let Some(Value::Array(members)) = schema.get(wrapper) else { continue };
        let null = json!({ "enum": [null] });
        let others: Vec<_> = members.iter().filter(|member| **member != null).collect();
        if let ([Value::Object(only)], 1, 2) = (others.as_slice(), schema.len(), members.len())
            && only.get("type").is_some_and(Value::is_string)
            && !["allOf", "anyOf", "oneOf", "nullable"].iter().any(|key| only.contains_key(*key))
        {
            let mut whole = only.clone();
            whole.insert("nullable".into(), json!(true));
            if let Some(Value::Array(values)) = whole.get_mut("enum") {
                values.push(Value::Null);
                values.sort_by_key(Value::to_string);
            }
            *schema = whole;
        }
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
        _ => name.starts_with("x-") && !ANNOUNCEMENTS.contains(&name),
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
        Some(other) if *other != value => Err(format!("declares {name} twice, differently").into()),
        _ => {
            map[name] = value;
            Ok(())
        }
    }
}

fn object(value: &Value) -> Result<&Map<String, Value>> {
    Ok(value.as_object().ok_or_else(|| format!("{value} is not an object"))?)
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

pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}
