//! The program: what it prints, and its exit codes.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const OURS: &str = "\
openapi: 3.0.3
info: { title: Ours, version: '1' }
paths:
  /users:
    post:
      operationId: createUser
      requestBody:
        content:
          application/json:
            schema:
              type: object
              additionalProperties: false
              required: [name]
              properties: { name: { type: string, maxLength: 200 } }
      responses:
        200: { content: { application/json: { schema: {} } } }
";

/// The vendor's document, with this bound for the name.
fn theirs(version: &str, max_length: u32) -> Value {
    let schema = json!({
        "type": "object",
        "properties": { "name": { "type": "string", "maxLength": max_length } },
    });
    let json = |schema: Value| json!({ "content": { "application/json": { "schema": schema } } });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Theirs", "version": version },
        "paths": { "/users": { "post": {
            "requestBody": json(schema),
            "responses": { "200": json(json!({ "type": "object" })) },
        } } },
    })
}

/// The outcome of a run in a folder with these files.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn run(folder: &Path, args: &[&str], stdin: &str) -> Run {
    let mut program = Command::new(env!("CARGO_BIN_EXE_contract-drift"))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program can end without reading its input.
    let _ = program.stdin.take().unwrap().write_all(stdin.as_bytes());
    let Output { status, stdout, stderr } = program.wait_with_output().unwrap();
    // Paths on Windows have other separators.
    let text = |bytes| String::from_utf8(bytes).unwrap().replace('\\', "/");
    Run { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// A folder with both documents.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ours.yaml"), OURS).unwrap();
    fs::write(folder.path().join("same.json"), theirs("1.0.0", 200).to_string()).unwrap();
    fs::write(folder.path().join("wider.json"), theirs("2.0.0", 300).to_string()).unwrap();
    fs::write(folder.path().join("tighter.json"), theirs("3.0.0", 100).to_string()).unwrap();
    folder
}

#[test]
fn check_reports_what_breaks() {
    let folder = folder();
    let same = run(folder.path(), &["check", "ours.yaml", "same.json"], "");
    assert_eq!(
        (same.code, &*same.stdout),
        (Some(0), "drift: none\nThe client works with: createUser.\n")
    );

    let tighter = run(folder.path(), &["check", "ours.yaml", "tighter.json"], "");
    let expected = "\
BREAK createUser request.name: `maxLength` 100 is tighter [bound] (ours.yaml:14, tighter.json:1)
drift: break
Change the spec until no BREAK is left.
";
    assert_eq!((tighter.code, &*tighter.stdout), (Some(1), expected));
}

#[test]
fn either_document_can_come_from_standard_input() {
    let folder = folder();
    let document = theirs("1.0.0", 100).to_string();
    let theirs = run(folder.path(), &["check", "ours.yaml", "-"], &document);
    assert!(theirs.stdout.starts_with("BREAK createUser request.name: "), "{}", theirs.stdout);
    let ours = run(folder.path(), &["check", "-", "same.json"], OURS);
    assert_eq!(ours.code, Some(0), "{}", ours.stderr);
    let both = run(folder.path(), &["check", "-", "-"], OURS);
    assert_eq!(both.code, Some(2), "{}", both.stdout);
    assert!(both.stderr.contains("only one document"), "{}", both.stderr);
}

#[test]
fn pinned_version_is_known() {
    let folder = folder();
    let pin = ["pin", "same.json", "--ours", "ours.yaml", "--out", "pins"];
    let pinned = run(folder.path(), &pin, "");
    assert_eq!((pinned.code, &*pinned.stdout), (Some(0), "pinned as pins/1.0.0.json\n"));

    let check = |theirs| run(folder.path(), &["check", "ours.yaml", theirs, "--pins", "pins"], "");
    let same = check("same.json");
    let expected = "\
INFO Theirs: version 1.0.0; the newest pin is 1.0.0.
drift: none
The document agrees with pin 1.0.0: createUser.
";
    assert_eq!((same.code, &*same.stdout), (Some(0), expected));

    let wider = check("wider.json");
    let expected = "\
INFO Theirs: version 2.0.0; the newest pin is 1.0.0.
NOTICE createUser request.name.maxLength: was 200, is 300 [changed] (ours.yaml:14, wider.json:1)
drift: notice
Change the spec until no BREAK is left, then pin the document:
contract-drift pin wider.json --out pins --ours ours.yaml
";
    assert_eq!((wider.code, &*wider.stdout), (Some(0), expected));
    let args = ["check", "ours.yaml", "wider.json", "--pins", "pins", "--fail-on", "notice"];
    assert_eq!(run(folder.path(), &args, "").code, Some(1));

    // A break is not also a notice.
    let tighter = check("tighter.json");
    assert!(tighter.stdout.contains("\nBREAK createUser request.name: "), "{}", tighter.stdout);
    assert!(!tighter.stdout.contains("NOTICE"), "{}", tighter.stdout);
}

