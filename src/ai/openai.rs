//! Any server that speaks `POST {base}/chat/completions`
//! (<https://platform.openai.com/docs/api-reference/chat/create>): one call drafts, a second one judges.

use std::time::Duration;

use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Call, Draft, DraftInput, Fault, Purpose, bounded, hash, prompt, templates};
use crate::{
    auth::tls,
    config::Model,
    domain::{explain::Language, intent::Intent, retrieval::basis_points, wait::retry_after},
};

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(45);

/// A client of one server and one model.
pub struct OpenAi {
    http: Client,
    base_url: String,
    model: String,
    api_key: Option<SecretString>,
}

/// What we read of an answer.
#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Usage,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Default, Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: i32,
    #[serde(default)]
    completion_tokens: i32,
    /// US dollars, from servers that say so (OpenRouter, LiteLLM).
    #[serde(default)]
    cost: Option<f64>,
}

impl Usage {
    /// Billionths of a US dollar; zero from servers that name no price.
    fn cost_nanos(&self) -> i64 {
        let nanos = self.cost.unwrap_or_default().clamp(0.0, 1_000_000.0) * 1e9;
        #[expect(clippy::cast_possible_truncation, reason = "clamped above")]
        let nanos = nanos.round() as i64;
        nanos
    }
}

/// What the model makes of a question.
#[derive(Debug, PartialEq)]
pub(super) struct Written {
    pub(super) reply: String,
    pub(super) intent: Intent,
    pub(super) intent_bp: i32,
    pub(super) needs_handoff: bool,
}

/// What the model makes of a reply.
#[derive(Debug, PartialEq)]
pub(super) struct Judged {
    pub(super) score_bp: i32,
    pub(super) needs_handoff: bool,
    pub(super) reasons: Vec<String>,
}

/// Reads a recorded draft; `None` when it is not what was asked for.
pub(super) fn read_draft(content: &str) -> Option<Written> {
    let answer: Value = serde_json::from_str(content).ok()?;
    let reply = bounded(answer.get("reply")?.as_str()?);
    if reply.is_empty() {
        return None;
    }
    Some(Written {
        reply,
        intent: Intent::of(answer.get("intent").and_then(Value::as_str).unwrap_or_default()),
        intent_bp: score(answer.get("intentProbability")),
        needs_handoff: answer.get("needsHandoff").and_then(Value::as_bool).unwrap_or(false),
    })
}

/// Reads a recorded judgement. One that cannot be read is .6 and no hand-over.
pub(super) fn read_check(content: &str) -> Judged {
    let answer: Value = serde_json::from_str(content).unwrap_or_default();
    let reasons = answer.get("reasons").and_then(Value::as_array).cloned().unwrap_or_default();
    Judged {
        score_bp: score(answer.get("score")),
        needs_handoff: answer.get("needHandoff").and_then(Value::as_bool).unwrap_or(false),
        reasons: reasons
            .iter()
            .filter_map(Value::as_str)
            .take(5)
            .map(|reason| reason.chars().take(200).collect())
            .collect(),
    }
}

/// A score from 0 to 1 in basis points; .6 when absent or zero, as the systems before us took it.
fn score(value: Option<&Value>) -> i32 {
    match value.and_then(Value::as_f64) {
        Some(score) if score > 0.0 => basis_points(score),
        _ => 6_000,
    }
}

