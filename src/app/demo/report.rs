//! The account of the day: what the messengers delivered and received, against what the server holds.

use super::{
    client::Person,
    console::Console,
    play::Day,
    script::{AFTERNOON, MORNING},
    seed::{PASSWORD, Shop},
};
use crate::{
    sandbox::{Delivered, Running},
    wire::conversation::v1::{
        DeliveryStatus, ListConversationsRequest, ListMessagesRequest, ListSuggestionsRequest,
        MessageDirection, SuggestionState,
    },
};

/// What came of the day.
#[derive(Debug, Default)]
pub(super) struct Account {
    /// Messages that customers wrote, once each.
    written: usize,
    /// Inbound messages that the server holds.
    inbound: usize,
    drafted: usize,
    approved: usize,
    /// Outbound messages that the server holds as sent, delivered or read.
    sent: usize,
    /// Outbound messages that failed, are unknown, or still wait.
    unsent: usize,
    /// Messages that the messengers received.
    received: usize,
    /// Deliveries beyond the first of each message.
    duplicates: u32,
    lost: usize,
    doubled: usize,
}

impl Account {
    pub(super) fn is_clean(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.unsent == 0
    }
}

/// Counts on both sides. `escalated` conversations get no answer.
pub(super) async fn account(
    owner: &Person,
    sandbox: &Running,
    delivered: &[Delivered],
    seen: &Day,
    escalated: usize,
) -> anyhow::Result<Account> {
    let scenes = MORNING.iter().chain(AFTERNOON);
    let written = scenes.clone().map(|scene| scene.texts.len()).sum();
    let mut account = Account {
        written,
        drafted: seen.drafted,
        received: sandbox.sent().len(),
        duplicates: delivered.iter().map(|message| message.accepted.saturating_sub(1)).sum(),
        ..Account::default()
    };
    let list = ListConversationsRequest { page_size: 200, ..ListConversationsRequest::default() };
    let conversations = owner.conversations().list_conversations(list).await?.into_inner().conversations;
    for conversation in &conversations {
        let list = ListMessagesRequest {
            conversation_id: conversation.id.clone(),
            page_size: 200,
            ..ListMessagesRequest::default()
        };
        for message in owner.messages().list_messages(list).await?.into_inner().messages {
            let arrived = matches!(
                message.status(),
                DeliveryStatus::Sent | DeliveryStatus::Delivered | DeliveryStatus::Read
            );
            match message.direction() {
                MessageDirection::Inbound => account.inbound += 1,
                _ if arrived => account.sent += 1,
                _ => account.unsent += 1,
            }
        }
    }
    for state in [SuggestionState::Approved, SuggestionState::Edited] {
        let list = ListSuggestionsRequest { state: state.into(), page_size: 200, ..Default::default() };
        account.approved += owner.suggestions().list_suggestions(list).await?.into_inner().suggestions.len();
    }
    // One answer to each conversation but those that people took over.
    let answers = scenes.count() - escalated;
    let untaken = delivered.iter().filter(|message| message.accepted == 0).count();
    account.lost = written.saturating_sub(account.inbound)
        + answers.saturating_sub(account.sent)
        + account.sent.saturating_sub(account.received)
        + untaken;
    account.doubled = account.inbound.saturating_sub(written)
        + account.received.saturating_sub(account.sent)
        + sandbox.doubled().len()
        + seen.inbound.saturating_sub(account.inbound);
    Ok(account)
}

pub(super) fn print(console: Console, account: &Account, shop: &Shop, server: &str, sandbox: &str) {
    console.heading("The day");
    let rows = [
        ("customers wrote", account.written),
        ("in the inbox", account.inbound),
        ("drafted", account.drafted),
        ("approved or edited", account.approved),
        ("sent", account.sent),
        ("received by the messengers", account.received),
        ("not sent", account.unsent),
    ];
    for (what, count) in rows {
        console.line(&format!("{what:>28}  {count}"));
    }
    console.heading("Go on by hand");
    console.line(&format!("{:>28}  {server}/docs", "API and its page"));
    console.line(&format!("{:>28}  {sandbox}", "sandbox"));
    console.line(&format!("{:>28}  {PASSWORD}", "password of everyone"));
    console.line(&format!("{:>28}  {}", "owner", shop.owner.email));
    for operator in &shop.operators {
        console.line(&format!("{:>28}  {}", "operator", operator.email));
    }
    console.line("");
    console.line(&format!(
        "demo: {} in, {} drafted, {} sent, {} duplicates ignored, {} lost, {} doubled",
        account.inbound, account.drafted, account.sent, account.duplicates, account.lost, account.doubled
    ));
}
