//! What comes in any order ends in the same rows.

use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::{Value, json};
use switchboard::{id::ChannelId, store::conversation as rows};

use super::{
    payload::{echo, item, written},
    shop::Shop,
};
use crate::support::both;

const IVO: &str = "4915112345678";

fn edit(id: &str, of: &str, second: i64, words: &str) -> Value {
    let message = json!({"type": "text", "text": {"body": words}});
    item(IVO, id, second, "edit", json!({"original_message_id": of, "message": message}))
}

fn revoke(id: &str, of: &str, second: i64) -> Value {
    item(IVO, id, second, "revoke", json!({"original_message_id": of}))
}

fn react(id: &str, to: &str, second: i64, emoji: &str) -> Value {
    item(IVO, id, second, "reaction", json!({"message_id": to, "emoji": emoji}))
}

async fn revisions(shop: &Shop, message: &rows::Message) -> Vec<String> {
    let db = shop.store.of(shop.scope());
    let mut texts: Vec<_> =
        db.messages().revisions(message.id).await.unwrap().into_iter().map(|r| r.text).collect();
    texts.sort_unstable();
    texts
}

/// Everything that must not depend on the order of arrival.
async fn state(shop: &Shop) -> String {
    let (conversation, said) = shop.thread().await;
    let mut state = format!(
        "{:?} unread {} of {}: {} {:?} {:?} {:?}\n",
        conversation.state,
        conversation.unread_count,
        conversation.message_count,
        conversation.last_message_preview,
        conversation.last_message_at,
        conversation.last_inbound_at,
        conversation.window_expires_at,
    );
    for message in &said {
        state += &format!(
            "{:?} {:?} {} {:?} {:?} {:?} {:?}\n",
            message.external_id,
            message.author,
            message.text,
            message.reactions(),
            message.edited_at,
            message.deleted_at,
            revisions(shop, message).await,
        );
    }
    state
}

/// Conformance 18.
#[tokio::test]
async fn edits_deletions_and_reactions_happen_to_the_message() {
    both(async |pair| {
        let shop = Shop::open(&pair).await;
        let channel = shop.whatsapp().await;
        let post = async |body: Value| assert_eq!(shop.post(channel, &body).await.unwrap().new, 1);
        post(written(IVO, "wamid.1", 0, "how much is it?")).await;
        post(edit("wamid.2", "wamid.1", 10, "how much is the blue one?")).await;
        post(react("wamid.3", "wamid.1", 20, "👍")).await;
        let (conversation, said) = shop.thread().await;
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].text, "how much is the blue one?");
        assert_eq!(said[0].reactions(), [("customer".to_owned(), "👍".to_owned())]);
        assert_eq!(conversation.last_message_preview, "how much is the blue one?");
        assert_eq!((conversation.unread_count, conversation.message_count), (1, 1));

        post(react("wamid.4", "wamid.1", 30, "")).await;
        post(revoke("wamid.5", "wamid.1", 40)).await;
        let (conversation, said) = shop.thread().await;
        assert!(said[0].reactions().is_empty());
        assert_eq!((said[0].text.as_str(), said[0].deleted_at.is_some()), ("", true));
        assert_eq!(conversation.last_message_preview, "[deleted]");
        assert_eq!(revisions(&shop, &said[0]).await, ["how much is it?", "how much is the blue one?"]);
    })
    .await;
}

/// Conformance 3: days of retries, out of order and more than once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_order_with_repeats_ends_in_the_same_state() {
    let story = [
        written(IVO, "wamid.1", 0, "hello"),
        written(IVO, "wamid.2", 10, "is the blue one there?"),
        edit("wamid.3", "wamid.2", 20, "is the red one there?"),
        edit("wamid.4", "wamid.2", 30, "is the green one there?"),
        react("wamid.5", "wamid.1", 35, "❤️"),
        react("wamid.6", "wamid.1", 36, ""),
        react("wamid.7", "wamid.1", 37, "👍"),
        written(IVO, "wamid.8", 50, "oops"),
        revoke("wamid.9", "wamid.8", 60),
        echo(IVO, "wamid.10", 70, "yes, two left"),
        written(IVO, "wamid.11", 80, "I take both"),
    ];
    both(async |pair| {
        let play = async |shop: &Shop, channel: ChannelId, story: &[Value]| {
            for body in story {
                shop.post(channel, body).await.unwrap();
            }
        };
        let first = Shop::open(&pair).await;
        let channel = first.whatsapp().await;
        play(&first, channel, &story).await;
        let expected = state(&first).await;
        assert!(expected.contains("I take both"), "{expected}");

        for seed in 0..6 {
            let shop = Shop::in_store(&pair, first.store.clone()).await;
            let channel = shop.whatsapp().await;
            let mut shuffled: Vec<Value> = story.iter().chain(&story).cloned().collect();
            shuffled.shuffle(&mut StdRng::seed_from_u64(seed));
            play(&shop, channel, &shuffled).await;
            assert_eq!(state(&shop).await, expected, "seed {seed}");
        }

        // All at once.
        let shop = Shop::in_store(&pair, first.store.clone()).await;
        let channel = shop.whatsapp().await;
        let all = story.iter().chain(&story).map(|body| shop.post(channel, body));
        for received in futures::future::join_all(all).await {
            received.unwrap();
        }
        assert_eq!(state(&shop).await, expected);
    })
    .await;
}
