//! What does not belong into a stream or a table, put there past the program.
use sea_orm::Value;
use uuid::Uuid;

use crate::world::World;

/// Entries that are no tickets, tickets of jobs that are over, a payload that nobody can read, and a kind that
/// no version knows.
pub async fn spread(world: &mut World) {
    let nonsense: [&[(&str, &[u8])]; 3] = [
        &[("x", b"y")],
        &[("j", b"short"), ("t", b"short"), ("k", b"send_message"), ("e", b"1")],
        &[("p", b"packed nothing")],
    ];
    for (lane, fields) in nonsense.into_iter().enumerate() {
        add(world, "send", lane, fields).await;
    }
    stale(world).await;
    world.poisoned += 1;
    for (kind, payload) in [("send_message", "nonsense"), ("of_tomorrow", "{}")] {
        let insert = "insert into job (tenant_id, id, shard, queue, kind, payload, run_at, state, created_at) \
             select tenant_id, $1, shard, 0, $2, convert_to($3, 'UTF8'), now(), 0, now() from job limit 1";
        let values: [Value; 3] = [world.shops[0].env.uuid().into(), kind.into(), payload.into()];
        world.watch.ask(insert, values).await.expect("PostgreSQL is there");
    }
}

/// Tickets once more whose jobs ended, as a lost answer or a late replica brings them back. Returns how many.
pub async fn stale(world: &World) -> usize {
    let over =
        "select id, tenant_id, kind, epoch from job where state = 3 and queue = 0 order by random() limit 8";
    let rows = world.watch.ask(over, []).await.expect("PostgreSQL is there");
    for row in &rows {
        let (job, tenant): (Uuid, Uuid) =
            (row.try_get("", "id").unwrap(), row.try_get("", "tenant_id").unwrap());
        let (kind, epoch): (String, i32) =
            (row.try_get("", "kind").unwrap(), row.try_get("", "epoch").unwrap());
        let epoch = epoch.to_string();
        let fields: [(&str, &[u8]); 4] = [
            ("j", job.as_bytes()),
            ("t", tenant.as_bytes()),
            ("k", kind.as_bytes()),
            ("e", epoch.as_bytes()),
        ];
        add(world, "send", 0, &fields).await;
    }
    rows.len()
}

/// Jobs that no process ever knows are nobody's to finish.
pub async fn clear(world: &World) {
    let cancel = "update job set state = 5, finished_at = now(), lease_until = null \
         where kind = 'of_tomorrow' and state in (0, 1, 2)";
    world.tell_postgres(cancel).await;
}

async fn add(world: &World, queue: &str, lane: usize, fields: &[(&str, &[u8])]) {
    let mut redis = world.watch.redis().await.expect("Redis is there");
    let mut add = redis::cmd("XADD");
    add.arg(format!("{{jq:{queue}:{lane}}}:s")).arg("*");
    for (name, value) in fields {
        add.arg(name).arg(*value);
    }
    let _: String = add.query_async(&mut redis).await.expect("Redis is there");
}
