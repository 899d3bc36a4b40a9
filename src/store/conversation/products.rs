use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};

pub use crate::store::entity::product::Model as Product;
use crate::{
    domain::retrieval::Quote,
    error::{Error, Result},
    id::ProductId,
    store::{
        TenantDb, Tx,
        entity::product::{Column, Entity},
        scope::TenantOwned,
    },
};

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// The catalogue.
    pub fn products(&self) -> Products<'_, C> {
        Products(self)
    }
}

/// The catalogue.
pub struct Products<'a, C>(&'a TenantDb<C>);

/// What a person writes of a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductText {
    /// Unique in the tenant unless empty.
    pub sku: String,
    pub name: String,
    pub description: String,
    pub category: String,
    pub price: Option<Quote>,
    pub in_stock: bool,
    pub stock_quantity: Option<i32>,
    pub delivery_info: String,
    pub active: bool,
}

impl<C: ConnectionTrait> Products<'_, C> {
    pub async fn get(&self, id: ProductId) -> Result<Product> {
        let found = self.0.find::<Entity>().filter(Column::Id.eq(id)).one(self.0.conn()).await?;
        found.ok_or_else(|| Error::not_found("product", id))
    }

    /// Newest first, from behind `after`.
    pub async fn list(
        &self,
        category: Option<&str>,
        after: Option<&ProductId>,
        limit: u64,
    ) -> Result<Vec<Product>> {
        let mut query = self.0.find::<Entity>();
        if let Some(category) = category {
            query = query.filter(Column::Category.eq(category));
        }
        if let Some(after) = after {
            query = query.filter(Column::Id.lt(*after));
        }
        Ok(query.order_by_desc(Column::Id).limit(limit).all(self.0.conn()).await?)
    }
}

impl Products<'_, Tx> {
    /// # Errors
    /// `Exists` when the id or the SKU is taken.
    pub async fn insert(&self, id: ProductId, text: ProductText) -> Result<Product> {
        let row = self.preview(id, text);
        let insert =
            self.0.insert(row.clone().into_active_model()).exec_without_returning(self.0.conn()).await;
        taken(insert.map_err(Error::from))?;
        self.0.passages().index_product(&row).await?;
        Ok(row)
    }

    /// Puts `text` in the place of `seen`, unless someone else changed it first.
    pub async fn change(&self, seen: &Product, text: ProductText) -> Result<Product> {
        let row = Product {
            version: seen.version + 1,
            create_time: seen.create_time,
            ..self.preview(seen.id, text)
        };
        let update = self.0.update::<Entity>().set(row.clone().into_active_model().reset_all());
        let guarded = update.filter(Column::Id.eq(seen.id)).filter(Column::Version.eq(seen.version));
        if taken(guarded.exec(self.0.conn()).await.map_err(Error::from))?.rows_affected == 0 {
            return Err(Error::stale());
        }
        self.0.passages().index_product(&row).await?;
        Ok(row)
    }

    /// Removes `seen` and its passage, unless someone else changed it first.
    pub async fn delete(&self, seen: &Product) -> Result<()> {
        let delete = self.0.delete::<Entity>().filter(Column::Id.eq(seen.id));
        match delete.filter(Column::Version.eq(seen.version)).exec(self.0.conn()).await?.rows_affected {
            0 => Err(Error::stale()),
            _ => Ok(()),
        }
    }

    /// The row that such a text would be.
    pub fn preview(&self, id: ProductId, text: ProductText) -> Product {
        let now = self.0.env().now();
        let (price_minor, currency) = text.price.map(|price| (price.minor, price.currency)).unzip();
        Product {
            tenant_id: self.0.tenant(),
            id,
            sku: text.sku,
            name: text.name,
            description: text.description,
            category: text.category,
            price_minor,
            currency,
            in_stock: text.in_stock,
            stock_quantity: text.stock_quantity,
            delivery_info: text.delivery_info,
            active: text.active,
            version: 1,
            create_time: now,
            update_time: now,
        }
    }
}

fn taken<T>(result: Result<T>) -> Result<T> {
    match result {
        Err(Error::Exists { .. }) => Err(Error::Exists { what: "a product with this id or SKU" }),
        other => other,
    }
}

impl Product {
    /// What a person wrote of it.
    pub fn text(&self) -> ProductText {
        let price = self.price_minor.zip(self.currency.clone());
        ProductText {
            sku: self.sku.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            category: self.category.clone(),
            price: price.map(|(minor, currency)| Quote { minor, currency }),
            in_stock: self.in_stock,
            stock_quantity: self.stock_quantity,
            delivery_info: self.delivery_info.clone(),
            active: self.active,
        }
    }
}
