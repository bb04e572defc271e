//! build.rs on other specs: what it understands changes the result, and anything else is one readable error with
//! file, place and cause.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs};

const SPEC: &str = include_str!("../spec/botpress.yaml");

/// Replaces the first occurrence of a text.
#[derive(Clone, Copy, Debug)]
struct Edit {
    from: &'static str,
    to: &'static str,
}

/// An edit that the generator does not understand.
struct Rejected {
    edit: Edit,
    /// Where the error is: a dotted path.
    place: &'static str,
    /// Words of the error.
    words: &'static str,
}

/// An edit that changes what is generated.
struct Followed {
    edit: Edit,
    /// A part of the generated types or client.
    generated: &'static str,
}

// Lines after which a test adds one.
const TEXT: &str = "          description: The text; it can be empty.\n          type: string\n";
const MESSAGE_ID: &str = "          description: The id of the message.\n          type: string\n";
const COUNT: &str = "Versions before 1.80 do not have it.\n          type: number\n";
const OPERATION: &str = "      operationId: getOrCreateMessage\n";
const PARAMETERS: &str = "      parameters: &caller\n";
const SCHEMAS: &str = "  schemas:\n";

const fn replaced(from: &'static str, to: &'static str) -> Edit {
    Edit { from, to }
}

/// The same text, and a line after it.
fn after(from: &'static str, line: &str) -> Edit {
    Edit { from, to: format!("{from}{line}").leak() }
}

/// The output of the build script for this spec, and the generated code.
fn build(spec: Option<&str>) -> (String, Option<String>) {
    static BUILDS: AtomicUsize = AtomicUsize::new(0);
    let number = BUILDS.fetch_add(1, Ordering::Relaxed);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("build-script-{number}"));
    let _ = fs::remove_dir_all(&folder); // of an earlier run
    fs::create_dir_all(folder.join("spec")).unwrap();
    if let Some(spec) = spec {
        fs::write(folder.join("spec/botpress.yaml"), spec).unwrap();
    }
    let output = Command::new(env!("BUILD_SCRIPT"))
        .current_dir(&folder)
        .env("OUT_DIR", &folder)
        .output()
        .unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "no panic, no backtrace: {output:?}"
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    let read = |name| fs::read_to_string(folder.join(name)).ok();
    (printed, read("rules.rs").map(|rules| rules + &read("api.rs").unwrap()))
}

fn edited(Edit { from, to }: Edit) -> String {
    assert!(SPEC.contains(from), "{from}");
    SPEC.replacen(from, to, 1)
}

fn assert_rejected(cases: &[Rejected]) {
    for Rejected { edit, place, words } in cases {
        let (printed, generated) = build(Some(&edited(*edit)));
        let errors: Vec<_> = printed.lines().filter(|line| line.contains("::error=")).collect();
        let [error] = errors[..] else { panic!("{edit:?}: {printed}") };
        let error = error.strip_prefix("cargo::error=spec/botpress.yaml: ").unwrap();
        assert!(
            error.starts_with(&format!("{place}: ")) && error.contains(words),
            "{edit:?}: {error}"
        );
        assert_eq!(generated, None, "{edit:?}");
    }
}

fn assert_followed(cases: &[Followed]) {
    let words = |text: &str| text.split_whitespace().collect::<String>();
    let before = words(&build(Some(SPEC)).1.unwrap());
    for Followed { edit, generated } in cases {
        let (printed, found) = build(Some(&edited(*edit)));
        let found = words(&found.unwrap_or_else(|| panic!("{edit:?}: {printed}")));
        let generated = words(generated);
        assert!(
            found.contains(&generated) && !before.contains(&generated),
            "{edit:?}: {generated}"
        );
    }
}

#[test]
fn unknown_keywords_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: after(TEXT, "          maxLenght: 5\n"),
            place: "components.schemas.Text.properties.text.maxLenght",
            words: "did you mean `maxLength`?",
        },
        Rejected {
            edit: after(TEXT, "          x-privat: true\n"),
            place: "components.schemas.Text.properties.text.x-privat",
            words: "did you mean `x-private`?",
        },
        Rejected {
            edit: after(TEXT, "          x-color: blue\n"),
            place: "components.schemas.Text.properties.text.x-color",
            words: "remove it, or use one of `description`",
        },
        Rejected {
            edit: after(TEXT, "          items: { type: string }\n"),
            place: "components.schemas.Text.properties.text.items",
            words: "belongs to `type: array`",
        },
        Rejected {
            edit: after(TEXT, "          anyOf: [{}]\n"),
            place: "components.schemas.Text.properties.text.anyOf",
            words: "write `oneOf`",
        },
        Rejected {
            edit: after(TEXT, "          oneOf: [{}]\n"),
            place: "components.schemas.Text.properties.text.oneOf",
            words: "replaces `type`",
        },
        Rejected {
            edit: after(TEXT, "          default: Hello\n"),
            place: "components.schemas.Text.properties.text.default",
            words: "remove it",
        },
        Rejected {
            edit: after(TEXT, "          title: Words\n"),
            place: "components.schemas.Text.properties.text.title",
            words: "remove it",
        },
        Rejected {
            edit: after(TEXT, "          readOnly: true\n"),
            place: "components.schemas.Text.properties.text.readOnly",
            words: "has no effect",
        },
        Rejected {
            edit: replaced("      required: [user]", "      requried: [user]"),
            place: "components.schemas.GetOrCreateUserResponse.requried",
            words: "did you mean `required`?",
        },
        Rejected {
            edit: replaced(
                "      additionalProperties: false",
                "      additionalproperties: false",
            ),
            place: "components.schemas.NewMessage.additionalproperties",
            words: "did you mean `additionalProperties`?",
        },
        Rejected {
            edit: replaced("paths:\n", "path:\n"),
            place: "path",
            words: "did you mean `paths`?",
        },
        Rejected {
            edit: replaced("info:\n", "tags: []\ninfo:\n"),
            place: "tags",
            words: "not used by the generated code",
        },
        Rejected {
            edit: replaced("  version: 1.108.0", "  version: 1.108.0\n  contact: { name: x }"),
            place: "info.contact",
            words: "not used by the generated code",
        },
    ]);
}

