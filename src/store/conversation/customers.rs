use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, ExprTrait, FromQueryResult, IntoActiveModel,
    QueryFilter, QueryOrder, QuerySelect, Value,
    sea_query::{Expr, OnConflict},
};

pub use crate::store::entity::{customer::Model as Customer, customer_identity::Model as CustomerIdentity};
use crate::{
    domain::inbound::Identity,
    error::{Error, Result},
    id::{ChannelId, CustomerId},
    store::{
        TenantDb, Tx,
        entity::{customer, customer_identity},
        scope::TenantOwned,
        sql::statement,
    },
};

impl TenantOwned for customer::Entity {
    const TENANT: customer::Column = customer::Column::TenantId;
}

impl TenantOwned for customer_identity::Entity {
    const TENANT: customer_identity::Column = customer_identity::Column::TenantId;
}

impl<C: ConnectionTrait> TenantDb<C> {
    /// The people who write.
    pub fn customers(&self) -> Customers<'_, C> {
        Customers(self)
    }
}

/// The people who write.
pub struct Customers<'a, C>(&'a TenantDb<C>);

/// What is known of somebody who writes for the first time.
#[derive(Clone, Debug)]
pub struct NewCustomer {
    pub display_name: String,
    pub phone: Option<String>,
}

/// What may change of a customer; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct CustomerChange {
    pub display_name: Option<String>,
    pub phone: Option<Option<String>>,
    pub email: Option<Option<String>>,
    pub language: Option<Option<String>>,
    pub tags: Option<Vec<String>>,
    /// Blocked or not, and why.
    pub blocked: Option<(bool, Option<String>)>,
}

impl CustomerChange {
    /// The customer as it would be.
    pub fn applied(self, to: Customer) -> Customer {
        let Self { display_name, phone, email, language, tags, blocked } = self;
        let (blocked, block_reason) = blocked.unwrap_or((to.blocked, to.block_reason));
        Customer {
            display_name: display_name.unwrap_or(to.display_name),
            phone: phone.unwrap_or(to.phone),
            email: email.unwrap_or(to.email),
            language: language.unwrap_or(to.language),
            tags: tags.map_or(to.tags, Into::into),
            blocked,
            block_reason,
            ..to
        }
    }
}

impl<C: ConnectionTrait> Customers<'_, C> {
    pub async fn get(&self, id: CustomerId) -> Result<Customer> {
        let found = self.0.find::<customer::Entity>().filter(customer::Column::Id.eq(id));
        self.0.row(found).await?.ok_or_else(|| Error::not_found("customer", id))
    }

    /// Newest first.
    pub async fn list(&self, after: Option<&CustomerId>, limit: u64) -> Result<Vec<Customer>> {
        let mut query = self.0.find::<customer::Entity>();
        if let Some(after) = after {
            query = query.filter(customer::Column::Id.lt(*after));
        }
        Ok(query.order_by_desc(customer::Column::Id).limit(limit).all(self.0.conn()).await?)
    }

    /// Those of a page of conversations, each once.
    pub async fn of_ids(&self, ids: impl IntoIterator<Item = CustomerId>) -> Result<Vec<Customer>> {
        let found = self.0.find::<customer::Entity>().filter(match self.0.backend() {
            // One parameter and one statement, however many ids.
            DbBackend::Postgres => customer::Column::Id.eq_any(ids.into_iter().map(|id| id.0)),
            _ => customer::Column::Id.is_in(ids),
        });
        self.0.rows(found.order_by_asc(customer::Column::Id)).await
    }

    /// The names of a customer, on one channel or on all.
    pub async fn identities(
        &self,
        customer: CustomerId,
        channel: Option<ChannelId>,
    ) -> Result<Vec<CustomerIdentity>> {
        let mut query = self
            .0
            .find::<customer_identity::Entity>()
            .filter(customer_identity::Column::CustomerId.eq(customer));
        if let Some(channel) = channel {
            query = query.filter(customer_identity::Column::ChannelId.eq(channel));
        }
        Ok(query.order_by_asc(customer_identity::Column::Id).all(self.0.conn()).await?)
    }

    /// Who has any of these names on the channel, with the names that are known. The first name in `names`
    /// decides when they belong to different customers: nobody is merged by guess.
    pub async fn known(
        &self,
        channel: ChannelId,
        names: &[Identity],
    ) -> Result<Option<(Customer, Vec<Identity>)>> {
        let mut values: Vec<Value> = vec![self.0.tenant().into(), channel.into()];
        let mut any = Vec::with_capacity(names.len());
        for name in names {
            any.push(format!("(i.scheme = ${} and i.value = ${})", values.len() + 1, values.len() + 2));
            values.push(name.scheme.as_str().into());
            values.push(name.value.as_str().into());
        }
        let find = format!(
            "select c.*, i.scheme, i.value from customer_identity i \
             join customer c on c.tenant_id = i.tenant_id and c.id = i.customer_id \
             where i.tenant_id = $1 and i.channel_id = $2 and ({})",
            any.join(" or ")
        );
        let rows = self.0.conn().query_all_raw(statement(self.0.backend(), &find, values)).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let name = Identity { scheme: row.try_get("", "scheme")?, value: row.try_get("", "value")? };
            found.push((name, Customer::from_query_result(row, "")?));
        }
        let owner = names.iter().find_map(|name| found.iter().find(|(known, _)| known == name));
        let owner = owner.map(|(_, customer)| customer.clone());
        Ok(owner.map(|owner| (owner, found.into_iter().map(|(name, _)| name).collect())))
    }
}

