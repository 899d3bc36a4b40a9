//! A server with faults on request, a shop in it, and a conversation for each scene.
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, QueryResult, Statement, Value};
use switchboard::{
    fault::Point,
    id::MessageId,
    sandbox::{Behaviour, Inbound, Provider},
    wire::conversation::v1::{
        ListConversationsRequest, SendMessageRequest, conversation_service_client::ConversationServiceClient,
        message_service_client::MessageServiceClient,
    },
};
use tonic::Request;

use super::{Action, End};
use crate::{
    faults::{
        SETTINGS,
        shop::{Shop, WHATSAPP},
    },
    support::{Pair, Server},
};

/// Longer than all leases after one another.
const PATIENCE: Duration = Duration::from_secs(40);
/// Crashes after which a job is only told to say that it is dead.
const CRASHES: usize = switchboard::store::jobs::MOST_CRASHES as usize;

pub struct Stage {
    server: Server,
    hall: Hall,
}

/// What does not die.
struct Hall {
    pair: Pair,
    shop: Arc<Shop>,
    database: DatabaseConnection,
    armed: tempfile::TempDir,
    conversations: Vec<String>,
}

impl Stage {
    /// With so many conversations; no draft comes into their way.
    pub async fn build(pair: Pair, conversations: usize) -> Self {
        let armed = tempfile::tempdir().unwrap();
        let folder = armed.path().to_str().unwrap().to_owned();
        let more = [
            ("SWITCHBOARD_JOB_LEASE_SECONDS", "2"),
            ("SWITCHBOARD_DEBOUNCE_MS", "600000"),
            ("FAULTS_IN", folder.as_str()),
        ];
        let server = Server::start(&pair, &[SETTINGS, &more].concat()).await;
        let shop = Shop::open(&pair.database_url, pair.redis_url.as_deref(), &[server.url()]).await;
        // What the provider reports later would settle what is unknown.
        shop.sandbox.behave(Behaviour { silent: true, ..Behaviour::default() });
        let words = (0..conversations).map(|n| {
            Inbound::text(Provider::Whatsapp, WHATSAPP, &format!("491511111{n:04}"), "Ivo", "hello")
        });
        shop.sandbox.inbound(words.collect()).await;
        let request = ListConversationsRequest { page_size: 200, ..Default::default() };
        let listed = ConversationServiceClient::new(shop.wire()).list_conversations(request).await.unwrap();
        let conversations: Vec<String> =
            listed.into_inner().conversations.into_iter().map(|conversation| conversation.id).collect();
        let database = Database::connect(&pair.database_url).await.unwrap();
        Self { server, hall: Hall { pair, shop, database, armed, conversations } }
    }

    /// Two messages are sent into one conversation while `action` happens at `point`.
    pub async fn play(&mut self, number: usize, point: Point, action: Action, end: End) {
        tokio::select! {
            () = self.hall.play(number, point, action, end) => {}
            () = nurse(&mut self.server) => unreachable!("a nurse never leaves"),
        }
    }

    /// Nothing is left, nothing happened twice.
    pub async fn check(&self) {
        self.hall.check().await;
    }
}

impl Hall {
    async fn play(&self, number: usize, point: Point, action: Action, end: End) {
        let begin = Instant::now();
        let texts = [format!("scene {number}, first"), format!("scene {number}, second")];
        let ids: [MessageId; 2] = std::array::from_fn(|_| self.shop.env.id());
        let file = self.armed.path().join(point.name());
        arm(&file, action);
        if point == Point::SweeperBeforeEnsure {
            self.forget_tickets().await;
        }
        for (id, text) in ids.iter().zip(&texts) {
            send(&self.shop, &self.conversations[number], *id, text).await;
        }
        let ended = loop {
            let ended = self.statuses(&ids).await;
            if !file.exists() && ended.iter().all(|status| status != "queued") && self.at_rest().await {
                break ended;
            }
            assert!(
                begin.elapsed() < PATIENCE,
                "{action:?} at {} on {}: {ended:?}, struck: {}",
                point.name(),
                self.pair.name,
                !file.exists(),
            );
            tokio::time::sleep(Duration::from_millis(30)).await;
        };
        let taken = texts.each_ref().map(|text| self.taken(text));
        println!(
            "{}: {action:?} at {}: {ended:?}, taken {taken:?}, {:.1} s",
            self.pair.name,
            point.name(),
            begin.elapsed().as_secs_f32()
        );
        let expected = match end {
            End::Sent => ("sent", 1),
            End::Unknown { taken } => ("unknown", taken),
            End::Failed => ("failed", 0),
        };
        assert_eq!((ended[0].as_str(), taken[0].len()), expected, "the message that met it");
        assert_eq!((ended[1].as_str(), taken[1].len()), ("sent", 1), "the one after it");
        if let (Some(first), Some(second)) = (taken[0].first(), taken[1].first()) {
            assert!(first < second, "the second overtook the first");
        }
    }