#[test]
fn keywords_of_other_versions_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: replaced("openapi: 3.0.3", "openapi: 3.1.0"),
            place: "openapi",
            words: "is 3.1.0, has to be 3.0.x",
        },
        Rejected {
            edit: replaced("openapi: 3.0.3", "openapi: 3.0"),
            place: "openapi",
            words: "is the number 3.0",
        },
        Rejected {
            edit: replaced("openapi: 3.0.3", "swagger: \"2.0\""),
            place: "swagger",
            words: "not an OpenAPI document",
        },
        Rejected {
            edit: replaced("openapi: 3.0.3", "x: 1"),
            place: "openapi",
            words: "not an OpenAPI document",
        },
        Rejected {
            edit: after(TEXT, "          const: Hello\n"),
            place: "components.schemas.Text.properties.text.const",
            words: "3.1; in 3.0 write an `enum`",
        },
        Rejected {
            edit: after(TEXT, "          examples: [Hello]\n"),
            place: "components.schemas.Text.properties.text.examples",
            words: "3.1",
        },
        Rejected {
            edit: replaced("  schemas:\n", "  pathItems: {}\n  schemas:\n"),
            place: "components.pathItems",
            words: "3.1",
        },
        Rejected {
            edit: replaced("paths:\n", "webhooks: {}\npaths:\n"),
            place: "webhooks",
            words: "3.1",
        },
        Rejected {
            edit: replaced(
                "      type: number\n      minimum: 0\n",
                "      type: number\n      exclusiveMinimum: 0\n",
            ),
            place: "components.schemas.ScheduleDelay.exclusiveMinimum",
            words: "write `minimum`",
        },
        Rejected {
            edit: replaced(
                "          description: The id of the message.\n          type: string",
                "          description: The id of the message.\n          type: [string, \"null\"]",
            ),
            place: "components.schemas.Message.properties.id.type",
            words: "3.1; in 3.0 write one",
        },
        Rejected {
            edit: replaced(
                "          description: The id of the message.\n          type: string",
                "          description: The id of the message.\n          type: str",
            ),
            place: "components.schemas.Message.properties.id.type",
            words: "did you mean `string`?",
        },
    ]);
}

#[test]
fn values_of_the_wrong_type_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: replaced("version: 1.108.0", "version: 1.108"),
            place: "info.version",
            words: "put it in quotes",
        },
        Rejected {
            edit: replaced("maxLength: 500", "maxLength: \"500\""),
            place: "components.schemas.TagValue.maxLength",
            words: "a whole number from 0 on",
        },
        Rejected {
            edit: replaced("maxLength: 500", "maxLength: -1"),
            place: "components.schemas.TagValue.maxLength",
            words: "a whole number from 0 on",
        },
        Rejected {
            edit: replaced("maxLength: 500", "maxLength: 5000000000"),
            place: "components.schemas.TagValue.maxLength",
            words: "at most",
        },
        Rejected {
            edit: replaced("minimum: 0", "minimum: \"0\""),
            place: "components.schemas.ScheduleDelay.minimum",
            words: "a number",
        },
        Rejected {
            edit: replaced("minimum: 0", "minimum: .nan"),
            place: "components.schemas.ScheduleDelay.minimum",
            words: "a number",
        },
        Rejected {
            edit: replaced("required: [tags]", "required: tags"),
            place: "components.schemas.NewUser.required",
            words: "a list of strings",
        },
        Rejected {
            edit: after(TEXT, "          nullable: \"true\"\n"),
            place: "components.schemas.Text.properties.text.nullable",
            words: "true, without quotes",
        },
        Rejected {
            edit: after(TEXT, "          deprecated: false\n"),
            place: "components.schemas.Text.properties.text.deprecated",
            words: "has no effect",
        },
        Rejected {
            edit: replaced(
                "      additionalProperties: {}\n",
                "      additionalProperties: \"no\"\n",
            ),
            place: "components.schemas.Text.additionalProperties",
            words: "true, false or a schema",
        },
        Rejected {
            edit: replaced(
                "      description: Plain text.\n      type",
                "      description: 5\n      type",
            ),
            place: "components.schemas.Text.description",
            words: "put it in quotes",
        },
        Rejected {
            edit: replaced(
                "      description: Plain text.\n      type",
                "      description: \"a\\rb\"\n      type",
            ),
            place: "components.schemas.Text.description",
            words: "a control character",
        },
        Rejected {
            edit: replaced(
                "      description: Plain text.\n      type",
                "      description: \"\"\n      type",
            ),
            place: "components.schemas.Text.description",
            words: "is empty",
        },
        Rejected {
            edit: replaced(
                "do not have it.\n          type: number\n",
                "do not have it.\n          type: array\n          items: [{ type: string }]\n",
            ),
            place: "components.schemas.Conversation.properties.messageCount.items",
            words: "a mapping",
        },
    ]);
}

#[test]
fn broken_yaml_is_rejected() {
    assert_rejected(&[
        Rejected {
            edit: replaced("openapi: 3.0.3", "openapi: [3.0.3"),
            place: "line 13 column 5",
            words: "not YAML",
        },
        Rejected {
            edit: after(SCHEMAS, "    Tags: {}\n"),
            place: "components.schemas.Tags",
            words: "is there twice",
        },
        Rejected {
            edit: replaced("security:\n", "info: {}\nsecurity:\n"),
            place: "info",
            words: "is there twice",
        },
        Rejected {
            edit: after(SCHEMAS, "    7: {}\n"),
            place: "components.schemas",
            words: "the number 7 has to be in quotes",
        },
        Rejected {
            edit: after(SCHEMAS, "    Empty:\n"),
            place: "components.schemas.Empty",
            words: "a mapping, but is nothing",
        },
        Rejected {
            edit: after(TEXT, "          <<: 5\n"),
            place: "components.schemas.Text.properties.text.<<",
            words: "only a mapping can be merged",
        },
        Rejected {
            edit: after(TEXT, "          format: !date date\n"),
            place: "components.schemas.Text.properties.text.format",
            words: "tagged !date",
        },
    ]);
}

