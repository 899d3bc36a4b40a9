//! Messages through the adapters to the providers that the sandbox plays, over real HTTP. The database takes
//! no part, so there is one run and not one per backend.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{extract::Request, http::StatusCode};
use serde_json::{Value, json};
use switchboard::{
    channels::{Account, Channel, Http, Outbound, RawRequest, Refusal, Retry, Sent},
    domain::{
        conversation::ChannelKind,
        delivery::Reason,
        inbound::{Identity, What, scheme},
    },
    env::Env,
    sandbox::{Behaviour, FailNext, Inbound, Provider, RateLimit, Running, Sandbox, Subscription},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
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

fn failing(code: i64) -> Behaviour {
    Behaviour { fail_next: Some(FailNext { count: 1, code }), ..Behaviour::default() }
}

fn limited(retry_after: u64) -> Behaviour {
    Behaviour { rate_limit: Some(RateLimit { count: 1, retry_after }), ..Behaviour::default() }
}

/// Example 8 of the channel notes: what WhatsApp gets.
#[tokio::test]
async fn whatsapp_takes_a_message() {
    let sandbox = sandbox().await;
    let account = whatsapp_at(sandbox.url(), "t0ken");
    let mut outbound = to(scheme::WHATSAPP_USER, "DE.5550001", "Yes, two left.");
    outbound.reply_to = Some("wamid.EXAMPLE0001".to_owned());

    let Sent::Accepted { external_id } = send(&account, &outbound).await else { panic!("not accepted") };
    let sent = sandbox.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].external_id, external_id);
    assert_eq!((sent[0].recipient.as_str(), sent[0].text.as_str()), ("DE.5550001", "Yes, two left."));
    assert_eq!(sent[0].correlation.as_deref(), Some("msg_01"));
    assert_eq!(account.probe(&http()).await.unwrap(), "Sandbox shop +1 555 000 1111");

    outbound.attempt = 2;
    send(&account, &outbound).await;
    assert_eq!(sandbox.sent()[1].correlation.as_deref(), Some("msg_01:2"));
    assert!(sandbox.doubled().is_empty());
}

#[tokio::test]
async fn whatsapp_refusals_have_reasons() {
    let sandbox = sandbox().await;
    let account = whatsapp_at(sandbox.url(), "t0ken");
    for (code, reason, retry, broken) in [
        (131_047, Reason::WindowClosed, Retry::No, false),
        (131_056, Reason::RateLimited, Retry::After(Duration::from_secs(6)), false),
        (130_429, Reason::RateLimited, Retry::After(Duration::from_secs(2)), false),
        (131_000, Reason::ProviderError, Retry::After(Duration::from_secs(10)), false),
        (190, Reason::TokenInvalid, Retry::No, true),
    ] {
        sandbox.behave(failing(code));
        let refusal = refusal(send(&account, &ivo("hi")).await);
        assert_eq!((refusal.reason, refusal.retry, refusal.channel_broken), (reason, retry, broken), "{code}");
    }
    sandbox.behave(limited(9));
    let limited = refusal(send(&account, &ivo("hi")).await);
    assert_eq!((limited.reason, limited.retry), (Reason::RateLimited, Retry::After(Duration::from_secs(9))));
    let expired = whatsapp_at(sandbox.url(), "expired");
    assert!(refusal(send(&expired, &ivo("hi")).await).channel_broken);
    assert_eq!(expired.probe(&http()).await.unwrap_err().reason, Reason::TokenInvalid);
    assert_eq!(refusal(send(&account, &ivo(&"x".repeat(4097))).await).reason, Reason::TooLong);
    assert_eq!(refusal(send(&account, &oleg("hi")).await).reason, Reason::RecipientUnreachable);
    assert!(sandbox.sent().is_empty());
}

