//! The day itself: customers write through the sandbox, operators follow the event stream and decide.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures::StreamExt;
use tokio::{sync::watch, time::Instant};

use super::{
    client::Person,
    console::{Console, Who},
    script::{Scene, Then},
    seed::{TELEGRAM, WHATSAPP},
};
use crate::{
    domain::conversation::ChannelKind,
    sandbox::{Behaviour, Delivered, Inbound, Provider, Running},
    wire::{
        conversation::v1::{
            ApproveRequest, AssignConversationRequest, EditRequest, EscalateRequest, GetConversationRequest,
            GetCustomerRequest, RejectRequest, ResolveConversationRequest, SendMessageRequest,
        },
        tenant::v1::{Event, SubscribeRequest, event::Payload, subscribe_response::Step},
    },
};

/// What the operators saw and did, as it grows.
#[derive(Clone, Debug, Default)]
pub(super) struct Day {
    /// Inbound messages on the event stream.
    pub(super) inbound: usize,
    pub(super) drafted: usize,
    /// Conversations whose scene is through: the draft was decided, the answer is with the provider.
    pub(super) done: HashSet<String>,
    outbound: HashMap<String, HashMap<String, String>>,
}

/// Lets customers write, in the order of the script, in the manner of each scene.
pub(super) async fn customers(sandbox: &Running, console: Console, scenes: &[Scene]) -> Vec<Delivered> {
    let mut delivered = Vec::new();
    for scene in scenes {
        sandbox.behave(Behaviour { reorder: scene.reordered, ..Behaviour::default() });
        let (provider, account) = match scene.channel {
            ChannelKind::Whatsapp => (Provider::Whatsapp, WHATSAPP),
            _ => (Provider::Telegram, TELEGRAM),
        };
        let messages = scene.texts.iter().map(|text| {
            let mut message = Inbound::text(provider, account, scene.from, scene.name, text);
            message.repeat = scene.deliveries;
            message
        });
        for text in scene.texts {
            console.step(Who::Customer, &format!("{}: {text}", scene.name));
        }
        if scene.deliveries > 1 || scene.reordered {
            let order = if scene.reordered { ", out of order" } else { "" };
            let note = format!("delivers {} × {}{order}", scene.texts.len(), scene.deliveries);
            console.step(Who::Messenger, &note);
        }
        delivered.extend(sandbox.inbound(messages.collect()).await);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    sandbox.behave(Behaviour::default());
    delivered
}

/// The operators' work: follows the stream from the start of the log, and decides each draft as the
/// script says. Never returns; publishes what it sees.
pub(super) async fn operate(
    people: Vec<Person>,
    scenes: HashMap<&'static str, Scene>,
    console: Console,
    day: watch::Sender<Day>,
) -> anyhow::Result<()> {
    let first = people.first().ok_or_else(|| anyhow::anyhow!("nobody works here"))?.clone();
    let from_the_start = SubscribeRequest { after_seq: Some(0), ..SubscribeRequest::default() };
    let mut stream = first.events().subscribe(from_the_start).await?.into_inner();
    let mut desk = Desk { people, scenes, console, of: HashMap::new() };
    while let Some(step) = stream.next().await {
        let Some(Step::Event(event)) = step?.step else { continue };
        desk.see(&event, &day).await?;
    }
    anyhow::bail!("the event stream ended")
}

/// Waits until `enough` conversations are through, or gives up.
pub(super) async fn through(day: &mut watch::Receiver<Day>, enough: usize, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    tokio::time::timeout_at(until, day.wait_for(|day| day.done.len() >= enough))
        .await
        .is_ok_and(|ok| ok.is_ok())
}

struct Desk {
    people: Vec<Person>,
    scenes: HashMap<&'static str, Scene>,
    console: Console,
    /// The scene of each conversation.
    of: HashMap<String, Scene>,
}

impl Desk {
    async fn see(&mut self, event: &Event, day: &watch::Sender<Day>) -> anyhow::Result<()> {
        let conversation = event.conversation_id.clone();
        match &event.payload {
            Some(Payload::ConversationCreated(created)) => {
                let request = GetCustomerRequest { customer_id: created.customer_id.clone() };
                let customer = self.people[0].customers().get_customer(request).await?.into_inner();
                if let Some(scene) = self.scenes.get(customer.display_name.as_str()) {
                    self.of.insert(conversation, *scene);
                }
            }
            Some(Payload::MessageCreated(message)) if message.direction == "inbound" => {
                day.send_modify(|day| day.inbound += 1);
            }
            Some(Payload::MessageCreated(_)) => {
                day.send_modify(|day| {
                    day.outbound
                        .entry(conversation)
                        .or_default()
                        .insert(event.subject.clone(), "queued".to_owned());
                });
            }
            Some(Payload::MessageStatusChanged(changed)) => {
                let name = self.name(&conversation);
                let reason =
                    if changed.reason.is_empty() { String::new() } else { format!(" ({})", changed.reason) };
                self.console.step(Who::Messenger, &format!("to {name}: {}{reason}", changed.status));
                day.send_modify(|day| {
                    let messages = day.outbound.entry(conversation.clone()).or_default();
                    messages.insert(event.subject.clone(), changed.status.clone());
                    let arrived = |status: &String| matches!(status.as_str(), "sent" | "delivered" | "read");
                    if messages.values().all(arrived) {
                        day.done.insert(conversation);
                    }
                });
            }
            Some(Payload::SuggestionCreated(draft)) => {
                day.send_modify(|day| day.drafted += 1);
                let (name, sure) = (self.name(&conversation), draft.confidence_bp / 100);
                self.console.step(
                    Who::Ai,
                    &format!("for {name} ({sure} %, {}): {}", draft.decision, short(&draft.text)),
                );
                if let Some(scene) = self.of.get(&conversation).copied()
                    && self.act(&scene, &conversation, &event.subject).await?
                    && matches!(scene.then, Then::Escalate)
                {
                    day.send_modify(|day| {
                        day.done.insert(conversation);
                    });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn name(&self, conversation: &str) -> &'static str {
        self.of.get(conversation).map_or("someone", |scene| scene.name)
    }

    /// Does what the script says with a draft; false when the draft was overtaken by a newer message.
    async fn act(&self, scene: &Scene, conversation: &str, suggestion: &str) -> anyhow::Result<bool> {
        // Turn by turn, so that both work.
        let person = &self.people[scene.name.len() % self.people.len()];
        let who = person.email.split('-').next().unwrap_or_default();
        let (suggestion_id, conversation_id) = (suggestion.to_owned(), conversation.to_owned());
        let say = |what: &str| self.console.step(Who::Operator, &format!("{who} {what} for {}", scene.name));
        let answer = match scene.then {
            Then::Approve => {
                say("approves the draft");
                let request = ApproveRequest { suggestion_id, ..ApproveRequest::default() };
                person.suggestions().approve(request).await.map(drop)
            }
            Then::Edit(text) => {
                say("edits the draft");
                let request = EditRequest { suggestion_id, text: text.to_owned(), ..EditRequest::default() };
                person.suggestions().edit(request).await.map(drop)
            }
            Then::Escalate => {
                say("hands over to people");
                let request = EscalateRequest { suggestion_id, ..EscalateRequest::default() };
                person.suggestions().escalate(request).await.map(drop)
            }
            Then::RejectAndWrite(text) => {
                say("rejects the draft and writes");
                let request = RejectRequest {
                    suggestion_id,
                    reason: "not helpful".to_owned(),
                    ..RejectRequest::default()
                };
                let rejected = person.suggestions().reject(request).await.map(drop);
                if rejected.is_ok() {
                    self.write(person, conversation_id, text).await?;
                }
                rejected
            }
            Then::TakeAndResolve(text) => {
                say("takes the conversation, answers and resolves");
                let assign = AssignConversationRequest {
                    conversation_id: conversation_id.clone(),
                    ..Default::default()
                };
                person.conversations().assign_conversation(assign).await?;
                self.write(person, conversation_id.clone(), text).await?;
                let now = GetConversationRequest { conversation_id: conversation_id.clone() };
                let now = person.conversations().get_conversation(now).await?.into_inner();
                let resolve = ResolveConversationRequest { conversation_id, expected_version: now.version };
                person.conversations().resolve_conversation(resolve).await.map(drop)
            }
        };
        match answer {
            Ok(()) => Ok(true),
            Err(status) if status.code() == tonic::Code::FailedPrecondition => {
                self.console.step(Who::Operator, &format!("too late: {}", status.message()));
                Ok(false)
            }
            Err(status) => Err(status.into()),
        }
    }

    async fn write(&self, person: &Person, conversation_id: String, text: &str) -> anyhow::Result<()> {
        let request =
            SendMessageRequest { conversation_id, text: text.to_owned(), ..SendMessageRequest::default() };
        person.messages().send_message(request).await?;
        Ok(())
    }
}

/// The beginning of a text, on one line.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 90 { line } else { line.chars().take(89).chain(['…']).collect() }
}
