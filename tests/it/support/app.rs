//! The whole program in this process: calls go straight into the gRPC stack, without a socket unless one is wanted.
use std::net::SocketAddr;

use serde_json::{Value, json};
use switchboard::{
    access::Audience,
    app::{App, Running},
    config::Config,
    domain::access::Permission,
    edge::Grpc,
    env::Env,
    store::Store,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Pair, rpc, rpc::Refusal, server::KEYS};

/// One server on a test's own databases.
pub struct TestApp {
    pub app: App,
    grpc: Grpc,
}

/// Somebody who is signed in.
pub struct Person {
    pub token: String,
    /// `usr_…`.
    pub user: String,
    /// `ten_…`: the tenant the session works in.
    pub tenant: String,
}

impl TestApp {
    /// With the settings of the defaults, cheap passwords, and the pair's databases.
    pub async fn start(pair: &Pair) -> Self {
        Self::with(pair, &[]).await
    }

    /// As `start`, with settings by their names in the environment.
    pub async fn with(pair: &Pair, settings: &[(&str, &str)]) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let app = App::open(config(pair, settings), Env::system()).await.expect("the app opens");
        let grpc = app.grpc(CancellationToken::new()).expect("the stack is complete");
        Self { app, grpc }
    }

    /// The stack that every wire ends in.
    pub fn grpc(&self) -> Grpc {
        self.grpc.clone()
    }

    pub fn store(&self) -> &Store {
        self.app.store()
    }

    /// Starts everything that `serve` starts, on a free port. Stop it at the end: `running.stop().await`.
    pub async fn serve(&self) -> (SocketAddr, Running) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let running = self.app.clone().start(listener, None).await.expect("the server starts");
        (running.address, running)
    }

    /// Calls `Service.Method` with JSON for messages.
    pub async fn call(&self, method: &str, token: Option<&str>, request: Value) -> Result<Value, Refusal> {
        rpc::call(self.grpc(), method, token, request).await
    }

    /// As `call` by somebody, expecting success.
    pub async fn ok(&self, method: &str, person: &Person, request: Value) -> Value {
        let answer = self.call(method, Some(&person.token), request).await;
        answer.unwrap_or_else(|refusal| panic!("{method}: {refusal:?}"))
    }

    /// Whether anyone may call the path.
    pub fn is_public(&self, path: &str) -> bool {
        self.app.policies().of(path).is_some_and(|policy| policy.audience == Audience::Public)
    }

    /// What a member must be allowed to do to call the path.
    pub fn permission(&self, path: &str) -> Option<Permission> {
        match self.app.policies().of(path)?.audience {
            Audience::Member(permission) => Some(permission),
            _ => None,
        }
    }

    /// A new person with a new tenant of their own, in trial.
    pub async fn sign_up(&self, email: &str) -> Person {
        self.sign_up_with(email, json!({})).await
    }

    /// A new person in `owner`'s tenant, with a role such as `ROLE_VIEWER`.
    pub async fn join(&self, owner: &Person, email: &str, role: &str) -> Person {
        let invite = json!({"email": email, "role": role});
        let invite =
            self.call("MemberService.InviteMember", Some(&owner.token), invite).await.expect("invited");
        self.sign_up_with(email, json!({"invite_token": invite["token"]})).await
    }

    async fn sign_up_with(&self, email: &str, more: Value) -> Person {
        let mut request = json!({"email": email, "password": PASSWORD});
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.call("AuthService.SignUp", None, request).await.expect("signed up");
        assert_eq!(answer["success"], true, "{email} is taken");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Person {
            token: text(&answer["sessionToken"]),
            user: text(&answer["user"]["id"]),
            tenant: text(&answer["tenant"]["id"]),
        }
    }
}

/// The password of everybody who signs up here.
pub const PASSWORD: &str = "Correct-horse-9";

fn config(pair: &Pair, settings: &[(&str, &str)]) -> Config {
    let read = |name: &str| {
        let given = settings.iter().chain(KEYS).find(|(known, _)| *known == name);
        match name {
            "DATABASE_URL" => Some(pair.database_url.clone()),
            "REDIS_URL" => pair.redis_url.clone(),
            // A test may run a part alone where a server would refuse to.
            "SWITCHBOARD_ONLY" => None,
            _ => given.map(|(_, value)| (*value).to_owned()),
        }
    };
    let mut config = Config::read(read, None).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    });
    config.bcrypt_cost = 4;
    if let Some((_, only)) = settings.iter().find(|(name, _)| *name == "SWITCHBOARD_ONLY") {
        config.roles = only.parse().expect("roles");
    }
    config
}
