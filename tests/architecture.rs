//! Checks the modules of `src/` against the layers of ARCHITECTURE.md.

use std::collections::BTreeMap;
use std::fs;

/// The number of each module's layer, counted from the top of the map.
type Layers = BTreeMap<String, usize>;

fn read(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Reads the rows of the map, `| layer | `module` | what it is for |`; a row without a layer belongs to
/// the layer above it.
fn layers(map: &str) -> Layers {
    let mut layers = Layers::new();
    let mut layer = 0;
    for row in map.lines() {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let ["", name, module, purpose, ""] = cells[..] else { continue };
        let module = module.strip_prefix('`').and_then(|module| module.strip_suffix('`'));
        let Some(module) = module else { continue };
        layer += usize::from(!name.is_empty());
        assert!(!purpose.is_empty(), "{module} has no purpose in the map");
        let again = layers.insert(module.to_owned(), layer);
        assert!(again.is_none(), "{module} is in the map twice");
    }
    layers
}

/// The modules that `code` names after `crate::`, without comments and unit tests.
fn used(code: &str) -> Vec<String> {
    let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names = lines.flat_map(|line| line.split("crate::").skip(1));
    let is_name = |c: char| c == '_' || c.is_alphanumeric();
    names.map(|name| name.chars().take_while(|c| is_name(*c)).collect()).collect()
}

/// The uses of a module that violate the layers of the map.
fn problems(layers: &Layers, module: &str, code: &str) -> Vec<String> {
    let Some(layer) = layers.get(module) else {
        return vec![format!("{module} is not in the map")];
    };
    let mut problems = Vec::new();
    for other in used(code) {
        match layers.get(&other) {
            None => problems.push(format!("{module} uses {other}, which is not in the map")),
            Some(other_layer) if other_layer <= layer => {
                problems.push(format!("{module} uses {other}, which is not in a layer below"));
            }
            Some(_) => {}
        }
    }
    problems
}

#[test]
fn modules_use_only_layers_below_their_own() {
    let layers = layers(&read("ARCHITECTURE.md"));
    let root = read("src/lib.rs");
    let modules = root.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    let modules: Vec<_> = modules.collect();
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
    let files = files.filter(|file| {
        let path = file.as_ref().unwrap().path();
        path.extension().is_some_and(|extension| extension == "rs")
    });
    assert_eq!(files.count(), modules.len() + 1, "each file but lib.rs is a module of lib.rs");
    let found = |module: &&str| problems(&layers, module, &read(&format!("src/{module}.rs")));
    let problems: Vec<_> = modules.iter().flat_map(found).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    for module in layers.keys() {
        assert!(modules.contains(&module.as_str()), "{module} of the map is not in src/lib.rs");
    }
}

#[test]
fn misplaced_modules_are_found() {
    struct Case {
        module: &'static str,
        code: &'static str,
        problem: Option<&'static str>,
    }
    let layers = layers(
        "| layer | module | what it is for |\n| --- | --- | --- |\n\
         | top | `client` | calls |\n| low | `limit` | counts |\n| | `turns` | waits |\n",
    );
    let cases = [
        Case { module: "client", code: "use crate::limit::Limit;", problem: None },
        Case { module: "limit", code: "/// See [`crate::client::Client`].", problem: None },
        Case {
            module: "limit",
            code: "#[cfg(test)]\nmod tests {\n    use crate::client::Client;\n}",
            problem: None,
        },
        Case {
            module: "limit",
            code: "use crate::client::Client;",
            problem: Some("limit uses client, which is not in a layer below"),
        },
        Case {
            module: "limit",
            code: "fn wait(_: &crate::turns::Turn) {}",
            problem: Some("limit uses turns, which is not in a layer below"),
        },
        Case {
            module: "client",
            code: "pub(crate) use crate::memory;",
            problem: Some("client uses memory, which is not in the map"),
        },
        Case { module: "memory", code: "", problem: Some("memory is not in the map") },
    ];
    for Case { module, code, problem } in cases {
        let expected: Vec<_> = problem.map(str::to_owned).into_iter().collect();
        assert_eq!(problems(&layers, module, code), expected, "{module}: {code}");
    }
}
