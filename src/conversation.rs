//! The conversation: its constructor, and what only a conversation has.

use serde_json::json;

use crate::api::types::Conversation;
use crate::record::New;

impl New<Conversation> {
    /// A conversation in a channel of the integration: `channel`, `dm`, `thread`, or how it calls them.
    /// Tags identify it within that channel.
    #[allow(clippy::self_named_constructors)] // nobody writes `New::new`
    pub fn new(channel: impl Into<String>) -> Self {
        Self::from(json!({ "channel": channel.into(), "tags": {} }))
    }

    /// The channel that the conversation is in.
    pub fn channel(&self) -> Option<&str> {
        self.text("channel")
    }
}
