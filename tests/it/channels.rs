//! Messages through the adapters to the providers that the sandbox plays, over real HTTP. The database takes
//! no part, so there is one run and not one per backend.

mod inbound;
mod send;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use serde_json::json;
use switchboard::{
    channels::{Account, Channel, Http, Outbound, Refusal, Sent},
    domain::{
        conversation::ChannelKind,
        inbound::{Identity, scheme},
    },
    env::Env,
    sandbox::{Running, Sandbox},
};

const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEXT_SIGNING: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

async fn sandbox() -> Running {
    Sandbox::start(LOOPBACK, Env::system()).await.unwrap()
}

fn http() -> Http {
    Http::new(true, Duration::from_millis(400))
}

fn whatsapp_at(url: &str, token: &str) -> Account {
    let settings = json!({"phone_number_id": "810000000000007", "api_base_url": url});
    let secrets = json!({"access_token": token, "app_secret": "s3cret"});
    Account::open(ChannelKind::Whatsapp, settings, secrets).unwrap()
}

fn telegram_at(url: &str) -> Account {
    let secrets = json!({"bot_token": "111:AAbb_c", "webhook_secret": "tg-secret_42"});
    Account::open(ChannelKind::Telegram, json!({"api_base_url": url}), secrets).unwrap()
}

fn webhook_at(url: &str) -> Account {
    Account::open(ChannelKind::Webhook, json!({"url": url}), json!({"signing_secret": SIGNING})).unwrap()
}

fn to(scheme: &str, value: &str, text: &str) -> Outbound {
    Outbound {
        message_id: "msg_01".to_owned(),
        attempt: 1,
        conversation_id: "con_01".to_owned(),
        chat: None,
        to: vec![Identity::new(scheme, value)],
        text: text.to_owned(),
        reply_to: None,
    }
}

fn ivo(text: &str) -> Outbound {
    to(scheme::WHATSAPP, "4915112345678", text)
}

fn oleg(text: &str) -> Outbound {
    to(scheme::TELEGRAM, "5012345678", text)
}

async fn send(account: &Account, outbound: &Outbound) -> Sent {
    account.send(&http(), outbound, Env::system().now()).await
}

fn refusal(sent: Sent) -> Refusal {
    match sent {
        Sent::Rejected(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}
