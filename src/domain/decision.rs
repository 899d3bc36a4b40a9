//! Whether a draft may go out, waits for a person, or goes over to people: a pure function of recorded
//! inputs and recorded rules, in whole basis points, so that it can be made again bit for bit.

use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

use super::intent::Intent;

/// What the rules say about a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    AutoSend,
    NeedApproval,
    Escalate,
}

/// What kept an `AutoSend` from being sent, in the order in which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Block {
    FlagOff,
    SettingOff,
    IntentNotAllowed,
    /// A reply about a vehicle names a price or an offer, or the AI itself wants a person to look.
    VehicleGuard,
    /// The rules would have sent it; the conversation could not take it at that moment.
    NotSendable,
}

/// The rules of a tenant, as they stand when a decision falls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// False: every draft waits for a person, whatever the rest says.
    pub engine_on: bool,
    /// From here on `AutoSend`.
    pub t_auto_bp: i32,
    /// From here on `NeedApproval`, below it `Escalate`.
    pub t_escalate_bp: i32,
    /// The flag: the platform's and the tenant's.
    pub autosend_enabled: bool,
    /// The tenant's setting.
    pub autosend_allowed: bool,
    pub intents_autosend_allowed: Vec<Intent>,
    pub intents_force_handoff: Vec<Intent>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            engine_on: true,
            t_auto_bp: 8_000,
            t_escalate_bp: 4_000,
            autosend_enabled: false,
            autosend_allowed: false,
            intents_autosend_allowed: vec![
                Intent::Price,
                Intent::Availability,
                Intent::Shipping,
                Intent::Other,
            ],
            intents_force_handoff: vec![Intent::Discount, Intent::Complaint],
        }
    }
}

/// Everything a decision rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inputs {
    /// The best source, how well it fits.
    pub similarity_bp: i32,
    pub intent: Intent,
    pub intent_bp: i32,
    pub self_check_bp: i32,
    /// The drafter wants people to answer.
    pub handoff: bool,
    pub sources: u32,
    /// A source holds a price, its availability, delivery terms.
    pub price_found: bool,
    pub availability_found: bool,
    pub delivery_found: bool,
    /// Two sources contradict each other.
    pub conflicts: bool,
    /// A price came from a snapshot older than a day. Rows of the catalogue are read when drafting.
    pub stale: bool,
    /// The reply names a price or an offer.
    pub mentions_offer: bool,
}

/// Something that lowers the confidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Penalty {
    NoSources,
    PriceNotFound,
    AvailabilityNotFound,
    ConflictingSources,
    SelfCheckLow,
    StaleData,
    LowSimilarity,
    IntentForceHandoff,
}

impl Penalty {
    /// What it takes off, in basis points.
    pub const fn value_bp(self) -> i32 {
        match self {
            Self::NoSources => 3_000,
            Self::PriceNotFound | Self::LowSimilarity => 2_500,
            Self::AvailabilityNotFound | Self::ConflictingSources => 2_000,
            Self::SelfCheckLow => 1_500,
            Self::StaleData => 3_500,
            Self::IntentForceHandoff => 0,
        }
    }

    pub const fn code(self) -> &'static str {
        match self {
            Self::NoSources => "NO_SOURCES",
            Self::PriceNotFound => "PRICE_NOT_FOUND",
            Self::AvailabilityNotFound => "AVAILABILITY_NOT_FOUND",
            Self::ConflictingSources => "CONFLICTING_SOURCES",
            Self::SelfCheckLow => "SELF_CHECK_LOW",
            Self::StaleData => "STALE_DATA",
            Self::LowSimilarity => "LOW_SIMILARITY",
            Self::IntentForceHandoff => "INTENT_FORCE_HANDOFF",
        }
    }
}

/// What the rules make of a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub decision: Decision,
    pub confidence_bp: i32,
    pub penalties: Vec<Penalty>,
    pub eligible: bool,
    pub block: Option<Block>,
}

impl Verdict {
    pub fn needs_approval(&self) -> bool {
        self.decision != Decision::AutoSend || !self.eligible
    }
    pub fn needs_handoff(&self) -> bool {
        self.decision == Decision::Escalate
    }
}

/// Decides about a draft.
pub fn decide(inputs: &Inputs, policy: &Policy) -> Verdict {
    let penalties = penalties(inputs, policy);
    let confidence_bp = confidence(inputs.similarity_bp, inputs.intent_bp, inputs.self_check_bp, &penalties);
    if !policy.engine_on {
        let decision = Decision::NeedApproval;
        return Verdict { decision, confidence_bp, penalties, eligible: false, block: None };
    }
    let force = inputs.handoff || inputs.stale || forced(inputs.intent, policy);
    let decision = classify(confidence_bp, force, policy);
    let (eligible, block) = autosend(decision, inputs, policy);
    Verdict { decision, confidence_bp, penalties, eligible, block }
}

