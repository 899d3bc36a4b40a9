//! The rule who may call what, as a function of policy and identity.

use super::{
    identify::{Known, is_staff},
    policy::{Audience, MethodPolicy},
};
use crate::{
    auth::Identity,
    domain::access::{Permission, PlatformRole},
    error::{Error, Result},
    wire::word,
};

/// Whether `known` may call the method, its plan and its rate aside.
pub(super) fn admit(policy: &MethodPolicy, known: Option<&Known>) -> Result<()> {
    audience(policy, known.map(|known| &known.identity))?;
    if policy.active_tenant && known.is_some_and(|known| known.restricted) {
        return Err(Error::forbidden("TENANT_RESTRICTED", "the platform restricted this tenant"));
    }
    Ok(())
}

fn audience(policy: &MethodPolicy, identity: Option<&Identity>) -> Result<()> {
    let (audience, identity) = match (policy.audience, identity) {
        (Audience::Public, _) => return Ok(()),
        (_, None) => return Err(Error::Unauthenticated),
        (audience, Some(identity)) => (audience, identity),
    };
    match (audience, identity) {
        (Audience::Public, _) | (Audience::Session, Identity::Person { .. }) => Ok(()),
        (Audience::Member(permission), Identity::Person { .. }) => demand(identity, permission),
        (Audience::Member(permission), Identity::Machine { .. }) if policy.api_key => {
            demand(identity, permission)
        }
        (Audience::PlatformAdmin, Identity::Person { platform, .. })
            if is_staff(*platform, PlatformRole::Admin) =>
        {
            Ok(())
        }
        (Audience::PlatformOwner, Identity::Person { platform, .. })
            if is_staff(*platform, PlatformRole::Owner) =>
        {
            Ok(())
        }
        (Audience::PlatformAdmin | Audience::PlatformOwner, _) => {
            Err(Error::forbidden("PLATFORM_ROLE_REQUIRED", "only platform staff may do this"))
        }
        (Audience::Session | Audience::Member(_), Identity::Machine { .. }) => {
            Err(Error::forbidden("PERSON_REQUIRED", "only a person may do this, not an API key"))
        }
    }
}

/// Whether `identity` holds a permission in its tenant: for methods that ask for more than one.
pub fn demand(identity: &Identity, permission: Permission) -> Result<()> {
    match identity {
        Identity::Person { tenant: None, .. } => {
            Err(Error::rejected("NO_CURRENT_TENANT", "choose a tenant first"))
        }
        Identity::Person { tenant: Some((_, role)), .. } if !permission.held_by(*role) => {
            Err(lacks(permission, word(role)))
        }
        Identity::Machine { permissions, .. } if !permissions.contains(&permission) => {
            Err(lacks(permission, "api_key".into()))
        }
        _ => Ok(()),
    }
}

fn lacks(permission: Permission, role: String) -> Error {
    Error::Forbidden {
        reason: "PERMISSION_REQUIRED",
        message: format!("needs the permission {}", permission.name()).into(),
        metadata: vec![("required_permission", permission.name().to_owned()), ("current_role", role)],
    }
}
