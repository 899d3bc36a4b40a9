//! Changes made on a copy, each carried out as the method of its name would.

use uuid::Uuid;

use crate::{
    domain::access::Permission,
    error::{Error, Result},
    id::{CustomerId, DocumentId, Id as _, ProductId},
    service::conversation::{catalog, customer, knowledge},
    store::{
        TenantDb, Tx,
        conversation::CustomerChange,
        sync::{Changed, Collection, Row},
    },
    wire::{
        self,
        conversation::v1::{
            CreateDocumentRequest, CreateProductRequest, DeleteDocumentRequest, DeleteProductRequest,
            UpdateCustomerRequest, UpdateDocumentRequest, UpdateProductRequest,
        },
        tenant::v1::{self, PushResult, push},
    },
};

/// One change whose ids were read.
#[derive(Clone)]
pub(super) enum Change {
    CreateProduct(ProductId, CreateProductRequest),
    UpdateProduct(ProductId, UpdateProductRequest),
    DeleteProduct(ProductId, DeleteProductRequest),
    CreateDocument(DocumentId, CreateDocumentRequest),
    UpdateDocument(DocumentId, UpdateDocumentRequest),
    DeleteDocument(DocumentId, DeleteDocumentRequest),
    UpdateCustomer(CustomerId, i64, CustomerChange),
}

/// Reads changes; each error names its field.
pub(super) fn read(changes: Vec<v1::Push>) -> Result<Vec<Change>> {
    changes.into_iter().enumerate().map(|(at, push)| one(push, &format!("changes[{at}]"))).collect()
}

fn one(push: v1::Push, path: &str) -> Result<Change> {
    let only = |validate_only: bool, name: &str| match validate_only {
        false => Ok(()),
        true => Err(Error::invalid(format!("{path}.{name}.validate_only"), "has no place here")),
    };
    let field = |name: &str, id: &str| format!("{path}.{name}.{id}");
    Ok(match push.change.ok_or_else(|| Error::invalid(path, "says no change"))? {
        push::Change::CreateProduct(request) => {
            only(request.validate_only, "create_product")?;
            Change::CreateProduct(wire::id(&field("create_product", "id"), &request.id)?, request)
        }
        push::Change::UpdateProduct(request) => {
            only(request.validate_only, "update_product")?;
            Change::UpdateProduct(
                wire::id(&field("update_product", "product_id"), &request.product_id)?,
                request,
            )
        }
        push::Change::DeleteProduct(request) => Change::DeleteProduct(
            wire::id(&field("delete_product", "product_id"), &request.product_id)?,
            request,
        ),
        push::Change::CreateDocument(request) => {
            only(request.validate_only, "create_document")?;
            Change::CreateDocument(wire::id(&field("create_document", "id"), &request.id)?, request)
        }
        push::Change::UpdateDocument(request) => {
            only(request.validate_only, "update_document")?;
            let id = wire::id(&field("update_document", "document_id"), &request.document_id)?;
            Change::UpdateDocument(id, request)
        }
        push::Change::DeleteDocument(request) => {
            let id = wire::id(&field("delete_document", "document_id"), &request.document_id)?;
            Change::DeleteDocument(id, request)
        }
        push::Change::UpdateCustomer(request) => {
            only(request.validate_only, "update_customer")?;
            let id = wire::id(&field("update_customer", "customer_id"), &request.customer_id)?;
            Change::UpdateCustomer(id, request.expected_version, change_of(request, path)?)
        }
    })
}

fn change_of(request: UpdateCustomerRequest, path: &str) -> Result<CustomerChange> {
    customer::change_of(request).map_err(|error| match error {
        Error::Invalid(mut wrong) => {
            for violation in &mut wrong {
                violation.field = format!("{path}.update_customer.{}", violation.field);
            }
            Error::Invalid(wrong)
        }
        other => other,
    })
}

impl Change {
    /// What the caller must be allowed to do, as with the method of the change's name.
    pub(super) fn permission(&self) -> Permission {
        match self {
            Self::CreateProduct(..) | Self::UpdateProduct(..) | Self::DeleteProduct(..) => {
                Permission::ManageProducts
            }
            Self::CreateDocument(..) | Self::UpdateDocument(..) | Self::DeleteDocument(..) => {
                Permission::ManageKnowledgeBase
            }
            Self::UpdateCustomer(..) => Permission::ManageCustomers,
        }
    }