#[test]
fn rules_that_no_request_can_satisfy_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: replaced("      minLength: 24\n", "      minLength: 29\n"),
            place: "components.schemas.ScheduleDateTime.minLength",
            words: "more than `maxLength`, 28",
        },
        Rejected {
            edit: replaced("required: [tags]", "required: [tags, nam]"),
            place: "components.schemas.NewUser.required.1",
            words: "did you mean `name`?",
        },
        Rejected {
            edit: replaced("required: [tags]", "required: [tags, tags]"),
            place: "components.schemas.NewUser.required.1",
            words: "there twice",
        },
        Rejected {
            edit: replaced(
                "      enum: [synthetic]",
                "      enum: [synthetic]\n      maxLength: 3",
            ),
            place: "components.schemas.NewMessageOrigin.maxLength",
            words: "no effect next to `enum`",
        },
    ]);
}

/// Requests are checked by rules; a keyword without a rule would be a gap.
#[test]
fn keywords_without_a_rule_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: replaced("minimum: 0", "minimum: 0\n      multipleOf: 1"),
            place: "components.schemas.ScheduleDelay.multipleOf",
            words: "no rule",
        },
        Rejected {
            edit: replaced("minimum: 0", "minimum: 0\n      maximum: 1"),
            place: "components.schemas.ScheduleDelay.maximum",
            words: "no rule",
        },
        Rejected {
            edit: replaced("type: number\n      minimum: 0", "type: integer"),
            place: "components.schemas.ScheduleDelay.type",
            words: "no rule",
        },
        Rejected {
            edit: replaced("type: number\n      minimum: 0", "type: number\n      format: double"),
            place: "components.schemas.ScheduleDelay.format",
            words: "no rule",
        },
        Rejected {
            edit: replaced("      maxLength: 200", "      pattern: \"^a\""),
            place: "components.schemas.MessageType.pattern",
            words: "only \"^(?:[0-9]{4}-",
        },
        Rejected {
            edit: replaced("      maxLength: 200", "      format: uuid"),
            place: "components.schemas.MessageType.format",
            words: "only date-time and date",
        },
        Rejected {
            edit: replaced("      maxLength: 200", "      x-date-time: true"),
            place: "components.schemas.MessageType.x-date-time",
            words: "unknown keyword",
        },
        Rejected {
            edit: replaced("      minLength: 24\n", "      format: date-time\n"),
            place: "components.schemas.ScheduleDateTime.pattern",
            words: "no effect next to `format`",
        },
        Rejected {
            edit: replaced(
                "      description: A user to find or create.\n",
                "      description: A user to find or create.\n      minProperties: 1\n",
            ),
            place: "components.schemas.NewUser.minProperties",
            words: "no rule",
        },
        Rejected {
            edit: replaced(
                "      type: array\n      items:\n        $ref: \"#/components/schemas/TagName\"",
                "      type: array\n      uniqueItems: true\n      items:\n        $ref: \"#/components/schemas/TagName\"",
            ),
            place: "components.schemas.DiscriminateByTags.uniqueItems",
            words: "no rule",
        },
        Rejected {
            edit: replaced(
                "          additionalProperties: true\n          x-private: true\n",
                "          additionalProperties: true\n          x-private: true\n          nullable: true\n",
            ),
            place: "components.schemas.NewMessage.properties.payload.nullable",
            words: "no rule",
        },
        Rejected {
            edit: replaced(
                "          additionalProperties: false\n          required: [dateTime]",
                "          required: [dateTime]",
            ),
            place: "components.schemas.Schedule.oneOf.0",
            words: "a closed object with one required property",
        },
    ]);
}

/// Responses are read without checks.
#[test]
fn rules_outside_of_requests_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: after(TEXT, "          maxLength: 5\n"),
            place: "components.schemas.Text.properties.text.maxLength",
            words: "is checked only in requests",
        },
        Rejected {
            edit: after(TEXT, "          pattern: \"^a\"\n"),
            place: "components.schemas.Text.properties.text.pattern",
            words: "is checked only in requests",
        },
        Rejected {
            edit: after(TEXT, "          minProperties: 1\n"),
            place: "components.schemas.Text.properties.text.minProperties",
            words: "remove it",
        },
        Rejected {
            edit: after(MESSAGE_ID, "          maxLength: 36\n"),
            place: "components.schemas.Message.properties.id.maxLength",
            words: "is checked only in requests",
        },
        Rejected {
            edit: after(COUNT, "          minimum: 0\n"),
            place: "components.schemas.Conversation.properties.messageCount.minimum",
            words: "is checked only in requests",
        },
        Rejected {
            edit: replaced(
                "          description: The text; it can be empty.\n          type: string\n",
                "          $ref: \"#/components/schemas/TagValue\"\n",
            ),
            place: "components.schemas.Text.properties.text",
            words: "refers to components.schemas.TagValue.maxLength",
        },
        Rejected {
            edit: replaced(
                "      description: A user as Botpress stored it.\n",
                "      description: A user as Botpress stored it.\n      additionalProperties: false\n",
            ),
            place: "components.schemas.User.additionalProperties",
            words: "more properties than the contract names",
        },
    ]);
}

