//! Spans of the real program, as a collector gets them.
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport};

use crate::{
    clients::succeed,
    support::{Server, both},
};

/// Remembers the names of spans, each with its trace and attributes as text.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<String>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans = request.into_inner().resource_spans.into_iter().flat_map(|all| all.scope_spans);
        let spans = spans.flat_map(|all| all.spans);
        self.0.lock().unwrap().extend(spans.map(|span| {
            let trace: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{} {trace} {:?}", span.name, span.attributes)
        }));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_leaves_a_span() {
    both(async |pair| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let collector = Collector::default();
        let service = TraceServiceServer::new(collector.clone());
        let incoming = TcpListenerStream::new(listener);
        tokio::spawn(transport::Server::builder().add_service(service).serve_with_incoming(incoming));

        let mut server = Server::start(&pair, &[("SWITCHBOARD_OTLP_ENDPOINT", &endpoint)]).await;
        let url = format!("{}/v1/plans", server.url());
        succeed(std::process::Command::new("curl").args(["-sSf", "-H", "x-request-id: trace-me", &url]));
        // G17: a trace is continued if the caller's is valid, and else begun.
        let (trace, broken) = ("4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e473X");
        for (id, trace) in [("continued", trace), ("begun", broken)] {
            let headers =
                [format!("x-request-id: {id}"), format!("traceparent: 00-{trace}-00f067aa0ba902b7-01")];
            succeed(std::process::Command::new("curl").args([
                "-sSf",
                "-H",
                &headers[0],
                "-H",
                &headers[1],
                &url,
            ]));
        }
        // The last spans are sent before the program ends.
        assert!(server.terminate().await.success());

        let spans = collector.0.lock().unwrap().clone();
        let request = spans.iter().find(|span| span.contains("trace-me"));
        let request = request.unwrap_or_else(|| panic!("{spans:#?}"));
        assert!(request.starts_with("switchboard.billing.v1.PlanService/ListPlans "), "{request}");
        let in_it = |id: &str| spans.iter().any(|span| span.contains(id) && span.contains(trace));
        assert!(in_it("continued") && !in_it("begun"), "{spans:#?}");
        assert!(spans.iter().any(|span| span.contains("begun")), "{spans:#?}");
    })
    .await;
}
