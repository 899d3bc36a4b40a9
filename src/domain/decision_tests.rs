use proptest::prelude::*;

use super::*;

fn sure(intent: Intent) -> Inputs {
    Inputs {
        similarity_bp: 10_000,
        intent,
        intent_bp: 9_500,
        self_check_bp: 9_000,
        handoff: false,
        sources: 1,
        price_found: true,
        availability_found: true,
        delivery_found: true,
        conflicts: false,
        stale: false,
        mentions_offer: false,
    }
}

fn open() -> Policy {
    Policy { autosend_enabled: true, autosend_allowed: true, ..Policy::default() }
}

/// Acceptance case 34.
#[test]
fn thresholds_part_the_three_decisions() {
    for (confidence, decision) in [
        (8_500, Decision::AutoSend),
        (8_000, Decision::AutoSend),
        (7_900, Decision::NeedApproval),
        (7_999, Decision::NeedApproval),
        (5_000, Decision::NeedApproval),
        (4_000, Decision::NeedApproval),
        (3_900, Decision::Escalate),
        (0, Decision::Escalate),
    ] {
        assert_eq!(classify(confidence, false, &Policy::default()), decision, "{confidence}");
    }
}

/// Acceptance case 35.
#[test]
fn force_beats_confidence() {
    for confidence in [9_500, 5_000, 1_000] {
        assert_eq!(classify(confidence, true, &Policy::default()), Decision::Escalate);
    }
    for (intent, is) in [(Intent::Discount, true), (Intent::Complaint, true), (Intent::Price, false)] {
        assert_eq!(forced(intent, &Policy::default()), is, "{intent}");
    }
    let verdict = decide(&sure(Intent::Complaint), &open());
    assert_eq!(verdict.decision, Decision::Escalate);
    assert_eq!(verdict.penalties, [Penalty::IntentForceHandoff]);
    assert_eq!(
        decide(&Inputs { handoff: true, ..sure(Intent::Price) }, &open()).decision,
        Decision::Escalate
    );
    let stale = decide(&Inputs { stale: true, ..sure(Intent::Price) }, &open());
    assert_eq!((stale.decision, stale.penalties), (Decision::Escalate, vec![Penalty::StaleData]));
}

/// Acceptance case 36.
#[test]
fn confidence_is_the_weighted_sum_less_penalties() {
    assert_eq!(confidence(9_000, 8_000, 7_000, &[]), 8_150);
    assert_eq!(confidence(9_000, 8_000, 7_000, &[Penalty::NoSources]), 5_150);
    let all =
        [Penalty::NoSources, Penalty::PriceNotFound, Penalty::AvailabilityNotFound, Penalty::SelfCheckLow];
    assert_eq!(confidence(5_000, 5_000, 5_000, &all), 0);
}

/// Every row of the table of penalties applies exactly when it should.
#[test]
fn penalties_follow_their_table() {
    let price = sure(Intent::Price);
    for (inputs, expected) in [
        (price.clone(), vec![]),
        (Inputs { sources: 0, similarity_bp: 0, ..price.clone() }, vec![Penalty::NoSources]),
        (Inputs { price_found: false, ..price.clone() }, vec![Penalty::PriceNotFound]),
        (Inputs { price_found: false, ..sure(Intent::Shipping) }, vec![]),
        (
            Inputs { availability_found: false, ..sure(Intent::Availability) },
            vec![Penalty::AvailabilityNotFound],
        ),
        (Inputs { conflicts: true, ..price.clone() }, vec![Penalty::ConflictingSources]),
        (Inputs { self_check_bp: 4_999, ..price.clone() }, vec![Penalty::SelfCheckLow]),
        (Inputs { self_check_bp: 5_000, ..price.clone() }, vec![]),
        (Inputs { similarity_bp: 4_999, ..price.clone() }, vec![Penalty::LowSimilarity]),
        (Inputs { similarity_bp: 5_000, ..price }, vec![]),
    ] {
        assert_eq!(decide(&inputs, &open()).penalties, expected, "{inputs:?}");
    }
}

/// Acceptance cases 37 and 40.
#[test]
fn three_locks_in_their_order() {
    let allowed = vec![Intent::Price, Intent::Availability];
    let open = Policy { intents_autosend_allowed: allowed, ..open() };
    let shut = Policy { autosend_enabled: false, autosend_allowed: false, ..open.clone() };
    let half = Policy { autosend_allowed: false, ..open.clone() };
    for (intent, policy, eligible, block) in [
        (Intent::Price, &open, true, None),
        (Intent::Shipping, &shut, false, Some(Block::FlagOff)),
        (Intent::Shipping, &half, false, Some(Block::SettingOff)),
        (Intent::Shipping, &open, false, Some(Block::IntentNotAllowed)),
        (Intent::VehicleIdRequest, &open, false, Some(Block::IntentNotAllowed)),
    ] {
        let verdict = decide(&sure(intent), policy);
        assert_eq!(verdict.decision, Decision::AutoSend);
        assert_eq!((verdict.eligible, verdict.block), (eligible, block), "{intent}");
        assert_eq!(verdict.needs_approval(), !eligible);
    }
    let unsure = Inputs { similarity_bp: 5_000, ..sure(Intent::Price) };
    let verdict = decide(&unsure, &shut);
    assert_eq!(verdict.decision, Decision::NeedApproval);
    assert_eq!((verdict.eligible, verdict.block), (false, None));

    let vehicles = Policy { intents_autosend_allowed: vec![Intent::VehicleIdRequest], ..open };
    assert!(decide(&sure(Intent::VehicleIdRequest), &vehicles).eligible);
    let offer = Inputs { mentions_offer: true, ..sure(Intent::VehicleIdRequest) };
    assert_eq!(decide(&offer, &vehicles).block, Some(Block::VehicleGuard));
}

