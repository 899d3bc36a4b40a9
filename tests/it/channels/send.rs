//! What an adapter makes of a provider's answers.

use switchboard::{
    channels::Retry,
    domain::delivery::Reason,
    sandbox::{Behaviour, FailNext, Provider, RateLimit, Subscription},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

fn failing(code: i64) -> Behaviour {
    Behaviour { fail_next: Some(FailNext { count: 1, code, after: 0 }), ..Behaviour::default() }
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
        assert_eq!(
            (refusal.reason, refusal.retry, refusal.channel_broken),
            (reason, retry, broken),
            "{code}"
        );
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
            assert!(
                matches!(sent, Sent::Unknown { .. }),
                "{sent:?} for {:?}",
                String::from_utf8_lossy(bytes)
            );
        }
        // An integrator knows repeats by their id: nothing is unknown there.
        if bytes.is_empty() {
            assert_ne!(refusal(send(&webhook_at(&url), &ivo("hi")).await).retry, Retry::No);
        }
    }
    let redirect =
        answering(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(refusal(send(&webhook_at(&redirect), &ivo("hi")).await).reason, Reason::AddressNotAllowed);
    assert_eq!(refusal(send(&whatsapp_at(&redirect, "t"), &ivo("hi")).await).retry, Retry::No);
}

/// Acceptance case 74, and channel conformance 14 and 21.
#[tokio::test]
async fn telegram_sends_waits_and_splits() {
    let sandbox = sandbox().await;
    let account = telegram_at(sandbox.url());
    assert_eq!(account.probe(&http()).await.unwrap(), "@sandbox_111_bot");
    let Sent::Accepted { external_id } = send(&account, &oleg("Здравствуйте")).await else {
        panic!("not accepted")
    };
    assert_eq!(sandbox.sent()[0].external_id, external_id);
    assert!(external_id.starts_with("5012345678:"));

    sandbox.behave(limited(17));
    let limited = refusal(send(&account, &oleg("hi")).await);
    assert_eq!((limited.reason, limited.retry), (Reason::RateLimited, Retry::After(Duration::from_secs(17))));
    for (code, reason, retried, broken) in [
        (403, Reason::Blocked, false, false),
        (400, Reason::RecipientUnreachable, false, false),
        (401, Reason::TokenInvalid, false, true),
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

    // Half of it went out: sending it again would show the customer that half twice.
    let second = Some(FailNext { count: 1, code: 500, after: 1 });
    sandbox.behave(Behaviour { fail_next: second, ..Behaviour::default() });
    let half = Sent::Unknown { detail: "only 1 of 2 parts went out".to_owned() };
    assert_eq!(send(&account, &oleg(&long)).await, half);
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
    assert!(
        matches!(&first, Sent::Accepted { external_id } if external_id.starts_with("hook-")),
        "{first:?}"
    );
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
    for url in
        [sandbox.url().to_owned(), "https://localhost/".to_owned(), "https://169.254.169.254/x".to_owned()]
    {
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

/// Whoever answers in the provider's name cannot put a message off for good.
#[tokio::test]
async fn a_provider_cannot_have_us_wait_for_ever() {
    const HOUR: Retry = Retry::After(Duration::from_secs(3600));
    let plain =
        answering(b"HTTP/1.1 429 Slow\r\nretry-after: 9223372036854775\r\ncontent-length: 0\r\n\r\n").await;
    for sent in [
        send(&whatsapp_at(&plain, "t0ken"), &ivo("hi")).await,
        send(&telegram_at(&plain), &oleg("hi")).await,
        send(&webhook_at(&plain), &ivo("hi")).await,
    ] {
        assert_eq!(refusal(sent).retry, HOUR);
    }
    let words = answering(
        b"HTTP/1.1 429 Slow\r\ncontent-length: 112\r\n\r\n{\"ok\":false,\"error_code\":429,\
          \"description\":\"Too Many Requests\",\"parameters\":{\"retry_after\":9223372036854775807}}",
    )
    .await;
    assert_eq!(refusal(send(&telegram_at(&words), &oleg("hi")).await).retry, HOUR);
}

/// PostgreSQL has no place for NUL: an id that held it could not be stored after the message went out.
#[tokio::test]
async fn an_answer_is_fit_for_storage() {
    let took = answering(
        b"HTTP/1.1 200 OK\r\ncontent-length: 39\r\n\r\n{\"messages\":[{\"id\":\"wamid.\\u0000OUT\"}]}",
    )
    .await;
    let accepted = Sent::Accepted { external_id: "wamid.OUT".to_owned() };
    assert_eq!(send(&whatsapp_at(&took, "t0ken"), &ivo("hi")).await, accepted);
}

/// A fault on the provider's side says nothing about the message: sending again could send twice.
#[tokio::test]
async fn a_providers_own_fault_leaves_the_outcome_open() {
    let sandbox = sandbox().await;
    let (whatsapp, telegram) = (whatsapp_at(sandbox.url(), "t0ken"), telegram_at(sandbox.url()));
    for code in [1, 2, 131_016, 131_057] {
        sandbox.behave(failing(code));
        let sent = send(&whatsapp, &ivo("hi")).await;
        assert!(matches!(&sent, Sent::Unknown { detail } if detail.contains(&code.to_string())), "{sent:?}");
    }
    sandbox.behave(failing(500));
    let unknown = Sent::Unknown { detail: "Telegram 500: Internal Server Error".to_owned() };
    assert_eq!(send(&telegram, &oleg("hi")).await, unknown);
}
