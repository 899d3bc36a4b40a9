//! The platform's owner: named by the settings, there from the first start on.

use serde_json::json;

use crate::{
    auth::password::Passwords,
    domain::{
        access::PlatformRole,
        membership::{default_name, email_key},
        password,
    },
    error::{Error, Result},
    store::{
        Store, SystemDb, Tx,
        admin::{NewAction, Outcome},
        tenant::{NewUser, User},
    },
};

/// What became of the wish for an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ensured {
    /// A new person owns the platform.
    Created,
    /// A known person owns the platform now, or has the password of the settings now.
    Updated,
    /// It was so before.
    Unchanged,
    /// Someone else owns the platform; nothing changed.
    OtherOwner,
}

/// Sees to it that the person with that address and password owns the platform.
///
/// # Errors
/// A password that sign-up would refuse (WEAK_PASSWORD).
pub async fn ensure_owner(
    store: &Store,
    passwords: &Passwords,
    email: &str,
    password: &str,
) -> Result<Ensured> {
    password::check(password)?;
    let system = store.system();
    let owner = system.users().platform_owner().await?;
    if owner.as_ref().is_some_and(|owner| owner.email_key != email_key(email)) {
        return Ok(Ensured::OtherOwner);
    }
    let known = system.users().by_email(email).await?;
    if let Some(known) = &known
        && known.platform_role == Some(PlatformRole::Owner)
        && passwords.verify(password, Some(&known.password_hash)).await?
    {
        return Ok(Ensured::Unchanged);
    }
    let hash = passwords.hash(password).await?;
    let written = system.transaction(async |db| write(db, email, &hash, known.as_ref()).await).await;
    match written {
        // Another process of ours was a moment earlier.
        Err(Error::Exists { .. }) => Ok(Ensured::Unchanged),
        other => other,
    }
}

async fn write(db: &SystemDb<Tx>, email: &str, hash: &str, known: Option<&User>) -> Result<Ensured> {
    let (user, ensured) = match known {
        Some(known) => {
            db.users().set_password(known.id, hash.to_owned()).await?;
            db.users().set_platform_role(known.id, Some(PlatformRole::Owner)).await?;
            (known.id, Ensured::Updated)
        }
        None => {
            let new = NewUser {
                email: email.to_owned(),
                name: default_name(email).to_owned(),
                password_hash: hash.to_owned(),
                platform_role: Some(PlatformRole::Owner),
            };
            let Some(user) = db.users().add(new).await? else { return Ok(Ensured::Unchanged) };
            (user.id, Ensured::Created)
        }
    };
    let previous = known.map(|known| known.platform_role);
    db.record_action(NewAction {
        action: "platform.ensure_owner",
        target_kind: "user",
        target_id: user.to_string(),
        staff: user,
        reason: "named in the settings".to_owned(),
        outcome: Outcome::Changed(json!({"platform_role": previous})),
    })
    .await?;
    Ok(ensured)
}
