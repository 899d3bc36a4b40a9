//! Bearer tokens: 256 random bits behind a prefix that says what they are. The database holds only
//! their SHA-256; that is enough for high entropy, and fast.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::env::Env;

/// What a token is for; the prefix makes a leaked one recognisable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Session,
    ApiKey,
    Invite,
    /// Proves that a mailbox was read: verification, password reset.
    Mail,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Session, Self::ApiKey, Self::Invite, Self::Mail];

    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "sbs_",
            Self::ApiKey => "sk_live_",
            Self::Invite => "sbi_",
            Self::Mail => "sbm_",
        }
    }

    /// The kind of a text that has the shape of a token: prefix and at least 32 letters and digits.
    pub fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| {
            text.strip_prefix(kind.prefix()).is_some_and(|rest| {
                (32..=128).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
            })
        })
    }
}

/// A token just made: the one moment its text is known.
#[derive(Debug)]
pub struct Token {
    text: SecretString,
}

/// Enough base62 digits for 256 bits.
const LENGTH: usize = 43;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Token {
    pub fn make(kind: Kind, env: &Env) -> Self {
        let mut text = String::with_capacity(kind.prefix().len() + LENGTH);
        text.push_str(kind.prefix());
        let whole = text.capacity();
        while text.len() < whole {
            // 248 = 4 × 62: larger bytes would favour the first digits.
            let fair = env.bytes::<64>().into_iter().filter(|byte| *byte < 248);
            let digits = fair.map(|byte| char::from(DIGITS[usize::from(byte % 62)]));
            text.extend(digits.take(whole - text.len()));
        }
        Self { text: text.into() }
    }

    /// For its owner, once.
    pub fn text(&self) -> &str {
        self.text.expose_secret()
    }

    /// For the database.
    pub fn hash(&self) -> [u8; 32] {
        hash(self.text())
    }
}

/// SHA-256 of a token's text.
pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// What may be shown of an API key later: its first 12 characters, and its last 4.
pub fn shown(text: &str) -> (&str, &str) {
    let start = text.get(..12).unwrap_or_default();
    let end = text.len().checked_sub(4).and_then(|from| text.get(from..)).unwrap_or_default();
    (start, end)
}

/// Compares without telling by its duration where two secrets differ. Different lengths do show.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use chrono::DateTime;

    use super::*;

    /// Acceptance case 58 and vector V6 of the signature vectors.
    #[test]
    fn hashes_are_plain_sha256() {
        assert_eq!(
            hex::encode(hash(&"a".repeat(64))),
            "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"
        );
        let key = "sk_live_4fJ8mQ2xW9vL7cT1rB5nY3kD6hG0pS8z";
        assert_eq!(
            hex::encode(hash(key)),
            "b1dc8fa55eea0c2d705ce1af28775e182e6b57a72b8d29a0e784b6d59847315e"
        );
        assert_eq!(shown(key), ("sk_live_4fJ8", "pS8z"));
        assert_eq!(Kind::of(key), Some(Kind::ApiKey));
    }

    #[test]
    fn tokens_differ_and_show_their_kind() {
        let env = Env::manual(DateTime::UNIX_EPOCH, 1);
        let mut seen = HashSet::new();
        for kind in Kind::ALL {
            for _ in 0..50 {
                let token = Token::make(kind, &env);
                assert_eq!(Kind::of(token.text()), Some(kind));
                assert_eq!(token.text().len(), kind.prefix().len() + LENGTH);
                assert!(!format!("{token:?}").contains(token.text()));
                assert!(seen.insert(token.hash()));
            }
        }
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let digits = "x".repeat(31);
        for text in
            ["", "sbs_", &format!("sbs_{digits}"), &format!("sbs_{digits}-"), &format!("abc_{digits}x")]
        {
            assert_eq!(Kind::of(text), None, "{text}");
        }
        assert_eq!(shown("short"), ("", "hort"));
        assert_eq!(shown("abc"), ("", ""));
        assert!(same(b"abc", b"abc") && !same(b"abc", b"abd") && !same(b"abc", b"ab"));
    }
}
