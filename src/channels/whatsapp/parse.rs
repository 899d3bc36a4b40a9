//! From a webhook's envelope to facts: every entry, every change, every item, in order.

mod message;

use std::collections::BTreeSet;

use serde_json::Value;

use super::refusal::GraphError;
use crate::{
    channels::{
        NotParsable,
        json::{hash_key, items, object, text, unix_time},
        read_correlation,
    },
    domain::{
        delivery::DeliveryStatus,
        inbound::{DeliveryUpdate, Fact, Identity, What, scheme},
    },
};

/// Members of a change that describe the others.
const DESCRIBING: [&str; 3] = ["messaging_product", "metadata", "contacts"];

/// `own` is the phone number id that the facts should be for: items for another one keep their raw form.
pub(super) fn parse(body: &[u8], own: &str) -> Result<Vec<Fact>, NotParsable> {
    let root = Value::Object(object(body)?);
    if root["object"] != "whatsapp_business_account" || !root["entry"].is_array() {
        return Ok(vec![unsupported("envelope", None, &root)]);
    }
    Ok(changes(&root).flat_map(|change| of_change(change, own)).collect())
}

/// The phone number ids that a body speaks of, each once.
pub(super) fn accounts(body: &[u8]) -> Result<Vec<String>, NotParsable> {
    let root = Value::Object(object(body)?);
    let named = changes(&root).filter_map(|change| text(&change["value"]["metadata"], "phone_number_id"));
    Ok(named.collect::<BTreeSet<_>>().into_iter().collect())
}

fn changes(root: &Value) -> impl Iterator<Item = &Value> {
    items(root, "entry").iter().flat_map(|entry| items(entry, "changes"))
}

fn of_change(change: &Value, own: &str) -> Vec<Fact> {
    let field = change["field"].as_str().unwrap_or("change");
    let value = &change["value"];
    let account = text(&value["metadata"], "phone_number_id");
    let Some(members) = value.as_object().filter(|_| matches!(field, "messages" | "smb_message_echoes"))
    else {
        return vec![unsupported(field, account, change)];
    };
    // Nobody here may act on what is another account's: all that can be kept is what came.
    let foreign = account.as_deref().is_some_and(|account| account != own);
    let mut facts = Vec::new();
    for (member, content) in members {
        if DESCRIBING.contains(&member.as_str()) {
            continue;
        }
        let read: fn(&Value, &Value) -> Option<(String, What)> = match (member.as_str(), content) {
            ("messages", Value::Array(_)) => message::inbound,
            ("message_echoes", Value::Array(_)) => message::echo,
            ("statuses", Value::Array(_)) => |_, item| status(item),
            _ => {
                facts.push(unsupported(&format!("{field}.{member}"), account.clone(), content));
                continue;
            }
        };
        facts.extend(items(value, member).iter().map(|item| {
            let fact = fact(read(value, item), member, &account, item);
            Fact { raw: fact.raw.or_else(|| foreign.then(|| item.clone())), ..fact }
        }));
    }
    facts
}

fn fact(read: Option<(String, What)>, member: &str, account: &Option<String>, item: &Value) -> Fact {
    let Some((dedupe_key, what)) = read else {
        return Fact { at: unix_time(item.get("timestamp")), ..unsupported(member, account.clone(), item) };
    };
    let raw = message::needs_raw(&what).then(|| item.clone());
    Fact { dedupe_key, at: unix_time(item.get("timestamp")), account: account.clone(), what, raw }
}

fn unsupported(kind: &str, account: Option<String>, item: &Value) -> Fact {
    Fact {
        dedupe_key: hash_key(item),
        at: None,
        account,
        what: What::Unsupported { kind: kind.to_owned() },
        raw: Some(item.clone()),
    }
}

fn status(item: &Value) -> Option<(String, What)> {
    let external_id = text(item, "id")?;
    let word = item["status"].as_str()?;
    let status = match word {
        "sent" => DeliveryStatus::Sent,
        "delivered" => DeliveryStatus::Delivered,
        // A voice message that was played was also seen.
        "read" | "played" => DeliveryStatus::Read,
        "failed" => DeliveryStatus::Failed,
        _ => return None,
    };
    let correlation = text(item, "biz_opaque_callback_data").map(|text| read_correlation(&text));
    let refusal = items(item, "errors")
        .first()
        .and_then(|error| serde_json::from_value::<GraphError>(error.clone()).ok())
        .map(|error| error.refusal());
    let dedupe_key = format!("status:{external_id}:{word}");
    let update = DeliveryUpdate {
        external_id: Some(external_id),
        attempt: correlation.as_ref().map(|(_, attempt)| *attempt),
        correlation: correlation.map(|(id, _)| id),
        status,
        reason: refusal.as_ref().map(|refusal| refusal.reason),
        detail: refusal.map(|refusal| refusal.detail),
        to: identities(item, "recipient_user_id", "recipient_parent_user_id", "recipient_id"),
    };
    Some((dedupe_key, What::Status(update)))
}

/// The names of a person that an item gives, in the order of [`scheme`].
fn identities(item: &Value, user: &str, parent: &str, phone: &str) -> Vec<Identity> {
    [(scheme::WHATSAPP_USER, user), (scheme::WHATSAPP_PARENT, parent), (scheme::WHATSAPP, phone)]
        .into_iter()
        .filter_map(|(scheme, member)| Some(Identity::new(scheme, text(item, member)?)))
        .collect()
}