impl Customers<'_, Tx> {
    /// The customer with these names on the channel; made if there is none, once, however many ask at the
    /// same moment. Names that are new become the customer's.
    pub async fn writing(
        &self,
        channel: ChannelId,
        names: &[Identity],
        new: impl Fn() -> NewCustomer,
    ) -> Result<Customer> {
        // Whoever loses the race finds the winner: its names are committed when ours are refused.
        for _ in 0..3 {
            if let Some((customer, known)) = self.known(channel, names).await? {
                if known.len() < names.len() {
                    let missing: Vec<_> = names.iter().filter(|name| !known.contains(name)).collect();
                    self.name(customer.id, channel, &missing).await?;
                }
                return Ok(customer);
            }
            let customer = self.insert(new()).await?;
            let names: Vec<_> = names.iter().collect();
            if self.name(customer.id, channel, &names).await? == names.len() {
                return Ok(customer);
            }
            self.forget(customer.id).await?;
        }
        Err(Error::unavailable(anyhow::anyhow!("the customer is being written by others")))
    }

    /// Gives a customer more names, except those that somebody has. Returns how many are new.
    pub async fn name(&self, customer: CustomerId, channel: ChannelId, names: &[&Identity]) -> Result<usize> {
        // In one order everywhere, so that two webhooks with the same names cannot wait for each other.
        let mut names = names.to_vec();
        names.sort();
        names.dedup();
        let mut new = 0;
        for name in names {
            let row = CustomerIdentity {
                tenant_id: self.0.tenant(),
                id: self.0.env().id(),
                customer_id: customer,
                channel_id: channel,
                scheme: name.scheme.clone(),
                value: name.value.clone(),
                reachable: true,
                reachable_at: None,
                create_time: self.0.env().now(),
            };
            use customer_identity::Column::{ChannelId, Scheme, TenantId, Value};
            let taken = OnConflict::columns([TenantId, ChannelId, Scheme, Value]).do_nothing().to_owned();
            let insert = self.0.insert(row.into_active_model()).on_conflict(taken);
            new += usize::from(insert.exec_without_returning(self.0.conn()).await? > 0);
        }
        Ok(new)
    }

    async fn insert(&self, new: NewCustomer) -> Result<Customer> {
        let now = self.0.env().now();
        let row = Customer {
            tenant_id: self.0.tenant(),
            id: self.0.env().id(),
            display_name: new.display_name,
            phone: new.phone,
            email: None,
            language: None,
            tags: serde_json::Value::Array(Vec::new()),
            blocked: false,
            block_reason: None,
            version: 1,
            create_time: now,
            update_time: now,
        };
        self.0.insert(row.clone().into_active_model()).exec_without_returning(self.0.conn()).await?;
        Ok(row)
    }

    /// Takes back a customer of this transaction.
    async fn forget(&self, id: CustomerId) -> Result<()> {
        let names = self.0.delete::<customer_identity::Entity>();
        names.filter(customer_identity::Column::CustomerId.eq(id)).exec(self.0.conn()).await?;
        let customer = self.0.delete::<customer::Entity>();
        customer.filter(customer::Column::Id.eq(id)).exec(self.0.conn()).await?;
        Ok(())
    }

    /// Changes `seen`, unless someone else changed it first.
    pub async fn change(&self, seen: &Customer, change: CustomerChange) -> Result<Customer> {
        use customer::Column;
        let CustomerChange { display_name, phone, email, language, tags, blocked } = change;
        let mut update = self
            .0
            .update::<customer::Entity>()
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdateTime, Expr::value(self.0.env().now()))
            .filter(Column::Id.eq(seen.id))
            .filter(Column::Version.eq(seen.version));
        if let Some(display_name) = display_name {
            update = update.col_expr(Column::DisplayName, Expr::value(display_name));
        }
        for (column, value) in [(Column::Phone, phone), (Column::Email, email), (Column::Language, language)]
        {
            if let Some(value) = value {
                update = update.col_expr(column, Expr::value(value));
            }
        }
        if let Some(tags) = tags {
            update = update.col_expr(Column::Tags, Expr::value(serde_json::Value::from(tags)));
        }
        if let Some((blocked, reason)) = blocked {
            update = update
                .col_expr(Column::Blocked, Expr::value(blocked))
                .col_expr(Column::BlockReason, Expr::value(reason));
        }
        update.exec_with_returning(self.0.conn()).await?.pop().ok_or(Error::stale())
    }

    /// Records that the customer shut the door on the channel, or opened it again. An older report than
    /// the last one changes nothing. Returns whose names they are, where something changed.
    pub async fn set_reachable(
        &self,
        channel: ChannelId,
        names: &[Identity],
        reachable: bool,
        at: DateTime<Utc>,
    ) -> Result<Option<CustomerId>> {
        use customer_identity::Column;
        let mut any = Condition::any();
        for name in names {
            any = any.add(Column::Scheme.eq(&name.scheme).and(Column::Value.eq(&name.value)));
        }
        let changed = self
            .0
            .update::<customer_identity::Entity>()
            .col_expr(Column::Reachable, Expr::value(reachable))
            .col_expr(Column::ReachableAt, Expr::value(at))
            .filter(Column::ChannelId.eq(channel))
            .filter(any)
            .filter(Condition::any().add(Column::ReachableAt.is_null()).add(Column::ReachableAt.lt(at)))
            .exec_with_returning(self.0.conn())
            .await?;
        Ok(changed.first().map(|name| name.customer_id))
    }
}
