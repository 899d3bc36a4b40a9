//! Words as retrieval and the intent rules see them: lower case, without accents and endings, in Latin and
//! Cyrillic script. The same text always gives the same words.

use std::collections::BTreeSet;

/// The words of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Every word in order, stop words too.
    pub all: Vec<String>,
    /// The words that carry meaning, once each.
    pub content: BTreeSet<String>,
}

/// Longest word kept, in characters: a longer one is no word.
const LONGEST: usize = 40;

/// Splits a text into words and drops what carries no meaning.
pub fn terms(text: &str) -> Terms {
    let all = all_terms(text);
    let content = all.iter().filter(|term| !is_stop_word(term)).cloned().collect();
    Terms { all, content }
}

/// Every word of a text, in order. "X-200" gives its parts and, behind them, the whole: x, 200, x200.
pub fn all_terms(text: &str) -> Vec<String> {
    let folded: String = text.chars().flat_map(char::to_lowercase).filter_map(fold).collect();
    let mut terms = Vec::new();
    for group in folded.split(|c: char| !c.is_alphanumeric() && c != '-') {
        let parts: Vec<&str> = group.split('-').filter(|part| !part.is_empty()).collect();
        for part in &parts {
            push(&mut terms, part);
        }
        if parts.len() > 1 && group.chars().any(|c| c.is_ascii_digit()) {
            push(&mut terms, &parts.concat());
        }
    }
    terms
}

fn push(terms: &mut Vec<String>, word: &str) {
    let length = word.chars().count();
    if length <= LONGEST {
        terms.push(stem(word));
    }
}

/// Takes accents off; combining marks vanish.
fn fold(c: char) -> Option<char> {
    Some(match c {
        'á' | 'à' | 'â' | 'ä' | 'ã' | 'å' => 'a',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ó' | 'ò' | 'ô' | 'ö' | 'õ' => 'o',
        'ú' | 'ù' | 'û' | 'ü' => 'u',
        'ñ' => 'n',
        'ç' => 'c',
        'ё' => 'е',
        'й' => 'и',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{300}'..='\u{36f}' => return None,
        c => c,
    })
}

/// Endings of the commonest inflections, longest first. Both sides of a comparison pass through here, so it
/// need not be linguistics; it must only be the same each time.
const CYRILLIC: &[&str] = &[
    "иями", "иях", "ями", "ами", "ого", "его", "ому", "ему", "ыми", "ими", "ии", "ия", "ию", "ие", "ои",
    "еи", "ах", "ях", "ов", "ев", "ом", "ем", "ам", "ям", "ую", "юю", "ая", "яя", "ое", "ее", "ые", "ыи",
    "ых", "их", "ью", "а", "я", "о", "е", "у", "ю", "ы", "и", "ь",
];
/// Endings that Latin words lose first, with what stays in their place, and the vowels they lose then.
const LATIN: &[(&str, &str)] =
    &[("iones", "ion"), ("ies", "y"), ("ing", ""), ("es", ""), ("ed", ""), ("s", "")];
const VOWELS: &[(&str, &str)] = &[("e", ""), ("o", ""), ("a", ""), ("y", "")];

fn stem(word: &str) -> String {
    if word.chars().any(|c| c.is_ascii_digit()) {
        word.to_owned()
    } else if word.is_ascii() {
        let single = if word.ends_with("ss") { word.to_owned() } else { without(word, LATIN) };
        without(&single, VOWELS)
    } else {
        let length = word.chars().count();
        let root =
            |ending: &&str| word.strip_suffix(*ending).filter(|_| length >= ending.chars().count() + 3);
        CYRILLIC.iter().find_map(root).unwrap_or(word).to_owned()
    }
}

/// The word without the first of `endings` that leaves a root of three letters; a shorter one says nothing.
fn without(word: &str, endings: &[(&str, &str)]) -> String {
    let root = |(ending, instead): &(&str, &str)| {
        let root = word.strip_suffix(ending).filter(|root| root.len() >= 3)?;
        Some(format!("{root}{instead}"))
    };
    endings.iter().find_map(root).unwrap_or_else(|| word.to_owned())
}

/// Words that fit every text. Stemmed like the rest.
const STOP_WORDS: &str = "
    a an the and or but if of to in on at for from with by as is are was were be been am do does did have has
    had can could will would should may i you he she it we they me my your our their this that these those
    what which who when where why how not no yes please hello hi hey thanks thank good morning day evening
    there here any some so just also about into than then up out am pm
    и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по только ее мне было вот
    от меня еще нет о из ему теперь когда даже ну ли если уже или ни быть был него до вас нибудь вам ведь там
    потом себя ничего ей может они тут где есть надо ней для мы тебя их чем была сам чтоб без будто это эта
    этот здравствуйте привет добрый день вечер утро пожалуйста спасибо можно ваш ваша
    el la los las un una unos unas y o pero si de del al en por para con sin es son era ser estar esta este
    estos estas que cual quien cuando donde como no mi tu su nos les me te se lo le hola gracias favor buenos
    buenas dias tardes noches muy mas ya hay
";

fn is_stop_word(term: &str) -> bool {
    static STOPS: std::sync::LazyLock<BTreeSet<String>> =
        std::sync::LazyLock::new(|| all_terms(STOP_WORDS).into_iter().collect());
    term.chars().count() < 2 && !term.chars().all(|c| c.is_ascii_digit()) || STOPS.contains(term)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflections_meet() {
        for (one, other) in [
            ("machines", "machine"),
            ("Deliveries", "delivery"),
            ("Envíos", "envio"),
            ("devoluciones", "devolución"),
            ("доставка", "доставки"),
            ("кофемашины", "Кофемашина"),
            ("гарантия", "гарантии"),
        ] {
            assert_eq!(all_terms(one), all_terms(other), "{one} {other}");
        }
    }

    #[test]
    fn model_numbers_are_found_with_and_without_dashes() {
        assert_eq!(all_terms("X-200"), ["x", "200", "x200"]);
        assert!(terms("the x200, please").content.contains("x200"));
    }

    #[test]
    fn words_without_meaning_are_left_out() {
        let found = terms("Hello, do you have the grinder?");
        assert_eq!(found.content.into_iter().collect::<Vec<_>>(), ["grinder"]);
    }
}
