//! The sentences of the built-in drafter, in three languages.

use crate::domain::explain::Language;

pub(super) fn price(language: Language, name: &str, price: &str) -> String {
    match language {
        Language::English => format!("{name} costs {price}."),
        Language::Russian => format!("{name} стоит {price}."),
        Language::Spanish => format!("{name} cuesta {price}."),
    }
}

pub(super) fn stock(language: Language, name: &str, in_stock: bool, quantity: Option<i32>) -> String {
    match (language, in_stock, quantity.filter(|n| *n > 0)) {
        (Language::English, true, Some(n)) => format!("{name} is in stock: {n} left."),
        (Language::English, true, None) => format!("{name} is in stock."),
        (Language::English, false, _) => format!("{name} is out of stock at the moment."),
        (Language::Russian, true, Some(n)) => format!("{name} есть в наличии: {n} шт."),
        (Language::Russian, true, None) => format!("{name} есть в наличии."),
        (Language::Russian, false, _) => format!("{name} сейчас нет в наличии."),
        (Language::Spanish, true, Some(n)) => format!("{name} está disponible: quedan {n}."),
        (Language::Spanish, true, None) => format!("{name} está disponible."),
        (Language::Spanish, false, _) => format!("{name} no está disponible en este momento."),
    }
}

/// Nothing in the knowledge answers: a person will.
pub(super) const fn later(language: Language) -> &'static str {
    language.say(
        "Thank you for your message. A colleague will answer you shortly.",
        "Спасибо за сообщение. Коллега скоро вам ответит.",
        "Gracias por su mensaje. Un compañero le responderá en breve.",
    )
}

/// The model answered something that cannot be read.
pub(super) const fn sorry(language: Language) -> &'static str {
    language.say(
        "Sorry, I need a moment to check this. A colleague will get back to you.",
        "Извините, мне нужно это уточнить. Коллега вам ответит.",
        "Disculpe, necesito comprobarlo. Un compañero le responderá.",
    )
}

pub(super) const fn anything_else(language: Language) -> &'static str {
    language.say("Anything else I can help with?", "Могу ещё чем-то помочь?", "¿Puedo ayudarle con algo más?")
}
