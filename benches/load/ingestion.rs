//! Webhooks: how many are durable and answered a second, and how long one takes when there is room.

use std::time::Duration;

use switchboard::id::{ChannelId, Id};

use super::{
    generator::{Load, Wire, ask},
    recording::{Recording, Variation},
    report::{Ceiling, Report, Target, ms},
    services::{Server, Services},
    shop::{CUSTOMERS, FIRST_CUSTOMER, Shop, fine_http},
};

pub const CALLERS: usize = 16;

/// Capacity beside pgbench with the same statements, then latency at half of it.
pub async fn measure(report: &mut Report, services: &Services, server: &Server, shop: &Shop) {
    let name = "ingestion";
    services.settle();
    let full = Load {
        callers: CALLERS,
        warm_up: Duration::from_secs(2),
        measured: Duration::from_secs(6),
        rate: None,
    };
    let (capacity, cpu) = server.during(shop.ingest(&server.address, full, 1)).await;

    let recording = Recording::of(services, async |number| {
        let answer =
            ask(&server.address, Wire::Http1, shop.webhook(&server.address, 2, number * CUSTOMERS)).await;
        assert!(fine_http(&answer), "{answer:?}");
    })
    .await;
    services.settle();
    let script = recording.script(3, CALLERS, &variation(services, shop));
    let ceiling = services.pgbench(&script, CALLERS, 6);
    println!("# {name}: {}", recording.summary());
    let ceilings = [Ceiling::new("pgbench", ceiling)];
    report.outcome(name, &capacity, &ceilings, Some(Target::AtLeast(0.5)));
    report.line(&format!("{name}.cpu"), cpu, "us/req", None, None, "");

    services.settle();
    let half = Load {
        callers: 4 * CALLERS,
        warm_up: Duration::from_secs(2),
        measured: Duration::from_secs(6),
        rate: Some(capacity.per_second / 2.0),
    };
    let calm = shop.ingest(&server.address, half, 4).await;
    report.failures(name, &calm);
    let note = format!("at {:.0} req/s, half of capacity", calm.per_second);
    let name = format!("{name}.half.p99");
    report.line(&name, ms(calm.p99), "ms", None, Some(Target::AtMost(50.0)), &note);
}

/// Capacity of a server that does everything at once, on a database of its own.
pub async fn measure_all(report: &mut Report, server: &Server, shop: &Shop) {
    let full = Load {
        callers: CALLERS,
        warm_up: Duration::from_secs(2),
        measured: Duration::from_secs(6),
        rate: None,
    };
    let (capacity, cpu) = server.during(shop.ingest(&server.address, full, 1)).await;
    report.outcome("ingestion.all_roles", &capacity, &[], None);
    report.line("ingestion.all_roles.cpu", cpu, "us/req", None, None, "");
}

fn variation(services: &Services, shop: &Shop) -> Variation {
    let channel: ChannelId = shop.channel.parse().expect("an id");
    let ids = services.sql(&[&format!(
        "select i.customer_id, c.id, m.external_id from customer_identity i
         join conversation c on c.tenant_id = i.tenant_id and c.customer_id = i.customer_id
         join message m on m.tenant_id = c.tenant_id and m.conversation_id = c.id
         where i.channel_id = '{}' and i.value = '{FIRST_CUSTOMER}' order by m.id desc limit 1",
        channel.uuid()
    )]);
    let mut ids = ids.split('|').map(str::to_owned);
    let mut next = || ids.next().expect("three columns");
    let (customer, conversation, message) = (next(), next(), next());
    // pgbench takes a colon and a word for a variable, in a text too.
    let fresh = |before: &str| format!("{before}'wamid.HBgMNDkxNTUwMDAwMDAwFQIAEhg' || :n::text || 'AA=='");
    Variation {
        prelude: format!("\\set c {FIRST_CUSTOMER} + (:client_id + :i * {CALLERS}) % {CUSTOMERS}"),
        values: vec![
            (FIRST_CUSTOMER.to_string(), ":c::text".to_owned()),
            (customer, ":c_id".to_owned()),
            (conversation, ":v_id".to_owned()),
            (format!("message:{message}"), fresh("'message' || chr(58) || ")),
            (message, fresh("")),
        ],
        columns: vec![
            ("message.seq", ":v_message_count"),
            ("job.uniq_key", "decode(lpad(to_hex(:n::bigint), 32, '0'), 'hex')"),
        ],
        answers: vec![("select c.*", "c_"), ("insert into conversation", "v_")],
        ..Variation::default()
    }
}
