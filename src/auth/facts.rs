//! What the store knows about a credential: read in one query a request, judged by `access`.

use chrono::{DateTime, Utc};

use crate::{
    domain::access::{Permission, PlatformRole, Role},
    id::{ApiKeyId, SessionId, TenantId, UserId},
};

/// A session, its person and the tenant it is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    pub session: SessionId,
    pub user: UserId,
    /// The session's tenant and the person's role in it; `None` while the person belongs to no tenant.
    pub tenant: Option<(TenantId, Role)>,
    /// Whether the platform restricted that tenant; `false` without one.
    pub tenant_restricted: bool,
    pub platform: Option<PlatformRole>,
    pub user_disabled: bool,
    pub expires_at: DateTime<Utc>,
    pub revoked: bool,
    pub last_seen_at: DateTime<Utc>,
}

/// An API key and its tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyFacts {
    pub key: ApiKeyId,
    pub tenant: TenantId,
    pub tenant_restricted: bool,
    pub permissions: Vec<Permission>,
    /// `None`: never.
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked: bool,
}
