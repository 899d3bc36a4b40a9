use super::*;
use crate::{
    ai,
    domain::{
        decision::{self, Decision, Policy},
        retrieval::{self, DocumentType, Quote},
    },
};

fn shop() -> Vec<Passage> {
    let product = Passage {
        kind: SourceKind::Product,
        id: "prd_1".into(),
        version: 3,
        title: "Espresso machine Lira".into(),
        text: "15 bar pump".into(),
        price: Some(Quote { minor: 34_900, currency: "EUR".into() }),
        in_stock: Some(true),
        stock_quantity: Some(4),
        delivery: None,
        document_type: None,
    };
    let delivery = Passage {
        kind: SourceKind::Document,
        id: "doc_1".into(),
        title: "Delivery".into(),
        text: "Our shop opened in 1999. We deliver within 3 to 5 working days. Pick-up is free.".into(),
        price: None,
        in_stock: None,
        stock_quantity: None,
        document_type: Some(DocumentType::Delivery),
        ..product.clone()
    };
    vec![product, delivery]
}

fn ask(question: &str, language: &str) -> (Draft, DraftInput) {
    let input = DraftInput {
        question: question.into(),
        history: Vec::new(),
        language: language.into(),
        business: "Lira Coffee".into(),
        hits: retrieval::rank(question, shop(), LIMITS),
    };
    (draft(&input), input)
}

#[test]
fn prices_are_quoted_from_the_catalogue() {
    let (draft, input) = ask("How much is the espresso machine?", "en");
    assert!(draft.reply.contains("Espresso machine Lira costs 349.00 EUR."), "{}", draft.reply);
    assert!(draft.reply.contains("4 left"));
    let verdict = decision::decide(&ai::inputs(&draft, &input.hits), &Policy::default());
    assert_eq!(verdict.decision, Decision::AutoSend);
    assert!(!verdict.eligible);
}

#[test]
fn prose_is_answered_with_the_sentence_that_fits() {
    let (draft, _) = ask("Within how many days do you deliver?", "en");
    assert!(draft.reply.contains("3 to 5 working days"), "{}", draft.reply);
    assert_eq!(draft.intent, Intent::Shipping);
}

#[test]
fn what_nobody_wrote_down_goes_to_people() {
    let (draft, input) = ask("Когда концерт?", "ru");
    assert_eq!(draft.reply, "Спасибо за сообщение. Коллега скоро вам ответит.");
    let verdict = decision::decide(&ai::inputs(&draft, &input.hits), &Policy::default());
    assert_eq!(verdict.decision, Decision::Escalate);
}

/// Acceptance case 42: the same inputs give the same draft, to the last bit.
#[test]
fn it_says_the_same_to_the_same_question() {
    for question in ["How much is the espresso machine?", "", "🙂", "delivery?"] {
        assert_eq!(ask(question, "es"), ask(question, "es"));
    }
    assert_eq!(ask("delivery?", "es").0.model, "offline");
}

#[test]
fn sentences_end_where_a_space_follows() {
    assert_eq!(sentences("It costs 3.50 euro. Really? Yes!"), ["It costs 3.50 euro.", "Really?", "Yes!"]);
    assert!(sentences("  ").is_empty());
}
