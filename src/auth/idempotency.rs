//! Idempotency keys: a command that a client sends twice with the same key happens once, and both get the
//! same answer. Neither the client's text nor the answer is readable in the database: an answer may hold a
//! secret that is shown only once.

use std::fmt;

use aes_gcm::Aes256Gcm;
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};

use super::{Actor, seal};
use crate::{
    domain::signature::hmac_sha256,
    env::Env,
    error::{Error, Result},
};

/// The most characters of a key (`Idempotency-Key`).
pub const MOST: usize = 255;

/// One command of one caller, under the key that the client chose for it.
pub struct IdempotencyKey {
    method: String,
    hash: [u8; 32],
    request: [u8; 32],
    cipher: Aes256Gcm,
}

impl IdempotencyKey {
    /// The key `text` of `actor` for a call of `method` (`/package.Service/Method`) with an encoded message.
    /// `secret` is the installation's own: without it the answers in the database stay shut.
    ///
    /// # Errors
    /// The text is empty, longer than 255 characters, or not printable ASCII.
    pub fn new(
        secret: &SecretString,
        actor: Actor,
        method: &str,
        text: &str,
        message: &[u8],
    ) -> Result<Self> {
        if text.is_empty() || text.len() > MOST || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(Error::invalid("idempotency-key", "expected 1 to 255 printable ASCII characters"));
        }
        let owned = format!("{}|{text}", actor.label());
        let sealing = hmac_sha256(secret.expose_secret().as_bytes(), format!("answer|{owned}").as_bytes());
        Ok(Self {
            method: method.to_owned(),
            hash: Sha256::digest(&owned).into(),
            request: Sha256::new()
                .chain_update(method)
                .chain_update([0])
                .chain_update(message)
                .finalize()
                .into(),
            cipher: seal::cipher(&sealing),
        })
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    /// SHA-256 of actor and text.
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// SHA-256 of method and message: tells a repeat from another request under the same key.
    pub fn request(&self) -> &[u8; 32] {
        &self.request
    }

    /// The answer as the database may hold it.
    pub fn seal(&self, answer: &[u8], env: &Env) -> Result<Vec<u8>> {
        seal::encrypt(&self.cipher, env.bytes(), &self.method, answer)
    }

    /// What [`seal`](Self::seal) sealed.
    pub fn unseal(&self, sealed: &[u8]) -> Result<SecretSlice<u8>> {
        seal::decrypt(&self.cipher, &self.method, sealed)
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyKey").field("method", &self.method).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn key(text: &str, message: &[u8]) -> Result<IdempotencyKey> {
        IdempotencyKey::new(&"pepper".into(), Actor::Customer, "/p.S/M", text, message)
    }

    #[test]
    fn a_key_is_short_and_printable() {
        for wrong in ["", "tab\t", "ключ", &"a".repeat(256)] {
            assert_eq!(key(wrong, b"").unwrap_err().reason(), "INVALID_FIELD", "{wrong:?}");
        }
        for fine in ["a", "order 17/ä".trim_end_matches('ä'), &"a".repeat(255)] {
            assert!(key(fine, b"").is_ok(), "{fine:?}");
        }
    }

    #[test]
    fn the_same_request_is_known_again_and_another_is_not() {
        let (one, same, other) = (key("k", b"m").unwrap(), key("k", b"m").unwrap(), key("k", b"n").unwrap());
        assert_eq!((one.hash(), one.request()), (same.hash(), same.request()));
        assert_eq!(one.hash(), other.hash());
        assert_ne!(one.request(), other.request());
        assert_ne!(one.hash(), key("l", b"m").unwrap().hash());
    }

    #[test]
    fn only_who_knows_the_key_reads_the_answer() {
        let env = Env::manual(DateTime::UNIX_EPOCH, 5);
        let sealed = key("k", b"m").unwrap().seal(b"secret", &env).unwrap();
        assert_eq!(key("k", b"m").unwrap().unseal(&sealed).unwrap().expose_secret(), b"secret");
        assert!(key("l", b"m").unwrap().unseal(&sealed).is_err());
    }
}
