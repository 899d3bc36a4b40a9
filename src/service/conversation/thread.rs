//! ConversationService: the inbox.

use tonic::{Request, Response, Status};

use super::precondition::require;
use crate::{
    auth::Caller,
    domain::{
        channel,
        conversation::{self as rule, Precondition, State},
        sending,
    },
    error::Result,
    id::{ConversationId, MessageId, UserId},
    jobs::outbound::{situation, updated},
    store::{
        Store,
        conversation::{Conversation as Row, ConversationFilter, Position},
    },
    wire::{
        self,
        conversation::v1::{
            AssignConversationRequest, CloseConversationRequest, Conversation, Customer,
            GetConversationRequest, GetSendabilityRequest, GetSendabilityResponse, ListConversationsRequest,
            ListConversationsResponse, MarkConversationReadRequest, ReleaseConversationRequest,
            ReopenConversationRequest, ResolveConversationRequest,
            conversation_service_server::ConversationService,
        },
        page::Page,
        thread,
    },
};

/// Serves the inbox.
pub struct Conversations {
    store: Store,
}

impl Conversations {
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Moves a conversation as `rule` says, if the caller's demands hold.
    async fn change(
        &self,
        caller: &Caller,
        id: &str,
        demanded: Precondition,
        rule: impl Fn(&Row) -> Result<(State, Option<UserId>)>,
    ) -> Result<Response<Conversation>, Status> {
        let scope = caller.scope()?;
        let id: ConversationId = wire::id("conversation_id", id)?;

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let seen = db.conversations().locked(id).await?;
                    require(db, &demanded, &seen).await?;
                    let (state, assignee) = rule(&seen)?;
                    let moved = db.conversations().move_to(&seen, state, assignee).await?;
                    db.emit(updated(&moved));
                    Ok(moved)
                },
                |moved| Ok(moved.into()),
            )
            .await?;

        Ok(Response::new(answer))
    }
}

fn at_version(expected: i64) -> Precondition {
    Precondition { version: (expected != 0).then_some(expected), ..Precondition::default() }
}

