//! A ticket as an entry of a stream: in fields, or packed in one when it comes back from a snooze.

use redis::{FromRedisValue, streams::StreamId};
use uuid::Uuid;

use crate::{
    id::{JobId, TenantId},
    store::jobs::Ticket,
};

/// Job, tenant and epoch, then the kind.
pub(super) fn pack(ticket: &Ticket) -> Vec<u8> {
    let mut packed = Vec::with_capacity(36 + ticket.kind.len());
    packed.extend_from_slice(ticket.job.0.as_bytes());
    packed.extend_from_slice(ticket.tenant.0.as_bytes());
    packed.extend_from_slice(&ticket.epoch.to_be_bytes());
    packed.extend_from_slice(ticket.kind.as_bytes());
    packed
}

/// The ticket of an entry; `None` when it is not one.
pub(super) fn decode(entry: &StreamId) -> Option<Ticket> {
    if let Some(packed) = field::<Vec<u8>>(entry, "p") {
        return unpack(&packed);
    }
    Some(Ticket {
        job: JobId(Uuid::from_slice(&field::<Vec<u8>>(entry, "j")?).ok()?),
        tenant: TenantId(Uuid::from_slice(&field::<Vec<u8>>(entry, "t")?).ok()?),
        kind: field(entry, "k")?,
        epoch: field(entry, "e")?,
    })
}

fn field<T: FromRedisValue>(entry: &StreamId, name: &str) -> Option<T> {
    entry.map.get(name).and_then(|value| T::from_redis_value(value.clone()).ok())
}

fn unpack(packed: &[u8]) -> Option<Ticket> {
    let (job, rest) = packed.split_at_checked(16)?;
    let (tenant, rest) = rest.split_at_checked(16)?;
    let (epoch, kind) = rest.split_at_checked(4)?;
    Some(Ticket {
        job: JobId(Uuid::from_slice(job).ok()?),
        tenant: TenantId(Uuid::from_slice(tenant).ok()?),
        epoch: i32::from_be_bytes(epoch.try_into().ok()?),
        kind: std::str::from_utf8(kind).ok()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_ticket_reads_back_and_a_short_one_is_none() {
        let ticket = Ticket {
            job: JobId(Uuid::from_u128(1)),
            tenant: TenantId(Uuid::from_u128(2)),
            epoch: 70_000,
            kind: "send_message".to_owned(),
        };
        let packed = pack(&ticket);
        assert_eq!(unpack(&packed), Some(ticket));
        for length in 0..36 {
            assert_eq!(unpack(&packed[..length]), None);
        }
    }
}
