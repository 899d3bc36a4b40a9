//! Bytes that are no request at all.

use std::time::Duration;

use bytes::BufMut;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, Value};
use serde_json::json;
use tonic::Code;

use super::world::{World, refused, said};
use crate::support::{both, rpc};

const MOST: usize = 2 * 1024 * 1024;

/// Malformed JSON, unknown fields, wrong types, bad UTF-8, one byte too many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_no_request_is_refused_and_writes_nothing() {
    both(async |pair| {
        let world = World::start(&pair).await;
        let path = format!("/v1/conversations/{}/messages", world.open.conversation);
        let huge = |bytes: usize| {
            let mut body = br#"{"text":""#.to_vec();
            body.resize(bytes - 2, b'a');
            body.extend_from_slice(b"\"}");
            body
        };
        const INVALID: (u16, Code) = (400, Code::InvalidArgument);
        const LARGE: (u16, Code) = (413, Code::ResourceExhausted);
        for (what, body, (status, code), names) in [
            ("half a body", br#"{"text": "#.to_vec(), INVALID, "JSON"),
            ("a list", b"[1, 2]".to_vec(), INVALID, "object"),
            ("words", b"text=hello".to_vec(), INVALID, "JSON"),
            ("an unknown field", br#"{"text":"x","txet":"y"}"#.to_vec(), INVALID, "txet"),
            (
                "an unknown field inside",
                br#"{"text":"x","precondition":{"expectedVersoin":"1"}}"#.to_vec(),
                INVALID,
                "expectedVersoin",
            ),
            ("a number for a text", br#"{"text": 7}"#.to_vec(), INVALID, "text"),
            (
                "a text for a message",
                br#"{"text":"x","precondition":"yes"}"#.to_vec(),
                INVALID,
                "precondition",
            ),
            ("bad UTF-8", b"{\"text\":\"\xff\xfe\"}".to_vec(), INVALID, "unicode"),
            ("the character NUL", br#"{"text":"a\u0000b"}"#.to_vec(), INVALID, "text"),
            (
                "NUL inside",
                br#"{"text":"x","precondition":{"lastMessageId":"\u0000"}}"#.to_vec(),
                INVALID,
                "precondition.last_message_id",
            ),
            ("half a surrogate pair", br#"{"text":"\ud83d"}"#.to_vec(), INVALID, "escape"),
            ("a field twice", br#"{"text":"x","text":"y"}"#.to_vec(), INVALID, "text"),
            ("a text of nearly 2 MiB", huge(MOST - 64), INVALID, "text"),
            ("2 MiB and a byte", huge(MOST + 1), LARGE, "2097152"),
        ] {
            let before = world.rows().await;
            let answer = world.rest("POST", &path, &world.owner.token, Some(&body)).await;
            let refusal = said(&answer);
            assert_eq!((answer.status, refusal.code), (status, code), "{what}: {refusal:?}");
            assert!(!refusal.reason.is_empty(), "{what}: {}", answer.text());
            assert!(refusal.words.contains(names), "{what} does not name {names}: {refusal:?}");
            assert_eq!(world.rows().await, before, "{what}: something was written");
        }
        world.stop().await;
    })
    .await;
}

/// The same for gRPC: text that is none, a message that is none, one byte too many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_none_is_refused_and_writes_nothing() {
    both(async |pair| {
        let world = World::start(&pair).await;
        let field = |number: u8, bytes: &[u8]| {
            let mut message = vec![number << 3 | 2];
            prost::encoding::encode_varint(bytes.len() as u64, &mut message);
            message.put_slice(bytes);
            message
        };
        let to = field(1, world.open.conversation.as_bytes());
        let text = |bytes: &[u8]| [to.clone(), field(3, bytes)].concat();
        // Tag and length of the text take four bytes at this size.
        let huge = |bytes: usize| text(&vec![b'a'; bytes - to.len() - 4]);
        assert_eq!(huge(MOST).len(), MOST);
        for (what, message, code, reason, names) in [
            ("bad UTF-8", text(b"\xff\xfe"), Code::InvalidArgument, "INVALID_FIELD", "request"),
            ("the character NUL", text(b"a\0b"), Code::InvalidArgument, "INVALID_FIELD", "text"),
            ("half a message", to[..9].to_vec(), Code::InvalidArgument, "INVALID_FIELD", "request"),
            ("no message", vec![0x0f, 0xff], Code::InvalidArgument, "INVALID_FIELD", "request"),
            (
                "2 MiB, which is too long for a text",
                huge(MOST),
                Code::InvalidArgument,
                "INVALID_FIELD",
                "text",
            ),
            ("2 MiB and a byte", huge(MOST + 1), Code::ResourceExhausted, "REQUEST_TOO_LARGE", "2097152"),
        ] {
            let before = world.rows().await;
            let answer = world.grpc_bytes("SendMessage", &world.owner.token, &message).await;
            let refusal = refused(answer.err().unwrap_or_else(|| panic!("{what}: not refused")));
            assert_eq!((refusal.code, refusal.reason.as_str()), (code, reason), "{what}: {refusal:?}");
            assert!(refusal.words.contains(names), "{what} does not name {names}: {refusal:?}");
            assert_eq!(world.rows().await, before, "{what}: something was written");
        }
        world.stop().await;
    })
    .await;
}

/// No method takes what is no message for an error of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_method_calls_bytes_that_are_no_message_an_internal_error() {
    both(async |pair| {
        let world = World::start(&pair).await;
        let before = world.rows().await;
        let mut blamed = Vec::new();
        for method in rpc::methods() {
            let answer = world.grpc_bytes(method.full_name(), &world.owner.token, &[0x0f, 0xff]).await;
            let code = answer.err().map(|refusal| refusal.code);
            // Platform staff's methods refuse the caller first.
            if !matches!(code, Some(Code::InvalidArgument | Code::PermissionDenied)) {
                blamed.push(format!("{}: {code:?}", method.full_name()));
            }
        }
        assert_eq!(blamed, Vec::<String>::new());
        assert_eq!(world.rows().await, before);
        let empty = json!({});
        assert!(world.grpc("GetTenant", &world.owner.token, empty).await.is_ok());
        world.stop().await;
    })
    .await;
}

/// PostgreSQL has no place for NUL in a text: every field of every method refuses it, on both databases alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_method_takes_nul_in_a_text() {
    both(async |pair| {
        let world = World::start(&pair).await;
        let before = world.rows().await;
        let (mut asked, mut taken) = (0, Vec::new());
        for method in rpc::methods() {
            let input = method.input();
            for field in input.fields().filter(|field| field.kind() == Kind::String) {
                let mut request = DynamicMessage::new(input.clone());
                let text = Value::String("a\0b".to_owned());
                let text = if field.is_list() { Value::List(vec![text]) } else { text };
                request.set_field(&field, text);
                let request = request.encode_to_vec();
                let answer = world.grpc_bytes(method.full_name(), &world.owner.token, &request);
                asked += 1;
                // A stream that takes it never ends.
                match tokio::time::timeout(Duration::from_secs(30), answer).await.unwrap_or(Ok(Vec::new())) {
                    // Platform staff's methods refuse the caller first.
                    Err(refusal) if refusal.code == Code::PermissionDenied => {}
                    Err(refusal) => {
                        let named = refusal.fields.iter().any(|named| named.contains(field.name()));
                        if refusal.code != Code::InvalidArgument || !named {
                            taken.push(format!("{}: {refusal:?}", field.full_name()));
                        }
                    }
                    Ok(_) => taken.push(field.full_name().to_owned()),
                }
            }
        }
        assert_eq!(taken, Vec::<String>::new());
        assert!(asked > 60, "only {asked} texts");
        assert_eq!(world.rows().await, before);
        world.stop().await;
    })
    .await;
}
