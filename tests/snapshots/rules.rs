/// The default base URL.
pub const BASE_URL: &str = "https://api.botpress.cloud";
///The id of the bot.
pub const BOT_ID: ::http::HeaderName = ::http::HeaderName::from_static("x-bot-id");
///The id of the calling integration.
pub const INTEGRATION_ID: ::http::HeaderName = ::http::HeaderName::from_static(
    "x-integration-id",
);
///The alias of the calling integration in the bot.
pub const INTEGRATION_ALIAS: ::http::HeaderName = ::http::HeaderName::from_static(
    "x-integration-alias",
);
/// The operations, in the order of the spec.
pub static OPERATIONS: [Operation; 3usize] = [
    Operation {
        index: 0usize,
        name: "get_or_create_message",
        path: "/v1/chat/messages/get-or-create",
        record: "message",
        within: &[],
        refers: &[(1usize, "userId"), (2usize, "conversationId")],
        body: Schema::Object {
            properties: &[
                (
                    "conversationId",
                    Schema::String {
                        min: Some(28usize),
                        max: Some(36usize),
                        values: &[],
                        date: None,
                    },
                ),
                (
                    "userId",
                    Schema::String {
                        min: Some(28usize),
                        max: Some(36usize),
                        values: &[],
                        date: None,
                    },
                ),
                (
                    "type",
                    Schema::String {
                        min: None,
                        max: Some(200usize),
                        values: &[],
                        date: None,
                    },
                ),
                (
                    "payload",
                    Schema::Private(
                        &Schema::Object {
                            properties: &[],
                            required: &[],
                            others: Some(&Schema::Any),
                        },
                    ),
                ),
                (
                    "tags",
                    Schema::Object {
                        properties: &[],
                        required: &[],
                        others: Some(
                            &Schema::String {
                                min: None,
                                max: Some(500usize),
                                values: &[],
                                date: None,
                            },
                        ),
                    },
                ),
                (
                    "schedule",
                    Schema::OneOf(
                        &[
                            (
                                "dateTime",
                                Schema::String {
                                    min: Some(24usize),
                                    max: Some(28usize),
                                    values: &[],
                                    date: Some(Date::Iso8601),
                                },
                            ),
                            ("delay", Schema::Number { min: Some(0f64) }),
                        ],
                    ),
                ),
                (
                    "origin",
                    Schema::String {
                        min: None,
                        max: None,
                        values: &["synthetic"],
                        date: None,
                    },
                ),
                (
                    "discriminateByTags",
                    Schema::Array(
                        &Schema::String {
                            min: None,
                            max: Some(500usize),
                            values: &[],
                            date: None,
                        },
                    ),
                ),
            ],
            required: &["conversationId", "userId", "type", "payload", "tags"],
            others: None,
        },
    },
    Operation {
        index: 1usize,
        name: "get_or_create_user",
        path: "/v1/chat/users/get-or-create",
        record: "user",
        within: &[],
        refers: &[],
        body: Schema::Object {
            properties: &[
                (
                    "tags",
                    Schema::Object {
                        properties: &[],
                        required: &[],
                        others: Some(
                            &Schema::String {
                                min: None,
                                max: Some(500usize),
                                values: &[],
                                date: None,
                            },
                        ),
                    },
                ),
                (
                    "name",
                    Schema::Private(
                        &Schema::String {
                            min: None,
                            max: Some(200usize),
                            values: &[],
                            date: None,
                        },
                    ),
                ),
                (
                    "pictureUrl",
                    Schema::Private(
                        &Schema::String {
                            min: None,
                            max: Some(40000usize),
                            values: &[],
                            date: None,
                        },
                    ),
                ),
                (
                    "integrationName",
                    Schema::String {
                        min: None,
                        max: Some(200usize),
                        values: &[],
                        date: None,
                    },
                ),
                (
                    "discriminateByTags",
                    Schema::Array(
                        &Schema::String {
                            min: None,
                            max: Some(500usize),
                            values: &[],
                            date: None,
                        },
                    ),
                ),
            ],
            required: &["tags"],
            others: None,
        },
    },
    Operation {
        index: 2usize,
        name: "get_or_create_conversation",
        path: "/v1/chat/conversations/get-or-create",
        record: "conversation",
        within: &["channel"],
        refers: &[],
        body: Schema::Object {
            properties: &[
                (
                    "channel",
                    Schema::String {
                        min: None,
                        max: Some(200usize),
                        values: &[],
                        date: None,
                    },
                ),
                (
                    "tags",
                    Schema::Object {
                        properties: &[],
                        required: &[],
                        others: Some(
                            &Schema::String {
                                min: None,
                                max: Some(500usize),
                                values: &[],
                                date: None,
                            },
                        ),
                    },
                ),
                (
                    "integrationName",
                    Schema::String {
                        min: None,
                        max: Some(200usize),
                        values: &[],
                        date: None,
                    },
                ),
                (
                    "discriminateByTags",
                    Schema::Array(
                        &Schema::String {
                            min: None,
                            max: Some(500usize),
                            values: &[],
                            date: None,
                        },
                    ),
                ),
            ],
            required: &["channel", "tags"],
            others: None,
        },
    },
];
