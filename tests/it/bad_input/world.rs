//! A server on a socket, with a shop that has every obstacle at hand, and the count of all its rows.

use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, Response};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};
use serde_json::{Value, json};
use switchboard::{app::Running, domain::signature, edge::Grpc};
use tonic::{Code, body::Body, transport::Channel};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

use crate::{
    conversation::payload::{self, BEGIN},
    support::{
        Pair,
        app::{Person, TestApp},
        rpc::{self, Refusal},
    },
    transcoding::client,
};

pub const SECRET: &str = "app-secret";
pub const SECOND_NUMBER: &str = "820000000000008";

/// What must not change. Background work is off: whatever changes, the request did.
const TABLES: [&str; 14] = [
    "message",
    "conversation",
    "customer",
    "event",
    "job",
    "inbox",
    "delivery",
    "suggestion",
    "channel",
    "audit_event",
    "member",
    "api_key",
    "product",
    "tenant",
];

/// The server and its shop.
pub struct World {
    pub app: TestApp,
    pub address: SocketAddr,
    running: Running,
    remote: Grpc,
    database: DatabaseConnection,
    pub owner: Person,
    /// A customer wrote a moment ago.
    pub open: Thread,
    /// A customer wrote weeks ago.
    pub closed: Thread,
    pub blocked: Thread,
    /// On a channel that is off by now.
    pub unplugged: Thread,
    /// A channel of each kind, and one that is off.
    pub whatsapp: String,
    pub telegram: String,
    pub webhook: String,
    pub off: String,
    /// What the integrator signs with.
    pub signing_secret: String,
}

pub struct Thread {
    pub conversation: String,
    pub customer: String,
    pub message: String,
}

/// What a refusal says, on any wire.
#[derive(Debug, PartialEq)]
pub struct Said {
    pub code: Code,
    pub reason: String,
    /// Fields and message.
    pub words: String,
}

impl World {
    pub async fn start(pair: &Pair) -> Self {
        Self::with(pair, &[]).await
    }

    /// As `start`, with more settings by their names in the environment.
    pub async fn with(pair: &Pair, more: &[(&str, &str)]) -> Self {
        let settings = [
            ("SWITCHBOARD_ONLY", "api"),
            ("SWITCHBOARD_RATE_READ", "off"),
            ("SWITCHBOARD_RATE_WRITE", "off"),
            ("SWITCHBOARD_RATE_PUBLIC", "off"),
            ("SWITCHBOARD_RATE_AUTH", "off"),
            ("SWITCHBOARD_RATE_AUTH_ADDRESS", "off"),
        ];
        let unchanged = settings.into_iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
        let settings: Vec<_> = unchanged.chain(more.iter().copied()).collect();
        let app = TestApp::with(pair, &settings).await;
        let (address, running) = app.serve().await;
        let remote = remote(address).await;
        let database = Database::connect(&pair.database_url).await.unwrap();
        let owner = app.sign_up("owner@shop.example").await;

        let whatsapp = connected(&app, &owner, payload::NUMBER, SECRET).await;
        let off = connected(&app, &owner, SECOND_NUMBER, SECRET).await;
        let telegram = json!({"name": "Bot", "telegram": {"apiBaseUrl": "http://127.0.0.1:9"},
            "telegramSecrets": {"botToken": "5550001111:AAtoken", "webhookSecret": "hook"}});
        let telegram = app.ok("ChannelService.CreateChannel", &owner, telegram).await;
        let webhook = app.ok("CreateChannel", &owner, json!({"name": "CRM", "webhook": {}})).await;
        let signing_secret = webhook["generatedSecrets"]["signing_secret"].as_str().unwrap().to_owned();
        let id = |created: &Value| created["channel"]["id"].as_str().unwrap().to_owned();
        let (telegram, webhook) = (id(&telegram), id(&webhook));

        let mut world = Self {
            app,
            address,
            running,
            remote,
            database,
            owner,
            open: Thread::none(),
            closed: Thread::none(),
            blocked: Thread::none(),
            unplugged: Thread::none(),
            whatsapp,
            telegram,
            webhook,
            off,
            signing_secret,
        };
        let now = world.now().timestamp();
        world.closed = world.wrote(payload::NUMBER, "15550000001", BEGIN).await;
        world.blocked = world.wrote(payload::NUMBER, "15550000002", now).await;
        world.unplugged = world.wrote(SECOND_NUMBER, "15550000003", now).await;
        world.open = world.wrote(payload::NUMBER, "15550000004", now).await;
        let block = json!({"customerId": world.blocked.customer, "blocked": true});
        world.app.ok("BlockCustomer", &world.owner, block).await;
        world
            .app
            .ok("SetChannelEnabled", &world.owner, json!({"channelId": world.off, "enabled": false}))
            .await;
        world
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.app.store().env().now()
    }

    pub async fn stop(self) {
        self.database.close().await.unwrap();
        drop(self.remote);
        self.running.stop().await;
    }

