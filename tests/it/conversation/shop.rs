//! A tenant with channels, an operator, and the services as they are called.

use std::sync::atomic::{AtomicU64, Ordering};

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta};
use http::{HeaderMap, HeaderValue, Method};
use secrecy::SecretBox;
use serde_json::Value;
use switchboard::{
    auth::{Actor, Caller, Identity, TenantScope, password::Passwords, seal::Keyring},
    channels::{Http, RawRequest},
    config::MasterKey,
    domain::{access::Role, conversation::ChannelKind, signature},
    env::Env,
    error::Result,
    events::Hub,
    id::{ChannelId, ConversationId, MessageId, TenantId, UserId},
    sandbox::{Running, Sandbox},
    service::{
        Parts,
        conversation::{Ingress, Received},
        routes,
    },
    store::{Settings, Store, connect, conversation as rows},
    wire::conversation::v1::{
        self, channel_service_client::ChannelServiceClient,
        conversation_service_client::ConversationServiceClient, create_channel_request as create,
        customer_service_client::CustomerServiceClient, message_service_client::MessageServiceClient,
    },
};
use tonic::{
    Request, Status,
    service::{Interceptor, Routes, interceptor::InterceptedService},
};

use super::payload::{BEGIN, NUMBER};
use crate::{support::Pair, transaction::tenant};

/// Where messengers reach the shops' server.
pub const PUBLIC_URL: &str = "https://chat.example";

pub const APP_SECRET: &str = "test-app-secret";

/// Calls in somebody's name.
#[derive(Clone)]
pub struct As(Caller);

impl Interceptor for As {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.extensions_mut().insert(self.0.clone());
        Ok(request)
    }
}

pub type Wire = InterceptedService<Routes, As>;

/// A tenant, its operator, and what serves it. The clock stands still until it is moved.
#[derive(Clone)]
pub struct Shop {
    pub store: Store,
    pub env: Env,
    pub tenant: TenantId,
    pub user: UserId,
    pub keys: Keyring,
    pub http: Http,
    pub ingress: Ingress,
    routes: Routes,
}

/// A clock that shows one hour after the story's begin. Each has chances of its own: two shops of one
/// database must not make the same ids.
pub fn clock() -> Env {
    static SEED: AtomicU64 = AtomicU64::new(42);
    let seed = SEED.fetch_add(1, Ordering::Relaxed);
    Env::manual(DateTime::from_timestamp(BEGIN + 3600, 0).unwrap(), seed)
}

impl Shop {
    pub async fn open(pair: &Pair) -> Self {
        Self::open_at(pair, clock()).await
    }

    pub async fn open_at(pair: &Pair, env: Env) -> Self {
        let store =
            connect(&Settings { url: pair.database_url.clone(), pool: 8 }, env.clone()).await.unwrap();
        Self::in_store(pair, store).await
    }

    /// One more tenant beside others.
    pub async fn in_store(pair: &Pair, store: Store) -> Self {
        let tenant = tenant(pair, store.env()).await;
        Self::of(store, tenant)
    }

    pub fn of(store: Store, tenant: TenantId) -> Self {
        let env = store.env().clone();
        let master = MasterKey { id: "one".to_owned(), key: Arc::new(SecretBox::new(Box::new([7; 32]))) };
        let keys = Keyring::new(&[master]);
        let http = Http::new(true, Duration::from_secs(2));
        let parts = Parts {
            store: store.clone(),
            hub: Hub::local(),
            passwords: Passwords::new("pepper".into(), 4, env.clone()),
            keys: keys.clone(),
            http: http.clone(),
            session: TimeDelta::days(7),
            public_url: PUBLIC_URL.into(),
            started: env.now(),
        };
        let routes = routes(&parts);
        let ingress = Ingress::new(store.clone(), keys.clone());
        let user = env.id();
        Self { store, env, tenant, user, keys, http, ingress, routes }
    }

    /// The same tenant, seen by another operator.
    pub fn colleague(&self) -> Self {
        Self { user: self.env.id(), ..self.clone() }
    }

    pub fn scope(&self) -> TenantScope {
        TenantScope::of_credential(self.tenant, Actor::User(self.user))
    }

