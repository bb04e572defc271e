//! The contract of one operation, in a form that does not depend on layout or wording.
//!
//! It has the names and the shape of OpenAPI 3.0, also for documents of 3.1. References are
//! inlined. What no call depends on is removed: texts, examples, most extensions, names of components,
//! order, and explicit defaults.
//!
//! Only a schema that contains itself keeps its name: it is in `definitions`, and references to it
//! stay.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::circular::circular;
use crate::error::{Error, Result};
use crate::need::{Need, Side};
use crate::openapi_3_1::in_3_0;
use crate::parse::parse;
use crate::pins;
use crate::schema::kind_of;
use crate::url::{names_in, plain_url, pointer_of, template};

/// Extensions that announce something, and are kept.
pub const ANNOUNCEMENTS: [&str; 3] = ["x-sunset", "x-stability-level", "x-extensible-enum"];

/// An OpenAPI 3.0 or 3.1 document.
pub struct Document {
    root: Value,
    /// The text that it was read from.
    text: Option<String>,
    is_3_1: bool,
    /// The pointers of the schemas that contain themselves.
    circular: BTreeSet<String>,
}

/// An operation of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its `operationId`, or `METHOD PATH` if it has none.
    pub name: String,
    pub method: String,
    pub path: String,
}

const DIALECTS: [&str; 2] = [
    "https://spec.openapis.org/oas/3.1/dialect/base",
    "https://json-schema.org/draft/2020-12/schema",
];

/// The most URLs for one server with variables. Real documents have fewer.
const MAX_SERVERS: usize = 10_000;

/// The most schemas of an operation, with all that they refer to.
const MAX_SCHEMAS: usize = 200_000;

/// The deepest nesting of schemas, also through references. Each level takes some of the stack.
const MAX_DEPTH: usize = 100;

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

