//! When the AI may send by itself: the settings as people change them.

use prost_types::FieldMask;
use switchboard::wire::tenant::v1::{
    DecisionSettings, GetDecisionSettingsRequest, UpdateDecisionSettingsRequest,
    settings_service_client::SettingsServiceClient,
};
use tonic::Code;

use super::stage::Stage;
use crate::support::both;

async fn update(stage: &Stage, request: UpdateDecisionSettingsRequest) -> Result<DecisionSettings, Code> {
    let mut client = SettingsServiceClient::new(stage.shop.wire());
    client
        .update_decision_settings(request)
        .await
        .map(tonic::Response::into_inner)
        .map_err(|status| status.code())
}

#[tokio::test]
async fn settings_begin_shut_and_change_in_parts() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        let mut client = SettingsServiceClient::new(stage.shop.wire());
        let first = client.get_decision_settings(GetDecisionSettingsRequest {}).await.unwrap().into_inner();
        // Acceptance case 39.
        assert_eq!((first.t_auto_bp, first.t_escalate_bp), (8_000, 4_000));
        assert!(!first.autosend_enabled && !first.autosend_allowed);
        assert_eq!(first.intents_autosend_allowed, ["price", "availability", "shipping", "other"]);
        assert_eq!(first.intents_force_handoff, ["discount", "complaint"]);
        assert_eq!(first.version, 1);

        let request = UpdateDecisionSettingsRequest {
            t_auto_bp: Some(9_000),
            autosend_allowed: Some(true),
            expected_version: 1,
            ..Default::default()
        };
        let checked = UpdateDecisionSettingsRequest { validate_only: true, ..request.clone() };
        assert_eq!(update(&stage, checked).await.unwrap().version, 1);
        let changed = update(&stage, request.clone()).await.unwrap();
        assert_eq!((changed.t_auto_bp, changed.t_escalate_bp, changed.version), (9_000, 4_000, 2));
        assert_eq!(update(&stage, request).await.unwrap_err(), Code::Aborted);

        let none = UpdateDecisionSettingsRequest {
            update_mask: Some(FieldMask { paths: vec!["intents_force_handoff".to_owned()] }),
            ..Default::default()
        };
        let changed = update(&stage, none).await.unwrap();
        assert!(changed.intents_force_handoff.is_empty());
        assert_eq!((changed.version, changed.autosend_allowed), (3, true));
    })
    .await;
}

#[tokio::test]
async fn nonsense_is_refused() {
    both(async |pair| {
        let stage = Stage::open(&pair).await;
        for bad in [
            UpdateDecisionSettingsRequest { t_auto_bp: Some(3_999), ..Default::default() },
            UpdateDecisionSettingsRequest { t_escalate_bp: Some(8_001), ..Default::default() },
            UpdateDecisionSettingsRequest { t_auto_bp: Some(10_001), ..Default::default() },
            UpdateDecisionSettingsRequest {
                intents_autosend_allowed: vec!["dance".to_owned()],
                ..Default::default()
            },
            UpdateDecisionSettingsRequest {
                update_mask: Some(FieldMask { paths: vec!["engine_on".to_owned()] }),
                ..Default::default()
            },
        ] {
            assert_eq!(update(&stage, bad).await.unwrap_err(), Code::InvalidArgument);
        }
    })
    .await;
}