/// A refusal where nothing left is safe to repeat; silence after the request left is not.
#[tokio::test]
async fn an_outcome_is_unknown_only_if_the_message_may_have_left() {
    let sandbox = sandbox().await;
    sandbox.behave(Behaviour { timeout_after_accept: 2, ..Behaviour::default() });
    let unknown = Sent::Unknown { detail: "no answer in time".to_owned() };
    assert_eq!(send(&whatsapp_at(sandbox.url(), "t0ken"), &ivo("hi")).await, unknown);
    assert_eq!(send(&telegram_at(sandbox.url()), &oleg("hi")).await, unknown);
    assert!(sandbox.sent().iter().all(|message| !message.answered));
    assert_eq!(sandbox.sent().len(), 2);

    sandbox.behave(Behaviour { outage: true, ..Behaviour::default() });
    let refused = refusal(send(&whatsapp_at(sandbox.url(), "t0ken"), &ivo("hi")).await);
    assert_ne!(refused.retry, Retry::No);

    let nobody = TcpListener::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
    for url in [format!("http://{nobody}"), "http://no-such-host.invalid".to_owned()] {
        for sent in [
            send(&whatsapp_at(&url, "t0ken"), &ivo("hi")).await,
            send(&telegram_at(&url), &oleg("hi")).await,
            send(&webhook_at(&url), &ivo("hi")).await,
        ] {
            let refusal = refusal(sent);
            assert_eq!(refusal.reason, Reason::ProviderUnreachable);
            assert_ne!(refusal.retry, Retry::No);
        }
    }
}

/// Answers every connection with these bytes, and closes it.
async fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(bytes).await;
        }
    });
    format!("http://{addr}")
}

