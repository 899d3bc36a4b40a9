//! Stored secrets do not move to another host with their account: a member who may change where they go may
//! not know them, and whoever answers there would.

use serde_json::Value as Json;

use crate::{
    channels::Account,
    domain::conversation::ChannelKind,
    error::{Error, Result, Violation},
    wire::channel::Secrets,
};

/// Checks an account as it is to be against the one before it. `stored` are the secrets at rest, `given` those
/// of the request.
///
/// # Errors
/// `Invalid`, naming each stored secret that would travel to another host and was not given anew.
pub(super) fn check(
    before: Option<&Account>,
    stored: &Json,
    after: &Account,
    given: Option<&Secrets>,
) -> Result<()> {
    let Some((host, secrets)) = after.exposure() else { return Ok(()) };
    if before.and_then(Account::exposure).is_some_and(|(known, _)| known == host) {
        return Ok(());
    }
    let field = match after.kind() {
        ChannelKind::Whatsapp => "whatsapp_secrets",
        ChannelKind::Telegram => "telegram_secrets",
        ChannelKind::Webhook => "webhook_secrets",
    };
    let anew = |secret: &str| given.is_some_and(|given| given.members.contains_key(secret));
    let moved = secrets.iter().filter(|secret| stored.get(**secret).is_some() && !anew(secret));
    let violations: Vec<_> = moved
        .map(|secret| Violation {
            field: format!("{field}.{secret}"),
            problem: "must be given again: the stored one does not go to another API host".to_owned(),
        })
        .collect();
    if violations.is_empty() { Ok(()) } else { Err(Error::Invalid(violations)) }
}
