//! Secrets at rest: AES-256-GCM in envelopes. Every tenant has data keys; a master key of the
//! installation wraps them. Each value is bound to its column, tenant and row, so that a ciphertext
//! moved elsewhere does not open.
//!
//! A sealed value: version (1 byte) ‖ number of the data key (4, big endian) ‖ nonce (12) ‖ ciphertext ‖ tag (16).
//! A wrapped data key: nonce ‖ ciphertext ‖ tag.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead, KeyInit, Nonce, Payload},
};
use secrecy::{ExposeSecret, SecretBox, SecretSlice, zeroize::Zeroize};
use uuid::Uuid;

use crate::{
    config::MasterKey,
    env::Env,
    error::{Error, Result},
    id::TenantId,
};

const VERSION: u8 = 1;
const NONCE: usize = 12;
const HEAD: usize = 5;

/// Opened data keys that stay in memory.
const KEPT: usize = 10_000;

/// The master keys of the installation, and the data keys they opened. Cheap to clone.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    masters: Vec<(String, Aes256Gcm)>,
    opened: Mutex<HashMap<(TenantId, i32), DataKey>>,
}

/// A data key as the database holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// The id of the master key.
    pub master: String,
    pub key: Vec<u8>,
}

/// One tenant's key.
#[derive(Clone)]
pub struct DataKey {
    tenant: TenantId,
    number: i32,
    cipher: Aes256Gcm,
}

/// Where a sealed value lives.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// `table.column`.
    pub column: &'a str,
    pub row: Uuid,
}

impl Keyring {
    /// The first key wraps; all unwrap.
    pub fn new(keys: &[MasterKey]) -> Self {
        let masters = keys.iter().map(|key| (key.id.clone(), cipher(key.key.expose_secret())));
        Self(Arc::new(Inner { masters: masters.collect(), opened: Mutex::default() }))
    }

    /// A new data key, with what the database is to hold of it. Not remembered: its row may not commit.
    pub fn make(&self, tenant: TenantId, number: i32, env: &Env) -> Result<(DataKey, Wrapped)> {
        let secret = SecretBox::new(Box::new(env.bytes::<32>()));
        let wrapped = self.wrap(tenant, secret.expose_secret(), env)?;
        Ok((DataKey { tenant, number, cipher: cipher(secret.expose_secret()) }, wrapped))
    }

    /// The data key if it was opened before.
    pub fn opened(&self, tenant: TenantId, number: i32) -> Option<DataKey> {
        self.lock().get(&(tenant, number)).cloned()
    }

    /// Opens a data key; an unknown master key or a changed byte is an error.
    pub fn open(&self, tenant: TenantId, number: i32, wrapped: &Wrapped) -> Result<DataKey> {
        let secret = self.unwrap(tenant, wrapped)?;
        Ok(self.keep(DataKey { tenant, number, cipher: cipher(secret.expose_secret()) }))
    }

    /// The same data key under the first master key; `None` when it is there already.
    pub fn rewrap(&self, tenant: TenantId, wrapped: &Wrapped, env: &Env) -> Result<Option<Wrapped>> {
        if self.0.masters.first().is_some_and(|(id, _)| *id == wrapped.master) {
            return Ok(None);
        }
        let secret = self.unwrap(tenant, wrapped)?;
        self.wrap(tenant, secret.expose_secret(), env).map(Some)
    }

    fn wrap(&self, tenant: TenantId, secret: &[u8; 32], env: &Env) -> Result<Wrapped> {
        let (master, cipher) =
            self.0.masters.first().ok_or_else(|| broken("there is no master key".to_owned()))?;
        let key = encrypt(cipher, env.bytes(), &wrapping(master, tenant), secret)?;
        Ok(Wrapped { master: master.clone(), key })
    }

    fn unwrap(&self, tenant: TenantId, wrapped: &Wrapped) -> Result<SecretBox<[u8; 32]>> {
        let Wrapped { master, key } = wrapped;
        let known = self.0.masters.iter().find(|(id, _)| id == master);
        let (_, cipher) = known
            .ok_or_else(|| broken(format!("a data key needs the master key `{master}`, which is not set")))?;
        let secret = decrypt(cipher, &wrapping(master, tenant), key)?;
        let secret = secret.expose_secret().try_into().map_err(Error::internal)?;
        Ok(SecretBox::new(Box::new(secret)))
    }

    fn keep(&self, key: DataKey) -> DataKey {
        let mut opened = self.lock();
        if opened.len() >= KEPT {
            opened.clear();
        }
        opened.insert((key.tenant, key.number), key.clone());
        key
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(TenantId, i32), DataKey>> {
        // A map of whole entries cannot be left half changed.
        self.0.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.masters.iter().map(|(id, _)| id)).finish()
    }
}

