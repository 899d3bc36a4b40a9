//! What a password must be.

use super::Rejected;

/// Refuses what is too short, too long or of one kind of characters (WEAK_PASSWORD). Lengths count
/// characters, not bytes.
pub fn check(password: &str) -> Result<(), Rejected> {
    let length = password.chars().count();
    let strong = (8..=128).contains(&length)
        && password.chars().any(char::is_uppercase)
        && password.chars().any(char::is_lowercase)
        && password.chars().any(|c| c.is_ascii_digit());
    if strong {
        Ok(())
    } else {
        Err(Rejected::because(
            "WEAK_PASSWORD",
            "a password needs 8 to 128 characters with upper case, lower case and a digit",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acceptance case 54.
    #[test]
    fn weak_passwords_are_refused() {
        let longest = format!("Aa1{}", "x".repeat(125));
        let too_long = format!("Aa1{}", "x".repeat(126));
        for (password, strong) in [
            ("Abcdefg1", true),
            (longest.as_str(), true),
            ("Пароль12", true),
            ("abcdefg1", false),
            ("ABCDEFG1", false),
            ("Abcdefgh", false),
            ("Ab1", false),
            (too_long.as_str(), false),
        ] {
            assert_eq!(check(password).is_ok(), strong, "{password}");
        }
    }
}
