//! Drafts the reply to a customer's turn.

mod material;
mod work;

use futures::FutureExt as _;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use self::work::Work;
use super::{Context, Failure, Job, Queue, Terms, enqueue};
use crate::{
    error::Result,
    id::{ConversationId, JobId, MessageId},
    store::{TenantDb, Tx},
};

/// Drafts the reply to `message` and those before it that nobody answered. Each inbound message promises one
/// such job; it only works while its message is the newest: that is the debounce, and it survives a restart.
#[derive(Debug, Serialize, Deserialize)]
pub struct DraftReply {
    pub conversation: ConversationId,
    pub message: MessageId,
}

impl DraftReply {
    /// Promises the draft for when the customer has been silent for so long: quick texts are one turn.
    pub async fn after_silence(self, db: &TenantDb<Tx>, silence: TimeDelta) -> Result<Option<JobId>> {
        let key = self.message.0.as_bytes().to_vec();
        let at = db.env().now() + silence;
        enqueue(db, &self, Terms::now().at(at).unique(key)).await
    }

    const fn work<'a>(&self, cx: &'a Context) -> Work<'a> {
        Work { cx, conversation: self.conversation, message: self.message, attempt: 1 }
    }
}

impl Job for DraftReply {
    const NAME: &'static str = "draft_reply";
    const QUEUE: Queue = Queue::Ai;
    const TIMEOUT: Duration = Duration::from_secs(120);
    const MAX_TRIES: i16 = 5;

    #[tracing::instrument(skip_all, fields(conversation.id = %self.conversation))]
    async fn run(&self, cx: &Context) -> Result<(), Failure> {
        self.work(cx).run().boxed().await
    }

    /// A customer must not wait for good for a draft that will never be: people take over.
    async fn give_up(&self, cx: &Context, why: &str) -> Result<()> {
        self.work(cx).give_up(why).boxed().await
    }
}

/// Drafts once more, because somebody asked for it.
#[derive(Debug, Serialize, Deserialize)]
pub struct RedraftReply {
    pub conversation: ConversationId,
    pub message: MessageId,
    /// The number the draft will have: a second run of the job finds it taken.
    pub attempt: i32,
}

impl RedraftReply {
    /// Promises the draft at once; `None` when the same one is on its way.
    pub async fn now(self, db: &TenantDb<Tx>) -> Result<Option<JobId>> {
        let key = [&self.message.0.as_bytes()[..], &self.attempt.to_be_bytes()].concat();
        enqueue(db, &self, Terms::now().unique(key)).await
    }

    const fn work<'a>(&self, cx: &'a Context) -> Work<'a> {
        Work { cx, conversation: self.conversation, message: self.message, attempt: self.attempt }
    }
}

impl Job for RedraftReply {
    const NAME: &'static str = "redraft_reply";
    const QUEUE: Queue = Queue::Ai;
    const TIMEOUT: Duration = DraftReply::TIMEOUT;
    const MAX_TRIES: i16 = DraftReply::MAX_TRIES;

    #[tracing::instrument(skip_all, fields(conversation.id = %self.conversation))]
    async fn run(&self, cx: &Context) -> Result<(), Failure> {
        self.work(cx).run().boxed().await
    }

    /// Whoever asked for the draft learns that there is none.
    async fn give_up(&self, cx: &Context, why: &str) -> Result<()> {
        self.work(cx).give_up(why).boxed().await
    }
}
