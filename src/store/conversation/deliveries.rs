use sea_orm::{ColumnTrait, Condition, ConnectionTrait, ExprTrait, QueryFilter, Value, sea_query::Expr};

use super::{Message, Messages};
use crate::{
    domain::delivery::DeliveryStatus,
    error::{Error, Result},
    id::{ChannelId, MessageId},
    store::{
        TenantDb, Tx,
        entity::{
            delivery,
            message::{Column, Entity},
        },
        scope::TenantOwned,
        sql::statement,
    },
};

impl TenantOwned for delivery::Entity {
    const TENANT: delivery::Column = delivery::Column::TenantId;
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// Where answers to sends and reports about them meet.
    pub fn deliveries(&self) -> Deliveries<'_, C> {
        Deliveries(self)
    }
}

/// Where answers to sends and reports about them meet: they come in any order and at the same moment, and
/// the row they share lets one of them go first and the other one see what it left.
pub struct Deliveries<'a, C>(&'a TenantDb<C>);

/// What a provider says about one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub status: DeliveryStatus,
    /// Why it failed: a word of [`Reason`](crate::domain::delivery).
    pub reason: Option<String>,
    pub detail: Option<String>,
}

/// The attempt that a report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Met {
    pub message: MessageId,
    pub attempt: i32,
}

const ACCEPT: &str = "insert into delivery (tenant_id, channel_id, external_id, message_id, attempt, update_time) \
     values ($1, $2, $3, $4, $5, $6) \
     on conflict (tenant_id, channel_id, external_id) do update set \
     message_id = excluded.message_id, attempt = excluded.attempt, update_time = excluded.update_time \
     returning status, reason, detail";

/// `{lower}` are the statuses that the new one overrules.
const LEAVE: &str = "insert into delivery (tenant_id, channel_id, external_id, status, reason, detail, update_time) \
     values ($1, $2, $3, $4, $5, $6, $7) \
     on conflict (tenant_id, channel_id, external_id) do update set \
     reason = case when delivery.status is null or delivery.status in ({lower}) \
         then excluded.reason else delivery.reason end, \
     detail = case when delivery.status is null or delivery.status in ({lower}) \
         then excluded.detail else delivery.detail end, \
     status = case when delivery.status is null or delivery.status in ({lower}) \
         then excluded.status else delivery.status end, \
     update_time = excluded.update_time \
     returning message_id, attempt";

impl Deliveries<'_, Tx> {
    /// The provider took an attempt and calls it `external_id`. Returns what it reported about it before
    /// we knew.
    pub async fn accept(&self, channel: ChannelId, external_id: &str, met: Met) -> Result<Option<Report>> {
        let values: [Value; 6] = [
            self.0.tenant().into(),
            channel.into(),
            external_id.into(),
            met.message.into(),
            met.attempt.into(),
            self.0.env().now().into(),
        ];
        let row = self.0.conn().query_one_raw(statement(self.0.backend(), ACCEPT, values)).await?;
        let row = row.ok_or_else(|| Error::internal(anyhow::anyhow!("an upsert returned no row")))?;
        let Some(status) = row.try_get("", "status")? else { return Ok(None) };
        Ok(Some(Report { status, reason: row.try_get("", "reason")?, detail: row.try_get("", "detail")? }))
    }

    /// Leaves a report for whoever brings the answer to the send; returns the attempt if that came before.
    pub async fn leave(&self, channel: ChannelId, external_id: &str, report: &Report) -> Result<Option<Met>> {
        let lower = below(report.status).map(|status| format!("'{}'", status.as_str())).collect::<Vec<_>>();
        // No status is below the lowest one; an empty list is not SQL.
        let lower = if lower.is_empty() { "''".to_owned() } else { lower.join(", ") };
        let values: [Value; 7] = [
            self.0.tenant().into(),
            channel.into(),
            external_id.into(),
            report.status.into(),
            report.reason.clone().into(),
            report.detail.clone().into(),
            self.0.env().now().into(),
        ];
        let leave = LEAVE.replace("{lower}", &lower);
        let row = self.0.conn().query_one_raw(statement(self.0.backend(), &leave, values)).await?;
        let row = row.ok_or_else(|| Error::internal(anyhow::anyhow!("an upsert returned no row")))?;
        let (message, attempt) = (row.try_get("", "message_id")?, row.try_get("", "attempt")?);
        Ok(match (message, attempt) {
            (Some(message), Some(attempt)) => Some(Met { message, attempt }),
            _ => None,
        })
    }
}

impl Messages<'_, Tx> {
    /// Raises an outbound message to what is reported about an attempt; in any order of reports the greatest
    /// one of the newest attempt stands. `None` when it says nothing new.
    pub async fn report(
        &self,
        channel: ChannelId,
        met: Met,
        report: &Report,
        external_id: Option<&str>,
    ) -> Result<Option<Message>> {
        let Report { status, reason, detail } = report;
        let older = Column::Attempt.lt(met.attempt);
        let lower = Column::Attempt.eq(met.attempt).and(Column::Status.is_in(below(*status)));
        let mut update = self
            .0
            .update::<Entity>()
            .col_expr(Column::Status, Expr::value(*status))
            .col_expr(Column::Attempt, Expr::value(met.attempt))
            .col_expr(Column::FailureReason, Expr::value(reason.clone()))
            .col_expr(Column::FailureDetail, Expr::value(detail.clone()))
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdateTime, Expr::value(self.0.env().now()))
            .filter(Column::Id.eq(met.message))
            .filter(Column::ChannelId.eq(channel))
            .filter(Column::Status.is_not_null())
            .filter(Condition::any().add(older).add(lower));
        if let Some(external_id) = external_id {
            update = update.col_expr(Column::ExternalId, Expr::value(external_id));
        }
        Ok(update.exec_with_returning(self.0.conn()).await?.pop())
    }
}

/// The statuses that `status` overrules.
fn below(status: DeliveryStatus) -> impl Iterator<Item = DeliveryStatus> {
    use sea_orm::Iterable;
    DeliveryStatus::iter().filter(move |other| *other != status && other.merge(status) == status)
}
