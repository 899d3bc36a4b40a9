//! Nobody talks over anybody: each part of the precondition, on each command that takes one.

use chrono::TimeDelta;
use prost::Message as _;
use switchboard::{
    id::MessageId,
    wire::conversation::v1::{
        self, AssignConversationRequest, EditRequest, Precondition, SendMessageRequest,
    },
};
use tonic::{Code, Status};

use super::stage::{Stage, approve};
use crate::{conversation::shop::reason, support::both};

const QUESTION: &str = "How much is the espresso machine?";

/// The commands that take a precondition.
#[derive(Clone, Copy, Debug)]
enum Command {
    Approve,
    ApproveUnlessWrong,
    Edit,
    Send,
    Assign,
}

const COMMANDS: [Command; 5] =
    [Command::Approve, Command::ApproveUnlessWrong, Command::Edit, Command::Send, Command::Assign];

async fn give(stage: &Stage, draft: &str, command: Command, demanded: Precondition) -> Result<(), Status> {
    let conversation_id = stage.conversation().await.id.to_string();
    let precondition = Some(demanded);
    match command {
        Command::Approve | Command::ApproveUnlessWrong => {
            let validate_only = matches!(command, Command::ApproveUnlessWrong);
            let suggestion_id = draft.to_owned();
            let request = v1::ApproveRequest { suggestion_id, precondition, validate_only };
            stage.suggestions().approve(request).await.map(drop)
        }
        Command::Edit => {
            let (suggestion_id, text) = (draft.to_owned(), "Another text.".to_owned());
            let request = EditRequest { suggestion_id, text, precondition, validate_only: false };
            stage.suggestions().edit(request).await.map(drop)
        }
        Command::Send => {
            let text = "A text of my own.".to_owned();
            let request = SendMessageRequest { conversation_id, text, precondition, ..Default::default() };
            stage.shop.messages().send_message(request).await.map(drop)
        }
        Command::Assign => {
            let request = AssignConversationRequest { conversation_id, precondition };
            stage.shop.conversations().assign_conversation(request).await.map(drop)
        }
    }
}

/// The conversation among the details.
fn now(status: &Status) -> v1::Conversation {
    let details = tonic_types::pb::Status::decode(status.details()).unwrap().details;
    let found = details.iter().find(|any| any.type_url.ends_with("switchboard.conversation.v1.Conversation"));
    v1::Conversation::decode(found.expect("the conversation as it is now").value.as_slice()).unwrap()
}

#[tokio::test]
async fn each_part_is_checked_by_each_command_and_tells_what_is_now() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let draft = stage.turn(0, QUESTION).await.id.to_string();
        let seen = stage.conversation().await;
        let other = stage.shop.env.id::<MessageId>().to_string();
        let missed = |which: usize| match which {
            0 => Precondition { expected_version: seen.version + 1, ..Default::default() },
            1 => Precondition { last_message_id: other.clone(), ..Default::default() },
            2 => Precondition { assigned_to_me: true, ..Default::default() },
            _ => Precondition { window_open: true, ..Default::default() },
        };
        let check = async |which: usize| {
            for command in COMMANDS {
                let refused = give(&stage, &draft, command, missed(which)).await;
                let status = refused.err().unwrap_or_else(|| panic!("{command:?} ignores part {which}"));
                assert_eq!(
                    (status.code(), reason(&status).as_str()),
                    (Code::Aborted, "CONVERSATION_CHANGED"),
                    "{command:?} {which}"
                );
                let now = now(&status);
                assert_eq!((now.id, now.version), (seen.id.to_string(), seen.version), "{command:?} {which}");
                assert!(stage.sent().await.is_empty(), "{command:?} {which}");
                assert_eq!(stage.conversation().await.version, seen.version, "{command:?} {which}");
            }
        };
        for which in 0..3 {
            check(which).await;
        }
        stage.shop.env.advance(TimeDelta::hours(25));
        check(3).await;
    })
    .await;
}

#[tokio::test]
async fn what_still_is_as_it_was_seen_is_carried_out() {
    both(async |pair| {
        for command in [Command::Approve, Command::Edit, Command::Send] {
            let stage = Stage::open(&pair).await;
            let draft = stage.turn(0, QUESTION).await;
            let seen = stage.conversation().await;
            let demanded = Precondition {
                expected_version: seen.version,
                last_message_id: seen.last_message_id.unwrap().to_string(),
                assigned_to_me: false,
                window_open: true,
            };
            give(&stage, &draft.id.to_string(), Command::Assign, demanded).await.unwrap();
            let seen = stage.conversation().await;
            let demanded = Precondition {
                expected_version: seen.version,
                last_message_id: seen.last_message_id.unwrap().to_string(),
                assigned_to_me: true,
                window_open: true,
            };
            // Checking twice changes nothing; doing it once changes the conversation.
            let draft = draft.id.to_string();
            give(&stage, &draft, Command::ApproveUnlessWrong, demanded.clone()).await.unwrap();
            assert!(stage.sent().await.is_empty());
            give(&stage, &draft, command, demanded).await.unwrap();
            assert_eq!(stage.sent().await.len(), 1, "{command:?}");
            assert!(stage.conversation().await.version > seen.version);
        }
    })
    .await;
}

/// A send that only checks sends nothing, and refuses what a send would.
#[tokio::test]
async fn a_send_that_only_checks_changes_nothing() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let draft = stage.turn(0, QUESTION).await;
        let seen = stage.conversation().await;
        let request = |text: &str| SendMessageRequest {
            conversation_id: seen.id.to_string(),
            text: text.to_owned(),
            validate_only: true,
            ..Default::default()
        };
        let checked = stage.shop.messages().send_message(request("Yes.")).await.unwrap().into_inner();
        assert_eq!((checked.id.as_str(), checked.text.as_str(), checked.version), ("", "Yes.", 0));
        let refused = stage.shop.messages().send_message(request(" ")).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_FIELD");
        stage.shop.env.advance(TimeDelta::hours(25));
        let refused = stage.shop.messages().send_message(request("Yes.")).await.unwrap_err();
        assert_eq!(reason(&refused), "WINDOW_CLOSED");
        assert!(stage.sent().await.is_empty());
        assert_eq!(stage.conversation().await.version, seen.version);
        assert_eq!(reason(&stage.suggestions().approve(approve(&draft)).await.unwrap_err()), "WINDOW_CLOSED");
    })
    .await;
}
