//! The demo as a newcomer runs it.
use std::process::Command;

use crate::support::{both, server::KEYS};

/// The scripted day ends with nothing lost and nothing doubled, and says so in its last line.
#[tokio::test(flavor = "multi_thread")]
async fn the_scripted_day_loses_and_doubles_nothing() {
    both(async |pair| {
        let mut demo = Command::new(env!("CARGO_BIN_EXE_switchboard"));
        demo.args(["demo", "--once"]).env("DATABASE_URL", &pair.database_url).env_remove("REDIS_URL");
        demo.envs(KEYS.iter().copied()).envs(pair.redis_url.iter().map(|url| ("REDIS_URL", url)));
        let output = tokio::task::spawn_blocking(move || demo.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{}\n{said}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );

        let last = said.lines().last().unwrap_or_default();
        let words: Vec<&str> = last.split(' ').collect();
        let count = |at: usize| words[at].parse::<u32>().unwrap_or_else(|_| panic!("{last}"));
        assert_eq!(words.len(), 14, "{last}");
        assert!(count(1) >= 12 && count(3) > 0 && count(5) > 0 && count(7) > 0, "{last}");
        let ends = "duplicates ignored, 0 lost, 0 doubled";
        assert!(last.starts_with("demo: ") && last.ends_with(ends), "{last}");
    })
    .await;
}
