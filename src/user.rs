//! The constructor of users. Their other methods are generated.

use serde_json::json;

use crate::api::types::User;
use crate::record::New;

impl New<User> {
    /// A user. Tags identify it: take the id that the channel gives to the person.
    #[allow(clippy::self_named_constructors)] // nobody writes `New::new`
    pub fn new() -> Self {
        Self::from(json!({ "tags": {} }))
    }
}

impl Default for New<User> {
    fn default() -> Self {
        Self::new()
    }
}
