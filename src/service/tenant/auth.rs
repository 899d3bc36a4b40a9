//! AuthService: signing up, in and out.

use chrono::TimeDelta;
use tonic::{Request, Response, Status};

use super::{join, session};
use crate::{
    auth::{
        Actor, Caller, TenantScope,
        password::Passwords,
        token::{self, Kind, Token},
    },
    domain::{
        access::Role,
        event::Event,
        lockout,
        membership::{default_tenant_name, email_key},
        password,
    },
    error::{Error, Result},
    id::TenantId,
    store::{
        Store, SystemDb, Tx,
        tenant::{NewUser, Session, Tenant, User},
    },
    wire::{
        self,
        tenant::v1::{
            self, GetMeRequest, Me, SignInRequest, SignInResponse, SignOutRequest, SignOutResponse,
            SignUpRequest, SignUpResponse, auth_service_server::AuthService,
        },
        word,
    },
};

/// Serves sessions.
pub struct Auth {
    store: Store,
    passwords: Passwords,
    /// How long a session lasts.
    lifetime: TimeDelta,
}

impl Auth {
    pub fn new(store: Store, passwords: Passwords, lifetime: TimeDelta) -> Self {
        Self { store, passwords, lifetime }
    }
}

/// A session, and where it works.
struct Opened {
    session: Session,
    user: User,
    place: Option<(Tenant, Role)>,
}

#[tonic::async_trait]
impl AuthService for Auth {
    async fn sign_up(&self, request: Request<SignUpRequest>) -> Result<Response<SignUpResponse>, Status> {
        let cookie = session::wants_cookie(&request);
        let SignUpRequest { email, password, name, tenant_name, invite_token } = request.into_inner();
        let email = wire::tenant::email("email", &email)?;
        let name = wire::tenant::person_name(&name, &email)?;
        let tenant_name = match tenant_name.trim() {
            "" => default_tenant_name(&name),
            given => wire::tenant::name("tenant_name", given, 200)?,
        };
        password::check(&password).map_err(Error::from)?;

        // Hashed for a known address too: the time it takes tells nothing.
        let password_hash = self.passwords.hash(&password).await?;
        let token = Token::make(Kind::Session, self.store.env());
        let new = NewUser { email, name, password_hash, platform_role: None };
        let opened = self
            .store
            .system()
            .transaction(async |db| {
                let Some(user) = db.users().add(new.clone()).await? else { return Ok(None) };
                let (tenant, role) = if invite_token.is_empty() {
                    found(db, &user, tenant_name.clone()).await?
                } else {
                    let invite = join::invite(db, &invite_token).await?;
                    let tenant = db.of(join::scope(&invite, &user));
                    let member = join::join(&tenant, &invite, &user).await?;
                    (tenant.tenants().get().await?, member.role)
                };
                let session =
                    db.sessions().add(user.id, Some(tenant.id), token.hash(), self.lifetime).await?;
                Ok(Some(Opened { session, user, place: Some((tenant, role)) }))
            })
            .await?;

        let Some(Opened { session, user, place }) = opened else {
            let known = SignUpResponse { hint: "login_or_reset".to_owned(), ..SignUpResponse::default() };
            return Ok(Response::new(known));
        };
        let answer = SignUpResponse {
            success: true,
            hint: String::new(),
            session_token: String::new(),
            expire_time: Some(wire::time(session.expires_at)),
            user: Some((&user).into()),
            tenant: place.as_ref().map(|(tenant, _)| tenant.into()),
            role: wire_role(place.as_ref()),
        };
        Ok(session::hand_over(answer, &token, cookie, self.lifetime, |answer, text| {
            answer.session_token = text;
        })?)
    }

    async fn sign_in(&self, request: Request<SignInRequest>) -> Result<Response<SignInResponse>, Status> {
        let cookie = session::wants_cookie(&request);
        let caller = Caller::of(&request)?;
        let SignInRequest { email, password, tenant_id } = request.into_inner();
        let tenant = wire::optional_id("tenant_id", &tenant_id)?;

        let user = self.prove(&caller, &email, &password).await?;
        // The right password was just seen in clear: the one moment to store it as we would today.
        let rehashed = match self.passwords.outdated(&user.password_hash) {
            true => Some(self.passwords.hash(&password).await?),
            false => None,
        };
        let token = Token::make(Kind::Session, self.store.env());
        let Opened { session, user, place } = self
            .store
            .system()
            .transaction(async |db| {
                if let Some(hash) = &rehashed {
                    db.users().set_password(user.id, hash.clone()).await?;
                }
                let place = place(db, &user, tenant).await?;
                let tenant = place.as_ref().map(|(tenant, _)| tenant.id);
                let session = db.sessions().add(user.id, tenant, token.hash(), self.lifetime).await?;
                Ok(Opened { session, user: user.clone(), place })
            })
            .await?;

        let answer = SignInResponse {
            session_token: String::new(),
            expire_time: Some(wire::time(session.expires_at)),
            user: Some((&user).into()),
            tenant: place.as_ref().map(|(tenant, _)| tenant.into()),
            role: wire_role(place.as_ref()),
        };
        Ok(session::hand_over(answer, &token, cookie, self.lifetime, |answer, text| {
            answer.session_token = text;
        })?)
    }

