//! Who is calling, and may they: one layer before every handler, the same for gRPC, gRPC-Web and REST.
//!
//! In order: the method's policy · the credential · audience and permission · restricted tenant · plan ·
//! rate · field rules · the handler, with a [`Caller`] in the request's extensions.

mod body;
mod client;
mod credential;
mod gate;
mod identify;
mod policy;
mod rate;
mod recent;
mod rules;

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use prost_reflect::{DescriptorPool, DynamicMessage};
use redis::aio::ConnectionManager;
use secrecy::SecretString;
use tonic::{Status, body::Body};
use tower::{Layer, Service, ServiceExt};

pub use client::address;
pub use credential::COOKIE;
pub use gate::demand;
pub use policy::{Audience, MethodPolicy, Policies};
pub use rate::Limits;
pub use rules::Rules;

use self::{
    credential::presented,
    identify::{Credentials, Known, tenant},
    rate::{Standing, whole_seconds},
};
use crate::{
    auth::{Caller, IdempotencyKey},
    config::{Cidr, Config},
    error::{Error, Result},
    store::Store,
    wire::policy::v1::RateClass,
};

/// The headers that are read here: whatever carries a request on (the transcoder) must carry them too.
pub const HEADERS: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::ORIGIN,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("x-requested-with"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-request-id"),
    IDEMPOTENCY_KEY,
];

/// draft-ietf-httpapi-idempotency-key-header.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The layer, and what it knows. Cheap to clone.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    policies: Policies,
    rules: Rules,
    credentials: Credentials,
    limits: Limits,
    origins: Vec<String>,
    proxies: Vec<Cidr>,
    max_request_bytes: usize,
    /// Seals what is kept under idempotency keys.
    secret: SecretString,
}

impl Access {
    /// Reads policies and field rules from the contract. What is missing or not supported comes at once;
    /// a server must not start with it.
    pub fn new(
        contract: &DescriptorPool,
        store: Store,
        config: &Config,
        redis: Option<ConnectionManager>,
        secret: SecretString,
    ) -> Result<Self, Vec<String>> {
        let policies = Policies::read(contract)?;
        let rules = Rules::read(&policies)?;
        let own = config.public_url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        Ok(Self(Arc::new(Inner {
            policies,
            rules,
            limits: Limits::new(config.rates.clone(), redis, store.env().clone()),
            credentials: Credentials::new(store),
            origins: config.cors_origins.iter().cloned().chain([own]).collect(),
            proxies: config.trusted_proxies.clone(),
            max_request_bytes: config.max_request_bytes,
            secret,
        })))
    }

    pub fn policies(&self) -> &Policies {
        &self.0.policies
    }

    /// For the deliveries of messengers, which come past this layer.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Where a request comes from, behind the proxies that are trusted.
    pub fn address(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        address(headers, extensions, &self.0.proxies)
    }
}

impl<S> Layer<S> for Access {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { access: self.clone(), inner }
    }
}

/// `S` behind [`Access`].
#[derive(Clone)]
pub struct Guarded<S> {
    access: Access,
    inner: S,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let access = self.access.0.clone();
        // The clone that was asked whether it is ready stays here for the next call.
        let inner = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, inner);
        // Reflection, health and unknown methods have no policy: the router answers them.
        let Some(policy) = access.policies.of(request.uri().path()).cloned() else {
            return Box::pin(inner.oneshot(request));
        };
        Box::pin(async move { access.handle(&policy, request, inner).await })
    }
}

/// A request on its way in.
struct Visit {
    caller: Caller,
    standing: Option<Standing>,
}

impl Inner {
    async fn handle<S>(
        &self,
        policy: &MethodPolicy,
        request: Request<Body>,
        inner: S,
    ) -> Result<Response<Body>, Infallible>
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    {
        let mut visit = Visit {
            caller: Caller {
                identity: None,
                audit: policy.audit.clone(),
                request: client::request_id(request.headers()),
                address: address(request.headers(), request.extensions(), &self.proxies),
                idempotency: None,
            },
            standing: None,
        };
        let mut answer = match self.admit(policy, request, &mut visit).await {
            Ok(mut request) => {
                request.extensions_mut().insert(visit.caller.clone());
                let answer = inner.oneshot(request).await?;
                if policy.changes_access() {
                    self.credentials.forget();
                }
                answer
            }
            Err(error) => Status::from(error).into_http(),
        };
        if let Some(standing) = visit.standing {
            tell(&standing, answer.headers_mut());
        }
        // For the log line of the request.
        answer.extensions_mut().insert(visit.caller);
        Ok(answer)
    }

