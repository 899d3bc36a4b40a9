//! Sending, and what REST costs the server beside gRPC for the same message.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use serde_json::json;
use switchboard::{
    id::{ConversationId, Id},
    wire::conversation::v1::{GetMessageRequest, Message, SendMessageRequest},
};

use super::{
    generator::{Load, Make, Wire, ask, press},
    ingestion::CALLERS,
    reads::{LOAD, always},
    recording::{Recording, Variation},
    report::{Ceiling, Report, Target},
    services::{Server, Services},
    shop::{CUSTOMERS, Shop, fine_grpc, fine_http, unframed},
};

const SEND: &str = "MessageService.SendMessage";

pub async fn measure(report: &mut Report, services: &Services, server: &Server, shop: &Shop) {
    services.settle();
    let address = &server.address;
    let conversations: Arc<[String]> = shop.conversations(address).await.into();
    let words = "Yes, the blue one is still there: 129 euros, and delivery to Berlin is free from 100 euros.";
    let grpc = sends(shop, address, &conversations, words);
    let (sent, cpu) = server.during(press(address, Wire::Http2, LOAD, grpc, fine_grpc)).await;

    let one = SendMessageRequest {
        text: words.to_owned(),
        conversation_id: conversations[0].clone(),
        ..Default::default()
    };
    let recording = Recording::of(services, async |_| {
        let answer = ask(address, Wire::Http2, shop.call(address, SEND, &one)).await;
        assert!(fine_grpc(&answer), "{answer:?}");
    })
    .await;
    println!("# send_message: {}", recording.summary());
    number(services);
    services.settle();
    let script = recording.script(5, CALLERS, &variation(&conversations[0]));
    let ceilings = [Ceiling::new("pgbench", services.pgbench(&script, CALLERS, 4))];
    report.outcome("send_message.grpc", &sent, &ceilings, Some(Target::AtLeast(0.5)));
    report.line("send_message.grpc.cpu", cpu, "us/req", None, None, "of the server");
    compare(report, server, shop, &conversations).await;
}

/// The processor time of the server for a message of 1 KB, read and sent over both wires, in turns.
async fn compare(report: &mut Report, server: &Server, shop: &Shop, conversations: &Arc<[String]>) {
    let address = &server.address;
    let words = "Nine words and a space fill sixty-four bytes of this text here. ".repeat(16);
    let send = SendMessageRequest {
        conversation_id: conversations[0].clone(),
        text: words.clone(),
        ..Default::default()
    };
    let answer = ask(address, Wire::Http2, shop.call(address, SEND, &send)).await;
    assert!(fine_grpc(&answer), "{answer:?}");
    let message: Message = unframed(answer.body());
    let get = GetMessageRequest { message_id: message.id.clone() };
    let call = always(shop.call(address, "MessageService.GetMessage", &get));
    let path = always(shop.rest(address, &format!("/v1/messages/{}", message.id), None));
    let posts = posts(shop, address, conversations, &words);
    let sends = sends(shop, address, conversations, &words);

    for (name, grpc, rest) in [("get_message_1kb", call, path), ("send_message_1kb", sends, posts)] {
        let mut used = [0.0, 0.0];
        for _ in 0..2 {
            let load = Load { measured: Duration::from_secs(2), ..LOAD };
            type Round<'a> = (Wire, &'a Make, fn(&Response<Bytes>) -> bool);
            let rounds: [Round<'_>; 2] = [(Wire::Http2, &grpc, fine_grpc), (Wire::Http1, &rest, fine_http)];
            for (used, (wire, make, fine)) in used.iter_mut().zip(rounds) {
                let (outcome, cpu) = server.during(press(address, wire, load, make.clone(), fine)).await;
                report.failures(name, &outcome);
                *used += cpu / 2.0;
            }
        }
        let [grpc, rest] = used;
        report.line(&format!("{name}.grpc.cpu"), grpc, "us/req", None, None, "of the server");
        let note = "of the server; the ratio is to gRPC";
        report.line(
            &format!("{name}.rest.cpu"),
            rest,
            "us/req",
            Some(rest / grpc),
            Some(Target::AtMost(1.6)),
            note,
        );
    }
}

/// Sends to the conversations in turn.
fn sends(shop: &Shop, address: &str, conversations: &Arc<[String]>, words: &str) -> Make {
    let (shop, to, conversations, words) =
        (shop.clone(), address.to_owned(), conversations.clone(), words.to_owned());
    Arc::new(move |number| {
        let conversation_id = of(&conversations, number).to_owned();
        shop.call(
            &to,
            SEND,
            &SendMessageRequest { conversation_id, text: words.clone(), ..Default::default() },
        )
    })
}

/// As [`sends`], over REST.
fn posts(shop: &Shop, address: &str, conversations: &Arc<[String]>, words: &str) -> Make {
    let (shop, to, conversations) = (shop.clone(), address.to_owned(), conversations.clone());
    let body = json!({"text": words});
    Arc::new(move |number| {
        let path = format!("/v1/conversations/{}/messages", of(&conversations, number));
        shop.rest(&to, &path, Some(&body))
    })
}

fn of(conversations: &[String], number: u64) -> &str {
    let count = u64::try_from(conversations.len()).unwrap_or(u64::MAX);
    &conversations[usize::try_from(number % count).unwrap_or_default()]
}

/// pgbench counts; this tells which conversation a number is.
fn number(services: &Services) {
    services.sql(&[
        "create table bench_conversation (n bigint primary key, id uuid not null)",
        "insert into bench_conversation select row_number() over (order by id) - 1, id from conversation",
    ]);
}

fn variation(conversation: &str) -> Variation {
    let conversation: ConversationId = conversation.parse().expect("an id");
    let picked = "(select id from bench_conversation where n = :c)";
    Variation {
        prelude: format!("\\set c (:client_id + :i * {CALLERS}) % {CUSTOMERS}"),
        first: vec![(conversation.uuid().to_string(), picked.to_owned())],
        values: vec![(conversation.uuid().to_string(), ":v_id".to_owned())],
        columns: vec![
            ("version", ":v_version"),
            ("message.seq", ":v_message_count"),
            ("job.order_seq", ":g_seq"),
        ],
        answers: vec![("select conversation.", "v_"), ("insert into job_gate", "g_")],
    }
}
