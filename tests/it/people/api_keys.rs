//! API keys.
use chrono::{SecondsFormat, TimeDelta};
use serde_json::json;
use tonic::Code;

use super::reason;
use crate::support::{both, desk::Desk};

#[tokio::test]
async fn a_key_works_until_it_is_revoked_and_shows_its_secret_once() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let request = json!({"name": "till", "permissions": ["PERMISSION_MANAGE_CUSTOMERS", "PERMISSION_VIEW_CONVERSATIONS"]});
        let made = desk.call("CreateApiKey", &ann.token, request).await.unwrap();
        let secret = made["secret"].as_str().unwrap();
        let key = &made["apiKey"];
        assert!(secret.starts_with("sk_live_") && secret.starts_with(key["prefix"].as_str().unwrap()));
        assert!(secret.ends_with(key["last4"].as_str().unwrap()));
        assert_eq!(key["permissions"], json!(["PERMISSION_VIEW_CONVERSATIONS", "PERMISSION_MANAGE_CUSTOMERS"]));
        assert_eq!(key["creatorId"], ann.user.as_str());

        assert_eq!(desk.call("GetTenant", secret, json!({})).await.unwrap()["id"], ann.tenant.as_str());
        let list = desk.call("ListApiKeys", &ann.token, json!({})).await.unwrap();
        assert_eq!(list["apiKeys"][0], *key);
        assert!(!list.to_string().contains(secret));

        let stranger = desk.sign_up("eve@other.example").await;
        let revoke = json!({"apiKeyId": key["id"]});
        assert_eq!(reason(desk.call("RevokeApiKey", &stranger.token, revoke.clone()).await), "NOT_FOUND");
        let revoked = desk.call("RevokeApiKey", &ann.token, revoke.clone()).await.unwrap();
        assert_eq!(revoked["version"], "2");
        assert_eq!(reason(desk.call("GetTenant", secret, json!({})).await), "UNAUTHENTICATED");
        assert_eq!(desk.call("RevokeApiKey", &ann.token, revoke).await.unwrap(), revoked);
        let told = "select count(*) as n from event where kind = 'tenant.updated' and subject like 'key_%'";
        assert_eq!(desk.number(told).await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_key_holds_no_more_than_its_creator() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let bob = desk.join(&ann, "bob@shop.example", "ROLE_ADMIN").await;
        let request =
            json!({"name": "x", "permissions": ["PERMISSION_VIEW_CUSTOMERS", "PERMISSION_MANAGE_USERS"]});
        let refused = desk.call("CreateApiKey", &bob.token, request.clone()).await.unwrap_err();
        assert_eq!((refused.code, refused.reason.as_str()), (Code::PermissionDenied, "PERMISSION_NOT_HELD"));
        assert_eq!(reason(desk.call("CreateApiKey", &ann.token, request).await), "ok");
        assert_eq!(desk.number("select count(*) as n from api_key").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_request_for_a_key_is_checked() {
    both(async |pair| {
        let desk = Desk::open(&pair).await;
        let ann = desk.sign_up("ann@shop.example").await;
        let at = |minutes| {
            (desk.env.now() + TimeDelta::minutes(minutes)).to_rfc3339_opts(SecondsFormat::Secs, true)
        };
        let view = json!(["PERMISSION_VIEW_CUSTOMERS"]);
        for (request, field) in [
            (json!({"name": " ", "permissions": view}), "name"),
            (json!({"name": "x", "permissions": []}), "permissions"),
            (json!({"name": "x", "permissions": [1, 99]}), "permissions[1]"),
            (json!({"name": "x", "permissions": [1, 1]}), "permissions[1]"),
            (json!({"name": "x", "permissions": view, "expireTime": at(-1)}), "expire_time"),
            (json!({"name": "x", "permissions": view, "apiKeyId": ann.user}), "api_key_id"),
        ] {
            let refused = desk.call("CreateApiKey", &ann.token, request.clone()).await.unwrap_err();
            assert_eq!(
                (refused.code, refused.fields),
                (Code::InvalidArgument, vec![field.to_owned()]),
                "{request}"
            );
        }
        let trial = json!({"name": "x", "permissions": view, "validateOnly": true});
        assert_eq!(desk.call("CreateApiKey", &ann.token, trial).await.unwrap()["secret"], "");
        assert_eq!(desk.number("select count(*) as n from api_key").await, 0);

        let id = desk.env.id::<switchboard::id::ApiKeyId>().to_string();
        let chosen = json!({"name": "x", "permissions": view, "apiKeyId": id, "expireTime": at(10)});
        let made = desk.call("CreateApiKey", &ann.token, chosen.clone()).await.unwrap();
        assert_eq!(made["apiKey"]["id"], id.as_str());
        assert_eq!(reason(desk.call("CreateApiKey", &ann.token, chosen).await), "ALREADY_EXISTS");
        desk.env.advance(TimeDelta::minutes(11));
        let late = desk.call("GetTenant", made["secret"].as_str().unwrap(), json!({})).await;
        assert_eq!(reason(late), "UNAUTHENTICATED");
    })
    .await;
}
