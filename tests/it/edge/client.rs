//! Clients of the running program: gRPC with its headers and trailers in sight, gRPC-Web by hand, and raw HTTP/2.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Status, transport::Channel};
use tonic_types::StatusExt;

use crate::support::{Server, rpc};
use crate::transcoding::client::{Answer, raw, send};

pub const JSON: (&str, &str) = ("Content-Type", "application/json");
/// A public method.
pub const PLANS: &str = "/switchboard.billing.v1.PlanService/ListPlans";
pub const SIGN_UP: &str = "/switchboard.tenant.v1.AuthService/SignUp";
pub const SUBSCRIBE: &str = "/switchboard.tenant.v1.EventService/Subscribe";

/// How a call over gRPC or gRPC-Web went.
#[derive(Debug)]
pub struct Called {
    /// Of the HTTP answer.
    pub http: u16,
    pub headers: HeaderMap,
    pub messages: Vec<Bytes>,
    pub status: Status,
}

impl Called {
    /// The word in `google.rpc.ErrorInfo`.
    pub fn reason(&self) -> String {
        self.status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
    }

    pub fn retry(&self) -> Option<Duration> {
        self.status.get_details_retry_info().and_then(|info| info.retry_delay)
    }
}

pub fn address(server: &Server) -> SocketAddr {
    server.address().parse().unwrap()
}

/// A connection of HTTP/2 with prior knowledge, that leaves every header to the server: tonic's own client would watch
/// deadlines itself.
#[derive(Clone)]
pub struct Connection {
    server: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

pub async fn connect(server: SocketAddr) -> Connection {
    let stream = TcpStream::connect(server).await.unwrap();
    let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    Connection { server, sender }
}

/// A connection for generated clients.
pub async fn channel(server: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{server}")).unwrap().connect().await.unwrap()
}

/// A message of the request type of `method`, encoded.
pub fn message(method: &str, request: &Value) -> Vec<u8> {
    let method = method.trim_start_matches('/').replace('/', ".");
    let input = rpc::method(&method).input();
    DynamicMessage::deserialize(input, request.clone()).unwrap().encode_to_vec()
}

pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}

/// A call over gRPC, to its end.
pub async fn call(connection: &Connection, path: &str, headers: &[(&str, &str)], message: &[u8]) -> Called {
    let mut request = Request::post(format!("http://{}{path}", connection.server))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(frame(message)))).unwrap();
    let (head, body) = connection.sender.clone().send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap();
    let trailers = body.trailers().cloned();
    let status = Status::from_header_map(&head.headers).or_else(|| Status::from_header_map(&trailers?));
    let (messages, none) = frames(&body.to_bytes());
    assert!(none.is_none(), "trailers are no frame in gRPC");
    let status = status.unwrap_or_else(|| panic!("no status: HTTP {} {:?}", head.status, head.headers));
    Called { http: head.status.as_u16(), headers: head.headers, messages, status }
}

/// A call over gRPC-Web on HTTP/1.1, to its end.
pub async fn web(server: SocketAddr, path: &str, headers: &[(&str, &str)], message: &[u8]) -> Called {
    let kind = [("Content-Type", "application/grpc-web+proto"), ("X-Grpc-Web", "1")];
    web_answer(
        &send(server, "POST", path, &[&kind[..], headers].concat(), Some(&frame(message))).await,
        false,
    )
}