impl Document {
    /// Reads a JSON or YAML text.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim_start_matches('\u{feff}');
        Ok(Self { text: Some(text.to_owned()), ..Self::new(parse(text)?)? })
    }

    pub fn new(root: Value) -> Result<Self> {
        if pins::is_pin(&root) {
            let text = "a pin, not an OpenAPI document: pass its folder with --pins";
            return Err(text.into());
        }
        let is_3_1 = match &root["openapi"] {
            Value::String(version) if version.starts_with("3.0.") => false,
            Value::String(version) if version.starts_with("3.1.") => true,
            Value::Null => return Err("not an OpenAPI document (it has no `openapi`)".into()),
            other => return Err(format!("not OpenAPI 3.0 or 3.1 (`openapi` is {other})").into()),
        };
        let dialect = root.get("jsonSchemaDialect");
        if is_3_1 && dialect.is_some_and(|dialect| !DIALECTS.iter().any(|known| dialect == known)) {
            return Err("`jsonSchemaDialect` may change what its schemas mean".into());
        }
        let document = Self { circular: circular(&root), root, text: None, is_3_1 };
        let items =
            document.paths()?.filter(|(path, item)| path.starts_with('/') && !item.is_null());
        for (path, item) in items {
            object(item).map_err(|e| e.in_(path))?;
        }
        Ok(document)
    }

    /// The normal form of a schema on its own.
    pub(crate) fn schema_in_normal_form(schema: &Value) -> Result<Value> {
        let circular = BTreeSet::new();
        let document = Self { root: Value::Null, text: None, is_3_1: false, circular };
        document.schema(schema, &Reading::default(), Need::All, 0)
    }

    pub(crate) fn root(&self) -> &Value {
        &self.root
    }

    pub(crate) fn text(&self) -> Option<&str> {
        self.text.as_deref()
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
        for (path, item) in self.paths()? {
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
    pub fn contract(&self, operation: &Operation) -> Result<Option<Value>> {
        let Operation { method, path, .. } = operation;
        let Some((item, operation)) = self.operation(method, path)? else { return Ok(None) };
        self.normal(method, path, item, operation, None).map(Some)
    }

    /// The contract of the operation that serves the requests of `ours`, a contract in normal form.
    /// Its path and the names of its path parameters are those of `ours`. With `partly`, properties
    /// that do not matter to `ours` have no schema.
    pub(crate) fn matching(&self, ours: &Value, partly: bool) -> Result<Option<Value>> {
        let [method, path] = ["method", "path"].map(|key| ours[key].as_str().unwrap_or_default());
        let Some(their_path) = self.path_of(ours)? else { return Ok(None) };
        let Some((item, operation)) = self.operation(method, &their_path)? else { return Ok(None) };
        let needed = partly.then_some(ours);
        let mut contract = self.normal(method, &their_path, item, operation, needed)?;
        let renamed = names_in(&their_path).into_iter().zip(names_in(path));
        let parameters = contract["parameters"].as_object_mut().map(std::mem::take);
        let parameters = parameters.into_iter().flatten().map(|(key, parameter)| {
            let new = renamed.clone().find(|(theirs, _)| key == format!("path {theirs}"));
            (new.map_or(key, |(_, ours)| format!("path {ours}")), parameter)
        });
        contract["parameters"] = parameters.collect();
        if template(path) != template(&their_path) {
            let moved = |server: &Value| {
                let server = server.as_str().unwrap_or_default();
                let url = template(&format!("{server}{their_path}"));
                url.strip_suffix(&template(path)).unwrap_or(server).to_owned()
            };
            contract["servers"] = list(&contract["servers"]).map(moved).collect();
        }
        contract["path"] = path.into();
        Ok(Some(contract))
    }

    /// Their path for our operation. The names of its parameters do not matter, and its beginning can be in
    /// a server's URL.
    pub(crate) fn path_of(&self, ours: &Value) -> Result<Option<String>> {
        let [method, path] = ["method", "path"].map(|key| ours[key].as_str().unwrap_or_default());
        if self.operation(method, path)?.is_some() {
            return Ok(Some(path.into()));
        }
        let mut moved = None;
        for (their_path, _) in self.paths()? {
            let same_template = template(their_path) == template(path);
            let ends_alike = template(path).ends_with(&template(their_path))
                || template(their_path).ends_with(&template(path));
            if !same_template && !ends_alike {
                continue;
            }
            let Some((item, operation)) = self.operation(method, their_path)? else { continue };
            if same_template {
                return Ok(Some(their_path.clone()));
            }
            let servers = self.servers(self.own("servers", item, operation))?;
            let urls: Vec<_> =
                servers.iter().map(|s| template(&format!("{s}{their_path}"))).collect();
            let is_ours = |server: &Value| {
                let url = template(&format!("{}{path}", server.as_str().unwrap_or_default()));
                urls.contains(&url)
            };
            if list(&ours["servers"]).any(is_ours) {
                moved = Some(their_path.clone());
            }
        }
        Ok(moved)
    }

    fn paths(&self) -> Result<impl Iterator<Item = (&String, &Value)>> {
        if let Some(paths) = self.root.get("paths") {
            object(paths).map_err(|_| "`paths` is not an object")?;
        }
        Ok(entries(&self.root["paths"]))
    }

    /// An operation, after the path item that contains it.
    fn operation(&self, method: &str, path: &str) -> Result<Option<(&Value, &Value)>> {
        let Some(item) = self.root["paths"].get(path) else { return Ok(None) };
        let item = self.follow(item)?;
        Ok(item.get(method).map(|operation| (item, operation)))
    }

    /// The value of a key in an operation, else in its path, else in the document.
    fn own<'a>(&'a self, key: &str, item: &'a Value, operation: &'a Value) -> Option<&'a Value> {
        operation.get(key).or(item.get(key)).or(self.root.get(key))
    }

    fn normal(
        &self,
        method: &str,
        path: &str,
        item: &Value,
        operation: &Value,
        ours: Option<&Value>,
    ) -> Result<Value> {
        let reading = Reading::default();
        let parameters = [item.get("parameters"), operation.get("parameters")];
        let mut contract = json!({
            "method": method,
            "path": path,
            "servers": self.servers(self.own("servers", item, operation))?,
            "parameters": self.parameters(&parameters, &reading)?,
            "responses": self.responses(&operation["responses"], ours, &reading)?,
        });
        if let Some(security) = operation.get("security").or(self.root.get("security")) {
            contract["security"] = self.security(security)?;
        }
        if let Some(body) = operation.get("requestBody") {
            let need =
                ours.map_or(Need::All, |ours| Need::Part(&ours["requestBody"], Side::Request));
            contract["requestBody"] = self.part(body, need, &reading)?;
        }
        let definitions = self.definitions(&reading, ours.is_some())?;
        if !definitions.is_empty() {
            contract["definitions"] = definitions.into();
        }
        let announced = object(item)?.iter().filter(|(name, _)| name.starts_with("x-"));
        for (name, value) in object(operation)?.iter().chain(announced) {
            if contract.get(name).is_none() {
                keep(&mut contract, name, value.clone());
            }
        }
        Ok(contract)
    }

    /// The schemas that contain themselves and were referred to. With `partly`, unreadable ones are
    /// left out, since they may not be needed.
    fn definitions(&self, reading: &Reading, partly: bool) -> Result<Map<String, Value>> {
        let mut definitions = Map::new();
        loop {
            let next = reading.circular.borrow_mut().pop_first();
            let Some(pointer) = next else { return Ok(definitions) };
            let reference = format!("#{pointer}");
            if definitions.contains_key(&reference) {
                continue;
            }
            let target = self.root.pointer(&pointer);
            match self.schema(target.unwrap_or(&Value::Null), reading, Need::All, 0) {
                Err(cause) if partly && !cause.is_limit() => {}
                schema => drop(definitions.insert(reference, schema?)),
            }
        }
    }

    /// The target of a chain of references.
    pub(crate) fn follow<'a>(&'a self, value: &'a Value) -> Result<&'a Value> {
        Ok(self.end_of(value, |_| true)?.1)
    }

    /// The last pointer of a chain of references, and what it leads to. With a condition, the chain
    /// ends at a value that does not meet it.
    fn end_of<'a>(
        &'a self,
        mut value: &'a Value,
        is_link: impl Fn(&Value) -> bool,
    ) -> Result<(Option<String>, &'a Value)> {
        let mut seen = BTreeSet::new();
        let mut last = None;
        while let Some(reference) = value.get("$ref").filter(|_| last.is_none() || is_link(value)) {
            let reference = reference.as_str().ok_or("a $ref is not a string")?;
            if !seen.insert(reference) {
                return Err(format!("circular reference {reference}").into());
            }
            last = pointer_of(reference);
            let target = last.as_ref().and_then(|pointer| self.root.pointer(pointer));
            value = target.ok_or_else(|| format!("dangling reference {reference}"))?;
        }
        Ok((last, value))
    }

    fn responses(
        &self,
        responses: &Value,
        ours: Option<&Value>,
        reading: &Reading,
    ) -> Result<Value> {
        let all = object(responses)?;
        let mut kept = json!({});
        for (status, response) in all.iter().filter(|(status, _)| !status.starts_with("x-")) {
            let response = self.follow(response)?;
            // A `default` may repeat a success. Other errors are read as a whole.
            let read_as = match status.as_str() {
                "default" => all.iter().find(|(_, other)| self.follow(other) == Ok(response)),
                status if status.starts_with(['4', '5']) => None,
                _ => Some((status, response)),
            };
            let ours = ours
                .zip(read_as)
                .and_then(|(ours, (as_status, _))| ours["responses"].get(as_status));
            let need = ours.map_or(Need::All, |ours| Need::Part(ours, Side::Response));
            kept[status] = self.part(response, need, reading)?;
        }
        Ok(kept)
    }

    /// The URLs, with every known value of their variables.
    fn servers(&self, servers: Option<&Value>) -> Result<Vec<String>> {
        let mut urls = Vec::new();
        let servers = servers.map(|servers| servers.as_array().ok_or("servers is not a list"));
        for server in servers.transpose()?.into_iter().flatten() {
            let url = server["url"].as_str().ok_or("a server without url")?;
            let mut expanded = vec![url.to_owned()];
            for (name, variable) in entries(&server["variables"]) {
                let values = list(&variable["enum"]).chain(variable.get("default"));
                let text = |value: &Value| match value {
                    Value::String(text) => Some(text.clone()),
                    Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
                    _ => None,
                };
                let values = values.map(text).collect::<Option<BTreeSet<_>>>();
                let values = values.filter(|values| !values.is_empty());
                let values =
                    values.ok_or_else(|| format!("the server variable {name} has no default"))?;
                if expanded.len() * values.len() > MAX_SERVERS {
                    return Err(Error::limit(format!("the server {url} has too many values")));
                }
                let place = format!("{{{name}}}");
                let with = |url: &String| -> Vec<_> {
                    values.iter().map(|value| url.replace(&place, value)).collect()
                };
                expanded = expanded.iter().flat_map(with).collect();
            }
            urls.extend(expanded.iter().map(|url| plain_url(url)));
        }
        urls.sort();
        urls.dedup();
        Ok(urls)
    }

    /// The alternatives, each a list of schemes. The names of schemes do not matter.
    fn security(&self, security: &Value) -> Result<Value> {
        let mut alternatives = Vec::new();
        for alternative in security.as_array().ok_or("security is not a list")? {
            let mut schemes = Vec::new();
            for (name, scopes) in object(alternative)? {
                let scheme = self.root["components"]["securitySchemes"].get(name);
                let scheme =
                    self.follow(scheme.ok_or(format!("dangling security scheme {name}"))?)?;
                let mut kept = json!({ "scopes": sorted(scopes) });
                for key in ["type", "scheme", "in", "name", "openIdConnectUrl"] {
                    let Some(text) = scheme[key].as_str() else { continue };
                    let has_case =
                        key == "openIdConnectUrl" || (key == "name" && scheme["in"] != "header");
                    kept[key] = if has_case { text.into() } else { text.to_lowercase().into() };
                }
                for (flow, about) in entries(&scheme["flows"]).filter(|(_, flow)| flow.is_object())
                {
                    let urls = entries(about).filter(|(key, _)| key.ends_with("Url"));
                    let urls = urls.map(|(key, url)| (key.clone(), url.clone()));
                    kept["flows"][flow] = urls.collect();
                }
                schemes.push(kept);
            }
            alternatives.push(sorted(&Value::Array(schemes)));
        }
        Ok(sorted(&Value::Array(alternatives)))
    }

    /// The parameters by place and name. Those of the operation replace those of its path.
    fn parameters(
        &self,
        lists: &[Option<&Value>],
        reading: &Reading,
    ) -> Result<Map<String, Value>> {
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
                    let mut parameter = self.part(parameter, Need::All, reading)?;
                    without_default_style(place, &mut parameter);
                    insert(&mut own, format!("{place} {name}"), parameter)?;
                }
            }
            parameters.extend(object(&own)?.clone());
        }
        Ok(parameters)
    }

    /// A parameter, a request body, a response, or what these consist of.
    fn part(&self, part: &Value, need: Need, reading: &Reading) -> Result<Value> {
        let mut kept = json!({});
        for (key, value) in object(self.follow(part)?)? {
            match key.as_str() {
                "in" | "name" => {}
                "schema" => {
                    kept["schema"] = self.schema(value, reading, need.of_part("schema"), 0)?;
                }
                "content" | "headers" => {
                    for (name, value) in object(value)? {
                        // The parameters of a media type (`charset`) do not matter.
                        let name = name.split(';').next().unwrap_or_default().trim().to_lowercase();
                        let need = match key.as_str() {
                            "content" => need.of_part("content").of_part(&name),
                            _ => Need::All,
                        };
                        insert(&mut kept[key], name, self.part(value, need, reading)?)?;
                    }
                }
                _ => keep(&mut kept, key, value.clone()),
            }
        }
        Ok(kept)
    }

    /// A schema with everything that it refers to. A reference to a schema that contains itself
    /// stays.
    fn schema(&self, schema: &Value, reading: &Reading, need: Need, depth: usize) -> Result<Value> {
        reading.size.set(reading.size.get() + 1);
        if reading.size.get() > MAX_SCHEMAS {
            return Err(Error::limit("its schemas are too large to be compared"));
        }
        if depth > MAX_DEPTH {
            return Err(Error::limit("its schemas are nested too deeply to be compared"));
        }
        match schema {
            Value::Bool(allows) if self.is_3_1 => {
                return Ok(if *allows { json!({}) } else { schema.clone() });
            }
            _ if matches!(need, Need::Nothing) => return Ok(self.marks(schema)),
            _ => {}
        }
        let keywords = object(schema).map_err(|e| e.in_("a schema"))?;
        let mut members = Vec::new();
        if keywords.contains_key("$ref") {
            self.follow(schema)?;
            let is_link = |value: &Value| self.has_reference_only(value);
            let target = match self.end_of(schema, is_link)? {
                (Some(pointer), _) if self.circular.contains(&pointer) => {
                    let reference = json!({ "$ref": format!("#{pointer}") });
                    reading.circular.borrow_mut().insert(pointer);
                    reference
                }
                (_, target) => self.schema(target, reading, need, depth + 1)?,
            };
            if self.has_reference_only(schema) {
                return Ok(target);
            }
            members.push(target);
        }
        let is_own = |name: &str| name != "$ref" && !(self.is_3_1 && name == UNEVALUATED);
        let own = keywords.iter().filter(|(name, _)| is_own(name));
        let mut own = self.rules(own, reading, need, depth)?;
        // The keywords next to a reference that stays would be ignored.
        if own.get("$ref").is_some() {
            members.push(std::mem::replace(&mut own, json!({})));
        }
        if let Some(value) = keywords.get(UNEVALUATED).filter(|_| self.is_3_1) {
            match self.evaluated(schema).filter(|_| *value == json!(false)) {
                None => own[UNEVALUATED] = value.clone(),
                Some(evaluated) if evaluated.is_all => {}
                Some(_) if members.is_empty() && own["allOf"].is_null() => {
                    own["additionalProperties"] = false.into();
                }
                Some(evaluated) => members.push(evaluated.closed()),
            }
        }
        if members.is_empty() {
            return Ok(own);
        }
        members.extend(Some(own).filter(|own| *own != json!({})));
        match members.as_slice() {
            [only] => Ok(only.clone()),
            _ => Ok(json!({ "allOf": sorted(&members.into()) })),
        }
    }

    /// Whether a schema is only a reference: in 3.0, the keywords next to one are ignored.
    fn has_reference_only(&self, schema: &Value) -> bool {
        let keys = schema.as_object().map_or(0, Map::len);
        schema.get("$ref").is_some() && (!self.is_3_1 || keys == 1)
    }

    /// The properties that a schema of 3.1 has rules for. `None` if that depends on the value.
    fn evaluated(&self, schema: &Value) -> Option<Evaluated> {
        let conditional =
            ["anyOf", "oneOf", "if", "then", "else", "dependentSchemas", "$dynamicRef"];
        let mut evaluated = Evaluated::default();
        for member in self.members(schema) {
            if conditional.iter().any(|key| member.get(*key).is_some()) {
                return None;
            }
            let has_rest = member.get(UNEVALUATED).is_some() && !std::ptr::eq(member, schema);
            evaluated.is_all |= has_rest || member.get("additionalProperties").is_some();
            for (key, names) in [
                ("properties", &mut evaluated.names),
                ("patternProperties", &mut evaluated.patterns),
            ] {
                names.extend(entries(&member[key]).map(|(name, _)| name.clone()));
            }
        }
        Some(evaluated)
    }

    /// The marks of a schema that is not needed. They say that a property is never sent.
    fn marks(&self, schema: &Value) -> Value {
        let members = self.members(schema);
        let is_marked = |mark: &&str| members.iter().any(|member| member[*mark] == true);
        let marks = ["readOnly", "writeOnly"].into_iter().filter(is_marked);
        marks.map(|mark| (mark.to_owned(), Value::Bool(true))).collect()
    }

    /// A schema and the members of its `allOf`, with what they refer to. All of these apply together.
    fn members<'a>(&'a self, schema: &'a Value) -> Vec<&'a Value> {
        let mut found = Vec::new();
        let mut open = vec![schema];
        let mut seen = BTreeSet::new();
        while let Some(schema) = open.pop() {
            let reference = schema["$ref"].as_str();
            if reference.is_none() || self.is_3_1 {
                found.push(schema);
                open.extend(list(&schema["allOf"]));
            }
            if let Some(pointer) = reference.and_then(pointer_of)
                && seen.insert(pointer.clone())
            {
                open.extend(self.root.pointer(&pointer));
            }
        }
        found
    }

    /// The normal form of a schema's keywords, without a reference.
    fn rules<'a>(
        &'a self,
        keywords: impl Iterator<Item = (&'a String, &'a Value)>,
        reading: &Reading,
        need: Need,
        depth: usize,
    ) -> Result<Value> {
        let depth = depth + 1;
        let list = |value: &'a Value| -> Result<Vec<Value>> {
            let members = value.as_array().ok_or("a list of schemas is not a list")?;
            let members = members.iter().map(|member| self.schema(member, reading, need, depth));
            let mut members = members.collect::<Result<Vec<_>>>()?;
            members.sort_by_key(Value::to_string);
            Ok(members)
        };
        let is_schema = |value: &Value| value.is_object() || (value.is_boolean() && self.is_3_1);
        let mut kept = json!({});
        for (name, value) in keywords {
            let value = match name.as_str() {
                // Definitions are inlined where they are used.
                "$comment" | "$defs" | "definitions" if self.is_3_1 => continue,
                "$schema" if self.is_3_1 && DIALECTS.iter().any(|known| value == known) => continue,
                "properties" => {
                    let properties = object(value)?.iter().map(|(name, property)| {
                        Ok((
                            name.clone(),
                            self.schema(property, reading, need.of_property(name), depth)?,
                        ))
                    });
                    properties.collect::<Result<Value>>()?
                }
                "patternProperties" if self.is_3_1 => {
                    let patterns = object(value)?.iter().map(|(pattern, property)| {
                        Ok((pattern.clone(), self.schema(property, reading, Need::All, depth)?))
                    });
                    patterns.collect::<Result<Value>>()?
                }
                "items" if is_schema(value) => {
                    self.schema(value, reading, need.of_items(), depth)?
                }
                "additionalProperties" if is_schema(value) => {
                    self.schema(value, reading, need.of_rest(), depth)?
                }
                // An empty member has no effect here. In `anyOf` and `oneOf` it has one.
                "allOf" => without_repetition(list(value)?.into_iter().filter(|m| *m != json!({}))),
                "anyOf" => without_repetition(list(value)?),
                "oneOf" => Value::Array(list(value)?),
                "enum" => sorted(&self::list(value).map(plain_number).collect()),
                "required" | "x-extensible-enum" => sorted(value),
                _ => value.clone(),
            };
            keep(&mut kept, name, value);
        }
        if let (true, Value::Object(kept)) = (self.is_3_1, &mut kept) {
            in_3_0(kept);
        }
        if let (None, Some(kind)) = (kept.get("type"), only_kind(&kept["enum"])) {
            kept["type"] = json!(kind);
            if self::list(&kept["enum"]).any(Value::is_null) {
                kept["nullable"] = json!(true);
            }
        }
        // A wrapper around a single schema has no effect.
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

