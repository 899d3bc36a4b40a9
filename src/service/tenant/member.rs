//! MemberService: who belongs to the tenant, and who may join.

use tonic::{Request, Response, Status};

use super::join;
use crate::{
    auth::{
        Caller,
        token::{Kind, Token},
    },
    domain::{
        access::Role,
        event::Event,
        membership::{self, INVITE, InviteState, email_key},
    },
    error::{Error, Result},
    id::{InviteId, MemberId, UserId},
    store::{
        Store, TenantDb, Tx,
        tenant::{Member, NewInvite, User},
    },
    wire::{
        self,
        page::Page,
        tenant::v1::{
            self, AcceptInviteRequest, Invite, InviteMemberRequest, InviteMemberResponse, ListInvitesRequest,
            ListInvitesResponse, ListMembersRequest, ListMembersResponse, RemoveMemberRequest,
            RemoveMemberResponse, RevokeInviteRequest, RevokeInviteResponse, UpdateMemberRoleRequest,
            member_service_server::MemberService,
        },
        word,
    },
};

/// Serves members and invitations.
pub struct Members {
    store: Store,
}

impl Members {
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl MemberService for Members {
    async fn list_members(
        &self,
        request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let ListMembersRequest { page_size, page_token } = request.into_inner();
        let page = Page::<MemberId>::read("members", page_size, &page_token, &[])?;

        let rows = self.store.of(scope).members().list(page.after().copied(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |(member, _)| member.id);
        let members = rows.iter().map(|(member, user)| (member, user).into()).collect();
        Ok(Response::new(ListMembersResponse { members, next_page_token }))
    }

    async fn invite_member(
        &self,
        request: Request<InviteMemberRequest>,
    ) -> Result<Response<InviteMemberResponse>, Status> {
        let caller = Caller::of(&request)?;
        let (scope, inviter) = (caller.scope()?, caller.user()?);
        let InviteMemberRequest { email, role, validate_only } = request.into_inner();
        let email = wire::tenant::email("email", &email)?;
        let role = wire::tenant::role("role", role)?;
        if role == Role::Owner {
            return Err(Error::invalid("role", "an invitation cannot make an owner").into());
        }
        let db = self.store.of(scope);

        if validate_only {
            return Ok(Response::new(self.would_invite(&db, email, role, inviter).await?));
        }
        let token = Token::make(Kind::Invite, self.store.env());
        let answer = db
            .command(
                async |db| {
                    if db.members().has_email(&email_key(&email)).await? {
                        return Err(MEMBER);
                    }
                    let new = NewInvite { email: email.clone(), role, token_hash: token.hash(), inviter };
                    let invite = db.invites().add(new).await?;
                    let subject = invite.id.to_string();
                    db.emit(Event::TenantUpdated { subject, action: "member.invited".to_owned() });
                    Ok(invite)
                },
                |invite| {
                    Ok(InviteMemberResponse {
                        invite: Some((&invite).into()),
                        token: token.text().to_owned(),
                    })
                },
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn list_invites(
        &self,
        request: Request<ListInvitesRequest>,
    ) -> Result<Response<ListInvitesResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let ListInvitesRequest { page_size, page_token } = request.into_inner();
        let page = Page::<InviteId>::read("invites", page_size, &page_token, &[])?;

        let now = self.store.env().now();
        let rows = self.store.of(scope).invites().open(now, page.after().copied(), page.fetch()).await?;
        let (rows, next_page_token) = page.cut(rows, |invite| invite.id);
        let invites = rows.iter().map(Into::into).collect();
        Ok(Response::new(ListInvitesResponse { invites, next_page_token }))
    }

    async fn revoke_invite(
        &self,
        request: Request<RevokeInviteRequest>,
    ) -> Result<Response<RevokeInviteResponse>, Status> {
        let scope = Caller::of(&request)?.scope()?;
        let invite: InviteId = wire::id("invite_id", &request.into_inner().invite_id)?;

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    if !db.invites().close(invite, InviteState::Revoked).await? {
                        return Err(Error::not_found("invite", invite));
                    }
                    let subject = invite.to_string();
                    db.emit(Event::TenantUpdated { subject, action: "member.invite_revoked".to_owned() });
                    Ok(())
                },
                |()| Ok(RevokeInviteResponse {}),
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn accept_invite(
        &self,
        request: Request<AcceptInviteRequest>,
    ) -> Result<Response<v1::Member>, Status> {
        let caller = Caller::of(&request)?;
        let (user, session) = (caller.user()?, caller.session()?);
        let token = request.into_inner().token;

        let system = self.store.system();
        let user = system.users().get(user).await?;
        let invite = join::invite(&system, &token).await?;
        let answer = self
            .store
            .of(caller.of_request(join::scope(&invite, &user)))
            .command(
                async |db| {
                    let member = join::join(db, &invite, &user).await?;
                    db.bind_session(session, user.id).await?;
                    Ok(member)
                },
                |member| Ok((&member, &user).into()),
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn update_member_role(
        &self,
        request: Request<UpdateMemberRoleRequest>,
    ) -> Result<Response<v1::Member>, Status> {
        let caller = Caller::of(&request)?;
        let (scope, by) = (caller.scope()?, caller.user()?);
        let UpdateMemberRoleRequest { member_id, role, expected_version } = request.into_inner();
        let id: MemberId = wire::id("member_id", &member_id)?;
        let role = wire::tenant::role("role", role)?;

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let Seen { by, member, user, owners } = see(db, by, id).await?;
                    wire::tenant::check_member(expected_version, &member, &user)?;
                    membership::change_role(by, member.role, role, owners)?;
                    let member = db.members().set_role(member, role).await?;
                    db.emit(Event::MemberUpdated { user: user.id, role: word(&role) });
                    Ok((member, user))
                },
                |(member, user)| Ok((&member, &user).into()),
            )
            .await?;
        Ok(Response::new(answer))
    }

    async fn remove_member(
        &self,
        request: Request<RemoveMemberRequest>,
    ) -> Result<Response<RemoveMemberResponse>, Status> {
        let caller = Caller::of(&request)?;
        let (scope, by) = (caller.scope()?, caller.user()?);
        let RemoveMemberRequest { member_id, expected_version } = request.into_inner();
        let id: MemberId = wire::id("member_id", &member_id)?;

        let answer = self
            .store
            .of(scope)
            .command(
                async |db| {
                    let Seen { by, member, user, owners } = see(db, by, id).await?;
                    wire::tenant::check_member(expected_version, &member, &user)?;
                    membership::remove(by, member.role, owners)?;
                    db.members().remove(member).await?;
                    db.emit(Event::MemberUpdated { user: user.id, role: "removed".to_owned() });
                    Ok(())
                },
                |()| Ok(RemoveMemberResponse {}),
            )
            .await?;
        Ok(Response::new(answer))
    }
}

const MEMBER: Error = Error::Exists { what: "a member with that address" };

impl Members {
    async fn would_invite(
        &self,
        db: &TenantDb,
        email: String,
        role: Role,
        inviter: UserId,
    ) -> Result<InviteMemberResponse> {
        let now = self.store.env().now();
        if db.members().has_email(&email_key(&email)).await? {
            return Err(MEMBER);
        }
        if db.invites().open_for(&email, now).await?.is_some() {
            return Err(Error::Exists { what: "an open invitation to that address" });
        }
        let invite = Invite {
            id: String::new(),
            email,
            role: v1::Role::from(role).into(),
            inviter_id: inviter.to_string(),
            create_time: Some(wire::time(now)),
            expire_time: Some(wire::time(now + INVITE)),
        };
        Ok(InviteMemberResponse { invite: Some(invite), token: String::new() })
    }
}

/// What decides about a change of a member.
struct Seen {
    /// The role of who asks.
    by: Role,
    member: Member,
    user: User,
    /// How many owners there are.
    owners: u64,
}

/// Reads it under the tenant's lock: two changes at the same moment cannot both spare the other owner.
async fn see(db: &TenantDb<Tx>, by: UserId, id: MemberId) -> Result<Seen> {
    db.tenants().lock().await?;
    let by = db.members().of_user(by).await?.ok_or(Error::Unauthenticated)?.role;
    let (member, user) = db.members().with_user(id).await?;
    let owners = db.members().owners().await?;
    Ok(Seen { by, member, user, owners })
}
