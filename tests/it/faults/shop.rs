//! A tenant with two channels at the sandbox, and how to reach the servers that may be away.
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use switchboard::{
    env::Env,
    id::TenantId,
    sandbox::{Behaviour, Provider, Running, Sandbox, Subscription},
    wire::{
        conversation::v1::{
            CreateChannelRequest, CreateDocumentRequest, DocumentType, TelegramAccount, TelegramSecrets,
            WhatsappAccount, WhatsappSecrets,
            channel_service_client::ChannelServiceClient,
            create_channel_request::{Account, Secrets},
            knowledge_service_client::KnowledgeServiceClient,
        },
        tenant::v1::{SignUpRequest, auth_service_client::AuthServiceClient},
    },
};
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};

pub const WHATSAPP: &str = "810000000000007";
const BOT: &str = "5550001111";
pub const APP_SECRET: &str = "an app secret of the tests";
pub const HOOK_SECRET: &str = "a-hook-secret-of-the-tests";

/// A provider's answer takes so long: time to be killed in.
const DELAY: u64 = 60;

/// A tenant at work.
pub struct Shop {
    pub tenant: TenantId,
    pub database_url: String,
    pub redis_url: Option<String>,
    pub sandbox: Running,
    pub env: Env,
    /// Where webhooks go, below each server's address.
    pub whatsapp: Line,
    pub telegram: Line,
    /// What should not have happened.
    pub complaints: Mutex<Vec<String>>,
    /// While it is set, nearly every caller hangs up before the answer.
    pub storm: AtomicBool,
    addresses: Vec<String>,
    wires: Vec<Wire>,
    next: AtomicUsize,
}

/// A channel.
pub struct Line {
    /// `chn_…`.
    pub id: String,
    pub path: String,
}

pub type Wire = InterceptedService<Channel, Token>;

