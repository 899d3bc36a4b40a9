//! One tenant with a WhatsApp number, and the requests that the world sends it.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use http::{Request, Response, header};
use http_body_util::Full;
use prost::Message;
use serde_json::{Value, json};
use switchboard::{
    domain::signature,
    wire::conversation::v1::{ListConversationsRequest, ListConversationsResponse},
};

use super::generator::{Load, Make, Outcome, Wire, ask, press};

/// Customers, each with one conversation.
pub const CUSTOMERS: u64 = 300;

const APP_SECRET: &str = "the app secret of a benchmark";
const NUMBER: &str = "15550001111";
/// Added to a customer's number: what WhatsApp calls the customer.
pub const FIRST_CUSTOMER: u64 = 491_500_000_000;

/// A tenant at work. Cheap to clone.
#[derive(Clone)]
pub struct Shop {
    pub token: Arc<str>,
    pub channel: Arc<str>,
}

impl Shop {
    /// Signs up and connects a number.
    pub async fn open(address: &str) -> Self {
        let owner = json!({"email": "owner@bench.example", "password": "Abcdefg1", "tenantName": "Bench"});
        let session = rest(address, "/v1/auth:signUp", "", &owner).await;
        let token = session["sessionToken"].as_str().expect("a session").to_owned();
        let account = json!({
            "name": "WhatsApp",
            "whatsapp": {"phoneNumberId": NUMBER, "apiBaseUrl": "http://127.0.0.1:9"},
            "whatsappSecrets": {"accessToken": "t0ken", "appSecret": APP_SECRET},
        });
        let created = rest(address, "/v1/channels", &token, &account).await;
        let channel = created["channel"]["id"].as_str().expect("a channel").to_owned();
        Self { token: token.into(), channel: channel.into() }
    }

    /// Has every customer say so much before the measurement.
    pub async fn fill(&self, address: &str, said: u64) {
        for customer in 0..CUSTOMERS {
            let items: Vec<_> =
                (0..said).map(|n| text(customer, &format!("wamid.fill.{customer}.{n}"))).collect();
            let answer = ask(address, Wire::Http1, self.signed(address, customer, &items)).await;
            assert!(fine_http(&answer), "{answer:?}");
        }
    }

    /// The webhook of one new message; customers take turns. `run` tells the runs of one bench apart.
    pub fn webhook(&self, address: &str, run: u64, number: u64) -> Request<Full<Bytes>> {
        let customer = number % CUSTOMERS;
        // As long as Meta's own.
        let id = format!("wamid.HBgMNDkxNTUwMDAwMDAwFQIAEhg{run:08}{number:012}AA==");
        self.signed(address, customer, &[text(customer, &id)])
    }

    fn signed(&self, address: &str, customer: u64, messages: &[Value]) -> Request<Full<Bytes>> {
        let name = format!("Customer {customer}");
        let value = json!({
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550001111", "phone_number_id": NUMBER},
            "contacts": [{"profile": {"name": name}, "wa_id": wa_id(customer)}],
            "messages": messages,
        });
        let entry = json!([{"id": "102290129340398", "changes": [{"field": "messages", "value": value}]}]);
        let body = json!({"object": "whatsapp_business_account", "entry": entry}).to_string();
        Request::post(format!("/webhooks/whatsapp/{}", self.channel))
            .header(header::HOST, address)
            .header(header::CONTENT_TYPE, "application/json")
            .header("x-hub-signature-256", signature::meta(APP_SECRET, body.as_bytes()))
            .body(Full::new(body.into()))
            .expect("a request")
    }

    /// A gRPC call of `method` (`Service.Method` of the conversation package).
    pub fn call(&self, address: &str, method: &str, message: &impl Message) -> Request<Full<Bytes>> {
        let path = method.replace('.', "/");
        Request::post(format!("http://{address}/switchboard.conversation.v1.{path}"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Full::new(framed(message)))
            .expect("a request")
    }

    /// `GET path`, or `POST path` with a body.
    pub fn rest(&self, address: &str, path: &str, body: Option<&Value>) -> Request<Full<Bytes>> {
        request(address, path, &self.token, body)
    }

    /// The ids of all conversations.
    pub async fn conversations(&self, address: &str) -> Vec<String> {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let list = ListConversationsRequest { page_size: 200, page_token, ..Default::default() };
            let asked = self.call(address, "ConversationService.ListConversations", &list);
            let answer = ask(address, Wire::Http2, asked).await;
            assert!(fine_grpc(&answer), "{answer:?}");
            let page: ListConversationsResponse = unframed(answer.body());
            found.extend(page.conversations.into_iter().map(|conversation| conversation.id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return found;
            }
        }
    }

    /// Has webhooks of new messages come in.
    pub async fn ingest(&self, address: &str, load: Load, run: u64) -> Outcome {
        let (shop, to) = (self.clone(), address.to_owned());
        let make: Make = Arc::new(move |number| shop.webhook(&to, run, number));
        press(address, Wire::Http1, load, make, fine_http).await
    }
}

/// What WhatsApp calls a customer.
fn wa_id(customer: u64) -> String {
    (FIRST_CUSTOMER + customer).to_string()
}

fn text(customer: u64, id: &str) -> Value {
    let words = "Hello, is the blue one still there, and what does it cost with delivery to Berlin?";
    #[expect(clippy::disallowed_methods, reason = "what a messenger's clock says")]
    let now = chrono::Utc::now().timestamp().to_string();
    json!({"from": wa_id(customer), "id": id, "timestamp": now, "type": "text", "text": {"body": words}})
}

fn request(address: &str, path: &str, token: &str, body: Option<&Value>) -> Request<Full<Bytes>> {
    let request = if body.is_some() { Request::post(path) } else { Request::get(path) };
    let mut request = request.header(header::HOST, address).header(header::CONTENT_TYPE, "application/json");
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    request.body(Full::new(body)).expect("a request")
}

async fn rest(address: &str, path: &str, token: &str, body: &Value) -> Value {
    let answer = ask(address, Wire::Http1, request(address, path, token, Some(body))).await;
    assert!(fine_http(&answer), "{path}: {answer:?}");
    serde_json::from_slice(answer.body()).expect("JSON")
}

/// A message with the prefix that gRPC puts before it.
pub fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(length + 5);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).expect("a small message"));
    message.encode(&mut bytes).expect("there is room");
    bytes.freeze()
}

/// The only message of an answer.
pub fn unframed<M: Message + Default>(body: &Bytes) -> M {
    M::decode(&body[5..]).expect("the answer's message")
}

pub fn fine_http(answer: &Response<Bytes>) -> bool {
    answer.status() == 200
}

pub fn fine_grpc(answer: &Response<Bytes>) -> bool {
    answer.status() == 200 && answer.headers().get("grpc-status").is_some_and(|status| status == "0")
}
