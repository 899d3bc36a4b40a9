//! MessageService: what was said, and how far it came.

use chrono::{DateTime, Utc};
use tonic::{Request, Response, Status};

use super::precondition::require;
use crate::{
    auth::{Actor, Caller},
    domain::{conversation::Author, delivery::DeliveryStatus, sending},
    error::{Error, Result},
    id::{ConversationId, MessageId},
    jobs::outbound::{self, NewOutbound, status_changed},
    service::recorded_unless,
    store::{
        Store, TenantDb, Tx,
        conversation::{Message as Row, Met, Report},
    },
    wire::{
        self, changed,
        conversation::v1::{
            self, GetMessageRequest, ListMessagesRequest, ListMessagesResponse, Message,
            ResolveUnknownMessageRequest, RetryMessageRequest, SendMessageRequest, UnknownOutcome,
            message_service_server::MessageService,
        },
        page::Page,
        thread,
    },
};

/// Serves messages.
pub struct Messages {
    store: Store,
}

impl Messages {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl MessageService for Messages {
    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let ListMessagesRequest { conversation_id, page_size, page_token, oldest_first } =
            request.into_inner();
        let filters = [conversation_id.as_str(), if oldest_first { "oldest" } else { "newest" }];
        let page = Page::<(DateTime<Utc>, i64)>::read("messages", page_size, &page_token, &filters)?;
        let conversation: ConversationId = wire::id("conversation_id", &conversation_id)?;

        let db = self.store.of(scope);
        let rows = db.messages().list(conversation, oldest_first, page.after(), page.fetch()).await?;
        if rows.is_empty() {
            // No messages, or no such conversation?
            db.conversations().get(conversation).await?;
        }
        let (rows, next_page_token) = page.cut(rows, |row| (row.at, row.seq));

        let messages = rows.into_iter().map(Message::from).collect();
        Ok(Response::new(ListMessagesResponse { messages, next_page_token }))
    }

    async fn get_message(&self, request: Request<GetMessageRequest>) -> Result<Response<Message>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let id = wire::id("message_id", &request.get_ref().message_id)?;
        let row = self.store.of(scope).messages().get(id).await?;
        Ok(Response::new(row.into()))
    }

    async fn send_message(&self, request: Request<SendMessageRequest>) -> Result<Response<Message>, Status> {
        let caller = Caller::of(&request)?;
        let scope = caller.scope()?;
        let SendMessageRequest { conversation_id, id, text, reply_to_id, precondition, validate_only } =
            request.into_inner();
        let conversation: ConversationId = wire::id("conversation_id", &conversation_id)?;
        sending::check_text(&text).map_err(|problem| Error::invalid("text", problem))?;
        let demanded = thread::precondition(precondition, || caller.user())?;
        let new = NewOutbound {
            id: wire::optional_id("id", &id)?,
            text,
            author: if matches!(scope.actor(), Actor::ApiKey(_)) { Author::Api } else { Author::Operator },
            author_id: author_id(scope.actor()),
            reply_to: wire::optional_id("reply_to_id", &reply_to_id)?,
            suggestion: None,
        };

        let would_be = || Message {
            conversation_id: conversation.to_string(),
            direction: v1::MessageDirection::Outbound.into(),
            author: v1::MessageAuthor::from(new.author).into(),
            kind: "text".to_owned(),
            text: new.text.clone(),
            reply_to_id: reply_to_id.clone(),
            ..Message::default()
        };

        let answer = self
            .store
            .of(recorded_unless(validate_only, scope))
            .command(
                async |db| {
                    let seen = db.conversations().locked(conversation).await?;
                    if let Some(sent) = sent_before(db, &new, conversation).await? {
                        return Ok(Some(sent));
                    }
                    require(db, &demanded, &seen).await?;
                    if validate_only {
                        outbound::check(db, &seen, &new).await?;
                        return Ok(None);
                    }
                    outbound::send(db, &seen, new.clone()).await.map(Some)
                },
                |message| Ok(message.map_or_else(would_be, Into::into)),
            )
            .await?;

        Ok(Response::new(answer))
    }

    async fn retry_message(
        &self,
        request: Request<RetryMessageRequest>,
    ) -> Result<Response<Message>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let RetryMessageRequest { message_id, expected_version } = request.into_inner();
        let id: MessageId = wire::id("message_id", &message_id)?;

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let seen = db.messages().locked(id).await?;
                    demand_version(expected_version, &seen)?;
                    if seen.status != Some(DeliveryStatus::Failed) {
                        return Err(Error::rejected(
                            "MESSAGE_NOT_FAILED",
                            "only a failed message can be sent again",
                        ));
                    }
                    send_again(db, &seen).await
                },
                |message| Ok(message.into()),
            )
            .await?;

        Ok(Response::new(answer))
    }

    async fn resolve_unknown_message(
        &self,
        request: Request<ResolveUnknownMessageRequest>,
    ) -> Result<Response<Message>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let ResolveUnknownMessageRequest { message_id, outcome, expected_version, external_id } =
            request.into_inner();
        let id: MessageId = wire::id("message_id", &message_id)?;
        let outcome = UnknownOutcome::try_from(outcome).unwrap_or_default();
        let found = match outcome {
            UnknownOutcome::Unspecified => return Err(Error::invalid("outcome", "must be given").into()),
            UnknownOutcome::SendAgain => None,
            UnknownOutcome::Arrived => Some((DeliveryStatus::Sent, None)),
            UnknownOutcome::Lost => Some((DeliveryStatus::Failed, Some("NOT_ARRIVED".to_owned()))),
        };
        let external_id = Some(external_id).filter(|id| !id.is_empty());
        if external_id.is_some() && outcome != UnknownOutcome::Arrived {
            return Err(Error::invalid("external_id", "goes with a message that arrived").into());
        }

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let seen = db.messages().locked(id).await?;
                    demand_version(expected_version, &seen)?;
                    if seen.status != Some(DeliveryStatus::Unknown) {
                        return Err(Error::rejected("OUTCOME_KNOWN", "the outcome of this message is known"));
                    }
                    let met = Met { message: id, attempt: seen.attempt };
                    let Some((status, reason)) = found.clone() else {
                        outbound::settle(db, met, DeliveryStatus::Failed, None).await?;
                        return send_again(db, &seen).await;
                    };
                    let report = Report { status, reason, detail: None };
                    let report = named(db, &seen, met, report, external_id.as_deref()).await?;
                    let external_id = external_id.as_deref();
                    outbound::settle(db, met, report.status, external_id).await?;
                    let changed = db.messages().report(seen.channel_id, met, &report, external_id).await?;
                    let changed = changed.ok_or(Error::stale())?;
                    db.emit(status_changed(&changed).ok_or(Error::stale())?);
                    Ok(changed)
                },
                |message| Ok(message.into()),
            )
            .await?;

        Ok(Response::new(answer))
    }
}