    pub fn wire(&self) -> Wire {
        let identity = Identity::Person {
            user: self.user,
            session: self.env.id(),
            tenant: Some((self.tenant, Role::Owner)),
            platform: None,
        };
        let identity = Some(identity);
        let caller = Caller { identity, audit: None, request: None, address: None, idempotency: None };
        InterceptedService::new(self.routes.clone(), As(caller))
    }

    pub fn channels(&self) -> ChannelServiceClient<Wire> {
        ChannelServiceClient::new(self.wire())
    }
    pub fn customers(&self) -> CustomerServiceClient<Wire> {
        CustomerServiceClient::new(self.wire())
    }
    pub fn conversations(&self) -> ConversationServiceClient<Wire> {
        ConversationServiceClient::new(self.wire())
    }
    pub fn messages(&self) -> MessageServiceClient<Wire> {
        MessageServiceClient::new(self.wire())
    }

    /// Connects a WhatsApp number whose API is at `url`.
    pub async fn whatsapp_at(&self, url: &str) -> ChannelId {
        let account = v1::WhatsappAccount {
            phone_number_id: NUMBER.to_owned(),
            api_base_url: url.to_owned(),
            ..v1::WhatsappAccount::default()
        };
        let secrets = v1::WhatsappSecrets {
            access_token: "t0ken".to_owned(),
            app_secret: APP_SECRET.to_owned(),
            ..v1::WhatsappSecrets::default()
        };
        let request = v1::CreateChannelRequest {
            name: "WhatsApp".to_owned(),
            account: Some(create::Account::Whatsapp(account)),
            secrets: Some(create::Secrets::WhatsappSecrets(secrets)),
            ..v1::CreateChannelRequest::default()
        };
        let created = self.channels().create_channel(request).await.unwrap().into_inner();
        created.channel.unwrap().id.parse().unwrap()
    }

    pub async fn whatsapp(&self) -> ChannelId {
        self.whatsapp_at("http://127.0.0.1:9").await
    }

    /// Delivers a webhook of WhatsApp, signed.
    pub async fn post(&self, channel: ChannelId, body: &Value) -> Result<Received> {
        let body = body.to_string();
        let signature = signature::meta(APP_SECRET, body.as_bytes());
        let request = raw(&body, "x-hub-signature-256", &signature);
        self.ingress.receive(ChannelKind::Whatsapp, &channel.to_string(), &request).await
    }

    /// Every conversation of the tenant, newest first.
    pub async fn inbox(&self) -> Vec<rows::Conversation> {
        let all = rows::ConversationFilter::default();
        self.store.of(self.scope()).conversations().list(&all, None, 1000).await.unwrap()
    }

    /// Everything said in a conversation, oldest first.
    pub async fn said(&self, conversation: ConversationId) -> Vec<rows::Message> {
        self.store.of(self.scope()).messages().list(conversation, true, None, 1000).await.unwrap()
    }

    /// The only conversation, and everything said in it.
    pub async fn thread(&self) -> (rows::Conversation, Vec<rows::Message>) {
        let inbox = self.inbox().await;
        assert_eq!(inbox.len(), 1, "{inbox:?}");
        let said = self.said(inbox[0].id).await;
        (inbox[0].clone(), said)
    }

    pub async fn message(&self, id: MessageId) -> rows::Message {
        self.store.of(self.scope()).messages().get(id).await.unwrap()
    }
}

pub fn raw(body: &str, header: &'static str, value: &str) -> RawRequest {
    let mut headers = HeaderMap::new();
    headers.insert(header, HeaderValue::from_str(value).unwrap());
    RawRequest { method: Method::POST, query: String::new(), headers, body: body.to_owned().into() }
}

pub async fn sandbox() -> Running {
    Sandbox::start(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0), Env::system()).await.unwrap()
}

/// The word in `google.rpc.ErrorInfo`.
pub fn reason(status: &Status) -> String {
    use tonic_types::StatusExt;
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// How many rows of a table the tenant has.
pub async fn count(pair: &Pair, table: &str, tenant: TenantId) -> i64 {
    use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};
    let raw = Database::connect(&pair.database_url).await.unwrap();
    let backend = raw.get_database_backend();
    let mark = if backend == DbBackend::Sqlite { "?" } else { "$" };
    let sql = format!("select count(*) as n from {table} where tenant_id = {mark}1");
    let row = raw.query_one_raw(Statement::from_sql_and_values(backend, sql, [tenant.into()])).await.unwrap();
    row.unwrap().try_get("", "n").unwrap()
}
