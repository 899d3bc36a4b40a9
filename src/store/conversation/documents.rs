use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    sea_query::Expr,
};

pub use crate::store::entity::document::Model as Document;
use crate::{
    domain::retrieval::DocumentType,
    error::{Error, Result},
    id::DocumentId,
    store::{
        TenantDb, Tx,
        entity::document::{Column, Entity},
        scope::TenantOwned,
    },
};

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// Documents of the knowledge base.
    pub fn documents(&self) -> Documents<'_, C> {
        Documents(self)
    }
}

/// Documents of the knowledge base.
pub struct Documents<'a, C>(&'a TenantDb<C>);

/// What a person writes of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentText {
    pub title: String,
    pub content: String,
    pub document_type: DocumentType,
    pub category: String,
    pub tags: Vec<String>,
    pub active: bool,
}

impl<C: ConnectionTrait> Documents<'_, C> {
    pub async fn get(&self, id: DocumentId) -> Result<Document> {
        let found = self.0.find::<Entity>().filter(Column::Id.eq(id)).one(self.0.conn()).await?;
        found.ok_or_else(|| Error::not_found("document", id))
    }

    /// Newest first, from behind `after`; without their contents, which may be long.
    pub async fn list(
        &self,
        document_type: Option<DocumentType>,
        after: Option<&DocumentId>,
        limit: u64,
    ) -> Result<Vec<Document>> {
        let mut query = self.0.find::<Entity>().select_only().columns([
            Column::TenantId,
            Column::Id,
            Column::Title,
            Column::DocumentType,
            Column::Category,
            Column::Tags,
            Column::Active,
            Column::Version,
            Column::CreateTime,
            Column::UpdateTime,
        ]);
        query = query.column_as(Expr::val(""), "content");
        if let Some(document_type) = document_type {
            query = query.filter(Column::DocumentType.eq(document_type));
        }
        if let Some(after) = after {
            query = query.filter(Column::Id.lt(*after));
        }
        let query = query.order_by_desc(Column::Id).limit(limit);
        Ok(query.into_model::<Document>().all(self.0.conn()).await?)
    }
}

impl Documents<'_, Tx> {
    /// # Errors
    /// `Exists` when the id is taken.
    pub async fn insert(&self, id: DocumentId, text: DocumentText) -> Result<Document> {
        let row = self.preview(id, text);
        let insert =
            self.0.insert(row.clone().into_active_model()).exec_without_returning(self.0.conn()).await;
        match insert.map_err(Error::from) {
            Err(Error::Exists { .. }) => return Err(Error::Exists { what: "a document with this id" }),
            done => done?,
        };
        self.0.passages().index_document(&row).await?;
        Ok(row)
    }

    /// Puts `text` in the place of `seen`, unless someone else changed it first.
    pub async fn change(&self, seen: &Document, text: DocumentText) -> Result<Document> {
        let row = Document {
            version: seen.version + 1,
            create_time: seen.create_time,
            ..self.preview(seen.id, text)
        };
        let update = self.0.update::<Entity>().set(row.clone().into_active_model().reset_all());
        let guarded = update.filter(Column::Id.eq(seen.id)).filter(Column::Version.eq(seen.version));
        if guarded.exec(self.0.conn()).await?.rows_affected == 0 {
            return Err(Error::stale());
        }
        self.0.passages().index_document(&row).await?;
        Ok(row)
    }

    /// The row that such a text would be.
    pub fn preview(&self, id: DocumentId, text: DocumentText) -> Document {
        let now = self.0.env().now();
        Document {
            tenant_id: self.0.tenant(),
            id,
            title: text.title,
            content: text.content,
            document_type: text.document_type,
            category: text.category,
            tags: text.tags.into(),
            active: text.active,
            version: 1,
            create_time: now,
            update_time: now,
        }
    }

    /// Removes `seen` and its passages, unless someone else changed it first.
    pub async fn delete(&self, seen: &Document) -> Result<()> {
        let delete = self.0.delete::<Entity>().filter(Column::Id.eq(seen.id));
        match delete.filter(Column::Version.eq(seen.version)).exec(self.0.conn()).await?.rows_affected {
            0 => Err(Error::stale()),
            _ => Ok(()),
        }
    }
}

impl Document {
    /// What a person wrote of it.
    pub fn text(&self) -> DocumentText {
        let tags = self.tags.as_array().into_iter().flatten();
        DocumentText {
            title: self.title.clone(),
            content: self.content.clone(),
            document_type: self.document_type,
            category: self.category.clone(),
            tags: tags.filter_map(|tag| tag.as_str().map(ToOwned::to_owned)).collect(),
            active: self.active,
        }
    }
}