/// Adds the session token to every call.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Shop {
    /// Signs up at the first of the servers, and connects both channels.
    pub async fn open(database_url: &str, redis_url: Option<&str>, servers: &[String]) -> Arc<Self> {
        Self::behind(database_url, redis_url, servers, async |provider| provider.to_owned()).await
    }

    /// As [`open`](Self::open); the servers reach the providers at what `line` makes of their address.
    pub async fn behind(
        database_url: &str,
        redis_url: Option<&str>,
        servers: &[String],
        line: impl AsyncFnOnce(&str) -> String,
    ) -> Arc<Self> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let env = Env::system();
        let sandbox = Sandbox::start("127.0.0.1:0".parse().unwrap(), env.clone()).await.unwrap();
        let roads: Vec<Channel> = servers
            .iter()
            .map(|url| Endpoint::from_shared(url.clone()).unwrap().connect_timeout(PATIENCE).connect_lazy())
            .collect();
        let request = SignUpRequest {
            email: format!("ana-{}@shop.example", env.uuid().simple()),
            password: "Correct-horse-9".to_owned(),
            name: "Ana".to_owned(),
            tenant_name: "Heron Bikes".to_owned(),
            invite_token: String::new(),
        };
        let signed_up = AuthServiceClient::new(roads[0].clone()).sign_up(request).await.unwrap().into_inner();
        let token = Token(format!("Bearer {}", signed_up.session_token).parse().unwrap());
        let wires: Vec<Wire> =
            roads.into_iter().map(|road| InterceptedService::new(road, token.clone())).collect();
        let (whatsapp, telegram) = channels(&wires[0], &line(sandbox.url()).await).await;
        knowledge(&wires[0]).await;
        sandbox.subscribe(Subscription {
            channel: Provider::Whatsapp,
            account: WHATSAPP.to_owned(),
            target_url: format!("{}{}", servers[0], whatsapp.path),
            secret: APP_SECRET.to_owned(),
        });
        let shop = Self {
            tenant: signed_up.tenant.unwrap().id.parse().unwrap(),
            database_url: database_url.to_owned(),
            redis_url: redis_url.map(str::to_owned),
            sandbox,
            env,
            whatsapp,
            telegram,
            complaints: Mutex::default(),
            storm: AtomicBool::new(false),
            addresses: servers.iter().map(|url| url.trim_start_matches("http://").to_owned()).collect(),
            wires,
            next: AtomicUsize::new(0),
        };
        shop.answer_again();
        Arc::new(shop)
    }

    /// The providers take the next `count` messages and never say so; returns when they did, or soon.
    pub async fn swallow_answers(&self, count: u32) {
        let behaviour = Behaviour { timeout_after_accept: count, delay_ms: DELAY, ..Behaviour::default() };
        self.sandbox.behave(behaviour);
        let before = self.sandbox.sent().len();
        for _ in 0..40 {
            if self.sandbox.sent().len() > before {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    pub fn answer_again(&self) {
        self.sandbox.behave(Behaviour { delay_ms: DELAY, ..Behaviour::default() });
    }

    pub fn complain(&self, complaint: String) {
        self.complaints.lock().unwrap().push(complaint);
    }

    /// Whether the next caller hangs up before the answer, as so many do when there is no storm.
    pub fn hangs_up(&self, share: f64) -> bool {
        rand::random_bool(if self.storm.load(Ordering::Relaxed) { 0.9 } else { share })
    }

    /// One server after the other.
    pub fn address(&self) -> &str {
        &self.addresses[self.next.fetch_add(1, Ordering::Relaxed) % self.addresses.len()]
    }

    pub fn wire(&self) -> Wire {
        self.wires[self.next.fetch_add(1, Ordering::Relaxed) % self.wires.len()].clone()
    }

    /// Says the same again until somebody answers, as a client on a bad line does.
    ///
    /// # Errors
    /// The first answer that is a refusal.
    pub async fn insist<T, F>(&self, what: &str, call: impl Fn(Wire) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut last = None;
        // Some hang up before the answer, whatever the server has done by then.
        let mut hangs_up = self.hangs_up(0.3);
        for _ in 0..400 {
            let patience = if hangs_up { Duration::from_millis(rand::random_range(1..25)) } else { PATIENCE };
            hangs_up = false;
            match tokio::time::timeout(patience, call(self.wire())).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) if is_of_the_line(&status) => last = Some(status),
                Ok(Err(status)) => return Err(status),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("nobody answers {what}: {last:?}")
    }
}

const PATIENCE: Duration = Duration::from_secs(4);

/// Whether a call may be made again as it is: the server was away, or asks for it.
pub fn is_of_the_line(status: &Status) -> bool {
    let words = status.message();
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Aborted => true,
        // How tonic tells of a stream that was cut off.
        Code::Internal => words.contains("h2 protocol error") || words.contains("transport"),
        _ => false,
    }
}

async fn channels(wire: &Wire, provider: &str) -> (Line, Line) {
    let mut client = ChannelServiceClient::new(wire.clone());
    let mut lines = Vec::new();
    let whatsapp = CreateChannelRequest {
        name: "WhatsApp".to_owned(),
        account: Some(Account::Whatsapp(WhatsappAccount {
            phone_number_id: WHATSAPP.to_owned(),
            api_base_url: provider.to_owned(),
            ..WhatsappAccount::default()
        })),
        secrets: Some(Secrets::WhatsappSecrets(WhatsappSecrets {
            access_token: "a token of the tests".to_owned(),
            app_secret: APP_SECRET.to_owned(),
            verify_token: String::new(),
        })),
        ..CreateChannelRequest::default()
    };
    let telegram = CreateChannelRequest {
        name: "Telegram".to_owned(),
        account: Some(Account::Telegram(TelegramAccount { api_base_url: provider.to_owned() })),
        secrets: Some(Secrets::TelegramSecrets(TelegramSecrets {
            bot_token: format!("{BOT}:of-the-tests"),
            webhook_secret: HOOK_SECRET.to_owned(),
        })),
        ..CreateChannelRequest::default()
    };
    for request in [whatsapp, telegram] {
        let created = client.create_channel(request).await.unwrap().into_inner().channel.unwrap();
        lines.push(Line { id: created.id, path: created.webhook_path });
    }
    let telegram = lines.pop().unwrap();
    (lines.pop().unwrap(), telegram)
}

async fn knowledge(wire: &Wire) {
    let document = CreateDocumentRequest {
        title: "Delivery".to_owned(),
        content: "Delivery in the city takes one day and is free for orders over 100 EUR.".to_owned(),
        document_type: DocumentType::Delivery.into(),
        ..CreateDocumentRequest::default()
    };
    KnowledgeServiceClient::new(wire.clone()).create_document(document).await.unwrap();
}
