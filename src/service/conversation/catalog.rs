//! CatalogService: what the tenant sells.

use tonic::{Request, Response, Status};

use crate::{
    auth::Caller,
    domain::event::Event,
    error::Result,
    id::ProductId,
    store::{Store, TenantDb, Tx, conversation::Product as Row},
    wire::{
        self, changed,
        conversation::v1::{
            CreateProductRequest, DeleteProductRequest, DeleteProductResponse, GetProductRequest,
            ListProductsRequest, ListProductsResponse, Product, UpdateProductRequest,
            catalog_service_server::CatalogService,
        },
        knowledge,
        page::Page,
    },
};

/// Serves the catalogue.
pub struct Products {
    store: Store,
}

impl Products {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

pub(in crate::service) fn demand_version(expected: i64, seen: &Row) -> Result<()> {
    changed::unless(expected, seen.version, "switchboard.conversation.v1.Product", || Product::from(seen))
}

fn tell(db: &TenantDb<Tx>, id: ProductId, action: &str) {
    db.emit(Event::TenantUpdated { subject: id.to_string(), action: action.to_owned() });
}

pub(in crate::service) async fn create(
    db: &TenantDb<Tx>,
    id: ProductId,
    request: CreateProductRequest,
) -> Result<Row> {
    let currency = db.tenants().get().await?.currency;
    let text = knowledge::new_product(request, &currency)?;
    tell(db, id, "product.create");
    db.products().insert(id, text).await
}

/// Changes `seen`, or nothing when it says the same already.
pub(in crate::service) async fn update(
    db: &TenantDb<Tx>,
    seen: &Row,
    request: UpdateProductRequest,
) -> Result<Row> {
    let currency = db.tenants().get().await?.currency;
    let text = knowledge::changed_product(request, seen.text(), &currency)?;
    if text == seen.text() {
        return Ok(seen.clone());
    }
    tell(db, seen.id, "product.update");
    db.products().change(seen, text).await
}

pub(in crate::service) async fn delete(db: &TenantDb<Tx>, seen: &Row) -> Result<()> {
    tell(db, seen.id, "product.delete");
    db.products().delete(seen).await
}

#[tonic::async_trait]
impl CatalogService for Products {
    async fn create_product(
        &self,
        request: Request<CreateProductRequest>,
    ) -> Result<Response<Product>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let request = request.into_inner();
        let id = wire::optional_id("id", &request.id)?.unwrap_or_else(|| self.store.env().id());

        let answer = self
            .store
            .of(scope)
            .command_or_check(
                request.validate_only,
                async |db| create(db, id, request.clone()).await,
                |row| Ok(Product::from(&row)),
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn get_product(&self, request: Request<GetProductRequest>) -> Result<Response<Product>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let id = wire::id("product_id", &request.get_ref().product_id)?;
        let row = self.store.of(scope).products().get(id).await?;
        Ok(Response::new(Product::from(&row)))
    }

    async fn list_products(
        &self,
        request: Request<ListProductsRequest>,
    ) -> Result<Response<ListProductsResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let request = request.into_inner();
        let page = Page::read("products", request.page_size, &request.page_token, &[&request.category])?;
        let category = Some(request.category.as_str()).filter(|category| !category.is_empty());

        let rows = self.store.of(scope).products().list(category, page.after(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |row| row.id);
        let products = rows.iter().map(Product::from).collect();
        Ok(Response::new(ListProductsResponse { products, next_page_token }))
    }

    async fn update_product(
        &self,
        request: Request<UpdateProductRequest>,
    ) -> Result<Response<Product>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let request = request.into_inner();
        let id: ProductId = wire::id("product_id", &request.product_id)?;

        let answer = self
            .store
            .of(scope)
            .command_or_check(
                request.validate_only,
                async |db| {
                    let seen = db.products().get(id).await?;
                    demand_version(request.expected_version, &seen)?;
                    let row = update(db, &seen, request.clone()).await?;
                    Ok(if request.validate_only { Row { version: seen.version, ..row } } else { row })
                },
                |row| Ok(Product::from(&row)),
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn delete_product(
        &self,
        request: Request<DeleteProductRequest>,
    ) -> Result<Response<DeleteProductResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let request = request.into_inner();
        let id: ProductId = wire::id("product_id", &request.product_id)?;

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let seen = db.products().get(id).await?;
                    demand_version(request.expected_version, &seen)?;
                    delete(db, &seen).await
                },
                |()| Ok(DeleteProductResponse {}),
            )
            .await?;
        Ok(Response::new(answer))
    }
}
