//! Who belongs to a tenant. A member who leaves keeps the row, because other rows name it.

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, JoinType, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, RelationTrait, sea_query::Expr,
};

use crate::{
    domain::access::Role,
    error::{Error, Result},
    id::{MemberId, UserId},
    store::{
        SystemDb, TenantDb, Tx,
        entity::{
            member::{Column, Entity, Relation},
            user,
        },
        scope::TenantOwned,
        tenant::User,
    },
};

pub use crate::store::entity::member::Model as Member;

impl TenantOwned for Entity {
    const TENANT: Column = Column::TenantId;
}

/// The members of the scope's tenant.
pub struct Members<'a, C>(&'a TenantDb<C>);

impl<C: ConnectionTrait> TenantDb<C> {
    pub fn members(&self) -> Members<'_, C> {
        Members(self)
    }
}

impl<C: ConnectionTrait> Members<'_, C> {
    pub async fn get(&self, id: MemberId) -> Result<Member> {
        let found = self.present().filter(Column::Id.eq(id)).one(self.0.conn()).await?;
        found.ok_or_else(|| Error::not_found("member", id))
    }

    pub async fn of_user(&self, user: UserId) -> Result<Option<Member>> {
        Ok(self.present().filter(Column::UserId.eq(user)).one(self.0.conn()).await?)
    }

    /// Members with their persons, in the order they first joined.
    pub async fn list(&self, after: Option<MemberId>, limit: u64) -> Result<Vec<(Member, User)>> {
        let mut rows = self
            .present()
            .join(JoinType::InnerJoin, Relation::User.def())
            .select_also(user::Entity)
            .order_by_asc(Column::Id)
            .limit(limit);
        if let Some(after) = after {
            rows = rows.filter(Column::Id.gt(after));
        }
        let rows = rows.all(self.0.conn()).await?;
        Ok(rows.into_iter().filter_map(|(member, user)| Some((member, user?))).collect())
    }

    pub async fn with_user(&self, id: MemberId) -> Result<(Member, User)> {
        let found = self
            .present()
            .join(JoinType::InnerJoin, Relation::User.def())
            .select_also(user::Entity)
            .filter(Column::Id.eq(id))
            .one(self.0.conn())
            .await?;
        match found {
            Some((member, Some(user))) => Ok((member, user)),
            _ => Err(Error::not_found("member", id)),
        }
    }

    /// Whether a person with that address (a key, see `membership::email_key`) is a member.
    pub async fn has_email(&self, email_key: &str) -> Result<bool> {
        let found = self
            .present()
            .join(JoinType::InnerJoin, Relation::User.def())
            .filter(user::Column::EmailKey.eq(email_key))
            .one(self.0.conn())
            .await?;
        Ok(found.is_some())
    }

    pub async fn owners(&self) -> Result<u64> {
        Ok(self.present().filter(Column::Role.eq(Role::Owner)).count(self.0.conn()).await?)
    }

    fn present(&self) -> sea_orm::Select<Entity> {
        self.0.find::<Entity>().filter(Column::RemovedAt.is_null())
    }
}

impl<C: ConnectionTrait> SystemDb<C> {
    /// Where a person belongs, the tenant they joined first at the top; 200 at most.
    pub async fn memberships(&self, user: UserId) -> Result<Vec<Member>> {
        let rows = Entity::find()
            .filter(Column::UserId.eq(user))
            .filter(Column::RemovedAt.is_null())
            .order_by_asc(Column::CreateTime)
            .order_by_asc(Column::Id)
            .limit(200);
        Ok(rows.all(self.conn()).await?)
    }
}

impl Members<'_, Tx> {
    /// Adds `user`, or takes back one who left. Fails with `Exists` for a present member.
    pub async fn add(&self, user: UserId, role: Role) -> Result<Member> {
        let now = self.0.env().now();
        let left = self.0.find::<Entity>().filter(Column::UserId.eq(user)).one(self.0.conn()).await?;
        match left {
            Some(member) if member.removed_at.is_none() => Err(Error::Exists { what: "the member" }),
            Some(member) => self.store(Member { role, removed_at: None, ..member }).await,
            None => {
                let member = Member {
                    tenant_id: self.0.tenant(),
                    id: self.0.env().id(),
                    user_id: user,
                    role,
                    removed_at: None,
                    version: 1,
                    create_time: now,
                    update_time: now,
                };
                let row = member.clone().into_active_model();
                self.0.insert::<Entity, _>(row).exec_without_returning(self.0.conn()).await?;
                Ok(member)
            }
        }
    }

    pub async fn set_role(&self, seen: Member, role: Role) -> Result<Member> {
        self.store(Member { role, ..seen }).await
    }

    pub async fn remove(&self, seen: Member) -> Result<Member> {
        let now = self.0.env().now();
        self.store(Member { removed_at: Some(now), ..seen }).await
    }

    async fn store(&self, member: Member) -> Result<Member> {
        let seen = member.version;
        let member = Member { version: seen + 1, update_time: self.0.env().now(), ..member };
        let done = self
            .0
            .update::<Entity>()
            .col_expr(Column::Role, Expr::value(member.role))
            .col_expr(Column::RemovedAt, Expr::value(member.removed_at))
            .col_expr(Column::Version, Expr::value(member.version))
            .col_expr(Column::UpdateTime, Expr::value(member.update_time))
            .filter(Column::Id.eq(member.id))
            .filter(Column::Version.eq(seen))
            .exec(self.0.conn())
            .await?;
        if done.rows_affected == 0 { Err(Error::stale()) } else { Ok(member) }
    }
}