#[test]
fn types_that_need_another_crate_or_name_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: after(TEXT, "          format: uuid\n"),
            place: "components.schemas.Text.properties.text.format",
            words: "only date-time and date",
        },
        Rejected {
            edit: after(TEXT, "          format: ipv4\n"),
            place: "components.schemas.Text.properties.text.format",
            words: "only date-time and date",
        },
        Rejected {
            edit: after(TEXT, "          enum: [a, b]\n"),
            place: "components.schemas.Text.properties.text.enum",
            words: "move it to components.schemas",
        },
        Rejected {
            edit: replaced(
                "do not have it.\n          type: number\n",
                "do not have it.\n          type: object\n          properties: {}\n",
            ),
            place: "components.schemas.Conversation.properties.messageCount.properties",
            words: "move it to components.schemas",
        },
        Rejected {
            edit: replaced(
                "do not have it.\n          type: number\n",
                "do not have it.\n          type: array\n",
            ),
            place: "components.schemas.Conversation.properties.messageCount",
            words: "`items` is missing",
        },
        Rejected {
            edit: replaced(
                "do not have it.\n          type: number\n",
                "do not have it.\n          type: integer\n          format: uint8\n",
            ),
            place: "components.schemas.Conversation.properties.messageCount.format",
            words: "only int64 and int32",
        },
        Rejected {
            edit: replaced(
                "      additionalProperties: {}\n      example: { text: Hello }\n      required: [text]",
                "      additionalProperties: { type: string }\n      required: [text]",
            ),
            place: "components.schemas.Text.additionalProperties",
            words: "true, false or {}",
        },
        Rejected {
            edit: replaced(
                "      type: object\n      additionalProperties: {}\n      example: { text: Hello }\n      required: [text]",
                "      required: [text]",
            ),
            place: "components.schemas.Text",
            words: "`type: object` is missing",
        },
        Rejected {
            edit: replaced("allOf: [{ $ref: \"#/components/schemas/Direction\" }]", "allOf: []"),
            place: "components.schemas.Message.properties.direction.allOf",
            words: "has to be one reference",
        },
        Rejected {
            edit: replaced("enum: [markdown]", "enum: [text]"),
            place: "components.schemas.Content.oneOf.1",
            words: "the same alternative",
        },
        Rejected {
            edit: replaced(
                "        - $ref: \"#/components/schemas/DocumentedError\"",
                "        - $ref: \"#/components/schemas/ErrorType\"",
            ),
            place: "components.schemas.ErrorResponse.oneOf.1",
            words: "`type: object`",
        },
    ]);
}

#[test]
fn references_that_lead_nowhere_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: replaced("\"#/components/schemas/TagName\"", "\"#/components/schemas/TagNam\""),
            place: "components.schemas.DiscriminateByTags.items.$ref",
            words: "did you mean `TagName`?",
        },
        Rejected {
            edit: replaced("\"#/components/schemas/TagName\"", "\"tags.yaml#/TagName\""),
            place: "components.schemas.DiscriminateByTags.items.$ref",
            words: "begin with #/components/schemas/",
        },
        Rejected {
            edit: replaced(
                "\"#/components/responses/Rejected\"",
                "\"#/components/responses/Nope\"",
            ),
            place: "paths./v1/chat/messages/get-or-create.post.responses.4XX.$ref",
            words: "does not exist",
        },
        Rejected {
            edit: replaced(
                "          $ref: \"#/components/schemas/IntegrationName\"\n",
                "          $ref: \"#/components/schemas/IntegrationName\"\n          description: The name.\n",
            ),
            place: "components.schemas.NewUser.properties.integrationName.description",
            words: "no effect next to `$ref`",
        },
        Rejected {
            edit: replaced(
                "      deprecated: true\n      type: string\n      maxLength: 200",
                "      type: array\n      items: { $ref: \"#/components/schemas/IntegrationName\" }",
            ),
            place: "components.schemas.IntegrationName.items",
            words: "refers to itself",
        },
        Rejected {
            edit: replaced(
                "      description: The name of a tag of the same request.\n      type: string",
                "      description: The name of a tag of the same request.\n      type: number",
            ),
            place: "components.schemas.TagName.maxLength",
            words: "belongs to `type: string`",
        },
        Rejected {
            edit: replaced(
                "        created:\n          description: Whether this call created the record.\n          type: boolean",
                "        created: { $ref: \"#/components/schemas/Meta\" }",
            ),
            place: "components.schemas.Meta",
            words: "requires itself, so it never ends",
        },
        Rejected {
            edit: after(SCHEMAS, "    Alias: { $ref: \"#/components/schemas/Tags\" }\n"),
            place: "components.schemas.Alias",
            words: "only a reference",
        },
        Rejected {
            edit: replaced(
                "  headers:\n    RateLimit-Limit",
                "  headers:\n    Unused: { schema: { type: integer } }\n    RateLimit-Limit",
            ),
            place: "components.headers.Unused",
            words: "nothing refers to it",
        },
    ]);
}

