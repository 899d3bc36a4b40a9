//! What the server refuses to start with.

use prost_reflect::DescriptorPool;
use switchboard::edge::{
    reserved_paths,
    transcode::{Route, Transcoder},
    unmounted,
};

use crate::support::{Pair, app::TestApp, rpc};
use crate::transcoding::{gadgets, pool, widgets};

/// An rpc without a service behind it is found by its name, and no handler is called to find it.
#[tokio::test]
async fn an_rpc_that_nobody_serves_is_named() {
    let only_widgets = widgets::routes().prepare();
    let missing = unmounted(&only_widgets, &pool(), "acme.").await;
    let expected: Vec<String> = ["UpdateGadget", "Follow", "Download", "Wait", "Echo", "Hidden"]
        .map(|name| format!("/acme.gadgets.v1.GadgetService/{name}"))
        .into();
    assert_eq!(missing, expected);
    let both = gadgets::add(widgets::routes()).prepare();
    assert_eq!(unmounted(&both, &pool(), "acme.").await, Vec::<String>::new());
}

/// Every rpc of the contract is served, has an HTTP binding that is mounted, and a policy.
#[tokio::test]
async fn every_rpc_is_served_bound_and_has_a_policy() {
    let pair = Pair::sqlite().await;
    let app = TestApp::start(&pair).await;
    let (_, running) = app.serve().await; // refuses to start otherwise
    running.stop().await;
    let transcoder = Transcoder::new(&rpc::POOL, reserved()).unwrap();
    let bound: Vec<String> = transcoder.routes().map(Route::grpc_path).collect();
    for method in rpc::methods() {
        let path = rpc::path(&method);
        assert!(bound.contains(&path), "{path} has no HTTP binding");
        assert!(app.app.policies().of(&path).is_some(), "{path} has no policy");
    }
}

fn reserved() -> switchboard::edge::transcode::Options {
    let paths = reserved_paths();
    for path in ["/healthz", "/openapi.json", "/docs", "/api/v2", "/grpc.health.v1.Health/Check"] {
        assert!(paths.iter().any(|reserved| reserved == path), "{path}");
    }
    switchboard::edge::transcode::Options { reserved_paths: paths, ..Default::default() }
}

/// A binding on a path of the edge's own is refused by name.
#[test]
fn a_binding_on_a_reserved_path_is_named() {
    let pool = DescriptorPool::decode(switchboard::wire::DESCRIPTORS).unwrap();
    let mut options = reserved();
    options.reserved_paths.push("/v1/plans".into());
    let problems = Transcoder::new(&pool, options).err().expect("refused");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].to_string().starts_with("/v1/plans: "), "{}", problems[0]);
}
