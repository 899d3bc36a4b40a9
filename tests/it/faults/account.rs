//! The account of the day: what the messengers delivered and received, against what the server holds.
mod rows;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use sea_orm::Database;
use switchboard::{
    id::{ConversationId, MessageId, SuggestionId},
    sandbox::SentMessage,
};

use self::rows::{Message, Rows};
use super::{customers::Written, operators::Operators, shop::Shop};

/// Longer than any lease; shorter than the life of a ticket, so that a lost one has to be missed in time.
const PATIENCE: Duration = Duration::from_secs(45);

/// Everything on both sides, once nothing moves any more.
#[derive(Debug)]
pub struct Account {
    written: Vec<Written>,
    received: Vec<SentMessage>,
    whatsapp: String,
    rows: Rows,
    /// What the operators were told: numbers of events; drafts with their messages; messages of their own.
    told: Told,
    complaints: Vec<String>,
}

#[derive(Debug)]
struct Told {
    events: Vec<i64>,
    sent: Vec<(String, String)>,
    written: Vec<String>,
    connections: usize,
}

/// Waits until every customer has an answer, every answer an outcome, and every reader the whole log.
pub async fn settled(shop: &Shop, written: Vec<Written>, operators: &Operators) -> Account {
    let begin = Instant::now();
    let database = Database::connect(&shop.database_url).await.unwrap();
    let mut known = Vec::new();
    loop {
        let rows = Rows::read(&database, shop).await;
        let seen = &operators.seen;
        let account = Account {
            received: shop.sandbox.sent(),
            whatsapp: shop.whatsapp.id.clone(),
            rows,
            told: Told {
                events: seen.events.lock().unwrap().clone(),
                sent: seen.sent.lock().unwrap().clone(),
                written: seen.written.lock().unwrap().clone(),
                connections: *seen.connections.lock().unwrap(),
            },
            complaints: shop.complaints.lock().unwrap().clone(),
            written: Vec::new(),
        };
        let mut open = account.open();
        if !operators.answers.is_empty() {
            open.push(format!("{} operators are still answering", operators.answers.len()));
        }
        open.extend(tickets(shop).await);
        if open.is_empty() {
            println!("settled after {:.1} s", begin.elapsed().as_secs_f32());
            return Account { written, ..account };
        }
        if open != known {
            println!("after {:.1} s: {open:?}", begin.elapsed().as_secs_f32());
            known.clone_from(&open);
        }
        assert!(begin.elapsed() < PATIENCE, "still open: {open:#?}\ncomplaints: {:#?}", account.complaints);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// What Redis still holds of the jobs.
async fn tickets(shop: &Shop) -> Option<String> {
    let client = redis::Client::open(shop.redis_url.as_deref()?).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = redis::cmd("KEYS").arg("{jq:*}:s").query_async(&mut connection).await.unwrap();
    for key in &keys {
        let length: u64 = redis::cmd("XLEN").arg(key).query_async(&mut connection).await.unwrap();
        if length > 0 {
            return Some(format!("{length} tickets in {key}"));
        }
    }
    keys.is_empty().then(|| "Redis has no streams".to_owned())
}

impl Account {
    /// What has not come to its end yet.
    fn open(&self) -> Vec<String> {
        let mut open = Vec::new();
        for (state, count) in &self.rows.jobs {
            if matches!(state, 0 | 1 | 2 | 6) {
                open.push(format!("{count} jobs in state {state}"));
            }
        }
        for conversation in &self.rows.conversations {
            let newest = self.rows.messages.iter().rfind(|message| message.conversation == conversation.id);
            if newest.is_none_or(|message| message.inbound) {
                open.push(format!("{} has no answer", conversation.id));
            }
        }
        let received = self.received_of();
        for message in self.rows.messages.iter().filter(|message| !message.inbound) {
            let status = message.status.as_deref().unwrap_or_default();
            let arrived = received.contains_key(&self.key(message));
            // WhatsApp reports what it received until that is taken.
            if status == "queued" || arrived && message.channel == self.whatsapp && status != "read" {
                open.push(format!("{} is {status}; received: {arrived}", message.id));
            }
        }
        let unnumbered = self.rows.events.iter().filter(|(seq, ..)| seq.is_none()).count();
        if unnumbered > 0 || self.told.events.last() != Some(&self.rows.head) {
            open.push(format!(
                "{unnumbered} events have no number; told {:?} of {}",
                self.told.events.last(),
                self.rows.head
            ));
        }
        open
    }

    /// Nothing lost, nothing twice, nothing out of order.
    pub fn check(&self) {
        println!("{}", self.summary());
        assert!(self.complaints.is_empty(), "{:#?}", self.complaints);
        self.check_inbound();
        self.check_outbound();
        self.check_suggestions();
        self.check_counters();
        self.check_events();
        let dead = self.rows.jobs.get(&4).copied().unwrap_or(0);
        assert_eq!(dead, 0, "jobs died: {:?}", self.rows.jobs);
    }

    /// Messages of which nobody knows whether they arrived.
    pub fn unknown(&self) -> usize {
        self.rows.messages.iter().filter(|message| message.status.as_deref() == Some("unknown")).count()
    }

    /// Every webhook that was answered with 200 is one message, in the order in which it was written.
    fn check_inbound(&self) {
        let mut held: HashMap<ConversationId, Vec<(&str, &str)>> = HashMap::new();
        for message in self.rows.messages.iter().filter(|message| message.inbound) {
            let id = message.external_id.as_deref().unwrap();
            held.entry(message.conversation).or_default().push((id, &message.text));
        }
        let mut held: Vec<_> = held.into_values().collect();
        let mut written: Vec<Vec<(&str, &str)>> = self
            .written
            .iter()
            .map(|of| of.messages.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect())
            .collect();
        held.sort_unstable();
        written.sort_unstable();
        assert_eq!(held, written, "what the server holds, and what was written");
    }

    /// Every message was received once, or is called unknown; nothing else was received.
    fn check_outbound(&self) {
        let received = self.received_of();
        let mut explained = HashSet::new();
        let mut order: HashMap<ConversationId, usize> = HashMap::new();
        for message in self.rows.messages.iter().filter(|message| !message.inbound) {
            let key = self.key(message);
            let at = received.get(&key).map_or(&[][..], Vec::as_slice);
            let status = message.status.as_deref().unwrap();
            match status {
                "sent" | "delivered" | "read" => assert_eq!(at.len(), 1, "{message:?} was received {at:?}"),
                "unknown" => assert!(at.len() <= 1, "{message:?} was received {at:?}"),
                _ => panic!("{message:?}"),
            }
            // The list is in the order of the conversation: so must be the ledger.
            if let Some(place) = at.first() {
                let before = order.insert(message.conversation, *place);
                assert!(before.is_none_or(|before| before < *place), "{message:?} overtook the one before");
            }
            explained.insert(key);
        }
        let strangers: Vec<_> = received.keys().filter(|key| !explained.contains(*key)).collect();
        assert!(strangers.is_empty(), "received, and never sent: {strangers:?}");
    }

    /// A draft that was approved has its one message, and it is the one that the operator was told.
    fn check_suggestions(&self) {
        let mut messages: HashMap<SuggestionId, Vec<MessageId>> = HashMap::new();
        for message in &self.rows.messages {
            if let Some(suggestion) = message.suggestion {
                messages.entry(suggestion).or_default().push(message.id);
            }
        }
        let told: HashMap<&str, &str> =
            self.told.sent.iter().map(|(draft, message)| (draft.as_str(), message.as_str())).collect();
        for draft in &self.rows.suggestions {
            let of = messages.remove(&draft.id).unwrap_or_default();
            let sent = matches!(draft.state.as_str(), "approved" | "edited");
            assert_eq!(of, draft.message.into_iter().collect::<Vec<_>>(), "{draft:?}");
            assert_eq!(of.len(), usize::from(sent), "{draft:?}");
            let answer = told.get(draft.id.to_string().as_str()).map(|message| (*message).to_owned());
            assert_eq!(answer, draft.message.map(|message| message.to_string()), "{draft:?}");
        }
        assert!(messages.is_empty(), "messages of no draft: {messages:?}");
        let own: Vec<String> = self
            .rows
            .messages
            .iter()
            .filter(|message| !message.inbound && message.suggestion.is_none())
            .map(|message| message.id.to_string())
            .collect();
        let (own, told): (HashSet<_>, HashSet<_>) =
            (own.iter().collect(), self.told.written.iter().collect());
        assert_eq!(own, told, "what operators wrote themselves");
    }

    fn check_counters(&self) {
        for conversation in &self.rows.conversations {
            let of: Vec<_> =
                self.rows.messages.iter().filter(|message| message.conversation == conversation.id).collect();
            let unread = of.iter().rev().take_while(|message| message.inbound).count();
            let places: Vec<i64> = of.iter().map(|message| message.seq).collect();
            let expected: Vec<i64> = (1..=conversation.count).collect();
            assert_eq!(places, expected, "{conversation:?}");
            assert_eq!(usize::try_from(conversation.unread).unwrap(), unread, "{conversation:?}");
        }
    }

    /// The log has no gap, every message came into it once, and a reader who was cut off all the time read
    /// every entry once.
    fn check_events(&self) {
        let numbers: Vec<i64> = self.rows.events.iter().map(|(seq, ..)| seq.unwrap()).collect();
        assert_eq!(numbers, (1..=self.rows.head).collect::<Vec<_>>());
        assert_eq!(self.told.events, numbers, "what the stream told");
        let mut created: Vec<&str> = self
            .rows
            .events
            .iter()
            .filter(|(_, kind, _)| kind == "message.created")
            .map(|(.., subject)| subject.as_str())
            .collect();
        let mut messages: Vec<String> = self.rows.messages.iter().map(|row| row.id.to_string()).collect();
        created.sort_unstable();
        messages.sort_unstable();
        assert_eq!(created, messages);
    }

    /// Where in the ledger each message stands, by what it can be told from others by.
    fn received_of(&self) -> HashMap<String, Vec<usize>> {
        let mut received: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, message) in self.received.iter().enumerate() {
            let key = message.correlation.clone().unwrap_or_else(|| message.text.clone());
            received.entry(key).or_default().push(place);
        }
        received
    }

    fn key(&self, message: &Message) -> String {
        if message.channel == self.whatsapp { message.id.to_string() } else { message.text.clone() }
    }

    fn summary(&self) -> String {
        let outbound = self.rows.messages.iter().filter(|message| !message.inbound);
        let mut statuses: BTreeMap<&str, usize> = BTreeMap::new();
        for message in outbound {
            *statuses.entry(message.status.as_deref().unwrap_or_default()).or_default() += 1;
        }
        let answered = self.received.iter().filter(|message| message.answered).count();
        format!(
            "{} in, {} repeats; {} drafts, {} sent, {} written; {statuses:?}; received {}, {} of them unanswered; \
             {} events over {} connections; jobs {:?}",
            self.written.iter().map(|of| of.messages.len()).sum::<usize>(),
            self.written.iter().map(|of| of.repeats).sum::<usize>(),
            self.rows.suggestions.len(),
            self.told.sent.len(),
            self.told.written.len(),
            self.received.len(),
            self.received.len() - answered,
            self.told.events.len(),
            self.told.connections,
            self.rows.jobs,
        )
    }
}