#[test]
fn notices_are_differences_from_the_nearest_pin() {
    let folder = folder();
    let write = |version: &str, max_length, operation: Value| {
        let mut document = theirs(version, max_length);
        let kept = &mut document["paths"]["/users"]["post"];
        kept.as_object_mut().unwrap().extend(operation.as_object().unwrap().clone());
        fs::write(folder.path().join("theirs.json"), document.to_string()).unwrap();
    };
    let pin = ["pin", "theirs.json", "--ours", "ours.yaml", "--out", "pins"];
    write("1.0.0", 200, json!({}));
    run(folder.path(), &pin, "");
    write("2.0.0", 300, json!({ "deprecated": true }));
    run(folder.path(), &pin, "");
    write("3.0.0", 200, json!({ "x-sunset": "2030-01-01" }));
    let check = run(folder.path(), &["check", "ours.yaml", "theirs.json", "--pins", "pins"], "");
    let notices: Vec<_> = check.stdout.lines().filter(|l| l.starts_with("NOTICE")).collect();
    assert_eq!(notices.len(), 1, "{notices:?}");
    let start = "NOTICE createUser x-sunset: new, \"2030-01-01\" [changed] ";
    assert!(notices[0].starts_with(start), "{notices:?}");
}

#[test]
fn pin_warns_of_what_breaks() {
    let folder = folder();
    let args = ["pin", "tighter.json", "--ours", "ours.yaml", "--out", "pins", "--as", "3.1"];
    let pinned = run(folder.path(), &args, "");
    let expected = "\
WARNING the client does not work against the pinned contract:
BREAK createUser request.name: `maxLength` 100 is tighter [bound] (ours.yaml:14, tighter.json:1)
pinned as pins/3.1.json
";
    assert_eq!((pinned.code, &*pinned.stdout), (Some(0), expected));
    let pin = fs::read_to_string(folder.path().join("pins/3.1.json")).unwrap();
    assert!(pin.contains("\"createUser\": {\n    \"method\": \"post\""), "{pin}");

    // Without our document, all operations are pinned.
    let pinned = run(folder.path(), &["pin", "same.json", "--out", "all"], "");
    assert_eq!(pinned.code, Some(0), "{}", pinned.stderr);
    let pin = fs::read_to_string(folder.path().join("all/1.0.0.json")).unwrap();
    assert!(pin.contains("\"post /users\": {"), "{pin}");
}

#[test]
fn versions_of_any_form_are_pinned() {
    let folder = folder();
    for version in ["v1", "1.0.0-beta", "2022-11-28"] {
        let args = ["pin", "same.json", "--ours", "ours.yaml", "--out", "pins", "--as", version];
        let pinned = run(folder.path(), &args, "");
        let line = format!("pinned as pins/{version}.json\n");
        assert_eq!((pinned.code, pinned.stdout), (Some(0), line), "{}", pinned.stderr);
    }
    let check = run(folder.path(), &["check", "ours.yaml", "same.json", "--pins", "pins"], "");
    assert_eq!(check.code, Some(0), "{}", check.stderr);
    let start = "WARNING Theirs: version 1.0.0 is older than the newest pin, 2022-11-28.";
    assert!(check.stdout.starts_with(start), "{}", check.stdout);
}

#[test]
fn outdated_document_warns() {
    let folder = folder();
    for (document, version) in [("same.json", "1.0.0"), ("wider.json", "2.0.0")] {
        let pinned = run(folder.path(), &["pin", document, "--out", "pins"], "");
        assert_eq!(pinned.stdout, format!("pinned as pins/{version}.json\n"));
    }
    let old = run(folder.path(), &["check", "ours.yaml", "same.json", "--pins", "pins"], "");
    let start = "WARNING Theirs: version 1.0.0 is older than the newest pin, 2.0.0.";
    assert!(old.stdout.starts_with(start), "{}", old.stdout);
}

