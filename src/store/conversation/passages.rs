use std::collections::BTreeSet;

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, IntoActiveModel, QueryFilter, Value,
};

use super::{Document, Product};
use crate::{
    domain::{
        retrieval::{self, DocumentType, Passage, Quote, SourceKind},
        words,
    },
    error::Result,
    id::{DocumentId, PassageId, ProductId},
    store::{
        TenantDb, Tx,
        entity::{passage, passage_term},
        scope::TenantOwned,
        sql::statement,
    },
};

impl TenantOwned for passage::Entity {
    const TENANT: passage::Column = passage::Column::TenantId;
}
impl TenantOwned for passage_term::Entity {
    const TENANT: passage_term::Column = passage_term::Column::TenantId;
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// The knowledge by its words.
    pub fn passages(&self) -> Passages<'_, C> {
        Passages(self)
    }
}

/// Documents and products cut into passages, and an index of their words: written with the row they belong
/// to, so that a change counts at once.
pub struct Passages<'a, C>(&'a TenantDb<C>);

/// How many passages a question may bring into memory.
const MOST_DOCUMENT_PASSAGES: u64 = 200;
const MOST_PRODUCTS: u64 = 500;
/// How many words of a question are looked up.
const MOST_TERMS: usize = 48;
/// Rows of one insert.
const BATCH: usize = 1_000;

#[derive(FromQueryResult)]
struct FoundInDocument {
    id: DocumentId,
    version: i64,
    title: String,
    document_type: DocumentType,
    text: String,
}

#[derive(FromQueryResult)]
struct FoundProduct {
    id: ProductId,
    version: i64,
    name: String,
    price_minor: Option<i64>,
    currency: Option<String>,
    in_stock: bool,
    stock_quantity: Option<i32>,
    delivery_info: String,
    text: String,
}

impl<C: ConnectionTrait> Passages<'_, C> {
    /// The passages that share most words with `question`: at most 200 of documents, 500 products. Products
    /// come with price and stock as they are now.
    pub async fn candidates(&self, question: &str) -> Result<Vec<Passage>> {
        let terms: Vec<String> = words::terms(question).content.into_iter().take(MOST_TERMS).collect();
        if terms.is_empty() {
            return Ok(Vec::new());
        }
        let documents = self.search::<FoundInDocument>(
            false,
            &terms,
            MOST_DOCUMENT_PASSAGES,
            "select s.id, s.version, s.title, s.document_type, p.text from found f \
             join passage p on p.tenant_id = $1 and p.id = f.passage_id \
             join document s on s.tenant_id = $1 and s.id = p.document_id order by p.id",
        );
        let products = self.search::<FoundProduct>(
            true,
            &terms,
            MOST_PRODUCTS,
            "select s.id, s.version, s.name, s.price_minor, s.currency, s.in_stock, s.stock_quantity, \
             s.delivery_info, p.text from found f \
             join passage p on p.tenant_id = $1 and p.id = f.passage_id \
             join product s on s.tenant_id = $1 and s.id = p.product_id order by p.id",
        );
        let products = products.await?.into_iter().map(Passage::from);
        let documents = documents.await?.into_iter().map(Passage::from);
        Ok(products.chain(documents).collect())
    }

    async fn search<R: FromQueryResult>(
        &self,
        of_product: bool,
        terms: &[String],
        limit: u64,
        select: &str,
    ) -> Result<Vec<R>> {
        let names: Vec<String> = (0..terms.len()).map(|n| format!("${}", n + 3)).collect();
        let sql = format!(
            "with found as (select passage_id from passage_term \
             where tenant_id = $1 and of_product = $2 and term in ({}) \
             group by passage_id order by count(*) desc, passage_id limit {limit}) {select}",
            names.join(", ")
        );
        let mut values: Vec<Value> = vec![self.0.tenant().into(), of_product.into()];
        values.extend(terms.iter().map(|term| Value::from(term.as_str())));
        let rows = self.0.conn().query_all_raw(statement(self.0.backend(), &sql, values)).await?;
        Ok(rows.iter().map(|row| R::from_query_result(row, "")).collect::<Result<_, DbErr>>()?)
    }
}

