//! Requests to the Graph API.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Whatsapp, refusal::GraphError};
use crate::{
    channels::{
        Http, Outbound, Refusal, Retry, Sent,
        exchange::{Came, bearer, came, harmless},
    },
    domain::{delivery::Reason, inbound::scheme},
};

/// Characters of a text message.
pub(super) const MAX_TEXT: usize = 4096;

#[derive(Deserialize)]
struct Accepted {
    messages: Vec<AcceptedMessage>,
}

#[derive(Deserialize)]
struct AcceptedMessage {
    id: String,
}

#[derive(Deserialize)]
struct Failed {
    error: GraphError,
}

pub(super) async fn send(account: &Whatsapp, http: &Http, outbound: &Outbound) -> Sent {
    if outbound.text.chars().count() > MAX_TEXT {
        return Refusal::lasting(Reason::TooLong, "WhatsApp takes 4096 characters").into();
    }
    let Some(body) = body(outbound) else {
        return Refusal::lasting(Reason::RecipientUnreachable, "no WhatsApp identity is known").into();
    };
    let Some(headers) = bearer(account.access_token()) else { return no_token().into() };
    let url = format!("{}/messages", account.url());
    match came(http.post(&url, headers, body.to_string().into_bytes()).await) {
        Ok(answer) => outcome(&answer),
        Err(sent) => sent,
    }
}

/// `None` if no name of the customer is one that WhatsApp knows.
fn body(outbound: &Outbound) -> Option<Value> {
    let mut body = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "type": "text",
        "text": {"preview_url": false, "body": outbound.text},
        "biz_opaque_callback_data": outbound.correlation(),
    });
    if let Some(phone) = outbound.identity(scheme::WHATSAPP) {
        body["to"] = phone.into();
    } else {
        body["recipient"] = outbound.identity(scheme::WHATSAPP_USER)?.into();
    }
    if let Some(quoted) = &outbound.reply_to {
        body["context"] = json!({"message_id": quoted});
    }
    Some(body)
}

fn outcome(answer: &Came) -> Sent {
    if answer.status.is_success() {
        let accepted: Option<Accepted> = answer.json();
        return match accepted.and_then(|accepted| accepted.messages.into_iter().next()) {
            Some(message) => Sent::Accepted { external_id: message.id },
            None => Sent::Unknown { detail: "accepted, but without an id".to_owned() },
        };
    }
    match answer.json::<Failed>() {
        Some(failed) => {
            let mut sent = failed.error.sent(answer.status);
            if let (Sent::Rejected(Refusal { retry: Retry::After(wait), .. }), Some(asked)) =
                (&mut sent, answer.retry_after)
            {
                *wait = asked.max(*wait);
            }
            sent
        }
        None => answer.unexplained(),
    }
}

fn no_token() -> Refusal {
    Refusal::broken(Reason::TokenInvalid, "the access token cannot be used")
}

pub(super) async fn probe(account: &Whatsapp, http: &Http) -> Result<String, Refusal> {
    let headers = bearer(account.access_token()).ok_or_else(no_token)?;
    let url = format!("{}?fields=display_phone_number,verified_name", account.url());
    let answer = came(http.get(&url, headers).await).map_err(harmless)?;
    if !answer.status.is_success() {
        return Err(harmless(outcome(&answer)));
    }
    let number: Value = answer.json().unwrap_or_default();
    let shown = ["verified_name", "display_phone_number"].map(|member| number[member].as_str());
    Ok(shown.into_iter().flatten().collect::<Vec<_>>().join(" "))
}