#[test]
fn bad_input_is_one_error_line() {
    let folder = folder();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("broken.yaml", "a: [1\nb: 2\n");
    write("broken.json", "{\"openapi\": \"3.0.0\"");
    write("empty.yaml", "");
    write("other.yaml", "openapi: 3.2.0");
    write("none.yaml", "openapi: 3.0.0\npaths: {}\n");
    write("list.yaml", "openapi: 3.0.0\npaths: []\n");
    write("item.yaml", "openapi: 3.0.0\npaths: { /users: [] }\n");
    write("deep.json", &"[".repeat(100_000));
    write("deep.yaml", &format!("a: {}", "[".repeat(10_000)));
    write("ignore.yaml", "{}");
    run(folder.path(), &["pin", "same.json", "--out", "good"], "");
    fs::create_dir(folder.path().join("damaged")).unwrap();
    write("damaged/1.0.0.json", "{ \"createUser\": {} }");
    write("dangling.yaml", "openapi: 3.0.0\npaths: { /a: { $ref: '#/b' } }\n");
    fs::write(folder.path().join("binary.yaml"), [0xff, 0xfe]).unwrap();
    fs::create_dir(folder.path().join("pins")).unwrap();
    let cases: [(&[&str], &str); 21] = [
        (&["check", "none.json", "same.json"], "none.json: "),
        (&["check", "ours.yaml", "none.json"], "none.json: "),
        (&["check", "ours.yaml", "."], ".: "),
        (&["check", "ours.yaml", "broken.yaml"], "broken.yaml: not YAML: "),
        (&["check", "ours.yaml", "broken.json"], "broken.json: not JSON: "),
        (&["check", "ours.yaml", "binary.yaml"], "binary.yaml: "),
        (&["check", "ours.yaml", "empty.yaml"], "empty.yaml: not an OpenAPI document"),
        (&["check", "ours.yaml", "other.yaml"], "other.yaml: not OpenAPI 3.0 or 3.1"),
        (&["check", "ours.yaml", "list.yaml"], "list.yaml: `paths` is not an object"),
        (&["check", "list.yaml", "same.json"], "list.yaml: `paths` is not an object"),
        (&["check", "ours.yaml", "item.yaml"], "item.yaml: /users: [] is not an object"),
        (&["check", "ours.yaml", "deep.json"], "deep.json: not JSON: recursion limit exceeded"),
        (&["check", "ours.yaml", "deep.yaml"], "deep.yaml: not YAML: recursion limit exceeded"),
        (&["check", "ours.yaml", "good/1.0.0.json"], "good/1.0.0.json: a pin, not an OpenAPI"),
        (
            &["check", "ours.yaml", "same.json", "--pins", "damaged"],
            "damaged/1.0.0.json: a damaged pin: createUser: `method` is missing",
        ),
        (
            &["check", "ours.yaml", "same.json", "--ignore", "ignore.yaml"],
            "ignore.yaml: not a list of findings",
        ),
        (&["check", "none.yaml", "same.json"], "none.yaml: it has no operations"),
        (&["check", "dangling.yaml", "same.json"], "dangling.yaml: /a: dangling reference #/b"),
        (&["check", "ours.yaml", "same.json", "--pins", "pins"], "pins: it contains no pin"),
        (&["pin", "none.yaml", "--out", "pins"], "the document has no version: give one with --as"),
        (&["pin", "same.json", "--out", "pins", "--as", "../x"], "\"../x\" is not a version"),
    ];
    for (args, cause) in cases {
        let Run { code, stdout, stderr } = run(folder.path(), args, "");
        assert_eq!((code, &*stdout), (Some(2), ""), "{args:?}: {stderr}");
        assert!(
            stderr.starts_with(&format!("drift: cannot compare: {cause}")),
            "{args:?}: {stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{args:?}: {stderr}");
    }
    let usage = run(folder.path(), &["check", "--pin"], "");
    assert_eq!(usage.code, Some(2), "{}", usage.stderr);
}

/// A document whose body is this schema of `components`.
fn of_schemas(schemas: Value) -> String {
    let mut document = theirs("1.0.0", 200);
    let schema = "/paths/~1users/post/requestBody/content/application~1json/schema";
    *document.pointer_mut(schema).unwrap() = json!({ "$ref": "#/components/schemas/0" });
    document["components"] = json!({ "schemas": schemas });
    document.to_string()
}

