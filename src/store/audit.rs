//! The audit log: who did what, written with the command that did it. Append only.

use sea_orm::{ConnectionTrait, EntityTrait, Set};

use super::entity::audit_event;
use crate::{auth::TenantScope, env::Env, error::Result, id::AuditEventId};

pub(super) async fn append(
    conn: &impl ConnectionTrait,
    env: &Env,
    scope: &TenantScope,
    action: &str,
    subject: Option<String>,
) -> Result<()> {
    let row = audit_event::ActiveModel {
        tenant_id: Set(scope.tenant()),
        id: Set(env.id::<AuditEventId>()),
        actor: Set(scope.actor().label()),
        action: Set(action.to_owned()),
        subject: Set(subject),
        request_id: Set(scope.request().map(ToString::to_string)),
        at: Set(env.now()),
    };
    audit_event::Entity::insert(row).exec_without_returning(conn).await?;
    Ok(())
}
