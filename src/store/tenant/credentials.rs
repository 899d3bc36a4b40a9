//! What a credential proves: one query each, on the path of every request.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, QueryResult, Value};

use crate::{
    auth::facts::{ApiKeyFacts, SessionFacts},
    domain::{
        grant::GrantPeriod,
        subscription::{Standing, can_access},
    },
    error::{Error, Result},
    id::TenantId,
    store::{SystemDb, sql::statement, tenant::Permissions},
};

const SESSION: &str = "select s.id, s.user_id, s.expires_at, s.revoked_at, s.last_seen_at, \
     u.platform_role, u.disabled, m.tenant_id, m.role, t.restricted \
     from session s \
     join \"user\" u on u.id = s.user_id \
     left join member m on m.tenant_id = s.tenant_id and m.user_id = s.user_id and m.removed_at is null \
     left join tenant t on t.id = m.tenant_id \
     where s.token_hash = $1";

const API_KEY: &str = "select k.id, k.tenant_id, k.permissions, k.expires_at, k.revoked_at, t.restricted \
     from api_key k join tenant t on t.id = k.tenant_id \
     where k.token_hash = $1";

/// One row for each grant that may hold, or one row when there is none.
const ACCESS: &str = "select s.status, s.period_end, s.trial_end, g.starts_at, g.ends_at \
     from tenant t \
     left join subscription s on s.tenant_id = t.id \
     left join access_grant g on g.tenant_id = t.id and g.revoked_at is null and g.ends_at > $2 \
     where t.id = $1";

impl<C: ConnectionTrait> SystemDb<C> {
    /// The session with that token, whatever became of it; `access` judges.
    pub async fn session_by_hash(&self, token_hash: &[u8; 32]) -> Result<Option<SessionFacts>> {
        let Some(row) = self.row(SESSION, token_hash).await? else { return Ok(None) };
        let tenant = row.try_get::<Option<TenantId>>("", "tenant_id")?;
        let tenant = match tenant {
            Some(tenant) => Some((tenant, row.try_get("", "role")?)),
            None => None,
        };
        Ok(Some(SessionFacts {
            session: row.try_get("", "id")?,
            user: row.try_get("", "user_id")?,
            tenant,
            tenant_restricted: row.try_get::<Option<bool>>("", "restricted")?.unwrap_or(false),
            platform: row.try_get("", "platform_role")?,
            user_disabled: row.try_get("", "disabled")?,
            expires_at: row.try_get("", "expires_at")?,
            revoked: row.try_get::<Option<DateTime<Utc>>>("", "revoked_at")?.is_some(),
            last_seen_at: row.try_get("", "last_seen_at")?,
        }))
    }

    /// The API key with that secret, whatever became of it; `access` judges.
    pub async fn api_key_by_hash(&self, token_hash: &[u8; 32]) -> Result<Option<ApiKeyFacts>> {
        let Some(row) = self.row(API_KEY, token_hash).await? else { return Ok(None) };
        Ok(Some(ApiKeyFacts {
            key: row.try_get("", "id")?,
            tenant: row.try_get("", "tenant_id")?,
            tenant_restricted: row.try_get("", "restricted")?,
            permissions: row.try_get::<Permissions>("", "permissions")?.0,
            expires_at: row.try_get("", "expires_at")?,
            revoked: row.try_get::<Option<DateTime<Utc>>>("", "revoked_at")?.is_some(),
        }))
    }

    /// Whether the tenant may use what needs a subscription at `now`.
    pub async fn can_access(&self, tenant: TenantId, now: DateTime<Utc>) -> Result<bool> {
        let values: [Value; 2] = [tenant.into(), now.into()];
        let rows = self.conn().query_all_raw(statement(self.backend(), ACCESS, values)).await?;
        let first = rows.first().ok_or_else(|| Error::not_found("tenant", tenant))?;
        let standing = match first.try_get("", "status")? {
            Some(status) => Some(Standing {
                status,
                period_end: first.try_get("", "period_end")?,
                trial_end: first.try_get("", "trial_end")?,
            }),
            None => None,
        };
        let grants = rows.iter().map(grant).filter_map(Result::transpose).collect::<Result<Vec<_>>>()?;
        Ok(can_access(standing.as_ref(), &grants, now))
    }

    async fn row(&self, sql: &str, token_hash: &[u8; 32]) -> Result<Option<QueryResult>> {
        let statement = statement(self.backend(), sql, [token_hash.to_vec().into()]);
        Ok(self.conn().query_one_raw(statement).await?)
    }
}

fn grant(row: &QueryResult) -> Result<Option<GrantPeriod>> {
    let Some(starts_at) = row.try_get("", "starts_at")? else { return Ok(None) };
    Ok(Some(GrantPeriod { starts_at, ends_at: row.try_get("", "ends_at")?, revoked: false }))
}
