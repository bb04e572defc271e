//! The constructor of conversations. Their other methods are generated.

use crate::api::types::NewConversation;

impl NewConversation {
    /// A conversation in a channel that the integration defines, such as `channel`, `dm` or `thread`. Tags
    /// identify it within that channel.
    #[must_use]
    pub fn new(channel: impl Into<String>) -> Self {
        Self::from_required(channel, Default::default())
    }
}
