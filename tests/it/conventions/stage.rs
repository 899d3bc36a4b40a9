//! A shop with one row of every kind, and the platform's owner beside it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use prost::Message as _;
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};
use switchboard::{
    app::Running,
    domain::{conversation::ChannelKind, signature},
};

use crate::{
    conversation::{payload, shop::raw},
    support::{
        Pair,
        app::{Person, TestApp},
        rpc::{self, Refusal},
    },
};

pub const SECRET: &str = "app-secret";
const STAFF: (&str, &str) = ("root@platform.example", "Platform-owner-1");

pub struct Stage {
    pub app: TestApp,
    pub owner: Person,
    staff: String,
    running: Running,
    channel: String,
}

/// Whose call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Owner,
    Staff,
}

impl Stage {
    pub async fn start(pair: &Pair) -> Self {
        Self::with(pair, &[]).await
    }

    /// As `start`, with more settings by their names in the environment.
    pub async fn with(pair: &Pair, more: &[(&str, &str)]) -> Self {
        let settings = [
            ("SWITCHBOARD_OWNER_EMAIL", STAFF.0),
            ("SWITCHBOARD_OWNER_PASSWORD", STAFF.1),
            ("SWITCHBOARD_DEBOUNCE_MS", "0"),
            ("SWITCHBOARD_RATE_READ", "off"),
            ("SWITCHBOARD_RATE_WRITE", "off"),
            ("SWITCHBOARD_RATE_AI", "off"),
        ];
        let settings: Vec<_> = more.iter().chain(&settings).copied().collect();
        let app = TestApp::with(pair, &settings).await;
        let (_, running) = app.serve().await;
        let owner = app.sign_up("owner@shop.example").await;
        let signed_in = json!({"email": STAFF.0, "password": STAFF.1});
        let signed_in = app.call("AuthService.SignIn", None, signed_in).await.expect("the owner is there");
        let staff = signed_in["sessionToken"].as_str().unwrap().to_owned();
        let channel = json!({"name": "WhatsApp",
            "whatsapp": {"phoneNumberId": payload::NUMBER, "apiBaseUrl": "http://127.0.0.1:9"},
            "whatsappSecrets": {"accessToken": "t", "appSecret": SECRET}});
        let created = app.ok("ChannelService.CreateChannel", &owner, channel).await;
        let channel = created["channel"]["id"].as_str().unwrap().to_owned();
        Self { app, owner, staff, running, channel }
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.app.store().env().now()
    }

    pub fn channel(&self) -> &str {
        &self.channel
    }

    pub async fn call(&self, who: Who, method: &str, request: Value) -> Result<Value, Refusal> {
        self.app.call(method, Some(self.token(who)), request).await
    }

    fn token(&self, who: Who) -> &str {
        match who {
            Who::Owner => &self.owner.token,
            Who::Staff => &self.staff,
        }
    }

    pub async fn ok(&self, who: Who, method: &str, request: Value) -> Value {
        let answer = self.call(who, method, request).await;
        answer.unwrap_or_else(|refusal| panic!("{method}: {refusal:?}"))
    }

    /// As `call`, under an idempotency key; answers the encoded message.
    pub async fn keyed(&self, who: Who, key: &str, name: &str, request: Value) -> Result<Vec<u8>, Refusal> {
        let method = rpc::method(name);
        let message = DynamicMessage::deserialize(method.input(), request).unwrap().encode_to_vec();
        let bearer = format!("Bearer {}", self.token(who));
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        let answers = rpc::call_with(self.app.grpc(), &rpc::path(&method), &headers, &message).await?;
        Ok(answers[0].to_vec())
    }

    /// A customer writes now; answers the conversation.
    pub async fn writes(&self, from: &str) -> Value {
        let second = self.now().timestamp() - payload::BEGIN;
        let body = payload::written(from, &format!("wamid.{from}"), second, "Do you deliver?").to_string();
        let request = raw(&body, "x-hub-signature-256", &signature::meta(SECRET, body.as_bytes()));
        let ingress = self.app.app.ingress();
        ingress.receive(ChannelKind::Whatsapp, &self.channel, &request).await.expect("taken in");
        let listed = self.app.ok("ListConversations", &self.owner, json!({"pageSize": 200})).await;
        let found = listed["customers"].as_array().unwrap().iter();
        let customer = found.filter(|customer| customer["phone"].as_str().unwrap().ends_with(from));
        let customer = customer.map(|customer| customer["id"].clone()).next().expect("the customer");
        let mut all = listed["conversations"].as_array().unwrap().iter();
        all.find(|conversation| conversation["customerId"] == customer).expect("a conversation").clone()
    }

    /// The draft for a conversation, once it is there.
    pub async fn draft(&self, conversation: &Value) -> Value {
        for _ in 0..600 {
            let request = json!({"conversationId": conversation["id"]});
            let listed = self.app.ok("ListSuggestions", &self.owner, request).await;
            if let Some(draft) = listed["suggestions"].get(0) {
                return draft.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no draft after 30 s");
    }
}
