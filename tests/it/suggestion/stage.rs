//! A shop with knowledge, a customer who writes, and an operator who looks at drafts.

use chrono::TimeDelta;
use serde_json::json;
use switchboard::{
    ai::{Ai, Switches},
    auth::TenantScope,
    domain::{conversation::Direction, decision::Policy, retrieval::DocumentType},
    id::{ChannelId, ConversationId, MessageId},
    jobs::{
        Context, Failure, Job,
        draft_reply::{DraftReply, RedraftReply},
    },
    store::conversation::{
        Conversation, DocumentText, Escalation, Message, ProductText, Suggestion, SuggestionFilter,
    },
    wire::conversation::v1::{
        ApproveRequest, catalog_service_client::CatalogServiceClient,
        escalation_service_client::EscalationServiceClient, knowledge_service_client::KnowledgeServiceClient,
        policy_service_client::PolicyServiceClient, suggestion_service_client::SuggestionServiceClient,
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    conversation::{
        payload::written,
        shop::{Shop, Wire},
    },
    support::Pair,
};

pub const CUSTOMER: &str = "4915112345678";

/// A shop that sells one machine and says how it delivers.
pub struct Stage {
    pub shop: Shop,
    pub channel: ChannelId,
}

impl Stage {
    pub async fn open(pair: &Pair) -> Self {
        let shop = Shop::open(pair).await;
        let channel = shop.whatsapp().await;
        let stage = Self { shop, channel };
        stage.teach().await;
        stage
    }

    async fn teach(&self) {
        let db = self.shop.store.of(self.shop.scope());
        db.transaction(async |db| {
            db.products().insert(db.env().id(), machine()).await?;
            db.documents().insert(db.env().id(), delivery()).await
        })
        .await
        .unwrap();
    }

    /// The customer writes, `second` seconds into the story.
    pub async fn says(&self, second: i64, words: &str) -> MessageId {
        let id = format!("wamid.{second}");
        // Ids made within one microsecond have no order.
        self.shop.env.advance(TimeDelta::milliseconds(1));
        self.shop.post(self.channel, &written(CUSTOMER, &id, second, words)).await.unwrap();
        self.conversation().await.last_inbound_id.unwrap()
    }

    pub async fn conversation(&self) -> Conversation {
        self.shop.thread().await.0
    }

    pub async fn sent(&self) -> Vec<Message> {
        let said = self.shop.thread().await.1;
        said.into_iter().filter(|message| message.direction == Direction::Outbound).collect()
    }

    pub fn context(&self, ai: Ai, tries: i16) -> Context {
        let job = self.shop.env.id();
        Context {
            scope: TenantScope::of_job(self.shop.tenant, job),
            job,
            kind: DraftReply::NAME,
            tries,
            max_tries: DraftReply::MAX_TRIES,
            store: self.shop.store.clone(),
            keys: self.shop.keys.clone(),
            http: self.shop.http.clone(),
            ai,
            switches: Switches::default(),
            public_url: "https://chat.example".into(),
            env: self.shop.env.clone(),
            cancelled: CancellationToken::new(),
            begun: Default::default(),
        }
    }

    /// Runs the job that the message promised.
    pub async fn draft_with(&self, ai: Ai, tries: i16, message: MessageId) -> Result<(), Failure> {
        let conversation = self.conversation().await.id;
        DraftReply { conversation, message }.run(&self.context(ai, tries)).await
    }

    pub async fn draft(&self, message: MessageId) {
        self.draft_with(Ai::Offline, 0, message).await.unwrap();
    }

    /// The last word of the job that the message promised.
    pub async fn give_up(&self, message: MessageId) {
        let conversation = self.conversation().await.id;
        let job = DraftReply { conversation, message };
        job.give_up(&self.context(Ai::Offline, 0), "no luck").await.unwrap();
    }

    pub async fn redraft(&self, message: MessageId, attempt: i32) {
        let conversation = self.conversation().await.id;
        RedraftReply { conversation, message, attempt }.run(&self.context(Ai::Offline, 0)).await.unwrap();
    }

    /// The customer writes and the AI drafts.
    pub async fn turn(&self, second: i64, words: &str) -> Suggestion {
        let message = self.says(second, words).await;
        self.draft(message).await;
        self.drafts().await.remove(0)
    }

    /// Every draft, newest first.
    pub async fn drafts(&self) -> Vec<Suggestion> {
        let db = self.shop.store.of(self.shop.scope());
        db.suggestions().list(SuggestionFilter::default(), None, 100).await.unwrap()
    }

    pub async fn escalations_of(&self, conversation: ConversationId) -> Vec<Escalation> {
        let filter = switchboard::store::conversation::EscalationFilter {
            conversation: Some(conversation),
            ..Default::default()
        };
        self.shop.store.of(self.shop.scope()).escalations().list(filter, None, 100).await.unwrap()
    }

    /// Sets the tenant's rules.
    pub async fn rule(&self, policy: Policy) {
        let db = self.shop.store.of(self.shop.scope());
        db.transaction(async |db| {
            let seen = db.decision_settings().get().await?;
            db.decision_settings().put(&seen, &policy).await
        })
        .await
        .unwrap();
    }

    /// Every lock of automatic sending open.
    pub async fn let_it_send(&self) {
        self.rule(Policy { autosend_enabled: true, autosend_allowed: true, ..Policy::default() }).await;
    }

    pub fn suggestions(&self) -> SuggestionServiceClient<Wire> {
        SuggestionServiceClient::new(self.shop.wire())
    }
    pub fn escalations(&self) -> EscalationServiceClient<Wire> {
        EscalationServiceClient::new(self.shop.wire())
    }
    pub fn policies(&self) -> PolicyServiceClient<Wire> {
        PolicyServiceClient::new(self.shop.wire())
    }
    pub fn knowledge(&self) -> KnowledgeServiceClient<Wire> {
        KnowledgeServiceClient::new(self.shop.wire())
    }
    pub fn catalog(&self) -> CatalogServiceClient<Wire> {
        CatalogServiceClient::new(self.shop.wire())
    }
}

pub fn approve(draft: &Suggestion) -> ApproveRequest {
    ApproveRequest { suggestion_id: draft.id.to_string(), ..ApproveRequest::default() }
}

pub fn machine() -> ProductText {
    ProductText {
        sku: "X-200".to_owned(),
        name: "Espresso machine Lira".to_owned(),
        description: "15 bar pump, steel housing".to_owned(),
        category: "machines".to_owned(),
        price: serde_json::from_value(json!({"minor": 34_900, "currency": "EUR"})).unwrap(),
        in_stock: true,
        stock_quantity: Some(4),
        delivery_info: String::new(),
        active: true,
    }
}

pub fn delivery() -> DocumentText {
    DocumentText {
        title: "Delivery".to_owned(),
        content: "Our shop opened in 1999. We deliver within 3 to 5 working days.".to_owned(),
        document_type: DocumentType::Delivery,
        category: String::new(),
        tags: vec!["shipping".to_owned()],
        active: true,
    }
}
