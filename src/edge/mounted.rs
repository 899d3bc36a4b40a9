//! Whether every rpc of the contract has a service behind it.

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::Full;
use prost_reflect::DescriptorPool;
use tonic::{Code, Status, body::Body, service::Routes};
use tower::ServiceExt as _;

use super::transcode::grpc_path;

/// A frame that says it is compressed in a way that does not exist: generated code refuses it before the
/// handler sees anything.
const UNREADABLE: &[u8] = &[2, 0, 0, 0, 0];

/// The methods of `pool`, in packages that begin with `package`, that `routes` answers with UNIMPLEMENTED, as paths.
/// Asks each of them once, without calling a handler.
pub async fn unmounted(routes: &Routes, pool: &DescriptorPool, package: &str) -> Vec<String> {
    let services = pool.services().filter(|service| service.package_name().starts_with(package));
    let mut missing = Vec::new();
    for path in services.flat_map(|service| service.methods().map(|m| grpc_path(&m)).collect::<Vec<_>>()) {
        let mut ask = Request::new(Body::new(Full::new(Bytes::from_static(UNREADABLE))));
        *ask.method_mut() = http::Method::POST;
        if let Ok(uri) = path.parse() {
            *ask.uri_mut() = uri;
        }
        ask.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        let Ok(answer) = routes.clone().oneshot(ask).await;
        let status = Status::from_header_map(answer.headers());
        if status.is_some_and(|status| status.code() == Code::Unimplemented) {
            missing.push(path);
        }
    }
    missing
}