impl DataKey {
    /// Seals `plain` for `place`.
    pub fn seal(&self, place: Place<'_>, plain: &[u8], env: &Env) -> Result<Vec<u8>> {
        let sealed = encrypt(&self.cipher, env.bytes(), &self.binding(place), plain)?;
        let mut value = Vec::with_capacity(HEAD + sealed.len());
        value.push(VERSION);
        value.extend_from_slice(&self.number.to_be_bytes());
        value.extend_from_slice(&sealed);
        Ok(value)
    }

    /// Opens what was sealed with this key for `place`.
    pub fn unseal(&self, place: Place<'_>, sealed: &[u8]) -> Result<SecretSlice<u8>> {
        if key_number(sealed)? != self.number {
            return Err(broken("sealed with another data key".to_owned()));
        }
        decrypt(&self.cipher, &self.binding(place), &sealed[HEAD..])
    }

    fn binding(&self, place: Place<'_>) -> String {
        format!("{}|tenant:{}|row:{}", place.column, self.tenant.0, place.row)
    }
}

/// With which of the tenant's data keys a value was sealed.
pub fn key_number(sealed: &[u8]) -> Result<i32> {
    match sealed {
        [VERSION, a, b, c, d, ..] => Ok(i32::from_be_bytes([*a, *b, *c, *d])),
        _ => Err(broken("not a sealed value of version 1".to_owned())),
    }
}

/// What may be shown of a secret: its last four characters, if it has as many.
pub fn last4(secret: &str) -> Option<&str> {
    let (from, _) = secret.char_indices().rev().nth(3)?;
    secret.get(from..)
}

fn wrapping(master: &str, tenant: TenantId) -> String {
    format!("kek:{master}|tenant:{}", tenant.0)
}

