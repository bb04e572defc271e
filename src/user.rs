//! The user: its constructor, and what only a user has.

use serde_json::json;

use crate::api::types::User;
use crate::record::New;

impl New<User> {
    /// A user. Tags identify it: take the id that the channel gives to the person.
    #[allow(clippy::self_named_constructors)] // nobody writes `New::new`
    pub fn new() -> Self {
        Self::from(json!({ "tags": {} }))
    }

    /// The name, for people to read. It identifies nothing; a user who is found is given it, from API
    /// version 1.80 on.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.set("name", name.into());
        self
    }

    /// Where a picture is, or the picture itself as a data URI.
    pub fn picture_url(mut self, url: impl Into<String>) -> Self {
        self.set("pictureUrl", url.into());
        self
    }
}

impl Default for New<User> {
    fn default() -> Self {
        Self::new()
    }
}
