//! Drafts of the AI, what became of them, and the calls that made them.

use sea_orm_migration::prelude::*;

use crate::ddl;

// suggestion.sent_message_id and escalation_id carry no reference, for the reason given beside messages: each
// pair points at each other.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(
            manager,
            "
            create table suggestion (
                tenant_id {uuid} not null,
                id {uuid} not null,
                conversation_id {uuid} not null,
                message_id {uuid} not null,
                attempt integer not null,
                state text not null,
                text text not null,
                edited_text text,
                question text not null,
                intent text not null,
                decision text not null,
                confidence_bp integer not null,
                autosend_eligible boolean not null,
                autosend_block text,
                inputs {json} not null,
                policy {json} not null,
                penalties {json} not null,
                sources {json} not null,
                explanations {json} not null,
                self_check_reasons {json} not null,
                model text not null,
                sent_message_id {uuid},
                escalation_id {uuid},
                decided_by text,
                decide_reason text,
                decide_time {time},
                version bigint not null,
                create_time {time} not null,
                update_time {time} not null,
                primary key (tenant_id, id),
                foreign key (tenant_id, conversation_id) references conversation (tenant_id, id),
                foreign key (tenant_id, message_id) references message (tenant_id, id)
            );
            create unique index suggestion_attempt
                on suggestion (tenant_id, conversation_id, message_id, attempt);
            create unique index suggestion_pending on suggestion (tenant_id, conversation_id)
                where state = 'pending';
            create index suggestion_conversation on suggestion (tenant_id, conversation_id, id);
            create index suggestion_state on suggestion (tenant_id, state, id);

            create table suggestion_action (
                tenant_id {uuid} not null,
                id {uuid} not null,
                suggestion_id {uuid} not null,
                action text not null,
                actor text not null,
                original_text text not null,
                edited_text text,
                reason text,
                create_time {time} not null,
                primary key (tenant_id, id),
                foreign key (tenant_id, suggestion_id) references suggestion (tenant_id, id)
            );
            create index suggestion_action_suggestion on suggestion_action (tenant_id, suggestion_id, id);

            create table escalation (
                tenant_id {uuid} not null,
                id {uuid} not null,
                conversation_id {uuid} not null,
                suggestion_id {uuid},
                reason text not null,
                summary text not null,
                suggested_text text not null,
                state text not null,
                resolved_by text,
                resolve_time {time},
                version bigint not null,
                create_time {time} not null,
                update_time {time} not null,
                primary key (tenant_id, id),
                foreign key (tenant_id, conversation_id) references conversation (tenant_id, id),
                foreign key (tenant_id, suggestion_id) references suggestion (tenant_id, id)
            );
            create unique index escalation_suggestion on escalation (tenant_id, suggestion_id);
            create index escalation_conversation on escalation (tenant_id, conversation_id, id);
            create index escalation_state on escalation (tenant_id, state, id);

            create table ai_call (
                tenant_id {uuid} not null,
                id {uuid} not null,
                conversation_id {uuid} not null,
                suggestion_id {uuid},
                purpose text not null,
                model text not null,
                request_hash text not null,
                response text not null,
                input_tokens integer not null,
                output_tokens integer not null,
                cost_nanos bigint not null,
                latency_ms integer not null,
                problem text,
                create_time {time} not null,
                primary key (tenant_id, id),
                foreign key (tenant_id, conversation_id) references conversation (tenant_id, id),
                foreign key (tenant_id, suggestion_id) references suggestion (tenant_id, id)
            );
            create index ai_call_suggestion on ai_call (tenant_id, suggestion_id, id)
                where suggestion_id is not null;

            create table decision_settings (
                tenant_id {uuid} not null primary key references tenant (id),
                t_auto_bp integer not null,
                t_escalate_bp integer not null,
                autosend_enabled boolean not null,
                autosend_allowed boolean not null,
                intents_autosend_allowed {json} not null,
                intents_force_handoff {json} not null,
                version bigint not null,
                update_time {time} not null
            );
            ",
        )
        .await
    }
}
