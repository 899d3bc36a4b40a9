//! An HTTP/1.1 client that sends exactly what it is told: other clients normalise paths and headers.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The body came to its proper end.
    pub complete: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends a request and reads the answer to its end.
pub async fn send(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&[u8]>,
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body
        && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"))
    {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    let request = [head.as_bytes(), b"\r\n", body.unwrap_or_default()].concat();
    raw(server, &request, method == "HEAD").await
}

/// Sends these bytes and reads the answer to its end.
pub async fn raw(server: SocketAddr, request: &[u8], no_body: bool) -> Answer {
    tokio::time::timeout(PATIENCE, exchange(server, request, no_body)).await.expect("an answer in time")
}

async fn exchange(server: SocketAddr, request: &[u8], no_body: bool) -> Answer {
    let (mut reader, mut writer) = TcpStream::connect(server).await.unwrap().into_split();
    let request = request.to_vec();
    let writing = tokio::spawn(async move {
        // The server may refuse before it has read everything.
        let _ = writer.write_all(&request).await;
        writer
    });
    let mut bytes = Vec::new();
    let _ = reader.read_to_end(&mut bytes).await;
    drop(writing.await);
    parse(&bytes, no_body)
}

fn parse(bytes: &[u8], no_body: bool) -> Answer {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a complete head");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new(), complete: true };
    let rest = &bytes[end + 4..];
    if no_body {
        assert!(rest.is_empty(), "a body where there can be none");
    } else if answer.header("transfer-encoding") == Some("chunked") {
        (answer.body, answer.complete) = unchunk(rest);
    } else {
        let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.complete = rest.len() == length;
        answer.body = rest.to_vec();
    }
    answer
}

fn unchunk(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else { break };
        body.extend_from_slice(chunk);
        rest = &rest[(end + 4 + size).min(rest.len())..];
    }
    (body, false)
}
