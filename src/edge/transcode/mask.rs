//! The update mask a PATCH implies when it gives none: the fields its body names (AIP-134).

use serde_json::Value;

use super::plan::{Form, Kind, Message, Plan, Shape};
use super::wire;

/// The name of the field that holds an update mask.
const UPDATE_MASK: &str = "update_mask";

/// Appends to `out` the mask that `body` implies, where `request` has an update mask and `resource` is the message the body
/// stands for. A key present with a default or null is in the mask, so that a field can be cleared.
pub(super) fn imply(plan: &Plan, request: &Message, resource: &Message, body: &[u8], out: &mut Vec<u8>) {
    let mask = request.names.get(UPDATE_MASK).map(|index| &request.fields[*index]);
    let is_mask =
        |kind| matches!(kind, Kind::Message(index) if plan.message(index).shape == Shape::FieldMask);
    let Some(mask) = mask.filter(|field| is_mask(field.kind)) else { return };
    let Ok(Value::Object(body)) = serde_json::from_slice(body) else { return };
    let mut paths = Vec::new();
    collect(plan, resource, &body, "", &mut paths);
    let start = wire::open(out, mask.number);
    for path in paths {
        wire::put_bytes(out, 1, path.as_bytes());
    }
    wire::close(out, start);
}

fn collect(
    plan: &Plan,
    message: &Message,
    body: &serde_json::Map<String, Value>,
    prefix: &str,
    paths: &mut Vec<String>,
) {
    for (name, value) in body {
        let Some(index) = message.names.get(name) else { continue };
        let field = &message.fields[*index];
        let path = format!("{prefix}{}", field.name);
        match (field.kind, value) {
            (Kind::Message(inner), Value::Object(members))
                if field.form == Form::Optional
                    && !members.is_empty()
                    && plan.message(inner).shape == Shape::Fields =>
            {
                collect(plan, plan.message(inner), members, &format!("{path}."), paths);
            }
            _ => paths.push(path),
        }
    }
}
