//! What the AI may answer from: documents, products, and the words of their passages.

use sea_orm_migration::prelude::*;

use crate::ddl;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        ddl::run(
            manager,
            "
            create table document (
                tenant_id {uuid} not null references tenant (id),
                id {uuid} not null,
                title text not null,
                content text not null,
                document_type text not null,
                category text not null,
                tags {json} not null,
                active boolean not null,
                version bigint not null,
                create_time {time} not null,
                update_time {time} not null,
                primary key (tenant_id, id)
            );
            create index document_by_type on document (tenant_id, document_type, id);

            create table product (
                tenant_id {uuid} not null references tenant (id),
                id {uuid} not null,
                sku text not null,
                name text not null,
                description text not null,
                category text not null,
                price_minor bigint,
                currency text,
                in_stock boolean not null,
                stock_quantity integer,
                delivery_info text not null,
                active boolean not null,
                version bigint not null,
                create_time {time} not null,
                update_time {time} not null,
                primary key (tenant_id, id)
            );
            create unique index product_sku on product (tenant_id, sku) where sku <> '';
            create index product_by_category on product (tenant_id, category, id);

            create table passage (
                tenant_id {uuid} not null,
                id {uuid} not null,
                document_id {uuid},
                product_id {uuid},
                position integer not null,
                text text not null,
                content_hash text not null,
                primary key (tenant_id, id),
                foreign key (tenant_id, document_id) references document (tenant_id, id) on delete cascade,
                foreign key (tenant_id, product_id) references product (tenant_id, id) on delete cascade
            );
            create index passage_document on passage (tenant_id, document_id) where document_id is not null;
            create index passage_product on passage (tenant_id, product_id) where product_id is not null;

            create table passage_term (
                tenant_id {uuid} not null,
                term text not null,
                passage_id {uuid} not null,
                of_product boolean not null,
                primary key (tenant_id, term, of_product, passage_id),
                foreign key (tenant_id, passage_id) references passage (tenant_id, id) on delete cascade
            );
            create index passage_term_passage on passage_term (tenant_id, passage_id);
            ",
        )
        .await
    }
}
