//! One person's connection to the server: gRPC with a session token.

use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use crate::wire::{
    conversation::v1::{
        catalog_service_client::CatalogServiceClient, channel_service_client::ChannelServiceClient,
        conversation_service_client::ConversationServiceClient,
        customer_service_client::CustomerServiceClient, knowledge_service_client::KnowledgeServiceClient,
        message_service_client::MessageServiceClient, suggestion_service_client::SuggestionServiceClient,
    },
    tenant::v1::{
        SignUpRequest, auth_service_client::AuthServiceClient, event_service_client::EventServiceClient,
        member_service_client::MemberServiceClient,
    },
};

/// Adds the session token to every call.
#[derive(Clone)]
pub(super) struct Token(MetadataValue<Ascii>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

type Wire = InterceptedService<Channel, Token>;

/// Someone who is signed in.
#[derive(Clone)]
pub(super) struct Person {
    pub(super) email: String,
    wire: Wire,
}

impl Person {
    /// Signs up: with a new tenant, or into the one that the invitation names.
    pub(super) async fn sign_up(
        channel: Channel,
        email: &str,
        password: &str,
        tenant: &str,
        invite: &str,
    ) -> anyhow::Result<Self> {
        let request = SignUpRequest {
            email: email.to_owned(),
            password: password.to_owned(),
            name: email.split('@').next().unwrap_or_default().to_owned(),
            tenant_name: tenant.to_owned(),
            invite_token: invite.to_owned(),
        };
        let answer = AuthServiceClient::new(channel.clone()).sign_up(request).await?.into_inner();
        anyhow::ensure!(answer.success, "{email} has an account already: {}", answer.hint);
        let token = Token(format!("Bearer {}", answer.session_token).parse()?);
        Ok(Self { email: email.to_owned(), wire: InterceptedService::new(channel, token) })
    }

    pub(super) fn members(&self) -> MemberServiceClient<Wire> {
        MemberServiceClient::new(self.wire.clone())
    }
    pub(super) fn events(&self) -> EventServiceClient<Wire> {
        EventServiceClient::new(self.wire.clone())
    }
    pub(super) fn channels(&self) -> ChannelServiceClient<Wire> {
        ChannelServiceClient::new(self.wire.clone())
    }
    pub(super) fn customers(&self) -> CustomerServiceClient<Wire> {
        CustomerServiceClient::new(self.wire.clone())
    }
    pub(super) fn conversations(&self) -> ConversationServiceClient<Wire> {
        ConversationServiceClient::new(self.wire.clone())
    }
    pub(super) fn messages(&self) -> MessageServiceClient<Wire> {
        MessageServiceClient::new(self.wire.clone())
    }
    pub(super) fn suggestions(&self) -> SuggestionServiceClient<Wire> {
        SuggestionServiceClient::new(self.wire.clone())
    }
    pub(super) fn knowledge(&self) -> KnowledgeServiceClient<Wire> {
        KnowledgeServiceClient::new(self.wire.clone())
    }
    pub(super) fn catalog(&self) -> CatalogServiceClient<Wire> {
        CatalogServiceClient::new(self.wire.clone())
    }
}