#[tokio::test]
async fn a_broken_answer_is_unknown_and_a_redirect_is_not_followed() {
    for bytes in [
        &b""[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"messages\"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\ncontent-length: 5\r\n\r\n<htm>",
    ] {
        let url = answering(bytes).await;
        for sent in
            [send(&whatsapp_at(&url, "t0ken"), &ivo("hi")).await, send(&telegram_at(&url), &oleg("hi")).await]
        {
            assert!(matches!(sent, Sent::Unknown { .. }), "{sent:?} for {:?}", String::from_utf8_lossy(bytes));
        }
        // An integrator knows repeats by their id: nothing is unknown there.
        if bytes.is_empty() {
            assert_ne!(refusal(send(&webhook_at(&url), &ivo("hi")).await).retry, Retry::No);
        }
    }
    let redirect = answering(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(refusal(send(&webhook_at(&redirect), &ivo("hi")).await).reason, Reason::AddressNotAllowed);
    assert_eq!(refusal(send(&whatsapp_at(&redirect, "t"), &ivo("hi")).await).retry, Retry::No);
}

/// Acceptance case 74, and channel conformance 14 and 21.
#[tokio::test]
async fn telegram_sends_waits_and_splits() {
    let sandbox = sandbox().await;
    let account = telegram_at(sandbox.url());
    assert_eq!(account.probe(&http()).await.unwrap(), "@sandbox_111_bot");
    let Sent::Accepted { external_id } = send(&account, &oleg("Здравствуйте")).await else { panic!("not accepted") };
    assert_eq!(sandbox.sent()[0].external_id, external_id);
    assert!(external_id.starts_with("5012345678:"));

    sandbox.behave(limited(17));
    let limited = refusal(send(&account, &oleg("hi")).await);
    assert_eq!((limited.reason, limited.retry), (Reason::RateLimited, Retry::After(Duration::from_secs(17))));
    for (code, reason, retried, broken) in [
        (403, Reason::Blocked, false, false),
        (400, Reason::RecipientUnreachable, false, false),
        (401, Reason::TokenInvalid, false, true),
        (500, Reason::ProviderError, true, false),
    ] {
        sandbox.behave(failing(code));
        let refusal = refusal(send(&account, &oleg("hi")).await);
        let found = (refusal.reason, refusal.retry != Retry::No, refusal.channel_broken);
        assert_eq!(found, (reason, retried, broken), "{code}");
    }

    sandbox.reset();
    let long = "😀".repeat(4000);
    assert!(matches!(send(&account, &oleg(&long)).await, Sent::Accepted { .. }));
    let parts: Vec<_> = sandbox.sent().into_iter().map(|message| message.text).collect();
    assert_eq!((parts.len(), parts.concat() == long), (2, true));
    assert_eq!(refusal(send(&account, &oleg("")).await).reason, Reason::InvalidMessage);
}

#[tokio::test]
async fn an_integrator_gets_a_signed_message_and_ignores_a_repeat() {
    let sandbox = sandbox().await;
    let url = sandbox.receiver_url("crm");
    sandbox.subscribe(Subscription {
        channel: Provider::Webhook,
        account: "crm".to_owned(),
        target_url: format!("{}/nowhere", sandbox.url()),
        secret: SIGNING.to_owned(),
    });
    let account = webhook_at(&url);
    let outbound = to("crm_contact", "C-4711", "Calling you back");
    let first = send(&account, &outbound).await;
    assert!(matches!(&first, Sent::Accepted { external_id } if external_id.starts_with("hook-")), "{first:?}");
    assert_eq!(send(&account, &outbound).await, first);
    assert_eq!(sandbox.sent().len(), 1);
    assert_eq!(sandbox.sent()[0].recipient, "C-4711");

    let other_key = json!({"signing_secret": NEXT_SIGNING});
    let stranger = Account::open(ChannelKind::Webhook, json!({"url": url}), other_key).unwrap();
    let refused = refusal(send(&stranger, &outbound).await);
    assert_eq!(refused.detail, "HTTP status 401");

    sandbox.behave(failing(410));
    assert!(refusal(send(&account, &outbound).await).channel_broken);
    sandbox.behave(limited(3));
    assert_eq!(refusal(send(&account, &outbound).await).retry, Retry::After(Duration::from_secs(3)));
}

#[tokio::test]
async fn a_private_address_is_not_called_unless_allowed() {
    let sandbox = sandbox().await;
    let careful = Http::new(false, Duration::from_millis(400));
    for url in [sandbox.url().to_owned(), "https://localhost/".to_owned(), "https://169.254.169.254/x".to_owned()] {
        for sent in [
            webhook_at(&url).send(&careful, &ivo("hi"), Env::system().now()).await,
            whatsapp_at(&url, "t0ken").send(&careful, &ivo("hi"), Env::system().now()).await,
        ] {
            let refusal = refusal(sent);
            assert_eq!((refusal.reason, refusal.retry), (Reason::AddressNotAllowed, Retry::No), "{url}");
        }
    }
    assert!(sandbox.sent().is_empty());
}

/// A token that stands in the path of a URL must not stand in a refusal.
#[tokio::test]
async fn refusals_hold_no_secret() {
    let nobody = TcpListener::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
    let sent = send(&telegram_at(&format!("http://{nobody}")), &oleg("the text")).await;
    let shown = format!("{sent:?}");
    assert!(!shown.contains("AAbb_c") && !shown.contains("the text"), "{shown}");
}

/// A server that takes webhooks: it hands on what the account's adapter verified and parsed.
async fn ingress(account: Account, refuse_first: u32) -> (String, mpsc::UnboundedReceiver<What>) {
    let (tell, told) = mpsc::unbounded_channel();
    let refused = Arc::new(AtomicU32::new(refuse_first));
    let handler = move |request: Request| {
        let (account, tell, refused) = (account.clone(), tell.clone(), refused.clone());
        async move {
            if refused.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            let (method, headers) = (head.method, head.headers);
            let request = RawRequest { method, query: String::new(), headers, body };
            if account.verify(&request, Env::system().now()).is_err() {
                return StatusCode::UNAUTHORIZED;
            }
            for fact in account.parse(&request.body).unwrap() {
                tell.send(fact.what).unwrap();
            }
            StatusCode::OK
        }
    };
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(handler);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{addr}/hook"), told)
}

fn drained(told: &mut mpsc::UnboundedReceiver<What>) -> Vec<What> {
    std::iter::from_fn(|| told.try_recv().ok()).collect()
}

#[tokio::test]
async fn statuses_come_back_signed_with_our_own_id() {
    let sandbox = sandbox().await;
    let account = whatsapp_at(sandbox.url(), "t0ken");
    let (url, mut told) = ingress(account.clone(), 1).await;
    sandbox.subscribe(Subscription {
        channel: Provider::Whatsapp,
        account: "810000000000007".to_owned(),
        target_url: url,
        secret: "s3cret".to_owned(),
    });
    sandbox.behave(Behaviour { reorder: true, duplicates: 1, ..Behaviour::default() });
    send(&account, &ivo("hi")).await;
    sandbox.settled().await;
    let words: Vec<_> = drained(&mut told)
        .into_iter()
        .map(|what| match what {
            What::Status(update) => (update.correlation.unwrap(), update.status.as_str()),
            other => panic!("no status: {other:?}"),
        })
        .collect();
    let expected = ["read", "read", "delivered", "delivered", "sent", "sent"];
    assert_eq!(words, expected.map(|word| ("msg_01".to_owned(), word)));
}

#[tokio::test]
async fn customers_write_through_every_provider() {
    let sandbox = sandbox().await;
    let accounts = [
        (Provider::Whatsapp, "810000000000007", "s3cret", whatsapp_at(sandbox.url(), "t0ken")),
        (Provider::Telegram, "111", "tg-secret_42", telegram_at(sandbox.url())),
        (Provider::Webhook, "crm", SIGNING, webhook_at(sandbox.url())),
    ];
    for (channel, name, secret, account) in accounts {
        let (url, mut told) = ingress(account.clone(), 2).await;
        if channel == Provider::Telegram {
            account.connect(&http(), &url).await.unwrap();
        } else {
            let (account, secret) = (name.to_owned(), secret.to_owned());
            sandbox.subscribe(Subscription { channel, account, target_url: url.clone(), secret });
        }
        let mut inbound = Inbound::text(channel, name, "4915112345678", "Ivo", "Есть в наличии? 😀");
        inbound.repeat = 3;
        let delivered = sandbox.inbound(vec![inbound]).await;
        let delivered = &delivered[0];
        assert_eq!((delivered.copies, delivered.accepted, delivered.requests), (3, 3, 5), "{channel:?}");
        for what in drained(&mut told) {
            let What::Message(message) = what else { panic!("no message: {what:?}") };
            assert_eq!(message.text.as_deref(), Some("Есть в наличии? 😀"));
            assert_eq!(message.name.as_deref(), Some("Ivo"));
            assert!(message.external_id.contains(&delivered.external_id));
        }
        let mut forged = Inbound::text(channel, name, "1", "Eve", "let me in");
        forged.target_url = Some(url);
        forged.secret = Some(NEXT_SIGNING.to_owned());
        let refused = &sandbox.inbound(vec![forged]).await[0];
        assert_eq!((refused.accepted, refused.last_status), (0, Some(401)));
        assert!(drained(&mut told).is_empty());
    }
}

/// The JSON that one request is answered with.
async fn asked(addr: SocketAddr, method: &'static str, path: String, body: Value) -> Value {
    let body = body.to_string();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: sandbox\r\nconnection: close\r\n");
    let head = format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn the_sandbox_is_driven_over_http() {
    let sandbox = sandbox().await;
    let call = |method: &'static str, path: &str, body: Value| asked(sandbox.addr, method, path.to_owned(), body);
    let behaviour = call("POST", "/sandbox/behaviour", json!({"fail_next": {"count": 1, "code": 131047}})).await;
    assert_eq!(behaviour["fail_next"]["code"], 131_047);
    let account = whatsapp_at(sandbox.url(), "t0ken");
    assert_eq!(refusal(send(&account, &ivo("hi")).await).reason, Reason::WindowClosed);
    send(&account, &ivo("hi")).await;
    send(&account, &ivo("hi")).await;
    let sent = call("GET", "/sandbox/sent", Value::Null).await;
    assert_eq!((&sent["counts"]["msg_01"], &sent["doubled"]), (&json!(2), &json!(["msg_01"])));
    let inbound = json!({"channel": "whatsapp", "account": "1", "from": "DE.1", "text": "hi",
        "target_url": format!("{}/nowhere", sandbox.url()), "secret": "s"});
    let delivered = call("POST", "/sandbox/inbound", inbound).await;
    assert_eq!((&delivered[0]["accepted"], &delivered[0]["last_status"]), (&json!(0), &json!(404)));

    let schema = json!({"type": "object", "properties": {"reply": {"type": "string"}}});
    let prompt = json!({"model": "m", "messages": [{"role": "user", "content": "How much is it?"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}});
    let completion = call("POST", "/v1/chat/completions", prompt).await;
    let content: Value =
        serde_json::from_str(completion["choices"][0]["message"]["content"].as_str().unwrap()).unwrap();
    assert!(content["reply"].as_str().unwrap().contains("How much is it?"));
    assert!(completion["usage"]["total_tokens"].as_u64().unwrap() > 0);
    sandbox.shutdown().await;
}
