//! Password hashes: bcrypt over base64(HMAC-SHA-384(pepper, password)), so that nothing is cut at
//! bcrypt's 72 bytes and a stolen table is worthless without the pepper.

use std::{sync::Arc, thread};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha384;
use tokio::sync::Semaphore;

use crate::{
    env::Env,
    error::{Error, Result},
};

/// Marks hashes that went through the pepper; plain `$2…` hashes were imported.
const PEPPERED: &str = "hmac-sha384";

/// How many callers may wait for a core.
const QUEUE: usize = 50;

/// Makes and checks password hashes, on a few threads of its own: hashing is slow on purpose, and
/// must not starve everything else.
#[derive(Clone)]
pub struct Passwords {
    pepper: SecretString,
    cost: u32,
    /// Checked when there is no such user, so that it takes as long as if there were.
    dummy: Arc<str>,
    places: Arc<Semaphore>,
    cores: Arc<Semaphore>,
    env: Env,
}

impl Passwords {
    /// `cost` is bcrypt's: 2^cost rounds, 4 to 31.
    pub fn new(pepper: SecretString, cost: u32, env: Env) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let dummy = format!("{PEPPERED}$2b${cost:02}$abcdefghijklmnopqrstuu5Lo0g67CiD3M4RpN1BmBb4Crp5w7dbK");
        Self {
            pepper,
            cost,
            dummy: dummy.into(),
            places: Arc::new(Semaphore::new(cores + QUEUE)),
            cores: Arc::new(Semaphore::new(cores)),
            env,
        }
    }

    /// A new hash, salted. UNAVAILABLE when too many wait.
    pub async fn hash(&self, password: &str) -> Result<String> {
        let peppered = self.peppered(password)?;
        let (cost, salt) = (self.cost, self.env.bytes::<16>());
        let hash =
            self.work(move || bcrypt::non_truncating_hash_with_salt(peppered.expose_secret(), cost, salt));
        let hash = hash.await?.map_err(Error::internal)?;
        Ok(format!("{PEPPERED}{}", hash.format_for_version(bcrypt::Version::TwoB)))
    }

    /// Whether `password` made `hash`. With `None` (no such user, or one without a password) the answer
    /// is `false` after the same work. UNAVAILABLE when too many wait.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool> {
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.dummy);
        let (input, hash) = match hash.strip_prefix(PEPPERED) {
            Some(hash) => (self.peppered(password)?, hash.to_owned()),
            None => (SecretString::from(password), hash.to_owned()),
        };
        // An error is a malformed hash, or an imported one with a password that bcrypt would have cut.
        let matched =
            self.work(move || bcrypt::non_truncating_verify(input.expose_secret(), &hash).unwrap_or(false));
        Ok(matched.await? && known)
    }

    /// Whether a hash that just matched should be replaced: imported, or of another cost.
    pub fn outdated(&self, hash: &str) -> bool {
        !hash.starts_with(&format!("{PEPPERED}$2b${:02}$", self.cost))
    }

    fn peppered(&self, password: &str) -> Result<SecretString> {
        let key = self.pepper.expose_secret().as_bytes();
        let mut mac = Hmac::<Sha384>::new_from_slice(key).map_err(Error::internal)?;
        mac.update(password.as_bytes());
        // 64 characters without NUL, at which bcrypt would stop.
        Ok(STANDARD.encode(mac.finalize().into_bytes()).into())
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let full = |_| Error::unavailable(anyhow::anyhow!("too many passwords wait to be checked"));
        let place = self.places.clone().try_acquire_owned().map_err(full)?;
        let core = self.cores.clone().acquire_owned().await.map_err(Error::internal)?;
        // The permits go along: work that nobody waits for any more still uses its core.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((place, core));
            done
        });
        done.await.map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn passwords(cost: u32) -> Passwords {
        Passwords::new("0123456789abcdef".into(), cost, Env::manual(DateTime::UNIX_EPOCH, 3))
    }

    #[tokio::test]
    async fn a_hash_knows_its_password_and_no_other() {
        let passwords = passwords(4);
        let long = "x".repeat(100);
        let hash = passwords.hash(&long).await.unwrap();

        assert!(passwords.verify(&long, Some(&hash)).await.unwrap());
        // bcrypt alone would have cut both at 72 bytes.
        assert!(!passwords.verify(&format!("{long}y"), Some(&hash)).await.unwrap());
        assert_ne!(hash, passwords.hash(&long).await.unwrap());
        assert!(!passwords.outdated(&hash));
        assert!(self::passwords(5).outdated(&hash));

        let stranger = Passwords::new("another pepper!!".into(), 4, passwords.env.clone());
        assert!(!stranger.verify(&long, Some(&hash)).await.unwrap());
    }

    #[tokio::test]
    async fn imported_hashes_still_open_and_are_outdated() {
        let passwords = passwords(4);
        let imported = bcrypt::non_truncating_hash("Abcdefg1", 4).unwrap();
        assert!(passwords.verify("Abcdefg1", Some(&imported)).await.unwrap());
        assert!(!passwords.verify("Abcdefg2", Some(&imported)).await.unwrap());
        assert!(passwords.outdated(&imported));
        assert!(!passwords.verify(&"x".repeat(100), Some(&imported)).await.unwrap());
        assert!(!passwords.verify("x", Some("not a hash")).await.unwrap());
    }

    /// Acceptance case 57: an unknown user costs as much as a wrong password. What is counted is the work:
    /// both wait for a core, and both have it do as many rounds of bcrypt.
    #[tokio::test]
    async fn nobody_is_told_by_time() {
        let passwords = passwords(5);
        let hash = passwords.hash("Abcdefg1").await.unwrap();
        let rounds = |hash: &str| {
            let parts: bcrypt::HashParts = hash.strip_prefix(PEPPERED).unwrap().parse().unwrap();
            parts.get_cost()
        };
        assert_eq!(rounds(&passwords.dummy), rounds(&hash));
        // One that bcrypt does not understand would be refused before any round.
        let dummy = passwords.dummy.strip_prefix(PEPPERED).unwrap();
        assert!(matches!(bcrypt::non_truncating_verify("wrong", dummy), Ok(false)));

        let cores = u32::try_from(passwords.cores.available_permits()).unwrap();
        for hash in [Some(hash.as_str()), None] {
            let busy = passwords.cores.clone().acquire_many_owned(cores).await.unwrap();
            let mut check = std::pin::pin!(passwords.verify("wrong", hash));
            assert!(futures::poll!(check.as_mut()).is_pending(), "{hash:?} was answered without work");
            drop(busy);
            assert!(!check.await.unwrap());
        }
    }

    #[tokio::test]
    async fn the_queue_is_bounded() {
        let passwords = passwords(6);
        let checks = (0..200).map(|_| passwords.verify("x", None));
        let answers = futures::future::join_all(checks).await;
        let refused = answers.iter().filter(|a| matches!(a, Err(Error::Unavailable(_)))).count();
        assert!(refused > 0 && refused <= 150, "{refused}");
        assert!(answers.iter().all(|answer| !matches!(answer, Ok(true))));
        assert!(!passwords.verify("x", None).await.unwrap());
    }
}