#[test]
fn documents_beyond_a_limit_are_not_compared() {
    struct Case {
        name: &'static str,
        schemas: Value,
        code: i32,
        text: &'static str,
    }
    let reference = |n: usize| json!({ "$ref": format!("#/components/schemas/{n}") });
    let chain = |length: usize, link: &dyn Fn(Value) -> Value, last: Value| -> Value {
        let links = (0..length).map(|n| (n.to_string(), link(reference(n + 1))));
        links.chain([(length.to_string(), last)]).collect()
    };
    let body = theirs("1.0.0", 200);
    let body = &body["paths"]["/users"]["post"]["requestBody"]["content"]["application/json"];
    let body = body["schema"].clone();
    let cases = [
        Case {
            name: "nested references",
            schemas: chain(1000, &|next| json!({ "properties": { "name": next } }), json!({})),
            code: 2,
            text: "createUser: its schemas are nested too deeply to be compared",
        },
        Case {
            name: "a chain",
            schemas: chain(3000, &|next| next, body.clone()),
            code: 0,
            text: "",
        },
        Case {
            name: "a circle of nothing but references",
            schemas: chain(1000, &|next| next, reference(0)),
            code: 1,
            text: "BREAK createUser: circular reference #/components/schemas/0 [operation-unreadable]",
        },
        Case {
            name: "a pattern that takes exponential time elsewhere",
            schemas: json!({ "0": {
                "type": "object",
                "patternProperties": { "^(n+)+$": { "type": "integer" } },
            } }),
            code: 0,
            text: "",
        },
    ];
    let folder = folder();
    let name = "n".repeat(40) + "!";
    fs::write(folder.path().join("long.yaml"), OURS.replace("name", &name)).unwrap();
    for Case { name, schemas, code, text } in cases {
        let ours = if name.starts_with("a pattern") { "long.yaml" } else { "ours.yaml" };
        let check = run(folder.path(), &["check", ours, "-"], &of_schemas(schemas));
        let output = check.stdout + &check.stderr;
        assert!(check.code == Some(code) && output.contains(text), "{name}: {code:?} {output}");
    }
    let nested = chain(1000, &|next| json!({ "items": next }), json!({}));
    let pinned = run(folder.path(), &["pin", "-", "--out", "pins"], &of_schemas(nested));
    let text = "post /users: its schemas are nested too deeply to be compared";
    assert!(pinned.code == Some(2) && pinned.stderr.contains(text), "{}", pinned.stderr);
}

#[test]
fn schemas_that_take_too_many_steps_are_not_compared() {
    let folder = folder();
    let write = |name: &str, depth: u32| {
        let schema = (0..depth).fold(
            json!({ "type": "object" }),
            |schema, n| json!({ "anyOf": [schema, { "maxProperties": n }], "minProperties": 1 }),
        );
        let document = of_schemas(json!({ "0": schema }));
        fs::write(folder.path().join(name), document).unwrap();
    };
    write("ours.json", 30);
    write("theirs.json", 29);
    let check = run(folder.path(), &["check", "ours.json", "theirs.json"], "");
    let line = "drift: cannot compare: theirs.json: post /users request: the schemas are too complex to \
                be compared\n";
    assert_eq!((check.code, &*check.stdout, &*check.stderr), (Some(2), "", line));
}

#[test]
fn missing_operation_is_a_break() {
    let folder = folder();
    let empty = run(folder.path(), &["check", "ours.yaml", "-"], "openapi: 3.0.0");
    let line = "BREAK createUser: the document lacks post /users [operation-missing] ";
    assert!(empty.code == Some(1) && empty.stdout.starts_with(line), "{}", empty.stdout);
}

#[test]
fn json_has_the_place_in_both_documents() {
    let folder = folder();
    let check = run(folder.path(), &["check", "ours.yaml", "tighter.json", "--json"], "");
    let outcome: Value = serde_json::from_str(&check.stdout).unwrap();
    let pointer = |root: &str| {
        format!("{root}/post/requestBody/content/application~1json/schema/properties/name")
    };
    let expected = json!({
        "verdict": "break",
        "title": "Theirs",
        "version": "3.0.0",
        "pin": null,
        "operations": ["createUser"],
        "findings": [{
            "verdict": "break",
            "code": "bound",
            "operation": "createUser",
            "place": "request.name",
            "text": "`maxLength` 100 is tighter",
            "ours": { "pointer": pointer("/paths/~1users"), "line": 14 },
            "theirs": { "pointer": pointer("/paths/~1users"), "line": 1 },
        }],
        "unused": [],
    });
    assert_eq!((check.code, outcome), (Some(1), expected));
}