const UNEVALUATED: &str = "unevaluatedProperties";

/// The state while an operation is read.
#[derive(Default)]
struct Reading {
    /// The number of schemas.
    size: Cell<usize>,
    /// The pointers of references that stay, whose targets are still to be read.
    circular: RefCell<BTreeSet<String>>,
}

/// The properties that a schema has rules for.
#[derive(Default)]
struct Evaluated {
    is_all: bool,
    names: BTreeSet<String>,
    patterns: BTreeSet<String>,
}

impl Evaluated {
    /// A schema that forbids every other property.
    fn closed(self) -> Value {
        let any = |names: BTreeSet<String>| -> Value {
            names.into_iter().map(|name| (name, json!({}))).collect()
        };
        let mut closed = json!({ "additionalProperties": false });
        for (key, names) in [("properties", self.names), ("patternProperties", self.patterns)] {
            if !names.is_empty() {
                closed[key] = any(names);
            }
        }
        closed
    }
}

/// The type that all these values have, except null.
fn only_kind(values: &Value) -> Option<&'static str> {
    let mut kinds: Vec<_> = list(values).filter_map(kind_of).collect();
    kinds.sort();
    kinds.dedup();
    match kinds.as_slice() {
        [only] => Some(only),
        ["integer", "number"] => Some("number"),
        _ => None,
    }
}

