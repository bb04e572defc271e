//! The ways of making a call: prepared bytes, by hand, and by this crate.

use std::collections::BTreeMap;

use botpress_messages::{Client, Delivery, NewConversation, NewMessage, NewUser, content::Text};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub const CONVERSATION: &str = "conv_01KDF2QM9Z2CK5XYT0RD4E7J5K";
pub const USER: &str = "user_010NFASW4XK2YJ5RVY7B6JMC28";
const TEXT: &str = "can someone restart **staging**?";
const TOKEN: &str = "bp_pat_5ecret";
const BOT: &str = "6f2f9e4e-5b0c-4c4e-9d3e-0a7c1b2d3e4f";

/// A way of making a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Call {
    /// Prepared bytes through reqwest; the response's bytes are ignored.
    Floor,
    /// reqwest with hand-written serde structs.
    Hand,
    /// `get_or_create` with a message built by type.
    Typed,
    /// `get_or_create` with a message read from JSON.
    Json,
    /// `deliver` for a known user in a known conversation.
    Deliver,
    /// Building and validating, without a call.
    Validate,
}

impl Call {
    pub const ALL: [Self; 6] =
        [Self::Floor, Self::Hand, Self::Typed, Self::Json, Self::Deliver, Self::Validate];

    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Hand => "hand",
            Self::Typed => "typed",
            Self::Json => "json",
            Self::Deliver => "deliver",
            Self::Validate => "validate",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|call| call.name() == name)
    }
}

/// What calls need, made once.
pub struct Caller {
    url: String,
    http: reqwest::Client,
    client: Client,
    bytes: &'static [u8],
    recorded: String,
}

impl Caller {
    pub fn new(base_url: &str) -> Self {
        let recorded = json!(message(0)).to_string();
        let client = Client::builder().base_url(base_url).token(TOKEN).bot_id(BOT);
        Self {
            url: format!("{base_url}/v1/chat/messages/get-or-create"),
            http: reqwest::Client::new(),
            client: client.integration_id("slack").build().expect("the settings are complete"),
            bytes: recorded.clone().leak().as_bytes(),
            recorded,
        }
    }

    /// Makes this number of calls, some of them in parallel. Each kind has futures of another size.
    pub async fn run(&self, call: Call, count: usize) {
        match call {
            Call::Floor => at_once(count, |_| self.floor()).await,
            Call::Hand => at_once(count, |number| self.by_hand(number)).await,
            Call::Typed => at_once(count, |number| self.get_or_create(message(number))).await,
            Call::Json => at_once(count, |number| self.get_or_create(self.recorded(number))).await,
            Call::Deliver => {
                at_once(count, |number| self.deliver(inbound(number, number % AT_ONCE))).await
            }
            Call::Validate => {
                (0..count).for_each(|number| message(number).validate().expect("it is valid"));
            }
        }
    }

    async fn floor(&self) {
        let request = self.request().header(CONTENT_TYPE, "application/json");
        let answer = request.body(self.bytes).send().await.expect("it is answered");
        answer.bytes().await.expect("the answer is whole");
    }

    async fn by_hand(&self, number: usize) {
        let answer = self.request().json(&Body::new(number)).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status);
        let stored: Answer = answer.expect("it is answered").json().await.expect("it is read");
        assert!(stored.meta.created && stored.message.id.len() == 30);
    }

    async fn get_or_create(&self, message: NewMessage) {
        let stored = self.client.get_or_create(&message).await.expect("it is stored");
        assert!(stored.created == Some(true) && stored.record.id.len() == 30);
    }

    async fn deliver(&self, delivery: Delivery) {
        let stored = self.client.deliver(&delivery).await.expect("it is stored");
        assert!(stored.created == Some(true) && stored.record.id.len() == 30);
    }

    fn recorded(&self, number: usize) -> NewMessage {
        let mut body: Value = serde_json::from_str(&self.recorded).expect("it is JSON");
        body["tags"]["ts"] = json!(number.to_string());
        NewMessage::from_json(body.to_string()).expect("it is valid")
    }

    /// This number of deliveries in parallel, each to its own conversation.
    pub async fn deliver_at_once(&self, count: usize) {
        join_all((0..count).map(|number| self.deliver(inbound(number, number)))).await;
    }

    fn request(&self) -> reqwest::RequestBuilder {
        let request = self.http.post(&self.url).header(AUTHORIZATION, format!("Bearer {TOKEN}"));
        request.header("x-bot-id", BOT).header("x-integration-id", "slack")
    }
}

/// This number of calls in parallel.
const AT_ONCE: usize = 32;

async fn at_once<F: Future<Output = ()>>(count: usize, call: impl Fn(usize) -> F) {
    stream::iter(0..count).map(call).buffer_unordered(AT_ONCE).for_each(async |()| {}).await;
}

fn message(number: usize) -> NewMessage {
    NewMessage::new(CONVERSATION, USER, Text::new(TEXT)).with_tags(tags(number))
}

/// Deliveries to the same conversation run one at a time.
fn inbound(number: usize, conversation: usize) -> Delivery {
    let user = NewUser::new().tag("id", "U05BPU9V1KQ");
    let conversation = NewConversation::new("channel").tag("id", conversation.to_string());
    Delivery::new(conversation, user, Text::new(TEXT)).with_tags(tags(number))
}

fn tags(number: usize) -> [(&'static str, String); 3] {
    [
        ("ts", number.to_string()),
        ("userId", "U05BPU9V1KQ".to_owned()),
        ("channelId", "C05C6ACTLPQ".to_owned()),
    ]
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    conversation_id: &'a str,
    user_id: &'a str,
    r#type: &'a str,
    payload: Payload<'a>,
    tags: BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
struct Payload<'a> {
    text: &'a str,
}

impl Body<'_> {
    fn new(number: usize) -> Self {
        Self {
            conversation_id: CONVERSATION,
            user_id: USER,
            r#type: "text",
            payload: Payload { text: TEXT },
            tags: BTreeMap::from(tags(number)),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    message: Message,
    meta: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code)] // as in real life
struct Message {
    id: String,
    created_at: String,
    updated_at: String,
    r#type: String,
    payload: Map<String, Value>,
    direction: String,
    user_id: String,
    conversation_id: String,
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Meta {
    created: bool,
}
