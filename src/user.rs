//! The constructor of users. Their other methods are generated.

use crate::api::types::NewUser;

impl NewUser {
    /// A user. Tags identify it: use the id that the channel gives to the person.
    #[must_use]
    pub fn new() -> Self {
        let (tags, name, picture_url, integration_name, discriminate_by_tags) = Default::default();
        Self { tags, name, picture_url, integration_name, discriminate_by_tags }
    }
}

impl Default for NewUser {
    fn default() -> Self {
        Self::new()
    }
}
