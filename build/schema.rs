//! The keywords that a schema is allowed to have. Requests are checked by rules, so their schemas can have the
//! keywords with a rule. Responses are not checked, so their schemas can have the keywords that affect a type.

use std::cell::RefCell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::{Mapping as Map, Value};

use crate::names;
use crate::rules::ISO_8601;
use crate::spec::{Result, SCHEMAS};
use crate::strict::Kind::{Any, Count, List, Mapping, Number, String as Str, Strings, Text, True};
use crate::strict::{Keyword, Node, nearest, shown};

/// The named schemas, and where each is used.
pub struct Schemas<'a> {
    named: BTreeMap<&'a str, &'a Value>,
    uses: BTreeMap<&'a str, BTreeMap<Use, String>>,
    /// An error about two schemas. An error within one schema takes precedence.
    between: RefCell<Option<String>>,
}

/// What a schema describes.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub enum Use {
    Request,
    Response,
    /// A parameter of a request, or a header of a response.
    Parameter,
    /// A type that no operation mentions, such as the content of a message.
    Content,
}

/// The position of a schema.
#[derive(Clone, Copy, PartialEq)]
enum Position<'a> {
    /// In `components.schemas`, by its name.
    Named(&'a str),
    /// Among the `properties` of a named schema.
    Property,
    /// Anywhere below one of these.
    Below,
}

const ANY: [Keyword; 4] = [
    Keyword("description", Text),
    Keyword("deprecated", True),
    Keyword("type", Str),
    Keyword("x-private", True),
];
const ALL_OF: [Keyword; 2] = [Keyword("allOf", List), Keyword("nullable", True)];
const ONE_OF: [Keyword; 1] = [Keyword("oneOf", List)];
const STRING: [Keyword; 8] = [
    Keyword("nullable", True),
    Keyword("format", Str),
    Keyword("enum", Strings),
    Keyword("pattern", Str),
    Keyword("minLength", Count),
    Keyword("maxLength", Count),
    Keyword("x-extensible-enum", Strings),
    Keyword("x-enum-descriptions", Mapping),
];
const NUMBER: [Keyword; 3] =
    [Keyword("nullable", True), Keyword("format", Str), Keyword("minimum", Number)];
const INTEGER: [Keyword; 2] = [Keyword("nullable", True), Keyword("format", Str)];
const BOOLEAN: [Keyword; 1] = [Keyword("nullable", True)];
const ARRAY: [Keyword; 2] = [Keyword("nullable", True), Keyword("items", Mapping)];
const OBJECT: [Keyword; 5] = [
    Keyword("nullable", True),
    Keyword("example", Mapping),
    Keyword("properties", Mapping),
    Keyword("required", Strings),
    Keyword("additionalProperties", Any),
];

/// Each `type` with its keywords.
const TYPES: [(&str, &[Keyword]); 6] = [
    ("string", &STRING),
    ("number", &NUMBER),
    ("integer", &INTEGER),
    ("boolean", &BOOLEAN),
    ("array", &ARRAY),
    ("object", &OBJECT),
];

/// Keywords that are rules, which only requests are checked by.
const RULES: [&str; 4] = ["minLength", "maxLength", "pattern", "minimum"];
/// Keywords that have no rule.
const NO_RULES: [&str; 1] = ["nullable"];
/// Keywords that only named schemas can have: this program generates their types.
const NAMED: [&str; 3] = ["enum", "x-extensible-enum", "x-enum-descriptions"];
/// The formats that are types, or rules, without another crate.
const FORMATS: [(&str, &[&str]); 3] = [
    ("string", &["date-time", "date"]),
    ("number", &["double", "float"]),
    ("integer", &["int64", "int32"]),
];
/// `src/validate.rs` has a bit for each required property.
const MOST_REQUIRED: usize = 128;
/// Names that the code of the types uses with their usual meaning in Rust.
const RESERVED: [&str; 5] = ["Err", "None", "Ok", "Some", "String"];