fn demand_version(expected: i64, seen: &Row) -> Result<()> {
    changed::unless(expected, seen.version, "switchboard.conversation.v1.Message", || {
        Message::from(seen.clone())
    })
}

/// The message of a repeated request with an id of the client's own.
async fn sent_before(
    db: &TenantDb<Tx>,
    new: &NewOutbound,
    conversation: ConversationId,
) -> Result<Option<Row>> {
    let Some(id) = new.id else { return Ok(None) };
    match db.messages().find(id).await? {
        Some(sent) if sent.conversation_id == conversation && sent.text == new.text => Ok(Some(sent)),
        Some(_) => Err(Error::Exists { what: "another message with this id" }),
        None => Ok(None),
    }
}

/// What is known of an attempt once a person told what the messenger calls it: reports under that name may have
/// come before.
async fn named(
    db: &TenantDb<Tx>,
    seen: &Row,
    met: Met,
    report: Report,
    external_id: Option<&str>,
) -> Result<Report> {
    let Some(external_id) = external_id else { return Ok(report) };
    if db.messages().by_external_id(seen.channel_id, external_id).await?.is_some_and(|row| row.id != seen.id)
    {
        return Err(Error::Exists { what: "another message with this external id" });
    }
    let earlier = db.deliveries().accept(seen.channel_id, external_id, met).await?;
    Ok(earlier.filter(|earlier| earlier.status > report.status).unwrap_or(report))
}

/// One more attempt, as if it were promised now.
async fn send_again(db: &TenantDb<Tx>, seen: &Row) -> Result<Row> {
    let conversation = db.conversations().get(seen.conversation_id).await?;
    let customer = db.customers().get(conversation.customer_id).await?;
    let channel = db.channels().get(conversation.channel_id).await?;
    let names = db.customers().identities(customer.id, Some(channel.id)).await?;
    let now = db.env().now();
    sending::check(&outbound::situation(&conversation, &customer, &channel, &names, now))?;
    let again = db.messages().again(seen).await?;
    outbound::dispatch(db, &again).await?;
    db.emit(status_changed(&again).ok_or(Error::stale())?);
    Ok(again)
}

fn author_id(actor: Actor) -> Option<String> {
    match actor {
        Actor::User(user) => Some(user.to_string()),
        Actor::ApiKey(key) => Some(key.to_string()),
        _ => None,
    }
}
