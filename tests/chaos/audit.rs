//! The account when everything is still: what was accepted, what the record holds, what the providers received.
use std::collections::{BTreeMap, HashMap, HashSet};

use switchboard::{id::ConversationId, jobs::send_message::SendMessage, sandbox::SentMessage};
use uuid::Uuid;

use crate::{
    faults::{
        customers::Written,
        operators::Seen,
        rows::{Message, Rows},
        shop::Shop,
    },
    watch::Watch,
};

/// What came of everything that was accepted.
#[derive(Debug, Default)]
pub struct Account {
    /// Webhooks, messages and approvals that were answered with success.
    pub acked: usize,
    pub unknown: usize,
    /// Refused by a provider, or not sent in the end: a person was told.
    pub failed: usize,
    pub lost: Vec<String>,
    pub doubled: Vec<String>,
    pub disordered: Vec<String>,
    /// What else should not be.
    pub wrong: Vec<String>,
}

/// One shop's side of it.
pub struct Side<'a> {
    pub shop: &'a Shop,
    pub written: &'a [Written],
    pub seen: &'a Seen,
}

impl Account {
    pub async fn take(&mut self, watch: &Watch, side: &Side<'_>) {
        let rows = Rows::read(&watch.database, side.shop).await;
        self.wrong.extend(side.shop.complaints.lock().unwrap().iter().cloned());
        self.inbound(&rows, side.written);
        self.outbound(&rows, side);
        self.answers(&rows, side.seen);
        self.events(&rows, side.seen);
    }

    /// I1, I15: every webhook that was answered with 200 is one message, in the order in which it was written.
    fn inbound(&mut self, rows: &Rows, written: &[Written]) {
        let mut held: HashMap<&str, usize> = HashMap::new();
        let mut places: HashMap<ConversationId, Vec<&str>> = HashMap::new();
        for message in rows.messages.iter().filter(|message| message.inbound) {
            let id = message.external_id.as_deref().unwrap_or_default();
            *held.entry(id).or_default() += 1;
            places.entry(message.conversation).or_default().push(id);
        }
        let mut order: HashMap<&str, usize> = HashMap::new();
        for of in written {
            self.acked += of.messages.len();
            for (place, (id, text)) in of.messages.iter().enumerate() {
                order.insert(id, place);
                match held.remove(id.as_str()) {
                    None => self.lost.push(format!("{id}: {text}")),
                    Some(1) => {}
                    Some(count) => self.doubled.push(format!("{id} is held {count} times")),
                }
            }
        }
        self.wrong.extend(held.keys().map(|id| format!("{id} was never written")));
        for ids in places.into_values() {
            let mut pairs = ids.iter().zip(ids.iter().skip(1));
            if let Some((first, second)) =
                pairs.find(|(first, second)| order.get(**first) > order.get(**second))
            {
                self.disordered.push(format!("{second} was written before {first}"));
            }
        }
    }

    /// I2, I3: the providers received every message once, and those of a conversation in its order.
    fn outbound(&mut self, rows: &Rows, side: &Side<'_>) {
        let received = side.shop.sandbox.sent();
        let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
        for (place, message) in received.iter().enumerate() {
            places.entry(key_of(message)).or_default().push(place);
        }
        let mut last: HashMap<ConversationId, usize> = HashMap::new();
        let mut known = HashSet::new();
        for message in rows.messages.iter().filter(|message| !message.inbound) {
            let id = message.id.to_string();
            let key = if message.channel == side.shop.whatsapp.id { &id } else { &message.text };
            let at = places.get(key.as_str()).map_or(&[][..], Vec::as_slice);
            known.insert(key.clone());
            self.delivered(message, at.len());
            if let Some(first) = at.first()
                && let Some(before) = last.insert(message.conversation, *first)
                && before > *first
            {
                self.disordered.push(format!("{id} overtook the one before it"));
            }
        }
        let strangers = places.keys().filter(|key| !known.contains(**key));
        self.wrong.extend(strangers.map(|key| format!("received, and never sent: {key}")));
    }

    fn delivered(&mut self, message: &Message, count: usize) {
        let status = message.status.as_deref().unwrap_or_default();
        let told = format!("{} is {status} and was received {count} times", message.id);
        match (status, count) {
            (_, 2..) => self.doubled.push(told),
            ("sent" | "delivered" | "read", 1) => {}
            ("sent" | "delivered" | "read" | "queued", _) => self.lost.push(told),
            ("unknown", _) => self.unknown += 1,
            ("failed", 0) => self.failed += 1,
            _ => self.wrong.push(told),
        }
    }

    /// I1, I15: whatever an operator was told is so.
    fn answers(&mut self, rows: &Rows, seen: &Seen) {
        let messages: HashSet<String> = rows.messages.iter().map(|message| message.id.to_string()).collect();
        let (sent, written) = (seen.sent.lock().unwrap(), seen.written.lock().unwrap());
        self.acked += sent.len() + written.len();
        let told = sent.iter().map(|(_, message)| message).chain(written.iter());
        self.lost
            .extend(told.filter(|id| !messages.contains(*id)).map(|id| format!("{id} was acknowledged")));
        let mut of: HashMap<_, usize> = HashMap::new();
        for draft in rows.messages.iter().filter_map(|message| message.suggestion) {
            *of.entry(draft).or_default() += 1;
        }
        for draft in &rows.suggestions {
            let sent = matches!(draft.state.as_str(), "approved" | "edited");
            let count = of.get(&draft.id).copied().unwrap_or_default();
            match count.cmp(&usize::from(sent)) {
                std::cmp::Ordering::Less => self.lost.push(format!("{draft:?} has no message")),
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Greater => self.doubled.push(format!("{draft:?} has {count} messages")),
            }
        }
    }

