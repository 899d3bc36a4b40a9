//! What a customer wants: the words of the vocabulary, and keyword rules that guess one of them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::words::{self, Terms};

macro_rules! intents {
    ($($name:ident $word:literal,)*) => {
        /// What a customer wants. Stored and shown as a word; an unknown word reads as `Other`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Intent {
            $($name,)*
        }

        impl Intent {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// The intent of that word, if there is one.
            pub fn known(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

intents! {
    Price "price",
    Availability "availability",
    Shipping "shipping",
    Return "return",
    Discount "discount",
    Complaint "complaint",
    Other "other",
    PhotoRequest "photo_request",
    PriceObjection "price_objection",
    ReadyToBuy "ready_to_buy",
    NeedsManualQuote "needs_manual_quote",
    InvalidVin "invalid_vin",
    MarkingProvided "marking_provided",
    PaymentBlocked "payment_blocked",
    WarrantyQuestion "warranty_question",
    WantVisit "want_visit",
    WhatIncluded "what_included",
    MileagePreference "mileage_preference",
    VehicleIdRequest "vehicle_id_request",
    GearboxTagRequest "gearbox_tag_request",
    GearboxTagRetry "gearbox_tag_retry",
}

impl Intent {
    /// The intent of that word; `Other` for any other word.
    pub fn of(word: &str) -> Self {
        Self::known(word).unwrap_or(Self::Other)
    }

    /// Whether it belongs to a vehicle look-up, where a reply must not promise prices by itself.
    pub const fn is_vehicle(self) -> bool {
        matches!(self, Self::VehicleIdRequest | Self::GearboxTagRequest | Self::GearboxTagRetry)
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Serialize for Intent {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Intent {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self::of(&String::deserialize(from)?))
    }
}

/// An intent and how sure the guess is, in basis points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guess {
    pub intent: Intent,
    pub probability_bp: i32,
}

/// Words that speak for an intent, in English, Russian and Spanish; the first rule wins among equals, so
/// what needs people stands first. A text with spaces is looked for as a whole.
const RULES: &[(Intent, &[&str])] = &[
    (
        Intent::Complaint,
        &[
            "complaint",
            "complain",
            "terrible",
            "awful",
            "broken",
            "defective",
            "scam",
            "angry",
            "жалоба",
            "пожаловаться",
            "ужасно",
            "сломался",
            "сломалась",
            "брак",
            "обман",
            "безобразие",
            "queja",
            "reclamo",
            "reclamación",
            "roto",
            "defectuoso",
            "estafa",
            "pésimo",
        ],
    ),
    (
        Intent::Discount,
        &[
            "discount",
            "cheaper",
            "promo",
            "coupon",
            "special offer",
            "скидка",
            "дешевле",
            "промокод",
            "акция",
            "descuento",
            "rebaja",
            "más barato",
            "cupón",
        ],
    ),
    (
        Intent::NeedsManualQuote,
        &["quote", "wholesale", "bulk", "оптом", "опт", "коммерческое предложение", "cotización", "mayoreo"],
    ),
    (
        Intent::WantVisit,
        &["visit", "showroom", "come by", "приехать", "подъехать", "самовывоз", "visitar", "pasar por"],
    ),
    (
        Intent::PhotoRequest,
        &["photo", "picture", "pictures", "фото", "фотография", "снимок", "foto", "fotos", "imagen"],
    ),
    (
        Intent::Return,
        &[
            "return",
            "refund",
            "exchange",
            "send back",
            "возврат",
            "вернуть",
            "обмен",
            "обменять",
            "devolución",
            "devolver",
            "reembolso",
            "cambio",
        ],
    ),
    (Intent::WarrantyQuestion, &["warranty", "guarantee", "гарантия", "гарантийный", "garantía"]),
    (
        Intent::PaymentBlocked,
        &[
            "payment failed",
            "card declined",
            "cannot pay",
            "не проходит оплата",
            "оплата не проходит",
            "tarjeta rechazada",
            "no puedo pagar",
        ],
    ),
    (
        Intent::Shipping,
        &[
            "delivery",
            "deliver",
            "shipping",
            "ship",
            "courier",
            "arrive",
            "доставка",
            "доставить",
            "доставляете",
            "курьер",
            "отправка",
            "envío",
            "enviar",
            "envían",
            "entrega",
            "llega",
        ],
    ),
    (Intent::PriceObjection, &["too expensive", "expensive", "дорого", "слишком дорого", "muy caro", "caro"]),
    (
        Intent::Price,
        &[
            "price",
            "prices",
            "cost",
            "costs",
            "how much",
            "цена",
            "цены",
            "стоимость",
            "стоит",
            "сколько стоит",
            "почем",
            "precio",
            "precios",
            "cuesta",
            "cuánto",
            "vale",
        ],
    ),
    (
        Intent::Availability,
        &[
            "available",
            "availability",
            "in stock",
            "stock",
            "do you have",
            "наличие",
            "наличии",
            "есть ли",
            "остались",
            "disponible",
            "disponibles",
            "tienen",
            "hay",
            "existencias",
        ],
    ),
    (
        Intent::WhatIncluded,
        &["included", "in the box", "комплект", "комплектация", "входит", "incluye", "incluido"],
    ),
    (
        Intent::ReadyToBuy,
        &["buy", "order", "i take it", "куплю", "купить", "заказать", "беру", "comprar", "pedir", "lo llevo"],
    ),
];

/// Guesses the intent of a customer's turn from its words: one rule word is 8,500, two or more are 9,500
/// basis points, none at all is `Other` at 5,000.
pub fn guess(text: &str) -> Guess {
    let terms = words::terms(text);
    let mut best = Guess { intent: Intent::Other, probability_bp: 5_000 };
    let mut most = 0;
    for (intent, keywords) in RULES {
        let hits = keywords.iter().filter(|keyword| says(&terms, keyword)).count();
        if hits > most {
            most = hits;
            best = Guess { intent: *intent, probability_bp: if hits > 1 { 9_500 } else { 8_500 } };
        }
    }
    best
}

/// Whether the words of `phrase` stand in `terms`, side by side.
fn says(terms: &Terms, phrase: &str) -> bool {
    let phrase = words::all_terms(phrase);
    !phrase.is_empty() && terms.all.windows(phrase.len()).any(|window| window == phrase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_lead_to_the_intent_in_three_languages() {
        for (text, intent) in [
            ("How much is the espresso machine?", Intent::Price),
            ("Сколько стоит кофемашина?", Intent::Price),
            ("¿Cuánto cuesta la cafetera?", Intent::Price),
            ("Do you have the grinder in stock?", Intent::Availability),
            ("Есть ли в наличии помол?", Intent::Availability),
            ("When will the delivery arrive?", Intent::Shipping),
            ("¿Hacen envíos a Madrid?", Intent::Shipping),
            ("Хочу вернуть товар", Intent::Return),
            ("Any discount for two?", Intent::Discount),
            ("This is a complaint, the machine is broken", Intent::Complaint),
            ("good evening", Intent::Other),
            ("", Intent::Other),
        ] {
            assert_eq!(guess(text).intent, intent, "{text}");
        }
    }

    #[test]
    fn words_read_back_and_unknown_ones_are_other() {
        for intent in Intent::ALL {
            assert_eq!(Intent::known(intent.word()), Some(*intent));
        }
        assert_eq!(Intent::of("dance"), Intent::Other);
        assert_eq!(Intent::ALL.len(), 21);
    }
}
