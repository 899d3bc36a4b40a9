//! Operators who follow the event stream and answer every draft, over a line that breaks all the time.
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use rand::{Rng, SeedableRng, rngs::StdRng};
use switchboard::{
    id::MessageId,
    wire::{
        conversation::v1::{
            ApproveRequest, EditRequest, SendMessageRequest, message_service_client::MessageServiceClient,
            suggestion_service_client::SuggestionServiceClient,
        },
        tenant::v1::{
            Event, SubscribeRequest, event::Payload, event_service_client::EventServiceClient,
            subscribe_response::Step,
        },
    },
};
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Code, Request};

use super::shop::Shop;

/// Who answers.
pub struct Operators {
    pub follower: JoinHandle<()>,
    pub seen: Arc<Seen>,
    /// Answers on their way.
    pub answers: TaskTracker,
}

/// What the operators saw and did.
#[derive(Default)]
pub struct Seen {
    /// The numbers of the events, as they came.
    pub events: Mutex<Vec<i64>>,
    /// Drafts that were sent, each with the message that the server named.
    pub sent: Mutex<Vec<(String, String)>>,
    /// Messages that operators wrote themselves.
    pub written: Mutex<Vec<String>>,
    pub connections: Mutex<usize>,
}

pub fn at_work(shop: &Arc<Shop>, gone: CancellationToken) -> Operators {
    let seen = Arc::new(Seen::default());
    let answers = TaskTracker::new();
    let desk = Desk { shop: shop.clone(), seen: seen.clone(), answers: answers.clone() };
    let follower =
        tokio::spawn(async move { gone.run_until_cancelled(desk.follow()).await.unwrap_or_default() });
    Operators { follower, seen, answers }
}

#[derive(Clone)]
struct Desk {
    shop: Arc<Shop>,
    seen: Arc<Seen>,
    answers: TaskTracker,
}

impl Desk {
    /// Follows the log from its beginning, and from where it was after every break.
    async fn follow(self) {
        let mut chance = StdRng::seed_from_u64(3);
        let (mut cursor, mut telegram) = (0, std::collections::HashSet::new());
        loop {
            *self.seen.connections.lock().unwrap() += 1;
            let from = SubscribeRequest { after_seq: Some(cursor), ..SubscribeRequest::default() };
            let stream = EventServiceClient::new(self.shop.wire()).subscribe(from).await;
            if let Err(status) = &stream
                && !super::shop::is_of_the_line(status)
            {
                self.shop.complain(format!("the stream was refused: {status}"));
            }
            // Hangs up now and then, also when all is well.
            let until = tokio::time::sleep(Duration::from_millis(chance.random_range(200..3_000)));
            tokio::pin!(until);
            if let Ok(stream) = stream {
                let mut stream = stream.into_inner();
                loop {
                    let step = tokio::select! {
                        () = &mut until => break,
                        step = stream.next() => step,
                    };
                    let Some(Ok(step)) = step else { break };
                    let Some(Step::Event(event)) = step.step else { continue };
                    self.seen.events.lock().unwrap().push(event.seq);
                    cursor = event.seq;
                    if let Some(Payload::ConversationCreated(created)) = &event.payload
                        && created.channel_id == self.shop.telegram.id
                    {
                        telegram.insert(event.conversation_id.clone());
                    }
                    self.see(&event, telegram.contains(&event.conversation_id), &mut chance);
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn see(&self, event: &Event, telegram: bool, chance: &mut StdRng) {
        if !matches!(event.payload, Some(Payload::SuggestionCreated(_))) {
            return;
        }
        let (talkative, key) = (chance.random_bool(0.3), chance.random_bool(0.5));
        let (desk, suggestion, conversation) =
            (self.clone(), event.subject.clone(), event.conversation_id.clone());
        self.answers.spawn(async move {
            desk.answer(&suggestion, telegram, key).await;
            if talkative {
                let both = (desk.write(&conversation), desk.write(&conversation));
                tokio::join!(both.0, both.1);
            }
        });
    }

    /// Telegram tells nobody which of two equal texts is which: there the text is one of a kind. Some clients
    /// name their command by a key, others trust that the same draft is not sent twice.
    async fn answer(&self, suggestion: &str, edit: bool, key: bool) {
        let suggestion_id = suggestion.to_owned();
        let message = if edit {
            let text = format!("Yes, it is free. ({suggestion})");
            let request = EditRequest { suggestion_id, text, ..EditRequest::default() };
            let call = |wire| {
                let request = named(request.clone(), suggestion, key);
                async move { SuggestionServiceClient::new(wire).edit(request).await }
            };
            self.shop.insist("Edit", call).await.map(|answer| answer.message_id)
        } else {
            let request = ApproveRequest { suggestion_id, ..ApproveRequest::default() };
            let call = |wire| {
                let request = named(request.clone(), suggestion, key);
                async move { SuggestionServiceClient::new(wire).approve(request).await }
            };
            self.shop.insist("Approve", call).await.map(|answer| answer.message_id)
        };
        match message {
            Ok(message) => self.seen.sent.lock().unwrap().push((suggestion.to_owned(), message)),
            // The customer wrote again before the answer.
            Err(status) if status.code() == Code::FailedPrecondition => {}
            Err(status) => self.shop.complain(format!("a draft could not be sent: {status}")),
        }
    }

    async fn write(&self, conversation: &str) {
        let id = self.shop.env.id::<MessageId>().to_string();
        let request = SendMessageRequest {
            conversation_id: conversation.to_owned(),
            text: format!("Anything else? ({id})"),
            id: id.clone(),
            ..SendMessageRequest::default()
        };
        let call = |wire| {
            let request = request.clone();
            async move { MessageServiceClient::new(wire).send_message(request).await }
        };
        match self.shop.insist("SendMessage", call).await {
            Ok(_) => self.seen.written.lock().unwrap().push(id),
            Err(status) => self.shop.complain(format!("a message could not be sent: {status}")),
        }
    }
}

/// The request, under an idempotency key if `key`.
fn named<T>(message: T, name: &str, key: bool) -> Request<T> {
    let mut request = Request::new(message);
    if key {
        request.metadata_mut().insert("idempotency-key", name.parse().unwrap());
    }
    request
}
