//! What screens ask for, over gRPC and over REST, beside what each half of the work costs alone: the
//! statements in pgbench, and a bare tonic echo with messages of the same size.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use prost::Message;
use switchboard::wire::conversation::v1::{
    GetConversationRequest, ListConversationsRequest, ListMessagesRequest,
};

use super::{
    echo::Echo,
    generator::{Load, Make, Outcome, Wire, ask, press},
    ingestion::CALLERS,
    recording::{Recording, Variation},
    report::{Ceiling, Report, Target},
    services::{Server, Services},
    shop::{Shop, fine_grpc, fine_http},
};

pub const LOAD: Load =
    Load { callers: CALLERS, warm_up: Duration::from_secs(1), measured: Duration::from_secs(4), rate: None };

pub async fn measure(report: &mut Report, services: &Services, server: &Server, shop: &Shop) {
    services.settle();
    let conversation = shop.conversations(&server.address).await.pop().expect("a conversation");
    let get = GetConversationRequest { conversation_id: conversation.clone() };
    let path = format!("/v1/conversations/{conversation}");
    let bench = Bench { services, server, shop };
    bench.read(report, "get_conversation", "ConversationService.GetConversation", &get, &path).await;

    let list = ListConversationsRequest { page_size: 50, ..Default::default() };
    let path = "/v1/conversations?pageSize=50";
    bench.read(report, "list_conversations_50", "ConversationService.ListConversations", &list, path).await;

    let list =
        ListMessagesRequest { conversation_id: conversation.clone(), page_size: 100, ..Default::default() };
    let path = format!("/v1/conversations/{conversation}/messages?pageSize=100");
    bench.read(report, "list_messages_100", "MessageService.ListMessages", &list, &path).await;
}

struct Bench<'a> {
    services: &'a Services,
    server: &'a Server,
    shop: &'a Shop,
}

impl Bench<'_> {
    async fn read(&self, report: &mut Report, name: &str, method: &str, message: &impl Message, path: &str) {
        let Self { services, server, shop } = *self;
        let address = &server.address;
        let call = shop.call(address, method, message);
        let get = shop.rest(address, path, None);

        let answer = ask(address, Wire::Http2, call.clone()).await;
        assert!(fine_grpc(&answer), "{answer:?}");
        let recording = Recording::of(services, async |_| {
            drop(ask(address, Wire::Http2, call.clone()).await);
        })
        .await;
        let (grpc, grpc_cpu) =
            server.during(press(address, Wire::Http2, LOAD, always(call), fine_grpc)).await;
        let (rest, rest_cpu) = server.during(press(address, Wire::Http1, LOAD, always(get), fine_http)).await;
        let statements = services.pgbench(&recording.script(0, CALLERS, &Variation::default()), CALLERS, 4);
        let (asked, size) = (message.encoded_len(), answer.body().len() - 5);
        let echo = echo(Echo::start(size), asked).await;
        let bare = Echo::asking(size, &services.database_url, &recording.literal());
        let bare = self::echo(bare, asked).await;

        println!("# {name}: {} bytes; {}", answer.body().len(), recording.summary());
        let both = Outcome {
            per_second: 1.0 / (1.0 / statements.per_second + 1.0 / echo.per_second),
            p50: statements.p50 + echo.p50,
            p99: statements.p99 + echo.p99,
            ..echo.clone()
        };
        let ceilings = [
            Ceiling::new("pgbench", statements),
            Ceiling::new("tonic echo", echo),
            Ceiling::new("both in turn", both),
        ];
        report.outcome(&format!("{name}.bare_handler"), &bare, &ceilings, None);
        let target = Some(Target::AtLeast(0.5));
        for (wire, outcome, cpu) in [("grpc", grpc, grpc_cpu), ("rest", rest, rest_cpu)] {
            let name = format!("{name}.{wire}");
            report.outcome(&name, &outcome, &ceilings, target);
            report.line(&format!("{name}.cpu"), cpu, "us/req", None, None, "of the server");
        }
    }
}

/// The same request again and again.
pub fn always(request: Request<Full<Bytes>>) -> Make {
    Arc::new(move |_| request.clone())
}

async fn echo(echo: Echo, request: usize) -> Outcome {
    press(&echo.address, Wire::Http2, LOAD, always(echo.call(request)), fine_grpc).await
}
