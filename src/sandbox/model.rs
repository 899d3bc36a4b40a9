//! An OpenAI-compatible model that thinks nothing: the same prompt gets the same answer.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use super::{Fate, State, routes::Call};
use crate::domain::intent::{Guess, Intent, guess};

pub(super) async fn complete(state: &State, call: &Call) -> Response {
    match state.fate() {
        Fate::Serve => {}
        Fate::LoseAnswer => return state.hang().await,
        Fate::Outage => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Fate::FailInside | Fate::Lie => return error(500, "The server had an error", None),
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
    let said =
        messages.iter().rev().find(|message| message["role"] == "user").map(content).unwrap_or_default();
    let asked = Asked::read(&said);
    let content = match request["response_format"]["type"].as_str() {
        Some("json_schema") => {
            fill(&request["response_format"]["json_schema"]["schema"], "reply", &asked.reply()).to_string()
        }
        Some("json_object") => asked.object().to_string(),
        _ => asked.reply(),
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

/// What a prompt asks.
struct Asked {
    question: String,
    /// The best source that came with it: its title, and its price or its text.
    source: Option<String>,
    /// Whether a reply came along that is to be judged.
    judge: bool,
}

impl Asked {
    /// Reads a prompt that is a JSON object with a `question`; of any other text, the last line is the question.
    fn read(prompt: &str) -> Self {
        let context: Value = serde_json::from_str(prompt).unwrap_or_default();
        let last_line = || prompt.lines().map(str::trim).rfind(|line| !line.is_empty());
        let question = context["question"].as_str().or_else(last_line).unwrap_or_default().to_owned();
        let first = &context["sources"][0];
        let fact = first["price"].as_str().or_else(|| first["text"].as_str());
        let source =
            fact.map(|fact| format!("{}: {fact}", first["title"].as_str().unwrap_or("From our notes")));
        Self { question, source, judge: context["reply"].is_string() }
    }

    fn reply(&self) -> String {
        match &self.source {
            Some(source) => format!("Thank you for your message. {}.", source.trim_end_matches('.')),
            None => {
                let quoted: String = self.question.chars().take(120).collect();
                format!("Thank you for your message. You wrote: \"{quoted}\". A colleague will answer soon.")
            }
        }
    }

    /// The answer to whoever wants a draft, or wants one judged.
    fn object(&self) -> Value {
        let score = if self.source.is_some() { 0.92 } else { 0.5 };
        if self.judge {
            return json!({"score": score, "needHandoff": false, "reasons": []});
        }
        let Guess { intent, probability_bp } = guess(&self.question);
        json!({
            "reply": self.reply(),
            "intent": intent.word(),
            "intentProbability": f64::from(probability_bp) / 10_000.0,
            "needsHandoff": intent == Intent::Complaint,
        })
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
    fn the_same_question_gets_the_same_answer_from_its_source() {
        let prompt = json!({"question": "How much is the grinder?", "history": [],
            "sources": [{"title": "Grinder", "price": "199.00 EUR", "text": "Burrs of steel."}]});
        let answer = Asked::read(&prompt.to_string()).object();
        assert_eq!(answer["reply"], "Thank you for your message. Grinder: 199.00 EUR.");
        assert_eq!((&answer["intent"], &answer["needsHandoff"]), (&json!("price"), &json!(false)));
        assert_eq!(answer, Asked::read(&prompt.to_string()).object());

        let judged = json!({"question": "q", "reply": "r", "sources": []});
        assert_eq!(Asked::read(&judged.to_string()).object()["score"], 0.5);
        assert!(Asked::read("context\n\nHow much is it?\n").reply().contains("\"How much is it?\""));
    }
}
