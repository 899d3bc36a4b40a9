//! Which of the three ways a request came, by its content type, and refusals in the manner of each.

use http::{HeaderValue, Method, Request, Response, header};
use tonic::{Code, Status, body::Body as GrpcBody};
use tonic_types::{ErrorDetails, StatusExt};

use super::{bodies::Body, boxed};
use crate::error::DOMAIN;

/// How a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Grpc,
    /// With the content type in one of the four spellings that tonic-web knows.
    GrpcWeb(&'static str),
    /// REST, webhooks, probes.
    Http,
}

impl Wire {
    /// tonic itself would take anything for gRPC, and tonic-web answers 400 to parameters.
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        if request.method() != Method::POST {
            return Self::Http;
        }
        let content = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content = content.and_then(|value| value.split(';').next()).unwrap_or_default();
        match content.trim().to_ascii_lowercase().as_str() {
            "application/grpc" | "application/grpc+proto" => Self::Grpc,
            "application/grpc-web" => Self::GrpcWeb("application/grpc-web"),
            "application/grpc-web+proto" => Self::GrpcWeb("application/grpc-web+proto"),
            "application/grpc-web-text" => Self::GrpcWeb("application/grpc-web-text"),
            "application/grpc-web-text+proto" => Self::GrpcWeb("application/grpc-web-text+proto"),
            _ => Self::Http,
        }
    }

    /// For the labels of metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb(_) => "grpc-web",
            Self::Http => "http",
        }
    }
}

/// A status alone, for a client of gRPC or gRPC-Web: it stands in the headers.
pub(super) fn trailers_only(status: Status, content: Option<&'static str>) -> Response<Body> {
    let mut answer = status.into_http::<GrpcBody>().map(boxed);
    if let Some(content) = content {
        answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    }
    answer
}

/// More requests at once than this process takes.
pub(super) fn overloaded() -> Status {
    again(Code::Unavailable, "too many requests at once", "OVERLOADED")
}

/// The process stops, or the connection is as old as it may become.
pub(super) fn going_away() -> Status {
    again(Code::Unavailable, "the server is going away; continue elsewhere", "GOING_AWAY")
}

/// A handler panicked.
pub(super) fn broken() -> Status {
    let details = ErrorDetails::with_error_info("INTERNAL", DOMAIN, []);
    Status::with_error_details(Code::Internal, "internal error", details)
}

fn again(code: Code, message: &str, reason: &str) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, []);
    details.set_retry_info(Some(std::time::Duration::from_secs(1)));
    Status::with_error_details(code, message, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_read_without_case_and_parameters() {
        let of = |method: &str, content: &str| {
            let request = Request::builder().method(method).header(header::CONTENT_TYPE, content);
            Wire::of(&request.body(()).unwrap())
        };
        assert_eq!(of("POST", "application/grpc"), Wire::Grpc);
        assert_eq!(of("POST", "Application/gRPC+proto; charset=utf-8"), Wire::Grpc);
        let web = Wire::GrpcWeb("application/grpc-web+proto");
        assert_eq!(of("POST", "application/grpc-web+proto; charset=utf-8"), web);
        assert_eq!(of("POST", "application/grpc-web-text"), Wire::GrpcWeb("application/grpc-web-text"));
        for other in
            ["application/json", "application/grpc+json", "application/grpc-web+json", "text/plain", ""]
        {
            assert_eq!(of("POST", other), Wire::Http, "{other}");
        }
        assert_eq!(of("GET", "application/grpc"), Wire::Http);
    }
}
