//! Finding the knowledge that fits a question: documents cut into passages, passages ranked by the words
//! they share with it. The same question over the same passages always gives the same answer.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::words;

/// What a passage is cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    Document,
    Product,
}

/// What a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum DocumentType {
    Policy,
    Faq,
    Delivery,
    Returns,
    Other,
}

/// A price to quote, in minor units of its currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    pub minor: i64,
    pub currency: String,
}

/// One passage that may answer, as it stood when it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    pub kind: SourceKind,
    /// Document or product id.
    pub id: String,
    pub version: i64,
    pub title: String,
    pub text: String,
    /// Products only: what may be promised.
    pub price: Option<Quote>,
    pub in_stock: Option<bool>,
    pub stock_quantity: Option<i32>,
    /// How it arrives: a product's delivery terms.
    pub delivery: Option<String>,
    /// Documents only.
    pub document_type: Option<DocumentType>,
}

/// A passage that fits, with how well in basis points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    pub passage: Passage,
    pub similarity_bp: i32,
}

/// How much is looked at and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub products: usize,
    pub documents: usize,
    /// Documents count only while the best product fits less well than this.
    pub confident_bp: i32,
    /// From here on a source fits.
    pub fits_bp: i32,
}

/// 5 products, 3 documents, .7 and .5: the defaults of the systems we replace.
pub const LIMITS: Limits = Limits { products: 5, documents: 3, confident_bp: 7_000, fits_bp: 5_000 };

/// Words that speak of the deal, not of the goods: a passage need not hold them to fit.
const HELPERS: &str = "
    price prices cost costs much many buy order want need like get take stock available availability know tell
    цена цены стоимость стоит сколько купить заказать хочу нужно нужен нужна наличии наличие скажите подскажите
    precio precios cuesta cuanto cuantos comprar pedir quiero necesito disponible tienen vale saber
";

/// The best passages for `question`, best first: ranked by BM25, measured by how much of the question they
/// cover. Passages without a single word of it never come.
pub fn rank(question: &str, passages: Vec<Passage>, limits: Limits) -> Vec<Hit> {
    let wanted = words::terms(question).content;
    let corpus: Vec<BTreeMap<String, u32>> = passages.iter().map(counts).collect();
    let known = Weights::of(&corpus);
    let mut found: Vec<(f64, f64, usize)> = corpus
        .iter()
        .enumerate()
        .map(|(index, terms)| (known.bm25(&wanted, terms), known.coverage(&wanted, terms), index))
        .filter(|(score, ..)| *score > 0.0)
        .collect();
    // Equal scores keep the order in which the passages came: by id.
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.cmp(&b.2)));
    let mut passages: Vec<Option<Passage>> = passages.into_iter().map(Some).collect();
    let mut hits: Vec<Hit> = Vec::new();
    let mut kept: Vec<usize> = Vec::new();
    for (_, coverage, index) in found {
        // Prose that says the same again adds nothing; products that look alike are still two.
        let prose = passages[index].as_ref().is_some_and(|passage| passage.kind == SourceKind::Document);
        let repeats = prose && kept.iter().any(|seen| cosine(&vector(&corpus[*seen], &corpus[index])) > 0.97);
        let Some(passage) = passages[index].take().filter(|_| !repeats) else { continue };
        let (most, have) = match passage.kind {
            SourceKind::Product => (limits.products, count(&hits, SourceKind::Product)),
            SourceKind::Document => (limits.documents, count(&hits, SourceKind::Document)),
        };
        if have < most {
            kept.push(index);
            hits.push(Hit { passage, similarity_bp: basis_points(coverage) });
        }
    }
    let best_product = hits.iter().filter(|hit| hit.passage.kind == SourceKind::Product);
    if best_product.map(|hit| hit.similarity_bp).max().unwrap_or(0) >= limits.confident_bp {
        let best = hits.iter().map(|hit| hit.similarity_bp).max().unwrap_or(0);
        hits.retain(|hit| hit.passage.kind == SourceKind::Product || hit.similarity_bp >= best);
    }
    hits.sort_by_key(|hit| Reverse(hit.similarity_bp));
    hits
}

fn count(hits: &[Hit], kind: SourceKind) -> usize {
    hits.iter().filter(|hit| hit.passage.kind == kind).count()
}

fn counts(passage: &Passage) -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    let text = format!("{} {}", passage.title, passage.text);
    for term in words::all_terms(&text) {
        *counts.entry(term).or_default() += 1;
    }
    counts
}

/// How telling each word is among the passages at hand.
struct Weights {
    documents: f64,
    average: f64,
    frequency: BTreeMap<String, f64>,
    helpers: BTreeSet<String>,
}

