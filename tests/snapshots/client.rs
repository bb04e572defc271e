#[allow(unused_imports)]
pub use progenitor_client::{ByteStream, ClientInfo, Error, ResponseValue};
#[allow(unused_imports)]
use progenitor_client::{encode_path, ClientHooks, OperationInfo, RequestBuilderExt};
use crate::generated::types;
#[derive(Clone, Debug)]
/**Client for Botpress Runtime API, message delivery

Hands a message from a channel (Slack, WhatsApp, mail, ...) to a Botpress bot, once, however often the channel repeats its webhook: first the user who wrote it and the conversation it belongs to, then the message.

Version: 1.108.0*/
pub struct Client {
    pub(crate) baseurl: String,
    pub(crate) client: reqwest::Client,
    pub(crate) inner: super::Attempt,
}
impl Client {
    /// Create a new client.
    ///
    /// `baseurl` is the base URL provided to the internal
    /// `reqwest::Client`, and should include a scheme and hostname,
    /// as well as port and a path stem if applicable.
    pub fn new(baseurl: &str, inner: super::Attempt) -> Self {
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
        inner: super::Attempt,
    ) -> Self {
        Self {
            baseurl: baseurl.to_string(),
            client,
            inner,
        }
    }
}
impl ClientInfo<super::Attempt> for Client {
    fn api_version() -> &'static str {
        "1.108.0"
    }
    fn baseurl(&self) -> &str {
        self.baseurl.as_str()
    }
    fn client(&self) -> &reqwest::Client {
        &self.client
    }
    fn inner(&self) -> &super::Attempt {
        &self.inner
    }
}
const _: () = {
    #[allow(dead_code)]
    fn assert_client_hooks()
    where
        Client: ClientHooks<super::Attempt>,
    {}
};
#[allow(clippy::all)]
impl Client {
    /**Gets the message that carries these tags, or creates it

Looks for a stored message by its tags: by all of them, or only by those that `discriminateByTags` lists. If there is one, it is updated with the tags and the payload of this request (from version 1.80 on) and returned; if there is none, it is created.

Sends a `POST` request to `/v1/chat/messages/get-or-create`

*/
    pub async fn get_or_create_message<'a>(
        &'a self,
        body: ::bytes::Bytes,
    ) -> Result<::reqwest::Response, Error<()>> {
        let url = self.inner.url();
        #[allow(unused_mut)]
        let mut request = self.client.post(url).body(body).build()?;
        let info = OperationInfo {
            operation_id: "get_or_create_message",
        };
        self.pre(&mut request, &info).await?;
        let result = self.exec(request, &info).await;
        self.post(&result, &info).await?;
        let response = result?;
        Ok(response)
    }
    /**Gets the user who carries these tags, or creates one

Looks for a stored user by tags: by all of the request's, or only by those that `discriminateByTags` lists; further tags of the stored user do not matter. A user who is found is updated with the name, the picture and the tags of this request (from version 1.80 on).

Sends a `POST` request to `/v1/chat/users/get-or-create`

*/
    pub async fn get_or_create_user<'a>(
        &'a self,
        body: ::bytes::Bytes,
    ) -> Result<::reqwest::Response, Error<()>> {
        let url = self.inner.url();
        #[allow(unused_mut)]
        let mut request = self.client.post(url).body(body).build()?;
        let info = OperationInfo {
            operation_id: "get_or_create_user",
        };
        self.pre(&mut request, &info).await?;
        let result = self.exec(request, &info).await;
        self.post(&result, &info).await?;
        let response = result?;
        Ok(response)
    }
    /**Gets the conversation that carries these tags, or creates it

Looks for a stored conversation of the channel by tags: by all of the request's, or only by those that `discriminateByTags` lists; further tags of the stored conversation do not matter. One that is found is updated with the tags of this request (from version 1.80 on).

Sends a `POST` request to `/v1/chat/conversations/get-or-create`

*/
    pub async fn get_or_create_conversation<'a>(
        &'a self,
        body: ::bytes::Bytes,
    ) -> Result<::reqwest::Response, Error<()>> {
        let url = self.inner.url();
        #[allow(unused_mut)]
        let mut request = self.client.post(url).body(body).build()?;
        let info = OperationInfo {
            operation_id: "get_or_create_conversation",
        };
        self.pre(&mut request, &info).await?;
        let result = self.exec(request, &info).await;
        self.post(&result, &info).await?;
        let response = result?;
        Ok(response)
    }
}
/// Items consumers will typically use such as the Client.
pub mod prelude {
    #[allow(unused_imports)]
    pub use super::Client;
}
impl super::Record for types::Message {
    const OPERATION: &'static crate::generated::Operation = &crate::generated::OPERATIONS[0usize];
    type Answer = types::GetOrCreateMessageResponse;
    async fn call(
        client: &Client,
        body: ::bytes::Bytes,
    ) -> Result<::reqwest::Response, Error<()>> {
        client.get_or_create_message(body).await
    }
    fn read(answer: Self::Answer) -> (Self, Option<bool>) {
        (answer.message, answer.meta.map(|meta| meta.created))
    }
    fn id(&self) -> &str {
        &self.id
    }
}
impl super::Record for types::User {
    const OPERATION: &'static crate::generated::Operation = &crate::generated::OPERATIONS[1usize];
    type Answer = types::GetOrCreateUserResponse;
    async fn call(
        client: &Client,
        body: ::bytes::Bytes,
    ) -> Result<::reqwest::Response, Error<()>> {
        client.get_or_create_user(body).await
    }
    fn read(answer: Self::Answer) -> (Self, Option<bool>) {
        (answer.user, answer.meta.map(|meta| meta.created))
    }
    fn id(&self) -> &str {
        &self.id
    }
}
impl super::Record for types::Conversation {
    const OPERATION: &'static crate::generated::Operation = &crate::generated::OPERATIONS[2usize];
    type Answer = types::GetOrCreateConversationResponse;
    async fn call(
        client: &Client,
        body: ::bytes::Bytes,
    ) -> Result<::reqwest::Response, Error<()>> {
        client.get_or_create_conversation(body).await
    }
    fn read(answer: Self::Answer) -> (Self, Option<bool>) {
        (answer.conversation, answer.meta.map(|meta| meta.created))
    }
    fn id(&self) -> &str {
        &self.id
    }
}
