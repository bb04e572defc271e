//! The constructor of users. Their other methods are generated.

use crate::api::types::NewUser;

impl NewUser {
    /// A user. Tags identify it: use the id that the channel gives to the person.
    #[must_use]
    pub fn new() -> Self {
        Self::from_required(Default::default())
    }
}

impl Default for NewUser {
    fn default() -> Self {
        Self::new()
    }
}