#[test]
fn parts_that_the_client_ignores_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: replaced("url: https://api.botpress.cloud", "url: /api"),
            place: "servers.0.url",
            words: "has to be absolute",
        },
        Rejected {
            edit: replaced(
                "url: https://api.botpress.cloud",
                "url: \"https://{region}.botpress.cloud\"",
            ),
            place: "servers.0.url",
            words: "write the whole URL",
        },
        Rejected {
            edit: replaced("    description: Botpress Cloud", "    variables: {}"),
            place: "servers.0.variables",
            words: "write the whole URL",
        },
        Rejected {
            edit: replaced("    description: Botpress Cloud", "  - url: https://api.example.com"),
            place: "servers.1",
            words: "only one server",
        },
        Rejected {
            edit: replaced(
                "servers:\n  - url: https://api.botpress.cloud\n    description: Botpress Cloud\n",
                "",
            ),
            place: "servers",
            words: "one is needed",
        },
        Rejected {
            edit: replaced("  - bearer: []", "  - {}"),
            place: "security.0",
            words: "always sends a token",
        },
        Rejected {
            edit: replaced("scheme: bearer", "scheme: basic"),
            place: "components.securitySchemes.bearer.scheme",
            words: "has to be `bearer`",
        },
        Rejected {
            edit: replaced("    bearer:\n", "    key: {}\n    bearer:\n"),
            place: "components.securitySchemes.bearer",
            words: "only a bearer token",
        },
        Rejected {
            edit: after(OPERATION, "      security: []\n"),
            place: "paths./v1/chat/messages/get-or-create.post.security",
            words: "remove it",
        },
        Rejected {
            edit: after(OPERATION, "      servers: []\n"),
            place: "paths./v1/chat/messages/get-or-create.post.servers",
            words: "remove it",
        },
        Rejected {
            edit: after(OPERATION, "      tags: []\n"),
            place: "paths./v1/chat/messages/get-or-create.post.tags",
            words: "not used by the generated code",
        },
        Rejected {
            edit: after(
                PARAMETERS,
                "        - { name: x-trace, in: header, required: true, schema: { type: string } }\n",
            ),
            place: "paths./v1/chat/messages/get-or-create.post.parameters.0",
            words: "found by its body",
        },
        Rejected {
            edit: after(
                PARAMETERS,
                "        - { name: page, in: query, required: true, schema: { type: string } }\n",
            ),
            place: "paths./v1/chat/messages/get-or-create.post.parameters.0",
            words: "found by its body",
        },
        Rejected {
            edit: replaced("        - $ref: \"#/components/parameters/IntegrationId\"\n", ""),
            place: "paths./v1/chat/messages/get-or-create.post.parameters",
            words: "the client sends IntegrationId; refer to it",
        },
        Rejected {
            edit: replaced(
                "    BotId:\n",
                "    Trace: { name: x-trace, in: header, schema: { type: string } }\n    BotId:\n",
            ),
            place: "components.parameters.Trace",
            words: "the client does not send this",
        },
        Rejected {
            edit: replaced("      required: true\n      schema:", "      schema:"),
            place: "components.parameters.BotId.required",
            words: "has to be true",
        },
        Rejected {
            edit: replaced("        required: true\n", "        required: false\n"),
            place: "paths./v1/chat/messages/get-or-create.post.requestBody",
            words: "required: true",
        },
        Rejected {
            edit: replaced("      requestBody:\n", "      requestBod:\n"),
            place: "paths./v1/chat/messages/get-or-create.post.requestBod",
            words: "did you mean `requestBody`?",
        },
        Rejected {
            edit: replaced("        \"200\":", "        \"201\":"),
            place: "paths./v1/chat/messages/get-or-create.post.responses.201",
            words: "is returned with 200",
        },
        Rejected {
            edit: replaced(
                "        4XX: {",
                "        \"204\": { description: Nothing. }\n        4XX: {",
            ),
            place: "paths./v1/chat/messages/get-or-create.post.responses.204",
            words: "remove one",
        },
        Rejected {
            edit: replaced(
                "        4XX: {",
                "        default: { $ref: \"#/components/responses/Failed\" }\n        4XX: {",
            ),
            place: "paths./v1/chat/messages/get-or-create.post.responses.default",
            words: "only 200, 201, 204, 4XX, 5XX",
        },
        Rejected {
            edit: replaced("        5XX: { $ref: \"#/components/responses/Failed\" }\n", ""),
            place: "paths./v1/chat/messages/get-or-create.post.responses",
            words: "5XX is missing",
        },
        Rejected {
            edit: replaced("            RateLimit-Reset:", "            RateLimit-Rest:"),
            place: "paths./v1/chat/messages/get-or-create.post.responses.200.headers.RateLimit-Rest",
            words: "does not read it",
        },
        Rejected {
            edit: replaced(
                "              $ref: \"#/components/schemas/NewMessage\"",
                "              type: object",
            ),
            place: "paths./v1/chat/messages/get-or-create.post.requestBody.content.application/json.schema",
            words: "one of components.schemas",
        },
        Rejected {
            edit: replaced("          application/json:", "          text/plain:"),
            place: "paths./v1/chat/messages/get-or-create.post.requestBody.content.text/plain",
            words: "only application/json",
        },
    ]);
}

#[test]
fn paths_that_cannot_be_called_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: replaced("  /v1/chat/messages/", "  v1/chat/messages/"),
            place: "paths.v1/chat/messages/get-or-create",
            words: "begin with `/`",
        },
        Rejected {
            edit: replaced("messages/get-or-create:", "messages/get-or-create?all:"),
            place: "paths./v1/chat/messages/get-or-create?all",
            words: "describe a query by parameters",
        },
        Rejected {
            edit: replaced("messages/get-or-create:", "messages/get-or-create/../a:"),
            place: "paths./v1/chat/messages/get-or-create/../a",
            words: "`..`",
        },
        Rejected {
            edit: replaced(
                "  /v1/chat/users/get-or-create:",
                "  /v1/chat/messages/get-or-create/:",
            ),
            place: "paths./v1/chat/messages/get-or-create/",
            words: "the same path",
        },
        Rejected {
            edit: replaced("  /v1/chat/messages/get-or-create:", "  \"/v1/{kind}\":"),
            place: "paths./v1/{kind}.post.parameters",
            words: "no parameter of the path is `kind`",
        },
        Rejected {
            edit: after(
                PARAMETERS,
                "        - { name: kind, in: path, required: true, schema: { type: string } }\n",
            ),
            place: "paths./v1/chat/messages/get-or-create.post.parameters.0",
            words: "the path has no `{kind}`",
        },
        Rejected {
            edit: replaced("    post:\n", "    put:\n"),
            place: "paths./v1/chat/messages/get-or-create.put.x-get-or-create",
            words: "is a `post`",
        },
        Rejected {
            edit: replaced("    post:\n", "    patch:\n"),
            place: "paths./v1/chat/messages/get-or-create.patch",
            words: "only get, put, post and delete",
        },
        Rejected {
            edit: replaced("    post:\n", "    pots:\n"),
            place: "paths./v1/chat/messages/get-or-create.pots",
            words: "did you mean `post`?",
        },
    ]);
}

