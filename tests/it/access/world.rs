//! A store with tenants and people, and the layer in front of a handler that tells what it got.

use std::{collections::HashMap, convert::Infallible, net::SocketAddr, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use chrono::{DateTime, TimeDelta};
use http::{HeaderMap, HeaderName, Request, Response};
use http_body_util::{BodyExt, Full};
use prost_reflect::DescriptorPool;
use switchboard::{
    access::Access,
    auth::{
        Caller, TenantScope,
        token::{Kind, Token},
    },
    config::Config,
    domain::access::{Permission, PlatformRole, Role},
    env::Env,
    id::{TenantId, UserId},
    store::{
        Settings, Store, connect,
        tenant::{NewApiKey, NewUser},
    },
};
use tonic::{Code, Status, body::Body};
use tonic_types::StatusExt;
use tower::{Layer, ServiceExt};

use crate::support::Pair;

static TRIAL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/trial.bin"));

pub struct World {
    store: Store,
    access: Access,
    env: Env,
}

/// What came back, and what the handler saw.
pub struct Answer {
    pub code: Code,
    pub reason: Option<String>,
    pub metadata: HashMap<String, String>,
    pub retry: Option<Duration>,
    pub caller: Option<Caller>,
    /// The body that reached the handler.
    pub received: Vec<u8>,
    status: Option<Status>,
    headers: HeaderMap,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
    pub fn fields(&self) -> Vec<String> {
        let details = self.status.as_ref().and_then(StatusExt::get_details_bad_request);
        details.map_or_else(Vec::new, |bad| bad.field_violations.into_iter().map(|v| v.field).collect())
    }
}

impl World {
    pub async fn new(pair: &Pair, settings: &[(&str, &str)]) -> Self {
        let env = Env::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap(), rand::random());
        let database = Settings { url: pair.database_url.clone(), pool: 8 };
        let store = connect(&database, env.clone()).await.unwrap();
        let named =
            |name: &str| settings.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let config = Config::read(named, None).unwrap();
        let redis = match &pair.redis_url {
            Some(url) => {
                Some(redis::Client::open(url.as_str()).unwrap().get_connection_manager().await.unwrap())
            }
            None => None,
        };
        let contract = DescriptorPool::decode(TRIAL).unwrap();
        let access = Access::new(&contract, store.clone(), &config, redis, "a secret".into()).unwrap();
        Self { store, access, env }
    }

    pub fn pass(&self, time: TimeDelta) {
        self.env.advance(time);
    }

    pub async fn tenant(&self) -> TenantId {
        let id: TenantId = self.env.id();
        let scope = TenantScope::of_platform(id);
        self.store.of(scope).transaction(async |db| db.tenants().add("a".to_owned()).await).await.unwrap().id
    }

    pub async fn user(&self, platform: Option<PlatformRole>) -> UserId {
        let new = NewUser {
            email: format!("{}@example.com", self.env.uuid()),
            name: "a".to_owned(),
            password_hash: String::new(),
            platform_role: platform,
        };
        let added = self.store.system().transaction(async |db| db.users().add(new.clone()).await).await;
        added.unwrap().unwrap().id
    }

    pub async fn member_with_user(&self, tenant: TenantId, role: Role) -> (String, UserId) {
        let user = self.user(None).await;
        let scope = TenantScope::of_platform(tenant);
        let added = self.store.of(scope).transaction(async |db| db.members().add(user, role).await).await;
        added.unwrap();
        (self.session(user, Some(tenant)).await, user)
    }

    pub async fn member(&self, tenant: TenantId, role: Role) -> String {
        self.member_with_user(tenant, role).await.0
    }

    pub async fn session(&self, user: UserId, tenant: Option<TenantId>) -> String {
        let token = Token::make(Kind::Session, &self.env);
        let hash = token.hash();
        let added = self
            .store
            .system()
            .transaction(async |db| db.sessions().add(user, tenant, hash, TimeDelta::days(7)).await)
            .await;
        added.unwrap();
        format!("Bearer {}", token.text())
    }

    pub async fn api_key(&self, tenant: TenantId, creator: UserId, permissions: &[Permission]) -> String {
        let token = Token::make(Kind::ApiKey, &self.env);
        let new = NewApiKey {
            id: self.env.id(),
            name: "a".to_owned(),
            token_hash: token.hash(),
            shown: (String::new(), String::new()),
            permissions: permissions.to_vec(),
            creator,
            expires_at: None,
        };
        let db = self.store.of(TenantScope::of_platform(tenant));
        db.transaction(async |db| db.api_keys().add(new.clone()).await).await.unwrap();
        format!("Bearer {}", token.text())
    }

    /// Revokes every key of the tenant, past the layer.
    pub async fn revoke(&self, tenant: TenantId) {
        let db = self.store.of(TenantScope::of_platform(tenant));
        db.transaction(async |db| {
            for key in db.api_keys().list(None, 100).await? {
                db.api_keys().revoke(key).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
    }

    pub async fn start_trial(&self, tenant: TenantId) {
        let db = self.store.of(TenantScope::of_platform(tenant));
        db.transaction(async |db| db.subscriptions().start_trial().await).await.unwrap();
    }

    pub async fn restrict(&self, tenant: TenantId) {
        let db = self.store.of(TenantScope::of_platform(tenant));
        db.transaction(async |db| {
            let seen = db.tenants().get().await?;
            db.tenants().restrict(seen, Some("test".to_owned())).await
        })
        .await
        .unwrap();
    }

    pub async fn call(&self, method: &str, headers: &[(&'static str, &str)]) -> Answer {
        // `name: "a"`: valid for every method's message.
        let message: &[u8] = if method == "SignIn" { &[] } else { &[10, 1, b'a'] };
        self.send(method, headers, message).await
    }

    pub async fn open(&self, name: &str) -> Answer {
        self.send("Open", &[], &text(name)).await
    }

    pub async fn sign_in(&self, email: &str) -> Answer {
        self.send("SignIn", &[], &text(email)).await
    }

    pub async fn send(&self, method: &str, headers: &[(&'static str, &str)], message: &[u8]) -> Answer {
        self.at(&format!("/switchboard.trial.v1.TrialService/{method}"), headers, message).await
    }

    pub async fn at(&self, path: &str, headers: &[(&'static str, &str)], message: &[u8]) -> Answer {
        let mut framed = BytesMut::new();
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len()).unwrap());
        framed.put_slice(message);
        let mut request = Request::post(path).body(Body::new(Full::new(framed.freeze()))).unwrap();
        request.headers_mut().insert("x-request-id", "req-1".parse().unwrap());
        for (name, value) in headers {
            request.headers_mut().append(HeaderName::from_static(name), value.parse().unwrap());
        }
        request.extensions_mut().insert("203.0.113.7:4000".parse::<SocketAddr>().unwrap());
        let answer = self.access.layer(tower::service_fn(echo)).oneshot(request).await.unwrap();
        read(answer).await
    }
}

/// Field 1 as a short text.
fn text(value: &str) -> Vec<u8> {
    [&[10, u8::try_from(value.len()).unwrap()], value.as_bytes()].concat()
}

/// Answers with the body it got; with the caller in its extensions.
async fn echo(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let caller = request.extensions().get::<Caller>().cloned();
    let received = request.into_body().collect().await.unwrap().to_bytes();
    let mut answer = Response::new(Body::new(Full::new(received)));
    answer.extensions_mut().insert(Seen(caller));
    Ok(answer)
}

#[derive(Clone)]
struct Seen(Option<Caller>);

async fn read(answer: Response<Body>) -> Answer {
    let (parts, body) = answer.into_parts();
    let received: Bytes = body.collect().await.unwrap().to_bytes();
    let status = Status::from_header_map(&parts.headers);
    let info = status.as_ref().and_then(StatusExt::get_details_error_info);
    Answer {
        code: status.as_ref().map_or(Code::Ok, Status::code),
        reason: info.as_ref().map(|info| info.reason.clone()),
        metadata: info.map(|info| info.metadata).unwrap_or_default(),
        retry: status.as_ref().and_then(StatusExt::get_details_retry_info).and_then(|info| info.retry_delay),
        caller: parts.extensions.get::<Seen>().and_then(|seen| seen.0.clone()),
        received: received.to_vec(),
        status,
        headers: parts.headers,
    }
}
