//! Who acts: capabilities that only a verified credential or a stored job can produce. No I/O.

pub mod facts;
mod idempotency;
pub mod password;
pub mod seal;
pub mod tls;
pub mod token;

use std::sync::Arc;

pub use idempotency::IdempotencyKey;

use crate::{
    domain::access::{Permission, PlatformRole, Role},
    error::{Error, Result},
    id::{ApiKeyId, JobId, SessionId, TenantId, UserId},
};

/// Who caused a change; written to events and to the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A signed-in person.
    User(UserId),
    /// A machine's credential.
    ApiKey(ApiKeyId),
    /// Background work.
    Job(JobId),
    /// The customer, through a messenger.
    Customer,
    /// A rule of the tenant that lets the AI act.
    Policy,
    /// The platform itself: start-up, schedules, staff.
    Platform,
}

impl Actor {
    /// The actor as one word and, where there is one, an id: `user:usr_…`, `policy`.
    pub fn label(self) -> String {
        match self {
            Self::User(id) => format!("user:{id}"),
            Self::ApiKey(id) => format!("api_key:{id}"),
            Self::Job(id) => format!("job:{id}"),
            Self::Customer => "customer".to_owned(),
            Self::Policy => "policy".to_owned(),
            Self::Platform => "platform".to_owned(),
        }
    }
}

/// The right to work on one tenant's rows, in the name of one actor.
///
/// It comes from a verified credential ([`Caller`]) or from a row that names its tenant; never from
/// a request field.
#[derive(Clone, Debug)]
pub struct TenantScope {
    tenant: TenantId,
    actor: Actor,
    audit: Option<Arc<str>>,
    request: Option<Arc<str>>,
    idempotency: Option<Arc<IdempotencyKey>>,
}

impl TenantScope {
    /// The scope of a credential that was verified for `tenant`. Called by `access` alone.
    pub fn of_credential(tenant: TenantId, actor: Actor) -> Self {
        Self { tenant, actor, audit: None, request: None, idempotency: None }
    }

    /// The scope of a stored job.
    pub fn of_job(tenant: TenantId, job: JobId) -> Self {
        Self::of_credential(tenant, Actor::Job(job))
    }

    /// The scope of a stored channel whose signature check passed: its customers act.
    pub fn of_channel(tenant: TenantId) -> Self {
        Self::of_credential(tenant, Actor::Customer)
    }

    /// The scope of platform work on `tenant`: sign-up, seeds, staff.
    pub fn of_platform(tenant: TenantId) -> Self {
        Self::of_credential(tenant, Actor::Platform)
    }

    /// The same rights in another name.
    #[must_use]
    pub fn acting_as(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    /// Has the command's transaction record `action` in the audit log.
    #[must_use]
    pub fn audited(self, action: Option<Arc<str>>) -> Self {
        Self { audit: action, ..self }
    }

    /// Ties the command to a request id.
    #[must_use]
    pub fn in_request(self, request: Option<Arc<str>>) -> Self {
        Self { request, ..self }
    }

    /// Has the command happen once under `key`.
    #[must_use]
    pub fn once(self, key: Option<Arc<IdempotencyKey>>) -> Self {
        Self { idempotency: key, ..self }
    }

    pub fn tenant(&self) -> TenantId {
        self.tenant
    }
    pub fn actor(&self) -> Actor {
        self.actor
    }
    pub fn audit(&self) -> Option<&Arc<str>> {
        self.audit.as_ref()
    }
    pub fn request(&self) -> Option<&Arc<str>> {
        self.request.as_ref()
    }
    pub fn idempotency(&self) -> Option<&IdempotencyKey> {
        self.idempotency.as_deref()
    }
}

/// The verified caller of a request; `access` puts it into the request's extensions.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Absent for a public method without a credential.
    pub identity: Option<Identity>,
    /// The audit action that the method's policy names.
    pub audit: Option<Arc<str>>,
    /// The request's id, as logged and as answered in `x-request-id`.
    pub request: Option<Arc<str>>,
    /// The client's address as the edge saw it.
    pub address: Option<std::net::IpAddr>,
    /// The key under which the client may send the same command again.
    pub idempotency: Option<Arc<IdempotencyKey>>,
}

/// What the credential proved.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A person with a session. The tenant and role are absent while the person belongs to no tenant.
    Person {
        user: UserId,
        session: SessionId,
        tenant: Option<(TenantId, Role)>,
        platform: Option<PlatformRole>,
    },
    /// A machine of one tenant.
    Machine { key: ApiKeyId, tenant: TenantId, permissions: Arc<[Permission]> },
}

impl Caller {
    /// The caller of `request`. Absent extensions are a wiring fault, answered as INTERNAL.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<Self> {
        let caller = request.extensions().get::<Self>().cloned();
        caller.ok_or_else(|| Error::internal(anyhow::anyhow!("no caller: the access layer is not in place")))
    }

    /// In whose name the call changes things.
    pub fn actor(&self) -> Result<Actor> {
        match self.identity {
            Some(Identity::Person { user, .. }) => Ok(Actor::User(user)),
            Some(Identity::Machine { key, .. }) => Ok(Actor::ApiKey(key)),
            None => Err(Error::Unauthenticated),
        }
    }

    /// The right to work on the caller's tenant.
    pub fn scope(&self) -> Result<TenantScope> {
        let actor = self.actor()?;
        let tenant = match self.identity {
            Some(Identity::Person { tenant: Some((tenant, _)), .. } | Identity::Machine { tenant, .. }) => {
                tenant
            }
            _ => return Err(Error::rejected("NO_CURRENT_TENANT", "choose a tenant first")),
        };
        Ok(self.of_request(TenantScope::of_credential(tenant, actor)))
    }

    /// `scope` with what the request says of itself: its audit action, its id, its idempotency key.
    pub fn of_request(&self, scope: TenantScope) -> TenantScope {
        let scope = scope.audited(self.audit.clone()).in_request(self.request.clone());
        scope.once(self.idempotency.clone())
    }

    /// The signed-in person.
    pub fn user(&self) -> Result<UserId> {
        match self.identity {
            Some(Identity::Person { user, .. }) => Ok(user),
            Some(Identity::Machine { .. }) => {
                Err(Error::forbidden("PERSON_REQUIRED", "only a person may do this"))
            }
            None => Err(Error::Unauthenticated),
        }
    }

    /// The session of the signed-in person.
    pub fn session(&self) -> Result<SessionId> {
        match self.identity {
            Some(Identity::Person { session, .. }) => Ok(session),
            _ => Err(Error::Unauthenticated),
        }
    }

    /// The role of the signed-in person in the current tenant; `None` for machines.
    pub fn role(&self) -> Option<Role> {
        match self.identity {
            Some(Identity::Person { tenant: Some((_, role)), .. }) => Some(role),
            _ => None,
        }
    }

    /// The right to platform work.
    pub fn staff(&self) -> Result<Staff> {
        match self.identity {
            Some(Identity::Person { user, platform: Some(role), .. }) => Ok(Staff { user, role }),
            Some(_) => Err(Error::forbidden("PLATFORM_ROLE_REQUIRED", "only platform staff may do this")),
            None => Err(Error::Unauthenticated),
        }
    }
}

/// The right to platform work across tenants.
#[derive(Clone, Copy, Debug)]
pub struct Staff {
    user: UserId,
    role: PlatformRole,
}

impl Staff {
    pub fn user(self) -> UserId {
        self.user
    }
    pub fn role(self) -> PlatformRole {
        self.role
    }
}
