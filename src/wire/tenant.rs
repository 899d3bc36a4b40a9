//! People, tenants, members and API keys: rows to the contract, and what requests say of them.

use chrono::{DateTime, Utc};
use prost_types::{FieldMask, Timestamp};

pub use super::contract::switchboard::tenant::v1;
use super::{changed, mask::Mask, policy, time};
use crate::{
    domain::{
        access::{Permission, PlatformRole, Role},
        membership,
    },
    error::{Error, Result},
    store::tenant as rows,
};
use v1::{Invite, Member, Tenant, User};

impl From<&rows::User> for User {
    fn from(row: &rows::User) -> Self {
        Self {
            id: row.id.to_string(),
            email: row.email.clone(),
            name: row.name.clone(),
            create_time: Some(time(row.create_time)),
            update_time: Some(time(row.update_time)),
            version: row.version,
        }
    }
}

impl From<&rows::Tenant> for Tenant {
    fn from(row: &rows::Tenant) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name.clone(),
            language: row.language.clone(),
            currency: row.currency.clone(),
            time_zone: row.time_zone.clone(),
            restricted: row.restricted,
            restricted_reason: row.restricted_reason.clone().unwrap_or_default(),
            create_time: Some(time(row.create_time)),
            update_time: Some(time(row.update_time)),
            version: row.version,
        }
    }
}

impl From<(&rows::Member, &rows::User)> for Member {
    fn from((member, user): (&rows::Member, &rows::User)) -> Self {
        Self {
            id: member.id.to_string(),
            user_id: member.user_id.to_string(),
            email: user.email.clone(),
            name: user.name.clone(),
            role: v1::Role::from(member.role).into(),
            create_time: Some(time(member.create_time)),
            update_time: Some(time(member.update_time)),
            version: member.version,
        }
    }
}

impl From<&rows::Invite> for Invite {
    fn from(row: &rows::Invite) -> Self {
        Self {
            id: row.id.to_string(),
            email: row.email.clone(),
            role: v1::Role::from(row.role).into(),
            inviter_id: row.inviter_id.to_string(),
            create_time: Some(time(row.create_time)),
            expire_time: Some(time(row.expires_at)),
        }
    }
}

impl From<&rows::ApiKey> for v1::ApiKey {
    fn from(row: &rows::ApiKey) -> Self {
        let mut permissions = row.permissions.0.clone();
        permissions.sort_unstable();
        Self {
            id: row.id.to_string(),
            name: row.name.clone(),
            prefix: row.prefix.clone(),
            last4: row.last4.clone(),
            permissions: permissions.into_iter().map(|permission| permission as i32).collect(),
            creator_id: row.creator_id.to_string(),
            create_time: Some(time(row.create_time)),
            expire_time: row.expires_at.map(time),
            revoke_time: row.revoked_at.map(time),
            last_used_time: row.last_used_at.map(time),
            update_time: Some(time(row.update_time)),
            version: row.version,
        }
    }
}

impl From<Role> for v1::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Guest => Self::Guest,
            Role::Viewer => Self::Viewer,
            Role::Operator => Self::Operator,
            Role::Admin => Self::Admin,
            Role::Owner => Self::Owner,
        }
    }
}

impl From<Option<PlatformRole>> for v1::PlatformRole {
    fn from(role: Option<PlatformRole>) -> Self {
        match role {
            None => Self::Unspecified,
            Some(PlatformRole::Admin) => Self::Admin,
            Some(PlatformRole::Owner) => Self::Owner,
        }
    }
}

/// What a role permits, in the order of the contract.
pub fn permissions(role: Option<Role>) -> Vec<i32> {
    let held = |permission: &Permission| role.is_some_and(|role| permission.held_by(role));
    Permission::ALL.into_iter().filter(held).map(|permission| permission as i32).collect()
}

/// Reads a role; none at all is INVALID_ARGUMENT.
pub fn role(field: &str, number: i32) -> Result<Role> {
    match v1::Role::try_from(number) {
        Ok(v1::Role::Guest) => Ok(Role::Guest),
        Ok(v1::Role::Viewer) => Ok(Role::Viewer),
        Ok(v1::Role::Operator) => Ok(Role::Operator),
        Ok(v1::Role::Admin) => Ok(Role::Admin),
        Ok(v1::Role::Owner) => Ok(Role::Owner),
        Ok(v1::Role::Unspecified) | Err(_) => Err(Error::invalid(field, "must be a role")),
    }
}

/// Reads permissions, each once.
pub fn permission_list(field: &str, numbers: &[i32]) -> Result<Vec<Permission>> {
    let mut list = Vec::with_capacity(numbers.len());
    for (at, number) in numbers.iter().enumerate() {
        let permission = Permission::of_number(*number)
            .ok_or_else(|| Error::invalid(format!("{field}[{at}]"), "must be a permission"))?;
        if list.contains(&permission) {
            let name = policy::v1::Permission::try_from(*number).map_or("", |p| p.as_str_name());
            return Err(Error::invalid(format!("{field}[{at}]"), format!("repeats {name}")));
        }
        list.push(permission);
    }
    if list.is_empty() {
        return Err(Error::invalid(field, "must name at least one permission"));
    }
    Ok(list)
}