impl Weights {
    fn of(corpus: &[BTreeMap<String, u32>]) -> Self {
        let mut frequency: BTreeMap<String, f64> = BTreeMap::new();
        for term in corpus.iter().flat_map(BTreeMap::keys) {
            *frequency.entry(term.clone()).or_default() += 1.0;
        }
        let documents = corpus.iter().map(|_| 1.0).sum::<f64>();
        let words: f64 = corpus.iter().flat_map(BTreeMap::values).map(|n| f64::from(*n)).sum();
        let average = if documents > 0.0 { (words / documents).max(1.0) } else { 1.0 };
        Self { documents, average, frequency, helpers: words::all_terms(HELPERS).into_iter().collect() }
    }

    /// Inverse document frequency, never negative. A word that no passage holds weighs half a rare one.
    fn idf(&self, term: &str) -> f64 {
        let of = |n: f64| (1.0 + (self.documents - n + 0.5) / (n + 0.5)).ln();
        self.frequency.get(term).map_or(of(1.0) / 2.0, |n| of(*n))
    }

    fn bm25(&self, wanted: &BTreeSet<String>, terms: &BTreeMap<String, u32>) -> f64 {
        let length: f64 = terms.values().map(|n| f64::from(*n)).sum();
        let hits = wanted.iter().filter_map(|term| Some((term, f64::from(*terms.get(term)?))));
        hits.map(|(term, n)| {
            let damped = n + 1.2 * (0.25 + 0.75 * length / self.average);
            self.idf(term) * n * 2.2 / damped
        })
        .sum()
    }

    /// The weight of the question's words that the passage holds, as a part of all their weight.
    fn coverage(&self, wanted: &BTreeSet<String>, terms: &BTreeMap<String, u32>) -> f64 {
        let mut held = 0.0;
        let mut all = 0.0;
        for term in wanted {
            let weight = self.idf(term);
            if terms.contains_key(term) {
                held += weight;
                all += weight;
            } else if !self.helpers.contains(term) {
                all += weight;
            }
        }
        if all > 0.0 { held / all } else { 0.0 }
    }
}

/// The counts of two passages over the words of both, side by side.
fn vector(one: &BTreeMap<String, u32>, other: &BTreeMap<String, u32>) -> (Vec<f64>, Vec<f64>) {
    let all: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let of = |terms: &BTreeMap<String, u32>| {
        all.iter().map(|term| terms.get(*term).map_or(0.0, |n| f64::from(*n))).collect()
    };
    (of(one), of(other))
}

/// The cosine of the angle between two vectors; 0 for empty ones, zeros and different lengths.
pub fn cosine((a, b): &(Vec<f64>, Vec<f64>)) -> f64 {
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let size = (dot(a, a) * dot(b, b)).sqrt();
    if a.len() != b.len() || size == 0.0 { 0.0 } else { dot(a, b) / size }
}

/// A part of one as basis points, rounded.
pub fn basis_points(part: f64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to 0..=10,000")]
    let points = (part.clamp(0.0, 1.0) * 10_000.0).round() as i32;
    points
}

/// Whether two products of one name are offered at different prices.
pub fn conflict(hits: &[Hit]) -> bool {
    let mut prices: BTreeMap<Vec<String>, &Quote> = BTreeMap::new();
    let priced = hits
        .iter()
        .filter_map(|hit| Some((words::all_terms(&hit.passage.title), hit.passage.price.as_ref()?)));
    for (name, price) in priced {
        if prices.insert(name, price).is_some_and(|other| other != price) {
            return true;
        }
    }
    false
}

/// A cheap bound on how many tokens a model sees in a text: 1.3 a word, rounded up.
pub fn estimate_tokens(text: &str) -> usize {
    (text.split_whitespace().count() * 13).div_ceil(10)
}

/// Most tokens of a passage, and how many of its last are repeated at the start of the next.
const MOST_TOKENS: usize = 400;
const OVERLAP_TOKENS: usize = 50;

/// Cuts a document into passages of at most 400 tokens that overlap by about 50: at paragraphs where they
/// fit, else between words. Order is kept and no passage is empty.
pub fn passages(content: &str) -> Vec<String> {
    let most = MOST_TOKENS * 10 / 13;
    let overlap = OVERLAP_TOKENS * 10 / 13;
    let mut words: Vec<&str> = Vec::new();
    // Where a paragraph starts, counted in words.
    let mut starts: BTreeSet<usize> = BTreeSet::new();
    for paragraph in content.split("\n\n") {
        starts.insert(words.len());
        words.extend(paragraph.split_whitespace());
    }
    let mut passages = Vec::new();
    let mut from = 0;
    while from < words.len() {
        let limit = (from + most).min(words.len());
        let end = if limit == words.len() {
            limit
        } else {
            // A passage that is at least half full ends with its paragraph.
            starts.range(from + most / 2..=limit).next_back().copied().unwrap_or(limit)
        };
        passages.push(words[from..end].join(" "));
        if end == words.len() {
            break;
        }
        from = end.saturating_sub(overlap).max(from + 1);
    }
    passages
}

/// Tells whether a text changed: SHA-256 of the trimmed text, the first 16 hex digits.
pub fn content_hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text.trim().as_bytes())[..8])
}

#[cfg(test)]
#[path = "retrieval_tests.rs"]
mod tests;
