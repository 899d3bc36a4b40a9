//! An OpenAI-compatible model that thinks nothing: the same prompt gets the same answer.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::{Fate, State, routes::Call};

pub(super) async fn complete(state: &State, call: &Call) -> Response {
    match state.fate() {
        Fate::Serve => {}
        Fate::LoseAnswer => return state.hang().await,
        Fate::Outage => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Fate::FailInside => return error(500, "The server had an error", None),
        Fate::Fail(code) => return error(u16::try_from(code).unwrap_or(500), "injected", None),
        Fate::Limit(seconds) => return error(429, "Rate limit reached", Some(seconds)),
    }
    let request = call.json();
    let Some(messages) = request["messages"].as_array().filter(|messages| !messages.is_empty()) else {
        return error(400, "'messages' must be a list that is not empty", None);
    };
    if request["stream"] == true {
        return error(400, "the sandbox does not stream", None);
    }
    let asked =
        messages.iter().rev().find(|message| message["role"] == "user").map(content).unwrap_or_default();
    let reply = reply(&asked);
    let content = match request["response_format"]["type"].as_str() {
        Some("json_schema") => {
            fill(&request["response_format"]["json_schema"]["schema"], "reply", &reply).to_string()
        }
        Some("json_object") => {
            json!({"reply": reply, "intent": intent(&asked), "confidence": 0.8}).to_string()
        }
        _ => reply,
    };
    let prompt_tokens: usize = messages.iter().map(|message| tokens(&self::content(message))).sum();
    let completion_tokens = tokens(&content);
    Json(json!({
        "id": format!("chatcmpl-sandbox-{prompt_tokens}-{completion_tokens}"),
        "object": "chat.completion",
        "created": state.env.now().timestamp(),
        "model": request["model"].as_str().unwrap_or("sandbox"),
        "choices": [{
            "index": 0,
            "message": {"role": "assistant", "content": content},
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }))
    .into_response()
}

/// The text of a message, whether whole or in parts.
fn content(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            parts.iter().filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join(" ")
        }
        _ => String::new(),
    }
}

/// The last line of the prompt is what the customer said.
fn reply(asked: &str) -> String {
    let last = asked.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let quoted: String = last.chars().take(120).collect();
    match intent(asked) {
        "price" => format!(
            "Thank you for asking about the price. You wrote: \"{quoted}\". I will send you the exact amount."
        ),
        "delivery" => format!("We deliver within three to seven days. You wrote: \"{quoted}\"."),
        "complaint" => "I am sorry about that. A colleague will look into it at once.".to_owned(),
        _ => format!("Thank you for your message. You wrote: \"{quoted}\"."),
    }
}

fn intent(asked: &str) -> &'static str {
    let asked = asked.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| asked.contains(word));
    if says(&["complain", "refund", "broken", "жалоб", "брак"]) {
        "complaint"
    } else if says(&["price", "cost", "how much", "цена", "стоит", "сколько"]) {
        "price"
    } else if says(&["deliver", "ship", "достав"]) {
        "delivery"
    } else {
        "other"
    }
}

/// About four bytes to a token.
fn tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

/// A value that fits a JSON schema; texts hold the reply.
fn fill(schema: &Value, name: &str, reply: &str) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("string") => reply.into(),
        Some("number") => json!(0.8),
        Some("integer") => json!(if name.contains("confidence") { 80 } else { 1 }),
        Some("boolean") => false.into(),
        Some("array") => json!([]),
        Some("null") => Value::Null,
        _ => {
            let members = schema["properties"].as_object().into_iter().flatten();
            let filled = members.map(|(name, schema)| (name.clone(), fill(schema, name, reply)));
            Value::Object(filled.collect::<Map<_, _>>())
        }
    }
}

fn error(status: u16, message: &str, retry_after: Option<u64>) -> Response {
    let body = Json(json!({"error": {"message": message, "type": "sandbox_error", "code": status}}));
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, body).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_fits_the_schema() {
        let schema = json!({"type": "object", "properties": {
            "reply": {"type": "string"},
            "intent": {"type": "string", "enum": ["price", "other"]},
            "confidence": {"type": "number"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "nested": {"type": "object", "properties": {"ok": {"type": "boolean"}}},
        }});
        let filled = fill(&schema, "", "Yes.");
        let expected = json!({"reply": "Yes.", "intent": "price", "confidence": 0.8, "tags": [],
            "nested": {"ok": false}});
        assert_eq!(filled, expected);
    }

    #[test]
    fn the_same_question_gets_the_same_answer() {
        assert_eq!(reply("context\nHow much is it?\n"), reply("context\nHow much is it?\n"));
        assert_eq!(intent("Сколько стоит доставка?"), "price");
    }
}