/// `.45 similarity + .25 intent + .30 self-check − penalties`, rounded to a basis point and kept in 0..=10,000.
pub fn confidence(similarity_bp: i32, intent_bp: i32, self_check_bp: i32, penalties: &[Penalty]) -> i32 {
    let part = |bp: i32, percent: i32| bp.clamp(0, 10_000) * percent;
    let sum = part(similarity_bp, 45) + part(intent_bp, 25) + part(self_check_bp, 30);
    let off: i32 = penalties.iter().map(|penalty| penalty.value_bp()).sum();
    ((sum + 50) / 100 - off).clamp(0, 10_000)
}

/// The decision that a confidence leads to.
pub fn classify(confidence_bp: i32, force: bool, policy: &Policy) -> Decision {
    if force {
        Decision::Escalate
    } else if confidence_bp >= policy.t_auto_bp {
        Decision::AutoSend
    } else if confidence_bp >= policy.t_escalate_bp {
        Decision::NeedApproval
    } else {
        Decision::Escalate
    }
}

/// Whether people must answer that intent whatever the confidence.
pub fn forced(intent: Intent, policy: &Policy) -> bool {
    policy.intents_force_handoff.contains(&intent)
}

fn penalties(inputs: &Inputs, policy: &Policy) -> Vec<Penalty> {
    let price = inputs.intent == Intent::Price && !inputs.price_found;
    let availability = inputs.intent == Intent::Availability && !inputs.availability_found;
    let far = inputs.sources > 0 && inputs.similarity_bp < 5_000;
    [
        (inputs.sources == 0, Penalty::NoSources),
        (price, Penalty::PriceNotFound),
        (availability, Penalty::AvailabilityNotFound),
        (inputs.conflicts, Penalty::ConflictingSources),
        (inputs.self_check_bp < 5_000, Penalty::SelfCheckLow),
        (inputs.stale, Penalty::StaleData),
        (far, Penalty::LowSimilarity),
        (forced(inputs.intent, policy), Penalty::IntentForceHandoff),
    ]
    .into_iter()
    .filter_map(|(applies, penalty)| applies.then_some(penalty))
    .collect()
}

/// The triple lock: flag, setting, intent, in this order; then the guard over vehicle replies.
fn autosend(decision: Decision, inputs: &Inputs, policy: &Policy) -> (bool, Option<Block>) {
    if decision != Decision::AutoSend {
        return (false, None);
    }
    let block = if !policy.autosend_enabled {
        Some(Block::FlagOff)
    } else if !policy.autosend_allowed {
        Some(Block::SettingOff)
    } else if !policy.intents_autosend_allowed.contains(&inputs.intent) {
        Some(Block::IntentNotAllowed)
    } else if inputs.intent.is_vehicle() && (inputs.handoff || inputs.mentions_offer) {
        Some(Block::VehicleGuard)
    } else {
        None
    };
    (block.is_none(), block)
}

/// What an answer to that intent needs and no source holds.
pub fn missing_fields(inputs: &Inputs) -> Vec<&'static str> {
    let asks = matches!(inputs.intent, Intent::Price | Intent::Availability);
    let delivery = inputs.intent == Intent::Shipping;
    [
        (asks && !inputs.price_found, "price"),
        (asks && !inputs.availability_found, "availability"),
        (delivery && !inputs.delivery_found, "delivery_terms"),
    ]
    .into_iter()
    .filter_map(|(missing, field)| missing.then_some(field))
    .collect()
}

/// Words and signs of a price or an offer.
const OFFERS: &[&str] = &[
    "цена",
    "цену",
    "цены",
    "ценой",
    "стоимость",
    "стоит",
    "руб",
    "руб.",
    "рублей",
    "рубля",
    "eur",
    "usd",
    "price",
    "cost",
    "costs",
    "discount",
    "precio",
    "cuesta",
    "descuento",
];

/// Whether a reply names a price or an offer: such a word, a currency sign, a percentage.
pub fn mentions_offer(reply: &str) -> bool {
    let reply = reply.to_lowercase();
    reply.contains(['₽', '€', '$', '%'])
        || reply.contains("скидк")
        || reply.split(|c: char| !c.is_alphanumeric()).any(|word| OFFERS.contains(&word))
}

#[cfg(test)]
#[path = "decision_tests.rs"]
mod tests;
