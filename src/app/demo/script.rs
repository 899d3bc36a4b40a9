//! The scripted day: a bicycle shop, its knowledge, its people, and who writes what.

use crate::domain::conversation::ChannelKind;

/// What the AI may answer from: title, text, kind.
pub(super) const DOCUMENTS: &[(&str, &str, &str)] = &[
    (
        "Delivery",
        "Delivery in the city takes one day and is free for orders over 100 EUR. Delivery to other regions takes 3 to \
         5 working days and costs 9 EUR. We ship by courier and send a tracking number.",
        "delivery",
    ),
    (
        "Returns",
        "You can return any bicycle within 30 days if it was not ridden outdoors. Bring the receipt. The money is back \
         within 5 working days.",
        "returns",
    ),
    (
        "Warranty",
        "The frame has a warranty of five years, other parts two years. A free first service after 200 km is included.",
        "policy",
    ),
    (
        "Opening hours",
        "The shop is open Monday to Friday from 9:00 to 19:00 and on Saturday from 10:00 to 16:00. On Sunday we are \
         closed. Address: 12 Mill Lane.",
        "faq",
    ),
    (
        "Payment",
        "We take cards, bank transfer and cash. Payment in three monthly parts without interest is possible from 300 \
         EUR.",
        "faq",
    ),
    (
        "Repairs",
        "A puncture is repaired while you wait for 12 EUR. A full service costs 65 EUR and takes two days; please book \
         it ahead.",
        "policy",
    ),
];

/// The catalogue: stock-keeping unit, name, description, price in cents, in stock.
pub(super) const PRODUCTS: &[(&str, &str, &str, i64, bool)] = &[
    (
        "CITY-7",
        "City bike Heron 7",
        "Comfortable city bike with seven gears, blue or green, mudguards and lights.",
        54_900,
        true,
    ),
    (
        "MTB-29",
        "Mountain bike Lynx 29",
        "Mountain bike with 29 inch wheels, hydraulic disc brakes, black.",
        89_900,
        true,
    ),
    (
        "KIDS-20",
        "Kids bike Finch 20",
        "Bicycle for children from six years, 20 inch wheels, red.",
        24_900,
        true,
    ),
    (
        "EBIKE-1",
        "E-bike Stork",
        "Electric bicycle with a range of 90 km and a removable battery.",
        189_900,
        false,
    ),
    ("HELM-M", "Helmet Shell M", "Helmet, size M, 56 to 59 cm, white or black.", 5_900, true),
    ("LOCK-U", "U-lock Anvil", "Hardened steel U-lock with two keys.", 3_900, true),
    ("LIGHT-S", "Light set Spark", "Front and rear light, rechargeable by USB.", 2_900, true),
    ("TUBE-28", "Inner tube 28", "Inner tube for 28 inch wheels, puncture resistant.", 690, true),
];

/// What an operator does with the draft.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    /// Sends it as it is.
    Approve,
    /// Sends another text.
    Edit(&'static str),
    /// Throws it away and writes.
    RejectAndWrite(&'static str),
    /// Hands over to people.
    Escalate,
    /// Takes the conversation, answers, resolves.
    TakeAndResolve(&'static str),
}

/// One customer's part of the day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scene {
    pub(super) channel: ChannelKind,
    pub(super) name: &'static str,
    /// Phone number or Telegram id.
    pub(super) from: &'static str,
    pub(super) texts: &'static [&'static str],
    /// How often the messenger delivers each message.
    pub(super) deliveries: u32,
    /// The messages arrive last first.
    pub(super) reordered: bool,
    pub(super) then: Then,
}

const fn scene(
    channel: ChannelKind,
    name: &'static str,
    from: &'static str,
    texts: &'static [&'static str],
    then: Then,
) -> Scene {
    Scene { channel, name, from, texts, deliveries: 1, reordered: false, then }
}

use ChannelKind::{Telegram, Whatsapp};

/// Before noon.
pub(super) const MORNING: &[Scene] = &[
    scene(
        Whatsapp,
        "Lena Vogt",
        "4915110000001",
        &["Hi! How long does delivery take and what does it cost?"],
        Then::Approve,
    ),
    scene(Telegram, "Oleg", "5012340002", &["How much is the city bike Heron?"], Then::Approve),
    Scene {
        deliveries: 4,
        ..scene(
            Whatsapp,
            "Ivo Marin",
            "4915110000003",
            &["Is the mountain bike Lynx in stock?"],
            Then::Approve,
        )
    },
    Scene {
        reordered: true,
        ..scene(
            Telegram,
            "Mara",
            "5012340004",
            &["Hello", "I bought a bike two weeks ago", "Can I return it?"],
            Then::Edit(
                "Hello Mara! Yes: within 30 days, not ridden outdoors, with the receipt. See you soon!",
            ),
        )
    },
    scene(Whatsapp, "Tom Adler", "4915110000005", &["I want a discount or I go elsewhere"], Then::Escalate),
    scene(Telegram, "Nina", "5012340006", &["What are your opening hours on Saturday?"], Then::Approve),
];

/// After noon; the messengers' side fails for a while in the middle of it.
pub(super) const AFTERNOON: &[Scene] = &[
    scene(Whatsapp, "Sara Blum", "4915110000007", &["Can I pay in parts?"], Then::Approve),
    Scene {
        deliveries: 3,
        ..scene(Telegram, "Pavel", "5012340008", &["How much is a full service?"], Then::Approve)
    },
    scene(
        Whatsapp,
        "Jonas Kern",
        "4915110000009",
        &["Do you have the e-bike Stork?"],
        Then::RejectAndWrite("The Stork is back in two weeks. Shall I put one aside for you, Jonas?"),
    ),
    scene(Telegram, "Iris", "5012340010", &["What warranty does the frame have?"], Then::Approve),
    Scene {
        deliveries: 2,
        reordered: true,
        ..scene(
            Whatsapp,
            "Felix Roth",
            "4915110000011",
            &["A helmet for my daughter", "size M please"],
            Then::Approve,
        )
    },
    scene(
        Telegram,
        "Zoe",
        "5012340012",
        &["My new bike makes a strange noise, I am very unhappy"],
        Then::TakeAndResolve(
            "I am sorry, Zoe. Bring it in today and we fix it while you wait, free of charge.",
        ),
    ),
    scene(Whatsapp, "Emil Stern", "4915110000013", &["Is there a lock with two keys?"], Then::Approve),
    scene(Telegram, "Dora", "5012340014", &["Do you ship to other regions?"], Then::Approve),
];