/// `1` for `1.0`.
fn plain_number(value: &Value) -> Value {
    match value.as_f64().filter(|_| value.is_f64()) {
        // Every integer in this range fits into `i64`.
        Some(number) if number.fract() == 0.0 && number.abs() < 9e18 => json!(number as i64),
        _ => value.clone(),
    }
}

/// Removes the style of a parameter if it is the default at its place.
fn without_default_style(place: &str, parameter: &mut Value) {
    let is_form = ["query", "cookie"].contains(&place);
    let default = if is_form { "form" } else { "simple" };
    let Some(keys) = parameter.as_object_mut() else { return };
    if keys.get("style").is_some_and(|value| value == default) {
        keys.remove("style");
    }
    let style = keys.get("style").map_or(Some(default), Value::as_str);
    // `explode` matters to lists and objects; in the style `simple` only to objects; in `deepObject` to
    // neither.
    let kind = keys.get("schema").and_then(|schema| schema["type"].as_str()).unwrap_or_default();
    let is_simple = style == Some("simple");
    let has_parts = ["", "object"].contains(&kind) || (kind == "array" && !is_simple);
    let is_default = |value: &Value| *value == (style == Some("form"));
    if !has_parts || style == Some("deepObject") || keys.get("explode").is_some_and(is_default) {
        keys.remove("explode");
    }
    for key in ["allowReserved", "allowEmptyValue"] {
        if keys.get(key).is_some_and(|value| value == false) {
            keys.remove(key);
        }
    }
}

