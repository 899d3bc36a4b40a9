//! The services of people, billing and staff in process, behind credentials that the database proves. The
//! clock is the test's own.
use std::{convert::Infallible, net::IpAddr};

use chrono::{DateTime, TimeDelta, Utc};
use http::{Request, Response};
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::{Value, json};
use switchboard::{
    auth::{
        Caller, Identity,
        password::Passwords,
        token::{self, Kind},
    },
    edge::Grpc,
    env::Env,
    service,
    store::{Settings, Store, connect},
};
use tonic::{body::Body, service::Routes};
use tower::{ServiceExt, util::BoxCloneSyncService};

use super::{
    Pair,
    rpc::{self, POOL, Refusal},
};

pub const PASSWORD: &str = "Abcdefg1";

/// The services over one database.
pub struct Desk {
    pub store: Store,
    pub env: Env,
    pub passwords: Passwords,
    database_url: String,
    routes: Routes,
}

/// Someone who signed up.
pub struct Person {
    pub token: String,
    pub user: String,
    pub tenant: String,
}

/// Noon of a day.
pub fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_262_400, 0).unwrap()
}

impl Desk {
    pub async fn open(pair: &Pair) -> Self {
        let env = Env::manual(noon(), 11);
        let settings = Settings { url: pair.database_url.clone(), pool: 8 };
        let store = connect(&settings, env.clone()).await.unwrap();
        let passwords = Passwords::new("a pepper for tests".into(), 4, env.clone());
        let routes = service::tenant::people(Routes::default(), &store, &passwords, TimeDelta::days(7));
        let routes = service::billing::over(routes, &store);
        let routes = service::admin::over(routes, &store, env.now()).prepare();
        Self { store, env, passwords, database_url: pair.database_url.clone(), routes }
    }

    /// The stack as a client at `address` meets it.
    pub fn grpc_from(&self, address: &str) -> Grpc {
        let (store, routes) = (self.store.clone(), self.routes.clone());
        let address: IpAddr = address.parse().unwrap();
        let stack = tower::service_fn(move |request: Request<Body>| {
            let (store, routes) = (store.clone(), routes.clone());
            async move { Ok::<_, Infallible>(answer(store, routes, address, request).await) }
        });
        BoxCloneSyncService::new(stack)
    }

    pub fn grpc(&self) -> Grpc {
        self.grpc_from("192.0.2.1")
    }

    /// Calls `Service.Method` a millisecond later than the call before.
    pub async fn call(&self, name: &str, token: &str, request: Value) -> Result<Value, Refusal> {
        self.env.advance(TimeDelta::milliseconds(1));
        rpc::call(self.grpc(), name, Some(token).filter(|token| !token.is_empty()), request).await
    }

    pub async fn sign_up(&self, email: &str) -> Person {
        let request = json!({"email": email, "password": PASSWORD});
        person(&self.call("AuthService.SignUp", "", request).await.unwrap())
    }

    /// A new member of the tenant of `owner`.
    pub async fn join(&self, owner: &Person, email: &str, role: &str) -> Person {
        let invited =
            self.call("InviteMember", &owner.token, json!({"email": email, "role": role})).await.unwrap();
        let request = json!({"email": email, "password": PASSWORD, "inviteToken": invited["token"]});
        person(&self.call("AuthService.SignUp", "", request).await.unwrap())
    }

    /// Runs SQL past the store, in the database's own dialect; answers how many rows changed.
    pub async fn sql(&self, sql: &str, values: Vec<sea_orm::Value>) -> u64 {
        let raw = Database::connect(&self.database_url).await.unwrap();
        let statement = Statement::from_sql_and_values(raw.get_database_backend(), sql, values);
        let done = raw.execute_raw(statement).await.unwrap().rows_affected();
        raw.close().await.unwrap();
        done
    }

    /// The one number that `sql` selects as `n`.
    pub async fn number(&self, sql: &str) -> i64 {
        let raw = Database::connect(&self.database_url).await.unwrap();
        let statement = Statement::from_string(raw.get_database_backend(), sql);
        let row = raw.query_one_raw(statement).await.unwrap().unwrap();
        let number = row.try_get("", "n").unwrap();
        raw.close().await.unwrap();
        number
    }
}

fn person(signed_up: &Value) -> Person {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Person {
        token: text(&signed_up["sessionToken"]),
        user: text(&signed_up["user"]["id"]),
        tenant: text(&signed_up["tenant"]["id"]),
    }
}

async fn answer(store: Store, routes: Routes, address: IpAddr, mut request: Request<Body>) -> Response<Body> {
    let bearer = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
    let identity = identify(&store, bearer.as_deref()).await;
    let audit = audit(request.uri().path()).map(Into::into);
    let address = Some(address);
    request.extensions_mut().insert(Caller { identity, audit, request: None, address, idempotency: None });
    let answer = routes.oneshot(request).await;
    answer.unwrap_or_else(|never| match never {})
}

async fn identify(store: &Store, bearer: Option<&str>) -> Option<Identity> {
    let text = bearer?.strip_prefix("Bearer ")?;
    let now = store.env().now();
    if Kind::of(text) == Some(Kind::ApiKey) {
        let facts = store.system().api_key_by_hash(&token::hash(text)).await.unwrap()?;
        let live = !facts.revoked && facts.expires_at.is_none_or(|end| end > now);
        let permissions = facts.permissions.into();
        return live.then_some(Identity::Machine { key: facts.key, tenant: facts.tenant, permissions });
    }
    let facts = store.system().session_by_hash(&token::hash(text)).await.unwrap()?;
    let live = !facts.revoked && !facts.user_disabled && facts.expires_at > now;
    let (user, session) = (facts.user, facts.session);
    live.then_some(Identity::Person { user, session, tenant: facts.tenant, platform: facts.platform })
}

/// The audit action in the policy of the method with that path.
fn audit(path: &str) -> Option<String> {
    let method = rpc::methods().find(|method| rpc::path(method) == path)?;
    let policy = POOL.get_extension_by_name("switchboard.policy.v1.policy").unwrap();
    let options = method.options();
    let policy = options.get_extension(&policy);
    let action = policy.as_message()?.get_field_by_name("audit")?.as_str()?.to_owned();
    Some(action).filter(|action| !action.is_empty())
}