#[test]
fn findings_can_be_ignored() {
    let folder = folder();
    let ignore = "[{ operation: createUser, code: bound }, { place: response }]";
    fs::write(folder.path().join("ignore.yaml"), ignore).unwrap();
    let args = ["check", "ours.yaml", "tighter.json", "--ignore", "ignore.yaml"];
    let check = run(folder.path(), &args, "");
    let expected = "\
WARNING no finding matches the entry of --ignore: response
drift: none
The client works with: createUser.
";
    assert_eq!((check.code, &*check.stdout), (Some(0), expected));
}

#[test]
fn operations_can_be_chosen() {
    let folder = folder();
    let two = OURS.to_owned()
        + "    get: { operationId: listUsers, responses: { 200: { description: All } } }\n";
    fs::write(folder.path().join("two.yaml"), two).unwrap();
    let all = run(folder.path(), &["check", "two.yaml", "same.json"], "");
    let line = "BREAK listUsers: the document lacks get /users [operation-missing]";
    assert!(all.code == Some(1) && all.stdout.starts_with(line), "{}", all.stdout);
    let args = ["check", "two.yaml", "same.json", "--operation", "createUser"];
    let one = run(folder.path(), &args, "");
    assert_eq!(one.stdout, "drift: none\nThe client works with: createUser.\n");
    let args = ["check", "two.yaml", "same.json", "--operation", "deleteUser"];
    let none = run(folder.path(), &args, "");
    let line = "drift: cannot compare: two.yaml: it has no operation deleteUser\n";
    assert_eq!((none.code, &*none.stderr), (Some(2), line));
}

#[test]
fn operation_can_start_at_a_later_version() {
    let folder = folder();
    let two = OURS.to_owned()
        + "    get: { operationId: listUsers, responses: { 200: { description: All } } }\n";
    fs::write(folder.path().join("two.yaml"), two).unwrap();
    let mut later = theirs("2.0.0", 200);
    later["paths"]["/users"]["get"] = json!({ "responses": { "200": {} } });
    fs::write(folder.path().join("later.json"), later.to_string()).unwrap();
    let pin = |theirs| {
        run(folder.path(), &["pin", theirs, "--ours", "two.yaml", "--out", "pins"], "").stdout
    };
    let check = || run(folder.path(), &["check", "two.yaml", "later.json", "--pins", "pins"], "");
    assert!(pin("same.json").ends_with("\npinned as pins/1.0.0.json\n"));
    assert!(check().stdout.contains("\nNOTICE listUsers: is not pinned [changed]"));
    assert_eq!(pin("later.json"), "pinned as pins/2.0.0.json\n");
    let line = "The document agrees with pin 2.0.0: createUser, listUsers.\n";
    assert!(check().stdout.ends_with(line), "{}", check().stdout);
}

#[test]
fn file_next_to_the_spec_describes_the_client() {
    let folder = folder();
    let mut document = theirs("1.0.0", 200);
    let key = json!({ "type": "apiKey", "in": "header", "name": "X-Key" });
    document["components"]["securitySchemes"]["key"] = key;
    document["security"] = json!([{ "key": [] }]);
    fs::write(folder.path().join("theirs.json"), document.to_string()).unwrap();
    let check = || run(folder.path(), &["check", "ours.yaml", "theirs.json"], "");
    assert!(check().stdout.contains("[security-unmet]"), "{}", check().stdout);
    let write = |text| fs::write(folder.path().join("ours.drift.yaml"), text).unwrap();
    write("sends: [{ in: header, name: x-key }]");
    assert_eq!(check().code, Some(0), "{}", check().stdout);
    write("");
    assert_eq!(check().code, Some(1), "{}", check().stderr);
    write("sends: 1");
    let line = "drift: cannot compare: ours.drift.yaml: ";
    assert!(check().stderr.starts_with(line), "{}", check().stderr);
}

#[test]
fn help_and_version_are_printed() {
    let folder = folder();
    let version = run(folder.path(), &["--version"], "");
    assert_eq!(version.stdout, format!("contract-drift {}\n", env!("CARGO_PKG_VERSION")));
    for args in [&["--help"][..], &["check", "--help"], &["pin", "--help"]] {
        let help = run(folder.path(), args, "");
        assert!(help.code == Some(0) && help.stdout.contains("Usage: "), "{args:?}");
    }
}
