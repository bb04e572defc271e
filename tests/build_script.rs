//! build.rs on broken specs: one readable error, with file, place and cause.
#![allow(clippy::type_complexity)] // tables of cases

use std::fs;
use std::process::Command;

/// What the build script prints for this spec, and what it generates.
fn build(spec: Option<&str>) -> (String, Option<String>) {
    let folder = tempfile::tempdir().unwrap();
    if let Some(spec) = spec {
        fs::create_dir(folder.path().join("spec")).unwrap();
        fs::write(folder.path().join("spec/botpress.yaml"), spec).unwrap();
    }
    let output = Command::new(env!("BUILD_SCRIPT"))
        .current_dir(folder.path())
        .env("OUT_DIR", folder.path())
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "no panic, no backtrace: {output:?}"
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    (printed, fs::read_to_string(folder.path().join("types.rs")).ok())
}

/// What is replaced in the spec, by what, and what the error has to say.
#[test]
fn a_broken_spec_ends_in_one_error() {
    let spec = include_str!("../spec/botpress.yaml");
    let edits = [
        ("openapi: 3.0.3", "openapi: [3.0.3", "not YAML: ", "line 12"),
        ("openapi: 3.0.3", "openapi: 3.1.0", "openapi: ", "is 3.1.0, has to be 3.0.x"),
        ("openapi: 3.0.3", "swagger: 2.0", "openapi: ", "not an OpenAPI document"),
        ("paths:", "path:", "not OpenAPI 3.0: ", "missing field `paths`"),
        ("info:", "info: 1\nx-info:", "not OpenAPI 3.0: ", "info"),
        ("servers:", "x-servers:", "servers: ", "at least one"),
        (
            "operationId: getOrCreateMessage",
            "x-id: other",
            "paths./v1/chat/messages/get-or-create.post: ",
            "no operationId",
        ),
        (
            "    post:",
            "    put:",
            "paths./v1/chat/messages/get-or-create: ",
            "no `post` of its own",
        ),
        ("x-within: []", "x-within: 1", "GetOrCreateMessageBody.x-within: ", "list of strings"),
        (
            "      required: [user]\n",
            "",
            "#/components/schemas/GetOrCreateUserResponse: ",
            "one required property",
        ),
        (
            "        \"200\":",
            "        \"201\":",
            "paths./v1/chat/messages/get-or-create.post.responses.200: ",
            "has to refer to a schema",
        ),
        (
            "      requestBody:",
            "      x-body:",
            "paths./v1/chat/messages/get-or-create.post.requestBody: ",
            "has to refer to a schema",
        ),
        (
            "        $ref: \"#/components/schemas/TagName\"",
            "        $ref: \"#/components/schemas/Nope\"",
            "#/components/schemas/DiscriminateByTags.items: ",
            "Nope does not exist",
        ),
        (
            "      maxLength: 200",
            "      pattern: \"^a\"",
            "#/components/schemas/MessageType",
            "has no rule",
        ),
        (
            "      minimum: 0",
            "      multipleOf: 1",
            "#/components/schemas/ScheduleDelay",
            "has no rule",
        ),
        (
            "x-extensible-enum: [incoming, outgoing]",
            "x-extensible-enum: 1",
            "components.schemas.Direction.x-extensible-enum: ",
            "list of strings",
        ),
        (
            "          description: What it shows.\n",
            "",
            "components.schemas.",
            "has no description",
        ),
        (
            "enum: [synthetic]",
            "enum: [null]",
            "#/components/schemas/NewMessageOrigin",
            "has no rule",
        ),
        (
            "        outgoing: from the bot",
            "        other: from the bot",
            "Direction.x-enum-descriptions: ",
            "outgoing is missing",
        ),
        (
            "x-extensible-enum: [postback",
            "x-extensible-enum: [3d",
            "components.schemas.CardActionKind",
            "\"3d\" cannot be a name",
        ),
        (
            "        longitude:",
            "        type:",
            "components.schemas.Location.properties.",
            "longitude",
        ),
        (
            "        address:",
            "        type:",
            "components.schemas.Location.properties.type",
            "\"type\" cannot be a name",
        ),
        (
            "      description: The name of a tag of the same request.\n      type: string\n      maxLength: 500",
            "      type: array\n      items: { $ref: \"#/components/schemas/TagName\" }",
            "#/components/schemas/TagName.items",
            "refers to itself",
        ),
        (
            "      minLength: 24",
            "      anyOf: [{}]\n      minLength: 24",
            "#/components/schemas/ScheduleDateTime",
            "has no rule",
        ),
        ("    Direction:", "    Directions:", "progenitor cannot generate from it", "Direction"),
    ];
    for (from, to, place, cause) in edits {
        assert!(spec.contains(from), "{from}");
        let (printed, generated) = build(Some(&spec.replacen(from, to, 1)));
        let errors: Vec<_> = printed.lines().filter(|line| line.contains("::error=")).collect();
        let [error] = errors[..] else { panic!("{from} -> {to}: {printed}") };
        assert!(error.starts_with("cargo::error=spec/botpress.yaml: "), "{error}");
        assert!(error.contains(place) && error.contains(cause), "{from} -> {to}: {error}");
        assert_eq!(generated, None, "{to}");
    }
    let (printed, _) = build(None);
    assert!(printed.contains("cargo::error=spec/botpress.yaml: cannot be read: "), "{printed}");
    let (printed, _) = build(Some(""));
    assert!(printed.contains("not an OpenAPI document"), "{printed}");
}

#[test]
fn a_changed_bound_changes_the_client_and_nothing_else_is_watched() {
    let spec = include_str!("../spec/botpress.yaml");
    let (printed, before) = build(Some(spec));
    assert_eq!(before.as_deref(), Some(include_str!(concat!(env!("OUT_DIR"), "/types.rs"))));
    let watched: Vec<_> = printed.lines().filter(|line| line.contains("rerun-if")).collect();
    assert_eq!(watched, ["cargo::rerun-if-changed=spec/botpress.yaml"]);
    let (_, after) = build(Some(&spec.replace("maxLength: 200", "maxLength: 201")));
    assert!(after.unwrap().contains("max: Some(201usize)"));
}
