//! Where in a document a finding is: a JSON Pointer, and the line.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser};
use serde_json::Value;

use crate::finding::{Location, Place};
use crate::normal::{Document, entries};
use crate::url::pointer_of;

/// A value of a document, with its pointer after all references.
#[derive(Clone)]
struct Node<'a> {
    pointer: String,
    value: &'a Value,
}

/// The pointer to a place of an operation, or to the last part of the place that the document has.
pub fn pointer(document: &Document, method: &str, path: &str, place: &Place) -> String {
    let root = Node { pointer: String::new(), value: document.root() };
    let Some(item) = step(document, &root, &["paths", path]) else { return String::new() };
    let Some(operation) = step(document, &item, &[method]) else { return item.pointer };
    let mut steps = place.steps();
    let first = match steps.next() {
        None => return operation.pointer,
        Some("request") => body(document, &operation, &["requestBody"]),
        Some("response") => body(document, &operation, &["responses", "200"]),
        Some("responses") => match steps.next() {
            Some(status) => body(document, &operation, &["responses", status]),
            None => step(document, &operation, &["responses"]),
        },
        Some("parameters") => match steps.next() {
            Some(key) => [&operation, &item]
                .into_iter()
                .find_map(|owner| parameter(document, owner, key))
                .map(|found| step(document, &found, &["schema"]).unwrap_or(found)),
            None => step(document, &operation, &["parameters"]),
        },
        Some(key) => {
            [&operation, &item, &root].into_iter().find_map(|owner| step(document, owner, &[key]))
        }
    };
    let Some(mut node) = first else { return operation.pointer };
    for name in steps {
        match within_schema(document, &node, name, 0) {
            Some(below) => node = below,
            None => break,
        }
    }
    node.pointer
}

/// Goes down by keys, and follows the references on the way.
fn step<'a>(document: &'a Document, from: &Node<'a>, keys: &[&str]) -> Option<Node<'a>> {
    let mut node = from.clone();
    for key in keys {
        let escaped = key.replace('~', "~0").replace('/', "~1");
        node = Node {
            pointer: format!("{}/{escaped}", node.pointer),
            value: match node.value {
                Value::Array(items) => items.get(key.parse::<usize>().ok()?)?,
                value => value.get(*key)?,
            },
        };
        // The limit ends circular chains of references.
        for _ in 0..20 {
            let Some(reference) = node.value.get("$ref").and_then(Value::as_str) else { break };
            let pointer = pointer_of(reference)?;
            node = Node { value: document.root().pointer(&pointer)?, pointer };
        }
    }
    Some(node)
}

/// The schema of a request body or response, or the part above it.
fn body<'a>(document: &'a Document, operation: &Node<'a>, keys: &[&str]) -> Option<Node<'a>> {
    let part = step(document, operation, keys)?;
    let names: Vec<_> = entries(&part.value["content"]).map(|(name, _)| name.as_str()).collect();
    let json = names.iter().find(|name| name.contains("json")).or(names.first());
    json.and_then(|name| step(document, &part, &["content", name, "schema"])).or(Some(part))
}

fn parameter<'a>(document: &'a Document, owner: &Node<'a>, key: &str) -> Option<Node<'a>> {
    let (place, name) = key.split_once(' ')?;
    let count = owner.value["parameters"].as_array()?.len();
    let all = (0..count).filter_map(|i| step(document, owner, &["parameters", &i.to_string()]));
    all.into_iter().find(|found| {
        let is_named = found.value["name"].as_str().is_some_and(|other| match place {
            "header" => other.eq_ignore_ascii_case(name),
            _ => other == name,
        });
        is_named && found.value["in"] == place
    })
}

/// A property or keyword of a schema, or of one of its members.
fn within_schema<'a>(
    document: &'a Document,
    schema: &Node<'a>,
    name: &str,
    depth: u8,
) -> Option<Node<'a>> {
    let keys: &[&[&str]] = match name {
        "*" => &[&["additionalProperties"]],
        "items" => &[&["items"], &["properties", "items"]],
        name => &[&["properties", name], &[name]],
    };
    let own = keys.iter().find_map(|keys| step(document, schema, keys));
    if own.is_some() || depth == 8 {
        return own;
    }
    ["allOf", "anyOf", "oneOf"].into_iter().find_map(|wrapper| {
        let count = schema.value[wrapper].as_array().map_or(0, Vec::len);
        (0..count).find_map(|i| {
            let member = step(document, schema, &[wrapper, &i.to_string()])?;
            within_schema(document, &member, name, depth + 1)
        })
    })
}

/// Adds line numbers to places in a document where its text is known and understood.
pub fn add_lines<'a>(document: &Document, locations: impl Iterator<Item = &'a mut Location>) {
    let Some(text) = document.text() else { return };
    let mut locations: Vec<_> = locations.collect();
    if locations.is_empty() {
        return;
    }
    let mut wanted = BTreeSet::new();
    for location in &locations {
        wanted.extend(above(&location.pointer).map(str::to_owned));
    }
    let lines = lines(text, &wanted);
    for location in &mut locations {
        location.line = above(&location.pointer).find_map(|pointer| lines.get(pointer).copied());
    }
}

