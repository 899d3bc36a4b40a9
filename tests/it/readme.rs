//! The README, run as it is written.
use std::{collections::BTreeMap, process::Command};

use switchboard::config::{Config, Source};

use crate::{
    clients::{node, succeed, tool},
    conversation::shop::sandbox,
    support::{Server, both},
};

const README: &str = include_str!("../../README.md");

/// Every command of the first conversation, in order, in one shell.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_conversation_goes_as_it_is_written() {
    both(async |pair| {
        let (sandbox, server) =
            (sandbox().await, Server::start(&pair, &[("SWITCHBOARD_ALLOW_PRIVATE_TARGETS", "true")]).await);
        let mut script = blocks("sh").join("\n");
        for (written, real) in
            [("127.0.0.1:8080", server.address()), ("127.0.0.1:8090", sandbox.addr.to_string())]
        {
            assert!(script.contains(written), "{written}");
            script = script.replace(written, &real);
        }
        script = format!(
            "buf() {{ '{}' '{}' \"$@\"; }}\n{script}",
            node().display(),
            tool("node_modules/.bin/buf").display()
        );

        let run = move || succeed(Command::new("bash").args(["-euo", "pipefail", "-c", &script]));
        let said = tokio::task::spawn_blocking(run).await.unwrap();

        for expected in [
            "\"lastMessagePreview\": \"How long does delivery take?\"",
            "\"SUGGESTION_STATE_PENDING\"",
            "\"SUGGESTION_STATE_APPROVED\"",
            "\nDelivery takes two days and costs 5 euros.",
            "switchboard.conversation.v1.MessageService/SendMessage",
            "\"lastMessageDirection\":",
            "data: {\"event\":",
        ] {
            assert!(said.contains(expected), "{expected} is missing in:\n{said}");
        }
        let products: Vec<&str> = said.lines().filter(|line| line.starts_with("\"prd_")).collect();
        assert!(products.len() == 2 && products[0] == products[1], "{products:?}");
    })
    .await;
}

/// The table has every setting with its default, and no other.
#[test]
fn the_table_of_settings_is_complete() {
    let config = Config::read(|_| None, None).unwrap();
    let settings = config.describe().iter().inspect(|setting| assert_eq!(setting.source, Source::Default));
    let settings: BTreeMap<String, String> =
        settings.map(|setting| (setting.name.clone(), setting.value.clone())).collect();

    let mut written = BTreeMap::new();
    for row in README.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let values =
            |cell: &str| cell.split(", ").map(|text| text.trim_matches('`').to_owned()).collect::<Vec<_>>();
        let (names, defaults) = (values(cells[1]), values(cells[2]));
        for (at, name) in names.into_iter().enumerate() {
            let default = defaults.get(at).cloned().unwrap_or_default();
            assert_eq!(written.insert(name, default), None, "{row}");
        }
    }

    assert_eq!(written, settings);
}

/// The contents of the fenced blocks in a language.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    README.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}
