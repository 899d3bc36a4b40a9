//! Ids of the client's own: what is sent twice happens once.

use futures::future::join_all;
use serde_json::{Value, json};
use switchboard::id::{ApiKeyId, ChannelId, DocumentId, GrantId, MessageId, ProductId};
use tonic::Code;

use super::stage::{Stage, Who};
use crate::support::{both, rpc::methods};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creation_with_an_id_happens_once() {
    both(async |pair| {
        let stage = Stage::start(&pair).await;
        let conversation = stage.writes("15550000001").await;
        let env = stage.app.store().env().clone();
        let until = (stage.now() + chrono::TimeDelta::days(3)).to_rfc3339();
        let document = json!({"title": "a", "content": "b", "documentType": "DOCUMENT_TYPE_FAQ"});
        let key = json!({"name": "a", "permissions": ["PERMISSION_VIEW_CONVERSATIONS"]});
        let grant = json!({"tenantId": stage.owner.tenant, "endTime": until, "reason": "a test"});
        let creations: [(&str, Who, Value, &str, String, &str); 6] = [
            (
                "CreateChannel",
                Who::Owner,
                json!({"name": "a", "webhook": {}}),
                "id",
                env.id::<ChannelId>().to_string(),
                "/channel/id",
            ),
            (
                "CreateProduct",
                Who::Owner,
                json!({"name": "a"}),
                "id",
                env.id::<ProductId>().to_string(),
                "/id",
            ),
            ("CreateDocument", Who::Owner, document, "id", env.id::<DocumentId>().to_string(), "/id"),
            ("CreateApiKey", Who::Owner, key, "apiKeyId", env.id::<ApiKeyId>().to_string(), "/apiKey/id"),
            ("CreateGrant", Who::Staff, grant, "grantId", env.id::<GrantId>().to_string(), "/id"),
            (
                "SendMessage",
                Who::Owner,
                json!({"conversationId": conversation["id"], "text": "hello"}),
                "id",
                env.id::<MessageId>().to_string(),
                "/id",
            ),
        ];
        for (method, who, request, field, id, at) in &creations {
            let with = |id: &str| {
                let mut request = request.clone();
                request[*field] = id.into();
                request
            };
            let wrong = stage.call(*who, method, with("usr_01h2xcejqtf2nbrexx3vqjhp41")).await;
            let wrong = wrong.err().unwrap_or_else(|| panic!("{method} takes an id of another kind"));
            assert_eq!(wrong.code, Code::InvalidArgument, "{method}: {wrong:?}");
            assert!(wrong.fields[0].ends_with("id"), "{method}: {wrong:?}");

            let tried = join_all((0..4).map(|_| stage.call(*who, method, with(id)))).await;
            let (made, refused): (Vec<_>, Vec<_>) = tried.into_iter().partition(Result::is_ok);
            for made in &made {
                assert_eq!(made.as_ref().unwrap().pointer(at).unwrap(), id, "{method}");
            }
            if *method == "SendMessage" {
                // The same request again is answered with the same message.
                assert_eq!(made.len(), 4, "{refused:?}");
                continue;
            }
            assert_eq!(made.len(), 1, "{method} {refused:?}");
            for refused in refused {
                assert_eq!(refused.unwrap_err().code, Code::AlreadyExists, "{method}");
            }
        }
        for method in methods().filter(|method| method.name().starts_with("Create")) {
            assert!(creations.iter().any(|(name, ..)| *name == method.name()), "{}", method.full_name());
        }
        stage.stop().await;
    })
    .await;
}