/// A pointer and those of its parents.
fn above(pointer: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(pointer), |pointer| Some(pointer.rsplit_once('/')?.0))
}

/// A mapping or list that is being read.
struct Open {
    pointer: String,
    /// The key whose value comes next.
    key: Option<String>,
    /// The number of the next item, if this is a list.
    item: Option<usize>,
}

/// The lines of the wanted pointers, up to the first part of the text that is not understood.
fn lines(text: &str, wanted: &BTreeSet<String>) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        let line = span.start.line();
        if let Event::MappingEnd | Event::SequenceEnd = event {
            open.pop();
            continue;
        }
        let is_value = matches!(
            event,
            Event::Scalar(..)
                | Event::Alias(_)
                | Event::MappingStart(..)
                | Event::SequenceStart(..)
        );
        if !is_value {
            continue;
        }
        let pointer = match open.last_mut() {
            None => String::new(),
            Some(Open { pointer, item: Some(item), .. }) => {
                *item += 1;
                format!("{pointer}/{}", *item - 1)
            }
            Some(Open { pointer, key, item: None }) => match (key.take(), &event) {
                (Some(key), _) => format!("{pointer}/{key}"),
                (None, Event::Scalar(name, ..)) => {
                    let name = name.replace('~', "~0").replace('/', "~1");
                    // The value may begin on a later line than its key.
                    let below = format!("{pointer}/{name}");
                    if wanted.contains(&below) {
                        lines.insert(below, line);
                    }
                    *key = Some(name);
                    continue;
                }
                (None, _) => break,
            },
        };
        if wanted.contains(&pointer) {
            lines.entry(pointer.clone()).or_insert(line);
        }
        let item = matches!(event, Event::SequenceStart(..)).then_some(0);
        if let Event::MappingStart(..) | Event::SequenceStart(..) = event {
            open.push(Open { pointer, key: None, item });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
openapi: 3.0.0
paths:
  /a/{b}:
    parameters: &shared
      - { in: path, name: b, required: true, schema: {} }
      - in: header
        name: X-A
        schema: { type: string }
    post:
      requestBody:
        content:
          application/json:
            schema: { $ref: '#/components/schemas/A' }
      responses:
        200: { description: x }
        404:
          $ref: '#/components/responses/None'
components:
  schemas:
    A:
      allOf:
        - type: object
          properties:
            one: { type: string }
            two:
              items:
                $ref: '#/components/schemas/A'
        - additionalProperties: { type: number }
";

    #[test]
    fn places_are_found_in_a_document() {
        struct Case {
            place: &'static [&'static str],
            pointer: &'static str,
            line: usize,
        }
        let cases = [
            Case { place: &[], pointer: "/paths/~1a~1{b}/post", line: 9 },
            Case {
                place: &["request", "two"],
                pointer: "/components/schemas/A/allOf/0/properties/two",
                line: 25,
            },
            Case {
                place: &["request", "two", "items", "one"],
                pointer: "/components/schemas/A/allOf/0/properties/one",
                line: 24,
            },
            Case {
                place: &["request", "*"],
                pointer: "/components/schemas/A/allOf/1/additionalProperties",
                line: 28,
            },
            Case { place: &["request", "three"], pointer: "/components/schemas/A", line: 20 },
            Case {
                place: &["parameters", "header x-a"],
                pointer: "/paths/~1a~1{b}/parameters/1/schema",
                line: 8,
            },
            Case { place: &["response"], pointer: "/paths/~1a~1{b}/post/responses/200", line: 15 },
            Case { place: &["responses", "404"], pointer: "/paths/~1a~1{b}/post", line: 9 },
            Case { place: &["servers"], pointer: "/paths/~1a~1{b}/post", line: 9 },
        ];
        let document = Document::parse(TEXT).unwrap();
        for Case { place, pointer: expected, line } in cases {
            let place = place.iter().fold(Place::default(), |at, step| at.below(*step));
            let pointer = pointer(&document, "post", "/a/{b}", &place);
            assert_eq!(pointer, expected, "{place}");
            let mut location = Location { pointer, line: None };
            add_lines(&document, [&mut location].into_iter());
            assert_eq!(location.line, Some(line), "{place}");
        }
        assert_eq!(pointer(&document, "get", "/a/{b}", &Place::default()), "/paths/~1a~1{b}");
        assert_eq!(pointer(&document, "get", "/b", &Place::default()), "");
    }

    #[test]
    fn lines_of_json_are_found() {
        let text = "{\n\t\"openapi\": \"3.0.0\",\n\t\"a\": [\n\t\t1,\n\t\t{ \"b~\\u00e9\": \"\\/\" }\n\t]\n}";
        let document = Document::parse(text).unwrap();
        for (pointer, line) in [("/openapi", 2), ("/a/0", 4), ("/a/1/b~0é", 5), ("/a/7", 3)] {
            let mut location = Location { pointer: pointer.into(), line: None };
            add_lines(&document, [&mut location].into_iter());
            assert_eq!(location.line, Some(line), "{pointer}");
        }
    }
}
