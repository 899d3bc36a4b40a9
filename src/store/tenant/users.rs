//! People, across tenants.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    sea_query::{Expr, ExprTrait, OnConflict},
};

use crate::{
    domain::{access::PlatformRole, membership::email_key},
    error::{Error, Result},
    id::UserId,
    store::{
        SystemDb, Tx,
        entity::user::{ActiveModel, Column, Entity},
    },
};

pub use crate::store::entity::user::Model as User;

/// A person to be.
#[derive(Clone, Debug)]
pub struct NewUser {
    pub email: String,
    pub name: String,
    /// See `auth::password`.
    pub password_hash: String,
    pub platform_role: Option<PlatformRole>,
}

/// The people.
pub struct Users<'a, C>(&'a SystemDb<C>);

impl<C: ConnectionTrait> SystemDb<C> {
    pub fn users(&self) -> Users<'_, C> {
        Users(self)
    }
}

impl<C: ConnectionTrait> Users<'_, C> {
    pub async fn get(&self, id: UserId) -> Result<User> {
        let found = Entity::find_by_id(id).one(self.0.conn()).await?;
        found.ok_or_else(|| Error::not_found("user", id))
    }

    /// The person with that address, in any case.
    pub async fn by_email(&self, email: &str) -> Result<Option<User>> {
        Ok(Entity::find().filter(Column::EmailKey.eq(email_key(email))).one(self.0.conn()).await?)
    }

    /// The platform's owner, if it has one.
    pub async fn platform_owner(&self) -> Result<Option<User>> {
        Ok(Entity::find().filter(Column::PlatformRole.eq(PlatformRole::Owner)).one(self.0.conn()).await?)
    }

    pub async fn count(&self) -> Result<u64> {
        Ok(Entity::find().count(self.0.conn()).await?)
    }
}

impl Users<'_, Tx> {
    /// Adds a person; `None` when the address is known.
    pub async fn add(&self, new: NewUser) -> Result<Option<User>> {
        let now = self.0.env().now();
        let user = User {
            id: self.0.env().id(),
            email_key: email_key(&new.email),
            email: new.email,
            name: new.name,
            password_hash: new.password_hash,
            platform_role: new.platform_role,
            disabled: false,
            version: 1,
            create_time: now,
            update_time: now,
        };
        let row: ActiveModel = user.clone().into_active_model();
        let known = OnConflict::column(Column::EmailKey).do_nothing().to_owned();
        let added = Entity::insert(row).on_conflict(known).exec_without_returning(self.0.conn()).await?;
        Ok((added > 0).then_some(user))
    }

    pub async fn set_password(&self, id: UserId, password_hash: String) -> Result<()> {
        self.set(id, Column::PasswordHash, Expr::value(password_hash)).await
    }

    pub async fn set_platform_role(&self, id: UserId, role: Option<PlatformRole>) -> Result<()> {
        self.set(id, Column::PlatformRole, Expr::value(role)).await
    }

    async fn set(&self, id: UserId, column: Column, value: Expr) -> Result<()> {
        let done = Entity::update_many()
            .col_expr(column, value)
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdateTime, Expr::value(self.0.env().now()))
            .filter(Column::Id.eq(id))
            .exec(self.0.conn())
            .await?;
        if done.rows_affected == 0 { Err(Error::not_found("user", id)) } else { Ok(()) }
    }
}
