//! What the database holds of a shop.
use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement};
use switchboard::id::{ConversationId, MessageId, SuggestionId};

use crate::faults::shop::Shop;

#[derive(Debug, Default)]
pub struct Rows {
    pub conversations: Vec<Conversation>,
    /// By conversation and place.
    pub messages: Vec<Message>,
    pub suggestions: Vec<Suggestion>,
    /// Numbers, kinds and subjects of the events; those without a number first.
    pub events: Vec<(Option<i64>, String, String)>,
    pub head: i64,
    /// How many jobs there are, by state.
    pub jobs: BTreeMap<i16, i64>,
}

#[derive(Debug)]
pub struct Conversation {
    pub id: ConversationId,
    pub unread: i32,
    pub count: i64,
}

#[derive(Debug)]
pub struct Message {
    pub id: MessageId,
    pub conversation: ConversationId,
    pub channel: String,
    pub seq: i64,
    pub inbound: bool,
    pub text: String,
    pub external_id: Option<String>,
    pub status: Option<String>,
    pub suggestion: Option<SuggestionId>,
}

#[derive(Debug)]
pub struct Suggestion {
    pub id: SuggestionId,
    pub state: String,
    pub message: Option<MessageId>,
}

impl Rows {
    pub async fn read(database: &DatabaseConnection, shop: &Shop) -> Self {
        let ask = async |sql: &str| ask(database, shop, sql).await;
        let get = |row: &QueryResult, name: &str| row.try_get::<Option<String>>("", name).unwrap();
        let conversations =
            ask("select id, unread_count, message_count from conversation where tenant_id = $1").await;
        let messages = ask(
            "select id, conversation_id, channel_id, seq, direction, text, external_id, status, suggestion_id \
             from message where tenant_id = $1 order by conversation_id, seq",
        )
        .await;
        let suggestions = ask("select id, state, sent_message_id from suggestion where tenant_id = $1").await;
        let events = ask("select seq, kind, subject from event where tenant_id = $1").await;
        let head = ask("select seq from event_head where tenant_id = $1").await;
        let jobs = ask("select state, count(*) as n from job where tenant_id = $1 group by state").await;
        let mut events: Vec<_> = events
            .iter()
            .map(|row| {
                let (kind, subject) = (get(row, "kind").unwrap(), get(row, "subject").unwrap());
                (row.try_get("", "seq").unwrap(), kind, subject)
            })
            .collect();
        events.sort_unstable();
        Self {
            conversations: conversations
                .iter()
                .map(|row| Conversation {
                    id: row.try_get("", "id").unwrap(),
                    unread: row.try_get("", "unread_count").unwrap(),
                    count: row.try_get("", "message_count").unwrap(),
                })
                .collect(),
            messages: messages
                .iter()
                .map(|row| Message {
                    id: row.try_get("", "id").unwrap(),
                    conversation: row.try_get("", "conversation_id").unwrap(),
                    channel: row.try_get::<switchboard::id::ChannelId>("", "channel_id").unwrap().to_string(),
                    seq: row.try_get("", "seq").unwrap(),
                    inbound: get(row, "direction").unwrap() == "inbound",
                    text: get(row, "text").unwrap(),
                    external_id: get(row, "external_id"),
                    status: get(row, "status"),
                    suggestion: row.try_get("", "suggestion_id").unwrap(),
                })
                .collect(),
            suggestions: suggestions
                .iter()
                .map(|row| Suggestion {
                    id: row.try_get("", "id").unwrap(),
                    state: get(row, "state").unwrap(),
                    message: row.try_get("", "sent_message_id").unwrap(),
                })
                .collect(),
            events,
            head: head.first().map_or(0, |row| row.try_get("", "seq").unwrap()),
            jobs: jobs
                .iter()
                .map(|row| (row.try_get("", "state").unwrap(), row.try_get("", "n").unwrap()))
                .collect(),
        }
    }
}

async fn ask(database: &DatabaseConnection, shop: &Shop, sql: &str) -> Vec<QueryResult> {
    let backend = database.get_database_backend();
    let sql = if backend == DbBackend::Sqlite { sql.replace('$', "?") } else { sql.to_owned() };
    let ask = Statement::from_sql_and_values(backend, sql, [shop.tenant.into()]);
    database.query_all_raw(ask).await.unwrap()
}