    fn row(&self) -> (Collection, Uuid) {
        match self {
            Self::CreateProduct(id, _) | Self::UpdateProduct(id, _) | Self::DeleteProduct(id, _) => {
                (Collection::Products, id.uuid())
            }
            Self::CreateDocument(id, _) | Self::UpdateDocument(id, _) | Self::DeleteDocument(id, _) => {
                (Collection::Documents, id.uuid())
            }
            Self::UpdateCustomer(id, ..) => (Collection::Customers, id.uuid()),
        }
    }

    /// Carries it out, or says why not; then nothing of it stays.
    ///
    /// # Errors
    /// What ends the whole command: see [`TenantDb::attempt`].
    pub(super) async fn carry_out(&self, db: &TenantDb<Tx>) -> Result<PushResult> {
        let (collection, id) = self.row();
        let done = db.attempt(async |db| self.apply(db).await).await?;
        let (row, error) = match done {
            Ok(row) => (Some(Changed { id, row }), None),
            Err(error) => {
                let found = db.copies().of_ids(collection, &[id]).await?.pop();
                (found.map(|row| Changed { id, row: Some(row) }), Some(wire::sync::refusal(&error)))
            }
        };
        let row = row.map(|row| wire::sync::changed(row, collection));
        Ok(PushResult { id: wire::sync::write_id(id, collection), ok: error.is_none(), row, error })
    }

    /// What was done before, by whomever, counts as done: a client that heard no answer sends it again.
    async fn apply(&self, db: &TenantDb<Tx>) -> Result<Option<Row>> {
        let (collection, id) = self.row();
        let seen = db.copies().of_ids(collection, &[id]).await?.pop();
        Ok(match (self, seen) {
            (Self::CreateProduct(..) | Self::CreateDocument(..), Some(seen)) => Some(seen),
            (Self::CreateProduct(id, request), None) => {
                Some(catalog::create(db, *id, request.clone()).await?.into())
            }
            (Self::CreateDocument(id, request), None) => {
                let text = wire::knowledge::new_document(request.clone())?;
                Some(knowledge::insert(db, *id, text).await?.into())
            }
            (Self::DeleteProduct(..) | Self::DeleteDocument(..), None) => None,
            (Self::DeleteProduct(_, request), Some(Row::Product(seen))) => {
                catalog::demand_version(request.expected_version, &seen)?;
                catalog::delete(db, &seen).await?;
                None
            }
            (Self::DeleteDocument(_, request), Some(Row::Document(seen))) => {
                knowledge::demand_version(request.expected_version, &seen)?;
                knowledge::delete(db, &seen).await?;
                None
            }
            (Self::UpdateProduct(_, request), Some(Row::Product(seen))) => {
                let currency = db.tenants().get().await?.currency;
                let text = wire::knowledge::changed_product(request.clone(), seen.text(), &currency)?;
                if text == seen.text() {
                    return Ok(Some(seen.into()));
                }
                catalog::demand_version(request.expected_version, &seen)?;
                Some(catalog::update(db, &seen, request.clone()).await?.into())
            }
            (Self::UpdateDocument(_, request), Some(Row::Document(seen))) => {
                let text = wire::knowledge::changed_document(request.clone(), seen.text())?;
                if text != seen.text() {
                    knowledge::demand_version(request.expected_version, &seen)?;
                }
                Some(knowledge::change(db, &seen, text).await?.into())
            }
            (Self::UpdateCustomer(_, expected, change), Some(Row::Customer(seen))) => {
                if change.clone().applied(seen.clone()) == seen {
                    return Ok(Some(seen.into()));
                }
                customer::demand_version(*expected, &seen)?;
                Some(customer::write(db, &seen, change.clone()).await?.into())
            }
            (Self::UpdateProduct(id, _), _) => return Err(Error::not_found("product", id)),
            (Self::UpdateDocument(id, _), _) => return Err(Error::not_found("document", id)),
            (Self::UpdateCustomer(id, ..), _) => return Err(Error::not_found("customer", id)),
            (Self::DeleteProduct(..) | Self::DeleteDocument(..), Some(_)) => {
                return Err(Error::internal(anyhow::anyhow!("a row of another collection")));
            }
        })
    }
}
