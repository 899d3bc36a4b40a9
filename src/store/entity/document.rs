use sea_orm::entity::prelude::*;

use crate::{
    domain::retrieval::DocumentType,
    id::{DocumentId, TenantId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "document")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DocumentId,
    pub title: String,
    pub content: String,
    pub document_type: DocumentType,
    pub category: String,
    /// A list of texts.
    #[sea_orm(column_type = "JsonBinary")]
    pub tags: Json,
    /// False keeps it from the AI.
    pub active: bool,
    pub version: i64,
    pub create_time: DateTimeUtc,
    pub update_time: DateTimeUtc,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