    async fn sign_out(&self, request: Request<SignOutRequest>) -> Result<Response<SignOutResponse>, Status> {
        let ended = Caller::of(&request)?.session()?;
        self.store.system().transaction(async |db| db.sessions().revoke(ended).await).await?;
        let mut response = Response::new(SignOutResponse {});
        if session::has_cookie(&request) {
            session::forget(&mut response)?;
        }
        Ok(response)
    }

    async fn get_me(&self, request: Request<GetMeRequest>) -> Result<Response<Me>, Status> {
        let caller = Caller::of(&request)?;
        let user = self.store.system().users().get(caller.user()?).await?;
        let role = caller.role();
        let tenant = match role {
            Some(_) => Some(self.store.of(caller.scope()?).tenants().get().await?),
            None => None,
        };
        Ok(Response::new(Me {
            user: Some((&user).into()),
            tenant: tenant.as_ref().map(Into::into),
            role: role.map_or(v1::Role::Unspecified, Into::into).into(),
            permissions: wire::tenant::permissions(role),
            platform_role: v1::PlatformRole::from(user.platform_role).into(),
        }))
    }
}

impl Auth {
    /// The person with that address and password. Who does not exist costs as much, and gets the same
    /// answer, as a wrong password.
    async fn prove(&self, caller: &Caller, email: &str, password: &str) -> Result<User> {
        let account = token::hash(&email_key(email));
        let network = lockout::network(caller.address);
        let system = self.store.system();
        let attempt = system.transaction(async |db| db.attempts(account, &network).count().await).await?;
        if attempt.locked {
            return Err(locked());
        }
        let user = system.users().by_email(email).await?;
        let hash = user.as_ref().map(|user| user.password_hash.as_str());
        let proven = self.passwords.verify(password, hash).await?;
        match user {
            Some(user) if proven && user.disabled => {
                Err(Error::forbidden("ACCOUNT_DISABLED", "the account is disabled"))
            }
            Some(user) if proven => {
                system.transaction(async |db| db.attempts(account, &network).forgive().await).await?;
                Ok(user)
            }
            _ if attempt.locks() => Err(locked()),
            _ => Err(Error::credentials("INVALID_CREDENTIALS", "wrong e-mail address or password")),
        }
    }
}

fn locked() -> Error {
    Error::Credentials {
        reason: "ACCOUNT_LOCKED",
        message: "too many failed attempts; try again in 15 minutes".into(),
        retry: lockout::PAUSE.to_std().ok(),
    }
}

fn wire_role(place: Option<&(Tenant, Role)>) -> i32 {
    place.map_or(v1::Role::Unspecified, |(_, role)| (*role).into()).into()
}

/// A tenant of the person's own, in its trial.
async fn found(db: &SystemDb<Tx>, user: &User, name: String) -> Result<(Tenant, Role)> {
    let scope = TenantScope::of_platform(db.env().id::<TenantId>()).acting_as(Actor::User(user.id));
    let db = db.of(scope);
    let tenant = db.tenants().add(name).await?;
    let member = db.members().add(user.id, Role::Owner).await?;
    db.subscriptions().start_trial().await?;
    db.emit(Event::TenantUpdated { subject: tenant.id.to_string(), action: "tenant.created".to_owned() });
    db.emit(Event::MemberUpdated { user: user.id, role: word(&member.role) });
    Ok((tenant, member.role))
}

/// Where the person's session works: the tenant that was asked for, or the one they joined first.
async fn place(db: &SystemDb<Tx>, user: &User, wanted: Option<TenantId>) -> Result<Option<(Tenant, Role)>> {
    let memberships = db.memberships(user.id).await?;
    let member = match wanted {
        Some(wanted) => {
            let member = memberships.into_iter().find(|member| member.tenant_id == wanted);
            Some(member.ok_or_else(|| Error::not_found("tenant", wanted))?)
        }
        None => memberships.into_iter().next(),
    };
    let Some(member) = member else { return Ok(None) };
    let scope = TenantScope::of_platform(member.tenant_id).acting_as(Actor::User(user.id));
    Ok(Some((db.of(scope).tenants().get().await?, member.role)))
}
