use proptest::prelude::*;

use super::*;

fn product(id: &str, name: &str, text: &str, minor: i64) -> Passage {
    Passage {
        kind: SourceKind::Product,
        id: id.into(),
        version: 1,
        title: name.into(),
        text: text.into(),
        price: Some(Quote { minor, currency: "EUR".into() }),
        in_stock: Some(true),
        stock_quantity: None,
        delivery: None,
        document_type: None,
    }
}

fn document(id: &str, title: &str, text: &str) -> Passage {
    Passage {
        kind: SourceKind::Document,
        price: None,
        in_stock: None,
        document_type: Some(DocumentType::Delivery),
        ..product(id, title, text, 0)
    }
}

fn shop() -> Vec<Passage> {
    vec![
        product("p1", "Espresso machine Lira X-200", "15 bar pump, steel housing", 34_900),
        product("p2", "Burr grinder Molino", "40 steps, steel burrs", 12_900),
        document("d1", "Delivery", "We deliver in Spain within 3 to 5 working days. Delivery costs 5 euro."),
        document("d2", "Returns", "Goods can be returned within 30 days in their box."),
    ]
}

#[test]
fn the_product_asked_for_comes_first_and_covers_the_question() {
    let hits = rank("How much is the espresso machine?", shop(), LIMITS);
    assert_eq!(hits[0].passage.id, "p1");
    assert_eq!(hits[0].similarity_bp, 10_000);
}

#[test]
fn a_document_answers_what_no_product_does() {
    let hits = rank("Within how many days do you deliver?", shop(), LIMITS);
    assert_eq!(hits[0].passage.id, "d1");
    assert!(hits[0].similarity_bp >= LIMITS.fits_bp);
}

#[test]
fn nothing_fits_a_question_of_other_words() {
    assert!(rank("Où est la gare?", shop(), LIMITS).is_empty());
    assert!(rank("", shop(), LIMITS).is_empty());
    assert!(rank("espresso", Vec::new(), LIMITS).is_empty());
}

#[test]
fn the_same_text_twice_counts_once() {
    let twice = vec![document("a", "Delivery", "Three days"), document("b", "Delivery", "Three days")];
    assert_eq!(rank("delivery in how many days", twice, LIMITS).len(), 1);
}

#[test]
fn one_name_at_two_prices_is_a_conflict() {
    let hit = |passage| Hit { passage, similarity_bp: 9_000 };
    let one = hit(product("a", "Lira X-200", "", 100));
    assert!(conflict(&[one.clone(), hit(product("b", "lira x-200", "", 200))]));
    assert!(!conflict(&[one.clone(), hit(product("b", "lira x-200", "", 100))]));
    assert!(!conflict(&[one, hit(product("b", "Molino", "", 200))]));
}

/// Acceptance case 99.
#[test]
fn cosine_of_the_textbook() {
    let of = |a: &[f64], b: &[f64]| cosine(&(a.to_vec(), b.to_vec()));
    assert!((of(&[1.0, 2.0], &[1.0, 2.0]) - 1.0).abs() < 1e-12);
    assert!(of(&[1.0, 0.0], &[0.0, 1.0]).abs() < 1e-12);
    assert!((of(&[1.0, 2.0], &[-1.0, -2.0]) + 1.0).abs() < 1e-12);
    for (a, b) in [(&[][..], &[][..]), (&[0.0, 0.0], &[1.0, 1.0]), (&[1.0], &[1.0, 2.0])] {
        assert!(of(a, b).abs() < 1e-12);
    }
    assert_eq!(LIMITS, Limits { products: 5, documents: 3, confident_bp: 7_000, fits_bp: 5_000 });
}

/// Acceptance case 100.
#[test]
fn documents_are_cut_into_overlapping_passages() {
    assert_eq!(estimate_tokens("one two three four five six seven eight nine ten"), 13);
    assert_eq!(estimate_tokens(""), 0);
    assert!(passages("").is_empty());
    assert!(passages(" \n\n \n").is_empty());
    assert_eq!(passages("a small text"), ["a small text"]);

    let words: Vec<String> = (0..1_000).map(|n| format!("w{n}")).collect();
    let cut = passages(&words.join(" "));
    assert!(cut.len() > 2);
    for pair in cut.windows(2) {
        let last = pair[0].split(' ').next_back().unwrap();
        assert!(pair[1].split(' ').any(|word| word == last), "neighbours overlap");
    }
    assert!(cut.iter().all(|passage| !passage.is_empty() && estimate_tokens(passage) <= MOST_TOKENS));
    assert!(cut.last().unwrap().ends_with("w999"));
}

/// Acceptance case 101; the digits were computed by the system it was taken from.
#[test]
fn the_hash_ignores_the_space_around() {
    assert_eq!(content_hash("Доставка по России 3-7 дней"), "187f6b64604536a6");
    assert_eq!(content_hash("  Доставка по России 3-7 дней\n"), "187f6b64604536a6");
}

proptest! {
    /// Acceptance case 42: the same inputs give the same similarity, and it is a part of one.
    #[test]
    fn ranking_repeats_itself(question in "[a-zа-я0-9 ?-]{0,80}") {
        let hits = rank(&question, shop(), LIMITS);
        prop_assert_eq!(&hits, &rank(&question, shop(), LIMITS));
        for hit in hits {
            prop_assert!((0..=10_000).contains(&hit.similarity_bp));
        }
    }

    #[test]
    fn every_word_is_in_some_passage(count in 0usize..900) {
        let words: Vec<String> = (0..count).map(|n| format!("w{n}")).collect();
        let all = passages(&words.join(" ")).join(" ");
        let seen: BTreeSet<&str> = all.split_whitespace().collect();
        prop_assert_eq!(seen.len(), count);
    }
}
