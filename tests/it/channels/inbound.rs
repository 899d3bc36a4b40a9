//! What the sandbox sends back: statuses and customers' messages, and how it is driven from outside.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use axum::{extract::Request, http::StatusCode};
use serde_json::Value;
use switchboard::{
    channels::RawRequest,
    domain::{delivery::Reason, inbound::What},
    sandbox::{Behaviour, Inbound, Provider, Subscription},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::*;

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
    let call =
        |method: &'static str, path: &str, body: Value| asked(sandbox.addr, method, path.to_owned(), body);
    let behaviour =
        call("POST", "/sandbox/behaviour", json!({"fail_next": {"count": 1, "code": 131047}})).await;
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
