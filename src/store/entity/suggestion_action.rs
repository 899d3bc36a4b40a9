use sea_orm::entity::prelude::*;

use crate::id::{ActionId, SuggestionId, TenantId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "suggestion_action")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ActionId,
    pub suggestion_id: SuggestionId,
    /// `approve`, `edit`, `reject`, `escalate`, `supersede`.
    pub action: String,
    /// The label of an `Actor`.
    pub actor: String,
    pub original_text: String,
    pub edited_text: Option<String>,
    pub reason: Option<String>,
    pub create_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
