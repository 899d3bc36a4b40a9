//! The load: customers write, operators answer and a partner's system sends in every shop, until it closes and
//! everything is at rest.
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use switchboard::{
    id::{ConversationId, MessageId},
    wire::conversation::v1::{SendMessageRequest, message_service_client::MessageServiceClient},
};

use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::Request;

use crate::{
    audit::{Account, Side},
    faults::{
        customers::{self, Written},
        operators::{self, Operators, Seen},
        shop::Shop,
    },
    poison,
    watch::Watch,
    world::World,
};

/// Systems of one partner that send on their own.
const SENDERS: usize = 2;

pub struct Trade {
    shops: Vec<(Arc<Shop>, JoinHandle<Vec<Written>>, Operators)>,
    closing: CancellationToken,
    gone: CancellationToken,
}

impl Trade {
    pub fn open(world: &World) -> Self {
        let (closing, gone) = (CancellationToken::new(), CancellationToken::new());
        let open = |shop: &Arc<Shop>| {
            let operators = operators::at_work(shop, gone.clone());
            for _ in 0..SENDERS {
                let send = send(shop.clone(), operators.seen.clone(), world.watch.clone(), closing.clone());
                operators.answers.spawn(send);
            }
            (shop.clone(), customers::write(shop, &closing), operators)
        };
        Self { shops: world.shops.iter().map(open).collect(), closing, gone }
    }

    /// Closes, waits until nothing moves any more, and takes the account of it.
    pub async fn close(self, world: &mut World, patience: Duration, account: &mut Account) {
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.closing.cancel();
        let mut closed = Vec::new();
        for (shop, customers, operators) in self.shops {
            closed.push((shop, customers.await.expect("no customer panicked"), operators));
        }
        poison::clear(world).await;
        let begin = Instant::now();
        let (mut calm, mut told) = (0, Vec::new());
        while calm < 4 {
            let open = open(world, &closed).await;
            calm = if open.is_empty() { calm + 1 } else { 0 };
            if open != told {
                println!("closed {:.1} s ago: {open:?}", begin.elapsed().as_secs_f32());
                told.clone_from(&open);
            }
            if begin.elapsed() > patience {
                account.wrong.push(format!("not at rest after {} s: {open:?}", patience.as_secs()));
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        world.count().await;
        self.gone.cancel();
        for (shop, written, operators) in &closed {
            let side = Side { shop, written, seen: &operators.seen };
            account.take(&world.watch, &side).await;
        }
        account.jobs(&world.watch, world.lives(), world.poisoned).await;
        let log = |process: &crate::processes::Process| {
            let text = std::fs::read(process.log()).expect("a log");
            (process.log().display().to_string(), String::from_utf8_lossy(&text).into_owned())
        };
        account.logs(&world.processes.iter().map(log).collect::<BTreeMap<_, _>>());
        for (.., operators) in closed {
            operators.follower.await.expect("the follower did not panic");
        }
    }
}

/// Sends one message after another, each under its key until it is answered.
async fn send(shop: Arc<Shop>, seen: Arc<Seen>, watch: Watch, closing: CancellationToken) {
    while !closing.is_cancelled() {
        tokio::time::sleep(Duration::from_millis(rand::random_range(100..500))).await;
        let sql = "select id from conversation where tenant_id = $1 order by random() limit 1";
        let Ok(rows) = watch.ask(sql, [shop.tenant.into()]).await else { continue };
        let Some(row) = rows.first() else { continue };
        let conversation: ConversationId = row.try_get("", "id").expect("an id");
        let id = shop.env.id::<MessageId>().to_string();
        let request = SendMessageRequest {
            conversation_id: conversation.to_string(),
            text: format!("Your parcel is on its way. ({id})"),
            id: id.clone(),
            ..SendMessageRequest::default()
        };
        let call = |wire| {
            let mut request = Request::new(request.clone());
            request.metadata_mut().insert("idempotency-key", id.parse().expect("it is plain"));
            async move { MessageServiceClient::new(wire).send_message(request).await }
        };
        match shop.insist("SendMessage", call).await {
            Ok(_) => seen.written.lock().expect("no reader panicked").push(id),
            Err(status) => shop.complain(format!("a partner's message could not be sent: {status}")),
        }
    }
}

/// What still moves.
async fn open(world: &World, shops: &[(Arc<Shop>, Vec<Written>, Operators)]) -> Vec<String> {
    let mut open = Vec::new();
    let sql = "select 'jobs in state ' || state as what, count(*) as n from job where state in (0, 1, 2, 6) group by state \
         union all select 'events without a number', count(*) from event where seq is null having count(*) > 0 \
         union all select 'queued messages', count(*) from message where status = 'queued' having count(*) > 0 \
         order by 1";
    match world.watch.ask(sql, []).await {
        Ok(rows) => open.extend(rows.iter().map(|row| {
            let (what, count): (String, i64) =
                (row.try_get("", "what").unwrap(), row.try_get("", "n").unwrap());
            format!("{count} {what}")
        })),
        Err(error) => open.push(format!("PostgreSQL: {error}")),
    }
    match world.watch.left().await {
        Ok((0, _)) => {}
        Ok((left, _)) => open.push(format!("{left} tickets")),
        Err(error) => open.push(format!("Redis: {error}")),
    }
    for (shop, _, operators) in shops {
        if !operators.answers.is_empty() {
            open.push(format!("{} operators are answering", operators.answers.len()));
        }
        let head = "select coalesce(max(seq), 0) as n from event where tenant_id = $1";
        if let Ok(rows) = world.watch.ask(head, [shop.tenant.into()]).await {
            let head: i64 = rows[0].try_get("", "n").unwrap();
            let seen = operators.seen.events.lock().unwrap().last().copied().unwrap_or(0);
            if seen != head {
                open.push(format!("{} events are not told yet", head - seen));
            }
        }
    }
    open
}
