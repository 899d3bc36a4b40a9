//! What staff see: rows to the contract.

pub mod job;

pub use super::contract::switchboard::admin::v1;
use super::time;
use crate::{
    domain::cron::CatchUp,
    error::{Error, Result},
    id::TenantId,
    store::{admin as rows, jobs::Cron},
};
use v1::{Database, Grant, Schedule, TenantSummary};

impl From<&rows::TenantOverview> for TenantSummary {
    fn from(row: &rows::TenantOverview) -> Self {
        let tenant = &row.tenant;
        Self {
            id: tenant.id.to_string(),
            name: tenant.name.clone(),
            owner_email: row.owner_email.as_deref().map(masked).unwrap_or_default(),
            restricted: tenant.restricted,
            restricted_reason: tenant.restricted_reason.clone().unwrap_or_default(),
            create_time: Some(time(tenant.create_time)),
            update_time: Some(time(tenant.update_time)),
            version: tenant.version,
        }
    }
}

impl From<&rows::Grant> for Grant {
    fn from(row: &rows::Grant) -> Self {
        Self {
            id: row.id.to_string(),
            tenant_id: row.tenant_id.to_string(),
            start_time: Some(time(row.starts_at)),
            end_time: Some(time(row.ends_at)),
            reason: row.reason.clone(),
            creator_id: row.creator_id.to_string(),
            revoke_time: row.revoked_at.map(time),
            revoke_reason: row.revoke_reason.clone().unwrap_or_default(),
            create_time: Some(time(row.create_time)),
            update_time: Some(time(row.update_time)),
            version: row.version,
        }
    }
}

impl From<&Cron> for Schedule {
    fn from(row: &Cron) -> Self {
        let tenant = Some(row.tenant_id).filter(|tenant| *tenant != TenantId::PLATFORM);
        let catch_up = match row.catch_up {
            CatchUp::Skip => v1::CatchUp::Skip,
            CatchUp::One => v1::CatchUp::One,
            CatchUp::All => v1::CatchUp::All,
        };
        Self {
            tenant_id: tenant.map(|tenant| tenant.to_string()).unwrap_or_default(),
            name: row.name.clone(),
            expression: row.expr.clone(),
            time_zone: row.tz.clone(),
            kind: row.kind.clone(),
            catch_up: catch_up.into(),
            enabled: row.enabled,
            next_time: row.enabled.then(|| time(row.next_at)),
            last_time: row.last_at.map(time),
            create_time: Some(time(row.create_time)),
            update_time: Some(time(row.update_time)),
            version: row.version,
        }
    }
}

/// The database behind the rows.
pub fn database(backend: sea_orm::DbBackend) -> Database {
    match backend {
        sea_orm::DbBackend::Sqlite => Database::Sqlite,
        sea_orm::DbBackend::Postgres => Database::Postgresql,
        _ => Database::Unspecified,
    }
}

/// Reads why staff do something: 3 to 500 characters.
pub fn reason(text: &str) -> Result<String> {
    let text = text.trim();
    if (3..=500).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err(Error::invalid("reason", "must have 3 to 500 characters"))
    }
}

/// An e-mail address that staff can recognise and not use: `a***@example.com`.
fn masked(email: &str) -> String {
    let (name, host) = email.split_once('@').unwrap_or((email, ""));
    let first: String = name.chars().take(1).collect();
    format!("{first}***@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acceptance case 91.
    #[test]
    fn addresses_are_masked() {
        for (email, expected) in [("ann@shop.example", "a***@shop.example"), ("a@b", "a***@b"), ("", "***@")]
        {
            assert_eq!(masked(email), expected);
        }
    }
}
