//! CustomerService: the people who write.

use tonic::{Request, Response, Status};

use crate::{
    auth::Caller,
    domain::event::Event,
    error::{Error, Result},
    id::CustomerId,
    service::recorded_unless,
    store::{
        Store, TenantDb, Tx,
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
                    demand_version(expected, &seen)?;
                    if validate_only {
                        return Ok(change.clone().applied(seen));
                    }
                    write(db, &seen, change.clone()).await
                },
                |row: Row| Ok(row.into()),
            )
            .await
    }
}

pub(in crate::service) fn demand_version(expected: i64, seen: &Row) -> Result<()> {
    let name = "switchboard.conversation.v1.Customer";
    changed::unless(expected, seen.version, name, || Customer::from(seen.clone()))
}

/// Changes `seen` and tells of it.
pub(in crate::service) async fn write(db: &TenantDb<Tx>, seen: &Row, change: CustomerChange) -> Result<Row> {
    let row = db.customers().change(seen, change).await?;
    db.emit(Event::CustomerUpdated { customer: row.id, blocked: row.blocked });
    Ok(row)
}

/// What a request changes.
pub(in crate::service) fn change_of(request: UpdateCustomerRequest) -> Result<CustomerChange> {
    let UpdateCustomerRequest { display_name, phone, email, language, tags, update_mask, .. } = request;
    let mask = Mask::read(update_mask, &["display_name", "phone", "email", "language", "tags"])?;
    let text = |field: &str, value: String| mask.changes(field, !value.is_empty()).then_some(value);
    let optional = |field, value| text(field, value).map(|value| Some(value).filter(|v| !v.is_empty()));
    let display_name = text("display_name", display_name);
    if display_name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(Error::invalid("display_name", "must not be empty"));
    }
    Ok(CustomerChange {
        display_name,
        phone: optional("phone", phone),
        email: optional("email", email),
        language: optional("language", language),
        tags: mask.changes("tags", !tags.is_empty()).then_some(tags),
        blocked: None,
    })
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
        let request = request.into_inner();
        let id = wire::id("customer_id", &request.customer_id)?;
        let (expected_version, validate_only) = (request.expected_version, request.validate_only);
        let change = change_of(request)?;
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