#[test]
fn operations_that_collide_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: replaced("      operationId: getOrCreateMessage\n", ""),
            place: "paths./v1/chat/messages/get-or-create.post",
            words: "no operationId",
        },
        Rejected {
            edit: replaced("operationId: getOrCreateMessage", "operationId: new"),
            place: "paths./v1/chat/messages/get-or-create.post.operationId",
            words: "choose another name",
        },
        Rejected {
            edit: replaced("operationId: getOrCreateMessage", "operationId: inner"),
            place: "paths./v1/chat/messages/get-or-create.post.operationId",
            words: "choose another name",
        },
        Rejected {
            edit: replaced("operationId: getOrCreateUser", "operationId: get_or_create_message"),
            place: "paths./v1/chat/users/get-or-create.post.operationId",
            words: "both `get_or_create_message`",
        },
        Rejected {
            edit: replaced(
                "          $ref: \"#/components/schemas/User\"\n",
                "          $ref: \"#/components/schemas/Message\"\n",
            ),
            place: "paths./v1/chat/users/get-or-create.post.responses.200",
            words: "that of getOrCreateMessage already",
        },
    ]);
}

#[test]
fn records_that_cannot_be_read_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: replaced(
                "          $ref: \"#/components/schemas/ConversationId\"\n",
                "          $ref: \"#/components/schemas/NewMessageOrigin\"\n",
            ),
            place: "components.schemas.NewMessage.properties.conversationId",
            words: "a plain string",
        },
        Rejected {
            edit: replaced("          additionalProperties: true\n          x-private: true\n", ""),
            place: "components.schemas.NewMessage.properties.payload",
            words: "additionalProperties: true",
        },
        Rejected {
            edit: replaced(
                "      description: A user to find or create.\n      type: object\n      additionalProperties: false\n",
                "      description: A user to find or create.\n      type: object\n      additionalProperties: {}\n",
            ),
            place: "components.schemas.NewUser.additionalProperties",
            words: "has to be false",
        },
        Rejected {
            edit: replaced(
                "          $ref: \"#/components/schemas/IntegrationName\"\n",
                "          description: A number.\n          type: number\n",
            ),
            place: "components.schemas.NewUser.properties.integrationName",
            words: "refer to a number",
        },
        Rejected {
            edit: replaced("A user as Botpress stored it.", "A \u{202e} user."),
            place: "components.schemas.User.description",
            words: "cannot show",
        },
        Rejected {
            edit: after(MESSAGE_ID, "          nullable: true\n"),
            place: "components.schemas.Message.properties.id",
            words: "not null",
        },
        Rejected {
            edit: replaced(
                "required: [id, createdAt, updatedAt, type",
                "required: [createdAt, updatedAt, type",
            ),
            place: "components.schemas.Message.properties.id",
            words: "has to be required",
        },
        Rejected {
            edit: replaced("      required: [created]\n", ""),
            place: "components.schemas.Meta.properties.created",
            words: "has to be required",
        },
        Rejected {
            edit: replaced("record: message", "record: mesage"),
            place: "paths./v1/chat/messages/get-or-create.post.x-get-or-create.record",
            words: "did you mean `message`?",
        },
        Rejected {
            edit: replaced("record: message, ", ""),
            place: "paths./v1/chat/messages/get-or-create.post.x-get-or-create",
            words: "record",
        },
        Rejected {
            edit: replaced("{ record: message, within: [] }", "true"),
            place: "paths./v1/chat/messages/get-or-create.post.x-get-or-create",
            words: "mapping",
        },
        Rejected {
            edit: replaced("      required: [user]\n", ""),
            place: "components.schemas.GetOrCreateUserResponse.properties.user",
            words: "has to be required",
        },
        Rejected {
            edit: replaced(
                "        meta:\n",
                "        other:\n          $ref: \"#/components/schemas/User\"\n        meta:\n",
            ),
            place: "components.schemas.GetOrCreateMessageResponse.properties.other",
            words: "one record",
        },
        Rejected {
            edit: replaced("within: [channel]", "within: [chanel]"),
            place: "paths./v1/chat/conversations/get-or-create.post.x-get-or-create.within.0",
            words: "did you mean `channel`?",
        },
        Rejected {
            edit: replaced("within: [channel]", "within: channel"),
            place: "paths./v1/chat/conversations/get-or-create.post.x-get-or-create.within",
            words: "a list of strings",
        },
        Rejected {
            edit: replaced(", within: [channel]", ""),
            place: "paths./v1/chat/conversations/get-or-create.post.x-get-or-create",
            words: "within",
        },
    ]);
}

#[test]
fn names_that_collide_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: after(SCHEMAS, "    Ok: { description: A thing., type: object }\n"),
            place: "components.schemas.Ok",
            words: "choose another",
        },
        Rejected {
            edit: after(SCHEMAS, "    String: { description: A thing., type: object }\n"),
            place: "components.schemas.String",
            words: "choose another",
        },
        Rejected {
            edit: after(SCHEMAS, "    thing: { description: A thing., type: object }\n"),
            place: "components.schemas.thing",
            words: "`Thing`",
        },
        Rejected {
            edit: after(SCHEMAS, "    kind: { type: string, x-extensible-enum: [a] }\n"),
            place: "components.schemas.kind",
            words: "`Kind`",
        },
        Rejected {
            edit: replaced(
                "        createdAt:\n",
                "        created_at: { type: string }\n        createdAt:\n",
            ),
            place: "components.schemas.Message.properties.createdAt",
            words: "both `created_at`",
        },
        Rejected {
            edit: replaced(
                "        address:\n",
                "        extra: { type: string }\n        address:\n",
            ),
            place: "components.schemas.Location.properties.extra",
            words: "a method `extra`",
        },
        Rejected {
            edit: replaced(
                "        address:\n",
                "        new: { type: string }\n        address:\n",
            ),
            place: "components.schemas.Location.properties.new",
            words: "a method `new`",
        },
        Rejected {
            edit: replaced(
                "x-extensible-enum: [postback",
                "x-extensible-enum: [post-back, postBack",
            ),
            place: "components.schemas.CardActionKind.x-extensible-enum.1",
            words: "both `PostBack`",
        },
        Rejected {
            edit: replaced("x-extensible-enum: [postback", "x-extensible-enum: [other"),
            place: "components.schemas.CardActionKind.x-extensible-enum.0",
            words: "both `Other`",
        },
        Rejected {
            edit: replaced("enum: [synthetic]", "enum: [a, A]"),
            place: "components.schemas.NewMessageOrigin.enum.1",
            words: "both `A`",
        },
    ]);
}

