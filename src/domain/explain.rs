//! A decision in words, for the people who look at it.

use super::decision::{Block, Decision, Penalty, Verdict};

/// The languages we speak; anything else gets English.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    English,
    Russian,
    Spanish,
}

impl Language {
    /// The language of an IETF tag: `ru`, `es-MX`.
    pub fn of(tag: &str) -> Self {
        match tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "ru" => Self::Russian,
            "es" => Self::Spanish,
            _ => Self::English,
        }
    }

    /// One of three texts.
    pub const fn say<'a>(self, english: &'a str, russian: &'a str, spanish: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Russian => russian,
            Self::Spanish => spanish,
        }
    }
}

/// What a penalty means.
pub const fn penalty(penalty: Penalty, language: Language) -> &'static str {
    match penalty {
        Penalty::NoSources => language.say(
            "nothing in the knowledge fits the question",
            "в базе знаний нет ничего по этому вопросу",
            "nada en la base de conocimiento responde a la pregunta",
        ),
        Penalty::PriceNotFound => {
            language.say("no price was found", "цена не найдена", "no se encontró el precio")
        }
        Penalty::AvailabilityNotFound => language.say(
            "availability was not found",
            "наличие не найдено",
            "no se encontró la disponibilidad",
        ),
        Penalty::ConflictingSources => language.say(
            "sources contradict each other",
            "источники противоречат друг другу",
            "las fuentes se contradicen",
        ),
        Penalty::SelfCheckLow => language.say(
            "the AI is not content with its own reply",
            "ИИ не уверен в своём ответе",
            "la IA duda de su propia respuesta",
        ),
        Penalty::StaleData => {
            language.say("a price is out of date", "цена устарела", "un precio está desactualizado")
        }
        Penalty::LowSimilarity => language.say(
            "the sources fit the question poorly",
            "источники плохо подходят к вопросу",
            "las fuentes encajan mal con la pregunta",
        ),
        Penalty::IntentForceHandoff => language.say(
            "people always answer this kind of question",
            "на такие вопросы всегда отвечает человек",
            "este tipo de pregunta siempre la responde una persona",
        ),
    }
}

const fn block(block: Block, language: Language) -> &'static str {
    match block {
        Block::FlagOff => language.say(
            "automatic sending is switched off",
            "автоотправка выключена",
            "el envío automático está desactivado",
        ),
        Block::SettingOff => language.say(
            "the settings do not allow automatic sending",
            "настройки не разрешают автоотправку",
            "los ajustes no permiten el envío automático",
        ),
        Block::IntentNotAllowed => language.say(
            "automatic sending is not allowed for this intent",
            "для этого намерения автоотправка не разрешена",
            "el envío automático no está permitido para esta intención",
        ),
        Block::VehicleGuard => language.say(
            "a reply about a vehicle must not make offers by itself",
            "ответ об автомобиле не должен сам делать предложений",
            "una respuesta sobre un vehículo no debe hacer ofertas por sí sola",
        ),
        Block::NotSendable => language.say(
            "the conversation cannot take an automatic message now",
            "сейчас в диалог нельзя отправить сообщение автоматически",
            "la conversación no admite ahora un mensaje automático",
        ),
    }
}

/// The verdict in sentences: the decision first, then what lowered it.
pub fn explain(verdict: &Verdict, language: Language) -> Vec<String> {
    let percent = verdict.confidence_bp / 100;
    let head = match verdict.decision {
        Decision::AutoSend => language.say(
            "Automatic reply recommended",
            "Рекомендуется автоответ",
            "Se recomienda responder automáticamente",
        ),
        Decision::NeedApproval => language.say(
            "A person should look first",
            "Нужна проверка человеком",
            "Una persona debe revisarla",
        ),
        Decision::Escalate => {
            language.say("People should answer", "Должен ответить человек", "Debe responder una persona")
        }
    };
    let mut lines = match verdict.block {
        None => vec![format!("{head} ({percent} %)")],
        Some(why) => {
            let but = language.say("but", "но", "pero");
            vec![format!("{head} ({percent} %), {but}: {}", block(why, language))]
        }
    };
    lines.extend(verdict.penalties.iter().map(|p| penalty(*p, language).to_owned()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_stands_beside_the_decision() {
        let verdict = Verdict {
            decision: Decision::AutoSend,
            confidence_bp: 8_512,
            penalties: vec![],
            eligible: false,
            block: Some(Block::FlagOff),
        };
        let said = explain(&verdict, Language::of("ru-RU"));
        assert_eq!(said, ["Рекомендуется автоответ (85 %), но: автоотправка выключена"]);
        assert_eq!(Language::of("de"), Language::English);
    }
}
