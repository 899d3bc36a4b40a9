//! EventService: the tenant's log, live and in pieces.

use std::pin::Pin;

use futures::Stream;
use tonic::{Request, Response, Status};

use crate::{
    auth::Caller,
    error::Result,
    events::{Follower, Hub, Step},
    store::{
        Store,
        events::{EventFilter, Head},
    },
    wire::{
        self,
        tenant::v1::{
            self, Heartbeat, PullEventsRequest, PullEventsResponse, SubscribeRequest, SubscribeResponse,
            event_service_server::EventService, subscribe_response,
        },
    },
};

/// Serves the event log.
pub struct Events {
    store: Store,
    hub: Hub,
}

impl Events {
    pub fn new(store: Store, hub: Hub) -> Self {
        Self { store, hub }
    }
}

type Steps = Pin<Box<dyn Stream<Item = Result<SubscribeResponse, Status>> + Send>>;

#[tonic::async_trait]
impl EventService for Events {
    type SubscribeStream = Steps;

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Result<Response<Steps>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let resumed = last_event_id(&request);
        let SubscribeRequest { after_seq, types, conversation_id } = request.into_inner();
        let filter = filter(types, &conversation_id)?;
        let after = resumed.or(after_seq);
        let mut follower = Follower::start(self.store.clone(), &self.hub, scope, after, filter).await?;
        let steps = async_stream::stream! {
            loop {
                match step(follower.next().await) {
                    Ok(step) => yield Ok(step),
                    Err(status) => {
                        yield Err(status);
                        break;
                    }
                }
            }
        };
        Ok(Response::new(Box::pin(steps)))
    }

    async fn pull_events(
        &self,
        request: Request<PullEventsRequest>,
    ) -> Result<Response<PullEventsResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let PullEventsRequest { after_seq, page_size, types, conversation_id } = request.into_inner();
        let filter = filter(types, &conversation_id)?;
        let limit = wire::page::size(page_size)?;
        let (Head { newest, .. }, found) =
            self.store.of(scope).events().page(after_seq, &filter, limit).await?;
        let full = u64::try_from(found.len()).unwrap_or(u64::MAX) >= limit;
        let last = found.last().and_then(|event| event.seq).unwrap_or(after_seq);
        // What the filter leaves out up to the head is behind the reader.
        let next_after_seq = if full { last } else { newest.max(last) };
        let events = found.iter().map(v1::Event::try_from).collect::<Result<Vec<_>>>()?;
        Ok(Response::new(PullEventsResponse { events, next_after_seq, newest_seq: newest }))
    }
}

fn filter(kinds: Vec<String>, conversation: &str) -> Result<EventFilter> {
    Ok(EventFilter { kinds, conversation: wire::optional_id("conversation_id", conversation)? })
}

/// Where a browser's EventSource resumes (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
fn last_event_id<T>(request: &Request<T>) -> Option<i64> {
    request.metadata().get("last-event-id")?.to_str().ok()?.parse().ok()
}

fn step(step: Result<Step>) -> Result<SubscribeResponse, Status> {
    let step = match step? {
        Step::Event(event) => subscribe_response::Step::Event(event.made(|event| event.try_into())?),
        Step::Heartbeat(newest_seq) => subscribe_response::Step::Heartbeat(Heartbeat { newest_seq }),
    };
    Ok(SubscribeResponse { step: Some(step) })
}
