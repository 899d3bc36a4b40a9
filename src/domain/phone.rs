//! Phone numbers as messengers write them.

/// The number behind a WhatsApp id. Mexican mobile numbers carry a 1 after the country code there that is
/// no part of the number; `None` for what is not a number.
pub fn of_wa_id(wa_id: &str) -> Option<String> {
    if wa_id.is_empty() || !wa_id.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match wa_id.strip_prefix("521") {
        Some(rest) if wa_id.len() == 13 => Some(format!("52{rest}")),
        _ => Some(wa_id.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acceptance case 118: only Mexican numbers lose their 1.
    #[test]
    fn the_extra_digit_of_mexican_mobile_numbers_goes() {
        for (wa_id, phone) in [
            ("5219991992696", "529991992696"),
            ("529991992696", "529991992696"),
            ("15551234567", "15551234567"),
            ("5491123456789", "5491123456789"),
        ] {
            assert_eq!(of_wa_id(wa_id).as_deref(), Some(phone));
        }
        assert_eq!(of_wa_id("DE.77120"), None);
        assert_eq!(of_wa_id(""), None);
    }
}
