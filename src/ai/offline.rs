//! The built-in drafter: the sources that retrieval found, put into sentences. It calls nobody, knows nothing
//! that the tenant did not write down, and says the same thing to the same question.

use serde_json::json;

use super::{Call, Draft, DraftInput, Purpose, bounded, hash, templates};
use crate::domain::{
    explain::Language,
    intent::{self, Intent},
    money,
    retrieval::{Hit, LIMITS, Passage, SourceKind, estimate_tokens},
    words,
};

/// The name it signs with.
pub(super) const MODEL: &str = "offline";

/// Longest excerpt of a document in a reply, in characters.
const LONGEST_EXCERPT: usize = 600;

pub(super) fn draft(input: &DraftInput) -> Draft {
    let language = Language::of(&input.language);
    let guess = intent::guess(&input.question);
    let answer = answer(input, guess.intent, language);
    let reply = bounded(&match &answer {
        Answer::Found { text, .. } => format!("{text} {}", templates::anything_else(language)),
        Answer::Nothing => templates::later(language).to_owned(),
    });
    let (self_check_bp, reason) = match answer {
        Answer::Found { similarity_bp, exact: true, .. } if similarity_bp >= LIMITS.confident_bp => {
            (9_000, "every fact comes from the catalogue")
        }
        Answer::Found { similarity_bp, .. } if similarity_bp >= LIMITS.fits_bp => {
            (7_500, "the reply quotes a source that fits")
        }
        Answer::Found { .. } => (5_000, "the reply quotes a source that fits poorly"),
        Answer::Nothing => (3_000, "no source answers the question"),
    };
    let request = serde_json::to_vec(input).expect("an input is plain data");
    let response = json!({
        "reply": reply,
        "intent": guess.intent,
        "intent_bp": guess.probability_bp,
        "self_check_bp": self_check_bp,
    })
    .to_string();
    let tokens = |text: &str| i32::try_from(estimate_tokens(text)).unwrap_or(i32::MAX);
    let call = Call {
        purpose: Purpose::Draft,
        model: MODEL.to_owned(),
        request_hash: hash(&request),
        input_tokens: tokens(&input.question),
        output_tokens: tokens(&reply),
        response,
        cost_nanos: 0,
        latency_ms: 0,
        problem: None,
    };
    Draft {
        reply,
        intent: guess.intent,
        intent_bp: guess.probability_bp,
        self_check_bp,
        needs_handoff: false,
        self_check_reasons: vec![reason.to_owned()],
        model: MODEL.to_owned(),
        calls: vec![call],
    }
}

/// What the sources say.
enum Answer {
    Found {
        text: String,
        similarity_bp: i32,
        /// Every fact is a field of the catalogue, not prose.
        exact: bool,
    },
    Nothing,
}

fn answer(input: &DraftInput, intent: Intent, language: Language) -> Answer {
    let products = fitting(&input.hits, SourceKind::Product);
    let documents = fitting(&input.hits, SourceKind::Document);
    let goods = matches!(
        intent,
        Intent::Price | Intent::Availability | Intent::ReadyToBuy | Intent::PriceObjection | Intent::Other
    );
    let product_leads = match (products.first(), documents.first()) {
        (Some(product), Some(document)) => goods && product.similarity_bp >= document.similarity_bp,
        (Some(_), None) => goods,
        (None, _) => false,
    };
    if product_leads {
        of_products(&products, language)
    } else if let Some(best) = documents.first() {
        Answer::Found {
            text: excerpt(&best.passage, &input.question),
            similarity_bp: best.similarity_bp,
            exact: false,
        }
    } else {
        Answer::Nothing
    }
}

/// The sources of a kind that are about as good as the best one, at most three.
fn fitting(hits: &[Hit], kind: SourceKind) -> Vec<&Hit> {
    let of_kind = || hits.iter().filter(|hit| hit.passage.kind == kind);
    let best = of_kind().map(|hit| hit.similarity_bp).max().unwrap_or(0);
    of_kind().filter(|hit| hit.similarity_bp + 1_000 >= best).take(3).collect()
}

fn of_products(products: &[&Hit], language: Language) -> Answer {
    let mut sentences = Vec::new();
    for Hit { passage: product, .. } in products {
        if let Some(price) = &product.price {
            let price = money::show(price.minor, &price.currency);
            sentences.push(templates::price(language, &product.title, &price));
        }
        if let Some(in_stock) = product.in_stock {
            sentences.push(templates::stock(language, &product.title, in_stock, product.stock_quantity));
        }
        sentences.extend(product.delivery.clone());
    }
    match products.first() {
        Some(best) if !sentences.is_empty() => Answer::Found {
            text: sentences.join(" "),
            similarity_bp: best.similarity_bp,
            exact: products.iter().all(|hit| hit.passage.price.is_some()),
        },
        _ => Answer::Nothing,
    }
}

/// The sentences of a passage that share most words with the question, in their own order.
fn excerpt(passage: &Passage, question: &str) -> String {
    let wanted = words::terms(question).content;
    let sentences: Vec<&str> = sentences(&passage.text);
    let mut scored: Vec<(usize, usize)> = sentences
        .iter()
        .enumerate()
        .map(|(index, sentence)| (words::terms(sentence).content.intersection(&wanted).count(), index))
        .collect();
    scored.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<usize> = Vec::new();
    let mut length = 0;
    for (_, index) in scored.into_iter().take(3) {
        let more = sentences[index].chars().count();
        if chosen.is_empty() || length + more <= LONGEST_EXCERPT {
            chosen.push(index);
            length += more;
        }
    }
    chosen.sort_unstable();
    let text = chosen.into_iter().map(|index| sentences[index]).collect::<Vec<_>>().join(" ");
    text.chars().take(LONGEST_EXCERPT).collect()
}

/// Cuts prose behind full stops, question and exclamation marks that a space follows.
fn sentences(text: &str) -> Vec<&str> {
    let mut rest = text.trim();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let end = rest
            .char_indices()
            .zip(rest.chars().skip(1))
            .find(|((_, c), next)| matches!(c, '.' | '!' | '?') && next.is_whitespace())
            .map_or(rest.len(), |((at, c), _)| at + c.len_utf8());
        let (sentence, after) = rest.split_at(end);
        found.push(sentence);
        rest = after.trim_start();
    }
    found
}

#[cfg(test)]
#[path = "offline_tests.rs"]
mod tests;