    /// I10, I11: a reader who was cut off again and again saw every entry of its tenant's log, once, in order.
    fn events(&mut self, rows: &Rows, seen: &Seen) {
        let seen = seen.events.lock().unwrap();
        if let Some((place, seq)) = (1..).zip(seen.iter()).find(|(place, seq)| place != *seq) {
            self.wrong.push(format!("event {place} came as {seq}"));
        }
        if seen.last().copied().unwrap_or(0) != rows.head {
            self.wrong.push(format!("the last event was {:?} of {}", seen.last(), rows.head));
        }
        let numbered = i64::try_from(rows.events.len()).unwrap_or(i64::MAX);
        if numbered != rows.head {
            self.wrong.push(format!("{numbered} events, and the newest has number {}", rows.head));
        }
        let created = rows.events.iter().filter(|(_, kind, _)| kind == "message.created").count();
        if created != rows.messages.len() {
            self.wrong.push(format!("{} messages, {created} events of new ones", rows.messages.len()));
        }
    }

    /// I1, I4, I8: every promise has one job, every job is over, nothing is left of it in Redis.
    pub async fn jobs(&mut self, watch: &Watch, lives: usize, poisoned: i64) {
        for (kind, direction, strange) in
            [("send_message", "outbound", poisoned), ("draft_reply", "inbound", 0)]
        {
            let jobs = watch
                .number(&format!(
                    "select (select count(*) from job where kind = '{kind}') \
                     + (select count(*) from job_log where kind = '{kind}') - {strange} as n"
                ))
                .await;
            let messages = watch
                .number(&format!("select count(*) as n from message where direction = '{direction}'"))
                .await;
            match jobs.cmp(&messages) {
                std::cmp::Ordering::Less => {
                    self.lost.push(format!("{messages} {direction} messages, {jobs} jobs of them"));
                }
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Greater => {
                    self.doubled.push(format!("{messages} {direction} messages, {jobs} jobs of them"));
                }
            }
        }
        let over = "select kind || ' in state ' || state as what, count(*) as n from job \
             where state not in (3, 4, 5) group by kind, state";
        for row in watch.ask(over, []).await.expect("the database is back") {
            let (what, count): (String, i64) =
                (row.try_get("", "what").unwrap(), row.try_get("", "n").unwrap());
            let count = usize::try_from(count).unwrap_or(0);
            self.lost.extend(std::iter::repeat_n(format!("a job never ended: {what}"), count));
        }
        let dead =
            "select kind, last_error, count(*) as n from job where state = 4 group by kind, last_error";
        for row in watch.ask(dead, []).await.expect("the database is back") {
            let (kind, error): (String, Option<String>) =
                (row.try_get("", "kind").unwrap(), row.try_get("", "last_error").unwrap());
            if kind != "send_message" || !error.as_deref().unwrap_or_default().contains("expected") {
                println!("dead: {kind}: {error:?}");
            }
        }
        self.effects(watch).await;
        match watch.left().await {
            Ok((0, consumers)) if consumers <= lives => {}
            Ok((left, consumers)) => self.wrong.push(format!(
                "Redis holds {left} tickets, and {consumers} consumers of one lane after {lives} lives"
            )),
            Err(error) => self.wrong.push(format!("Redis does not answer: {error}")),
        }
    }

    /// I2: nobody meant to send something and left it at that. What a report of the provider settled needs no entry.
    async fn effects(&mut self, watch: &Watch) {
        let meant = "select j.tenant_id, j.payload from effect e join job j on j.tenant_id = e.tenant_id and e.key = \
             sha256(convert_to(j.kind, 'UTF8') || '\\x00'::bytea || uuid_send(j.id) || int4send(0)) where e.state = 1";
        for row in watch.ask(meant, []).await.expect("the database is back") {
            let (tenant, payload): (Uuid, Vec<u8>) =
                (row.try_get("", "tenant_id").unwrap(), row.try_get("", "payload").unwrap());
            let SendMessage { message, .. } = serde_json::from_slice(&payload).expect("a job of ours");
            let status = "select status from message where tenant_id = $1 and id = $2";
            let rows =
                watch.ask(status, [tenant.into(), message.into()]).await.expect("the database is back");
            let status: Option<String> = rows[0].try_get("", "status").unwrap();
            if !matches!(status.as_deref(), Some("sent" | "delivered" | "read")) {
                self.wrong
                    .push(format!("{message} was meant to be sent, is {status:?}, and nobody knows more"));
            }
        }
    }

    /// I13: what customers write is nowhere in the logs.
    pub fn logs(&mut self, texts: &BTreeMap<String, String>) {
        for (name, text) in texts {
            for canary in ["is delivery free for orders", "4915100000"] {
                if text.contains(canary) {
                    self.wrong.push(format!("the log of {name} holds {canary:?}"));
                }
            }
        }
    }
}

fn key_of(message: &SentMessage) -> &str {
    message.correlation.as_deref().unwrap_or(&message.text)
}