/// Reads an e-mail address: one `@` with something around it, without white space or control characters.
pub fn email(field: &str, text: &str) -> Result<String> {
    let text = text.trim();
    let parts = text.split_once('@');
    let whole = parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if whole && !text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        Ok(text.to_owned())
    } else {
        Err(Error::invalid(field, "must be an e-mail address"))
    }
}

/// Reads a name that people see: 1 to `most` characters, not only white space.
pub fn name(field: &str, text: &str, most: usize) -> Result<String> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err(Error::invalid(field, "must not be empty")),
        length if length > most => Err(Error::invalid(field, format!("must have at most {most} characters"))),
        _ => Ok(text.to_owned()),
    }
}

/// Reads a point in time.
pub fn instant(field: &str, at: &Timestamp) -> Result<DateTime<Utc>> {
    u32::try_from(at.nanos)
        .ok()
        .and_then(|nanos| DateTime::from_timestamp(at.seconds, nanos))
        // Both databases hold microseconds.
        .and_then(|at| DateTime::from_timestamp_micros(at.timestamp_micros()))
        .ok_or_else(|| Error::invalid(field, "must be a point in time"))
}

/// Reads which values of `tenant` to change: those of the mask, or without one those that are not empty.
pub fn tenant_change(tenant: &Tenant, mask: Option<FieldMask>) -> Result<rows::TenantChange> {
    let mask = Mask::read(mask, &["name", "language", "currency", "time_zone"])?;
    let wanted = |field: &str, value: &str| mask.changes(field, !value.is_empty());
    let mut change = rows::TenantChange::default();
    if wanted("name", &tenant.name) {
        change.name = Some(name("tenant.name", &tenant.name, 200)?);
    }
    if wanted("language", &tenant.language) {
        change.language = Some(name("tenant.language", &tenant.language, 35)?);
    }
    if wanted("currency", &tenant.currency) {
        change.currency = Some(name("tenant.currency", &tenant.currency, 3)?);
    }
    if wanted("time_zone", &tenant.time_zone) {
        let zone: chrono_tz::Tz = tenant
            .time_zone
            .parse()
            .map_err(|_| Error::invalid("tenant.time_zone", "must be an IANA time zone"))?;
        change.time_zone = Some(zone.name().to_owned());
    }
    Ok(change)
}

/// Refuses a change that was based on another version than the tenant has now.
pub fn check_tenant(expected_version: i64, now: &rows::Tenant) -> Result<()> {
    changed::unless(expected_version, now.version, "switchboard.tenant.v1.Tenant", || Tenant::from(now))
}

/// Refuses a change that was based on another version than the member has now.
pub fn check_member(expected_version: i64, member: &rows::Member, user: &rows::User) -> Result<()> {
    let state = || Member::from((member, user));
    changed::unless(expected_version, member.version, "switchboard.tenant.v1.Member", state)
}

/// The name of a person who gave `name`, perhaps an empty one.
pub fn person_name(text: &str, email: &str) -> Result<String> {
    if text.trim().is_empty() {
        Ok(membership::default_name(email).chars().take(100).collect())
    } else {
        name("name", text, 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Tenant {
        Tenant { name: "Shop".into(), time_zone: "Europe/Berlin".into(), ..Tenant::default() }
    }
    fn mask(paths: &[&str]) -> FieldMask {
        FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }
    }

    #[test]
    fn without_a_mask_what_is_present_changes() {
        let change = tenant_change(&tenant(), None).unwrap();
        assert_eq!(change.name.as_deref(), Some("Shop"));
        assert_eq!(change.time_zone.as_deref(), Some("Europe/Berlin"));
        assert_eq!((change.language, change.currency), (None, None));
    }

    #[test]
    fn a_mask_says_what_changes() {
        let change = tenant_change(&tenant(), Some(mask(&["name"]))).unwrap();
        assert_eq!((change.name.as_deref(), change.time_zone), (Some("Shop"), None));
        for (paths, field) in [
            (&["restricted"][..], "update_mask"),
            (&["currency"], "tenant.currency"),
            (&["language"], "tenant.language"),
        ] {
            let refused = tenant_change(&tenant(), Some(mask(paths))).unwrap_err();
            assert!(refused.to_string().starts_with(field), "{paths:?}: {refused}");
        }
    }

    #[test]
    fn addresses_have_two_parts() {
        for (text, good) in [
            (" ann@shop.example ", true),
            ("ann", false),
            ("@shop.example", false),
            ("ann@", false),
            ("ann@a@b", false),
            ("an n@shop.example", false),
            ("ann@shop.example\u{0}", false),
        ] {
            assert_eq!(email("email", text).is_ok(), good, "{text:?}");
        }
    }

    #[test]
    fn permissions_are_read_once_each() {
        assert_eq!(permission_list("p", &[1, 2]).unwrap().len(), 2);
        for numbers in [&[][..], &[0], &[17], &[1, 1]] {
            assert!(permission_list("p", numbers).is_err(), "{numbers:?}");
        }
    }
}
