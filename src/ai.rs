//! Drafting replies: a language model over HTTP, or the built-in drafter that needs none.
//!
//! Both get the same question, history and sources, and both leave a record of every call: the hash of the
//! request, the answer as it came, tokens, cost and time. From the recorded answer the same draft can be read
//! again without a call.

mod offline;
mod openai;
mod prompt;
mod templates;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use openai::OpenAi;

use crate::config::Model;
use crate::domain::{
    decision::{self, Inputs},
    intent::Intent,
    retrieval::{self, DocumentType, Hit, SourceKind},
};

/// Where drafts come from. Cheap to clone.
#[derive(Clone)]
pub enum Ai {
    /// Retrieval and templates; calls nobody.
    Offline,
    /// Any server that speaks the OpenAI chat completions API.
    OpenAi(Arc<OpenAi>),
}

/// What the platform switches for all tenants at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches {
    /// Off: every draft waits for a person.
    pub engine: bool,
    /// Off: nothing is sent by itself, whatever tenants set.
    pub autosend: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self { engine: true, autosend: true }
    }
}

/// What a draft is made from. Serialised, it is what the request hash covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftInput {
    /// The customer's turn: its texts parted by empty lines.
    pub question: String,
    /// What was said before, oldest first; at most six entries.
    pub history: Vec<Turn>,
    /// IETF tag of the language to answer in.
    pub language: String,
    /// The business that answers.
    pub business: String,
    /// Best first.
    pub hits: Vec<Hit>,
}

/// One earlier message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    pub from_customer: bool,
    pub text: String,
}

/// A drafted reply with what its drafter thinks of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// At most 4,000 characters.
    pub reply: String,
    pub intent: Intent,
    pub intent_bp: i32,
    pub self_check_bp: i32,
    pub needs_handoff: bool,
    pub self_check_reasons: Vec<String>,
    /// The model that wrote it; "offline" for the built-in drafter.
    pub model: String,
    pub calls: Vec<Call>,
}

/// What a call was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Draft,
    SelfCheck,
}

impl Purpose {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::SelfCheck => "self_check",
        }
    }
}

/// One call, as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub purpose: Purpose,
    pub model: String,
    /// SHA-256 of the request, in hex.
    pub request_hash: String,
    /// The content of the answer as it came; empty when there was none.
    pub response: String,
    pub input_tokens: i32,
    pub output_tokens: i32,
    /// Billionths of a US dollar.
    pub cost_nanos: i64,
    pub latency_ms: i32,
    /// Why the answer could not be used.
    pub problem: Option<String>,
}

/// No draft came about. The calls that were made are recorded all the same.
#[derive(Debug, thiserror::Error)]
#[error("{problem}")]
pub struct Fault {
    /// Whether another try may help: timeouts, overload, server errors.
    pub retry: bool,
    /// When the server said how long to wait.
    pub after: Option<std::time::Duration>,
    pub problem: String,
    pub calls: Vec<Call>,
}

impl Ai {
    /// The model that the settings name; without one, the built-in drafter.
    pub fn new(model: Option<&Model>) -> Self {
        match model {
            None => Self::Offline,
            Some(model) => Self::OpenAi(Arc::new(OpenAi::new(model))),
        }
    }

    /// Drafts a reply and checks it.
    pub async fn draft(&self, input: &DraftInput) -> Result<Draft, Fault> {
        match self {
            Self::Offline => Ok(offline::draft(input)),
            Self::OpenAi(server) => server.draft(input).await,
        }
    }

    /// The built-in drafter, for when the model cannot be reached.
    pub fn draft_offline(input: &DraftInput) -> Draft {
        offline::draft(input)
    }
}

/// The facts that the rules of [`decision`] judge a draft by.
pub fn inputs(draft: &Draft, hits: &[Hit]) -> Inputs {
    let products = || hits.iter().map(|hit| &hit.passage).filter(|p| p.kind == SourceKind::Product);
    let delivery = |hit: &Hit| {
        hit.passage.document_type == Some(DocumentType::Delivery) || hit.passage.delivery.is_some()
    };
    Inputs {
        similarity_bp: hits.iter().map(|hit| hit.similarity_bp).max().unwrap_or(0),
        intent: draft.intent,
        intent_bp: draft.intent_bp,
        self_check_bp: draft.self_check_bp,
        handoff: draft.needs_handoff,
        sources: u32::try_from(hits.len()).unwrap_or(u32::MAX),
        price_found: products().any(|product| product.price.is_some()),
        availability_found: products().any(|product| product.in_stock.is_some()),
        delivery_found: hits.iter().any(delivery),
        conflicts: retrieval::conflict(hits),
        stale: false,
        mentions_offer: decision::mentions_offer(&draft.reply),
    }
}

/// The key of a recorded answer.
fn hash(request: &[u8]) -> String {
    hex::encode(Sha256::digest(request))
}

/// A reply that a messenger takes: at most 4,000 characters.
fn bounded(reply: &str) -> String {
    reply.trim().chars().take(4_000).collect()
}
