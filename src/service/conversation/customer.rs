//! CustomerService: the people who write.

use tonic::{Request, Response, Status};

use crate::{
    auth::Caller,
    domain::event::Event,
    error::{Error, Result},
    id::CustomerId,
    service::recorded_unless,
    store::{
        Store,
        conversation::{Customer as Row, CustomerChange},
    },
    wire::{
        self, changed,
        conversation::v1::{
            BlockCustomerRequest, Customer, CustomerIdentity, GetCustomerRequest, ListCustomersRequest,
            ListCustomersResponse, UpdateCustomerRequest, customer_service_server::CustomerService,
        },
        mask::Mask,
        page::Page,
    },
};

/// Serves customers.
pub struct Customers {
    store: Store,
}

impl Customers {
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    async fn change(
        &self,
        caller: &Caller,
        id: CustomerId,
        expected: i64,
        change: CustomerChange,
        validate_only: bool,
    ) -> Result<Customer> {
        self.store
            .of(recorded_unless(validate_only, caller.scope()?))
            .command(
                async |db| {
                    let seen = db.customers().get(id).await?;
                    let name = "switchboard.conversation.v1.Customer";
                    changed::unless(expected, seen.version, name, || Customer::from(seen.clone()))?;
                    if validate_only {
                        return Ok(change.clone().applied(seen));
                    }
                    let row = db.customers().change(&seen, change.clone()).await?;
                    db.emit(Event::CustomerUpdated { customer: row.id, blocked: row.blocked });
                    Ok(row)
                },
                |row: Row| Ok(row.into()),
            )
            .await
    }
}

#[tonic::async_trait]
impl CustomerService for Customers {
    async fn get_customer(&self, request: Request<GetCustomerRequest>) -> Result<Response<Customer>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let id = wire::id("customer_id", &request.get_ref().customer_id)?;
        let db = self.store.of(scope);
        let row = db.customers().get(id).await?;
        let names = db.customers().identities(id, None).await?;
        let identities = names.iter().map(CustomerIdentity::from).collect();
        Ok(Response::new(Customer { identities, ..row.into() }))
    }

    async fn list_customers(
        &self,
        request: Request<ListCustomersRequest>,
    ) -> Result<Response<ListCustomersResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let ListCustomersRequest { page_size, page_token } = request.into_inner();
        let page = Page::<CustomerId>::read("customers", page_size, &page_token, &[])?;
        let rows = self.store.of(scope).customers().list(page.after(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |row| row.id);
        let customers = rows.into_iter().map(Customer::from).collect();
        Ok(Response::new(ListCustomersResponse { customers, next_page_token }))
    }

    async fn update_customer(
        &self,
        request: Request<UpdateCustomerRequest>,
    ) -> Result<Response<Customer>, Status> {
        let caller = Caller::of(&request)?;
        let UpdateCustomerRequest {
            customer_id,
            display_name,
            phone,
            email,
            language,
            tags,
            update_mask,
            expected_version,
            validate_only,
        } = request.into_inner();
        let id = wire::id("customer_id", &customer_id)?;
        let mask = Mask::read(update_mask, &["display_name", "phone", "email", "language", "tags"])?;
        let text = |field: &str, value: String| mask.changes(field, !value.is_empty()).then_some(value);
        let optional = |field, value| text(field, value).map(|value| Some(value).filter(|v| !v.is_empty()));
        let display_name = text("display_name", display_name);
        if display_name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err(Error::invalid("display_name", "must not be empty").into());
        }
        let change = CustomerChange {
            display_name,
            phone: optional("phone", phone),
            email: optional("email", email),
            language: optional("language", language),
            tags: mask.changes("tags", !tags.is_empty()).then_some(tags),
            blocked: None,
        };
        Ok(Response::new(self.change(&caller, id, expected_version, change, validate_only).await?))
    }

    async fn block_customer(
        &self,
        request: Request<BlockCustomerRequest>,
    ) -> Result<Response<Customer>, Status> {
        let caller = Caller::of(&request)?;
        let BlockCustomerRequest { customer_id, blocked, reason, expected_version } = request.into_inner();
        let id = wire::id("customer_id", &customer_id)?;
        let reason = Some(reason).filter(|reason| blocked && !reason.is_empty());
        let change = CustomerChange { blocked: Some((blocked, reason)), ..CustomerChange::default() };
        Ok(Response::new(self.change(&caller, id, expected_version, change, false).await?))
    }
}
