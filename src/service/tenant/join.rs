//! Joining a tenant with an invitation: at sign-up, or later.

use crate::{
    auth::{Actor, TenantScope, token},
    domain::{
        Rejected,
        event::Event,
        membership::{self, InviteState},
    },
    error::Result,
    store::{
        SystemDb, TenantDb, Tx,
        tenant::{Invite, Member, User},
    },
    wire::word,
};

const INVALID: Rejected = Rejected::because("INVALID_INVITE", "the invitation is not valid");

/// The invitation that a token stands for.
pub(super) async fn invite(
    db: &SystemDb<impl sea_orm::ConnectionTrait>,
    invite_token: &str,
) -> Result<Invite> {
    let found = db.invite_by_hash(&token::hash(invite_token)).await?;
    Ok(found.ok_or(INVALID)?)
}

/// The tenant that invites, in the name of whom it invited.
pub(super) fn scope(invite: &Invite, user: &User) -> TenantScope {
    TenantScope::of_platform(invite.tenant_id).acting_as(Actor::User(user.id))
}

/// Uses up the invitation and makes `user` a member. Fails with `Exists` for one who is.
pub(super) async fn join(db: &TenantDb<Tx>, invite: &Invite, user: &User) -> Result<Member> {
    membership::accept(invite.state, &invite.email_key, &user.email, invite.expires_at, db.env().now())?;
    if !db.invites().close(invite.id, InviteState::Accepted).await? {
        return Err(INVALID.into());
    }
    let member = db.members().add(user.id, invite.role).await?;
    db.emit(Event::MemberUpdated { user: user.id, role: word(&member.role) });
    Ok(member)
}