#[test]
fn incomplete_enumerations_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: replaced("x-extensible-enum: [incoming, outgoing]", "x-extensible-enum: 1"),
            place: "components.schemas.Direction.x-extensible-enum",
            words: "a list of strings",
        },
        Rejected {
            edit: replaced("x-extensible-enum: [incoming, outgoing]", "x-extensible-enum: []"),
            place: "components.schemas.Direction.x-extensible-enum",
            words: "is empty",
        },
        Rejected {
            edit: replaced(
                "x-extensible-enum: [incoming, outgoing]",
                "x-extensible-enum: [incoming, outgoing, 3]",
            ),
            place: "components.schemas.Direction.x-extensible-enum.2",
            words: "a string",
        },
        Rejected {
            edit: replaced(
                "x-extensible-enum: [incoming, outgoing]",
                "x-extensible-enum: [incoming, outgoing]\n      enum: [incoming]",
            ),
            place: "components.schemas.Direction.x-extensible-enum",
            words: "open or closed",
        },
        Rejected {
            edit: replaced("        outgoing: from the bot", "        outgoin: from the bot"),
            place: "components.schemas.Direction.x-enum-descriptions.outgoin",
            words: "did you mean `outgoing`?",
        },
        Rejected {
            edit: replaced("        outgoing: from the bot to a person.\n", ""),
            place: "components.schemas.Direction.x-enum-descriptions",
            words: "outgoing is missing",
        },
        Rejected {
            edit: replaced("enum: [synthetic]", "enum: [null]"),
            place: "components.schemas.NewMessageOrigin.enum.0",
            words: "a string",
        },
        Rejected {
            edit: after(TEXT, "          x-extensible-enum: [a]\n"),
            place: "components.schemas.Text.properties.text.x-extensible-enum",
            words: "move it to components.schemas",
        },
        Rejected {
            edit: replaced("          description: What it shows.\n", ""),
            place: "components.schemas.Image.properties.title",
            words: "no description",
        },
    ]);
}

#[test]
fn examples_that_no_constructor_makes_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: replaced("example: { text: Hello }", "example: { txt: Hello }"),
            place: "components.schemas.Text.example",
            words: "`text` is missing",
        },
        Rejected {
            edit: replaced("example: { text: Hello }", "example: { text: Hello, size: 7 }"),
            place: "components.schemas.Text.example",
            words: "no property is `size`",
        },
        Rejected {
            edit: replaced("example: { text: Hello }", "example: { text: 5 }"),
            place: "components.schemas.Text.example",
            words: "`text` is not a number",
        },
        Rejected {
            edit: replaced("example: { text: Hello }", "example: { text: true }"),
            place: "components.schemas.Text.example",
            words: "true is not supported",
        },
        Rejected {
            edit: replaced("options: [{ label: \"Yes\", value: restart }]", "options: [restart]"),
            place: "components.schemas.Choice.example",
            words: "is not an object",
        },
        Rejected {
            edit: replaced(
                "      description: A user as Botpress stored it.\n",
                "      description: A user as Botpress stored it.\n      example: { id: user_1 }\n",
            ),
            place: "components.schemas.User.example",
            words: "only a content",
        },
    ]);
}

/// A private value that the generator cannot hide must not be shown.
#[test]
fn values_that_cannot_be_private_are_rejected() {
    assert_rejected(&[
        Rejected {
            edit: after(TEXT, "          x-private: \"true\"\n"),
            place: "components.schemas.Text.properties.text.x-private",
            words: "true, without quotes",
        },
        Rejected {
            edit: after(TEXT, "          x-private: false\n"),
            place: "components.schemas.Text.properties.text.x-private",
            words: "has no effect",
        },
        Rejected {
            edit: replaced(
                "      description: A user as Botpress stored it.\n",
                "      description: A user as Botpress stored it.\n      x-private: true\n",
            ),
            place: "components.schemas.User.x-private",
            words: "only the property",
        },
        Rejected {
            edit: replaced(
                "          additionalProperties:\n            type: string",
                "          additionalProperties:\n            type: string\n            x-private: true",
            ),
            place: "components.schemas.Message.properties.tags.additionalProperties.x-private",
            words: "only the property",
        },
        Rejected {
            edit: replaced(
                "          $ref: \"#/components/schemas/IntegrationName\"\n",
                "          $ref: \"#/components/schemas/IntegrationName\"\n          x-private: true\n",
            ),
            place: "components.schemas.NewUser.properties.integrationName.x-private",
            words: "no effect next to `$ref`",
        },
    ]);
}