/// What a browser reads in an answer, in base64 if `text`.
pub fn web_answer(answer: &Answer, text: bool) -> Called {
    let mut headers = HeaderMap::new();
    for (name, value) in &answer.headers {
        headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let body = if text { unbase64(&answer.body) } else { answer.body.clone() };
    let (messages, trailers) = frames(&body);
    let status = Status::from_header_map(&headers).or_else(|| Status::from_header_map(&trailers?));
    let status = status.unwrap_or_else(|| panic!("no status: {} {}", answer.status, answer.text()));
    Called { http: answer.status, headers, messages, status }
}

/// Each frame of gRPC-Web's text form is base64 of its own.
fn unbase64(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    for part in text.split(|byte| *byte == b'=').filter(|part| !part.is_empty()) {
        let padded = [part, &b"==="[..(4 - part.len() % 4) % 4]].concat();
        plain.extend(BASE64_STANDARD.decode(padded).unwrap());
    }
    plain
}

/// The messages, and what the frame of trailers holds.
fn frames(mut data: &[u8]) -> (Vec<Bytes>, Option<HeaderMap>) {
    let (mut messages, mut trailers) = (Vec::new(), None);
    while let [flag, a, b, c, d, rest @ ..] = data {
        let (frame, after) = rest.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        if flag & 0x80 == 0 {
            messages.push(Bytes::copy_from_slice(frame));
        } else {
            let lines = std::str::from_utf8(frame).unwrap().lines();
            let pairs = lines.filter_map(|line| line.split_once(':'));
            let pairs = pairs
                .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.trim().parse().unwrap()));
            trailers = Some(pairs.collect());
        }
        data = after;
    }
    (messages, trailers)
}

/// A new tenant's owner; answers the token, ready for the header `authorization`.
pub async fn sign_up(server: SocketAddr) -> String {
    let account = json!({"email": "owner@example.com", "password": "Correct-horse-9", "tenantName": "Shop"});
    let answer = send(server, "POST", "/v1/auth:signUp", &[JSON], Some(account.to_string().as_bytes())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    format!("Bearer {}", answer.json()["sessionToken"].as_str().unwrap())
}

/// Sends these bytes; answers the head of the answer and leaves the rest to come.
pub async fn open(server: SocketAddr, request: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(patiently(stream.read_u8()).await.expect("a head"));
    }
    (String::from_utf8(head).unwrap(), stream)
}

/// Opens the tenant's event stream over REST.
pub async fn subscribe(server: SocketAddr, token: &str) -> TcpStream {
    let (head, stream) = open(
        server,
        &format!(
            "GET /v1/events:subscribe?after_seq=0 HTTP/1.1\r\nHost: {server}\r\nAuthorization: {token}\r\n\
             Accept: text/event-stream\r\n\r\n"
        ),
    )
    .await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    stream
}

/// Everything until the peer closes.
pub async fn rest_of(mut stream: TcpStream) -> String {
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = patiently(stream.read_to_end(&mut rest)).await;
    String::from_utf8_lossy(&rest).into_owned()
}

/// Waits for what is expected to come; far longer than it should take.
pub async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it happens in time")
}

/// A client of HTTP, to be told more.
pub fn reqwest() -> reqwest::ClientBuilder {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// Sends raw bytes as one HTTP/1.1 request and reads the answer.
pub async fn bytes(server: SocketAddr, request: &[u8]) -> Answer {
    raw(server, request, false).await
}

/// An HTTP/2 peer that does as it is told and nothing else: it acknowledges nothing by itself.
pub struct Peer(TcpStream);

/// One frame of HTTP/2.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub payload: Vec<u8>,
}

pub const PING: u8 = 6;
pub const GO_AWAY: u8 = 7;

impl Peer {
    /// Sends the preface and empty SETTINGS.
    pub async fn connect(server: SocketAddr) -> Self {
        let mut peer = Self(TcpStream::connect(server).await.unwrap());
        peer.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        peer.send(4, 0, 0, &[]).await;
        peer
    }

    /// A frame; that the server may be gone already is for `next` to see.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.write(&[&head, payload].concat()).await;
    }

    /// These bytes, as far as the server takes them.
    pub async fn write(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    /// The next frame; None when the server has closed.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        patiently(self.0.read_exact(&mut head)).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        patiently(self.0.read_exact(&mut payload)).await.ok()?;
        Some(Frame { kind: head[3], payload })
    }

    /// Reads until a frame of this kind.
    pub async fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }
}
