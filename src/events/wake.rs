//! Wake-ups between processes: what one commits, another one's sequencer or relay has to act on. They may
//! be lost, on the way or with Redis; then the next look at the table finds the work.

use std::time::Duration;

use futures::StreamExt;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    id::TenantId,
    store::{Hint, Hints, Store},
};

/// The least time between two messages of one process: at most 200 a second, however many commits.
const GATHER: Duration = Duration::from_millis(5);
/// Tenants in one message.
const MOST: usize = 256;
/// Until Redis is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// The bit of [`Hint::events`], beside those of the queues.
const EVENTS: u16 = 1 << 15;

/// Tells the other processes of this installation, which `prefix` names, of this one's commits, and this
/// one of theirs, until `shutdown`.
pub async fn carry_wakes(store: Store, client: redis::Client, prefix: String, shutdown: CancellationToken) {
    let channel = format!("{prefix}wake");
    let me = store.env().uuid();
    let own = store.hints().listen_own();
    let both =
        async { tokio::join!(tell(own, &client, &channel, me), hear(store.hints(), &client, &channel, me)) };
    shutdown.run_until_cancelled(both).await;
}

async fn tell(mut own: Receiver<Hint>, client: &redis::Client, channel: &str, me: Uuid) {
    let mut connection = None;
    loop {
        let mut hints = match own.recv().await {
            Ok(first) => vec![first],
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        while hints.len() < MOST
            && let Ok(hint) = own.try_recv()
        {
            hint.join(&mut hints);
        }
        if let Err(error) = publish(&mut connection, client, channel, &write(me, &hints)).await {
            tracing::debug!(%error, "other processes are not woken; they look by themselves");
            connection = None;
            tokio::time::sleep(PAUSE).await;
        }
        tokio::time::sleep(GATHER).await;
    }
}

async fn publish(
    connection: &mut Option<redis::aio::MultiplexedConnection>,
    client: &redis::Client,
    channel: &str,
    message: &[u8],
) -> redis::RedisResult<()> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(client.get_multiplexed_async_connection().await?),
    };
    redis::cmd("PUBLISH").arg(channel).arg(message).query_async(connection).await
}

async fn hear(hints: &Hints, client: &redis::Client, channel: &str, me: Uuid) {
    loop {
        if let Err(error) = listen(hints, client, channel, me).await {
            tracing::debug!(%error, "wake-ups of other processes are interrupted");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listen(hints: &Hints, client: &redis::Client, channel: &str, me: Uuid) -> redis::RedisResult<()> {
    let mut subscribed = client.get_async_pubsub().await?;
    subscribed.subscribe(channel).await?;
    let mut messages = subscribed.on_message();
    while let Some(message) = messages.next().await {
        for hint in read(me, message.get_payload_bytes()) {
            hints.pass_on(hint);
        }
    }
    Ok(())
}

/// Who speaks, then for each tenant its id and the bits of what to look at.
fn write(me: Uuid, hints: &[Hint]) -> Vec<u8> {
    let mut message = me.as_bytes().to_vec();
    for hint in hints {
        let bits = hint.queues | if hint.events { EVENTS } else { 0 };
        message.extend_from_slice(hint.tenant.0.as_bytes());
        message.extend_from_slice(&bits.to_be_bytes());
    }
    message
}

/// What another process says; nothing of one's own, which is known, and nothing that is no such message.
fn read(me: Uuid, message: &[u8]) -> Vec<Hint> {
    let Some((speaker, entries)) = message.split_at_checked(16) else { return Vec::new() };
    if speaker == me.as_bytes() {
        return Vec::new();
    }
    let hints = entries.chunks_exact(18).filter_map(|entry| {
        let (tenant, bits) = entry.split_at(16);
        let bits = u16::from_be_bytes(bits.try_into().ok()?);
        let tenant = TenantId(Uuid::from_slice(tenant).ok()?);
        Some(Hint { tenant, events: bits & EVENTS != 0, queues: bits & !EVENTS })
    });
    hints.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Uuid = Uuid::from_u128(7);

    fn hint(tenant: u128, events: bool, queues: u16) -> Hint {
        Hint { tenant: TenantId(Uuid::from_u128(tenant)), events, queues }
    }

    #[test]
    fn a_message_reads_back_for_others_and_is_nothing_to_its_writer() {
        let hints = [hint(1, true, 0), hint(2, false, 0b101), hint(3, true, 0b1)];
        let message = write(ME, &hints);
        assert_eq!(read(Uuid::from_u128(8), &message), hints);
        assert_eq!(read(ME, &message), []);
        assert_eq!(read(ME, b"nonsense"), []);
    }

    #[test]
    fn many_commits_of_a_tenant_are_one_entry() {
        let mut hints = vec![hint(1, true, 0)];
        for queue in [0b1, 0b10, 0b1] {
            hint(1, false, queue).join(&mut hints);
        }
        hint(2, true, 0).join(&mut hints);
        assert_eq!(hints, [hint(1, true, 0b11), hint(2, true, 0)]);
    }
}
