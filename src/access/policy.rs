//! The policies of the contract, read from the descriptors once at start.

use std::{collections::HashMap, sync::Arc};

use prost_reflect::{DescriptorPool, MethodDescriptor};

use crate::{
    domain::access::Permission,
    wire::policy::v1::{self as wire, RateClass},
};

const OPTION: &str = "switchboard.policy.v1.policy";

/// The policy of every method of ours, by the path of its calls.
#[derive(Clone, Debug)]
pub struct Policies(HashMap<String, Arc<MethodPolicy>>);

/// Who may call one method, and what it costs.
#[derive(Clone, Debug)]
pub struct MethodPolicy {
    pub method: MethodDescriptor,
    pub audience: Audience,
    /// Whether an API key may call in place of a member.
    pub api_key: bool,
    /// Whether the tenant needs a trial, a subscription or a grant.
    pub subscription: bool,
    /// Whether a restricted tenant is refused.
    pub active_tenant: bool,
    pub rate: RateClass,
    /// Recorded when a call succeeds.
    pub audit: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Anyone.
    Public,
    /// A signed-in person.
    Session,
    /// A member of the current tenant who holds the permission.
    Member(Permission),
    /// Platform staff.
    PlatformAdmin,
    PlatformOwner,
}

impl Policies {
    /// Reads the policy of every method in packages `switchboard.*`. All that is missing or makes no
    /// sense comes at once, one sentence a method.
    pub fn read(pool: &DescriptorPool) -> Result<Self, Vec<String>> {
        let ours = pool.services().filter(|service| service.package_name().starts_with("switchboard."));
        let mut policies = HashMap::new();
        let mut problems = Vec::new();
        for method in ours.flat_map(|service| service.methods().collect::<Vec<_>>()) {
            match MethodPolicy::read(pool, &method) {
                Ok(policy) => {
                    policies.insert(path(&method), Arc::new(policy));
                }
                Err(problem) => problems.push(format!("{}: {problem}", method.full_name())),
            }
        }
        if problems.is_empty() { Ok(Self(policies)) } else { Err(problems) }
    }

    /// The policy of a call: `/switchboard.tenant.v1.AuthService/SignIn`.
    pub fn of(&self, path: &str) -> Option<&Arc<MethodPolicy>> {
        self.0.get(path)
    }

    pub fn iter(&self) -> impl Iterator<Item = &MethodPolicy> {
        self.0.values().map(Arc::as_ref)
    }
}

/// The path of a method's calls.
fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

impl MethodPolicy {
    /// The path of the method's calls: `/switchboard.tenant.v1.AuthService/SignIn`.
    pub fn path(&self) -> String {
        path(&self.method)
    }

    fn read(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<Self, String> {
        let declared = pool.get_extension_by_name(OPTION).and_then(|option| {
            let options = method.options();
            if !options.has_extension(&option) {
                return None;
            }
            options.get_extension(&option).as_message()?.transcode_to::<wire::Policy>().ok()
        });
        let declared = declared.ok_or("has no policy")?;
        let permission = Permission::of_number(declared.permission);
        let audience = match wire::Audience::try_from(declared.audience) {
            Ok(wire::Audience::Public) => Audience::Public,
            Ok(wire::Audience::Session) => Audience::Session,
            Ok(wire::Audience::Member) => {
                Audience::Member(permission.ok_or("a member's method needs a permission")?)
            }
            Ok(wire::Audience::PlatformAdmin) => Audience::PlatformAdmin,
            Ok(wire::Audience::PlatformOwner) => Audience::PlatformOwner,
            Ok(wire::Audience::Unspecified) | Err(_) => return Err("has no audience".into()),
        };
        let member = matches!(audience, Audience::Member(_));
        if permission.is_some() && !member {
            return Err("only a member's method has a permission".into());
        }
        if declared.api_key && !member {
            return Err("only a member's method can admit API keys".into());
        }
        let tenant = member || audience == Audience::Session;
        if (declared.subscription || declared.active_tenant) && !tenant {
            return Err("subscription and active_tenant need a caller with a tenant".into());
        }
        let rate = match RateClass::try_from(declared.rate) {
            Ok(RateClass::Unspecified) | Err(_) => return Err("has no rate class".into()),
            Ok(rate) => rate,
        };
        Ok(Self {
            method: method.clone(),
            audience,
            api_key: declared.api_key,
            subscription: declared.subscription,
            active_tenant: declared.active_tenant,
            rate,
            audit: Some(declared.audit).filter(|action| !action.is_empty()).map(Into::into),
        })
    }

    /// Whether a call may change who may do what, so that what is remembered of credentials must go.
    pub(super) fn changes_access(&self) -> bool {
        let reading = matches!(self.rate, RateClass::Read | RateClass::Stream);
        let people = match self.audience {
            Audience::Member(permission) => {
                matches!(permission, Permission::ManageUsers | Permission::ManageTenantSettings)
            }
            _ => true,
        };
        people && !reading
    }
}
