//! What must be so before a message may go out.

use chrono::{DateTime, Utc};

use super::{
    Rejected,
    channel::{self, Health},
    conversation::{ChannelKind, State, check_sendable},
    window,
};

/// The longest text of a message, in characters.
pub const MAX_TEXT: usize = 4000;

/// The longest beginning of a message that a list shows, in characters.
const MAX_PREVIEW: usize = 200;

/// What decides whether a message may be sent.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    pub state: State,
    pub customer_blocked: bool,
    /// False while the customer blocks us.
    pub customer_reachable: bool,
    pub channel: ChannelKind,
    pub channel_enabled: bool,
    pub channel_health: Health,
    pub last_inbound: Option<DateTime<Utc>>,
    pub now: DateTime<Utc>,
}

/// # Errors
/// The first obstacle, in the order in which a person would have to remove them.
pub fn check(situation: &Situation) -> Result<(), Rejected> {
    let Situation { channel_enabled, channel_health, customer_blocked, customer_reachable, .. } = *situation;
    if !channel_enabled {
        return Err(Rejected::because("CHANNEL_DISABLED", "the channel is switched off"));
    }
    if channel_health == Health::Broken {
        return Err(Rejected::because(
            "CHANNEL_BROKEN",
            "the messenger refuses the channel; repair and test it",
        ));
    }
    if customer_blocked {
        return Err(Rejected::because("CUSTOMER_BLOCKED", "the customer is blocked"));
    }
    if !customer_reachable {
        return Err(Rejected::because(
            "CUSTOMER_UNREACHABLE",
            "the customer has blocked this channel's account",
        ));
    }
    check_sendable(situation.state)?;
    window::check(channel::window(situation.channel), situation.last_inbound, situation.now)
}

/// Checks the words of a message.
///
/// # Errors
/// What is wrong with them.
pub fn check_text(text: &str) -> Result<(), &'static str> {
    if text.trim().is_empty() {
        Err("must not be empty")
    } else if text.chars().nth(MAX_TEXT).is_some() {
        Err("must be at most 4000 characters")
    } else {
        Ok(())
    }
}

/// What a list shows of a message: the beginning of its words, or its kind.
pub fn preview(kind: &str, text: &str) -> String {
    if text.is_empty() { format!("[{kind}]") } else { text.chars().take(MAX_PREVIEW).collect() }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn good() -> Situation {
        let now = DateTime::from_timestamp(1_789_990_001, 0).unwrap();
        Situation {
            state: State::Open,
            customer_blocked: false,
            customer_reachable: true,
            channel: ChannelKind::Whatsapp,
            channel_enabled: true,
            channel_health: Health::Unknown,
            last_inbound: Some(now - TimeDelta::hours(23)),
            now,
        }
    }

    #[test]
    fn every_obstacle_has_a_reason() {
        let good = good();
        let long_ago = Some(good.now - TimeDelta::hours(25));
        let reason = |situation: Situation| check(&situation).err().map_or("", |rejected| rejected.reason);

        assert_eq!(reason(good), "");
        assert_eq!(reason(Situation { state: State::Closed, ..good }), "CONVERSATION_NOT_OPEN");
        assert_eq!(reason(Situation { customer_blocked: true, ..good }), "CUSTOMER_BLOCKED");
        assert_eq!(reason(Situation { customer_reachable: false, ..good }), "CUSTOMER_UNREACHABLE");
        assert_eq!(reason(Situation { channel_enabled: false, ..good }), "CHANNEL_DISABLED");
        assert_eq!(reason(Situation { channel_health: Health::Broken, ..good }), "CHANNEL_BROKEN");
        assert_eq!(reason(Situation { last_inbound: long_ago, ..good }), "WINDOW_CLOSED");
        assert_eq!(reason(Situation { last_inbound: None, ..good }), "WINDOW_CLOSED");
        assert_eq!(reason(Situation { last_inbound: None, channel: ChannelKind::Telegram, ..good }), "");
    }

    /// Acceptance cases 31 and 32: characters count, not bytes; spaces are nothing.
    #[test]
    fn a_text_has_1_to_4000_characters() {
        assert_eq!(check_text(&"ж".repeat(4000)), Ok(()));
        assert!(check_text(&"ж".repeat(4001)).is_err());
        assert!(check_text("").is_err());
        assert!(check_text(" \n\t").is_err());
    }

    #[test]
    fn a_preview_is_short_and_never_empty() {
        assert_eq!(preview("text", "hello"), "hello");
        assert_eq!(preview("text", &"ж".repeat(300)).chars().count(), 200);
        assert_eq!(preview("image", ""), "[image]");
    }
}