    async fn admit(
        &self,
        policy: &MethodPolicy,
        request: Request<Body>,
        visit: &mut Visit,
    ) -> Result<Request<Body>> {
        let known = self.identify(policy, request.headers(), visit).await?;
        visit.caller.identity = known.as_ref().map(|known| known.identity.clone());
        gate::admit(policy, known.as_ref())?;
        let identity = visit.caller.identity.as_ref();
        if policy.subscription {
            self.paid(identity.and_then(tenant)).await?;
        }
        visit.standing = self.limits.call(policy.rate, identity, visit.caller.address).await;
        visit.standing.map_or(Ok(()), |standing| standing.verdict())?;
        if policy.method.is_client_streaming() {
            return Ok(request);
        }
        self.inspect(policy, request, visit).await
    }

    /// Anyone may call a public method, also with a credential that proves nothing any more: how else
    /// would a browser with an old cookie sign in?
    async fn identify(
        &self,
        policy: &MethodPolicy,
        headers: &HeaderMap,
        visit: &Visit,
    ) -> Result<Option<Known>> {
        let found = match presented(headers, &self.origins) {
            Ok(Some(credential)) => self.credentials.identify(credential).await.map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        match found {
            Err(Error::Credentials { .. } | Error::Forbidden { .. })
                if policy.audience == Audience::Public =>
            {
                Ok(None)
            }
            Err(error @ Error::Credentials { .. }) => {
                // Guessing is a call without a credential, and counted as one.
                let guess = self.limits.call(RateClass::Public, None, visit.caller.address).await;
                guess.map_or(Ok(()), |standing| standing.verdict())?;
                Err(error)
            }
            found => found,
        }
    }

    async fn paid(&self, tenant: Option<crate::id::TenantId>) -> Result<()> {
        let tenant = tenant.ok_or_else(|| Error::rejected("NO_CURRENT_TENANT", "choose a tenant first"))?;
        if self.credentials.has_access(tenant).await? {
            return Ok(());
        }
        Err(Error::rejected("SUBSCRIPTION_REQUIRED", "the tenant needs a trial, a subscription or a grant"))
    }

    /// Reads the message, checks its fields, and hands the same bytes on.
    async fn inspect(
        &self,
        policy: &MethodPolicy,
        request: Request<Body>,
        visit: &mut Visit,
    ) -> Result<Request<Body>> {
        let (mut parts, body) = request.into_parts();
        let (bytes, body) = body::read(&mut parts.headers, body, self.max_request_bytes).await?;
        visit.caller.idempotency = self.idempotency(policy, &parts.headers, &bytes, &visit.caller)?;
        let input = policy.method.input();
        let signing_in = policy.rate == RateClass::Auth;
        // A message without rules is read too: what is none is refused here, in words.
        if self.rules.concern(&input) || signing_in || !bytes.is_empty() {
            let message = DynamicMessage::decode(input, bytes).map_err(|error| {
                Error::invalid("request", format!("is not what the method takes: {error}"))
            })?;
            self.rules.check(&message)?;
            if signing_in {
                self.attempt(&message, visit).await?;
            }
        }
        Ok(Request::from_parts(parts, body))
    }

    /// The key that the client gave the command.
    fn idempotency(
        &self,
        policy: &MethodPolicy,
        headers: &HeaderMap,
        message: &[u8],
        caller: &Caller,
    ) -> Result<Option<Arc<IdempotencyKey>>> {
        let (Some(given), Ok(actor)) = (headers.get(IDEMPOTENCY_KEY), caller.actor()) else {
            return Ok(None);
        };
        let text = given.to_str().unwrap_or_default();
        let key = IdempotencyKey::new(&self.secret, actor, &policy.path(), text, message)?;
        Ok(Some(Arc::new(key)))
    }

    /// Sign-in and its kin are also counted per account.
    async fn attempt(&self, message: &DynamicMessage, visit: &mut Visit) -> Result<()> {
        let email = message.get_field_by_name("email");
        let Some(email) = email.as_ref().and_then(|email| email.as_str()) else { return Ok(()) };
        let standing = self.limits.attempt(email, visit.caller.address).await;
        if let Some(standing) = standing {
            visit.standing = Some(standing);
            standing.verdict()?;
        }
        Ok(())
    }
}

/// The headers of draft-ietf-httpapi-ratelimit-headers, before its structured form.
fn tell(standing: &Standing, headers: &mut HeaderMap) {
    let mut put = |name, value: u64| headers.insert(HeaderName::from_static(name), HeaderValue::from(value));
    put("ratelimit-limit", u64::from(standing.limit));
    put("ratelimit-remaining", u64::from(standing.remaining));
    put("ratelimit-reset", whole_seconds(standing.reset));
    if let Some(wait) = standing.wait {
        put("retry-after", whole_seconds(wait).max(1));
    }
}