#[test]
fn edits_change_what_is_generated() {
    assert_followed(&[
        Followed {
            edit: replaced("maxLength: 40000", "maxLength: 10"),
            generated: "max: Some(10usize)",
        },
        Followed { edit: replaced("minimum: 0", "minimum: 5"), generated: "min: Some(5f64)" },
        Followed {
            edit: replaced(
                "          $ref: \"#/components/schemas/IntegrationName\"\n",
                "          $ref: \"#/components/schemas/IntegrationName\"\n        note: { description: A word., type: string }\n",
            ),
            generated: "pub fn note(",
        },
        Followed {
            edit: replaced("latitude: 45.5", "latitude: 45"),
            generated: "Location::new(45.0, -73.25)",
        },
        Followed {
            edit: replaced("example: { text: Hello }", "example: { text: Bonjour }"),
            generated: "let content = Text::new(\"Bonjour\");",
        },
        Followed {
            edit: replaced(
                "          $ref: \"#/components/schemas/ChannelName\"\n",
                "          description: The channel.\n          type: string\n          x-private: true\n",
            ),
            generated: "(\"channel\", Schema::Private(&Schema::String {",
        },
        Followed {
            edit: replaced("      minLength: 24\n", ""),
            generated: "min: None, max: Some(28usize), values: &[], date: Some(Date::Iso8601)",
        },
        Followed {
            edit: replaced(
                "          $ref: \"#/components/schemas/IntegrationName\"\n",
                "          description: The name.\n          type: string\n          maxLength: 7\n",
            ),
            generated: "max: Some(7usize)",
        },
        Followed {
            edit: replaced(
                "          $ref: \"#/components/schemas/IntegrationName\"\n",
                "          description: The name.\n          type: string\n          format: date-time\n",
            ),
            generated: "date: Some(Date::Rfc3339)",
        },
        Followed {
            edit: replaced(
                "description: What it shows.",
                "description: \"See [Image] at https://example.com, a <b>, or `[x]`.\\n\\n    let x = 1;\"",
            ),
            generated: r"/**See \[Image\] at <https://example.com>, a \<b>, or `[x]`. let x = 1;*/",
        },
        Followed {
            edit: replaced("within: [channel]", "within: [channel, integrationName]"),
            generated: "within: &[\"channel\", \"integrationName\"]",
        },
        Followed {
            edit: replaced("name: x-bot-id", "name: X-Bot"),
            generated: "from_static(\"x-bot\")",
        },
        Followed {
            edit: replaced("operationId: getOrCreateUser", "operationId: find-user"),
            generated: "pub async fn find_user",
        },
        Followed { edit: after(OPERATION, "      deprecated: true\n"), generated: "Deprecated." },
        Followed {
            edit: after(TEXT, "          deprecated: true\n"),
            generated: "it can be empty. Deprecated.",
        },
        Followed {
            edit: after(TEXT, "          nullable: true\n"),
            generated: "pub text: ::std::option::Option<::std::string::String>",
        },
        Followed {
            edit: replaced("required: [title, actions]", "required: [title]"),
            generated: "if !self.actions.is_empty()",
        },
        Followed {
            edit: replaced(
                "          description: Where the picture on the card is.\n          type: string",
                "          description: Where the picture on the card is.\n          allOf: [{ $ref: \"#/components/schemas/Card\" }]",
            ),
            generated: "Option<::std::boxed::Box<Card>>",
        },
        Followed {
            edit: replaced(
                "do not have it.\n          type: number\n",
                "do not have it.\n          type: array\n          nullable: true\n          items: { $ref: \"#/components/schemas/User\" }\n",
            ),
            generated: "Option<::std::vec::Vec<User>>",
        },
        Followed {
            edit: replaced(
                "x-extensible-enum: [incoming, outgoing]\n      x-enum-descriptions:\n",
                "x-extensible-enum: [3d, incoming, outgoing]\n      x-enum-descriptions:\n        3d: deep.\n",
            ),
            generated: "X3d",
        },
        Followed {
            edit: replaced(
                "        address:\n",
                "        2fa: { description: A code., type: string, x-private: true }\n        address:\n",
            ),
            generated: ".field(\"x2fa\", &::std::format_args!(\"_\"))",
        },
        Followed {
            edit: replaced(
                "one of the bot's own.\"\n          type: string\n",
                "one of the bot's own.\"\n          type: string\n          x-private: true\n",
            ),
            generated: ".field(\"type_\", &::std::format_args!(\"_\"))",
        },
        Followed {
            edit: replaced(
                "      description: Plain text.\n      type: object\n      additionalProperties: {}\n",
                "      <<: [{ description: Merged., type: object }, { type: string, additionalProperties: {} }]\n",
            ),
            generated: "///Merged.",
        },
    ]);
}

/// `tests/shapes.rs` and `tests/ordinary.rs` compile these clients and use them.
#[test]
fn other_specs_generate_the_reviewed_code() {
    for (spec, snapshot) in [
        (include_str!("specs/shapes.yaml"), "tests/snapshots/shapes.rs"),
        (include_str!("specs/ordinary.yaml"), "tests/snapshots/ordinary.rs"),
    ] {
        let (printed, generated) = build(Some(spec));
        let generated = generated.unwrap_or_else(|| panic!("{printed}"));
        let start = generated.find("#[allow(unused_imports)]\npub use progenitor_client").unwrap();
        if env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(snapshot, &generated[start..]).unwrap();
        }
        let reviewed = fs::read_to_string(snapshot).unwrap().replace("\r\n", "\n");
        assert!(reviewed == generated[start..], "{snapshot} differs from what is generated");
    }
}

/// A status can also be written as a number.
#[test]
fn equivalent_specs_generate_the_same() {
    let (_, before) = build(Some(SPEC));
    let (_, after) = build(Some(&SPEC.replace("\"200\":", "200:")));
    assert_eq!(before, after);
}

#[test]
fn a_spec_that_is_missing_or_empty_is_rejected() {
    let (printed, _) = build(None);
    assert!(printed.contains("cargo::error=spec/botpress.yaml: cannot be read: "), "{printed}");
    let (printed, _) = build(Some(""));
    assert!(printed.contains("not an OpenAPI document"), "{printed}");
}

#[test]
fn a_changed_bound_changes_the_client_and_nothing_else_is_watched() {
    let (printed, before) = build(Some(SPEC));
    let rules = include_str!(concat!(env!("OUT_DIR"), "/rules.rs"));
    assert!(before.unwrap().starts_with(rules));
    let watched: Vec<_> = printed.lines().filter(|line| line.contains("rerun-if")).collect();
    assert_eq!(watched, ["cargo::rerun-if-changed=spec/botpress.yaml"]);
    let (_, after) = build(Some(&SPEC.replace("maxLength: 200", "maxLength: 201")));
    assert!(after.unwrap().contains("max: Some(201usize)"));
}
