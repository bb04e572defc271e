//! Which schemas of a document contain themselves.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::url::pointer_of;

type Edges = BTreeMap<String, BTreeSet<String>>;

/// The pointers of schemas that contain themselves by references, and of those between two of these.
pub fn circular(root: &Value) -> BTreeSet<String> {
    let mut edges = Edges::new();
    for pointer in references_in(root) {
        let inner = root.pointer(&pointer).map(references_in).unwrap_or_default();
        edges.insert(pointer, inner);
    }
    // A node without outgoing or without incoming edges is in no cycle.
    let edges = reversed(&without_dead_ends(edges));
    without_dead_ends(edges).into_keys().collect()
}

fn references_in(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(keys) => {
                found.extend(keys.get("$ref").and_then(Value::as_str).and_then(pointer_of));
                open.extend(keys.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    found
}

fn without_dead_ends(mut edges: Edges) -> Edges {
    let sources = reversed(&edges);
    let mut ends: Vec<_> = edges
        .iter()
        .filter(|(_, targets)| targets.is_empty())
        .map(|(end, _)| end.clone())
        .collect();
    while let Some(end) = ends.pop() {
        edges.remove(&end);
        for source in sources.get(&end).into_iter().flatten() {
            let Some(targets) = edges.get_mut(source) else { continue };
            if targets.remove(&end) && targets.is_empty() {
                ends.push(source.clone());
            }
        }
    }
    edges
}

fn reversed(edges: &Edges) -> Edges {
    let mut reversed: Edges = edges.keys().map(|key| (key.clone(), BTreeSet::new())).collect();
    for (source, targets) in edges {
        for target in targets {
            reversed.entry(target.clone()).or_default().insert(source.clone());
        }
    }
    reversed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_schemas_that_contain_themselves_are_circular() {
        let to = |name: &str| json!({ "$ref": format!("#/{name}") });
        let document = json!({
            "start": to("before"),
            "before": to("tree"),
            "tree": { "items": to("tree"), "leaf": to("leaf"), "between": to("between") },
            "between": to("a"),
            "a": [to("b%20b")],
            "b b": { "a": to("a"), "after": to("after") },
            "after": to("leaf"),
            "leaf": { "type": "string", "nowhere": to("nowhere") },
        });
        let expected = ["/a", "/b b", "/between", "/tree"].map(str::to_owned);
        assert_eq!(circular(&document), BTreeSet::from(expected));
    }

    #[test]
    fn long_chain_is_read_quickly() {
        let link = |n: usize| (n.to_string(), json!({ "$ref": format!("#/{}", n + 1) }));
        let chain: Value = (0..20_000).map(link).collect();
        assert_eq!(circular(&chain), BTreeSet::new());
    }
}
