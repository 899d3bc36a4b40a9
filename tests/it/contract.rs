//! Tests over all of the contract: what holds for every method.

use serde_json::json;
use tonic::Code;

use crate::support::{app::TestApp, both, rpc};

/// A method that is not public answers UNAUTHENTICATED to a caller without a credential, before it
/// looks at the request.
#[tokio::test]
async fn every_method_but_the_public_ones_asks_who_is_calling() {
    both(async |pair| {
        let app = TestApp::start(&pair).await;
        let mut asked = 0;
        for method in rpc::methods() {
            let path = rpc::path(&method);
            let answer = rpc::call_bytes(app.grpc(), &path, None, &[]).await;
            let code = answer.as_ref().err().map(|refusal| refusal.code);
            if app.is_public(&path) {
                assert_ne!(code, Some(Code::Unauthenticated), "{path}");
            } else {
                assert_eq!(code, Some(Code::Unauthenticated), "{path}");
                asked += 1;
            }
        }
        assert!(asked > 40, "only {asked} methods were asked");
    })
    .await;
}

/// Every list takes a page size and a page token.
#[test]
fn every_list_is_bounded() {
    let unbounded: Vec<String> = rpc::methods()
        .filter(|m| m.name().starts_with("List") || m.name().starts_with("Pull"))
        .filter(|m| {
            let paged = m.input().get_field_by_name("page_size").is_some();
            !paged
        })
        .map(|m| m.full_name().to_owned())
        // The catalogue of plans is a handful of rows of ours.
        .filter(|name| name != "switchboard.billing.v1.PlanService.ListPlans")
        .collect();
    assert_eq!(unbounded, Vec::<String>::new());
}

/// A guest and a viewer hold few permissions: every method beyond them is refused, whatever it is asked.
#[tokio::test]
async fn every_method_refuses_a_role_without_its_permission() {
    both(async |pair| {
        let app = TestApp::start(&pair).await;
        let owner = app.sign_up("owner@shop.example").await;
        let viewer = app.join(&owner, "viewer@shop.example", "ROLE_VIEWER").await;
        let mut refused = 0;
        for method in rpc::methods() {
            let path = rpc::path(&method);
            let Some(permission) = app.permission(&path) else { continue };
            if matches!(permission.name(), "VIEW_CONVERSATIONS" | "VIEW_CUSTOMERS") {
                continue;
            }
            let refusal = rpc::call_bytes(app.grpc(), &path, Some(&viewer.token), &[]).await.unwrap_err();
            assert_eq!(
                (refusal.code, refusal.reason.as_str()),
                (Code::PermissionDenied, "PERMISSION_REQUIRED"),
                "{path}"
            );
            refused += 1;
        }
        assert!(refused > 20, "only {refused} methods were refused");
        let me = app.call("AuthService.GetMe", Some(&viewer.token), json!({})).await.unwrap();
        assert_eq!(me["role"], "ROLE_VIEWER");
    })
    .await;
}