/// Acceptance case 38.
#[test]
fn with_the_engine_off_every_draft_waits() {
    let off = Policy { engine_on: false, ..open() };
    for inputs in [sure(Intent::Price), sure(Intent::Complaint)] {
        let verdict = decide(&inputs, &off);
        assert_eq!(verdict.decision, Decision::NeedApproval);
        assert_eq!((verdict.eligible, verdict.block), (false, None));
    }
}

/// Acceptance case 39.
#[test]
fn the_first_settings_send_nothing() {
    let first = Policy::default();
    assert_eq!((first.t_auto_bp, first.t_escalate_bp), (8_000, 4_000));
    assert!(!first.autosend_allowed);
    for intent in [Intent::Price, Intent::Availability, Intent::Shipping] {
        assert!(first.intents_autosend_allowed.contains(&intent));
    }
}

#[test]
fn offers_are_recognised() {
    for text in ["Цена 45 000 руб.", "It costs 20", "за 300₽", "10%", "дам скидку", "El precio es 3"]
    {
        assert!(mentions_offer(text), "{text}");
    }
    for text in ["Пришлите VIN", "Costal road", "тоннель стоитель", "Send the photo"] {
        assert!(!mentions_offer(text), "{text}");
    }
}

#[test]
fn what_is_missing_follows_the_intent() {
    let bare = |intent| Inputs {
        price_found: false,
        availability_found: false,
        delivery_found: false,
        ..sure(intent)
    };
    assert_eq!(missing_fields(&bare(Intent::Price)), ["price", "availability"]);
    assert_eq!(missing_fields(&bare(Intent::Shipping)), ["delivery_terms"]);
    assert!(missing_fields(&bare(Intent::Other)).is_empty());
}

fn penalty() -> impl Strategy<Value = Penalty> {
    prop::sample::select(vec![
        Penalty::NoSources,
        Penalty::PriceNotFound,
        Penalty::AvailabilityNotFound,
        Penalty::ConflictingSources,
        Penalty::SelfCheckLow,
        Penalty::StaleData,
        Penalty::LowSimilarity,
        Penalty::IntentForceHandoff,
    ])
}

prop_compose! {
    fn inputs()(
        scores in [-100..10_100i32, 0..10_001i32, 0..10_001i32],
        sources in 0..4u32,
        facts in any::<[bool; 6]>(),
        intent in prop::sample::select(Intent::ALL.to_vec()),
        mentions_offer in any::<bool>(),
    ) -> Inputs {
        let [handoff, price_found, availability_found, delivery_found, conflicts, stale] = facts;
        Inputs {
            similarity_bp: scores[0], intent, intent_bp: scores[1], self_check_bp: scores[2], handoff, sources,
            price_found, availability_found, delivery_found, conflicts, stale, mentions_offer,
        }
    }
}

proptest! {
    #[test]
    fn confidence_stays_in_bounds_and_penalties_never_raise_it(
        scores in [0..=10_000i32, 0..=10_000i32, 0..=10_000i32],
        penalties in prop::collection::vec(penalty(), 0..5),
        more in penalty(),
    ) {
        let [similarity, intent, check] = scores;
        let before = confidence(similarity, intent, check, &penalties);
        let mut longer = penalties;
        longer.push(more);
        let after = confidence(similarity, intent, check, &longer);
        prop_assert!((0..=10_000).contains(&before));
        prop_assert!(after <= before);
    }

    #[test]
    fn confidence_grows_with_each_score(
        scores in [0..10_000i32, 0..10_000i32, 0..10_000i32], step in 1..5_000i32,
    ) {
        let [a, b, c] = scores;
        let base = confidence(a, b, c, &[]);
        prop_assert!(confidence(a + step, b, c, &[]) >= base);
        prop_assert!(confidence(a, b + step, c, &[]) >= base);
        prop_assert!(confidence(a, b, c + step, &[]) >= base);
    }

    /// Nothing is sent by itself unless all three locks are open and nobody is forced.
    #[test]
    fn eligible_means_every_lock_is_open(inputs in inputs(), flag in any::<bool>(), setting in any::<bool>()) {
        let policy = Policy { autosend_enabled: flag, autosend_allowed: setting, ..Policy::default() };
        let verdict = decide(&inputs, &policy);
        if verdict.eligible {
            prop_assert!(flag && setting && verdict.decision == Decision::AutoSend);
            prop_assert!(policy.intents_autosend_allowed.contains(&inputs.intent));
            prop_assert!(!inputs.handoff && !inputs.stale && !forced(inputs.intent, &policy));
        }
    }

    /// A decision replays from its record: stored inputs and stored rules give the stored verdict.
    #[test]
    fn a_stored_decision_replays(inputs in inputs(), policy in prop::sample::select(vec![Policy::default(), open()])) {
        let verdict = decide(&inputs, &policy);
        let stored = serde_json::to_string(&(&inputs, &policy, &verdict)).unwrap();
        let (inputs, policy, recorded): (Inputs, Policy, Verdict) = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(decide(&inputs, &policy), recorded);
    }
}