    async fn check(&self) {
        assert_eq!(self.shop.sandbox.doubled(), [""; 0]);
        assert!(self.shop.complaints.lock().unwrap().is_empty());
        let sent = "select count(*) as n from job where kind = 'send_message' and state not in (3, 4)";
        assert_eq!(self.number(sent).await, 0, "jobs that did not end");
        let (jobs, messages) = (
            "select count(*) as n from job where kind = 'send_message'",
            "select count(*) as n from message where direction = 'outbound'",
        );
        assert_eq!(self.number(jobs).await, self.number(messages).await, "one job a message");
        let gaps = "select count(*) - coalesce(max(seq), 0) as n from event where tenant_id = $1";
        let begin = Instant::now();
        while self.number(gaps).await != 0 {
            assert!(begin.elapsed() < PATIENCE, "the log has gaps, or events without a number");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn statuses(&self, ids: &[MessageId; 2]) -> Vec<String> {
        let mut found = Vec::new();
        for id in ids {
            let rows =
                self.ask("select status from message where tenant_id = $1 and id = $2", [(*id).into()]).await;
            found.push(rows[0].try_get("", "status").unwrap());
        }
        found
    }

    /// Nothing is under way, and no ticket is left.
    async fn at_rest(&self) -> bool {
        let busy = "select count(*) as n from job where tenant_id = $1 and (state in (1, 2, 6) \
             or state = 0 and kind = 'send_message')";
        self.number(busy).await == 0 && self.tickets().await == 0
    }

    async fn tickets(&self) -> u64 {
        let Some(mut redis) = self.redis().await else { return 0 };
        let streams: Vec<String> = redis::cmd("KEYS").arg("{jq:*}:s").query_async(&mut redis).await.unwrap();
        let mut count = 0;
        for stream in streams {
            let length: u64 = redis::cmd("XLEN").arg(stream).query_async(&mut redis).await.unwrap();
            count += length;
        }
        count
    }

    async fn forget_tickets(&self) {
        let Some(mut redis) = self.redis().await else { return };
        let () = redis::cmd("FLUSHDB").query_async(&mut redis).await.unwrap();
    }

    async fn redis(&self) -> Option<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(self.pair.redis_url.as_deref()?).unwrap();
        Some(client.get_multiplexed_async_connection().await.unwrap())
    }

    /// Where in the ledger of the providers a text stands.
    fn taken(&self, text: &str) -> Vec<usize> {
        let sent = self.shop.sandbox.sent();
        sent.iter().enumerate().filter(|(_, sent)| sent.text == text).map(|(place, _)| place).collect()
    }

    async fn number(&self, sql: &str) -> i64 {
        let rows = self.ask(sql, []).await;
        rows[0].try_get("", "n").unwrap()
    }

    async fn ask<const N: usize>(&self, sql: &str, more: [Value; N]) -> Vec<QueryResult> {
        let backend = self.database.get_database_backend();
        let tenant = sql.contains("$1").then(|| self.shop.tenant.into());
        let sql = if backend == DbBackend::Sqlite { sql.replace('$', "?") } else { sql.to_owned() };
        let ask = Statement::from_sql_and_values(backend, sql, tenant.into_iter().chain(more));
        self.database.query_all_raw(ask).await.unwrap()
    }
}

fn arm(file: &PathBuf, action: Action) {
    let action = match action {
        Action::Crash => "crash".to_owned(),
        Action::CrashAlways => ["crash"; CRASHES].join("\n"),
        Action::Error => "error".to_owned(),
        Action::Panic => "panic".to_owned(),
        Action::Delay => "delay 600".to_owned(),
    };
    let whole = file.with_extension("new");
    std::fs::write(&whole, action).unwrap();
    std::fs::rename(whole, file).unwrap();
}

/// Sends until it is answered; under one key it is one message.
async fn send(shop: &Shop, conversation: &str, id: MessageId, text: &str) {
    let request = SendMessageRequest {
        conversation_id: conversation.to_owned(),
        text: text.to_owned(),
        id: id.to_string(),
        ..Default::default()
    };
    let call = |wire| {
        let mut request = Request::new(request.clone());
        request.metadata_mut().insert("idempotency-key", id.to_string().parse().unwrap());
        async move { MessageServiceClient::new(wire).send_message(request).await }
    };
    let answer = shop.insist("SendMessage", call).await.unwrap();
    assert_eq!(answer.id, id.to_string(), "the answer of the first time");
}

/// Starts the server again whenever it died.
async fn nurse(server: &mut Server) {
    loop {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if server.has_ended() {
            server.restart_unready();
        }
    }
}