#[tonic::async_trait]
impl ConversationService for Conversations {
    async fn get_conversation(
        &self,
        request: Request<GetConversationRequest>,
    ) -> Result<Response<Conversation>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let id = wire::id("conversation_id", &request.get_ref().conversation_id)?;
        let row = self.store.of(scope).conversations().get(id).await?;
        Ok(Response::new(row.into()))
    }

    async fn list_conversations(
        &self,
        request: Request<ListConversationsRequest>,
    ) -> Result<Response<ListConversationsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let scope = caller.scope()?;
        let ListConversationsRequest { page_size, page_token, state, channel_id, assignee_id, customer_id } =
            request.into_inner();
        let number = state.to_string();
        let filters = [&number, &channel_id, &assignee_id, &customer_id].map(String::as_str);
        let page = Page::<Position>::read("conversations", page_size, &page_token, &filters)?;
        let assignee = match assignee_id.as_str() {
            "me" => Some(caller.user()?),
            text => wire::optional_id("assignee_id", text)?,
        };
        let filter = ConversationFilter {
            state: thread::state(state)?,
            channel: wire::optional_id("channel_id", &channel_id)?,
            assignee,
            customer: wire::optional_id("customer_id", &customer_id)?,
        };

        let db = self.store.of(scope);
        let rows = db.conversations().list(&filter, page.after(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |row| Position::from(row));
        let mut customers: Vec<_> = rows.iter().map(|row| row.customer_id).collect();
        customers.sort_unstable();
        customers.dedup();
        let customers =
            if customers.is_empty() { Vec::new() } else { db.customers().of_ids(customers).await? };

        Ok(Response::new(ListConversationsResponse {
            conversations: rows.into_iter().map(Conversation::from).collect(),
            customers: customers.into_iter().map(Customer::from).collect(),
            next_page_token,
        }))
    }

    async fn assign_conversation(
        &self,
        request: Request<AssignConversationRequest>,
    ) -> Result<Response<Conversation>, Status> {
        let caller = Caller::of(&request)?;
        let me = caller.user()?;
        let AssignConversationRequest { conversation_id, precondition } = request.into_inner();
        let demanded = thread::precondition(precondition, || Ok(me))?;
        let take = |seen: &Row| Ok((rule::assign(seen.state, seen.assignee_id, me)?, Some(me)));
        self.change(&caller, &conversation_id, demanded, take).await
    }

    async fn release_conversation(
        &self,
        request: Request<ReleaseConversationRequest>,
    ) -> Result<Response<Conversation>, Status> {
        let caller = Caller::of(&request)?;
        let ReleaseConversationRequest { conversation_id, expected_version } = request.into_inner();
        let release = |seen: &Row| Ok((rule::release(seen.state, seen.assignee_id)?, None));
        self.change(&caller, &conversation_id, at_version(expected_version), release).await
    }

    async fn resolve_conversation(
        &self,
        request: Request<ResolveConversationRequest>,
    ) -> Result<Response<Conversation>, Status> {
        let caller = Caller::of(&request)?;
        let ResolveConversationRequest { conversation_id, expected_version } = request.into_inner();
        let resolve = |seen: &Row| Ok((rule::resolve(seen.state)?, seen.assignee_id));
        self.change(&caller, &conversation_id, at_version(expected_version), resolve).await
    }

    async fn reopen_conversation(
        &self,
        request: Request<ReopenConversationRequest>,
    ) -> Result<Response<Conversation>, Status> {
        let caller = Caller::of(&request)?;
        let ReopenConversationRequest { conversation_id, expected_version } = request.into_inner();
        let reopen = |seen: &Row| Ok((rule::reopen(seen.state)?, None));
        self.change(&caller, &conversation_id, at_version(expected_version), reopen).await
    }

    async fn close_conversation(
        &self,
        request: Request<CloseConversationRequest>,
    ) -> Result<Response<Conversation>, Status> {
        let caller = Caller::of(&request)?;
        let CloseConversationRequest { conversation_id, expected_version } = request.into_inner();
        let close = |seen: &Row| Ok((rule::close(seen.state)?, seen.assignee_id));
        self.change(&caller, &conversation_id, at_version(expected_version), close).await
    }

    async fn mark_conversation_read(
        &self,
        request: Request<MarkConversationReadRequest>,
    ) -> Result<Response<Conversation>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let MarkConversationReadRequest { conversation_id, last_message_id } = request.into_inner();
        let id = wire::id("conversation_id", &conversation_id)?;
        let read: Option<MessageId> = wire::optional_id("last_message_id", &last_message_id)?;

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let seen = db.conversations().locked(id).await?;
                    let newer = read.is_some() && read != seen.last_message_id;
                    if seen.unread_count == 0 || newer {
                        return Ok(seen);
                    }
                    let row = db.conversations().mark_read(&seen).await?;
                    db.emit(updated(&row));
                    Ok(row)
                },
                |row| Ok(row.into()),
            )
            .await?;

        Ok(Response::new(answer))
    }

    async fn get_sendability(
        &self,
        request: Request<GetSendabilityRequest>,
    ) -> Result<Response<GetSendabilityResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let id = wire::id("conversation_id", &request.get_ref().conversation_id)?;

        let db = self.store.of(scope);
        let row = db.conversations().get(id).await?;
        let customer = db.customers().get(row.customer_id).await?;
        let channel = db.channels().get(row.channel_id).await?;
        let names = db.customers().identities(customer.id, Some(channel.id)).await?;
        let obstacle = sending::check(&situation(&row, &customer, &channel, &names, db.env().now())).err();

        Ok(Response::new(GetSendabilityResponse {
            sendable: obstacle.is_none(),
            reason: obstacle.as_ref().map(|o| o.reason.to_owned()).unwrap_or_default(),
            detail: obstacle.map(|o| o.message.into_owned()).unwrap_or_default(),
            window_expire_time: channel::window(channel.kind).and(row.window_expires_at).map(wire::time),
            max_text_length: i32::try_from(sending::MAX_TEXT).unwrap_or(i32::MAX),
        }))
    }
}
