//! Strangers' clients against the running program: each speaks a wire as its users do, and knows nothing of
//! our Rust code. `scripts/setup` installs them.
use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{Server, both, server::free_port};

const LIST: &str = "switchboard.conversation.v1.ConversationService/ListConversations";
const SIGN_UP: &str = "switchboard.tenant.v1.AuthService/SignUp";
const TENANT: &str = "switchboard.tenant.v1.TenantService/GetTenant";

/// Python's grpcio, which learns the contract by reflection.
#[tokio::test]
async fn python_finds_its_way_by_reflection() {
    both(async |pair| {
        let server = Server::start(&pair, &[]).await;
        let said =
            succeed(Command::new(tool(".venv/bin/python")).arg(tool("reflect.py")).arg(server.address()));
        assert!(said.starts_with("python: "), "{said}");
    })
    .await;
}

/// connect-web in Chromium, from another origin.
#[tokio::test]
async fn a_browser_on_another_origin_calls_and_streams() {
    both(async |pair| {
        let page = free_port();
        let origin = format!("http://127.0.0.1:{page}");
        let server = Server::start(&pair, &[("SWITCHBOARD_CORS_ORIGINS", &origin)]).await;
        let said =
            succeed(Command::new(node()).arg(tool("web.mjs")).args([&server.url(), &page.to_string()]));
        assert!(said.starts_with("web: "), "{said}");
    })
    .await;
}

/// `buf curl`, which stands for grpcurl: gRPC and gRPC-Web, with reflection.
#[tokio::test]
async fn buf_curl_lists_calls_and_shows_details() {
    both(async |pair| {
        let server = Server::start(&pair, &[]).await;
        for protocol in ["grpc", "grpcweb"] {
            let buf = |arguments: &[&str]| {
                let mut command = Command::new(node());
                command.arg(tool("node_modules/.bin/buf"));
                command.args(["curl", "--http2-prior-knowledge", "--protocol", protocol]).args(arguments);
                command
            };
            let methods = succeed(&mut buf(&["--list-methods", &server.url()]));
            assert!(methods.lines().any(|line| line == SIGN_UP), "{methods}");

            let account = account(protocol).to_string();
            let signed_up =
                json(&succeed(&mut buf(&["-d", &account, &format!("{}/{SIGN_UP}", server.url())])));
            let token = format!("authorization: Bearer {}", signed_up["sessionToken"].as_str().unwrap());
            let tenant = json(&succeed(&mut buf(&["-H", &token, &format!("{}/{TENANT}", server.url())])));
            assert_eq!(tenant["name"], protocol);

            let url = format!("{}/{LIST}", server.url());
            let (_, refusal) = fail(&mut buf(&["-H", &token, "-d", r#"{"pageSize": -1}"#, &url]));
            let refusal = json(&refusal);
            assert_eq!(refusal["code"], "invalid_argument", "{refusal}");
            let details = refusal["details"].as_array().unwrap();
            assert!(details.iter().any(|detail| detail["type"] == "google.rpc.BadRequest"), "{refusal}");
        }
    })
    .await;
}

/// curl on the REST side: JSON in and out, errors with details, a stream as Server-Sent Events.
#[tokio::test]
async fn curl_needs_nothing_but_json() {
    both(async |pair| {
        let server = Server::start(&pair, &[]).await;
        let curl = |path: &str, arguments: &[&str]| {
            let mut command = Command::new("curl");
            command.args(["-sS", "-m", "30", "-w", "\n%{http_code}"]).args(arguments);
            let said = succeed(command.arg(format!("{}{path}", server.url())));
            let (body, status) = said.rsplit_once('\n').unwrap();
            (status.parse::<u16>().unwrap(), body.to_owned())
        };

        let (status, refusal) = curl("/v1/tenant", &[]);
        assert_eq!((status, &json(&refusal)["status"]), (401, &json!("UNAUTHENTICATED")));
        let (status, signed_up) = curl("/v1/auth:signUp", &["--json", &account("curl").to_string()]);
        assert_eq!(status, 200, "{signed_up}");
        let token = format!("authorization: Bearer {}", json(&signed_up)["sessionToken"].as_str().unwrap());

        let (status, tenant) = curl("/v1/tenant", &["-H", &token]);
        assert_eq!((status, &json(&tenant)["name"]), (200, &json!("curl")));
        let (status, refusal) = curl("/v1/conversations?page_size=-1", &["-H", &token]);
        let refusal = json(&refusal);
        assert_eq!(status, 400, "{refusal}");
        assert_eq!((&refusal["code"], &refusal["error"]), (&json!(3), &refusal["message"]));
        assert!(refusal["details"].to_string().contains("page_size"), "{refusal}");

        let events = Command::new("curl")
            .args(["-sSN", "-m", "4", "-H", &token, "-H", "accept: text/event-stream"])
            .arg(format!("{}/v1/events:subscribe?after_seq=0", server.url()))
            .output()
            .unwrap();
        let events = String::from_utf8(events.stdout).unwrap();
        assert!(events.lines().any(|line| line.starts_with("data:")), "{events}");
    })
    .await;
}

/// The OpenAPI document, judged by an independent validator.
#[tokio::test]
async fn the_openapi_document_is_valid() {
    both(async |pair| {
        let server = Server::start(&pair, &[]).await;
        let mut curl = Command::new("curl")
            .args(["-sSf", &format!("{}/openapi.json", server.url())])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let document = curl.stdout.take().unwrap();
        let said = succeed(Command::new(tool(".venv/bin/python")).arg(tool("openapi.py")).stdin(document));
        assert!(curl.wait().unwrap().success());
        assert!(said.starts_with("openapi: 3.1"), "{said}");
    })
    .await;
}

fn account(tenant: &str) -> Value {
    json!({"email": format!("{tenant}@example.com"), "password": "Correct-horse-9", "tenantName": tenant})
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub fn tool(name: &str) -> std::path::PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name);
    assert!(path.exists(), "{} is missing: run scripts/setup", path.display());
    path
}

/// The environment's own Node.js where the system's was too old, otherwise the system's.
pub fn node() -> std::path::PathBuf {
    let own = tool(".venv/bin/python").with_file_name("node");
    if own.exists() { own } else { "node".into() }
}

pub fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}\n{complained}", output.status);
    said
}

fn fail(command: &mut Command) -> (String, String) {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?} succeeded");
    (text(&output.stdout), text(&output.stderr))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}
