//! What the messages of the contract must look like.

use prost_reflect::{MessageDescriptor, MethodDescriptor};

use crate::support::rpc::{POOL, methods};

fn has(message: &MessageDescriptor, field: &str) -> bool {
    message.get_field_by_name(field).is_some()
}

/// Whether a method changes the row that its request names.
fn changes_a_row(method: &MethodDescriptor) -> bool {
    const READING: [&str; 8] = ["Get", "List", "Pull", "Subscribe", "Explain", "Replay", "Search", "Create"];
    /// Methods that leave the row they name as it is, or cannot be based on what it was.
    const OTHERS: [(&str, &str); 9] = [
        ("GenerateSuggestion", "asks for a new row"),
        ("TestChannel", "asks the messenger, whatever the row says"),
        ("MarkConversationRead", "names the newest message that was read instead"),
        ("RevokeInvite", "an invitation never changes before it is used up"),
        ("SignIn", "names the tenant to work in"),
        ("InviteMember", "asks for a new row"),
        ("CancelJob", "a job moves by itself; the answer tells where it was met"),
        ("RedriveJobs", "changes what is dead, and nothing else"),
        ("RunNow", "asks for a job; the schedule stays as it is"),
    ];
    let names_a_row = method.input().fields().any(|field| field.name().ends_with("_id"));
    names_a_row
        && !READING.iter().any(|word| method.name().starts_with(word))
        && !OTHERS.iter().any(|(name, _)| *name == method.name())
}

#[test]
fn every_change_can_say_which_version_it_is_based_on() {
    let changing: Vec<_> = methods().filter(changes_a_row).collect();
    let blind: Vec<_> = changing
        .iter()
        .filter(|method| !has(&method.input(), "expected_version") && !has(&method.input(), "precondition"))
        .map(MethodDescriptor::full_name)
        .collect();
    assert_eq!(blind, Vec::<&str>::new());
    assert!(changing.len() > 25, "{}", changing.len());
}

#[test]
fn every_update_has_a_mask_and_every_creation_takes_an_id() {
    let wrong: Vec<_> = methods()
        .filter(|method| {
            let input = method.input();
            // A role is one field: there is nothing to choose.
            let masked = !method.name().starts_with("Update")
                || method.name() == "UpdateMemberRole"
                || has(&input, "update_mask");
            let created = method.name().strip_prefix("Create").is_none_or(|resource| {
                let own = format!("{}_id", snake(resource));
                has(&input, "id") || has(&input, &own)
            });
            !masked || !created
        })
        .map(|method| method.full_name().to_owned())
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_resource_tells_when_it_changed_and_how_often() {
    /// Written once, and never changed while anybody can read them.
    const RECORDS: [&str; 3] = ["AiCall", "Invite", "Event"];
    let messages = POOL.all_messages().filter(|message| message.full_name().starts_with("switchboard."));
    let resources: Vec<_> =
        messages.filter(|message| has(message, "id") && has(message, "create_time")).collect();
    let silent: Vec<_> = resources
        .iter()
        .filter(|message| !RECORDS.contains(&message.name()))
        .filter(|message| !has(message, "update_time") || !has(message, "version"))
        .map(MessageDescriptor::full_name)
        .collect();
    assert_eq!(silent, Vec::<&str>::new());
    assert!(resources.len() > 12, "{}", resources.len());
}

/// `ApiKey` → `api_key`
fn snake(name: &str) -> String {
    let mut text = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_uppercase() && at > 0 {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}