pub(super) fn cipher(key: &[u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(key.into())
}

pub(super) fn encrypt(cipher: &Aes256Gcm, nonce: [u8; NONCE], aad: &str, plain: &[u8]) -> Result<Vec<u8>> {
    let payload = Payload { msg: plain, aad: aad.as_bytes() };
    let sealed = cipher.encrypt(&Nonce::<Aes256Gcm>::from(nonce), payload);
    let sealed = sealed.map_err(|_| broken("too long to seal".to_owned()))?;
    Ok([nonce.as_slice(), &sealed].concat())
}

pub(super) fn decrypt(cipher: &Aes256Gcm, aad: &str, sealed: &[u8]) -> Result<SecretSlice<u8>> {
    let wrong =
        || broken("a sealed value does not open: it was changed, or moved, or the key is another".to_owned());
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(wrong)?;
    let payload = Payload { msg: sealed, aad: aad.as_bytes() };
    let mut plain = cipher.decrypt(&Nonce::<Aes256Gcm>::from(*nonce), payload).map_err(|_| wrong())?;
    let secret = SecretSlice::from(plain.clone());
    plain.zeroize();
    Ok(secret)
}

fn broken(what: String) -> Error {
    Error::internal(anyhow::Error::msg(what))
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use chrono::DateTime;

    use super::*;

    const TENANT: TenantId = TenantId(Uuid::from_u128(0x0000_0000_0000_7000_8000_0000_0000_0001));
    const ROW: Uuid = Uuid::from_u128(0x0190_f3c2_7b1e_7c3a_9f00_0000_0000_0001);
    const TOKEN: Place<'_> = Place { column: "channel.token", row: ROW };

    fn count_from(first: u8) -> [u8; 32] {
        std::array::from_fn(|at| first + u8::try_from(at).unwrap())
    }

    fn master(id: &str, first: u8) -> MasterKey {
        MasterKey { id: id.to_owned(), key: Arc::new(SecretBox::new(Box::new(count_from(first)))) }
    }

    fn env() -> Env {
        Env::manual(DateTime::UNIX_EPOCH, 5)
    }

    /// Vector V8.
    #[test]
    fn envelopes_have_the_bytes_that_others_computed() {
        let wrapped = "0000000000000000000000002e9d97fd9109a59a2081831e3401bfb6e27264601cb45618b8a789b8f9c26369524d23a0758b09f42ae7ca824094221c";
        let ours = encrypt(&cipher(&count_from(0)), [0; 12], &wrapping("v1", TENANT), &count_from(32));
        assert_eq!(hex::encode(ours.unwrap()), wrapped);

        let keys = Keyring::new(&[master("v1", 0)]);
        let wrapped = Wrapped { master: "v1".into(), key: hex::decode(wrapped).unwrap() };
        let key = keys.open(TENANT, 7, &wrapped).unwrap();
        let sealed = "010101010101010101010101024bd94968bfe230cd149da9010eed2e37ea7d2e5fcfc653414b323db4";
        let ours = encrypt(&key.cipher, [1; 12], &key.binding(TOKEN), b"bot-token-123").unwrap();
        assert_eq!(hex::encode(&ours), sealed);

        let value = [&[1, 0, 0, 0, 7], ours.as_slice()].concat();
        assert_eq!(key_number(&value).unwrap(), 7);
        assert_eq!(key.unseal(TOKEN, &value).unwrap().expose_secret(), b"bot-token-123");
    }

    /// Acceptance case 88.
    #[test]
    fn the_cipher_is_the_one_that_was_used_before() {
        let sealed = encrypt(&cipher(&[0; 32]), [1; 12], "", b"sk_test_12345").unwrap();
        assert_eq!(STANDARD.encode(&sealed[12..25]), "BiucHh/6DKJThNeyjg==");
        assert_eq!(STANDARD.encode(&sealed[25..]), "LwdHZ4Rl97fK3sg/achilA==");
        assert_eq!(last4("sk_test_12345"), Some("2345"));
        assert_eq!(last4("ключ"), Some("ключ"));
        assert_eq!(last4("abc"), None);
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let (key, _) = Keyring::new(&[master("v1", 0)]).make(TENANT, 1, &env()).unwrap();
        let sealed = key.seal(TOKEN, b"bot-token-123", &env()).unwrap();
        assert!(!sealed.windows(3).any(|part| part == b"bot"));
        for at in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[at] ^= 1 << bit;
                assert!(key.unseal(TOKEN, &changed).is_err(), "byte {at} bit {bit}");
            }
        }
        for short in 0..sealed.len() {
            assert!(key.unseal(TOKEN, &sealed[..short]).is_err(), "{short} bytes");
        }
    }

    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let keys = Keyring::new(&[master("v1", 0)]);
        let (key, wrapped) = keys.make(TENANT, 1, &env()).unwrap();
        let sealed = key.seal(TOKEN, b"x", &env()).unwrap();
        let elsewhere = Place { column: "channel.secret", row: ROW };
        assert!(key.unseal(elsewhere, &sealed).is_err());
        let elsewhere = Place { column: "channel.token", row: Uuid::nil() };
        assert!(key.unseal(elsewhere, &sealed).is_err());
        assert!(keys.open(TenantId(ROW), 1, &wrapped).is_err());
        let (other, _) = keys.make(TENANT, 2, &env()).unwrap();
        assert!(other.unseal(TOKEN, &sealed).is_err());
    }

    /// Two commands may make the first key at once, and only one of them commits.
    #[test]
    fn only_a_stored_key_is_remembered() {
        let keys = Keyring::new(&[master("v1", 0)]);
        let env = env();
        let (_, stored) = keys.make(TENANT, 1, &env).unwrap();
        let (lost, _) = keys.make(TENANT, 1, &env).unwrap();
        assert!(keys.opened(TENANT, 1).is_none());
        let key = keys.open(TENANT, 1, &stored).unwrap();
        let sealed = key.seal(TOKEN, b"x", &env).unwrap();
        assert!(keys.opened(TENANT, 1).unwrap().unseal(TOKEN, &sealed).is_ok());
        assert!(lost.unseal(TOKEN, &sealed).is_err());
    }

    #[test]
    fn a_new_master_key_takes_over_from_the_old() {
        let old = Keyring::new(&[master("v1", 0)]);
        let (key, wrapped) = old.make(TENANT, 1, &env()).unwrap();
        let sealed = key.seal(TOKEN, b"x", &env()).unwrap();

        let both = Keyring::new(&[master("v2", 64), master("v1", 0)]);
        let moved = both.rewrap(TENANT, &wrapped, &env()).unwrap().unwrap();
        assert_eq!(moved.master, "v2");
        assert_eq!(both.rewrap(TENANT, &moved, &env()).unwrap(), None);

        let new = Keyring::new(&[master("v2", 64)]);
        assert_eq!(
            new.open(TENANT, 1, &moved).unwrap().unseal(TOKEN, &sealed).unwrap().expose_secret(),
            b"x"
        );
        let Err(Error::Internal(cause)) = new.open(TENANT, 1, &wrapped) else { panic!("opened") };
        assert!(cause.to_string().contains("`v1`"), "{cause}");
    }
}