/// Keeps a keyword, unless it is wording or states the default.
fn keep(kept: &mut Value, name: &str, value: Value) {
    let says_nothing = match name {
        "title" | "summary" | "description" | "example" | "examples" | "externalDocs" | "xml"
        | "operationId" | "tags" => true,
        "additionalProperties" => value == json!(true) || value == json!({}),
        "nullable" | "deprecated" | "readOnly" | "writeOnly" | "uniqueItems"
        | "exclusiveMinimum" | "exclusiveMaximum" => value == json!(false),
        "required" => value == json!(false) || value == json!([]),
        "minLength" | "minItems" | "minProperties" => value.as_f64() == Some(0.0),
        "properties" | "patternProperties" | "headers" | "links" | "callbacks" | "encoding" => {
            value == json!({})
        }
        "allOf" => value == json!([]),
        _ => name.starts_with("x-") && !ANNOUNCEMENTS.contains(&name),
    };
    if !says_nothing {
        kept[name] = plain_number(&value);
    }
}

/// Fails if the name has another value already, because only one could be kept.
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

/// A list, sorted and without repetition; any other value as it is.
pub fn sorted(list: &Value) -> Value {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn document(version: &str, more: Value) -> Document {
        let mut root = json!({ "openapi": version });
        root.as_object_mut().unwrap().extend(object(&more).unwrap().clone());
        Document::new(root).unwrap()
    }

    fn schema_of(version: &str, schema: Value, definitions: Value) -> Result<Value> {
        let document = document(version, json!({ "definitions": definitions }));
        document.schema(&schema, &Reading::default(), Need::All, 0)
    }

    #[test]
    fn schemas_have_a_normal_form() {
        struct Case {
            schema: Value,
            normal: Value,
        }
        let cases = [
            Case { schema: json!({ "description": "x", "x-note": 1 }), normal: json!({}) },
            Case {
                schema: json!({ "$ref": "#/definitions/a%20b" }),
                normal: json!({ "type": "string" }),
            },
            Case {
                schema: json!({ "$ref": "#/definitions/a%20b", "maxLength": 1 }),
                normal: json!({ "allOf": [{ "maxLength": 1 }, { "type": "string" }] }),
            },
            Case {
                schema: json!({ "$ref": "#/definitions/tree" }),
                normal: json!({ "$ref": "#/definitions/tree" }),
            },
            Case { schema: json!(true), normal: json!({}) },
            Case { schema: json!(false), normal: json!(false) },
            Case {
                schema: json!({ "const": 1.0 }),
                normal: json!({ "type": "integer", "enum": [1] }),
            },
            Case {
                schema: json!({ "enum": ["a", null] }),
                normal: json!({ "type": "string", "nullable": true, "enum": ["a", null] }),
            },
            Case { schema: json!({ "enum": ["a", 1] }), normal: json!({ "enum": ["a", 1] }) },
            Case {
                schema: json!({ "type": ["string", "null"] }),
                normal: json!({ "type": "string", "nullable": true }),
            },
            Case {
                schema: json!({ "type": ["string", "number"], "maxLength": 1 }),
                normal: json!({ "anyOf": [
                    { "type": "number", "maxLength": 1 },
                    { "type": "string", "maxLength": 1 },
                ] }),
            },
            Case {
                schema: json!({ "unevaluatedProperties": false }),
                normal: json!({ "additionalProperties": false }),
            },
            Case {
                schema: json!({ "unevaluatedProperties": false, "additionalProperties": true }),
                normal: json!({}),
            },
            Case {
                schema: json!({ "unevaluatedProperties": false, "allOf": [{ "if": {} }] }),
                normal: json!({ "unevaluatedProperties": false, "if": {} }),
            },
            Case {
                schema: json!({
                    "$ref": "#/definitions/tree",
                    "unevaluatedProperties": false,
                }),
                normal: json!({ "allOf": [
                    { "$ref": "#/definitions/tree" },
                    { "additionalProperties": false },
                ] }),
            },
            Case {
                schema: json!({ "$comment": "x", "$defs": { "a": { "$ref": "#/nowhere" } } }),
                normal: json!({}),
            },
        ];
        let definitions = json!({
            "a b": { "type": "string" },
            "tree": { "items": { "$ref": "#/definitions/tree" } },
        });
        for Case { schema, normal } in cases {
            assert_eq!(
                schema_of("3.1.0", schema.clone(), definitions.clone()),
                Ok(normal),
                "{schema}"
            );
        }
    }

    #[test]
    fn reference_that_leads_nowhere_is_an_error() {
        let definitions = json!({
            "a": { "$ref": "#/definitions/b" },
            "b": { "$ref": "#/definitions/a" },
        });
        for name in ["a", "c"] {
            let schema = json!({ "$ref": format!("#/definitions/{name}") });
            assert!(schema_of("3.0.0", schema, definitions.clone()).is_err(), "{name}");
        }
    }

    #[test]
    fn schemas_beyond_a_limit_are_an_error() {
        let reference = |n: usize| json!({ "$ref": format!("#/definitions/{n}") });
        let error = |schema: &dyn Fn(usize) -> Value| {
            let definitions = (0..=1000).map(|n| (n.to_string(), schema(n)));
            schema_of("3.0.0", reference(0), definitions.collect()).unwrap_err()
        };
        let wide = |n| json!({ "properties": { "a": reference(n + 1), "b": reference(n + 1) } });
        // The reference at the end is dangling, but is never followed.
        let large = error(&|n| if n < 20 { wide(n) } else { json!({}) });
        let deep = error(&|n| json!({ "items": reference(n + 1) }));
        for (error, text) in [(large, "too large"), (deep, "nested too deeply")] {
            assert!(error.is_limit() && error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn long_chain_of_references_is_followed() {
        let link =
            |n: usize| (n.to_string(), json!({ "$ref": format!("#/definitions/{}", n + 1) }));
        let definitions = (0..5000).map(link).chain([("5000".into(), json!({ "type": "string" }))]);
        let schema = json!({ "$ref": "#/definitions/0" });
        let normal = schema_of("3.1.0", schema, definitions.collect());
        assert_eq!(normal, Ok(json!({ "type": "string" })));
    }

    #[test]
    fn server_variable_without_a_value_is_an_error() {
        for variable in [json!({}), json!({ "default": null }), json!({ "default": [] })] {
            let server = json!({ "url": "https://{a}.example", "variables": { "a": variable } });
            let error = document("3.0.0", json!({})).servers(Some(&json!([server]))).unwrap_err();
            assert_eq!(error.to_string(), "the server variable a has no default");
        }
        let error = document("3.0.0", json!({})).servers(Some(&json!({}))).unwrap_err();
        assert_eq!(error.to_string(), "servers is not a list");
    }

    #[test]
    fn servers_have_every_known_value_of_their_variables() {
        let servers = json!([{
            "url": "https://{host}.example/{path}",
            "variables": {
                "host": { "default": "b", "enum": ["b", "a"] },
                "path": { "default": "v1" },
            },
        }]);
        let urls = document("3.0.0", json!({})).servers(Some(&servers));
        assert_eq!(urls, Ok(vec!["https://a.example/v1".into(), "https://b.example/v1".into()]));
    }

    #[test]
    fn default_style_of_a_parameter_is_removed() {
        struct Case {
            place: &'static str,
            parameter: Value,
            kept: &'static [&'static str],
        }
        let list = json!({ "type": "array" });
        let object = json!({ "type": "object" });
        let cases = [
            Case { place: "header", parameter: json!({ "style": "simple" }), kept: &[] },
            Case { place: "query", parameter: json!({ "style": "form" }), kept: &[] },
            Case { place: "query", parameter: json!({ "style": "simple" }), kept: &["style"] },
            Case {
                place: "header",
                parameter: json!({ "explode": true, "schema": list }),
                kept: &["schema"],
            },
            Case {
                place: "header",
                parameter: json!({ "explode": true, "schema": object }),
                kept: &["explode", "schema"],
            },
            Case {
                place: "query",
                parameter: json!({ "explode": true, "schema": list }),
                kept: &["schema"],
            },
            Case {
                place: "query",
                parameter: json!({ "explode": false, "schema": list }),
                kept: &["explode", "schema"],
            },
        ];
        for Case { place, mut parameter, kept } in cases {
            without_default_style(place, &mut parameter);
            let keys: Vec<_> = entries(&parameter).map(|(key, _)| key.as_str()).collect();
            assert_eq!(keys, kept, "{place} {parameter}");
        }
    }

    #[test]
    fn operation_is_found_under_another_path() {
        let ours = json!({
            "method": "get",
            "path": "/v1/users/{id}",
            "servers": ["https://a.example"],
        });
        let operation = |server: &str, path: &str| {
            let parameter = json!({ "in": "path", "name": "user", "required": true, "schema": {} });
            let get = json!({ "parameters": [parameter], "responses": {} });
            document(
                "3.0.0",
                json!({ "servers": [{ "url": server }], "paths": { path: { "get": get } } }),
            )
        };
        for (server, path) in
            [("https://a.example", "/v1/users/{user}"), ("https://a.example/v1", "/users/{user}")]
        {
            let contract = operation(server, path).matching(&ours, false).unwrap().unwrap();
            assert_eq!(contract["path"], ours["path"], "{server}");
            assert_eq!(contract["servers"], ours["servers"], "{server}");
            assert!(contract["parameters"].get("path id").is_some(), "{contract}");
        }
        for (server, path) in [
            ("https://b.example/v1", "/users/{user}"),
            ("https://a.example/v2", "/users/{user}"),
            ("https://a.example", "/v1/users/{user}/name"),
        ] {
            let contract = operation(server, path).matching(&ours, false);
            assert_eq!(contract, Ok(None), "{server} {path}");
        }
    }

    #[test]
    fn schema_of_additional_properties_applies_to_named_ones() {
        let schema = json!({ "additionalProperties": { "type": "number" } });
        let given = json!({ "content": { "application/json": { "schema": schema } } });
        let post = json!({ "requestBody": given, "responses": {} });
        let document = document("3.0.0", json!({ "paths": { "/a": { "post": post } } }));
        let sent = json!({ "properties": { "a": {} }, "additionalProperties": false });
        let ours = json!({
            "method": "post",
            "path": "/a",
            "requestBody": { "content": { "application/json": { "schema": sent } } },
        });
        let contract = document.matching(&ours, true).unwrap().unwrap();
        assert_eq!(contract["requestBody"], given);
    }

    #[test]
    fn properties_that_do_not_matter_have_no_schema() {
        let schema = json!({ "properties": {
            "a": { "properties": { "b": { "type": "string" }, "c": { "type": "string" } } },
            "d": { "type": "string", "writeOnly": true },
        } });
        let given = json!({ "content": { "application/json": { "schema": schema } } });
        let post = json!({ "requestBody": given, "responses": { "200": given } });
        let document = document("3.0.0", json!({ "paths": { "/a": { "post": post } } }));
        let read = |more: &str| {
            let schema = json!({
                more: false,
                "properties": { "a": { more: false, "properties": { "b": {} } } },
            });
            json!({ "content": { "application/json": { "schema": schema } } })
        };
        let kept = json!({ "properties": {
            "a": { "properties": { "b": { "type": "string" }, "c": {} } },
            "d": { "writeOnly": true },
        } });
        let whole = json!({ "content": { "application/json": { "schema": schema } } });
        let part = json!({ "content": { "application/json": { "schema": kept } } });
        for (more, request) in [("additionalProperties", &part), ("default", &whole)] {
            let ours = json!({
                "method": "post",
                "path": "/a",
                "requestBody": read(more),
                "responses": { "200": read(more) },
            });
            let contract = document.matching(&ours, true).unwrap().unwrap();
            assert_eq!(contract["requestBody"], *request, "{more}");
            assert_eq!(contract["responses"]["200"], part, "{more}");
        }
    }
}