impl OpenAi {
    /// A client of the endpoint that the settings name.
    pub fn new(model: &Model) -> Self {
        let http = Client::builder()
            .tls_backend_preconfigured(tls::client())
            .user_agent(concat!("switchboard/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(5))
            .timeout(TIMEOUT);
        Self {
            http: http.build().expect("the settings above are valid"),
            base_url: model.base_url.trim_end_matches('/').to_owned(),
            model: model.name.clone(),
            api_key: model.api_key.clone(),
        }
    }

    pub(super) async fn draft(&self, input: &DraftInput) -> Result<Draft, Fault> {
        let mut calls = Vec::new();
        let content = self.ask(Purpose::Draft, prompt::draft(input), 1_024, &mut calls).await?;
        let written = read_draft(&content).unwrap_or_else(|| {
            note(&mut calls, "not the JSON that was asked for");
            let reply = templates::sorry(Language::of(&input.language)).to_owned();
            Written { reply, intent: Intent::Other, intent_bp: 5_000, needs_handoff: false }
        });
        // A judge that cannot be reached judges .6: the draft itself is there.
        let check = prompt::check(input, &written.reply);
        let judged = match self.ask(Purpose::SelfCheck, check, 256, &mut calls).await {
            Ok(content) => read_check(&content),
            Err(fault) => {
                calls = fault.calls;
                read_check("")
            }
        };
        Ok(Draft {
            reply: written.reply,
            intent: written.intent,
            intent_bp: written.intent_bp,
            self_check_bp: judged.score_bp,
            needs_handoff: written.needs_handoff || judged.needs_handoff,
            self_check_reasons: judged.reasons,
            model: self.model.clone(),
            calls,
        })
    }

    /// Makes one call and appends its record to `calls`; a fault takes the records along.
    async fn ask(
        &self,
        purpose: Purpose,
        messages: Value,
        most_tokens: u32,
        calls: &mut Vec<Call>,
    ) -> Result<String, Fault> {
        let body = json!({
            "model": self.model,
            "messages": messages,
            "max_tokens": most_tokens,
            "temperature": 0,
            "response_format": { "type": "json_object" },
        })
        .to_string();
        let mut call = Call {
            purpose,
            model: self.model.clone(),
            request_hash: hash(body.as_bytes()),
            response: String::new(),
            input_tokens: 0,
            output_tokens: 0,
            cost_nanos: 0,
            latency_ms: 0,
            problem: None,
        };
        let started = Instant::now();
        let answer = self.post(body).await;
        call.latency_ms = i32::try_from(started.elapsed().as_millis()).unwrap_or(i32::MAX);
        match answer {
            Ok(Completion { choices, usage }) => {
                call.input_tokens = usage.prompt_tokens;
                call.output_tokens = usage.completion_tokens;
                call.cost_nanos = usage.cost_nanos();
                call.response =
                    choices.into_iter().next().and_then(|choice| choice.message.content).unwrap_or_default();
                let content = call.response.clone();
                calls.push(call);
                Ok(content)
            }
            Err(Problem { retry, after, text }) => {
                call.problem = Some(text.clone());
                calls.push(call);
                Err(Fault { retry, after, problem: text, calls: std::mem::take(calls) })
            }
        }
    }

    async fn post(&self, body: String) -> Result<Completion, Problem> {
        let url = format!("{}/chat/completions", self.base_url);
        let mut request =
            self.http.post(url).header(http::header::CONTENT_TYPE, "application/json").body(body);
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key.expose_secret());
        }
        // Errors of reqwest name the URL: it holds no secret, but what operators see needs no host names.
        let answer = request.send().await.map_err(|error| Problem::passing(&error.without_url()))?;
        let status = answer.status();
        if !status.is_success() {
            let after = answer.headers().get(http::header::RETRY_AFTER);
            let after = after.and_then(|value| retry_after(value.to_str().ok()?));
            let retry = status.is_server_error() || matches!(status.as_u16(), 408 | 409 | 429);
            let text = format!("the model's server answered {}", status.as_u16());
            return Err(Problem { retry, after, text });
        }
        answer.json().await.map_err(|error| Problem::passing(&error.without_url()))
    }
}

/// What went wrong with a call.
struct Problem {
    retry: bool,
    after: Option<Duration>,
    text: String,
}

impl Problem {
    fn passing(error: &reqwest::Error) -> Self {
        let text = if error.is_timeout() { "timed out".to_owned() } else { error.to_string() };
        Self { retry: true, after: None, text }
    }
}

fn note(calls: &mut [Call], problem: &str) {
    if let Some(call) = calls.last_mut() {
        call.problem = Some(problem.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_is_read_from_what_was_recorded() {
        let written = read_draft(
            r#"{"reply":" Yes. ","intent":"price","intentProbability":0.9,"needsHandoff":true,"more":1}"#,
        );
        let expected =
            Written { reply: "Yes.".into(), intent: Intent::Price, intent_bp: 9_000, needs_handoff: true };
        assert_eq!(written, Some(expected));
        let odd = read_draft(r#"{"reply":"x","intent":"dance","intentProbability":7}"#).unwrap();
        assert_eq!((odd.intent, odd.intent_bp), (Intent::Other, 10_000));
        assert_eq!(read_draft(r#"{"reply":"x"}"#).unwrap().intent_bp, 6_000);
        for broken in ["", "hello", "[]", r#"{"reply":""}"#, r#"{"reply":5}"#, r#"{"intent":"price"}"#] {
            assert_eq!(read_draft(broken), None, "{broken}");
        }
        let long = format!(r#"{{"reply":"{}"}}"#, "é".repeat(5_000));
        assert_eq!(read_draft(&long).unwrap().reply.chars().count(), 4_000);
    }

    #[test]
    fn a_judgement_that_cannot_be_read_is_six_tenths() {
        let passed = Judged { score_bp: 6_000, needs_handoff: false, reasons: vec![] };
        assert_eq!(read_check("nonsense"), passed);
        let strict = read_check(r#"{"score":0.25,"needHandoff":true,"reasons":["price is made up",4]}"#);
        assert_eq!(strict.score_bp, 2_500);
        assert!(strict.needs_handoff);
        assert_eq!(strict.reasons, ["price is made up"]);
    }
}
