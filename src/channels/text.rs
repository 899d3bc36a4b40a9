//! Texts that are longer than a provider takes.

use unicode_segmentation::UnicodeSegmentation;

/// Splits a text into pieces of at most `limit` UTF-16 units, which is how Telegram counts. Breaks between
/// lines or words if a piece stays at least half full, and never inside what a reader sees as one
/// character, unless that alone is longer than a piece.
pub(super) fn split(text: &str, limit: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, next) = rest.split_at(end_of_piece(rest, limit));
        pieces.push(piece);
        rest = next;
    }
    pieces
}

fn end_of_piece(text: &str, limit: usize) -> usize {
    let mut units = 0;
    let mut end = 0;
    let mut soft = None;
    for (start, grapheme) in text.grapheme_indices(true) {
        units += grapheme.encode_utf16().count();
        if units > limit {
            return soft.or((end > 0).then_some(end)).unwrap_or_else(|| within(grapheme, limit));
        }
        end = start + grapheme.len();
        if grapheme.ends_with(char::is_whitespace) && units * 2 >= limit {
            soft = Some(end);
        }
    }
    text.len()
}

/// The end of what fits of one overlong grapheme; at least one character, so that splitting ends.
fn within(grapheme: &str, limit: usize) -> usize {
    let mut units = 0;
    grapheme
        .char_indices()
        .find(|(start, c)| {
            units += c.len_utf16();
            units > limit && *start > 0
        })
        .map_or(grapheme.len(), |(start, _)| start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn units(text: &str) -> usize {
        text.encode_utf16().count()
    }

    #[test]
    fn a_text_that_fits_is_one_piece() {
        assert_eq!(split("Yes, two left.", 4096), ["Yes, two left."]);
        assert!(split("", 4096).is_empty());
    }

    /// Channel conformance 21: four thousand emoji are eight thousand units.
    #[test]
    fn emoji_are_counted_as_telegram_counts_them_and_never_cut() {
        let family = "👨‍👩‍👧‍👦";
        let text = family.repeat(1000);
        let pieces = split(&text, 4096);
        assert!(pieces.iter().all(|piece| units(piece) <= 4096 && piece.len() % family.len() == 0));
        assert_eq!(pieces.concat(), text);
        assert_eq!(split(&"😀".repeat(4000), 4096).len(), 2);
    }

    #[test]
    fn a_break_between_words_is_preferred() {
        assert_eq!(split("one two three", 9), ["one two ", "three"]);
        assert_eq!(split("abcdefghij", 4), ["abcd", "efgh", "ij"]);
    }

    proptest! {
        #[test]
        fn pieces_fit_and_lose_nothing(text in "\\PC{0,200}", limit in 2..40usize) {
            let pieces = split(&text, limit);
            prop_assert_eq!(pieces.concat(), text.as_str());
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty() && units(piece) <= limit));
        }
    }
}