impl<'a> Schemas<'a> {
    /// The schemas of a document, each with what it is used for.
    pub fn new(document: &Node<'a>) -> Result<Self> {
        let mut schemas =
            Self { named: BTreeMap::new(), uses: BTreeMap::new(), between: RefCell::default() };
        let components = document.node("components")?;
        let section = components.node("schemas")?;
        schemas.named = section.entries().map(|(name, schema, _)| (name, schema)).collect();
        let paths = document.get("paths").and_then(Value::as_mapping).into_iter().flatten();
        for (path, item) in paths.filter_map(|(path, item)| Some((path.as_str()?, item))) {
            for (method, operation) in item.as_mapping().into_iter().flatten() {
                let at = format!("paths.{path}.{}", method.as_str().unwrap_or_default());
                for (part, purpose) in [
                    ("parameters", Use::Parameter),
                    ("requestBody", Use::Request),
                    ("responses", Use::Response),
                ] {
                    if let Some(part_of) = operation.get(part) {
                        schemas.mark(part_of, &format!("{at}.{part}"), purpose);
                    }
                }
            }
        }
        for (part, purpose) in [
            ("parameters", Use::Parameter),
            ("headers", Use::Parameter),
            ("responses", Use::Response),
        ] {
            if let Some(part_of) = components.get(part) {
                schemas.mark(part_of, &components.place(part), purpose);
            }
        }
        for (name, schema, at) in section.entries() {
            if schemas.uses.contains_key(name) {
                continue;
            }
            let uses = schemas.uses.entry(name).or_default();
            // A string or a number that nothing refers to is not a content.
            if !matches!(schema.get("type").and_then(Value::as_str), Some("string" | "number")) {
                uses.insert(Use::Content, at.clone());
                schemas.mark(schema, &at, Use::Content);
            }
        }
        Ok(schemas)
    }

    /// Marks every schema that a part of the document refers to with this use.
    fn mark(&mut self, part: &'a Value, at: &str, purpose: Use) {
        match part {
            Value::Mapping(map) => {
                let name = map.get("$ref").and_then(Value::as_str);
                let name = name.and_then(|reference| reference.strip_prefix(SCHEMAS));
                if let Some((&name, &schema)) = name.and_then(|name| self.named.get_key_value(name))
                {
                    let uses = self.uses.entry(name).or_default();
                    if let Entry::Vacant(first) = uses.entry(purpose) {
                        first.insert(at.to_owned());
                        self.mark(schema, &format!("components.schemas.{name}"), purpose);
                    }
                    return;
                }
                for (key, value) in map {
                    let key = key.as_str().unwrap_or_default();
                    self.mark(value, &format!("{at}.{key}"), purpose);
                }
            }
            Value::Sequence(list) => {
                for (index, value) in list.iter().enumerate() {
                    self.mark(value, &format!("{at}.{index}"), purpose);
                }
            }
            _ => {}
        }
    }

    /// Checks every named schema.
    pub fn check(&self, section: &Node<'_>) -> Result<()> {
        for (name, schema, at) in section.entries() {
            let rust = names::pascal(name);
            if RESERVED.contains(&name) {
                return Err(format!("{at}: the generated code needs this name; choose another"));
            }
            if rust != name {
                return Err(format!("{at}: a schema is named like its Rust type, `{rust}`"));
            }
            let Some(uses) = self.uses.get(name) else { continue };
            self.schema(schema, &at, Position::Named(name), uses)?;
        }
        if let Some(error) = self.between.take() {
            return Err(error);
        }
        self.check_ends()
    }

    /// Checks the schema of a parameter or a header: a plain type.
    pub fn plain(&self, schema: &Value, at: &str, types: &[&str]) -> Result<()> {
        let node = Node::new(schema, at)?;
        node.check(&[Keyword("type", Str)])?;
        let found = node.need("type")?.as_str().unwrap_or_default();
        if types.contains(&found) {
            return Ok(());
        }
        Err(format!("{at}.type: has to be {}, but is `{found}`", types.join(" or ")))
    }

