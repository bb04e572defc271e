#[allow(unused_imports)]
pub use progenitor_client::{ByteStream, ClientInfo, Error, ResponseValue};
#[allow(unused_imports)]
use progenitor_client::{encode_path, ClientHooks, OperationInfo, RequestBuilderExt};
/// Types used as operation parameters and responses.
#[allow(clippy::all)]
pub mod types {
    ///A sound recording.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub struct Audio {
        ///Where the recording is.
        #[serde(rename = "audioUrl")]
        pub audio_url: ::std::string::String,
        ///What it is.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub title: ::std::option::Option<::std::string::String>,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    ///Several contents in one message.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq)]
    #[non_exhaustive]
    pub struct Bloc {
        ///The contents, in order.
        pub items: ::std::vec::Vec<BlocItem>,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    ///The contents that a bloc can contain, by type.
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, PartialEq)]
    #[serde(tag = "type", content = "payload")]
    #[non_exhaustive]
    pub enum BlocItem {
        ///Plain text.
        #[serde(rename = "text")]
        Text(Text),
        ///Text in Markdown; deprecated by Botpress.
        #[serde(rename = "markdown")]
        Markdown(Markdown),
        ///A picture.
        #[serde(rename = "image")]
        Image(Image),
        ///A sound recording.
        #[serde(rename = "audio")]
        Audio(Audio),
        ///A video.
        #[serde(rename = "video")]
        Video(Video),
        ///Any other file.
        #[serde(rename = "file")]
        File(File),
        ///A place.
        #[serde(rename = "location")]
        Location(Location),
    }
    impl ::std::convert::From<Text> for BlocItem {
        fn from(value: Text) -> Self {
            Self::Text(value)
        }
    }
    impl ::std::convert::From<Markdown> for BlocItem {
        fn from(value: Markdown) -> Self {
            Self::Markdown(value)
        }
    }
    impl ::std::convert::From<Image> for BlocItem {
        fn from(value: Image) -> Self {
            Self::Image(value)
        }
    }
    impl ::std::convert::From<Audio> for BlocItem {
        fn from(value: Audio) -> Self {
            Self::Audio(value)
        }
    }
    impl ::std::convert::From<Video> for BlocItem {
        fn from(value: Video) -> Self {
            Self::Video(value)
        }
    }
    impl ::std::convert::From<File> for BlocItem {
        fn from(value: File) -> Self {
            Self::File(value)
        }
    }
    impl ::std::convert::From<Location> for BlocItem {
        fn from(value: Location) -> Self {
            Self::Location(value)
        }
    }
    ///A card with buttons.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub struct Card {
        ///The buttons; the list can be empty.
        pub actions: ::std::vec::Vec<CardAction>,
        ///Where the picture on the card is.
        #[serde(
            rename = "imageUrl",
            skip_serializing_if = "::std::option::Option::is_none"
        )]
        pub image_url: ::std::option::Option<::std::string::String>,
        ///The line below the heading.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub subtitle: ::std::option::Option<::std::string::String>,
        ///The heading.
        pub title: ::std::string::String,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    ///A button of a card.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub struct CardAction {
        ///What the button does.
        pub action: CardActionKind,
        ///The text on the button.
        pub label: ::std::string::String,
        ///What it sends, says or opens.
        pub value: ::std::string::String,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    ///Several cards in a row.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub struct Carousel {
        ///The cards, in order.
        pub items: ::std::vec::Vec<Card>,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    ///A question with a few answers, as buttons.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub struct Choice {
        ///The answers; the list can be empty.
        pub options: ::std::vec::Vec<ChoiceOption>,
        ///The question.
        pub text: ::std::string::String,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    ///An answer to choose.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub struct ChoiceOption {
        ///What the person sees.
        pub label: ::std::string::String,
        ///What the bot receives.
        pub value: ::std::string::String,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    ///The contents that Botpress knows, by message type. Payloads are open: whatever an integration adds to them is kept.
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, PartialEq)]
    #[serde(tag = "type", content = "payload")]
    #[non_exhaustive]
    pub enum Content {
        ///Plain text.
        #[serde(rename = "text")]
        Text(Text),
        ///Text in Markdown; deprecated by Botpress.
        #[serde(rename = "markdown")]
        Markdown(Markdown),
        ///A picture.
        #[serde(rename = "image")]
        Image(Image),
        ///A sound recording.
        #[serde(rename = "audio")]
        Audio(Audio),
        ///A video.
        #[serde(rename = "video")]
        Video(Video),
        ///Any other file.
        #[serde(rename = "file")]
        File(File),
        ///A place.
        #[serde(rename = "location")]
        Location(Location),
        ///A card with buttons.
        #[serde(rename = "card")]
        Card(Card),
        ///Several cards in a row.
        #[serde(rename = "carousel")]
        Carousel(Carousel),
        ///A question with a few answers, as buttons.
        #[serde(rename = "choice")]
        Choice(Choice),
        ///A question with many answers, as a list.
        #[serde(rename = "dropdown")]
        Dropdown(Dropdown),
        ///Several contents in one message.
        #[serde(rename = "bloc")]
        Bloc(Bloc),
    }
    impl ::std::convert::From<Text> for Content {
        fn from(value: Text) -> Self {
            Self::Text(value)
        }
    }
    impl ::std::convert::From<Markdown> for Content {
        fn from(value: Markdown) -> Self {
            Self::Markdown(value)
        }
    }
    impl ::std::convert::From<Image> for Content {
        fn from(value: Image) -> Self {
            Self::Image(value)
        }
    }
    impl ::std::convert::From<Audio> for Content {
        fn from(value: Audio) -> Self {
            Self::Audio(value)
        }
    }
    impl ::std::convert::From<Video> for Content {
        fn from(value: Video) -> Self {
            Self::Video(value)
        }
    }
    impl ::std::convert::From<File> for Content {
        fn from(value: File) -> Self {
            Self::File(value)
        }
    }
    impl ::std::convert::From<Location> for Content {
        fn from(value: Location) -> Self {
            Self::Location(value)
        }
    }
    impl ::std::convert::From<Card> for Content {
        fn from(value: Card) -> Self {
            Self::Card(value)
        }
    }
    impl ::std::convert::From<Carousel> for Content {
        fn from(value: Carousel) -> Self {
            Self::Carousel(value)
        }
    }
    impl ::std::convert::From<Choice> for Content {
        fn from(value: Choice) -> Self {
            Self::Choice(value)
        }
    }
    impl ::std::convert::From<Dropdown> for Content {
        fn from(value: Dropdown) -> Self {
            Self::Dropdown(value)
        }
    }
    impl ::std::convert::From<Bloc> for Content {
        fn from(value: Bloc) -> Self {
            Self::Bloc(value)
        }
    }
    ///A conversation as Botpress stored it.
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, PartialEq)]
    #[non_exhaustive]
    pub struct Conversation {
        ///The name of its channel.
        pub channel: ::std::string::String,
        ///When it was created.
        #[serde(rename = "createdAt")]
        #[serde(deserialize_with = "crate::decode::date")]
        pub created_at: ::chrono::DateTime<::chrono::offset::Utc>,
        ///Its current task; deprecated by Botpress from version 1.80 on.
        #[serde(
            rename = "currentTaskId",
            skip_serializing_if = "::std::option::Option::is_none"
        )]
        pub current_task_id: ::std::option::Option<::std::string::String>,
        ///Its current workflow; version 1.108 no longer has it.
        #[serde(
            rename = "currentWorkflowId",
            skip_serializing_if = "::std::option::Option::is_none"
        )]
        pub current_workflow_id: ::std::option::Option<::std::string::String>,
        ///The id of the conversation.
        pub id: ::std::string::String,
        ///The name of the integration that it belongs to.
        pub integration: ::std::string::String,
        ///The number of its messages. Versions before 1.80 do not have it.
        #[serde(
            rename = "messageCount",
            skip_serializing_if = "::std::option::Option::is_none"
        )]
        pub message_count: ::std::option::Option<f64>,
        ///What else is known about the conversation. Only late versions have it.
        #[serde(default, skip_serializing_if = "::serde_json::Map::is_empty")]
        pub properties: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
        ///The names and values that identify it.
        pub tags: ::std::collections::BTreeMap<
            ::std::string::String,
            ::std::string::String,
        >,
        ///When it was last changed.
        #[serde(rename = "updatedAt")]
        #[serde(deserialize_with = "crate::decode::date")]
        pub updated_at: ::chrono::DateTime<::chrono::offset::Utc>,
    }
    ///An error in the form that the API's documentation shows.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        PartialEq,
        Eq,
        Hash
    )]
    #[non_exhaustive]
    pub struct DocumentedError {
        ///What went wrong, for people.
        pub description: ::std::string::String,
        ///The HTTP status again.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        #[serde(default)]
        #[serde(deserialize_with = "crate::decode::or_default")]
        pub status: ::std::option::Option<i64>,
        #[serde(rename = "type")]
        pub type_: ErrorType,
    }
    ///A question with many answers, as a list.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub struct Dropdown {
        ///The answers; the list can be empty.
        pub options: ::std::vec::Vec<ChoiceOption>,
        ///The question.
        pub text: ::std::string::String,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    ///An error in the form that the API sends.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        PartialEq,
        Eq,
        Hash
    )]
    #[non_exhaustive]
    pub struct Error {
        ///The HTTP status again.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        #[serde(default)]
        #[serde(deserialize_with = "crate::decode::or_default")]
        pub code: ::std::option::Option<i64>,
        ///The id of this error, which Botpress support can look up.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        #[serde(default)]
        #[serde(deserialize_with = "crate::decode::or_default")]
        pub id: ::std::option::Option<::std::string::String>,
        ///What went wrong, for people.
        pub message: ::std::string::String,
        ///Further facts about the error.
        #[serde(default, skip_serializing_if = "::serde_json::Map::is_empty")]
        #[serde(deserialize_with = "crate::decode::or_default")]
        pub metadata: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
        #[serde(rename = "type")]
        pub type_: ErrorType,
    }
    ///An error of the API, in one of its two forms.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        PartialEq,
        Eq,
        Hash
    )]
    #[serde(untagged)]
    #[non_exhaustive]
    pub enum ErrorResponse {
        Error(Error),
        DocumentedError(DocumentedError),
    }
    impl ::std::convert::From<Error> for ErrorResponse {
        fn from(value: Error) -> Self {
            Self::Error(value)
        }
    }
    impl ::std::convert::From<DocumentedError> for ErrorResponse {
        fn from(value: DocumentedError) -> Self {
            Self::DocumentedError(value)
        }
    }
    ///Any other file.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub struct File {
        ///Where the file is.
        #[serde(rename = "fileUrl")]
        pub file_url: ::std::string::String,
        ///What it is.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub title: ::std::option::Option<::std::string::String>,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    ///The conversation that the API found or created.
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, Debug, PartialEq)]
    #[non_exhaustive]
    pub struct GetOrCreateConversationResponse {
        pub conversation: Conversation,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub meta: ::std::option::Option<Meta>,
    }
    ///The message that the API found or created.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        PartialEq,
        Eq,
        Hash
    )]
    #[non_exhaustive]
    pub struct GetOrCreateMessageResponse {
        pub message: Message,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub meta: ::std::option::Option<Meta>,
    }
    ///The user that the API found or created.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        PartialEq,
        Eq,
        Hash
    )]
    #[non_exhaustive]
    pub struct GetOrCreateUserResponse {
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub meta: ::std::option::Option<Meta>,
        pub user: User,
    }
    ///A picture.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub struct Image {
        ///Where the picture is.
        #[serde(rename = "imageUrl")]
        pub image_url: ::std::string::String,
        ///What it shows.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub title: ::std::option::Option<::std::string::String>,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    ///A place.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq)]
    #[non_exhaustive]
    pub struct Location {
        ///Its postal address.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub address: ::std::option::Option<::std::string::String>,
        ///Degrees north of the equator.
        pub latitude: f64,
        ///Degrees east of Greenwich.
        pub longitude: f64,
        ///Its name.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub title: ::std::option::Option<::std::string::String>,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    ///Text in Markdown; deprecated by Botpress.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub struct Markdown {
        ///The text, in Markdown.
        pub markdown: ::std::string::String,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    ///A message as Botpress stored it.
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub struct Message {
        ///The conversation that it belongs to.
        #[serde(rename = "conversationId")]
        pub conversation_id: ::std::string::String,
        ///When it was created.
        #[serde(rename = "createdAt")]
        #[serde(deserialize_with = "crate::decode::date")]
        pub created_at: ::chrono::DateTime<::chrono::offset::Utc>,
        ///Its direction, from the bot's point of view.
        pub direction: Direction,
        ///The id of the message.
        pub id: ::std::string::String,
        ///Where it comes from, if not from a person.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub origin: ::std::option::Option<Origin>,
        ///The content, in the form that the type names.
        pub payload: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
        ///The names and values that identify it.
        pub tags: ::std::collections::BTreeMap<
            ::std::string::String,
            ::std::string::String,
        >,
        ///The name of the content: `text`, `image`, ..., or one of the bot's own.
        #[serde(rename = "type")]
        pub type_: ::std::string::String,
        ///When it was last changed.
        #[serde(rename = "updatedAt")]
        #[serde(deserialize_with = "crate::decode::date")]
        pub updated_at: ::chrono::DateTime<::chrono::offset::Utc>,
        ///The user who wrote it, or the bot.
        #[serde(rename = "userId")]
        pub user_id: ::std::string::String,
    }
    ///What the call did. Versions before 1.80 do not have it.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        PartialEq,
        Eq,
        Hash
    )]
    #[non_exhaustive]
    pub struct Meta {
        ///Whether this call created the record.
        pub created: bool,
    }
    ///A conversation to find or create.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        PartialEq,
        Eq,
        Hash
    )]
    #[serde(deny_unknown_fields)]
    #[non_exhaustive]
    pub struct NewConversation {
        ///The name of a channel that the integration defines: `channel`, `dm`, `thread`, ... It has at most 200 characters.
        pub channel: ::std::string::String,
        ///The tags to look up the record by, if not by all of them. Each item has at most 500 characters.
        #[serde(
            rename = "discriminateByTags",
            default,
            skip_serializing_if = "::std::vec::Vec::is_empty"
        )]
        pub discriminate_by_tags: ::std::vec::Vec<::std::string::String>,
        ///Deprecated by Botpress: call an action of the integration instead. It has at most 200 characters.
        #[serde(
            rename = "integrationName",
            skip_serializing_if = "::std::option::Option::is_none"
        )]
        pub integration_name: ::std::option::Option<::std::string::String>,
        ///Names and values that identify what is stored. There can be no tags at all; an empty value unsets its tag. Each value has at most 500 characters.
        pub tags: ::std::collections::BTreeMap<
            ::std::string::String,
            ::std::string::String,
        >,
    }
    ///A message to find or create.
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, PartialEq, Eq, Hash)]
    #[serde(deny_unknown_fields)]
    #[non_exhaustive]
    pub struct NewMessage {
        ///A conversation: `conv_` and 26 characters, or a UUID. It has 28 to 36 characters.
        #[serde(rename = "conversationId")]
        pub conversation_id: ::std::string::String,
        ///The tags to look up the record by, if not by all of them. Each item has at most 500 characters.
        #[serde(
            rename = "discriminateByTags",
            default,
            skip_serializing_if = "::std::vec::Vec::is_empty"
        )]
        pub discriminate_by_tags: ::std::vec::Vec<::std::string::String>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub origin: ::std::option::Option<NewMessageOrigin>,
        ///The content, in the form that the type names.
        pub payload: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub schedule: ::std::option::Option<Schedule>,
        ///Names and values that identify what is stored. There can be no tags at all; an empty value unsets its tag. Each value has at most 500 characters.
        pub tags: ::std::collections::BTreeMap<
            ::std::string::String,
            ::std::string::String,
        >,
        ///The name of the content: `text`, `image`, ..., or one of the bot's own. It has at most 200 characters.
        #[serde(rename = "type")]
        pub type_: ::std::string::String,
        ///A user: `user_` and 26 characters, or a UUID (the bot itself). It has 28 to 36 characters.
        #[serde(rename = "userId")]
        pub user_id: ::std::string::String,
    }
    ///Where a new message comes from, if not from a person.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Copy,
        Debug,
        Eq,
        Hash,
        Ord,
        PartialEq,
        PartialOrd
    )]
    #[non_exhaustive]
    pub enum NewMessageOrigin {
        #[serde(rename = "synthetic")]
        Synthetic,
    }
    impl ::std::fmt::Display for NewMessageOrigin {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            match *self {
                Self::Synthetic => f.write_str("synthetic"),
            }
        }
    }
    impl ::std::str::FromStr for NewMessageOrigin {
        type Err = self::error::ConversionError;
        fn from_str(
            value: &str,
        ) -> ::std::result::Result<Self, self::error::ConversionError> {
            match value {
                "synthetic" => Ok(Self::Synthetic),
                _ => Err("invalid value".into()),
            }
        }
    }
    impl ::std::convert::TryFrom<&str> for NewMessageOrigin {
        type Error = self::error::ConversionError;
        fn try_from(
            value: &str,
        ) -> ::std::result::Result<Self, self::error::ConversionError> {
            value.parse()
        }
    }
    impl ::std::convert::TryFrom<::std::string::String> for NewMessageOrigin {
        type Error = self::error::ConversionError;
        fn try_from(
            value: ::std::string::String,
        ) -> ::std::result::Result<Self, self::error::ConversionError> {
            value.parse()
        }
    }
    ///A user to find or create.
    #[derive(::serde::Deserialize, ::serde::Serialize, Clone, PartialEq, Eq, Hash)]
    #[serde(deny_unknown_fields)]
    #[non_exhaustive]
    pub struct NewUser {
        ///The tags to look up the record by, if not by all of them. Each item has at most 500 characters.
        #[serde(
            rename = "discriminateByTags",
            default,
            skip_serializing_if = "::std::vec::Vec::is_empty"
        )]
        pub discriminate_by_tags: ::std::vec::Vec<::std::string::String>,
        ///Deprecated by Botpress: call an action of the integration instead. It has at most 200 characters.
        #[serde(
            rename = "integrationName",
            skip_serializing_if = "::std::option::Option::is_none"
        )]
        pub integration_name: ::std::option::Option<::std::string::String>,
        ///The name, for people to read. It identifies nothing; a user who is found gets it, from version 1.80 on. It has at most 200 characters.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub name: ::std::option::Option<::std::string::String>,
        ///Where a picture of the user is, or the picture itself as a data URI. It has at most 40000 characters.
        #[serde(
            rename = "pictureUrl",
            skip_serializing_if = "::std::option::Option::is_none"
        )]
        pub picture_url: ::std::option::Option<::std::string::String>,
        ///Names and values that identify what is stored. There can be no tags at all; an empty value unsets its tag. Each value has at most 500 characters.
        pub tags: ::std::collections::BTreeMap<
            ::std::string::String,
            ::std::string::String,
        >,
    }
    ///When to deliver the message: after a delay or at a date, never both.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        PartialEq,
        Eq,
        Hash
    )]
    #[non_exhaustive]
    pub enum Schedule {
        ///At this date.
        #[serde(rename = "dateTime")]
        DateTime(::std::string::String),
        ///After this many milliseconds.
        #[serde(rename = "delay")]
        Delay(::serde_json::Number),
    }
    impl ::std::convert::From<::serde_json::Number> for Schedule {
        fn from(value: ::serde_json::Number) -> Self {
            Self::Delay(value)
        }
    }
    ///Plain text.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub struct Text {
        ///The text; it can be empty.
        pub text: ::std::string::String,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    ///A user as Botpress stored it.
    #[derive(
        ::serde::Deserialize,
        ::serde::Serialize,
        Clone,
        Debug,
        PartialEq,
        Eq,
        Hash
    )]
    #[non_exhaustive]
    pub struct User {
        ///What else the integration knows about the user. Versions before 1.80 do not have it.
        #[serde(default, skip_serializing_if = "::serde_json::Map::is_empty")]
        pub attributes: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
        ///When it was created.
        #[serde(rename = "createdAt")]
        #[serde(deserialize_with = "crate::decode::date")]
        pub created_at: ::chrono::DateTime<::chrono::offset::Utc>,
        ///The id of the user.
        pub id: ::std::string::String,
        ///The name, for people to read.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub name: ::std::option::Option<::std::string::String>,
        ///Where a picture is.
        #[serde(
            rename = "pictureUrl",
            skip_serializing_if = "::std::option::Option::is_none"
        )]
        pub picture_url: ::std::option::Option<::std::string::String>,
        ///What else the bot knows about the user. Versions before 1.80 do not have it.
        #[serde(default, skip_serializing_if = "::serde_json::Map::is_empty")]
        pub properties: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
        ///The names and values that identify it.
        pub tags: ::std::collections::BTreeMap<
            ::std::string::String,
            ::std::string::String,
        >,
        ///When it was last changed.
        #[serde(rename = "updatedAt")]
        #[serde(deserialize_with = "crate::decode::date")]
        pub updated_at: ::chrono::DateTime<::chrono::offset::Utc>,
    }
    ///A video.
    #[derive(::serde::Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub struct Video {
        ///What it shows.
        #[serde(skip_serializing_if = "::std::option::Option::is_none")]
        pub title: ::std::option::Option<::std::string::String>,
        ///Where the video is.
        #[serde(rename = "videoUrl")]
        pub video_url: ::std::string::String,
        #[serde(flatten)]
        ///Keys that the contract does not name.
        pub extra: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
    }
    /// Error types.
    pub mod error {
        /// Error from a `TryFrom` or `FromStr` implementation.
        pub struct ConversionError(::std::borrow::Cow<'static, str>);
        impl ::std::error::Error for ConversionError {}
        impl ::std::fmt::Display for ConversionError {
            fn fmt(
                &self,
                f: &mut ::std::fmt::Formatter<'_>,
            ) -> Result<(), ::std::fmt::Error> {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }
        impl ::std::fmt::Debug for ConversionError {
            fn fmt(
                &self,
                f: &mut ::std::fmt::Formatter<'_>,
            ) -> Result<(), ::std::fmt::Error> {
                ::std::fmt::Debug::fmt(&self.0, f)
            }
        }
        impl From<&'static str> for ConversionError {
            fn from(value: &'static str) -> Self {
                Self(value.into())
            }
        }
        impl From<String> for ConversionError {
            fn from(value: String) -> Self {
                Self(value.into())
            }
        }
    }
    ///What a button of a card does.
    #[derive(Clone, Debug)]
    #[non_exhaustive]
    pub enum CardActionKind {
        ///`postback`: it sends its value to the bot, unseen.
        Postback,
        ///`url`: it opens its value as a link.
        Url,
        ///`say`: it sends its value to the bot as the person's words.
        Say,
        /// A value that this version of the crate does not know.
        Other(::std::string::String),
    }
    impl CardActionKind {
        /// The value as the API writes it.
        pub fn as_str(&self) -> &str {
            match self {
                Self::Postback => "postback",
                Self::Url => "url",
                Self::Say => "say",
                Self::Other(value) => value,
            }
        }
    }
    impl ::std::convert::From<&str> for CardActionKind {
        fn from(value: &str) -> Self {
            match value {
                "postback" => Self::Postback,
                "url" => Self::Url,
                "say" => Self::Say,
                other => Self::Other(other.to_owned()),
            }
        }
    }
    impl ::std::convert::From<::std::string::String> for CardActionKind {
        fn from(value: ::std::string::String) -> Self {
            value.as_str().into()
        }
    }
    impl ::std::str::FromStr for CardActionKind {
        type Err = ::std::convert::Infallible;
        fn from_str(
            value: &str,
        ) -> ::std::result::Result<Self, ::std::convert::Infallible> {
            ::std::result::Result::Ok(value.into())
        }
    }
    /// Compares the values as the API writes them.
    impl ::std::cmp::PartialEq for CardActionKind {
        fn eq(&self, other: &Self) -> bool {
            self.as_str() == other.as_str()
        }
    }
    impl ::std::cmp::Eq for CardActionKind {}
    impl ::std::hash::Hash for CardActionKind {
        fn hash<H: ::std::hash::Hasher>(&self, state: &mut H) {
            ::std::hash::Hash::hash(self.as_str(), state);
        }
    }
    impl<'de> ::serde::Deserialize<'de> for CardActionKind {
        fn deserialize<D: ::serde::Deserializer<'de>>(
            deserializer: D,
        ) -> ::std::result::Result<Self, D::Error> {
            crate::decode::open_enum(deserializer)
        }
    }
    impl ::serde::Serialize for CardActionKind {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            serializer.serialize_str(self.as_str())
        }
    }
    impl ::std::fmt::Display for CardActionKind {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            f.write_str(self.as_str())
        }
    }
    ///The direction of a message, from the bot's point of view.
    #[derive(Clone, Debug)]
    #[non_exhaustive]
    pub enum Direction {
        ///`incoming`: from a person to the bot.
        Incoming,
        ///`outgoing`: from the bot to a person.
        Outgoing,
        /// A value that this version of the crate does not know.
        Other(::std::string::String),
    }
    impl Direction {
        /// The value as the API writes it.
        pub fn as_str(&self) -> &str {
            match self {
                Self::Incoming => "incoming",
                Self::Outgoing => "outgoing",
                Self::Other(value) => value,
            }
        }
    }
    impl ::std::convert::From<&str> for Direction {
        fn from(value: &str) -> Self {
            match value {
                "incoming" => Self::Incoming,
                "outgoing" => Self::Outgoing,
                other => Self::Other(other.to_owned()),
            }
        }
    }
    impl ::std::convert::From<::std::string::String> for Direction {
        fn from(value: ::std::string::String) -> Self {
            value.as_str().into()
        }
    }
    impl ::std::str::FromStr for Direction {
        type Err = ::std::convert::Infallible;
        fn from_str(
            value: &str,
        ) -> ::std::result::Result<Self, ::std::convert::Infallible> {
            ::std::result::Result::Ok(value.into())
        }
    }
    /// Compares the values as the API writes them.
    impl ::std::cmp::PartialEq for Direction {
        fn eq(&self, other: &Self) -> bool {
            self.as_str() == other.as_str()
        }
    }
    impl ::std::cmp::Eq for Direction {}
    impl ::std::hash::Hash for Direction {
        fn hash<H: ::std::hash::Hasher>(&self, state: &mut H) {
            ::std::hash::Hash::hash(self.as_str(), state);
        }
    }
    impl<'de> ::serde::Deserialize<'de> for Direction {
        fn deserialize<D: ::serde::Deserializer<'de>>(
            deserializer: D,
        ) -> ::std::result::Result<Self, D::Error> {
            crate::decode::open_enum(deserializer)
        }
    }
    impl ::serde::Serialize for Direction {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            serializer.serialize_str(self.as_str())
        }
    }
    impl ::std::fmt::Display for Direction {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            f.write_str(self.as_str())
        }
    }
    ///The kind of an error of the API.
    #[derive(Clone, Debug)]
    #[non_exhaustive]
    pub enum ErrorType {
        ///`InvalidPayload`: the body is not what the API expects; correct it.
        InvalidPayload,
        ///`InvalidJsonSchema`: a JSON schema in the request is not valid; correct it.
        InvalidJsonSchema,
        ///`InvalidDataFormat`: a value has the wrong form, such as a date; correct it.
        InvalidDataFormat,
        ///`InvalidIdentifier`: an id or a name has the wrong form; correct it.
        InvalidIdentifier,
        ///`ReferenceNotFound`: the request names a record that does not exist; look its id up again.
        ReferenceNotFound,
        ///`InvalidQuery`: the query is not valid; these operations send none.
        InvalidQuery,
        ///`Runtime`: the bot's own code failed; look at its log.
        Runtime,
        ///`BreakingChanges`: the bot's definition would break what is stored; correct the definition.
        BreakingChanges,
        ///`Unauthorized`: the token is missing, wrong or expired; get a new one.
        Unauthorized,
        ///`PaymentRequired`: the plan of the workspace does not cover the call; look at its billing.
        PaymentRequired,
        ///`Forbidden`: the token is not allowed to do this for this bot; check token, bot and integration.
        Forbidden,
        ///`QuotaExceeded`: a quota of the workspace is used up; wait for its renewal or raise it.
        QuotaExceeded,
        ///`ResourceNotFound`: what the path or an id names does not exist; check the ids and the base URL.
        ResourceNotFound,
        ///`MethodNotFound`: the path has no such method; check the base URL.
        MethodNotFound,
        ///`RelationConflict`: a relation to another record is in the way; look at that record.
        RelationConflict,
        ///`ReferenceConstraint`: another record still refers to this one; look at that record.
        ReferenceConstraint,
        ///`ResourceLockedConflict`: another request holds the record; repeat the call, as the client does.
        ResourceLockedConflict,
        ///`AlreadyExists`: the record exists already elsewhere, such as a message in another conversation.
        AlreadyExists,
        ///`ResourceGone`: the record was deleted; look its id up again.
        ResourceGone,
        ///`PayloadTooLarge`: the request is larger than 1 MB; send less.
        PayloadTooLarge,
        ///`LimitExceeded`: the payload is larger than its own limit, 128 KB for a message; send less.
        LimitExceeded,
        ///`UnsupportedMediaType`: the body is not JSON; something on the way changed it.
        UnsupportedMediaType,
        ///`RateLimited`: there were too many requests; wait as the response says, as the client does.
        RateLimited,
        ///`Unknown`: the API failed for a cause that it does not know; repeat the call.
        Unknown,
        ///`Internal`: the API failed; repeat the call.
        Internal,
        ///`OperationTimeout`: the API took too long and may have stored the record; repeat the call.
        OperationTimeout,
        /// A value that this version of the crate does not know.
        Other(::std::string::String),
    }
    impl ErrorType {
        /// The value as the API writes it.
        pub fn as_str(&self) -> &str {
            match self {
                Self::InvalidPayload => "InvalidPayload",
                Self::InvalidJsonSchema => "InvalidJsonSchema",
                Self::InvalidDataFormat => "InvalidDataFormat",
                Self::InvalidIdentifier => "InvalidIdentifier",
                Self::ReferenceNotFound => "ReferenceNotFound",
                Self::InvalidQuery => "InvalidQuery",
                Self::Runtime => "Runtime",
                Self::BreakingChanges => "BreakingChanges",
                Self::Unauthorized => "Unauthorized",
                Self::PaymentRequired => "PaymentRequired",
                Self::Forbidden => "Forbidden",
                Self::QuotaExceeded => "QuotaExceeded",
                Self::ResourceNotFound => "ResourceNotFound",
                Self::MethodNotFound => "MethodNotFound",
                Self::RelationConflict => "RelationConflict",
                Self::ReferenceConstraint => "ReferenceConstraint",
                Self::ResourceLockedConflict => "ResourceLockedConflict",
                Self::AlreadyExists => "AlreadyExists",
                Self::ResourceGone => "ResourceGone",
                Self::PayloadTooLarge => "PayloadTooLarge",
                Self::LimitExceeded => "LimitExceeded",
                Self::UnsupportedMediaType => "UnsupportedMediaType",
                Self::RateLimited => "RateLimited",
                Self::Unknown => "Unknown",
                Self::Internal => "Internal",
                Self::OperationTimeout => "OperationTimeout",
                Self::Other(value) => value,
            }
        }
    }
    impl ::std::convert::From<&str> for ErrorType {
        fn from(value: &str) -> Self {
            match value {
                "InvalidPayload" => Self::InvalidPayload,
                "InvalidJsonSchema" => Self::InvalidJsonSchema,
                "InvalidDataFormat" => Self::InvalidDataFormat,
                "InvalidIdentifier" => Self::InvalidIdentifier,
                "ReferenceNotFound" => Self::ReferenceNotFound,
                "InvalidQuery" => Self::InvalidQuery,
                "Runtime" => Self::Runtime,
                "BreakingChanges" => Self::BreakingChanges,
                "Unauthorized" => Self::Unauthorized,
                "PaymentRequired" => Self::PaymentRequired,
                "Forbidden" => Self::Forbidden,
                "QuotaExceeded" => Self::QuotaExceeded,
                "ResourceNotFound" => Self::ResourceNotFound,
                "MethodNotFound" => Self::MethodNotFound,
                "RelationConflict" => Self::RelationConflict,
                "ReferenceConstraint" => Self::ReferenceConstraint,
                "ResourceLockedConflict" => Self::ResourceLockedConflict,
                "AlreadyExists" => Self::AlreadyExists,
                "ResourceGone" => Self::ResourceGone,
                "PayloadTooLarge" => Self::PayloadTooLarge,
                "LimitExceeded" => Self::LimitExceeded,
                "UnsupportedMediaType" => Self::UnsupportedMediaType,
                "RateLimited" => Self::RateLimited,
                "Unknown" => Self::Unknown,
                "Internal" => Self::Internal,
                "OperationTimeout" => Self::OperationTimeout,
                other => Self::Other(other.to_owned()),
            }
        }
    }
    impl ::std::convert::From<::std::string::String> for ErrorType {
        fn from(value: ::std::string::String) -> Self {
            value.as_str().into()
        }
    }
    impl ::std::str::FromStr for ErrorType {
        type Err = ::std::convert::Infallible;
        fn from_str(
            value: &str,
        ) -> ::std::result::Result<Self, ::std::convert::Infallible> {
            ::std::result::Result::Ok(value.into())
        }
    }
    /// Compares the values as the API writes them.
    impl ::std::cmp::PartialEq for ErrorType {
        fn eq(&self, other: &Self) -> bool {
            self.as_str() == other.as_str()
        }
    }
    impl ::std::cmp::Eq for ErrorType {}
    impl ::std::hash::Hash for ErrorType {
        fn hash<H: ::std::hash::Hasher>(&self, state: &mut H) {
            ::std::hash::Hash::hash(self.as_str(), state);
        }
    }
    impl<'de> ::serde::Deserialize<'de> for ErrorType {
        fn deserialize<D: ::serde::Deserializer<'de>>(
            deserializer: D,
        ) -> ::std::result::Result<Self, D::Error> {
            crate::decode::open_enum(deserializer)
        }
    }
    impl ::serde::Serialize for ErrorType {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            serializer.serialize_str(self.as_str())
        }
    }
    impl ::std::fmt::Display for ErrorType {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            f.write_str(self.as_str())
        }
    }
    ///Where a stored message comes from, if not from a person.
    #[derive(Clone, Debug)]
    #[non_exhaustive]
    pub enum Origin {
        ///`synthetic`: a program wrote it.
        Synthetic,
        /// A value that this version of the crate does not know.
        Other(::std::string::String),
    }
    impl Origin {
        /// The value as the API writes it.
        pub fn as_str(&self) -> &str {
            match self {
                Self::Synthetic => "synthetic",
                Self::Other(value) => value,
            }
        }
    }
    impl ::std::convert::From<&str> for Origin {
        fn from(value: &str) -> Self {
            match value {
                "synthetic" => Self::Synthetic,
                other => Self::Other(other.to_owned()),
            }
        }
    }
    impl ::std::convert::From<::std::string::String> for Origin {
        fn from(value: ::std::string::String) -> Self {
            value.as_str().into()
        }
    }
    impl ::std::str::FromStr for Origin {
        type Err = ::std::convert::Infallible;
        fn from_str(
            value: &str,
        ) -> ::std::result::Result<Self, ::std::convert::Infallible> {
            ::std::result::Result::Ok(value.into())
        }
    }
    /// Compares the values as the API writes them.
    impl ::std::cmp::PartialEq for Origin {
        fn eq(&self, other: &Self) -> bool {
            self.as_str() == other.as_str()
        }
    }
    impl ::std::cmp::Eq for Origin {}
    impl ::std::hash::Hash for Origin {
        fn hash<H: ::std::hash::Hasher>(&self, state: &mut H) {
            ::std::hash::Hash::hash(self.as_str(), state);
        }
    }
    impl<'de> ::serde::Deserialize<'de> for Origin {
        fn deserialize<D: ::serde::Deserializer<'de>>(
            deserializer: D,
        ) -> ::std::result::Result<Self, D::Error> {
            crate::decode::open_enum(deserializer)
        }
    }
    impl ::serde::Serialize for Origin {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            serializer.serialize_str(self.as_str())
        }
    }
    impl ::std::fmt::Display for Origin {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            f.write_str(self.as_str())
        }
    }
    impl ::serde::Serialize for Audio {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("audioUrl") {
                map.serialize_entry("audioUrl", &self.audio_url)?;
            }
            if !self.extra.contains_key("title") {
                if let ::std::option::Option::Some(value) = &self.title {
                    map.serialize_entry("title", value)?;
                }
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl Audio {
        /**A sound recording.

```
use botpress_messages::content::*;
use botpress_messages::serde_json::{json, to_value};

let content = Audio::new("https://example.com/voice.ogg");
assert_eq!(to_value(content).unwrap(), json!({"audioUrl":"https://example.com/voice.ogg"}));
```*/
        #[must_use]
        pub fn new(audio_url: impl ::std::convert::Into<::std::string::String>) -> Self {
            Self {
                audio_url: audio_url.into(),
                title: ::std::default::Default::default(),
                extra: ::std::default::Default::default(),
            }
        }
        ///What it is.
        #[must_use]
        pub fn title(
            mut self,
            title: impl ::std::convert::Into<::std::string::String>,
        ) -> Self {
            self.title = ::std::option::Option::Some(title.into());
            self
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl ::serde::Serialize for Bloc {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("items") {
                map.serialize_entry("items", &self.items)?;
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl Bloc {
        /**Several contents in one message.

```
use botpress_messages::content::*;
use botpress_messages::serde_json::{json, to_value};

let content = Bloc::new([BlocItem::from(Text::new("Here it is.")), BlocItem::from(File::new("https://example.com/terms.pdf"))]);
assert_eq!(to_value(content).unwrap(), json!({"items":[{"payload":{"text":"Here it is."},"type":"text"},{"payload":{"fileUrl":"https://example.com/terms.pdf"},"type":"file"}]}));
```*/
        #[must_use]
        pub fn new(
            items: impl ::std::iter::IntoIterator<
                Item = impl ::std::convert::Into<BlocItem>,
            >,
        ) -> Self {
            Self {
                items: items.into_iter().map(::std::convert::Into::into).collect(),
                extra: ::std::default::Default::default(),
            }
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl ::serde::Serialize for Card {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("title") {
                map.serialize_entry("title", &self.title)?;
            }
            if !self.extra.contains_key("actions") {
                map.serialize_entry("actions", &self.actions)?;
            }
            if !self.extra.contains_key("subtitle") {
                if let ::std::option::Option::Some(value) = &self.subtitle {
                    map.serialize_entry("subtitle", value)?;
                }
            }
            if !self.extra.contains_key("imageUrl") {
                if let ::std::option::Option::Some(value) = &self.image_url {
                    map.serialize_entry("imageUrl", value)?;
                }
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl Card {
        /**A card with buttons.

```
use botpress_messages::content::*;
use botpress_messages::serde_json::{json, to_value};

let content = Card::new("Staging", [CardAction::new("postback", "Restart", "restart")]).subtitle("It is down.");
assert_eq!(to_value(content).unwrap(), json!({"actions":[{"action":"postback","label":"Restart","value":"restart"}],"subtitle":"It is down.","title":"Staging"}));
```*/
        #[must_use]
        pub fn new(
            title: impl ::std::convert::Into<::std::string::String>,
            actions: impl ::std::iter::IntoIterator<Item = CardAction>,
        ) -> Self {
            Self {
                title: title.into(),
                actions: actions.into_iter().collect(),
                subtitle: ::std::default::Default::default(),
                image_url: ::std::default::Default::default(),
                extra: ::std::default::Default::default(),
            }
        }
        ///The line below the heading.
        #[must_use]
        pub fn subtitle(
            mut self,
            subtitle: impl ::std::convert::Into<::std::string::String>,
        ) -> Self {
            self.subtitle = ::std::option::Option::Some(subtitle.into());
            self
        }
        ///Where the picture on the card is.
        #[must_use]
        pub fn image_url(
            mut self,
            image_url: impl ::std::convert::Into<::std::string::String>,
        ) -> Self {
            self.image_url = ::std::option::Option::Some(image_url.into());
            self
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl ::serde::Serialize for CardAction {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("action") {
                map.serialize_entry("action", &self.action)?;
            }
            if !self.extra.contains_key("label") {
                map.serialize_entry("label", &self.label)?;
            }
            if !self.extra.contains_key("value") {
                map.serialize_entry("value", &self.value)?;
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl CardAction {
        ///A button of a card.
        #[must_use]
        pub fn new(
            action: impl ::std::convert::Into<CardActionKind>,
            label: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::std::string::String>,
        ) -> Self {
            Self {
                action: action.into(),
                label: label.into(),
                value: value.into(),
                extra: ::std::default::Default::default(),
            }
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl ::serde::Serialize for Carousel {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("items") {
                map.serialize_entry("items", &self.items)?;
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl Carousel {
        /**Several cards in a row.

```
use botpress_messages::content::*;
use botpress_messages::serde_json::{json, to_value};

let content = Carousel::new([Card::new("Staging", [CardAction::new("url", "Open", "https://example.com")])]);
assert_eq!(to_value(content).unwrap(), json!({"items":[{"actions":[{"action":"url","label":"Open","value":"https://example.com"}],"title":"Staging"}]}));
```*/
        #[must_use]
        pub fn new(items: impl ::std::iter::IntoIterator<Item = Card>) -> Self {
            Self {
                items: items.into_iter().collect(),
                extra: ::std::default::Default::default(),
            }
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl ::serde::Serialize for Choice {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("text") {
                map.serialize_entry("text", &self.text)?;
            }
            if !self.extra.contains_key("options") {
                map.serialize_entry("options", &self.options)?;
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl Choice {
        /**A question with a few answers, as buttons.

```
use botpress_messages::content::*;
use botpress_messages::serde_json::{json, to_value};

let content = Choice::new("Restart it?", [ChoiceOption::new("Yes", "restart")]);
assert_eq!(to_value(content).unwrap(), json!({"options":[{"label":"Yes","value":"restart"}],"text":"Restart it?"}));
```*/
        #[must_use]
        pub fn new(
            text: impl ::std::convert::Into<::std::string::String>,
            options: impl ::std::iter::IntoIterator<Item = ChoiceOption>,
        ) -> Self {
            Self {
                text: text.into(),
                options: options.into_iter().collect(),
                extra: ::std::default::Default::default(),
            }
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl ::serde::Serialize for ChoiceOption {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("label") {
                map.serialize_entry("label", &self.label)?;
            }
            if !self.extra.contains_key("value") {
                map.serialize_entry("value", &self.value)?;
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl ChoiceOption {
        ///An answer to choose.
        #[must_use]
        pub fn new(
            label: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::std::string::String>,
        ) -> Self {
            Self {
                label: label.into(),
                value: value.into(),
                extra: ::std::default::Default::default(),
            }
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl ::serde::Serialize for Dropdown {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("text") {
                map.serialize_entry("text", &self.text)?;
            }
            if !self.extra.contains_key("options") {
                map.serialize_entry("options", &self.options)?;
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl Dropdown {
        /**A question with many answers, as a list.

```
use botpress_messages::content::*;
use botpress_messages::serde_json::{json, to_value};

let content = Dropdown::new("Which one?", [ChoiceOption::new("Staging", "staging")]);
assert_eq!(to_value(content).unwrap(), json!({"options":[{"label":"Staging","value":"staging"}],"text":"Which one?"}));
```*/
        #[must_use]
        pub fn new(
            text: impl ::std::convert::Into<::std::string::String>,
            options: impl ::std::iter::IntoIterator<Item = ChoiceOption>,
        ) -> Self {
            Self {
                text: text.into(),
                options: options.into_iter().collect(),
                extra: ::std::default::Default::default(),
            }
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl ::serde::Serialize for File {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("fileUrl") {
                map.serialize_entry("fileUrl", &self.file_url)?;
            }
            if !self.extra.contains_key("title") {
                if let ::std::option::Option::Some(value) = &self.title {
                    map.serialize_entry("title", value)?;
                }
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl File {
        /**Any other file.

```
use botpress_messages::content::*;
use botpress_messages::serde_json::{json, to_value};

let content = File::new("https://example.com/terms.pdf").title("Terms");
assert_eq!(to_value(content).unwrap(), json!({"fileUrl":"https://example.com/terms.pdf","title":"Terms"}));
```*/
        #[must_use]
        pub fn new(file_url: impl ::std::convert::Into<::std::string::String>) -> Self {
            Self {
                file_url: file_url.into(),
                title: ::std::default::Default::default(),
                extra: ::std::default::Default::default(),
            }
        }
        ///What it is.
        #[must_use]
        pub fn title(
            mut self,
            title: impl ::std::convert::Into<::std::string::String>,
        ) -> Self {
            self.title = ::std::option::Option::Some(title.into());
            self
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl ::serde::Serialize for Image {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("imageUrl") {
                map.serialize_entry("imageUrl", &self.image_url)?;
            }
            if !self.extra.contains_key("title") {
                if let ::std::option::Option::Some(value) = &self.title {
                    map.serialize_entry("title", value)?;
                }
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl Image {
        /**A picture.

```
use botpress_messages::content::*;
use botpress_messages::serde_json::{json, to_value};

let content = Image::new("https://example.com/cat.png").title("A cat");
assert_eq!(to_value(content).unwrap(), json!({"imageUrl":"https://example.com/cat.png","title":"A cat"}));
```*/
        #[must_use]
        pub fn new(image_url: impl ::std::convert::Into<::std::string::String>) -> Self {
            Self {
                image_url: image_url.into(),
                title: ::std::default::Default::default(),
                extra: ::std::default::Default::default(),
            }
        }
        ///What it shows.
        #[must_use]
        pub fn title(
            mut self,
            title: impl ::std::convert::Into<::std::string::String>,
        ) -> Self {
            self.title = ::std::option::Option::Some(title.into());
            self
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl ::serde::Serialize for Location {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("latitude") {
                map.serialize_entry("latitude", &self.latitude)?;
            }
            if !self.extra.contains_key("longitude") {
                map.serialize_entry("longitude", &self.longitude)?;
            }
            if !self.extra.contains_key("address") {
                if let ::std::option::Option::Some(value) = &self.address {
                    map.serialize_entry("address", value)?;
                }
            }
            if !self.extra.contains_key("title") {
                if let ::std::option::Option::Some(value) = &self.title {
                    map.serialize_entry("title", value)?;
                }
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl Location {
        /**A place.

```
use botpress_messages::content::*;
use botpress_messages::serde_json::{json, to_value};

let content = Location::new(45.5, -73.25).title("Montreal");
assert_eq!(to_value(content).unwrap(), json!({"latitude":45.5,"longitude":-73.25,"title":"Montreal"}));
```*/
        #[must_use]
        pub fn new(latitude: f64, longitude: f64) -> Self {
            Self {
                latitude: latitude,
                longitude: longitude,
                address: ::std::default::Default::default(),
                title: ::std::default::Default::default(),
                extra: ::std::default::Default::default(),
            }
        }
        ///Its postal address.
        #[must_use]
        pub fn address(
            mut self,
            address: impl ::std::convert::Into<::std::string::String>,
        ) -> Self {
            self.address = ::std::option::Option::Some(address.into());
            self
        }
        ///Its name.
        #[must_use]
        pub fn title(
            mut self,
            title: impl ::std::convert::Into<::std::string::String>,
        ) -> Self {
            self.title = ::std::option::Option::Some(title.into());
            self
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl ::serde::Serialize for Markdown {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("markdown") {
                map.serialize_entry("markdown", &self.markdown)?;
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl Markdown {
        /**Text in Markdown; deprecated by Botpress.

```
use botpress_messages::content::*;
use botpress_messages::serde_json::{json, to_value};

let content = Markdown::new("**Hello**");
assert_eq!(to_value(content).unwrap(), json!({"markdown":"**Hello**"}));
```*/
        #[must_use]
        pub fn new(markdown: impl ::std::convert::Into<::std::string::String>) -> Self {
            Self {
                markdown: markdown.into(),
                extra: ::std::default::Default::default(),
            }
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl NewConversation {
        /// With only the required properties.
        #[allow(dead_code)]
        pub(crate) fn from_required(
            channel: impl ::std::convert::Into<::std::string::String>,
            tags: ::std::collections::BTreeMap<
                ::std::string::String,
                ::std::string::String,
            >,
        ) -> Self {
            Self {
                channel: channel.into(),
                tags: tags,
                integration_name: ::std::default::Default::default(),
                discriminate_by_tags: ::std::default::Default::default(),
            }
        }
        ///Deprecated by Botpress: call an action of the integration instead. It has at most 200 characters.
        #[must_use]
        pub fn integration_name(
            mut self,
            integration_name: impl ::std::convert::Into<::std::string::String>,
        ) -> Self {
            self.integration_name = ::std::option::Option::Some(integration_name.into());
            self
        }
        ///The tags to look up the record by, if not by all of them. Each item has at most 500 characters.
        #[must_use]
        pub fn discriminate_by_tags(
            mut self,
            discriminate_by_tags: impl ::std::iter::IntoIterator<
                Item = impl ::std::convert::Into<::std::string::String>,
            >,
        ) -> Self {
            self.discriminate_by_tags = discriminate_by_tags
                .into_iter()
                .map(::std::convert::Into::into)
                .collect();
            self
        }
    }
    impl NewMessage {
        /// With only the required properties.
        #[allow(dead_code)]
        pub(crate) fn from_required(
            conversation_id: impl ::std::convert::Into<::std::string::String>,
            user_id: impl ::std::convert::Into<::std::string::String>,
            type_: impl ::std::convert::Into<::std::string::String>,
            payload: ::serde_json::Map<::std::string::String, ::serde_json::Value>,
            tags: ::std::collections::BTreeMap<
                ::std::string::String,
                ::std::string::String,
            >,
        ) -> Self {
            Self {
                conversation_id: conversation_id.into(),
                user_id: user_id.into(),
                type_: type_.into(),
                payload: payload,
                tags: tags,
                schedule: ::std::default::Default::default(),
                origin: ::std::default::Default::default(),
                discriminate_by_tags: ::std::default::Default::default(),
            }
        }
        ///When to deliver the message: after a delay or at a date, never both.
        #[must_use]
        pub fn schedule(
            mut self,
            schedule: impl ::std::convert::Into<Schedule>,
        ) -> Self {
            self.schedule = ::std::option::Option::Some(schedule.into());
            self
        }
        ///Where a new message comes from, if not from a person.
        #[must_use]
        pub fn origin(
            mut self,
            origin: impl ::std::convert::Into<NewMessageOrigin>,
        ) -> Self {
            self.origin = ::std::option::Option::Some(origin.into());
            self
        }
        ///The tags to look up the record by, if not by all of them. Each item has at most 500 characters.
        #[must_use]
        pub fn discriminate_by_tags(
            mut self,
            discriminate_by_tags: impl ::std::iter::IntoIterator<
                Item = impl ::std::convert::Into<::std::string::String>,
            >,
        ) -> Self {
            self.discriminate_by_tags = discriminate_by_tags
                .into_iter()
                .map(::std::convert::Into::into)
                .collect();
            self
        }
    }
    impl NewUser {
        /// With only the required properties.
        #[allow(dead_code)]
        pub(crate) fn from_required(
            tags: ::std::collections::BTreeMap<
                ::std::string::String,
                ::std::string::String,
            >,
        ) -> Self {
            Self {
                tags: tags,
                name: ::std::default::Default::default(),
                picture_url: ::std::default::Default::default(),
                integration_name: ::std::default::Default::default(),
                discriminate_by_tags: ::std::default::Default::default(),
            }
        }
        ///The name, for people to read. It identifies nothing; a user who is found gets it, from version 1.80 on. It has at most 200 characters.
        #[must_use]
        pub fn name(
            mut self,
            name: impl ::std::convert::Into<::std::string::String>,
        ) -> Self {
            self.name = ::std::option::Option::Some(name.into());
            self
        }
        ///Where a picture of the user is, or the picture itself as a data URI. It has at most 40000 characters.
        #[must_use]
        pub fn picture_url(
            mut self,
            picture_url: impl ::std::convert::Into<::std::string::String>,
        ) -> Self {
            self.picture_url = ::std::option::Option::Some(picture_url.into());
            self
        }
        ///Deprecated by Botpress: call an action of the integration instead. It has at most 200 characters.
        #[must_use]
        pub fn integration_name(
            mut self,
            integration_name: impl ::std::convert::Into<::std::string::String>,
        ) -> Self {
            self.integration_name = ::std::option::Option::Some(integration_name.into());
            self
        }
        ///The tags to look up the record by, if not by all of them. Each item has at most 500 characters.
        #[must_use]
        pub fn discriminate_by_tags(
            mut self,
            discriminate_by_tags: impl ::std::iter::IntoIterator<
                Item = impl ::std::convert::Into<::std::string::String>,
            >,
        ) -> Self {
            self.discriminate_by_tags = discriminate_by_tags
                .into_iter()
                .map(::std::convert::Into::into)
                .collect();
            self
        }
    }
    impl ::serde::Serialize for Text {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("text") {
                map.serialize_entry("text", &self.text)?;
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl Text {
        /**Plain text.

```
use botpress_messages::content::*;
use botpress_messages::serde_json::{json, to_value};

let content = Text::new("Hello");
assert_eq!(to_value(content).unwrap(), json!({"text":"Hello"}));
```*/
        #[must_use]
        pub fn new(text: impl ::std::convert::Into<::std::string::String>) -> Self {
            Self {
                text: text.into(),
                extra: ::std::default::Default::default(),
            }
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl ::serde::Serialize for Video {
        fn serialize<S: ::serde::Serializer>(
            &self,
            serializer: S,
        ) -> ::std::result::Result<S::Ok, S::Error> {
            use ::serde::ser::SerializeMap as _;
            let mut map = serializer.serialize_map(::std::option::Option::None)?;
            if !self.extra.contains_key("videoUrl") {
                map.serialize_entry("videoUrl", &self.video_url)?;
            }
            if !self.extra.contains_key("title") {
                if let ::std::option::Option::Some(value) = &self.title {
                    map.serialize_entry("title", value)?;
                }
            }
            for (key, value) in &self.extra {
                map.serialize_entry(key, value)?;
            }
            map.end()
        }
    }
    impl Video {
        /**A video.

```
use botpress_messages::content::*;
use botpress_messages::serde_json::{json, to_value};

let content = Video::new("https://example.com/tour.mp4").title("A tour");
assert_eq!(to_value(content).unwrap(), json!({"title":"A tour","videoUrl":"https://example.com/tour.mp4"}));
```*/
        #[must_use]
        pub fn new(video_url: impl ::std::convert::Into<::std::string::String>) -> Self {
            Self {
                video_url: video_url.into(),
                title: ::std::default::Default::default(),
                extra: ::std::default::Default::default(),
            }
        }
        ///What it shows.
        #[must_use]
        pub fn title(
            mut self,
            title: impl ::std::convert::Into<::std::string::String>,
        ) -> Self {
            self.title = ::std::option::Option::Some(title.into());
            self
        }
        /// Adds a key that the contract does not name. A key that it names replaces the property.
        #[must_use]
        pub fn extra(
            mut self,
            key: impl ::std::convert::Into<::std::string::String>,
            value: impl ::std::convert::Into<::serde_json::Value>,
        ) -> Self {
            self.extra.insert(key.into(), value.into());
            self
        }
    }
    impl ::std::fmt::Debug for Message {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            f.debug_struct("Message")
                .field("conversation_id", &self.conversation_id)
                .field("created_at", &self.created_at)
                .field("direction", &self.direction)
                .field("id", &self.id)
                .field("origin", &self.origin)
                .field("payload", &::std::format_args!("_"))
                .field("tags", &self.tags)
                .field("type_", &self.type_)
                .field("updated_at", &self.updated_at)
                .field("user_id", &self.user_id)
                .finish()
        }
    }
    impl ::std::fmt::Debug for NewMessage {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            f.debug_struct("NewMessage")
                .field("conversation_id", &self.conversation_id)
                .field("discriminate_by_tags", &self.discriminate_by_tags)
                .field("origin", &self.origin)
                .field("payload", &::std::format_args!("_"))
                .field("schedule", &self.schedule)
                .field("tags", &self.tags)
                .field("type_", &self.type_)
                .field("user_id", &self.user_id)
                .finish()
        }
    }
    impl ::std::fmt::Debug for NewUser {
        fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
            f.debug_struct("NewUser")
                .field("discriminate_by_tags", &self.discriminate_by_tags)
                .field("integration_name", &self.integration_name)
                .field("name", &::std::format_args!("_"))
                .field("picture_url", &::std::format_args!("_"))
                .field("tags", &self.tags)
                .finish()
        }
    }
}
#[derive(Clone, Debug)]
/**Client for Botpress Runtime API, message delivery

Passes a message from a channel (Slack, WhatsApp, mail, ...) to a Botpress bot, once, even if the channel repeats its webhook: first the user who wrote it and the conversation it belongs to, then the message.

Version: 1.108.0*/
pub struct Client {
    pub(crate) baseurl: String,
    pub(crate) client: reqwest::Client,
    pub(crate) inner: crate::attempt::Hooks,
}
impl Client {
    /// Create a new client.
    ///
    /// `baseurl` is the base URL provided to the internal
    /// `reqwest::Client`, and should include a scheme and hostname,
    /// as well as port and a path stem if applicable.
    pub fn new(baseurl: &str, inner: crate::attempt::Hooks) -> Self {
        #[cfg(not(target_arch = "wasm32"))]
        let client = {
            let dur = ::std::time::Duration::from_secs(15u64);
            reqwest::ClientBuilder::new().connect_timeout(dur).timeout(dur)
        };
        #[cfg(target_arch = "wasm32")]
        let client = reqwest::ClientBuilder::new();
        Self::new_with_client(baseurl, client.build().unwrap(), inner)
    }
    /// Construct a new client with an existing `reqwest::Client`,
    /// allowing more control over its configuration.
    ///
    /// `baseurl` is the base URL provided to the internal
    /// `reqwest::Client`, and should include a scheme and hostname,
    /// as well as port and a path stem if applicable.
    pub fn new_with_client(
        baseurl: &str,
        client: reqwest::Client,
        inner: crate::attempt::Hooks,
    ) -> Self {
        Self {
            baseurl: baseurl.to_string(),
            client,
            inner,
        }
    }
}
impl ClientInfo<crate::attempt::Hooks> for Client {
    fn api_version() -> &'static str {
        "1.108.0"
    }
    fn baseurl(&self) -> &str {
        self.baseurl.as_str()
    }
    fn client(&self) -> &reqwest::Client {
        &self.client
    }
    fn inner(&self) -> &crate::attempt::Hooks {
        &self.inner
    }
}
const _: () = {
    #[allow(dead_code)]
    fn assert_client_hooks()
    where
        Client: ClientHooks<crate::attempt::Hooks>,
    {}
};
#[allow(clippy::all)]
impl Client {
    /**Gets the message with these tags, or creates it

Looks for a stored message by its tags: by all of them, or only by those that `discriminateByTags` lists. If there is one, it is updated with the tags and the payload of this request (from version 1.80 on) and returned; if there is none, it is created.

Sends a `POST` request to `/v1/chat/messages/get-or-create`

*/
    pub async fn get_or_create_message<'a>(
        &'a self,
        body: &'a types::NewMessage,
    ) -> Result<ResponseValue<types::GetOrCreateMessageResponse>, Error<()>> {
        let url = format!("{}/v1/chat/messages/get-or-create", self.baseurl,);
        let mut header_map = ::reqwest::header::HeaderMap::with_capacity(1usize);
        header_map
            .append(
                ::reqwest::header::HeaderName::from_static("api-version"),
                ::reqwest::header::HeaderValue::from_static(Self::api_version()),
            );
        #[allow(unused_mut)]
        let mut request = self
            .client
            .post(url)
            .header(
                ::reqwest::header::ACCEPT,
                ::reqwest::header::HeaderValue::from_static("application/json"),
            )
            .json(&body)
            .headers(header_map)
            .build()?;
        let info = OperationInfo {
            operation_id: "get_or_create_message",
        };
        self.pre(&mut request, &info).await?;
        let result = self.exec(request, &info).await;
        self.post(&result, &info).await?;
        let response = result?;
        match response.status().as_u16() {
            200u16 => ResponseValue::from_response(response).await,
            _ => Err(Error::UnexpectedResponse(response)),
        }
    }
    /**Gets the user with these tags, or creates one

Looks for a stored user by tags: by all of the request's, or only by those that `discriminateByTags` lists; further tags of the stored user do not matter. A user who is found is updated with the name, the picture and the tags of this request (from version 1.80 on).

Sends a `POST` request to `/v1/chat/users/get-or-create`

*/
    pub async fn get_or_create_user<'a>(
        &'a self,
        body: &'a types::NewUser,
    ) -> Result<ResponseValue<types::GetOrCreateUserResponse>, Error<()>> {
        let url = format!("{}/v1/chat/users/get-or-create", self.baseurl,);
        let mut header_map = ::reqwest::header::HeaderMap::with_capacity(1usize);
        header_map
            .append(
                ::reqwest::header::HeaderName::from_static("api-version"),
                ::reqwest::header::HeaderValue::from_static(Self::api_version()),
            );
        #[allow(unused_mut)]
        let mut request = self
            .client
            .post(url)
            .header(
                ::reqwest::header::ACCEPT,
                ::reqwest::header::HeaderValue::from_static("application/json"),
            )
            .json(&body)
            .headers(header_map)
            .build()?;
        let info = OperationInfo {
            operation_id: "get_or_create_user",
        };
        self.pre(&mut request, &info).await?;
        let result = self.exec(request, &info).await;
        self.post(&result, &info).await?;
        let response = result?;
        match response.status().as_u16() {
            200u16 => ResponseValue::from_response(response).await,
            _ => Err(Error::UnexpectedResponse(response)),
        }
    }
    /**Gets the conversation with these tags, or creates it

Looks for a stored conversation of the channel by tags: by all of the request's, or only by those that `discriminateByTags` lists; further tags of the stored conversation do not matter. One that is found is updated with the tags of this request (from version 1.80 on).

Sends a `POST` request to `/v1/chat/conversations/get-or-create`

*/
    pub async fn get_or_create_conversation<'a>(
        &'a self,
        body: &'a types::NewConversation,
    ) -> Result<ResponseValue<types::GetOrCreateConversationResponse>, Error<()>> {
        let url = format!("{}/v1/chat/conversations/get-or-create", self.baseurl,);
        let mut header_map = ::reqwest::header::HeaderMap::with_capacity(1usize);
        header_map
            .append(
                ::reqwest::header::HeaderName::from_static("api-version"),
                ::reqwest::header::HeaderValue::from_static(Self::api_version()),
            );
        #[allow(unused_mut)]
        let mut request = self
            .client
            .post(url)
            .header(
                ::reqwest::header::ACCEPT,
                ::reqwest::header::HeaderValue::from_static("application/json"),
            )
            .json(&body)
            .headers(header_map)
            .build()?;
        let info = OperationInfo {
            operation_id: "get_or_create_conversation",
        };
        self.pre(&mut request, &info).await?;
        let result = self.exec(request, &info).await;
        self.post(&result, &info).await?;
        let response = result?;
        match response.status().as_u16() {
            200u16 => ResponseValue::from_response(response).await,
            _ => Err(Error::UnexpectedResponse(response)),
        }
    }
}
/// Items consumers will typically use such as the Client.
pub mod prelude {
    #[allow(unused_imports)]
    pub use super::Client;
}