impl Passages<'_, Tx> {
    /// Indexes a document anew; one that is not active is only taken out.
    pub(super) async fn index_document(&self, document: &Document) -> Result<()> {
        let old = self.0.delete::<passage::Entity>();
        old.filter(passage::Column::DocumentId.eq(document.id)).exec(self.0.conn()).await?;
        if !document.active {
            return Ok(());
        }
        let rows: Vec<passage::Model> = retrieval::passages(&document.content)
            .into_iter()
            .zip(0..)
            .map(|(text, position)| self.row(Some(document.id), None, position, text))
            .collect();
        let tags: Vec<&str> =
            document.tags.as_array().into_iter().flatten().filter_map(|t| t.as_str()).collect();
        let about = format!("{} {} {}", document.title, document.category, tags.join(" "));
        self.write(&rows, &about, false).await
    }

    /// Indexes a product anew; one that is not active is only taken out.
    pub(super) async fn index_product(&self, product: &Product) -> Result<()> {
        let old = self.0.delete::<passage::Entity>();
        old.filter(passage::Column::ProductId.eq(product.id)).exec(self.0.conn()).await?;
        if !product.active {
            return Ok(());
        }
        let parts = [&product.sku, &product.category, &product.description, &product.delivery_info];
        let text = parts.into_iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(". ");
        let row = self.row(None, Some(product.id), 0, text);
        self.write(&[row], &product.name, true).await
    }

    fn row(
        &self,
        document_id: Option<DocumentId>,
        product_id: Option<ProductId>,
        position: i32,
        text: String,
    ) -> passage::Model {
        passage::Model {
            tenant_id: self.0.tenant(),
            id: self.0.env().id::<PassageId>(),
            document_id,
            product_id,
            position,
            content_hash: retrieval::content_hash(&text),
            text,
        }
    }

    async fn write(&self, rows: &[passage::Model], about: &str, of_product: bool) -> Result<()> {
        let of_all = words::terms(about).content;
        let mut terms = Vec::new();
        for row in rows {
            let own: BTreeSet<String> = words::terms(&row.text).content;
            terms.extend(own.union(&of_all).map(|term| passage_term::Model {
                tenant_id: self.0.tenant(),
                term: term.clone(),
                of_product,
                passage_id: row.id,
            }));
        }
        for batch in rows.chunks(BATCH) {
            let batch = batch.iter().cloned().map(IntoActiveModel::into_active_model);
            passage::Entity::insert_many(batch).exec_without_returning(self.0.conn()).await?;
        }
        for batch in terms.chunks(BATCH) {
            let batch = batch.iter().cloned().map(IntoActiveModel::into_active_model);
            passage_term::Entity::insert_many(batch).exec_without_returning(self.0.conn()).await?;
        }
        Ok(())
    }
}

impl From<FoundInDocument> for Passage {
    fn from(found: FoundInDocument) -> Self {
        Self {
            kind: SourceKind::Document,
            id: found.id.to_string(),
            version: found.version,
            title: found.title,
            text: found.text,
            price: None,
            in_stock: None,
            stock_quantity: None,
            delivery: None,
            document_type: Some(found.document_type),
        }
    }
}

impl From<FoundProduct> for Passage {
    fn from(found: FoundProduct) -> Self {
        let price = found.price_minor.zip(found.currency);
        Self {
            kind: SourceKind::Product,
            id: found.id.to_string(),
            version: found.version,
            title: found.name,
            text: found.text,
            price: price.map(|(minor, currency)| Quote { minor, currency }),
            in_stock: Some(found.in_stock),
            stock_quantity: found.stock_quantity,
            delivery: Some(found.delivery_info).filter(|info| !info.is_empty()),
            document_type: None,
        }
    }
}