    /// The name of the schema that is referred to, where only a reference is allowed.
    pub fn named(&self, schema: &Value, at: &str) -> Result<&'a str> {
        let node = Node::new(schema, at)?;
        if node.get("$ref").is_none() {
            return Err(format!("{at}: has to refer to one of components.schemas, which names it"));
        }
        self.reference(&node)
    }

    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.named.get(name).copied()
    }

    fn schema(
        &self,
        schema: &Value,
        at: &str,
        position: Position<'_>,
        uses: &BTreeMap<Use, String>,
    ) -> Result<()> {
        let node = Node::new(schema, at)?;
        if node.get("$ref").is_some() {
            self.reference(&node)?;
            return match position {
                Position::Named(_) => Err(format!("{at}: is only a reference; write it out")),
                _ => Ok(()),
            };
        }
        let form = form(&node)?;
        let keywords = keywords(form);
        for (key, value, at) in node.entries() {
            match keywords.clone().find(|keyword| keyword.0 == key) {
                Some(Keyword(_, kind)) => kind.check(value, &at)?,
                None => {
                    // A keyword of another type is known, but out of place.
                    let elsewhere = TYPES
                        .iter()
                        .find(|(_, keywords)| keywords.iter().any(|keyword| keyword.0 == key));
                    return Err(match elsewhere {
                        Some((of, _)) => {
                            format!("{at}: `{key}` belongs to `type: {of}`; remove it")
                        }
                        None if key == "allOf" || key == "oneOf" => {
                            format!("{at}: `{key}` replaces `type`; remove one of them")
                        }
                        None => node.unknown(key, keywords.map(|keyword| keyword.0)),
                    });
                }
            }
            self.check_place(key, &at, position, uses)?;
        }
        match form {
            "any" => Ok(()),
            "allOf" => self.check_all_of(&node, position),
            "oneOf" => self.check_one_of(&node, position, uses),
            "array" => {
                let items = node.get("items").ok_or_else(|| format!("{at}: `items` is missing"))?;
                self.schema(items, &node.place("items"), Position::Below, uses)
            }
            "object" => self.check_object(&node, position, uses),
            _ => check_scalar(&node, form, uses),
        }
    }

    /// Checks that a keyword has an effect here.
    fn check_place(
        &self,
        key: &str,
        at: &str,
        position: Position<'_>,
        uses: &BTreeMap<Use, String>,
    ) -> Result<()> {
        let sent = uses.contains_key(&Use::Request);
        let received = uses.iter().find(|(purpose, _)| **purpose != Use::Request);
        if NAMED.contains(&key) && !matches!(position, Position::Named(_)) {
            return Err(format!(
                "{at}: only a schema with a name has `{key}`; move it to components.schemas"
            ));
        }
        if key == "x-private" && position != Position::Property {
            return Err(format!("{at}: only the property of a named schema can be private"));
        }
        if key == "example" && (received.is_none_or(|(purpose, _)| *purpose != Use::Content)) {
            return Err(format!(
                "{at}: only a content has an example, which becomes a call of its constructor; remove it"
            ));
        }
        if key == "nullable" && matches!(position, Position::Named(_)) {
            return Err(format!(
                "{at}: write it where the schema is used, next to `allOf: [{{ $ref: ... }}]`"
            ));
        }
        if NO_RULES.contains(&key) && sent {
            return Err(format!(
                "{at}: `{key}` has no rule in the validation of requests; remove it"
            ));
        }
        match received {
            Some((_, place)) if RULES.contains(&key) && sent => {
                let error =
                    format!("{place}: refers to {at}, a rule that is checked only in requests");
                self.between.borrow_mut().get_or_insert(error);
                Ok(())
            }
            Some(_) if RULES.contains(&key) => Err(format!(
                "{at}: `{key}` is checked only in requests, and no request has this; remove it"
            )),
            _ => Ok(()),
        }
    }

    fn check_all_of(&self, node: &Node<'_>, position: Position<'_>) -> Result<()> {
        let at = node.place("allOf");
        if matches!(position, Position::Named(_)) {
            return Err(format!("{at}: only a property can be `allOf`; write the schema out"));
        }
        let items: Vec<_> = node.items("allOf").collect();
        match &items[..] {
            [(schema, at)] => self.named(schema, at).map(|_| ()),
            _ => Err(format!("{at}: has to be one reference, to which it adds a description")),
        }
    }

    fn check_one_of(
        &self,
        node: &Node<'_>,
        position: Position<'_>,
        uses: &BTreeMap<Use, String>,
    ) -> Result<()> {
        let at = node.place("oneOf");
        if !matches!(position, Position::Named(_)) {
            return Err(format!(
                "{at}: only a schema with a name has alternatives; move it to components.schemas"
            ));
        }
        let alternatives = node.items("oneOf").map(|(schema, at)| Node::new(schema, at));
        let alternatives = alternatives.collect::<Result<Vec<_>>>()?;
        let Some(first) = alternatives.first() else {
            return Err(format!("{at}: is empty; list the alternatives"));
        };
        let sent = uses.contains_key(&Use::Request);
        let check: fn(&Self, &Node<'_>, &BTreeMap<Use, String>) -> Result<String> =
            if first.get("$ref").is_some() && !sent {
                Self::check_reference
            } else if sent || first.get("additionalProperties").is_some() {
                Self::check_choice
            } else {
                Self::check_tagged
            };
        let mut found = BTreeMap::new();
        for alternative in &alternatives {
            let key = check(self, alternative, uses)?;
            if let Some(other) = found.insert(names::pascal(&key), key.clone()) {
                return Err(format!(
                    "{}: `{key}` and `{other}` are the same alternative in Rust; rename one",
                    alternative.at
                ));
            }
        }
        Ok(())
    }

    /// An alternative with its own name.
    fn check_reference(&self, node: &Node<'_>, _: &BTreeMap<Use, String>) -> Result<String> {
        let name = self.named_object(node)?;
        Ok(name.to_owned())
    }

    fn named_object(&self, node: &Node<'_>) -> Result<&'a str> {
        if node.get("$ref").is_none() {
            return Err(format!("{}: has to refer to one of components.schemas", node.at));
        }
        let name = self.reference(node)?;
        let kind = self.get(name).and_then(|schema| schema.get("type")?.as_str());
        if kind != Some("object") {
            let error = format!("{}: {name} has to be of `type: object`", node.at);
            self.between.borrow_mut().get_or_insert(error);
        }
        Ok(name)
    }

    /// An alternative that is identified by its one property.
    fn check_choice(&self, node: &Node<'_>, uses: &BTreeMap<Use, String>) -> Result<String> {
        let wrong = || {
            format!(
                "{}: has to be a closed object with one required property (additionalProperties: false)",
                node.at
            )
        };
        if form(node)? != "object" {
            return Err(wrong());
        }
        node.check(&[
            Keyword("description", Text),
            Keyword("type", Str),
            Keyword("properties", Mapping),
            Keyword("required", Strings),
            Keyword("additionalProperties", Any),
        ])?;
        let properties = node.node("properties")?;
        let mut entries = properties.entries();
        let (Some((name, schema, at)), None) = (entries.next(), entries.next()) else {
            return Err(wrong());
        };
        if node.strings("required") != [name]
            || node.get("additionalProperties") != Some(&Value::Bool(false))
        {
            return Err(wrong());
        }
        self.schema(schema, &at, Position::Below, uses)?;
        Ok(name.to_owned())
    }

    /// An alternative that its `type` names, and whose `payload` is a named object.
    fn check_tagged(&self, node: &Node<'_>, _: &BTreeMap<Use, String>) -> Result<String> {
        let wrong = || {
            format!(
                "{}: has to be an object that requires `type`, with one value, and `payload`, a reference",
                node.at
            )
        };
        if form(node)? != "object" {
            return Err(wrong());
        }
        node.check(&[
            Keyword("description", Text),
            Keyword("type", Str),
            Keyword("properties", Mapping),
            Keyword("required", Strings),
        ])?;
        let properties = node.node("properties")?;
        properties.check(&[Keyword("type", Mapping), Keyword("payload", Mapping)])?;
        let required: BTreeSet<_> = node.strings("required").into_iter().collect();
        if required != BTreeSet::from(["type", "payload"]) {
            return Err(wrong());
        }
        self.named_object(&properties.node("payload")?)?;
        let tag = properties.node("type")?;
        tag.check(&[Keyword("type", Str), Keyword("enum", Strings)])?;
        match (tag.text("type"), &tag.strings("enum")[..]) {
            (Some("string"), [value]) => Ok((*value).to_owned()),
            _ => Err(wrong()),
        }
    }

    fn check_object(
        &self,
        node: &Node<'_>,
        position: Position<'_>,
        uses: &BTreeMap<Use, String>,
    ) -> Result<()> {
        let others = node.get("additionalProperties");
        let at = node.place("additionalProperties");
        match others {
            None | Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => {
                if uses.keys().any(|purpose| *purpose != Use::Request) {
                    return Err(format!(
                        "{at}: a received value may have more properties than the contract names; remove it"
                    ));
                }
            }
            Some(Value::Mapping(schema)) => {
                if node.get("properties").is_some() && !schema.is_empty() {
                    return Err(format!(
                        "{at}: has to be true, false or {{}} next to `properties`"
                    ));
                }
                self.schema(&Value::Mapping(schema.clone()), &at, Position::Below, uses)?;
            }
            Some(other) => {
                let shown = shown(other);
                return Err(format!("{at}: has to be true, false or a schema, but is {shown}"));
            }
        }
        if let Some(properties) = node.get("properties") {
            let properties = Node::new(properties, node.place("properties"))?;
            if !matches!(position, Position::Named(_)) {
                return Err(format!(
                    "{}: only a schema with a name has properties; move it to components.schemas",
                    properties.at
                ));
            }
            if properties.entries().next().is_none() {
                return Err(format!("{}: is empty; remove it", properties.at));
            }
            let open = matches!(others, Some(Value::Mapping(_)));
            let mut fields = BTreeMap::new();
            for (name, schema, at) in properties.entries() {
                let field = names::snake(name);
                if open && ["extra", "new"].contains(&field.as_str()) {
                    return Err(format!(
                        "{at}: every open object has a method `{field}`; write additionalProperties: true"
                    ));
                }
                if let Some(other) = fields.insert(field.clone(), name) {
                    return Err(format!(
                        "{at}: `{name}` and `{other}` are both `{field}` in Rust; rename one"
                    ));
                }
                self.schema(schema, &at, Position::Property, uses)?;
            }
        }
        if node.strings("required").len() > MOST_REQUIRED {
            return Err(format!(
                "{}: has more than {MOST_REQUIRED} names, which the validation of requests cannot count",
                node.place("required")
            ));
        }
        for (index, name) in node.strings("required").into_iter().enumerate() {
            let properties = node.get("properties").and_then(Value::as_mapping);
            property(properties, name, &format!("{}.{index}", node.place("required")))?;
        }
        Ok(())
    }

    /// The name of the schema that is referred to.
    fn reference(&self, node: &Node<'_>) -> Result<&'a str> {
        let at = node.place("$ref");
        if let Some((key, _, at)) = node.entries().find(|(key, ..)| *key != "$ref") {
            return Err(format!(
                "{at}: `{key}` has no effect next to `$ref`; write `allOf: [{{ $ref: ... }}]` instead"
            ));
        }
        let Some(reference) = node.text("$ref") else {
            return Err(format!("{at}: has to be a string that begins with {SCHEMAS}"));
        };
        let Some(name) = reference.strip_prefix(SCHEMAS) else {
            return Err(format!(
                "{at}: {reference} is not one of components.schemas; begin with {SCHEMAS}"
            ));
        };
        match self.named.get_key_value(name) {
            Some((name, _)) => Ok(name),
            None => Err(dangling(&at, reference, name, self.named.keys().copied())),
        }
    }

    /// Checks that each schema allows finite values: a record must not require itself, directly or indirectly.
    fn check_ends(&self) -> Result<()> {
        let mut finite = BTreeSet::new();
        loop {
            let before = finite.len();
            for (name, schema) in &self.named {
                if ends(schema, &finite) {
                    finite.insert(*name);
                }
            }
            if finite.len() == before {
                break;
            }
        }
        match self.named.keys().find(|name| !finite.contains(*name)) {
            Some(name) => Err(format!(
                "components.schemas.{name}: requires itself, so it never ends; make a property optional"
            )),
            None => Ok(()),
        }
    }
}

/// The error for a reference to something that does not exist.
pub fn dangling<'a>(
    at: &str,
    reference: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> String {
    match nearest(name, known) {
        Some(known) => format!("{at}: {reference} does not exist; did you mean `{known}`?"),
        None => format!("{at}: {reference} does not exist; add it, or refer to another"),
    }
}

/// The type of a schema, or `any`, `allOf`, `oneOf` for one without a type.
fn form(node: &Node<'_>) -> Result<&'static str> {
    let at = node.place("type");
    let types = TYPES.map(|(name, _)| name);
    match node.get("type") {
        Some(Value::String(found)) => {
            types.into_iter().find(|name| name == found).ok_or_else(|| {
                match nearest(found, types.into_iter())
                    .or_else(|| types.into_iter().find(|name| name.starts_with(found)))
                {
                    Some(meant) => {
                        format!("{at}: `{found}` is not a type; did you mean `{meant}`?")
                    }
                    None if found == "null" => {
                        format!("{at}: `null` is OpenAPI 3.1; in 3.0 write `nullable: true`")
                    }
                    None => {
                        format!("{at}: `{found}` is not a type; use one of {}", types.join(", "))
                    }
                }
            })
        }
        Some(Value::Sequence(_)) => Err(format!(
            "{at}: a list of types is OpenAPI 3.1; in 3.0 write one, and `nullable: true` for null"
        )),
        Some(other) => Err(format!("{at}: has to be the name of a type, but is {}", shown(other))),
        None => {
            for form in ["allOf", "oneOf"] {
                if node.get(form).is_some() {
                    return Ok(form);
                }
            }
            let known = || TYPES.iter().flat_map(|(_, keywords)| *keywords).chain(&ANY);
            for (key, ..) in node.entries() {
                if known().all(|keyword| keyword.0 != key) {
                    return Err(node.unknown(key, known().map(|keyword| keyword.0)));
                }
            }
            // A keyword of some type, without that type.
            let meant = node.entries().find_map(|(key, ..)| {
                let of = |keywords: &[Keyword]| keywords.iter().any(|keyword| keyword.0 == key);
                TYPES.iter().find(|(_, keywords)| key != "nullable" && of(keywords))
            });
            match meant {
                Some((name, _)) => Err(format!("{}: `type: {name}` is missing", node.at)),
                None => Ok("any"),
            }
        }
    }
}

fn keywords(form: &str) -> impl Iterator<Item = &'static Keyword> + Clone {
    let own: &[Keyword] = match form {
        "allOf" => &ALL_OF,
        "oneOf" => &ONE_OF,
        _ => TYPES.iter().find(|(name, _)| *name == form).map_or(&[], |(_, keywords)| keywords),
    };
    ANY.iter().filter(move |keyword| keyword.0 != "x-private" || form != "oneOf").chain(own)
}

fn check_scalar(node: &Node<'_>, form: &str, uses: &BTreeMap<Use, String>) -> Result<()> {
    let at = &node.at;
    let sent = uses.contains_key(&Use::Request);
    if sent && (form == "integer" || form == "boolean") {
        return Err(format!(
            "{at}.type: `{form}` has no rule in the validation of requests; use number or string"
        ));
    }
    if let Some(format) = node.text("format") {
        let at = node.place("format");
        let known = FORMATS.iter().find(|(name, _)| *name == form);
        let known = known.map(|(_, formats)| *formats).unwrap_or_default();
        if !known.contains(&format) {
            return Err(format!(
                "{at}: `{format}` is not supported, only {}; remove it",
                known.join(" and ")
            ));
        }
        if sent && format != "date-time" {
            return Err(format!(
                "{at}: `{format}` has no rule in the validation of requests; remove it"
            ));
        }
        for key in ["pattern", "minLength", "maxLength", "enum", "x-extensible-enum"] {
            if node.get(key).is_some() {
                return Err(format!(
                    "{}: has no effect next to `format`; remove one",
                    node.place(key)
                ));
            }
        }
    }
    if let Some(pattern) = node.text("pattern").filter(|pattern| *pattern != ISO_8601) {
        return Err(format!(
            "{}: {pattern:?} has no rule in the validation of requests, only {ISO_8601:?} has; \
             use that for a date and time in ISO 8601, or remove it",
            node.place("pattern")
        ));
    }
    let bound = |key| node.get(key).and_then(Value::as_u64);
    if let (Some(min), Some(max)) = (bound("minLength"), bound("maxLength"))
        && min > max
    {
        let place = node.place("minLength");
        return Err(format!("{place}: is {min}, more than `maxLength`, {max}; no string has both"));
    }
    check_enum(node)
}

/// A closed or an open enumeration: which values, and which Rust names.
fn check_enum(node: &Node<'_>) -> Result<()> {
    let (closed, open) = ("enum", "x-extensible-enum");
    let (keyword, mut variants) = match (node.get(closed), node.get(open)) {
        (Some(_), Some(_)) => {
            return Err(format!(
                "{}: an enumeration is either open or closed; remove this or `{closed}`",
                node.place(open)
            ));
        }
        (Some(_), None) => (closed, BTreeMap::new()),
        (None, Some(_)) => (open, BTreeMap::from([("Other".to_owned(), "any other value")])),
        (None, None) => (closed, BTreeMap::new()),
    };
    let at = node.place(keyword);
    let values = node.strings(keyword);
    if node.get(keyword).is_some() {
        for key in ["minLength", "maxLength", "pattern"] {
            if node.get(key).is_some() {
                return Err(format!("{}: has no effect next to `{keyword}`", node.place(key)));
            }
        }
        if values.is_empty() {
            return Err(format!("{at}: is empty; list the values"));
        }
    }
    for (index, value) in values.iter().enumerate() {
        let variant = names::pascal(value);
        if let Some(other) = variants.insert(variant.clone(), value) {
            return Err(format!(
                "{at}.{index}: `{value}` and {other} are both `{variant}` in Rust; rename one"
            ));
        }
    }
    let described = node.get("x-enum-descriptions");
    if keyword == closed || node.get(open).is_none() {
        return match described {
            Some(_) => Err(format!(
                "{}: only `{open}` has descriptions; remove it",
                node.place("x-enum-descriptions")
            )),
            None => Ok(()),
        };
    }
    let Some(described) = described else {
        return Err(format!("{}: `x-enum-descriptions` is missing, one for each value", node.at));
    };
    let described = Node::new(described, node.place("x-enum-descriptions"))?;
    for (value, text, at) in described.entries() {
        if !values.contains(&value) {
            return Err(match nearest(value, values.iter().copied()) {
                Some(known) => format!("{at}: no value is `{value}`; did you mean `{known}`?"),
                None => format!("{at}: no value is `{value}`; add it to `{open}`, or remove this"),
            });
        }
        Text.check(text, &at)?;
    }
    match values.iter().find(|value| described.get(value).is_none()) {
        Some(value) => Err(format!("{}: {value} is missing; describe it", described.at)),
        None => Ok(()),
    }
}

/// Whether a value of this schema can be finite, if values of the `finite` schemas can.
fn ends(schema: &Value, finite: &BTreeSet<&str>) -> bool {
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return reference.strip_prefix(SCHEMAS).is_none_or(|name| finite.contains(name));
    }
    let list = |key| schema.get(key).and_then(Value::as_sequence).into_iter().flatten();
    if schema.get("nullable").is_some() {
        return true;
    }
    let property = |name: &Value| schema.get("properties").and_then(|all| all.get(name));
    list("required").filter_map(property).all(|schema| ends(schema, finite))
        && list("allOf").all(|schema| ends(schema, finite))
        && (schema.get("oneOf").is_none() || list("oneOf").any(|schema| ends(schema, finite)))
}

/// Checks that an object has a property.
pub fn property(properties: Option<&Map>, name: &str, at: &str) -> Result<()> {
    if properties.is_some_and(|properties| properties.get(name).is_some()) {
        return Ok(());
    }
    let known = properties.into_iter().flatten().filter_map(|(key, _)| key.as_str());
    Err(match nearest(name, known) {
        Some(known) => format!("{at}: no property is `{name}`; did you mean `{known}`?"),
        None => format!("{at}: no property is `{name}`; add it, or remove this"),
    })
}
