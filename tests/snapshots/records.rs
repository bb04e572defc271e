impl crate::record::GetOrCreate for crate::api::types::NewMessage {
    const OPERATION: &'static crate::generated::Operation = &crate::generated::OPERATIONS[0usize];
    type Record = crate::api::types::Message;
    type Response = crate::api::types::GetOrCreateMessageResponse;
    fn tags(
        &self,
    ) -> &::std::collections::BTreeMap<::std::string::String, ::std::string::String> {
        &self.tags
    }
    fn discriminators(&self) -> &[::std::string::String] {
        &self.discriminate_by_tags
    }
    fn within(&self) -> impl ::std::hash::Hash {
        ("message",)
    }
    async fn request(
        &self,
        client: &crate::api::Client,
    ) -> ::std::result::Result<
        crate::api::ResponseValue<Self::Response>,
        crate::api::Error<()>,
    > {
        client.get_or_create_message(self).await
    }
    fn read(response: Self::Response) -> (Self::Record, ::std::option::Option<bool>) {
        (response.message, response.meta.map(|meta| meta.created))
    }
    fn id(record: &Self::Record) -> &str {
        &record.id
    }
    fn conversation(&self) -> ::std::option::Option<&str> {
        ::std::option::Option::Some(&self.conversation_id)
    }
    fn check_content(
        &self,
        path: &crate::violation::Path<'_>,
        found: &mut ::std::vec::Vec<crate::violation::Violation>,
    ) {
        crate::message::check_content(&self.type_, &self.payload, path, found);
    }
}
record_methods!(crate ::api::types::NewMessage);
impl crate::record::GetOrCreate for crate::api::types::NewUser {
    const OPERATION: &'static crate::generated::Operation = &crate::generated::OPERATIONS[1usize];
    type Record = crate::api::types::User;
    type Response = crate::api::types::GetOrCreateUserResponse;
    fn tags(
        &self,
    ) -> &::std::collections::BTreeMap<::std::string::String, ::std::string::String> {
        &self.tags
    }
    fn discriminators(&self) -> &[::std::string::String] {
        &self.discriminate_by_tags
    }
    fn within(&self) -> impl ::std::hash::Hash {
        ("user",)
    }
    async fn request(
        &self,
        client: &crate::api::Client,
    ) -> ::std::result::Result<
        crate::api::ResponseValue<Self::Response>,
        crate::api::Error<()>,
    > {
        client.get_or_create_user(self).await
    }
    fn read(response: Self::Response) -> (Self::Record, ::std::option::Option<bool>) {
        (response.user, response.meta.map(|meta| meta.created))
    }
    fn id(record: &Self::Record) -> &str {
        &record.id
    }
}
record_methods!(crate ::api::types::NewUser);
impl crate::record::GetOrCreate for crate::api::types::NewConversation {
    const OPERATION: &'static crate::generated::Operation = &crate::generated::OPERATIONS[2usize];
    type Record = crate::api::types::Conversation;
    type Response = crate::api::types::GetOrCreateConversationResponse;
    fn tags(
        &self,
    ) -> &::std::collections::BTreeMap<::std::string::String, ::std::string::String> {
        &self.tags
    }
    fn discriminators(&self) -> &[::std::string::String] {
        &self.discriminate_by_tags
    }
    fn within(&self) -> impl ::std::hash::Hash {
        ("conversation", &self.channel)
    }
    async fn request(
        &self,
        client: &crate::api::Client,
    ) -> ::std::result::Result<
        crate::api::ResponseValue<Self::Response>,
        crate::api::Error<()>,
    > {
        client.get_or_create_conversation(self).await
    }
    fn read(response: Self::Response) -> (Self::Record, ::std::option::Option<bool>) {
        (response.conversation, response.meta.map(|meta| meta.created))
    }
    fn id(record: &Self::Record) -> &str {
        &record.id
    }
}
record_methods!(crate ::api::types::NewConversation);