    /// A customer writes, at a second of the epoch.
    async fn wrote(&self, number: &str, from: &str, at: i64) -> Thread {
        let text = payload::text(from, &format!("wamid.{from}"), at - BEGIN, "Do you deliver?");
        let body = payload::whatsapp_of(number, "messages", json!({"messages": [text]})).to_string();
        let channel = if number == SECOND_NUMBER { &self.off } else { &self.whatsapp };
        let signature = signature::meta(SECRET, body.as_bytes());
        let answer = self
            .post(
                &format!("/webhooks/whatsapp/{channel}"),
                &[("x-hub-signature-256", &signature)],
                body.as_bytes(),
            )
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let listed = self.app.ok("ListConversations", &self.owner, json!({})).await;
        let all = listed["conversations"].as_array().unwrap();
        let newest = all.iter().max_by_key(|found| found["createTime"].as_str().unwrap().to_owned()).unwrap();
        let text = |name: &str| newest[name].as_str().unwrap().to_owned();
        Thread { conversation: text("id"), customer: text("customerId"), message: text("lastMessageId") }
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> client::Answer {
        client::send(self.address, "POST", path, headers, Some(body)).await
    }

    /// A REST call with a JSON body of any bytes.
    pub async fn rest(&self, verb: &str, path: &str, token: &str, body: Option<&[u8]>) -> client::Answer {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("content-type", "application/json")];
        if !token.is_empty() {
            headers.push(("authorization", &bearer));
        }
        client::send(self.address, verb, path, &headers, body).await
    }

    /// A gRPC call over the socket.
    pub async fn grpc(&self, method: &str, token: &str, request: Value) -> Result<Value, Refusal> {
        rpc::call(self.remote.clone(), method, Some(token).filter(|token| !token.is_empty()), request).await
    }

    /// A gRPC call over the socket, with these bytes for a message.
    pub async fn grpc_bytes(&self, method: &str, token: &str, message: &[u8]) -> Result<Vec<Bytes>, Refusal> {
        let path = rpc::path(&rpc::method(method));
        rpc::call_bytes(self.remote.clone(), &path, Some(token), message).await
    }

    /// How many rows there are of everything.
    pub async fn rows(&self) -> BTreeMap<&'static str, i64> {
        let mut counts = BTreeMap::new();
        for table in TABLES {
            let sql = format!("select count(*) as n from {table}");
            let asked = Statement::from_string(self.database.get_database_backend(), sql);
            let row = self.database.query_one_raw(asked).await.unwrap().unwrap();
            counts.insert(table, row.try_get("", "n").unwrap());
        }
        counts
    }

    pub async fn sql(&self, sql: &str) {
        let changed = self.database.execute_unprepared(sql).await.unwrap();
        assert!(changed.rows_affected() > 0, "{sql}");
    }
}

impl Thread {
    fn none() -> Self {
        Self { conversation: String::new(), customer: String::new(), message: String::new() }
    }
}

/// Connects a WhatsApp number of an app with that secret.
pub async fn connected(app: &TestApp, owner: &Person, number: &str, secret: &str) -> String {
    let request = json!({"name": "WhatsApp",
        "whatsapp": {"phoneNumberId": number, "apiBaseUrl": "http://127.0.0.1:9"},
        "whatsappSecrets": {"accessToken": "t", "appSecret": secret}});
    let created = app.ok("ChannelService.CreateChannel", owner, request).await;
    created["channel"]["id"].as_str().unwrap().to_owned()
}

/// The server's stack, as it is reached over its socket.
async fn remote(address: SocketAddr) -> Grpc {
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let calls = tower::service_fn(move |request: Request<Body>| {
        let mut channel = channel.clone();
        async move {
            channel.ready().await.expect("the server is there");
            let answer: Response<Body> = channel.call(request).await.expect("the server answers");
            Ok::<_, Infallible>(answer)
        }
    });
    BoxCloneSyncService::new(calls)
}

/// A REST answer as a refusal.
pub fn said(answer: &client::Answer) -> Said {
    let body = answer.json();
    let details = body["details"].as_array().cloned().unwrap_or_default();
    let of = |name: &str| {
        let found = details.iter().find(|detail| detail["@type"].as_str().unwrap().ends_with(name));
        found.cloned().unwrap_or_default()
    };
    let code = i32::try_from(body["code"].as_i64().unwrap_or(2)).unwrap();
    let fields = of("BadRequest")["fieldViolations"].to_string();
    Said {
        code: Code::from_i32(code),
        reason: of("ErrorInfo")["reason"].as_str().unwrap_or_default().to_owned(),
        words: format!("{} {fields}", body["message"].as_str().unwrap_or_default()),
    }
}

/// A gRPC refusal.
pub fn refused(refusal: Refusal) -> Said {
    let words = format!("{} {}", refusal.message, refusal.fields.join(" "));
    Said { code: refusal.code, reason: refusal.reason, words }
}
