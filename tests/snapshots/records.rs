impl crate::record::Record for crate::api::types::Message {
    const OPERATION: &'static crate::generated::Operation = &crate::generated::OPERATIONS[0usize];
    type Answer = crate::api::types::GetOrCreateMessageResponse;
    async fn call(
        client: &crate::api::Client,
        body: &crate::api::types::NewMessage,
    ) -> ::std::result::Result<
        crate::api::ResponseValue<Self::Answer>,
        crate::api::Error<()>,
    > {
        client.get_or_create_message(body).await
    }
    fn read(answer: Self::Answer) -> (Self, ::std::option::Option<bool>) {
        (answer.message, answer.meta.map(|meta| meta.created))
    }
    fn id(&self) -> &str {
        &self.id
    }
}
impl crate::record::Record for crate::api::types::User {
    const OPERATION: &'static crate::generated::Operation = &crate::generated::OPERATIONS[1usize];
    type Answer = crate::api::types::GetOrCreateUserResponse;
    async fn call(
        client: &crate::api::Client,
        body: &crate::api::types::NewUser,
    ) -> ::std::result::Result<
        crate::api::ResponseValue<Self::Answer>,
        crate::api::Error<()>,
    > {
        client.get_or_create_user(body).await
    }
    fn read(answer: Self::Answer) -> (Self, ::std::option::Option<bool>) {
        (answer.user, answer.meta.map(|meta| meta.created))
    }
    fn id(&self) -> &str {
        &self.id
    }
}
impl crate::record::Record for crate::api::types::Conversation {
    const OPERATION: &'static crate::generated::Operation = &crate::generated::OPERATIONS[2usize];
    type Answer = crate::api::types::GetOrCreateConversationResponse;
    async fn call(
        client: &crate::api::Client,
        body: &crate::api::types::NewConversation,
    ) -> ::std::result::Result<
        crate::api::ResponseValue<Self::Answer>,
        crate::api::Error<()>,
    > {
        client.get_or_create_conversation(body).await
    }
    fn read(answer: Self::Answer) -> (Self, ::std::option::Option<bool>) {
        (answer.conversation, answer.meta.map(|meta| meta.created))
    }
    fn id(&self) -> &str {
        &self.id
    }
}
