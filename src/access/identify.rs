//! From a token to a caller: one query, remembered for half a second.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    credential::{Credential, useless},
    recent::Recent,
};
use crate::{
    auth::Identity,
    domain::access::PlatformRole,
    error::{Error, Result},
    id::TenantId,
    store::Store,
};

/// A revoked credential stops working within this time in every process; in the process that revoked
/// it, at once.
const REMEMBER: Duration = Duration::from_millis(500);

/// How exact "last used" is.
const TOUCH: Duration = Duration::from_secs(60);

/// What a valid credential proves.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) identity: Identity,
    /// Whether the platform restricted the caller's tenant.
    pub(super) restricted: bool,
    expires_at: Option<DateTime<Utc>>,
}

/// The current tenant of an identity.
pub(super) fn tenant(identity: &Identity) -> Option<TenantId> {
    match identity {
        Identity::Person { tenant, .. } => tenant.map(|(tenant, _)| tenant),
        Identity::Machine { tenant, .. } => Some(*tenant),
    }
}

/// Asks the store who is behind a credential.
pub(super) struct Credentials {
    store: Store,
    known: Recent<[u8; 32], Known>,
    /// Tenants that have access by trial, subscription or grant.
    paid: Recent<TenantId, bool>,
    touched: Recent<Uuid, ()>,
}

impl Credentials {
    pub(super) fn new(store: Store) -> Self {
        Self { store, known: Recent::new(REMEMBER), paid: Recent::new(REMEMBER), touched: Recent::new(TOUCH) }
    }

    /// UNAUTHENTICATED for whatever does not prove an identity now.
    pub(super) async fn identify(&self, credential: Credential) -> Result<Known> {
        let (Credential::Session(hash) | Credential::ApiKey(hash)) = credential;
        let now = self.store.env().now();
        let (known, generation) = self.known.get(&hash);
        let known = match known {
            Some(known) => known,
            None => {
                let found = match credential {
                    Credential::Session(_) => self.session(&hash).await?,
                    Credential::ApiKey(_) => self.api_key(&hash).await?,
                };
                self.known.put(generation, hash, found.clone());
                self.touch(&found.identity, now);
                found
            }
        };
        if known.expires_at.is_some_and(|end| end <= now) { Err(useless()) } else { Ok(known) }
    }

    /// Whether the tenant has access by trial, subscription or grant.
    pub(super) async fn has_access(&self, tenant: TenantId) -> Result<bool> {
        let (known, generation) = self.paid.get(&tenant);
        if let Some(known) = known {
            return Ok(known);
        }
        let found = self.store.system().can_access(tenant, self.store.env().now()).await?;
        self.paid.put(generation, tenant, found);
        Ok(found)
    }

    /// Asks the store anew from here on.
    pub(super) fn forget(&self) {
        self.known.forget();
        self.paid.forget();
    }

    async fn session(&self, hash: &[u8; 32]) -> Result<Known> {
        let facts = self.store.system().session_by_hash(hash).await?.ok_or_else(useless)?;
        if facts.revoked {
            return Err(useless());
        }
        if facts.user_disabled {
            return Err(Error::credentials("ACCOUNT_DISABLED", "the account is disabled"));
        }
        let identity = Identity::Person {
            user: facts.user,
            session: facts.session,
            tenant: facts.tenant,
            platform: facts.platform,
        };
        Ok(Known { identity, restricted: facts.tenant_restricted, expires_at: Some(facts.expires_at) })
    }

    async fn api_key(&self, hash: &[u8; 32]) -> Result<Known> {
        let facts = self.store.system().api_key_by_hash(hash).await?.ok_or_else(useless)?;
        if facts.revoked {
            return Err(useless());
        }
        let identity =
            Identity::Machine { key: facts.key, tenant: facts.tenant, permissions: facts.permissions.into() };
        Ok(Known { identity, restricted: facts.tenant_restricted, expires_at: facts.expires_at })
    }

    /// Notes the use aside: no request waits for it or fails by it.
    fn touch(&self, identity: &Identity, now: DateTime<Utc>) {
        let id = match identity {
            Identity::Person { session, .. } => session.0,
            Identity::Machine { key, .. } => key.0,
        };
        let (seen, generation) = self.touched.get(&id);
        if seen.is_some() {
            return;
        }
        self.touched.put(generation, id, ());
        let (store, identity) = (self.store.clone(), identity.clone());
        tokio::spawn(async move {
            let noted = match identity {
                Identity::Person { session, .. } => store.system().touch_session(session, now).await,
                Identity::Machine { key, .. } => store.system().touch_api_key(key, now).await,
            };
            if let Err(error) = noted {
                tracing::debug!(%error, "the use of a credential was not noted");
            }
        });
    }
}

/// Whether a person may act as `least`.
pub(super) fn is_staff(platform: Option<PlatformRole>, least: PlatformRole) -> bool {
    platform.is_some_and(|role| role >= least)
}
