//! Who joins a tenant, as what, and who stays.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{DeriveActiveEnum, EnumIter};
use serde::{Deserialize, Serialize};

use super::{Rejected, access::Role};

/// How long an invitation is good for.
pub const INVITE: TimeDelta = TimeDelta::hours(72);

const OWNER_REQUIRED: Rejected =
    Rejected::because("OWNER_REQUIRED", "only an owner makes or unmakes an owner");
const LAST_OWNER: Rejected = Rejected::because("LAST_OWNER", "a tenant keeps at least one owner");

/// What became of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum InviteState {
    Open,
    Accepted,
    Revoked,
    /// Out of time, and replaced by another one.
    Expired,
}

/// An e-mail address as it is compared.
pub fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Whether an invitation for `invited` (a key) admits the person with `email` at `now`.
pub fn accept(
    state: InviteState,
    invited: &str,
    email: &str,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<(), Rejected> {
    const INVALID: Rejected = Rejected::because("INVALID_INVITE", "the invitation is not valid");
    if invited != email_key(email) {
        return Err(INVALID);
    }
    match state {
        InviteState::Accepted | InviteState::Revoked => Err(INVALID),
        InviteState::Open if now < expires_at => Ok(()),
        InviteState::Open | InviteState::Expired => {
            Err(Rejected::because("INVITE_EXPIRED", "the invitation has expired"))
        }
    }
}

/// Whether a member with the role `by` may turn `from` into `to`, where `owners` counts the tenant's owners.
pub fn change_role(by: Role, from: Role, to: Role, owners: u64) -> Result<(), Rejected> {
    if by != Role::Owner && (from == Role::Owner || to == Role::Owner) {
        return Err(OWNER_REQUIRED);
    }
    if from == Role::Owner && to != Role::Owner && owners <= 1 {
        return Err(LAST_OWNER);
    }
    Ok(())
}

/// Whether a member with the role `by` may remove one with the role `from`.
pub fn remove(by: Role, from: Role, owners: u64) -> Result<(), Rejected> {
    change_role(by, from, Role::Guest, owners)
}

/// The name of a person who gave none: the part of the address before the `@`.
pub fn default_name(email: &str) -> &str {
    email.split('@').next().unwrap_or(email)
}

/// The name of a person's own tenant.
pub fn default_tenant_name(person: &str) -> String {
    format!("{person}'s Business")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acceptance case 59.
    #[test]
    fn an_invitation_admits_one_person_for_72_hours() {
        let made = DateTime::from_timestamp(1_789_990_000, 0).unwrap();
        let invited = email_key("Ann@Shop.example");
        for (state, email, hours, expected) in [
            (InviteState::Open, "ann@shop.example", 71, Ok(())),
            (InviteState::Open, " ANN@shop.example ", 71, Ok(())),
            (InviteState::Open, "ann@shop.example", 72, Err("INVITE_EXPIRED")),
            (InviteState::Open, "ann@shop.example", 73, Err("INVITE_EXPIRED")),
            (InviteState::Expired, "ann@shop.example", 73, Err("INVITE_EXPIRED")),
            (InviteState::Open, "bob@shop.example", 1, Err("INVALID_INVITE")),
            (InviteState::Accepted, "ann@shop.example", 1, Err("INVALID_INVITE")),
            (InviteState::Revoked, "ann@shop.example", 1, Err("INVALID_INVITE")),
        ] {
            let now = made + TimeDelta::hours(hours);
            let found =
                accept(state, &invited, email, made + INVITE, now).map_err(|rejected| rejected.reason);
            assert_eq!(found, expected, "{state:?} {email} after {hours} h");
        }
    }

    #[test]
    fn owners_are_made_by_owners_and_the_last_one_stays() {
        use Role::{Admin, Operator, Owner, Viewer};
        for (by, from, to, owners, expected) in [
            (Owner, Viewer, Operator, 1, Ok(())),
            (Owner, Operator, Owner, 1, Ok(())),
            (Owner, Owner, Admin, 2, Ok(())),
            (Owner, Owner, Owner, 1, Ok(())),
            (Owner, Owner, Admin, 1, Err("LAST_OWNER")),
            (Admin, Viewer, Operator, 1, Ok(())),
            (Admin, Operator, Owner, 1, Err("OWNER_REQUIRED")),
            (Admin, Owner, Admin, 2, Err("OWNER_REQUIRED")),
        ] {
            let found = change_role(by, from, to, owners).map_err(|rejected| rejected.reason);
            assert_eq!(found, expected, "{by:?} turns {from:?} into {to:?} of {owners}");
        }
        assert_eq!(remove(Owner, Owner, 1).map_err(|rejected| rejected.reason), Err("LAST_OWNER"));
        assert_eq!(remove(Owner, Viewer, 1), Ok(()));
        assert_eq!(remove(Admin, Owner, 2).map_err(|rejected| rejected.reason), Err("OWNER_REQUIRED"));
    }

    /// Acceptance case 60.
    #[test]
    fn a_person_and_a_tenant_have_names_without_being_given_any() {
        assert_eq!(default_name("ada@lovelace.example"), "ada");
        assert_eq!(default_tenant_name("ada"), "ada's Business");
    }
}
