use sea_orm::entity::prelude::*;

use crate::id::{DocumentId, PassageId, ProductId, TenantId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "passage")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: TenantId,
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PassageId,
    /// The document it is cut from; else it is a product's.
    pub document_id: Option<DocumentId>,
    pub product_id: Option<ProductId>,
    /// Its place in the document, from 0.
    pub position: i32,
    pub text: String,
    /// See `retrieval::content_hash`.
    pub content_hash: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
